"""What all bandits share: the rules of an episode, the scalar environment, and checks of arguments.

A bandit has a fixed number of pulls and no state that a pull could change. Its episodes are one arm pulled again and
again; the next episode is the same task once more.
"""

import operator
from abc import ABC, abstractmethod

import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_int
from hf_icrl.counter_random import bits
from hf_icrl.envs.drawn_ahead import DrawnAhead
from hf_icrl.envs.episodic import EpisodicEnv

# The streams from which an environment without a task draws one, and observations without meaning, begin at these
# numbers of its slot's stream: no clock of a slot ever comes there.
_TASK_STREAM, _SIGHT_STREAM = 2**62, 2**62 + 1
# The one slot of a scalar environment.
_ALONE = np.zeros(1, dtype=np.int64)


class BanditRules(ABC):
    """What a kind of bandit defines once, for its scalar and its vector environment alike.

    The methods work for Python numbers as well as for arrays with one entry per slot, and round alike for both.
    """

    @abstractmethod
    def _draw(self, keys, clocks):
        """The random numbers that belong to an observation and to the pull after it; see `DrawnAhead`."""

    @abstractmethod
    def _earned(self, value, numbers):
        """The reward of a pull whose expected reward is `value`, given the random `numbers` `(k,)` or `(k, n)`."""

    @abstractmethod
    def _drawn_tasks(self, keys):
        """The tasks that environments without a task take from the streams `keys` `(n,)`: an array `(n, ...)`."""

    @abstractmethod
    def _drawn_range(self, task):
        """The expected rewards `(low, high)`, low <= 0 <= high, that a picture of `task` (a list) has room for."""


class GaussianRewards:
    """Normal rewards, whose standard deviation is `self.noise`; the last of the numbers is the noise."""

    def _earned(self, value, numbers):
        return value + self.noise * numbers[-1]


class BanditEnv(BanditRules, EpisodicEnv):
    """Base of the scalar bandits.

    A subclass checks its arguments, calls this constructor and defines `BanditRules` and what is abstract here. Its
    `step` and `reset` give the infos `regret`, a float, and `action_mask`, int8 `(num_arms,)`, 1 where there is an arm.

    Args:
        num_arms (`int`): size of the action space.
        horizon (`int`): pulls after which an episode is truncated, >= 1.
        task (`list` or `None`): the task, checked; `None` has `reset(seed=...)` draw one.
        observation_space (`gymnasium.spaces.Space`): what is shown.
    """

    def __init__(self, num_arms, horizon, task, observation_space, render_mode=None):
        self.num_arms = num_arms
        self.horizon = checked_int(horizon, "horizon", 1)
        super().__init__(observation_space, num_arms, render_mode)
        self._task = task
        self._draws_task = task is None
        self._ahead = None

    @abstractmethod
    def _values(self, numbers):
        """The expected rewards of all usable arms now, a list of floats."""

    def _seeded(self):
        self._ahead = self._ahead or DrawnAhead(1, self._draw)
        self._ahead.seed(_ALONE, self._stream)
        if self._draws_task:
            self._task = self._drawn_tasks(task_streams(self._stream))[0].tolist()
        self._num_actions = self._num_usable()
        self._mask = (np.arange(self.num_arms) < self._num_actions).astype(np.int8)

    def _begin(self):
        if self._episode:
            self._ahead.skip(_ALONE)
        self._numbers = self._ahead.now[:, 0].tolist()
        self._regret = 0.0
        self._pulls, self._last = [0] * self._num_actions, None
        self._drawn_values = self._values(self._numbers)

    def step(self, action):
        """Pull one arm. Returns `(observation, reward, False, truncated, infos)`.

        Raises:
            ValueError: the task has no such arm.
        """
        action = operator.index(action)
        if self._steps is None or not 0 <= action < self._num_actions:
            raise self._refusal(action)
        values = self._values(self._numbers)
        reward = np.float32(self._earned(values[action], self._numbers))
        self._regret = max(values) - values[action]
        self._drawn_values, self._last = values, action
        self._pulls[action] += 1
        self._steps += 1
        truncated = self._steps >= self.horizon
        if truncated:
            self._steps = None
        self._ahead.advance()
        self._numbers = self._ahead.now[:, 0].tolist()
        return self._observe(), float(reward), False, truncated, self._infos()

    def _frame(self):
        """The arms' expected rewards at the last pull, and the pulls of the episode: uint8 `(360, 480, 3)`."""
        from hf_icrl.envs.bandit_drawing import draw_bandit

        return draw_bandit(self._drawn_values, *self._drawn_range(self._task), self._pulls, self._last)

    def _infos(self):
        return {"regret": self._regret, "action_mask": self._mask.copy()}

    def _out_of_range(self, action):
        return unusable_arm(action, self._num_actions)

    def _num_usable(self):
        return len(self._task)


def dot(weights, features):
    """The inner product of two sequences over their first axis, added in its order.

    A matrix product adds in an order that depends on shapes and libraries, and so rounds differently for one slot
    and for many.
    """
    total = weights[0] * features[0]
    for weight, feature in zip(weights[1:], features[1:], strict=True):
        total = total + weight * feature
    return total


def task_streams(keys):
    """The streams of the slots' tasks, from the slots' keys `(n,)`."""
    return bits(keys, _TASK_STREAM)


def sight_streams(keys):
    """The streams of observations that have nothing to do with the rewards, from the slots' keys `(n,)`."""
    return bits(keys, _SIGHT_STREAM)


def nothing_to_see():
    """The observation space of bandits that show nothing: `Discrete(1)`, always 0."""
    return spaces.Discrete(1)


def unusable_arm(arm, count):
    """The sentence that refuses a pull."""
    return f"an action is {arm}, but this task has {count} arms: it must be an integer from 0 to {count - 1}"


def checked_table(value, what, shape, ragged=False):
    """`value` as a finite float64 array.

    Args:
        value (nested lists or array of numbers), what (`str`): what it is called in the error message.
        shape (`tuple` of `int`): the shape that it must have.
        ragged (`bool`): the first dimension may be smaller, down to 1.
    """
    table = as_table(value)
    if table is None or table.dtype.kind not in "iuf":
        raise ValueError(f"{what} is {value!r}; it must hold numbers in an array of shape {shape}")
    fits = table.shape == shape
    if ragged and table.ndim == len(shape):
        fits = table.shape[1:] == shape[1:] and 1 <= len(table) <= shape[0]
    if not fits:
        most = f", or with fewer than {shape[0]} rows (usable arms), at least 1" if ragged else ""
        raise ValueError(f"{what} has shape {table.shape}; it must be {shape}{most}")
    if not np.isfinite(table).all():
        raise ValueError(f"{what} is {value!r}; all its numbers must be finite")
    return table.astype(np.float64)


def as_table(value):
    """`value` as an array, or `None` if it is a list of lists of different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return None
