"""Say clearly what is wrong with a dataset that is to be read as learning histories."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Dataset, IterableDataset

from hf_icrl.histories.action_sets import check_set_type, check_sets
from hf_icrl.histories.schema import ACTION_SETS, COLUMNS, STEP_COLUMNS

# Column -> the types it may have on disk.
_FIXED_TYPES = {
    "history_id": pa.int64(),
    "episode": pa.int32(),
    "env_id": pa.string(),
    "source": pa.string(),
    "split": pa.string(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
}
_HOW_TO = (
    "make learning histories with `hf_icrl.collect`, or rename and cast the columns to "
    "`hf_icrl.histories.history_features(...)`"
)


@dataclass(frozen=True)
class HistoryIndex:
    """Where each history begins. H histories, rows and steps counted over the whole dataset.

    Attributes:
        rows (`np.ndarray` of int64, shape (H + 1,)): first row of each history, then the number of rows.
        steps (`np.ndarray` of int64, shape (H + 1,)): first step of each history, then the number of steps.
    """

    rows: np.ndarray
    steps: np.ndarray

    def __repr__(self):
        return f"HistoryIndex({len(self.lengths)} histories, {self.rows[-1]} episodes, {self.steps[-1]} steps)"

    @property
    def lengths(self):
        """Steps of each history, shape (H,)."""
        return np.diff(self.steps)


def validate_histories(dataset):
    """Check that `dataset` is a table of learning histories: columns, types, order, lengths.

    Reads the small columns once, chunk by chunk; of the steps only the actions, and these only where the optional
    column `available_actions` says which there are.

    Args:
        dataset (`datasets.Dataset`): rows ordered by `(history_id, episode)`, episodes numbered from 0 without gaps.
            Columns beyond the schema are allowed. Of `available_actions`, all rows have one entry for each action, those
            of a history are equal, and every action taken is one of them.

    Returns:
        [`HistoryIndex`]: computed on the way.

    Raises:
        TypeError: not a `datasets.Dataset`.
        ValueError: the first thing that is wrong: the column, both types or both values, the row, and what to do.
    """
    check_schema(dataset)
    rows, steps = [], []
    row, step, previous = 0, 0, None  # previous: (history_id, episode, finished) of the row before
    has_sets, action_set = ACTION_SETS in dataset.data.schema.names, None
    for batch in dataset.data.to_batches():
        if not batch.num_rows:
            continue
        _check_buffers(batch, row)
        _check_nulls(batch, row)
        lengths = _episode_lengths(batch, row)
        terminated, truncated = (batch[name].to_numpy(zero_copy_only=False) for name in ("terminated", "truncated"))
        now = (batch["history_id"].to_numpy(), batch["episode"].to_numpy(), terminated | truncated)
        previous = previous or (now[0][0] - 1, -1, True)
        before = tuple(np.concatenate(([last], column[:-1])) for last, column in zip(previous, now, strict=True))
        new = now[0] != before[0]
        _check_order(now, before, new, row)
        _check_finished(now, before, new, row)
        if has_sets:
            action_set = check_sets(batch, row, new, action_set)
        first_rows = np.flatnonzero(new)
        rows.append(row + first_rows)
        steps.append(step + (np.cumsum(lengths) - lengths)[first_rows])
        previous = tuple(column[-1] for column in now)
        row += len(lengths)
        step += int(lengths.sum())
    rows, steps = (np.concatenate([*parts, [total]]).astype(np.int64) for parts, total in ((rows, row), (steps, step)))
    return HistoryIndex(rows, steps)


def check_schema(dataset):
    """Check columns and types only; see `validate_histories`."""
    if not isinstance(dataset, Dataset):
        hint = f"choose one split, e.g. dataset[{next(iter(dataset))!r}]" if isinstance(dataset, dict) else _HOW_TO
        if isinstance(dataset, IterableDataset):
            hint = (
                "a stream has no rows to choose windows among. Open it with load_dataset(..., streaming=False), or take its "
                "first rows: Dataset.from_generator(lambda: iter(stream.take(1000)), features=stream.features)"
            )
        raise TypeError(f"learning histories must be a datasets.Dataset, not {type(dataset).__name__}: {hint}")
    if dataset._indices is not None:
        raise ValueError(
            "the dataset has an indices mapping (after shuffle, select, sort or filter), so its rows are not where "
            "their columns say: call dataset.flatten_indices() first, and keep the order (history_id, episode)"
        )
    schema = dataset.data.schema
    missing = [name for name in COLUMNS if name not in schema.names]
    if missing:
        raise ValueError(
            f"the dataset has no column {missing[0]!r}; learning histories have {', '.join(COLUMNS)}; this one has "
            f"{', '.join(schema.names) or 'none'}: {_HOW_TO}"
        )
    for name, expected in _FIXED_TYPES.items():
        _check_type(name, schema.field(name).type, expected, schema.field(name).type == expected)
    task = schema.field("task").type
    _check_type("task", task, "struct<...>", pa.types.is_struct(task))
    rewards = schema.field("rewards").type
    _check_type("rewards", rewards, "list<float32>", rewards == pa.list_(pa.float32()))
    for name in ("observations", "actions"):
        kind = schema.field(name).type
        wanted = "list<int64>, list<fixed_size_list<int64>[k]>, list<fixed_size_list<float32>[d]> (or uint8 images)"
        _check_type(name, kind, wanted, pa.types.is_list(kind) and is_element(kind.value_type))
    final, one = schema.field("final_observation").type, schema.field("observations").type.value_type
    _check_type("final_observation", final, one, final == one)
    if ACTION_SETS in schema.names:
        check_set_type(schema)
    if not len(dataset):
        raise ValueError(f"the dataset has no rows, so there is no history in it: {_HOW_TO}")


def is_element(kind):
    """Whether `kind` is the Arrow type of one observation or action."""
    if pa.types.is_fixed_size_list(kind):
        return kind.value_type in (pa.int64(), pa.float32(), pa.uint8()) and kind.list_size > 0
    return kind == pa.int64()


def _check_type(name, found, expected, ok):
    if not ok:
        raise ValueError(f"column {name!r} has the type {found}, learning histories have {expected}: {_HOW_TO}")


def _check_buffers(batch, row):
    """Offsets of a damaged file would lead out of its memory, which nobody who reads the steps checks again."""
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        raise ValueError(
            f"the file with the rows from {row} on is damaged ({error}); restore or collect it again"
        ) from error


def _check_nulls(batch, row):
    for name in (*COLUMNS, ACTION_SETS):
        if name not in batch.schema.names:
            continue
        column = batch[name]
        while not column.null_count and (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
            column = column.flatten()
        if column.null_count:
            raise ValueError(
                f"column {name!r} has null values in rows {row} to {row + batch.num_rows - 1}: fill them in"
            )


def _episode_lengths(batch, row):
    first = STEP_COLUMNS[0]
    lengths = {name: np.diff(batch[name].offsets.to_numpy()) for name in STEP_COLUMNS}
    for name, other in lengths.items():
        wrong = np.flatnonzero(other != lengths[first])
        if len(wrong):
            at = wrong[0]
            raise ValueError(
                f"row {row + at} has {lengths[first][at]} {first} but {other[at]} {name}; each step has one of each "
                "(the observation after the last action belongs into final_observation)"
            )
    empty = np.flatnonzero(lengths[first] == 0)
    if len(empty):
        raise ValueError(f"row {row + empty[0]} is an episode of 0 steps; an episode has at least one: drop such rows")
    return lengths[first].astype(np.int64)


def _check_order(now, before, new, row):
    (ids, episodes, _), (ids_before, episodes_before, _) = now, before
    right = np.where(new, (ids > ids_before) & (episodes == 0), episodes == episodes_before + 1)
    wrong = np.flatnonzero(~right)
    if len(wrong):
        at = wrong[0]
        after = f" after ({ids_before[at]}, {episodes_before[at]})" if row + at else ""
        raise ValueError(
            f"row {row + at} is (history_id, episode) = ({ids[at]}, {episodes[at]}){after}; rows must be ordered by "
            "(history_id, episode), each history's episodes numbered from 0 without gaps and history ids not used "
            "twice: sort with dataset.sort(['history_id', 'episode']).flatten_indices(), and renumber the histories of "
            "datasets that were put together"
        )


def _check_finished(now, before, new, row):
    wrong = np.flatnonzero(~before[2] & ~new)
    if len(wrong):
        at = wrong[0]
        raise ValueError(
            f"history {now[0][at]}, episode {before[1][at]} (row {row + at - 1}) neither terminated nor truncated, yet "
            f"episode {now[1][at]} follows; only a history's last episode may be unfinished: set `truncated` where an "
            "episode was cut"
        )
