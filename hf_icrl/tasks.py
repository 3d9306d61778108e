"""Task families: which tasks there are, which are held out, and what a perfect and a random agent earn on each.

A *task* is a dict of JSON values: exactly the keyword arguments that, with a family's `env_id` and `env_kwargs`,
rebuild one environment (`{"goal": [2, 7]}`). A *family* is the set of tasks that share the rest.

A new family is a subclass of `TaskFamily` and one line in `_FAMILIES`.
"""

import hashlib
import inspect
import json
from importlib import import_module

import numpy as np

from hf_icrl.naming import check_names, nearest

# Family name -> where its class is. Classes are loaded on first use.
_FAMILIES = {"dark_room": "hf_icrl.envs.dark_room_tasks:DarkRoomFamily"}
# Environment id -> family name: an id names its family, too.
_FAMILY_OF_ENV_ID = {"hf_icrl/DarkRoom-v0": "dark_room"}


class TaskFamily:
    """Base of the families whose tasks can be enumerated.

    A subclass sets the class attributes, fills `self.env_kwargs` in its constructor (whose parameters are exactly
    the environment arguments that all tasks share) and defines `tasks`, `check_task`, `task_array`, `oracle_return`
    and `random_return`; where it knows the optimal policy, also `demonstrator` and `arrived`.

    Attributes:
        name (`str`): the family's name.
        env_id (`str`): its gymnasium id.
        env_kwargs (`dict`): everything but the task, JSON values, all defaults filled in.
        horizon (`int`): the most steps that an episode can have.
        num_actions (`int`): actions are 0 to num_actions - 1.
    """

    name = None
    env_id = None

    def __init__(self, env_kwargs, horizon, num_actions):
        self.env_kwargs = env_kwargs
        self.horizon = horizon
        self.num_actions = num_actions

    def __repr__(self):
        arguments = "".join(f", {k}={v!r}" for k, v in self.env_kwargs.items())
        return f"task_family({self.name!r}{arguments})"

    def tasks(self):
        """All tasks, a list of dicts, in an order that never changes."""
        raise NotImplementedError

    def check_task(self, task):
        """Raise `ValueError` if `task` is no task dict of this family's environment."""
        raise NotImplementedError

    def task_array(self, tasks):
        """Tasks as one int64 array `(n, k)`, the form in which `demonstrator` takes them."""
        raise NotImplementedError

    def oracle_return(self, task):
        """The highest expected return of one episode (`float`), or `None` where the family cannot tell."""
        raise NotImplementedError

    def random_return(self, task):
        """The expected return of one episode of uniformly random actions (`float`), or `None`."""
        raise NotImplementedError

    def demonstrator(self, observations, task_array):
        """Optimal actions, int64 `(n,)`, for observations `(n, ...)` on the tasks of `task_array` `(n, k)`."""
        raise ValueError(
            f'the family {self.name!r} has no demonstrator; use a source that learns, such as "q_learning"'
        )

    def arrived(self, observations, task_array):
        """Bool `(n,)`: has each demonstrator done what its task asks for, so that it would stay as it is?"""
        raise ValueError(f"the family {self.name!r} has no demonstrator that could arrive; use another noise form")

    def split(self, seed=0, held_out=0.2):
        """Divide the tasks into train and held-out ones, the same on every machine and with every NumPy version.

        The order that decides is by the SHA-256 of `(seed, task)`, so a larger held-out set contains a smaller one.

        Args:
            seed (`int`, *optional*, defaults to 0): which split.
            held_out (`float`, `int` or `list[dict]`, *optional*, defaults to 0.2): a fraction in [0, 1) of all
                tasks (rounded), or a number of tasks, or the held-out tasks themselves.

        Returns:
            `(train, held_out)`: two lists of task dicts, disjoint, together all tasks, each in the family's order.

        Raises:
            ValueError: no task would be left to train on, or a listed task is none of the family's.
        """
        tasks = self.tasks()
        if isinstance(held_out, (list, tuple)):
            for task in held_out:
                self.check_task(task)
            chosen = {task_key(task) for task in held_out}
            unknown = chosen - {task_key(task) for task in tasks}
            if unknown:
                raise ValueError(f"held_out lists {sorted(unknown)[0]}, which is no task of {self!r}")
            if len(chosen) == len(tasks):
                raise ValueError(f"held_out lists all {len(tasks)} tasks; leave at least one to train on")
        else:
            chosen = _chosen(tasks, _held_out_count(held_out, len(tasks)), seed, "split")
        return _partition(tasks, chosen)

    def make(self, task, render_mode=None):
        """One scalar environment on `task`, by `gymnasium.make`."""
        import gymnasium

        self.check_task(task)
        return gymnasium.make(self.env_id, **self.env_kwargs, **task, render_mode=render_mode)

    def make_vec(self, tasks, **overrides):
        """One vector environment with slot i on `tasks[i]`; autoreset is same-step.

        Args:
            tasks (`list[dict]`): one task per slot, repetitions allowed.
            overrides: environment arguments that differ from `env_kwargs`, such as `render_mode="rgb_array"`.

        Raises:
            ValueError: no tasks, a task of another family, or an unknown override.
        """
        import gymnasium

        check_names(overrides, {*self.env_kwargs, "render_mode"}, "environment argument")
        if not tasks:
            raise ValueError("make_vec got no tasks; give one task for each slot")
        for task in tasks:
            self.check_task(task)
        stacked = {name: np.array([task[name] for task in tasks]) for name in tasks[0]}
        return gymnasium.make_vec(
            self.env_id,
            num_envs=len(tasks),
            vectorization_mode="vector_entry_point",
            **{**self.env_kwargs, **overrides},
            **stacked,
        )


def task_family(name, /, **env_kwargs):
    """The family called `name`.

    Args:
        name (`str`): `"dark_room"`, or its environment id `"hf_icrl/DarkRoom-v0"`.
        env_kwargs: environment arguments that all tasks share; what is left out has the environment's default.

    Returns:
        `TaskFamily`.

    Raises:
        ValueError: an unknown name or argument (the nearest valid one is named), or a bad value.

    Example:
        >>> family = task_family("dark_room", size=9)
        >>> train, held_out = family.split(seed=0, held_out=0.2)
        >>> len(train), len(held_out)
        (64, 16)
    """
    key = _FAMILY_OF_ENV_ID.get(name, name)
    if key not in _FAMILIES:
        raise ValueError(f"unknown task family {name!r}: {nearest(name, {*_FAMILIES, *_FAMILY_OF_ENV_ID})}")
    module, _, attribute = _FAMILIES[key].partition(":")
    family_class = getattr(import_module(module), attribute)
    check_names(env_kwargs, list(inspect.signature(family_class).parameters), f"argument of the family {key!r}")
    return family_class(**env_kwargs)


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
    return _partition(train, _chosen(train, num, seed, "validation"))


def task_key(task):
    """A string that is equal for equal tasks: their JSON with sorted keys (tuples count as lists)."""
    return json.dumps(task, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"a task holds {value!r} of type {type(value).__name__}; tasks are dicts of JSON values")


def _chosen(tasks, num, seed, domain):
    """The keys of the `num` tasks that come first by SHA-256 of the seed and the task."""
    keys = [task_key(task) for task in tasks]
    keys.sort(key=lambda key: hashlib.sha256(f"{domain}:{int(seed)}:{key}".encode()).digest())
    return set(keys[:num])


def _partition(tasks, chosen):
    rest = [task for task in tasks if task_key(task) not in chosen]
    return rest, [task for task in tasks if task_key(task) in chosen]


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
