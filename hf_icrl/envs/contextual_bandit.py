"""The linear contextual bandit of Headless-AD (Sinii et al. 2024, arXiv:2312.13327)."""

import math

import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_int, checked_number
from hf_icrl.counter_random import normals
from hf_icrl.envs.bandits import BanditEnv, BanditRules, GaussianRewards, checked_table, dot


class ContextualRules(GaussianRewards, BanditRules):
    """Contexts are N(0, I / d), and arm w earns N(<w, context>, noise**2)."""

    def _draw(self, keys, clocks):
        # The context, and last the noise of the pull that answers it: different numbers of one stream, so that they
        # are independent of each other, and of those of every other slot.
        numbers = normals(keys, clocks, self.dimension + 1)
        to_contexts(numbers[:-1])
        return numbers

    def _drawn_tasks(self, keys):
        return drawn_arms(keys, self.num_arms, self.dimension)

    def _drawn_range(self, task):
        # One in ten contexts is longer (of two dimensions; fewer of more). Arms that are all 0 need some room, too.
        longest = 1.5 * max(math.hypot(*arm) for arm in task) or 1.0
        return -longest, longest


class ContextualBanditEnv(ContextualRules, BanditEnv):
    """A new context before every pull; arm w earns N(<w, context>, noise**2).

    The observation is the context, float32 `(dimension,)`, N(0, I / dimension) each time. An episode is truncated
    after `horizon` pulls and never terminates; the next one has the same arms. The infos of `reset` and `step` hold
    `regret`, the expected reward of the best arm in the context before the pull minus that of the pulled one (0.0 at
    a reset), and `action_mask`, int8 `(num_arms,)`, gymnasium's mask of the usable arms.

    Args:
        num_arms (`int`, *optional*, defaults to 20): size of the action space, >= 1.
        dimension (`int`, *optional*, defaults to 2): d, numbers in a context, >= 1.
        arms (`list[list[float]]`, *optional*): each usable arm's vector of d numbers, 1 to `num_arms` of them;
            actions beyond them are refused. Without it, `reset(seed=...)` draws `num_arms` arms from that seed,
            N(0, I / d) each, which stay until the next seeded reset.
        horizon (`int`, *optional*, defaults to 300): pulls in an episode, >= 1.
        noise (`float`, *optional*, defaults to 1.0): standard deviation of a reward, >= 0.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Attributes:
        arms (`list[list[float]]`): the arms; `None` before the reset that draws them.

    Raises:
        ValueError: an argument is of the wrong kind, or there are more than `num_arms` arms.
    """

    def __init__(self, num_arms=20, dimension=2, arms=None, horizon=300, noise=1.0, render_mode=None):
        num_arms = checked_int(num_arms, "num_arms", 1)
        self.dimension = checked_int(dimension, "dimension", 1)
        self.noise = checked_number(noise, "noise", 0, math.inf)
        arms = None if arms is None else checked_arms(arms, num_arms, self.dimension).tolist()
        super().__init__(num_arms, horizon, arms, context_space(self.dimension), render_mode)

    @property
    def arms(self):
        return self._task

    def _values(self, numbers):
        context = numbers[: self.dimension]
        return [dot(arm, context) for arm in self._task]

    def _observe(self):
        return np.array(self._numbers[: self.dimension], dtype=np.float32)


def to_contexts(numbers):
    """Standard normal numbers `(dimension, ...)` become contexts N(0, I / dimension), in place."""
    numbers *= len(numbers) ** -0.5
    numbers[...] = numbers.astype(np.float32)  # rewards follow from what is seen


def context_space(dimension):
    """The observation space of one slot."""
    return spaces.Box(-np.inf, np.inf, (dimension,), np.float32)


def checked_arms(arms, num_arms, dimension):
    """`arms` as a float64 array `(usable arms, dimension)`."""
    return checked_table(arms, "arms", (num_arms, dimension), ragged=True)


def drawn_arms(keys, num_arms, dimension, first=0):
    """Arms N(0, I / dimension), a set for each stream `(n,)`: float64 `(n, num_arms, dimension)`.

    Arm a is drawn at the stream's counter `first + a`.
    """
    drawn = normals(keys[:, None], first + np.arange(num_arms), dimension)
    return np.moveaxis(drawn, 0, 2) * dimension**-0.5
