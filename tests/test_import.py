"""Importing is cheap, and any import order registers the Auto classes and the environments."""

import itertools
import subprocess
import sys

import pytest

USE = """
spaces = {"observation_space": {"type": "Discrete", "n": 81}, "action_space": {"type": "Discrete", "n": 5}}
config = AutoConfig.for_model("hf_icrl_algorithm_distillation", **spaces)
assert type(config).__module__ == "hf_icrl.models.configuration_algorithm_distillation", type(config)
env = gymnasium.make("hf_icrl/DarkRoom-v0", goal=(2, 7))
assert env.reset(seed=0)[0] == 40
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_loads_neither_torch_nor_transformers_nor_gymnasium():
    code = "import hf_icrl, sys; print([m for m in ('torch', 'transformers', 'gymnasium', 'datasets') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


@pytest.mark.parametrize(
    "order",
    list(itertools.permutations(["import hf_icrl", "from transformers import AutoConfig", "import gymnasium"])),
)
def test_any_import_order_registers(order):
    result = run("\n".join(order) + USE)
    assert result.returncode == 0, result.stderr


def test_looking_for_a_module_without_importing_it_does_not_lose_the_registration():
    code = """
import importlib.util, hf_icrl
for name in ("transformers.models.auto.configuration_auto", "gymnasium.envs"):
    assert importlib.util.find_spec(name) is not None
import gymnasium
from transformers import AutoConfig
"""
    result = run(code + USE)
    assert result.returncode == 0, result.stderr


def test_every_exported_name_resolves():
    import hf_icrl

    assert all(getattr(hf_icrl, name) is not None for name in hf_icrl.__all__)
    assert set(hf_icrl.__all__) <= set(dir(hf_icrl))
    with pytest.raises(AttributeError, match="no_such_name"):
        hf_icrl.no_such_name  # noqa: B018
