"""What lies beside a model's weights, in a local folder or on the Hub: its recipe, the record of its data, its size.

Cheap to import.
"""

from contextlib import contextmanager
from math import prod
from pathlib import Path

from hf_icrl.files import read_json
from hf_icrl.untrusted import MAX_YAML_BYTES, read_text

RECIPE_FILE = "recipe.yaml"


def recipe_of(model):
    """The recipe that made a model.

    Args:
        model (`str` or `Path`): a folder, or the id of a model on the Hub.

    Returns:
        `(text, origin)`: the content of its recipe.yaml, or None if it has none, and where that was looked for.

    Raises:
        ValueError: `model` is neither a folder here nor a repository that can be fetched, or the file is no text.
    """
    path = file_beside(model, RECIPE_FILE)
    if path is None:
        return None, f"{model}/{RECIPE_FILE}"
    return read_text(path, MAX_YAML_BYTES), str(path)


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
    """How many numbers the safetensors files in `folder` hold, adapters left out; None if there are no weights.

    Raises:
        ValueError: a file is torn or no safetensors.
    """
    from safetensors import SafetensorError, safe_open

    total = 0
    for path in sorted(Path(folder).glob("*.safetensors")):
        if path.name != "adapter_model.safetensors":
            try:
                with safe_open(path, framework="np") as file:
                    total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
            except SafetensorError as error:
                raise ValueError(f"the weights in {path} are torn or no safetensors ({error})") from error
    return total or None


def load_config(model):
    """The config of a model, from its files alone: no code that lies beside them is executed.

    Args:
        model (`str` or `Path`): a folder, or the id of a model on the Hub.

    Raises:
        ValueError: config.json is damaged, or asks for what cannot be built.
        OSError: there is none.
    """
    from transformers import AutoConfig

    _check_config_file(model)
    with _own_errors(model, "config.json"):
        return AutoConfig.from_pretrained(str(model), trust_remote_code=False)


def load_model(model):
    """A model from its config and its safetensors files: no code that lies beside them is executed, nothing unpickled.

    Args, Raises: see `load_config`.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel

    _check_config_file(model)
    try:
        with _own_errors(model, "weights"):
            return AutoModel.from_pretrained(str(model), trust_remote_code=False, use_safetensors=True)
    except SafetensorError as error:
        raise ValueError(
            f"the weights in {model} are torn or no safetensors ({error}); fetch or train the model again"
        ) from error


def _check_config_file(model):
    """transformers says nothing useful about a config that is no mapping, or nested too deeply."""
    path = Path(model) / "config.json"
    if path.is_file():
        read_json(path, dict, finite=False)


@contextmanager
def _own_errors(model, what):
    """Whatever transformers and the class of a foreign trunk raise on values that nobody checked is one `ValueError`."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError):
        raise
    except Exception as error:
        raise ValueError(f"the {what} of {model} cannot be used ({type(error).__name__}: {error})") from error


def _not_found(model, error):
    return ValueError(f"{model} is neither a folder here nor a model that can be fetched from the Hub ({error})")
