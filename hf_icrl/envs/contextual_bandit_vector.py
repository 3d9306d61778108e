"""The linear contextual bandit for thousands of slots at once."""

import math

import numpy as np

from hf_icrl.checks import checked_int, checked_number
from hf_icrl.envs.bandits import dot
from hf_icrl.envs.bandits_vector import BanditVectorEnv, checked_arm_sets, usable_arms
from hf_icrl.envs.contextual_bandit import ContextualRules, checked_arms, context_space

# Values of arms that are computed at once: temporary arrays of more do not stay in a core's cache.
_AT_ONCE = 8192


class ContextualBanditVectorEnv(ContextualRules, BanditVectorEnv):
    """`num_envs` contextual bandits in lock-step; slot i equals `ContextualBanditEnv(arms=...)` on its arms.

    Args:
        num_envs (`int`): number of slots, >= 1.
        arms (`array_like` of float, *optional*): the arms of all slots, `(num_envs, num_arms, dimension)`, NaN for
            the arms after the last that a slot's task has; or those of one task for all, up to `num_arms` of them.
            Without it, each slot draws its own from its seed, as `ContextualBanditEnv` does.
        num_arms, dimension, horizon, noise, render_mode: as in `ContextualBanditEnv`.

    Attributes:
        arms (`np.ndarray`, float64 `(num_envs, num_arms, dimension)`): NaN where there is no arm; `None` before the
            reset that draws them.

    Raises:
        ValueError: an argument is of the wrong kind, or there is not one task per slot.
    """

    def __init__(self, num_envs=1, num_arms=20, dimension=2, arms=None, horizon=300, noise=1.0, render_mode=None):
        num_envs = checked_int(num_envs, "num_envs", 1)
        num_arms = checked_int(num_arms, "num_arms", 1)
        self.dimension = checked_int(dimension, "dimension", 1)
        self.noise = checked_number(noise, "noise", 0, math.inf)
        if arms is not None:
            shape = (num_arms, self.dimension)
            arms = checked_arm_sets(arms, "arms", shape, num_envs, lambda one: checked_arms(one, *shape))
        super().__init__(num_envs, num_arms, horizon, arms, context_space(self.dimension), render_mode)

    @property
    def arms(self):
        return self._tasks

    def _usable(self):
        return usable_arms(self._tasks, "arms")

    def _prepare(self):
        # An arm that a task lacks stands as its first one, so that it never is the only best.
        arms = np.where(np.isnan(self._tasks), self._tasks[:, :1], self._tasks)
        width = max(1, _AT_ONCE // self.num_arms)
        pieces = [slice(first, first + width) for first in range(0, self.num_envs, width)]
        # Weights are (dimension, arms, slots of a piece).
        self._pieces = [(piece, np.ascontiguousarray(arms[piece].transpose(2, 1, 0))) for piece in pieces]

    def _pull(self, actions, numbers):
        value, best = np.empty(self.num_envs), np.empty(self.num_envs)
        for piece, weights in self._pieces:
            values = dot(weights, numbers[: self.dimension, piece])
            value[piece] = values[actions[piece], self._slots[: values.shape[1]]]
            values.max(axis=0, out=best[piece])
        return value, best

    def _values(self, numbers):
        return np.concatenate([dot(w, numbers[: self.dimension, piece]).T for piece, w in self._pieces])

    def _observe(self):
        return self._ahead.now[: self.dimension].T.astype(np.float32, order="C")
