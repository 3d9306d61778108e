"""Keep the progress bars of the Hugging Face libraries ("Writing model shards") as quiet as one asks."""

from contextlib import ExitStack, contextmanager

from transformers.utils import logging


@contextmanager
def progress_bars(shown):
    """Within, transformers shows progress bars only if `shown` and if they were not off already."""
    with _bars(shown, logging.is_progress_bar_enabled, logging.disable_progress_bar, logging.enable_progress_bar):
        yield


@contextmanager
def transfer_bars(shown):
    """The same for what goes to the Hub and comes from it: bars of huggingface_hub and datasets."""
    from datasets import utils as of_datasets
    from huggingface_hub import utils as of_hub

    with ExitStack() as stack:
        for module in (of_datasets, of_hub):
            enabled, disable, enable = _switches(module)
            stack.enter_context(_bars(shown, enabled, disable, enable))
        yield


def _switches(module):
    return (
        lambda: not module.are_progress_bars_disabled(),
        module.disable_progress_bars,
        module.enable_progress_bars,
    )


@contextmanager
def _bars(shown, enabled, disable, enable):
    if shown or not enabled():
        yield
        return
    disable()
    try:
        yield
    finally:
        enable()
