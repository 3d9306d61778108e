"""Bring a learning history that a user hands over into the arrays that `model.observe` takes."""

import numpy as np

_NAMES = ("observations", "actions", "rewards", "dones")


def given_history(history, num_envs):
    """Arrays of shape (num_envs, T, ...) from dataset rows or from arrays.

    Args:
        history: either a mapping with `observations`, `actions`, `rewards`, `dones` (and `lengths`, if the rows are
            padded) of shape (num_envs, T, ...), such as `Rollout.history`; or the rows of a learning-history dataset
            (a `datasets.Dataset` or a list of row dicts), one history per environment, in the order of the
            environments.
        num_envs (`int`).

    Returns:
        `dict[str, np.ndarray]` with `observations`, `actions`, `rewards` (float32) and `dones` (bool).

    Raises:
        ValueError: the number of histories is not that of the environments, their lengths differ, or the rows are
            not whole, ordered histories.
    """
    columns = getattr(history, "column_names", None)
    if columns is None and isinstance(history, dict):
        arrays = _from_arrays(history)
    else:
        arrays = _from_rows(list(history))
    rows = len(arrays["rewards"])
    if rows != num_envs:
        raise ValueError(
            f"history holds {rows} histories, but envs has {num_envs} environments: give one history per environment"
        )
    if arrays["rewards"].shape[1] == 0:
        raise ValueError("history is empty: leave it out to begin with an empty context")
    return arrays


def _from_arrays(history):
    missing = [name for name in _NAMES if name not in history]
    if missing:
        raise ValueError(f"history has no {missing[0]!r}; it needs {', '.join(_NAMES)}")
    arrays = {name: np.asarray(history[name]) for name in _NAMES}
    shape = arrays["rewards"].shape
    for name, values in arrays.items():
        if values.shape[:2] != shape:
            raise ValueError(
                f"history['{name}'] has shape {values.shape} and history['rewards'] {shape}: the first two axes are "
                "environments and steps, the same for all"
            )
    if history.get("lengths") is not None:
        _check_equal(np.asarray(history["lengths"]))
        arrays = {name: values[:, : int(history["lengths"][0])] for name, values in arrays.items()}
    arrays["rewards"] = arrays["rewards"].astype(np.float32)
    arrays["dones"] = arrays["dones"].astype(bool)
    return arrays


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
    _check_equal(np.array([len(h["rewards"]) for h in histories]))
    return {name: np.stack([h[name] for h in histories]) for name in _NAMES}


def _concatenated(run):
    steps = {name: np.concatenate([np.asarray(row[name]) for row in run]) for name in ("observations", "actions")}
    steps["rewards"] = np.concatenate([np.asarray(row["rewards"], np.float32) for row in run])
    dones = np.zeros(len(steps["rewards"]), bool)
    for row, end in zip(run, np.cumsum([len(row["rewards"]) for row in run]), strict=True):
        dones[end - 1] = row["terminated"] or row["truncated"]
    return steps | {"dones": dones}


def _check_equal(lengths):
    if len(lengths) and (lengths != lengths[0]).any():
        other = int(lengths[lengths != lengths[0]][0])
        raise ValueError(
            f"the histories have different lengths ({int(lengths[0])} and {other} steps): cut them to one length"
        )
