"""In-context reinforcement learning, the Hugging Face way.

Importing this package is cheap: neither torch nor transformers nor gymnasium is loaded. Names are resolved on
first use, and the Auto classes and the gymnasium ids register themselves as soon as transformers or gymnasium is
imported, before or after this package (see `hf_icrl/registration.py`).
"""

from pathlib import Path

__version__ = "0.1.0"

# A bare checkout has trainers/, dataset_builders/ and model_cards/ beside this folder; an installation has them
# inside it (setup.cfg, package_dir). This makes both importable as hf_icrl.trainers and so on.
_root = Path(__file__).resolve().parent.parent
if not (Path(__file__).parent / "trainers").is_dir() and (_root / "setup.cfg").is_file():
    __path__.append(str(_root))

from hf_icrl.lazy import lazy_exports  # noqa: E402  (needs __path__ to be complete)
from hf_icrl.registration import register_lazily  # noqa: E402

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "AlgorithmDistillationConfig": "models.configuration_algorithm_distillation",
        "AlgorithmDistillationModel": "models.modeling_algorithm_distillation",
        "HeadlessADConfig": "models.configuration_headless_ad",
        "HeadlessADModel": "models.modeling_headless_ad",
        "HistoryWindows": "histories",
        "ICRLConfig": "trainers",
        "ICRLTrainer": "trainers",
        "LearningHistories": "dataset_builders",
        "MixtureWindows": "histories",
        "collect": "dataset_builders",
        "collect_mixture": "dataset_builders",
        "evaluate": "rollouts",
        "evaluate_sets": "rollouts",
        "push": "pushing",
        "rollout": "rollouts",
        "task_family": "tasks",
    },
)

register_lazily()
