"""The checks that all models share, for each model. A new one needs its entry in tiny_configs.py and a class here."""

from model_checks import ModelChecks
from tiny_configs import TINY, registered_types


class TestAlgorithmDistillation(ModelChecks):
    model_type = "hf_icrl_algorithm_distillation"


class TestHeadlessAD(ModelChecks):
    model_type = "hf_icrl_headless_ad"
    # The vectors of actions are drawn by NumPy, and how long prompts are depends on the data.
    compiles_whole = False


def test_every_registered_model_is_checked():
    checked = {cls.model_type for cls in ModelChecks.__subclasses__()}
    assert sorted(checked) == sorted(TINY) == registered_types()
