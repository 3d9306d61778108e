"""Cut padded learning histories into episode rows."""

import numpy as np
import pyarrow as pa

from hf_icrl.histories.schema import ACTION_SETS, COLUMNS, element_width
from hf_icrl.histories.unavailable import first_unavailable, set_text


def episodes_table(batch, features, *, env_id, source, split, available_actions=None):
    """The Arrow table of a batch of histories, one row an episode, ordered by `(history_id, episode)`.

    The cut is vectorised: no Python loop runs over steps or episodes.

    Args:
        batch (`hf_icrl.sources.base.HistoryBatch`): n histories padded to T steps, in ascending `history_ids`. Steps
            at or after `lengths[i]` are ignored. A last episode that neither terminated nor truncated becomes an
            unfinished row.
        features (`datasets.Features`): from `history_features`; `batch.optional` has exactly its optional columns.
        env_id, source, split (`str`): the same for every row.
        available_actions (`np.ndarray`, *optional*): bool (n, A), which actions the task of each history has, for the
            column of that name; given exactly where `features` have it.

    Returns:
        `pyarrow.Table` with the schema (and the Hugging Face metadata) of `features`.

    Raises:
        ValueError: arrays of the batch disagree in shape, a task or an optional column does not fit `features`, or a
            history takes an action that its task lacks.
    """
    _check_shapes(batch, features, available_actions)
    schema = features.arrow_schema
    lengths = np.asarray(batch.lengths, np.int64)
    n, steps = batch.rewards.shape
    valid = None if (lengths == steps).all() else np.arange(steps) < lengths[:, None]

    def flat(array):
        array = np.asarray(array)
        return array.reshape(n * steps, *array.shape[2:]) if valid is None else array[valid]

    actions = flat(batch.actions)
    if available_actions is not None:
        _check_available(batch, available_actions, lengths, actions, source)
    terminated, truncated = flat(batch.terminated), flat(batch.truncated)
    history_ends = np.cumsum(lengths)
    is_end = terminated | truncated
    is_end[history_ends - 1] = True
    ends = np.flatnonzero(is_end)  # the last step of every episode
    history = np.searchsorted(history_ends, ends, side="right")  # position in the batch, not the id
    first_episode = np.searchsorted(history, np.arange(n))
    offsets = pa.array(np.concatenate(([0], ends + 1)).astype(np.int32))

    def per_step(name, flat_array):
        kind = schema.field(name).type
        return pa.ListArray.from_arrays(offsets, _values(flat_array, kind.value_type), type=kind)

    rows = len(ends)
    columns = {
        "history_id": pa.array(np.asarray(batch.history_ids, np.int64)[history]),
        "episode": pa.array((np.arange(rows) - first_episode[history]).astype(np.int32)),
        "task": _tasks(batch.tasks, schema.field("task").type).take(pa.array(history)),
        "env_id": pa.repeat(env_id, rows),
        "source": pa.repeat(source, rows),
        "split": pa.repeat(split, rows),
        "observations": per_step("observations", flat(batch.observations)),
        "actions": per_step("actions", actions),
        "rewards": per_step("rewards", flat(batch.rewards)),
        "terminated": pa.array(terminated[ends]),
        "truncated": pa.array(truncated[ends]),
        "final_observation": _values(flat(batch.next_observations)[ends], schema.field("final_observation").type),
        **{name: per_step(name, flat(array)) for name, array in batch.optional.items()},
    }
    if available_actions is not None:
        columns[ACTION_SETS] = _sets(available_actions[history], schema.field(ACTION_SETS).type)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _values(array, kind):
    """`array` (steps, ...) as an Arrow array of `kind`: a plain number, or a fixed-size list of them."""
    width = element_width(kind)
    if pa.types.is_fixed_size_list(kind):
        numbers = np.ascontiguousarray(array).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(_numbers(numbers, kind.value_type), width)
    return _numbers(array, kind)


def _numbers(array, kind):
    return pa.array(np.ascontiguousarray(array, kind.to_pandas_dtype()), type=kind)


def _sets(sets, kind):
    """`sets`, bool (rows, A), as an Arrow array of lists of one length."""
    offsets = pa.array(np.arange(len(sets) + 1, dtype=np.int32) * np.int32(sets.shape[1]))
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(sets).reshape(-1)), type=kind)


def _tasks(tasks, kind):
    names = {field.name for field in kind}
    for task in tasks:
        # Arrow would drop an unknown entry and fill in null for a missing one without a word.
        if set(task) != names:
            raise ValueError(
                f"task {task!r} has the entries {sorted(task)}, the features have {sorted(names)}; all tasks of a "
                "family must have the same entries"
            )
    array = pa.array(tasks, type=kind)
    # Arrow also cuts 0.5 to 0 where the column is of integers.
    for task, stored in zip(tasks, array.to_pylist(), strict=True):
        if stored != task:
            raise ValueError(
                f"task {task!r} does not fit the type {kind} that history_features made from its task_example: give an "
                "example whose numbers are of the most general kind (1.0 rather than 1), and lists rather than tuples"
            )
    return array


def _check_available(batch, available_actions, lengths, actions, source):
    missing = first_unavailable(available_actions, lengths, actions)
    if missing is not None:
        history, step = missing
        raise ValueError(
            f"history {np.asarray(batch.history_ids)[history]} of {source} takes the action "
            f"{batch.actions[history, step]} at its step {step}, but its task has "
            f"{set_text(available_actions[history])}; a source may choose among these alone"
        )


def _check_shapes(batch, features, available_actions):
    n, steps = batch.rewards.shape
    lengths = np.asarray(batch.lengths)
    if lengths.shape != (n,) or n == 0 or lengths.min() < 1 or lengths.max() > steps:
        raise ValueError(f"lengths {lengths.tolist()} do not fit {n} histories of 1 to {steps} steps")
    ids = np.asarray(batch.history_ids)
    if ids.shape != (n,) or (np.diff(ids) <= 0).any() or len(batch.tasks) != n:
        raise ValueError(f"{n} histories need {n} ascending ids and {n} tasks, got {ids.tolist()}, {len(batch.tasks)}")
    given = {"observations", "actions", "rewards", "next_observations", "terminated", "truncated"}
    arrays = {name: getattr(batch, name) for name in given} | dict(batch.optional)
    for name, array in arrays.items():
        if array.shape[:2] != (n, steps):
            raise ValueError(
                f"{name} has the shape {array.shape}; its first two axes must be {(n, steps)}, as rewards'"
            )
    schema = features.arrow_schema
    for name in ("observations", "actions", *batch.optional):
        if name not in schema.names:
            raise ValueError(f"the batch has an optional column {name!r} that the features lack: {schema.names}")
        width = element_width(schema.field(name).type.value_type)
        if int(np.prod(arrays[name].shape[2:])) != width:
            raise ValueError(f"{name} has the shape {arrays[name].shape}; the features say {width} numbers a step")
        kind = schema.field(name).type.value_type
        number = np.dtype((kind.value_type if pa.types.is_fixed_size_list(kind) else kind).to_pandas_dtype())
        if not np.can_cast(arrays[name].dtype, number, "same_kind"):
            raise ValueError(f"{name} is of type {arrays[name].dtype}; the features say {number}")
    if available_actions is not None:
        if ACTION_SETS not in schema.names:
            raise ValueError(f"{ACTION_SETS} is given, a column that the features lack: {schema.names}")
        if available_actions.dtype != bool or available_actions.ndim != 2 or len(available_actions) != n:
            raise ValueError(
                f"{ACTION_SETS} is of type {available_actions.dtype} and shape {available_actions.shape}; it must be "
                f"bool, with a row for each of the {n} histories and an entry for each action"
            )
    missing = set(schema.names) - set(batch.optional) - set(COLUMNS)
    missing -= set() if available_actions is None else {ACTION_SETS}
    if missing:
        raise ValueError(f"the features have the optional columns {sorted(missing)}, which the batch lacks")
