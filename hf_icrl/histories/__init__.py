"""The learning-history record: its schema, its validation, and windows of it to train on.

One dataset row is one episode; rows are ordered by `(history_id, episode)`, so a history (one run of one source
algorithm on one task) is a contiguous run of rows. Names are resolved on first use, because the processes that write
histories need neither torch nor `datasets.Dataset`.
"""

from importlib import import_module

_EXPORTS = {
    "HistoryIndex": "validation",
    "HistoryWindows": "windows",
    "episodes_table": "episodes",
    "history_features": "schema",
    "load_histories": "info",
    "read_info": "info",
    "space_to_spec": "spaces",
    "spec_to_space": "spaces",
    "validate_histories": "validation",
    "write_info": "info",
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
