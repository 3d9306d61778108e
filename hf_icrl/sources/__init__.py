"""Source algorithms: what generates a learning history. All are batched over tasks.

A new source is a subclass of `hf_icrl.sources.base.Source` and one line in `_SOURCES`.
"""

from dataclasses import fields
from importlib import import_module

from hf_icrl.naming import check_names, nearest

# Source name -> where its class is. Classes are loaded on first use.
_SOURCES = {
    "noise_curriculum": "hf_icrl.sources.noise_curriculum:NoiseCurriculum",
    "q_learning": "hf_icrl.sources.q_learning:QLearning",
}

__all__ = ["HistoryBatch", "Source", "make_source"]


def make_source(name, /, **params):
    """The source called `name` with `params`; what is left out has its default.

    Args:
        name (`str`): `"noise_curriculum"` or `"q_learning"`.
        params: the fields of `hf_icrl.sources.noise_curriculum.NoiseCurriculum` or
            `hf_icrl.sources.q_learning.QLearning`.

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
    if name in ("HistoryBatch", "Source"):
        return getattr(import_module("hf_icrl.sources.base"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
