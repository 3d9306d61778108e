"""Parquet files under our names: which of their columns are what, read piece by piece as NumPy arrays."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hf_icrl.naming import check_names, nearest

# What a file may hold, by our names.
NAMES = (
    "history_id",
    "episode",
    "task",
    "env_id",
    "observations",
    "actions",
    "rewards",
    "terminated",
    "truncated",
    "next_observations",
    "final_observation",
    "available_actions",
)
_NEEDED = ("observations", "actions", "rewards")
_ROWS_AT_ONCE = {"steps": 2**14, "episodes": 64}


class ParquetColumns:
    """Parquet files of one schema, and which of their columns stand for what.

    Args:
        source (`str`, `Path` or list of them): files, or folders whose `*.parquet` files are taken by name.
        columns (`dict`): our name -> column of the files, or a list of columns that are put side by side ("task": whose
            entries they are). A name that is left out is taken for the column of the same name, if there is one.

    Attributes:
        paths (list of `Path`): the files, in order.
        names (`dict[str, list[str]]`): our name -> columns.
        layout (`str`): "episodes" where `rewards` is a list (one row an episode), else "steps" (one row a transition).

    Raises:
        FileNotFoundError: there is no such file, or none in a folder.
        ValueError: a file that is no parquet, an unknown name (the nearest is named), a column that is missing or of a
            type that cannot be read, or files that differ in it.
    """

    def __init__(self, source, columns):
        self.paths = _files(source)
        schema = _schema(self.paths[0])
        check_names(columns, NAMES, "name in columns")
        self.names = {}
        for name in NAMES:
            given = columns.get(name, name if name in schema.names else None)
            if given is None:
                continue
            self.names[name] = [given] if isinstance(given, str) else list(given)
            for column in self.names[name]:
                if column not in schema.names:
                    raise ValueError(
                        f"{self.paths[0]} has no column {column!r} for {name}: {nearest(column, schema.names)}"
                    )
        for name in _NEEDED:
            if name not in self.names:
                raise ValueError(
                    f"nothing says which column of {self.paths[0]} holds the {name}: name it as in "
                    f"columns={{{name!r}: 'my_column'}}; the file has {', '.join(schema.names)}"
                )
        self.layout = "episodes" if is_list(schema.field(self.names["rewards"][0]).type) else "steps"
        self._used = list(dict.fromkeys(column for group in self.names.values() for column in group))
        self._types = {column: schema.field(column).type for column in self._used}
        for path in self.paths[1:]:
            other = _schema(path)
            for column, kind in self._types.items():
                found = other.field(column).type if column in other.names else None
                if found != kind:
                    raise ValueError(
                        f"the column {column!r} is {found or 'missing'} in {path}, but {kind} in {self.paths[0]}; all "
                        "files must have one schema"
                    )

    def type_of(self, name):
        """The Arrow type of the (first) column that stands for `name`."""
        return self._types[self.names[name][0]]

    def batches(self, only=None):
        """Yield `(path, number of its first row, pa.RecordBatch)` over all files, in order; `only` some of our names."""
        wanted = self._used if only is None else [c for name in only for c in self.names.get(name, ())]
        for path in self.paths:
            row = 0
            # Buffering ahead, which is pyarrow's default, would keep all that was read until the file is closed.
            with _explained(path), pq.ParquetFile(path, pre_buffer=False) as file:
                for batch in file.iter_batches(_ROWS_AT_ONCE[self.layout], columns=list(dict.fromkeys(wanted))):
                    if batch.num_rows:
                        yield path, row, batch
                    row += batch.num_rows

    def elements(self, batch, name):
        """The values of `name`, one of each step: an array `(steps, ...)`; several columns are put side by side."""
        arrays = []
        for column in self.names[name]:
            array = batch.column(batch.schema.get_field_index(column))
            check_no_nulls(array, column)
            arrays.append(numbers(array.flatten() if self.layout == "episodes" else array, column))
        return _side_by_side(arrays, self.names[name])

    def final(self, batch):
        """The column `final_observation`, one value a row: `(rows, ...)`."""
        columns = self.names["final_observation"]
        arrays = [numbers(batch.column(batch.schema.get_field_index(column)), column) for column in columns]
        return _side_by_side(arrays, columns)

    def action_sets(self, batch):
        """The values of `available_actions`, a list a row: bool `(rows, actions)`, or `None` where there is none."""
        if "available_actions" not in self.names:
            return None
        columns = self.names["available_actions"]
        arrays = [numbers(batch.column(batch.schema.get_field_index(column)), column) for column in columns]
        sets = _side_by_side(arrays, columns)
        if sets.ndim != 2 or not np.isin(sets, (0, 1)).all():
            raise ValueError(
                f"the column {columns[0]!r} for available_actions must have a list of true or false in each row, one entry "
                "for each action"
            )
        return sets.astype(bool)

    def num_actions(self):
        """The length of the lists of `available_actions`, or `None` where there is no such column."""
        for _, _, batch in self.batches(only=["available_actions"]) if "available_actions" in self.names else ():
            return self.action_sets(batch).shape[1]
        return None

    def lengths(self, batch, name):
        """How many steps each row has of `name`, in the layout "episodes": int64 `(rows,)`."""
        found = None
        for column in self.names[name]:
            array = batch.column(batch.schema.get_field_index(column))
            if not is_list(array.type):
                raise ValueError(
                    f"the column {column!r} is {array.type}, but a row is an episode, so it must be a list"
                )
            check_no_nulls(array, column)
            own = list_lengths(array)
            if found is not None and (own != found).any():
                raise ValueError(f"the columns {self.names[name]} for {name} have lists of different lengths")
            found = own
        return found

    def plain(self, batch, name):
        """The values of `name`, one a row, as they are: an array `(rows,)`, or `None` where there is no such column."""
        if name not in self.names:
            return None
        if len(self.names[name]) > 1:
            raise ValueError(f"{name} is mapped to {self.names[name]}; it must be one column")
        array = batch.column(batch.schema.get_field_index(self.names[name][0]))
        check_no_nulls(array, self.names[name][0])
        if pa.types.is_nested(array.type):
            raise ValueError(
                f"the column {self.names[name][0]!r} for {name} is {array.type}; it must hold plain values"
            )
        return array.to_numpy(zero_copy_only=False)

    def task(self, batch, row):
        """The task in one row of a batch, a dict, or `None` where no column says it."""
        if "task" not in self.names:
            return None
        columns = self.names["task"]
        values = {column: batch.column(batch.schema.get_field_index(column))[row].as_py() for column in columns}
        if len(columns) == 1 and isinstance(values[columns[0]], dict):
            return values[columns[0]]
        return values


def is_list(kind):
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def list_lengths(array):
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size, np.int64)
    return np.diff(array.offsets.to_numpy()).astype(np.int64)


def check_no_nulls(array, column):
    if array.null_count:
        raise ValueError(f"the column {column!r} has null values: fill them in, or leave these rows out")


def numbers(array, column):
    """An Arrow array of numbers, or of lists of one length of them (nested to any depth), as `(n, ...)`.

    Raises:
        ValueError: null values, lists of different lengths, or something that is no number.
    """
    check_no_nulls(array, column)
    if is_list(array.type):
        lengths = list_lengths(array)
        width = int(lengths[0]) if len(lengths) else 0
        if (lengths != width).any() or (len(lengths) and not width):
            raise ValueError(
                f"the column {column!r} has values of {lengths.min()} to {lengths.max()} numbers; each must have the same, "
                "at least one"
            )
        inner = numbers(array.flatten(), column)
        return inner.reshape(len(array), width, *inner.shape[1:])
    kind = array.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"the column {column!r} holds {kind}; observations, actions and rewards are numbers")
    found = array.to_numpy(zero_copy_only=False)
    return found.astype(np.int64) if found.dtype == bool else found


def _side_by_side(arrays, columns):
    if len(arrays) == 1:
        return arrays[0]
    for array, column in zip(arrays, columns, strict=True):
        if array.ndim != 1:
            raise ValueError(
                f"the column {column!r} holds lists; only columns of plain numbers can be put side by side"
            )
    return np.stack(arrays, axis=1)


def _files(source):
    paths = []
    for one in [source] if isinstance(source, (str, Path)) else source:
        one = Path(one)
        found = sorted(one.rglob("*.parquet")) if one.is_dir() else [one] if one.is_file() else []
        if not found:
            raise FileNotFoundError(f"{one} is no parquet file and no folder that holds one")
        paths += found
    if not paths:
        raise FileNotFoundError("source is an empty list; name at least one parquet file")
    return paths


def _schema(path):
    with _explained(path):
        schema = pq.read_schema(path)
        schema.names  # noqa: B018  (decoded here, from what may be no UTF-8)
        return schema


@contextmanager
def _explained(path):
    """What pyarrow raises on a damaged file, an OSError without a number among it, as a `ValueError` that names the file."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} cannot be read as a parquet file: {' '.join(str(error).split())}") from error
