"""What the bandit families share: how many arms tasks have, their arrays, and optimal arms."""

import re
from abc import abstractmethod

import numpy as np

from hf_icrl.checks import checked_int
from hf_icrl.envs.family import TaskFamily
from hf_icrl.naming import check_names, nearest

_NUMBERED = re.compile(r"num_([1-9]\d*)")


class BanditFamily(TaskFamily):
    """Base of the bandit families; all of them are infinite. The demonstrator pulls the best arm.

    A subclass sets `entry` and `example` and defines the abstract methods and what `TaskFamily` asks for.

    Attributes:
        entry (`str`): the name of a task's one entry.
        example (`str`): a task, for error messages.
    """

    entry = None
    example = None

    @abstractmethod
    def values(self, observations, task_array):
        """Expected rewards of all arms now: float64 `(n, num_arms)`, minus infinity where a task has no such arm."""

    @abstractmethod
    def _checked(self, value):
        """A task's entry as a float64 array, or `ValueError`."""

    @abstractmethod
    def _stacked(self, tasks):
        """The entries of checked tasks as one array; see `task_array`."""

    @property
    def evaluation_sets(self):
        """The published sets; "train" is of the very tasks that were trained on, as published."""
        return {"train": "tasks that were trained on", **{k: v for k, v in self.task_sets.items() if k != "train"}}

    def _evaluation_set(self, name, num, seed, train, held_out):
        if name != "train":
            family = self._with_arms_for(name)
            return family, family.task_set(name, num, seed)
        if not train:
            raise ValueError('the evaluation set "train" is of tasks that were trained on, but there are none')
        return self, train[:num]

    def _with_arms_for(self, name):
        """This family, or if the tasks of the set `name` have more arms, one with as many."""
        return self

    def check_task(self, task):
        """Raise `ValueError` unless `task` is a dict with the one entry that the environment takes."""
        if not isinstance(task, dict) or self.entry not in task:
            raise ValueError(f"task is {task!r}; a task of the family {self.name!r} is a dict such as {self.example}")
        check_names(task, [self.entry], f"{self.name} task entry")
        self._checked(task[self.entry])

    def task_array(self, tasks):
        """The tasks' entries: float64 `(n, ...)`, NaN for arms that a task lacks."""
        for task in tasks:
            self.check_task(task)
        return self._stacked(tasks)

    def stack(self, tasks):
        """The tasks, which were checked, as the vector environment's argument."""
        return {self.entry: self._stacked(tasks)}

    def demonstrator(self, observations, task_array, infos):
        """The best arm of each task now, the first of equal ones."""
        return np.argmax(self.values(observations, task_array), axis=1)


class FixedValues:
    """For families whose arms have the same expected rewards at all times: the demonstrator heads for an arm.

    It is there as soon as it has pulled it. Noise that sends it to an arm which its task lacks has it pull arm
    `target % usable arms` instead, so that no usable arm is favoured much.
    """

    def possible_targets(self):
        """Every arm: int64 `(num_arms, 1)`."""
        return np.arange(self.num_actions)[:, None]

    def targets(self, task_array, infos):
        """The best arms: int64 `(n, 1)`."""
        return self.demonstrator(None, task_array, infos)[:, None]

    def walk(self, observations, task_array, targets):
        """The targets, as actions; see the class for arms that a task lacks."""
        usable = np.isfinite(self.values(observations, task_array)).sum(axis=1)
        return targets[:, 0] % usable

    def arrived(self, observations, targets):
        """All true: one pull is all it takes."""
        return np.ones(len(targets), dtype=bool)


class ArmSetFamily(BanditFamily):
    """A bandit family whose tasks list their own arms, up to `num_arms` of them."""

    def available_actions(self, tasks):
        """Bool `(n, num_arms)`: the arms that each task lists."""
        usable = np.array([len(task[self.entry]) for task in tasks])
        return np.arange(self.num_actions) < usable[:, None]

    def _stacked(self, tasks):
        table = np.full((len(tasks), *self._shape), np.nan)
        for row, task in zip(table, tasks, strict=True):
            row[: len(task[self.entry])] = task[self.entry]
        return table

    def _arm_range(self, min_arms, max_arms):
        """The checked bounds of a task's number of arms; `None` stands for all."""
        low = self.num_actions if min_arms is None else checked_int(min_arms, "min_arms", 1)
        high = self.num_actions if max_arms is None else checked_int(max_arms, "max_arms", 1)
        if not low <= high <= self.num_actions:
            raise ValueError(
                f"min_arms is {low} and max_arms is {high}; it must be min_arms <= max_arms <= num_arms = "
                f"{self.num_actions} (both default to num_arms)"
            )
        return low, high

    def check_evaluation_set(self, name):
        """As in `TaskFamily`; "num_<k>" is one for every number of arms k."""
        if not _NUMBERED.fullmatch(name):
            super().check_evaluation_set(name)

    def _with_arms_for(self, name):
        _, high = self._arms_of_set(name)
        return self if high <= self.num_actions else type(self)(**{**self.env_kwargs, "num_arms": high})

    def _set_arm_range(self, name):
        """The bounds of the published set `name`, if this family has as many arms."""
        low, high = self._arms_of_set(name)
        if high > self.num_actions:
            raise ValueError(
                f"the task set {name!r} has tasks of {high} arms, but the family has num_arms={self.num_actions}; "
                f"make it with num_arms={high} or more"
            )
        return low, high

    def _arms_of_set(self, name):
        """The bounds of the published set `name`: 4 to 20, or k for "num_k"."""
        numbered = _NUMBERED.fullmatch(name)
        if name not in self.task_sets and not numbered:
            raise ValueError(f"unknown task set {name!r} of {self.name!r}: {nearest(name, self.task_sets)}")
        return (int(numbered[1]),) * 2 if numbered else (4, 20)


def numbered_sets(counts, sentence):
    """The entries of `task_sets` for sets with a fixed number of arms."""
    return {f"num_{k}": sentence.format(k=k) for k in counts}
