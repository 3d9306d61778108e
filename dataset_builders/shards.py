"""The files of a collection, in the layout of `datasets.Dataset.save_to_disk`.

`collection.json` (what was asked for) is written first, then the shards, then `dataset_info.json` and
`history_info.json`, and last of all `state.json`: only with it does `datasets.load_from_disk` open the folder.
Each is written whole or not at all.
"""

from dataclasses import asdict
from itertools import chain
from pathlib import Path

import pyarrow as pa
from datasets import DatasetInfo

from hf_icrl.dataset_builders.source_curve import source_curve
from hf_icrl.files import atomic_file, is_temporary, read_json, write_json
from hf_icrl.histories.info import INFO_FILENAME, REQUEST_FILENAME, write_info
from hf_icrl.shapes import check_shape

STATE_FILENAME = "state.json"


def shard_name(shard, num_shards):
    return f"data-{shard:05d}-of-{num_shards:05d}.arrow"


def write_shard(plan, folder, shard):
    """Generate a shard and write it, a record batch at a time; atomic."""
    tables = plan.tables(shard, folder)
    first = next(tables)  # all is generated before the file is begun
    with (
        atomic_file(Path(folder) / shard_name(shard, plan.num_shards), "wb") as file,
        pa.ipc.new_stream(file, first.schema) as writer,
    ):
        for table in chain([first], tables):
            writer.write_table(table)


def missing_shards(plan, folder):
    """The shards that are not in `folder`, ascending."""
    return [s for s in range(plan.num_shards) if not (Path(folder) / shard_name(s, plan.num_shards)).is_file()]


def is_only_announced(folder):
    """Whether `folder` holds `collection.json` and nothing else: its collection stopped before its first shard."""
    return all(path.name == REQUEST_FILENAME or is_temporary(path.name) for path in Path(folder).iterdir())


def write_request(plan, folder):
    """Write `collection.json`, with which a later run of `collect` compares its own arguments."""
    write_json(Path(folder) / REQUEST_FILENAME, {"code": plan.code, "arguments": plan.request})


def is_complete(plan, folder):
    """Whether nothing is left to do in `folder`."""
    whole = all((Path(folder) / name).is_file() for name in (STATE_FILENAME, INFO_FILENAME))
    return whole and not missing_shards(plan, folder)


def complete(plan, folder, command):
    """Write what makes a folder of all shards a dataset."""
    folder = Path(folder)
    names = [shard_name(s, plan.num_shards) for s in range(plan.num_shards)]
    num_transitions = sum(_transitions(folder / name) for name in names)
    num_bytes = sum((folder / name).stat().st_size for name in names)
    curve = source_curve(plan, [folder / name for name in names])
    write_info(folder, {**plan.info(num_transitions, num_bytes, command), "curve": curve})
    write_description(folder, names, plan.source.describe(), plan.features, plan.digest, plan.split)


def write_description(folder, names, description, features, digest, split):
    """Write `dataset_info.json` and, last of all, `state.json`: what makes the data files `names` a dataset."""
    dataset_info = asdict(DatasetInfo(description=description, features=features))
    # Only the first level is sorted, as `datasets` does it: the order of the columns means something.
    write_json(folder / "dataset_info.json", {key: dataset_info[key] for key in sorted(dataset_info)})
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": digest,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    write_json(folder / STATE_FILENAME, state)


def remove_temporary_files(folder):
    """Remove what a killed process had begun to write. The caller holds the folder's lock."""
    for path in Path(folder).glob(".*.tmp"):
        path.unlink(missing_ok=True)


def read_request(folder):
    """The content of `collection.json`, or `None` if the folder is new (absent or empty).

    Raises:
        ValueError: the folder holds something else, which must not be touched.
    """
    folder = Path(folder)
    path = folder / REQUEST_FILENAME
    if path.is_file():
        try:
            request = read_json(path, dict)
            check_shape(request, {"code": object, "arguments": dict}, str(path))
            return {name: request[name] for name in ("code", "arguments")}
        except ValueError as error:
            raise ValueError(
                f"{path} cannot be read ({error}); delete {folder} or choose another output_dir"
            ) from error
    if folder.exists() and (not folder.is_dir() or not all(is_temporary(path.name) for path in folder.iterdir())):
        raise ValueError(
            f"{folder} exists and holds no collection (there is no {REQUEST_FILENAME} in it); nothing was changed: "
            "choose another output_dir"
        )
    return None


def _transitions(path):
    with pa.memory_map(str(path)) as source:
        return sum(len(batch["rewards"].flatten()) for batch in pa.ipc.open_stream(source))
