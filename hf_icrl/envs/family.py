"""What every task family defines, and what all of them share."""

import hashlib
import inspect
from abc import ABC, abstractmethod

import numpy as np

from hf_icrl.checks import checked_int
from hf_icrl.naming import check_names, nearest
from hf_icrl.splits import split_tasks, task_key


class TaskFamily(ABC):
    """Base of the task families.

    A subclass sets the class attributes, fills `self.env_kwargs` in its constructor (whose parameters are exactly
    the environment arguments that all tasks share) and defines `tasks` or `sample` (an infinite family has no `tasks`),
    `check_task`, `task_array`, `oracle_return` and `random_return`; where it has `evaluation_sets`, also `_evaluation_set`, which
    makes them of checked arguments; where it knows the optimal policy, also `demonstrator`; where that policy heads for places, also `targets`, `possible_targets`, `walk` and `arrived`.

    Attributes:
        name (`str`): the family's name.
        env_id (`str`): its gymnasium id.
        published_splits (`dict[str, str]`): name of a published split -> the method that makes it from a seed.
        task_sets (`dict[str, str]`): name of a published evaluation set -> what it is, in a sentence.
        env_kwargs (`dict`): everything but the task, JSON values, all defaults filled in.
        horizon (`int`): the most steps that an episode can have.
        num_actions (`int` or `None`): actions are 0 to num_actions - 1; `None` for continuous actions.
        num_states (`int` or `None`): where observations stand for a few states, how many; see `states`.
    """

    name = None
    env_id = None
    published_splits = {}
    task_sets = {}
    num_states = None

    def __init__(self, env_kwargs, horizon, num_actions):
        self.env_kwargs = env_kwargs
        self.horizon = horizon
        self.num_actions = num_actions

    def __repr__(self):
        arguments = "".join(f", {k}={v!r}" for k, v in self.env_kwargs.items())
        return f"task_family({self.name!r}{arguments})"

    # ---- Which tasks there are ----

    def tasks(self):
        """All tasks, a list of dicts, in an order that never changes.

        Raises:
            ValueError: there are infinitely many; see `sample`.
        """
        raise ValueError(
            f"the family {self.name!r} has infinitely many tasks: draw some with sample(num, seed), or name a "
            "population, as in population={'num': 1000}"
        )

    def sample(self, num=1000, seed=0):
        """`num` different tasks that depend on `seed` alone, a list of dicts.

        A family that can be enumerated chooses among its tasks, without repetition and in its own order; an infinite
        family draws them and documents its further arguments.

        Raises:
            ValueError: there are fewer tasks than `num`, or a bad argument.
        """
        tasks = self.tasks()
        num, seed = checked_int(num, "num", 1), checked_int(seed, "seed", 0)
        if num > len(tasks):
            raise ValueError(f"num is {num}, but {self!r} has only {len(tasks)} tasks; ask for at most that many")
        order = sorted(
            range(len(tasks)), key=lambda i: hashlib.sha256(f"sample:{seed}:{task_key(tasks[i])}".encode()).digest()
        )
        return [tasks[i] for i in sorted(order[:num])]

    def split(self, seed=0, held_out=0.2, population=None):
        """Divide the tasks into train and held-out ones, the same on every machine and with every NumPy version.

        The order that decides is by the SHA-256 of `(seed, task)`, so a larger held-out set contains a smaller one.

        Args:
            seed (`int`, *optional*, defaults to 0): which split.
            held_out (`float`, `int`, `str` or `list[dict]`, *optional*, defaults to 0.2): a fraction in [0, 1) of all
                tasks (rounded), or a number of tasks, or the name of a published split (`published_splits`), or the
                held-out tasks themselves.
            population (`dict`, *optional*): the arguments of `sample`, which then says what all tasks are; by default
                those of `tasks()`, and for an infinite family what `sample()` draws without arguments.

        Returns:
            `(train, held_out)`: two lists of task dicts, disjoint, together all tasks, each in the family's order.

        Raises:
            ValueError: no task would be left to train on, a listed task is none of the family's, or an unknown name.
        """
        if isinstance(held_out, str):
            return self._published_split(held_out, seed, population)
        if isinstance(held_out, (list, tuple)):
            for task in held_out:
                self.check_task(task)
        if population is not None:
            check_names(population, list(inspect.signature(self.sample).parameters), f"{self.name} population entry")
            everything = self.sample(**population)
        else:
            everything = self.tasks() if type(self).tasks is not TaskFamily.tasks else self.sample()
        return split_tasks(everything, seed, held_out)

    def _published_split(self, name, seed, population):
        if name not in self.published_splits:
            raise ValueError(
                f"unknown published split {name!r} of {self.name!r}: {nearest(name, self.published_splits)}"
            )
        if population is not None:
            raise ValueError(f"held_out={name!r} is a published split, which has its own tasks: leave population out")
        return getattr(self, self.published_splits[name])(seed)

    def task_set(self, name, num=100, seed=0):
        """The tasks of a published evaluation set, by name (see `task_sets`): `num` of them, depending on `seed` alone."""
        raise ValueError(f"the family {self.name!r} has no published evaluation sets; use split() or sample()")

    @property
    def evaluation_sets(self):
        """The sets that models trained on tasks of this family are evaluated on: name -> what it is, in a sentence.

        Of a set whose name ends with "train", as in "train" and "test_train", tasks (or goals) are those of training; those
        of all others are not.
        """
        return {}

    def check_evaluation_set(self, name):
        """Raise `ValueError` if `evaluation_set` knows no `name`."""
        if name not in self.evaluation_sets:
            raise ValueError(f"unknown evaluation set {name!r} of {self!r}: {nearest(name, self.evaluation_sets)}")

    def evaluation_set(self, name, *, num=100, seed=0, train=(), held_out=()):
        """A set of `evaluation_sets`.

        Args:
            name (`str`): which.
            num (`int`, *optional*, defaults to 100): how many tasks, >= 1.
            seed (`int`, *optional*, defaults to 0): which tasks, where they are drawn.
            train, held_out (`list[dict]`, *optional*): the tasks that the model was trained on, and those that were held
                out, for sets that consist of them or of their goals.

        Returns:
            `(TaskFamily, list[dict])`: the family of the set, whose environment may have other actions than this one's,
            and its tasks.

        Raises:
            ValueError: an unknown name, or the set cannot be made of `train` and `held_out`.
        """
        self.check_evaluation_set(name)
        tasks = checked_int(num, "num", 1), checked_int(seed, "seed", 0), list(train), list(held_out)
        return self._evaluation_set(name, *tasks)

    @abstractmethod
    def check_task(self, task):
        """Raise `ValueError` if `task` is no task dict of this family's environment."""

    @abstractmethod
    def task_array(self, tasks):
        """Tasks as one array `(n, ...)`, the form in which `demonstrator` takes them."""

    # ---- What perfect and random agents earn ----

    @abstractmethod
    def oracle_return(self, task):
        """The highest expected return of one episode (`float`), or `None` where the family cannot tell."""

    @abstractmethod
    def random_return(self, task):
        """The expected return of one episode of uniformly random actions (`float`), or `None`."""

    # ---- What a source may ask ----

    def states(self, observations):
        """The states that observations `(n, ...)` stand for, int64 `(n,)` from 0 to `num_states - 1`.

        What learners with tables ask where observations are no Discrete; only families with `num_states` can tell.
        """
        raise ValueError(f"the observations of {self!r} do not stand for a few numbered states")

    def available_actions(self, tasks):
        """Which actions each task has: bool `(n, num_actions)`, or `None` where every task has all of them."""
        return None

    def action_groups(self, tasks):
        """Kinds of actions that figures of exploration are split by: name -> bool `(n, num_actions)`, none by default."""
        return {}

    def demonstrator(self, observations, task_array, infos):
        """Optimal actions of agents that know their tasks.

        Args:
            observations (`np.ndarray`, shape `(n, ...)`): as the environment gives them.
            task_array (`np.ndarray`, shape `(n, ...)`): from `task_array`.
            infos (`dict`): what the environment told beside these observations; privileged, since no model sees it.

        Returns:
            `np.ndarray`: int64 `(n,)`.

        Raises:
            ValueError: the family does not know the optimal policy.
        """
        raise ValueError(
            f'the family {self.name!r} has no demonstrator; use a source that learns, such as "q_learning"'
        )

    def possible_targets(self):
        """Everything that a demonstrator of this family may head for: int64 `(m, k)`, such as the cells of a room."""
        raise ValueError(f"the demonstrator of {self.name!r} heads for no targets; use noise 'uniform' or 'held'")

    def targets(self, task_array, infos):
        """What each demonstrator heads for now, rows of `possible_targets` (or like them): int64 `(n, k)`."""
        raise ValueError(f"the demonstrator of {self.name!r} heads for no targets; use noise 'uniform' or 'held'")

    def walk(self, observations, task_array, targets):
        """Actions, int64 `(n,)`, that lead each agent to its target `(n, k)`, whatever its task asks for."""
        raise ValueError(f"the demonstrator of {self.name!r} heads for no targets; use noise 'uniform' or 'held'")

    def arrived(self, observations, targets):
        """Bool `(n,)`: is each agent at its target?"""
        raise ValueError(f"the demonstrator of {self.name!r} heads for no targets; use noise 'uniform' or 'held'")

    # ---- Environments ----

    def make(self, task, render_mode=None):
        """One scalar environment on `task`, by `gymnasium.make`."""
        import gymnasium

        self.check_task(task)
        return gymnasium.make(self.env_id, **self.env_kwargs, **task, render_mode=render_mode)

    def stack(self, tasks):
        """Tasks as the arguments of the vector environment: entry name -> array `(n, ...)`."""
        return {name: np.array([task[name] for task in tasks]) for name in tasks[0]}

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
        return gymnasium.make_vec(
            self.env_id,
            num_envs=len(tasks),
            vectorization_mode="vector_entry_point",
            **{**self.env_kwargs, **overrides},
            **self.stack(tasks),
        )

    def spaces(self, task):
        """`(observation_space, action_space)` of one environment on `task`, gymnasium spaces."""
        envs = self.make_vec([task])
        envs.close()
        return envs.single_observation_space, envs.single_action_space
