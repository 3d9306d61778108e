"""What lies beside a model's weights, in a local folder or on the Hub: its recipe, the record of its data, its size.

Cheap to import.
"""

from math import prod
from pathlib import Path

RECIPE_FILE = "recipe.yaml"


def recipe_of(model):
    """The recipe that made a model.

    Args:
        model (`str` or `Path`): a folder, or the id of a model on the Hub.

    Returns:
        `(text, origin)`: the content of its recipe.yaml, or None if it has none, and where that was looked for.

    Raises:
        ValueError: `model` is neither a folder here nor a repository that can be fetched.
    """
    path = file_beside(model, RECIPE_FILE)
    if path is None:
        return None, f"{model}/{RECIPE_FILE}"
    return path.read_text(encoding="utf-8"), str(path)


def record_of(model):
    """What a model was trained on: the content of the `history_info.json` beside its weights, or None.

    Args, Raises: see `recipe_of`; also `ValueError` for a record that cannot be read.
    """
    from hf_icrl.histories.info import INFO_FILENAME, read_info

    path = file_beside(model, INFO_FILENAME)
    return None if path is None else read_info(path.parent)


def file_beside(model, name):
    """`Path` of the file called `name` beside a model's weights, downloaded if need be; None if there is none.

    Args, Raises: see `recipe_of`. From the Hub it is the file of the revision whose config is in the cache, so that it
    belongs to the weights that were loaded.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None

    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RemoteEntryNotFoundError,
    )

    revision = cached_revision(model)
    try:
        if revision is not None:
            found = try_to_load_from_cache(str(model), name, revision=revision)
            if isinstance(found, str):
                return Path(found)
        return Path(hf_hub_download(str(model), name, revision=revision))
    except RemoteEntryNotFoundError:
        return None
    except LocalEntryNotFoundError as error:
        if revision is not None:  # the model was loaded without the Hub; so is all that belongs to it
            return None
        raise _not_found(model, error) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise _not_found(model, error) from error


def cached_revision(model):
    """The commit of the model called `model` in the cache of the Hub, or None if it was never loaded from there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(str(model), "config.json")
    except HFValidationError:
        return None
    return Path(config).parent.name if isinstance(config, str) else None


def count_parameters(folder):
    """How many numbers the safetensors files in `folder` hold, adapters left out; None if there are no weights."""
    from safetensors import safe_open

    total = 0
    for path in sorted(Path(folder).glob("*.safetensors")):
        if path.name != "adapter_model.safetensors":
            with safe_open(path, framework="np") as file:
                total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total or None


def _not_found(model, error):
    return ValueError(f"{model} is neither a folder here nor a model that can be fetched from the Hub ({error})")
