"""Keep transformers' own progress bars ("Writing model shards") as quiet as the training arguments ask."""

from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def progress_bars(shown):
    """Within, transformers shows progress bars only if `shown` and if they were not off already."""
    if shown or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
