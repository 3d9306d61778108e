"""Source algorithms: what generates a learning history. All are batched over tasks.

A new source is a subclass of `hf_icrl.sources.base.Source` and one line in `_SOURCES`.
"""

from dataclasses import fields
from importlib import import_module

from hf_icrl.naming import check_names, nearest

# Source name -> where its class is. Classes are loaded on first use.
_SOURCES = {
    "a2c": "hf_icrl.sources.a2c:A2C",
    "epsilon_greedy": "hf_icrl.sources.epsilon_greedy:EpsilonGreedy",
    "lin_ucb": "hf_icrl.sources.lin_ucb:LinUCB",
    "noise_curriculum": "hf_icrl.sources.noise_curriculum:NoiseCurriculum",
    "oracle": "hf_icrl.sources.oracle:Oracle",
    "q_learning": "hf_icrl.sources.q_learning:QLearning",
    "stable_baselines3": "hf_icrl.sources.stable_baselines3:StableBaselines3",
    "thompson": "hf_icrl.sources.thompson:ThompsonSampling",
    "ucb1": "hf_icrl.sources.ucb1:UCB1",
    "uniform": "hf_icrl.sources.uniform:UniformRandom",
}

__all__ = ["HistoryBatch", "Source", "make_source"]


def make_source(name, /, **params):
    """The source called `name` with `params`; what is left out has its default.

    Args:
        name (`str`): `"a2c"`, `"epsilon_greedy"`, `"lin_ucb"`, `"noise_curriculum"`, `"oracle"`, `"q_learning"`,
            `"stable_baselines3"`, `"thompson"`, `"ucb1"` or `"uniform"`.
        params: the fields of its class, such as `hf_icrl.sources.q_learning.QLearning`.

    Returns:
        `hf_icrl.sources.base.Source`.

    Raises:
        ValueError: an unknown name or parameter (the nearest valid one is named), or a bad value.
    """
    if name not in _SOURCES:
        raise ValueError(f"unknown source {name!r}: {nearest(name, _SOURCES)}")
    module, _, attribute = _SOURCES[name].partition(":")
    source_class = getattr(import_module(module), attribute)
    check_names(params, [field.name for field in fields(source_class)], f"{name} parameter")
    return source_class(**params)


def __getattr__(name):
    if name == "Source":
        return import_module("hf_icrl.sources.base").Source
    if name == "HistoryBatch":
        return import_module("hf_icrl.sources.steps").HistoryBatch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
