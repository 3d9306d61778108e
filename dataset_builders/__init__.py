"""Where datasets come from: `collect` for learning histories on disk, `LearningHistories` for the `datasets` cache."""

from importlib import import_module

_EXPORTS = {
    "Collection": "collection",
    "LearningHistories": "learning_histories",
    "LearningHistoriesConfig": "learning_histories",
    "collect": "collecting",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name):
    if name in _EXPORTS:
        value = getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_EXPORTS})
