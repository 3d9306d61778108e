"""What the vector bandits share: thousands of slots at once, each on its own task, with no Python loop over slots."""

from abc import abstractmethod

import numpy as np

from hf_icrl.checks import checked_int
from hf_icrl.envs.bandits import BanditRules, as_table, task_streams, unusable_arm
from hf_icrl.envs.drawn_ahead import DrawnAhead
from hf_icrl.envs.slots import SlotVectorEnv


class BanditVectorEnv(BanditRules, SlotVectorEnv):
    """Base of the vector bandits; slot i equals the scalar environment on the i-th task, step for step.

    A subclass checks its arguments, calls this constructor and defines `BanditRules` and what is abstract here. The
    infos of `reset` and `step` hold `regret`, float64 `(num_envs,)`, and `action_mask`, int8 `(num_envs, num_arms)`,
    those of all slots.

    Args:
        num_envs (`int`), num_arms (`int`), horizon (`int`): slots, actions and pulls in an episode, each >= 1.
        tasks (`np.ndarray` or `None`): the tasks `(num_envs, ...)`, checked; `None` has each slot draw its own from
            its seed, as the scalar environment does.
        observation_space (`gymnasium.spaces.Space`): that of one slot.
    """

    def __init__(self, num_envs, num_arms, horizon, tasks, observation_space, render_mode=None):
        self.num_arms = num_arms
        self.horizon = checked_int(horizon, "horizon", 1)
        super().__init__(num_envs, observation_space, num_arms, render_mode)
        self._tasks = tasks
        self._draws_tasks = tasks is None
        if tasks is not None:
            self._on_tasks()

    @abstractmethod
    def _usable(self):
        """How many arms each slot's task has: int64 `(num_envs,)`."""

    @abstractmethod
    def _prepare(self):
        """Derive what pulls need from `self._tasks`, which have changed."""

    @abstractmethod
    def _pull(self, actions, numbers):
        """The expected rewards of the pulled arms and of the best ones now: two float64 arrays `(num_envs,)`."""

    @abstractmethod
    def _values(self, numbers):
        """The expected rewards of all arms now, for pictures: `(num_envs, num_arms)`, anything where there is no arm."""

    def _allocate(self):
        self._ahead = DrawnAhead(self.num_envs, self._draw)
        self._regret = np.zeros(self.num_envs)
        if self.render_mode is not None:
            self._pulls = np.zeros((self.num_envs, self.num_arms), dtype=np.int64)
            self._last = np.full(self.num_envs, -1)
            self._drawn_values = np.zeros((self.num_envs, self.num_arms))

    def _seeded(self, rows):
        self._ahead.seed(rows, self._streams[rows])
        if not self._draws_tasks:
            return
        drawn = self._drawn_tasks(task_streams(self._streams[rows]))
        if self._tasks is None:
            self._tasks = drawn  # the first reset seeds all slots
        else:
            self._tasks[rows] = drawn
        self._on_tasks()

    def _begin(self, rows):
        going_on = rows[self._episodes[rows] > 0]
        if len(going_on):
            self._ahead.skip(going_on)
        self._regret = self._regret.copy()  # what it was goes into the infos of the last step
        self._regret[rows] = 0.0
        if self.render_mode is not None:
            self._pulls[rows] = 0
            self._last[rows] = -1
            self._drawn_values[rows] = self._values(self._ahead.now)[rows]

    def _advance(self, actions):
        value, best = self._pull(actions, self._ahead.now)
        rewards = self._earned(value, self._ahead.now)
        self._regret = best - value
        if self.render_mode is not None:
            self._drawn_values = self._values(self._ahead.now)
            self._pulls[self._slots, actions] += 1
            self._last = actions.copy()
        self._ahead.advance()
        return rewards, np.zeros(self.num_envs, dtype=bool), self._steps >= self.horizon - 1

    def _frames(self):
        from hf_icrl.envs.bandit_drawing import draw_bandit

        for slot, (task, count, last) in enumerate(zip(self._tasks, self._num_usable, self._last, strict=True)):
            values, pulls = self._drawn_values[slot, :count].tolist(), self._pulls[slot, :count].tolist()
            present = ~np.isnan(task.reshape(len(task), -1)).any(axis=1)
            shown = self._drawn_range(task[present].tolist())
            yield draw_bandit(values, *shown, pulls, None if last < 0 else int(last))

    def _infos(self):
        return {"regret": self._regret, "action_mask": self._action_mask}

    def _on_tasks(self):
        self._num_usable = self._usable()
        self._action_mask = (np.arange(self.num_arms) < self._num_usable[:, None]).astype(np.int8)
        self._prepare()

    def _check_range(self, actions):
        wrong = (actions < 0) | (actions >= self._num_usable)
        if wrong.any():
            slot = int(np.flatnonzero(wrong)[0])
            raise ValueError(unusable_arm(actions[slot], self._num_usable[slot]))


def checked_tasks(value, what, shape, num_envs):
    """Tasks of all slots, or one for all, as a float64 array `(num_envs, *shape)`.

    Args:
        value (`array_like`), what (`str`): the argument and its name.
        shape (`tuple` of `int`): that of one slot's task.
        num_envs (`int`): slots.
    """
    table = as_table(value)
    if table is None or table.dtype.kind not in "iuf" or table.shape not in [shape, (num_envs, *shape)]:
        got = "lists of different lengths" if table is None else f"{table.dtype} of shape {table.shape}"
        raise ValueError(
            f"{what} must be numbers of shape {shape}, or {(num_envs, *shape)} with one task for each environment, got {got}"
        )
    return np.broadcast_to(table, (num_envs, *shape)).astype(np.float64)


def checked_arm_sets(value, what, shape, num_envs, checked_one):
    """Sets of arms of all slots, or one for all, which may have fewer rows: float64 `(num_envs, *shape)`, NaN-padded.

    Args:
        value (`array_like`), what (`str`): the argument and its name.
        shape (`tuple` of `int`): that of one slot's arms, `(num_arms, ...)`.
        num_envs (`int`): slots.
        checked_one (callable): gives one slot's arms, unpadded, as a float64 array, or raises `ValueError`.
    """
    table = as_table(value)
    if table is not None and table.ndim == len(shape):
        arms = checked_one(value)
        value = np.full(shape, np.nan)
        value[: len(arms)] = arms
    return checked_tasks(value, what, shape, num_envs)


def usable_arms(tasks, what):
    """How many arms each task `(n, num_arms, ...)` has: those before its NaN rows, int64 `(n,)`.

    Raises:
        ValueError: a task has no arm, or one with a number that is not finite, or an arm after a missing one.
    """
    rows = tasks.reshape(*tasks.shape[:2], -1)
    missing = np.isnan(rows).all(axis=2)
    counts = (~missing).sum(axis=1)
    wrong = (counts == 0) | (missing != (np.arange(tasks.shape[1]) >= counts[:, None])).any(axis=1)
    wrong |= (~np.isfinite(rows)).any(axis=2).sum(axis=1) != missing.sum(axis=1)
    if wrong.any():
        slot = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{what}[{slot}] is {tasks[slot].tolist()}; it must hold finite numbers for at least one arm, and NaN only "
            "for the arms after the last that the task has"
        )
    return counts
