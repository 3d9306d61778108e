"""Bring a learning history that a user hands over into the arrays that `model.observe` takes."""

import numpy as np

_NAMES = ("observations", "actions", "rewards", "dones")


def given_history(history, num_envs, config):
    """Arrays of shape (num_envs, T, ...) from dataset rows or from arrays.

    Args:
        history: either a mapping with `observations`, `actions`, `rewards`, `dones` of shape (num_envs, T, ...) and,
            if the rows are padded, `lengths` (num_envs,), such as `Rollout.history`; or the rows of a
            learning-history dataset (a `datasets.Dataset`, what indexing one gives, or a list of row dicts), one
            history per environment, in the order of the environments.
        num_envs (`int`).
        config: the model's config, for the shapes of one observation and one action.

    Returns:
        `(arrays, lengths)`: `arrays` is a dict of `observations`, `actions`, `rewards` (float32) and `dones` (bool);
        the first `lengths[i]` steps of row i are real.

    Raises:
        ValueError: the number of histories is not that of the environments, or the rows are not whole, ordered
            histories.
    """
    if not isinstance(history, dict):
        arrays, lengths = _from_rows(list(history))
    elif "history_id" in history:  # `dataset[i]` or `dataset[i:j]`
        arrays, lengths = _from_rows(_rows_of(history))
    else:
        arrays, lengths = _from_arrays(history)
    if len(lengths) != num_envs:
        raise ValueError(
            f"history holds {len(lengths)} histories, but envs has {num_envs} environments: give one history per "
            "environment"
        )
    if not lengths.any():
        raise ValueError("history is empty: leave it out to begin with an empty context")
    # A dataset holds an observation of several axes flattened.
    for name, space in (("observations", config.observation_space), ("actions", config.action_space)):
        shape = space.get("shape", ())
        if len(shape) > 1:
            arrays[name] = arrays[name].reshape(*arrays["rewards"].shape, *shape)
    return arrays, lengths


def _rows_of(columns):
    if np.ndim(columns["history_id"]) == 0:
        return [columns]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _from_arrays(history):
    missing = [name for name in _NAMES if name not in history]
    if missing:
        raise ValueError(f"history has no {missing[0]!r}; it needs {', '.join(_NAMES)}")
    arrays = {name: np.asarray(history[name]) for name in _NAMES}
    shape = arrays["rewards"].shape
    for name, values in arrays.items():
        if values.ndim < 2 or values.shape[:2] != shape:
            raise ValueError(
                f"history[{name!r}] has shape {values.shape} and history['rewards'] {shape}: the first two axes are "
                "environments and steps, the same for all"
            )
    lengths = np.asarray(history.get("lengths", np.full(shape[0], shape[1])))
    if lengths.shape != shape[:1] or (lengths < 0).any() or (lengths > shape[1]).any():
        raise ValueError(
            f"history['lengths'] is {lengths.tolist()}; it must hold {shape[0]} numbers from 0 to {shape[1]}"
        )
    arrays["rewards"] = arrays["rewards"].astype(np.float32)
    arrays["dones"] = arrays["dones"].astype(bool)
    return arrays, lengths


def _from_rows(rows):
    runs = []
    for row in rows:
        if not runs or runs[-1][-1]["history_id"] != row["history_id"]:
            if any(run[0]["history_id"] == row["history_id"] for run in runs):
                raise ValueError(
                    f"the episodes of history {row['history_id']} are not next to each other: sort the rows by "
                    "(history_id, episode)"
                )
            runs.append([row])
            continue
        before = runs[-1][-1]["episode"]
        if row["episode"] != before + 1:
            raise ValueError(
                f"history {row['history_id']}: episode {row['episode']} follows episode {before}; a history is an "
                "unbroken run of episodes"
            )
        runs[-1].append(row)
    histories = [_concatenated(run) for run in runs]
    lengths = np.array([len(h["rewards"]) for h in histories], np.int64)
    return {name: _padded([h[name] for h in histories], lengths) for name in _NAMES}, lengths


def _concatenated(run):
    steps = {name: np.concatenate([np.asarray(row[name]) for row in run]) for name in ("observations", "actions")}
    steps["rewards"] = np.concatenate([np.asarray(row["rewards"], np.float32) for row in run])
    dones = np.zeros(len(steps["rewards"]), bool)
    for row, end in zip(run, np.cumsum([len(row["rewards"]) for row in run]), strict=True):
        dones[end - 1] = row["terminated"] or row["truncated"]
    return steps | {"dones": dones}


def _padded(values, lengths):
    if not len(values):
        return np.zeros((0, 0), np.float32)
    padded = np.zeros((len(values), lengths.max(), *values[0].shape[1:]), values[0].dtype)
    for row, value in zip(padded, values, strict=True):
        row[: len(value)] = value
    return padded
