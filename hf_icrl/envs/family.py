"""What every task family defines, and what all of them share."""

from abc import ABC, abstractmethod

import numpy as np

from hf_icrl.naming import check_names
from hf_icrl.splits import split_tasks


class TaskFamily(ABC):
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

    @abstractmethod
    def tasks(self):
        """All tasks, a list of dicts, in an order that never changes."""

    @abstractmethod
    def check_task(self, task):
        """Raise `ValueError` if `task` is no task dict of this family's environment."""

    @abstractmethod
    def task_array(self, tasks):
        """Tasks as one int64 array `(n, k)`, the form in which `demonstrator` takes them."""

    @abstractmethod
    def oracle_return(self, task):
        """The highest expected return of one episode (`float`), or `None` where the family cannot tell."""

    @abstractmethod
    def random_return(self, task):
        """The expected return of one episode of uniformly random actions (`float`), or `None`."""

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
        if isinstance(held_out, (list, tuple)):
            for task in held_out:
                self.check_task(task)
        return split_tasks(self.tasks(), seed, held_out)

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
