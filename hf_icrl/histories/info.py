"""`history_info.json`: what stands beside the histories, so that from a dataset alone its tasks can be rebuilt."""

from pathlib import Path

from hf_icrl.files import read_json, write_json
from hf_icrl.histories.info_checks import check_entries
from hf_icrl.histories.spaces import check_spec
from hf_icrl.redaction import without_tokens

INFO_FILENAME = "history_info.json"
# The picture of how good the source became.
CURVE_FILENAME = "learning_curve.png"
# What a collection that is under way was asked for (see `hf_icrl.dataset_builders.shards`).
REQUEST_FILENAME = "collection.json"
FORMAT_VERSION = 2


def write_info(folder, info):
    """Write `info` as `history_info.json` into `folder`, atomically. Infinite bounds of a Box are written as text."""
    info = {**info, "command": without_tokens(info["command"])} if info.get("command") else info
    write_json(Path(folder) / INFO_FILENAME, {"format_version": FORMAT_VERSION, **_spaces(info, _to_json)})


def read_info(folder):
    """The content of `history_info.json` in `folder`, as it was given to `write_info`.

    Raises:
        FileNotFoundError: there is none; the message says what the folder seems to be.
        ValueError: it is no JSON, of a newer format than this version reads, or an entry is of the wrong kind.
    """
    path = Path(folder) / INFO_FILENAME
    if not path.is_file():
        hint = (
            "its collection was interrupted: run the same `hf-icrl collect` again"
            if (Path(folder) / REQUEST_FILENAME).is_file()
            else "point to a folder made by `hf-icrl collect`"
        )
        raise FileNotFoundError(f"{path} does not exist, so this folder holds no finished learning histories; {hint}")
    info = read_json(path)
    version = info.pop("format_version", None) if isinstance(info, dict) else None
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has the format version {version!r}, this version of hf_icrl reads {FORMAT_VERSION}: "
            "update hf_icrl, or collect the histories again"
        )
    check_entries(info, str(path))
    try:
        info = _spaces(info, _from_json)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} has a space whose bounds are no list of numbers ({error})") from error
    for part in info.get("mixture", [info]):
        for name in ("observation_space", "action_space"):
            if name in part:
                check_spec(part[name])
    return info


def _spaces(info, convert):
    if "mixture" in info:
        info = info | {"mixture": [_spaces(part, convert) for part in info["mixture"]]}
    specs = {name: info[name] for name in ("observation_space", "action_space") if name in info}
    bounds = ("low", "high")
    return info | {
        name: {key: [convert(x) for x in value] if key in bounds else value for key, value in spec.items()}
        for name, spec in specs.items()
    }


def _to_json(bound):
    return str(bound) if bound in (float("inf"), float("-inf")) else bound


def _from_json(bound):
    return float(bound)
