"""Checkpoints: what is saved is what acts, in any order of imports, and from a bare decoder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, GPT2Config, GPT2Model

import hf_icrl
from hf_icrl import AlgorithmDistillationModel

ROOT = Path(hf_icrl.__file__).resolve().parent.parent


def run_python(code, tmp_path):
    """Run code in a fresh process that can import hf_icrl; gives the last line that it printed, as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf_home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("observation", ["discrete", "multi", "box", "image"])
@pytest.mark.parametrize("action", ["discrete", "box", "unbounded"])
def test_models_of_every_kind_of_space_load(make_model, make_history, tmp_path, observation, action):
    if action == "unbounded":
        action = {"type": "Box", "shape": [2], "low": float("-inf"), "high": float("inf")}
    extra = {"observation_mean": [0.5] * 3, "observation_std": [2.0] * 3} if observation == "box" else {}
    model = make_model(observation=observation, action=action, **extra)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    history = make_history(make_model(observation=observation, action="discrete"), rows=2, steps=8)
    first = history["observations"][:, 0]
    actions = [m.act(m.init_rollout(2, seed=1), first) for m in (model, loaded)]
    assert (actions[0] == actions[1]).all()


def test_arguments_of_loading_override_the_config(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path, temperature=0.25, refill_keep=2)
    assert (model.config.temperature, model.init_rollout(1).refill_keep) == (0.25, 2)


def test_a_checkpoint_without_its_config_is_refused(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        AlgorithmDistillationModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"config\.json"):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "imports",
    [
        # AutoConfig alone must not need the model's registry.
        "import hf_icrl; from transformers import AutoConfig",
        "from transformers import AutoConfig, AutoModel, Trainer; import hf_icrl",
        # Trainer imports AutoConfig from the middle of its own import of PreTrainedModel.
        "import hf_icrl; from transformers import Trainer; from transformers import AutoConfig",
        "import hf_icrl.models.modeling_algorithm_distillation; from transformers import AutoConfig",
    ],
)
def test_auto_classes_know_the_model_in_any_import_order(make_model, tmp_path, imports):
    make_model().save_pretrained(tmp_path / "model")
    modules = run_python(
        f"""
import json
{imports}
config = AutoConfig.from_pretrained("model", trust_remote_code=False)
from transformers import AutoModel
model = AutoModel.from_pretrained("model", trust_remote_code=False)
print(json.dumps([type(config).__module__, type(model).__module__]))
""",
        tmp_path,
    )
    assert modules == [
        "hf_icrl.models.configuration_algorithm_distillation",
        "hf_icrl.models.modeling_algorithm_distillation",
    ]


def test_a_bare_decoder_loads_as_the_trunk(make_model, tmp_path):
    decoder = GPT2Model(GPT2Config(vocab_size=7, n_embd=32, n_layer=2, n_head=2, n_positions=64))
    decoder.save_pretrained(tmp_path)
    config = make_model({**decoder.config.to_diff_dict()}).config
    model = AlgorithmDistillationModel.from_pretrained(tmp_path, config=config)
    ours = model.trunk.state_dict()
    for name, value in decoder.state_dict().items():
        if name != "wte.weight":
            assert torch.equal(ours[name], value), name
