"""Open learning histories: a folder that was collected, or a repository of the Hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_icrl.files import read_json
from hf_icrl.histories.info import INFO_FILENAME, read_info
from hf_icrl.histories.info_checks import check_complete
from hf_icrl.patience import patiently
from hf_icrl.shapes import check_shape
from hf_icrl.untrusted import inside


@dataclass(frozen=True)
class HistoryPart:
    """One part of a mixture: its name, its share before normalisation, its rows and what `history_info.json` says."""

    name: str
    weight: float
    dataset: Any
    info: dict


def load_histories(place, config_name=None, *, revision=None, token=None):
    """Open learning histories that are no mixture.

    Args:
        place (`str` or `Path`): a folder that `collect` or an importer wrote, a folder with what such a repository of the
            Hub holds, or the id of one. From the Hub, parquet files are downloaded once and turned into Arrow files in
            the cache of `datasets`; the rows are memory-mapped in any case.
        config_name (`str`, *optional*): which of several histories in one repository.
        revision (`str`, *optional*): a branch, tag or commit of the repository.
        token (`str`, *optional*): default the one of `hf auth login` or of the environment.

    Returns:
        `(dataset, info)`: the `datasets.Dataset`, and the content of `history_info.json`.

    Raises:
        FileNotFoundError, ValueError: see `read_info`; there is no such repository or configuration; a mixture. The rows
            themselves are checked by whoever reads them.
    """
    parts, info = load_parts(place, config_name, revision=revision, token=token)
    if "mixture" in info:
        names = ", ".join(part.name for part in parts)
        raise ValueError(f"{place} is a mixture of histories ({names}): open it with load_parts")
    return parts[0].dataset, info


def load_parts(place, config_name=None, *, revision=None, token=None):
    """Open learning histories that may be a mixture.

    Args, Raises: see `load_histories`; a mixture is opened as a whole.

    Returns:
        `(parts, info)`: a list of [`HistoryPart`] (a single one, without a name, for plain histories), and the content
        of the `history_info.json` of the whole.
    """
    from datasets import load_dataset

    folder, commit = Path(place), None
    if not folder.is_dir():
        folder, commit = _fetch_info(str(place), config_name, revision, token)
    elif config_name is not None:
        folder = folder / config_name
    info = read_info(folder)
    check_complete(info, f"{folder}/{INFO_FILENAME}")

    def part(name, weight):
        if commit is None:
            own = read_info(folder / name)
            check_complete(own, f"{folder / name}/{INFO_FILENAME}")
            if "mixture" in own:
                raise ValueError(
                    f"{folder / name}, a part of a mixture, is a mixture itself; collect its parts one by one"
                )
            return HistoryPart(name, weight, _open_rows(folder / name), own)
        own = next((own for own in info.get("mixture", ()) if own["name"] == name), info)
        own = {key: value for key, value in own.items() if key not in ("name", "weight")}
        dataset = load_dataset(str(place), name or config_name, split="train", revision=commit, token=token)
        return HistoryPart(name, weight, dataset, own)

    if "mixture" not in info:
        return [part("", 1.0)], info
    return [part(own["name"], own["weight"]) for own in info["mixture"]], info


def _open_rows(folder):
    """The rows of one kind of histories in a folder, a `datasets.Dataset` that is memory-mapped.

    Raises:
        ValueError: what says which files they are is damaged, or names a file outside of the folder.
        FileNotFoundError: a file is missing.
    """
    from datasets import load_dataset, load_from_disk

    files = [str(path) for place in (folder, folder / "data") for path in sorted(place.glob("*.parquet"))]
    if files and not (folder / "state.json").is_file():
        return _read(lambda: load_dataset("parquet", data_files={"train": files}, split="train"), folder)
    for name in ("state.json", "dataset_info.json"):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist, so {folder} is no whole data set; restore or collect it again"
            )
    path = folder / "state.json"
    state = read_json(path, dict)
    check_shape(state, {"_data_files": [{"filename": str}]}, str(path))
    for entry in state["_data_files"]:
        if not inside(folder, entry["filename"], str(path)).is_file():
            raise FileNotFoundError(f"{folder / entry['filename']}, which {path} names, does not exist")
    read_json(folder / "dataset_info.json", dict)
    return _read(lambda: load_from_disk(str(folder), keep_in_memory=False), folder)


def _read(load, folder):
    try:
        return load()
    except Exception as error:  # whatever pyarrow and datasets raise on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"the rows in {folder} cannot be read ({type(error).__name__}: {error})") from error


def _fetch_info(repo_id, config_name, revision, token):
    """`(folder, commit)`: where the `history_info.json` of a repository lies in the cache, and the commit it is of."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    api = HfApi(token=token, library_name="hf-icrl")
    name = INFO_FILENAME if config_name is None else f"{config_name}/{INFO_FILENAME}"
    try:
        path = patiently(lambda: api.hf_hub_download(repo_id, name, repo_type="dataset", revision=revision))
    except EntryNotFoundError as error:
        raise ValueError(
            f"there is no {name} in {repo_id}, so these are no learning histories of hf_icrl"
            + (
                " without a name: say which with config_name, "
                if config_name is None
                else f" called {config_name!r}: "
            )
            + f"look at https://huggingface.co/datasets/{repo_id}"
        ) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise ValueError(
            f"{repo_id} is neither a folder here nor learning histories that can be fetched from the Hub ({error})"
        ) from error
    # ".../snapshots/<commit>/<name>": rows and record are of one commit, whatever is pushed meanwhile.
    folder = Path(path).parent
    return folder, (folder if config_name is None else folder.parent).name
