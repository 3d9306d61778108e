"""Where datasets come from: `collect` for learning histories on disk, `LearningHistories` for the `datasets` cache."""

from hf_icrl.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Collection": "collection",
        "LearningHistories": "learning_histories",
        "LearningHistoriesConfig": "learning_histories",
        "collect": "collecting",
        "collect_mixture": "mixing",
        "import_minari": "minari_import",
        "import_parquet": "parquet_import",
    },
)
