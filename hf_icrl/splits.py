"""Divide lists of tasks, the same on every machine and with every NumPy version: SHA-256 of the seed and the task decides."""

import hashlib
import json

import numpy as np


def split_tasks(tasks, seed=0, held_out=0.2):
    """Divide `tasks` into train and held-out ones; see `hf_icrl.tasks.TaskFamily.split`, which names the arguments."""
    keys = [task_key(task) for task in tasks]  # once: of large tasks they take their time
    if isinstance(held_out, (list, tuple)):
        chosen = {task_key(task) for task in held_out}
        unknown = chosen - set(keys)
        if unknown:
            raise ValueError(
                f"held_out lists {sorted(unknown)[0]}, which is no task of this family: it has {len(tasks)}"
            )
        if len(chosen) == len(tasks):
            raise ValueError(f"held_out lists all {len(tasks)} tasks; leave at least one to train on")
    else:
        chosen = _first(keys, _held_out_count(held_out, len(tasks)), seed, "split")
    return _partition(tasks, keys, chosen)


def validation_split(train, num, seed=0):
    """Set `num` of the train tasks aside for choices (temperature, checkpoint) that held-out tasks must not make.

    Args:
        train (`list[dict]`): the train tasks.
        num (`int`): how many to set aside; 0 is allowed.
        seed (`int`, *optional*, defaults to 0): which ones.

    Returns:
        `(train, validation)`: two disjoint lists in the given order, together `train`.
    """
    num = _checked_count(num, len(train), "the validation split")
    keys = [task_key(task) for task in train]
    return _partition(train, keys, _first(keys, num, seed, "validation"))


def task_key(task):
    """A string that is equal for equal tasks: their JSON with sorted keys (tuples count as lists)."""
    return json.dumps(task, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"a task holds {value!r} of type {type(value).__name__}; tasks are dicts of JSON values")


def _first(keys, num, seed, domain):
    """The `num` keys of tasks that come first by SHA-256 of the seed and the key."""
    return set(sorted(keys, key=lambda key: hashlib.sha256(f"{domain}:{int(seed)}:{key}".encode()).digest())[:num])


def _partition(tasks, keys, chosen):
    """The tasks whose keys are not among the chosen ones, and those whose keys are."""
    rest = [task for task, key in zip(tasks, keys, strict=True) if key not in chosen]
    return rest, [task for task, key in zip(tasks, keys, strict=True) if key in chosen]


def _held_out_count(held_out, total):
    """How many of `total` tasks `held_out` (an int, or a float that is a fraction) asks for."""
    if isinstance(held_out, (float, np.floating)):
        if not 0 <= held_out < 1:
            raise ValueError(f"held_out is {held_out!r}; a fraction must be in [0, 1), a number of tasks an integer")
        return _checked_count(round(float(held_out) * total), total, "held_out")
    return _checked_count(held_out, total, "held_out")


def _checked_count(count, total, what):
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
        raise ValueError(f"{what} is {count!r}; it must be a number of tasks")
    if not 0 <= count < total:
        raise ValueError(
            f"{what} asks for {count} of {total} tasks; choose from 0 to {total - 1}, so that one is left to train on"
        )
    return int(count)
