"""What the vector bandits share: thousands of slots at once, each on its own task, with no Python loop over slots."""

from abc import abstractmethod

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hf_icrl.checks import checked_int
from hf_icrl.envs.bandits import (
    RENDER_FPS,
    RENDER_MODES,
    BanditRules,
    as_table,
    checked_render_mode,
    task_streams,
    unusable_arm,
    warn_of_no_mode,
)
from hf_icrl.envs.drawn_ahead import DrawnAhead
from hf_icrl.envs.vector import all_slots, reset_mask, same_step_infos, slot_seeds


class BanditVectorEnv(BanditRules, VectorEnv):
    """Base of the vector bandits; slot i equals the scalar environment on the i-th task, step for step.

    Autoreset is *same-step*: the pull that ends a slot's episode returns the first observation of its next one, and
    the true last one is in `infos["final_obs"][i]`. A subclass checks its arguments, calls this constructor and
    defines `BanditRules` and what is abstract here.

    Args:
        num_envs (`int`), num_arms (`int`), horizon (`int`): slots, actions and pulls in an episode, each >= 1.
        tasks (`np.ndarray` or `None`): the tasks `(num_envs, ...)`, checked; `None` has each slot draw its own from
            its seed, as the scalar environment does.
        observation_space (`gymnasium.spaces.Space`): that of one slot.
    """

    metadata = {
        "render_modes": RENDER_MODES,
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, num_envs, num_arms, horizon, tasks, observation_space, render_mode=None):
        self.num_envs = checked_int(num_envs, "num_envs", 1)
        self.num_arms = num_arms
        self.horizon = checked_int(horizon, "horizon", 1)
        self.render_mode = checked_render_mode(render_mode)
        self.single_observation_space = observation_space
        self.single_action_space = gym.spaces.Discrete(num_arms)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._tasks = tasks
        self._draws_tasks = tasks is None
        self._slots = np.arange(self.num_envs)
        self._streams = None
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

    @abstractmethod
    def _observe(self, numbers):
        """What each slot shows now: a new array `(num_envs, ...)`."""

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those that `options["reset_mask"]` (bool, `(num_envs,)`) selects.

        Args:
            seed (`int` or list of `int | None`, *optional*): an int seeds slot i with `seed + i`, a list gives every
                slot its own. Slot i then goes exactly as the scalar environment reset with that seed, whatever its
                neighbours are. A slot without a seed goes on with its stream (the first time: one drawn from the
                operating system).
            options (`dict`, *optional*): may hold `"reset_mask"`.

        Returns:
            `(observations, infos)` of all slots; infos hold `regret` and `action_mask`.
        """
        seeds = slot_seeds(seed, self.num_envs)
        mask = reset_mask(options, self.num_envs)
        if self._streams is None:
            if not mask.all():
                raise ValueError("the first reset must be of all environments; leave options['reset_mask'] out")
            unseeded = self.np_random.integers(2**63, size=self.num_envs).tolist()
            seeds = [u if s is None else s for s, u in zip(seeds, unseeded, strict=True)]
            self._streams = DrawnAhead(self.num_envs, self._draw)
            self._steps = np.zeros(self.num_envs, dtype=np.int64)
            self._regret = np.zeros(self.num_envs)
            if self.render_mode is not None:
                self._pulls = np.zeros((self.num_envs, self.num_arms), dtype=np.int64)
                self._last = np.full(self.num_envs, -1)
                self._drawn_values = np.zeros((self.num_envs, self.num_arms))
        seeded = mask & np.array([s is not None for s in seeds])
        if seeded.any():
            self._streams.seed(seeded, [s for s, yes in zip(seeds, seeded, strict=True) if yes])
            if self._draws_tasks:
                self._draw_tasks(seeded)
        if (mask & ~seeded).any():
            self._streams.skip(mask & ~seeded)
        self._begin(mask)
        return self._observe(self._streams.now), all_slots(self._infos())

    def step(self, actions):
        """One pull in every slot.

        Args:
            actions (`array_like` of int, shape `(num_envs,)`): each below its slot's number of usable arms.

        Returns:
            `(observations, rewards, terminated, truncated, infos)`: `(num_envs, ...)`, float32 `(num_envs,)`, bool
            `(num_envs,)` twice (`terminated` is all false), and a dict that holds `regret`, float64 `(num_envs,)`, and
            `action_mask`, int8 `(num_envs, num_arms)`.

        Raises:
            ValueError: actions of the wrong kind or shape, or a slot's task has no such arm.
        """
        actions = self._checked_actions(actions)
        value, best = self._pull(actions, self._streams.now)
        rewards = self._earned(value, self._streams.now).astype(np.float32)
        self._regret = best - value
        if self.render_mode is not None:
            self._drawn_values = self._values(self._streams.now)
            self._pulls[self._slots, actions] += 1
            self._last = actions.copy()
        self._steps += 1
        truncated = self._steps >= self.horizon
        self._streams.advance()
        observations = self._observe(self._streams.now)
        if truncated.any():
            final = self._infos()
            self._streams.skip(truncated)
            self._begin(truncated)
            infos = same_step_infos(observations, truncated, final, self._infos())
            observations = self._observe(self._streams.now)
        else:
            infos = all_slots(self._infos())
        return observations, rewards, np.zeros(self.num_envs, dtype=bool), truncated, infos

    def render(self):
        """One frame per slot, a tuple of uint8 arrays `(360, 480, 3)`; see the scalar environment."""
        if self.render_mode is None:
            return warn_of_no_mode()
        if self._streams is None:
            raise gym.error.ResetNeeded("there is nothing to draw yet; call reset() before render()")
        from hf_icrl.envs.bandit_drawing import draw_bandit

        frames = []
        for slot, (task, count, last) in enumerate(zip(self._tasks, self._num_usable, self._last, strict=True)):
            values, pulls = self._drawn_values[slot, :count].tolist(), self._pulls[slot, :count].tolist()
            present = ~np.isnan(task.reshape(len(task), -1)).any(axis=1)
            shown = self._drawn_range(task[present].tolist())
            frames.append(draw_bandit(values, *shown, pulls, None if last < 0 else int(last)))
        return tuple(frames)

    def _begin(self, mask):
        self._steps[mask] = 0
        self._regret = np.where(mask, 0.0, self._regret)
        if self.render_mode is not None:
            self._pulls[mask] = 0
            self._last[mask] = -1
            self._drawn_values[mask] = self._values(self._streams.now)[mask]

    def _infos(self):
        return {"regret": self._regret, "action_mask": self._action_mask}

    def _draw_tasks(self, mask):
        drawn = self._drawn_tasks(task_streams(self._streams.keys[mask]))
        if self._tasks is None:
            self._tasks = drawn  # the first reset seeds all slots
        else:
            self._tasks[mask] = drawn
        self._on_tasks()

    def _on_tasks(self):
        self._num_usable = self._usable()
        self._action_mask = (np.arange(self.num_arms) < self._num_usable[:, None]).astype(np.int8)
        self._prepare()

    def _checked_actions(self, actions):
        if self._streams is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers of shape ({self.num_envs},), got {actions.dtype} of shape {actions.shape}"
            )
        wrong = (actions < 0) | (actions >= self._num_usable)
        if wrong.any():
            slot = int(np.flatnonzero(wrong)[0])
            raise ValueError(unusable_arm(actions[slot], self._num_usable[slot]))
        return actions


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
