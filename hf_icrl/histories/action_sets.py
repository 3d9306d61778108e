"""Which actions the task of a history has: the optional column `available_actions`, checked, and read for windows.

Each row holds one bool for each action of the data's own action space. The set is a task's, so all rows of a history
hold the same.
"""

import numpy as np
import pyarrow as pa

from hf_icrl.histories.columns import flat_values
from hf_icrl.histories.schema import ACTION_SETS
from hf_icrl.histories.unavailable import first_unavailable, set_text


def sets_of(column):
    """The rows of an Arrow column of one chunk, whose lists are of one length A, as bool `(rows, A)`."""
    offsets = column.offsets
    first, last = offsets[0].as_py(), offsets[-1].as_py()
    flat = column.values.slice(first, last - first).to_numpy(zero_copy_only=False)
    return flat.astype(bool, copy=False).reshape(len(column), (last - first) // len(column))


def check_set_type(schema):
    """Raise `ValueError` if the column of an Arrow schema is none of action sets."""
    kind, actions = schema.field(ACTION_SETS).type, schema.field("actions").type
    if kind != pa.list_(pa.bool_()):
        raise ValueError(
            f"column {ACTION_SETS!r} has the type {kind}, learning histories have list<bool>, one entry for each action"
        )
    if actions != pa.list_(pa.int64()):
        raise ValueError(
            f"there is a column {ACTION_SETS!r}, but the actions are of the type {actions}; only Discrete actions "
            "(list<int64>) can be available or not: leave the column out"
        )


def check_sets(batch, row, new, before):
    """Check the column of a record batch.

    Args:
        batch (`pa.RecordBatch`): rows of learning histories, otherwise checked.
        row (`int`): the number of its first row, for messages.
        new: bool `(rows,)`, where a history begins.
        before: bool `(A,)`, the set of the row before the batch, or `None`.

    Returns:
        bool `(A,)`: the set of the last row.

    Raises:
        ValueError: lists of unequal lengths, a set that changes inside a history, or an action that is not available.
    """
    column = batch[ACTION_SETS]
    sizes = np.diff(column.offsets.to_numpy())
    size = sizes[0] if before is None else len(before)
    wrong = np.flatnonzero(sizes != size)
    if len(wrong):
        raise ValueError(
            f"row {row + wrong[0]} has {sizes[wrong[0]]} entries of {ACTION_SETS}, the rows before have {size}; every row has "
            "one entry for each action of the action space, those that its task lacks being false"
        )
    sets, ids, episodes = sets_of(column), batch["history_id"], batch["episode"]
    earlier = np.concatenate([sets[:1] if before is None else before[None], sets[:-1]])
    changed = np.flatnonzero(~new & (sets != earlier).any(axis=1))
    if len(changed):
        at = changed[0]
        raise ValueError(
            f"history {ids[at]}, episode {episodes[at]} (row {row + at}) has {set_text(sets[at])} in {ACTION_SETS}, the episode "
            f"before has {set_text(earlier[at])}; a history is of one task, whose actions do not change: split it where "
            "they do"
        )
    lengths = np.diff(batch["actions"].offsets.to_numpy())
    actions = flat_values(batch["actions"])
    missing = first_unavailable(sets, lengths, actions)
    if missing is not None:
        at, step = missing
        action = actions[lengths[:at].sum() + step]
        raise ValueError(
            f"history {ids[at]}, episode {episodes[at]} (row {row + at}) takes the action {action} at its step {step}, "
            f"but {ACTION_SETS} has {set_text(sets[at])}: correct the column, or drop the history"
        )
    return sets[-1]


class ActionSets:
    """Looks up the action sets of histories, in an action space that may be larger than the data's own.

    Holds a bit for each action of each history, and nothing where the data have no such column.

    Args:
        batches (list of `pa.RecordBatch`): all rows, checked.
        first_rows (`np.ndarray` of int64, shape (H,)): the first row of each history.
        num_actions (`int`): the size of the action space that the sets are given in.
        own_actions (`int`, *optional*): the size of the data's own; by default what the column says, without it
            `num_actions`.

    Raises:
        ValueError: actions that are not Discrete, or sizes that do not fit each other.
    """

    def __init__(self, batches, first_rows, num_actions, own_actions):
        schema = batches[0].schema
        if schema.field("actions").type != pa.list_(pa.int64()):
            raise ValueError(
                f"num_actions is {num_actions}, but the actions of the data are of the type "
                f"{schema.field('actions').type}; only Discrete actions can be numbered: leave num_actions out"
            )
        self.num_actions = num_actions
        self._packed = None
        size = num_actions if own_actions is None else own_actions
        if ACTION_SETS in schema.names:
            size = len(batches[0][ACTION_SETS][0])
            if own_actions not in (None, size):
                raise ValueError(
                    f"the column {ACTION_SETS!r} has {size} entries a row, but the action space of the data has {own_actions} "
                    "actions; every row has one entry for each action"
                )
            self._packed = _packed(batches, first_rows)
        if size > num_actions:
            raise ValueError(
                f"the data have {size} actions, but num_actions is {num_actions}; it must be at least as large"
            )
        self._all = np.arange(num_actions) < size

    def __call__(self, histories):
        """The sets of `histories`, int64 (B,): bool `(B, num_actions)`; actions beyond the data's own are not there."""
        if self._packed is None:
            return np.tile(self._all, (len(histories), 1))
        # What is beyond the packed bits becomes 0.
        return np.unpackbits(self._packed[histories], axis=1, count=self.num_actions).view(bool)


def _packed(batches, first_rows):
    """The sets of the rows `first_rows`, eight actions a byte: uint8 (H, ceil(A / 8))."""
    parts, begin = [], 0
    for batch in batches:
        low, high = np.searchsorted(first_rows, (begin, begin + batch.num_rows))
        parts.append(np.packbits(sets_of(batch[ACTION_SETS])[first_rows[low:high] - begin], axis=1))
        begin += batch.num_rows
    return np.concatenate(parts)
