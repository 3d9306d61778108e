"""The learning-history record: its schema, its validation, and windows of it to train on.

One dataset row is one episode; rows are ordered by `(history_id, episode)`, so a history (one run of one source
algorithm on one task) is a contiguous run of rows. Names are resolved on first use, because the processes that write
histories need neither torch nor `datasets.Dataset`.
"""

from hf_icrl.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "HistoryIndex": "validation",
        "HistoryPart": "loading",
        "HistoryWindows": "windows",
        "MixtureWindows": "mixture",
        "describe_histories": "describing",
        "episodes_table": "episodes",
        "history_features": "schema",
        "joint_space": "spaces",
        "load_histories": "loading",
        "load_parts": "loading",
        "read_info": "info",
        "space_to_spec": "spaces",
        "spec_text": "spaces",
        "spec_to_space": "spaces",
        "validate_histories": "validation",
        "write_info": "info",
    },
)
