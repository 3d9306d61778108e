"""The linear bandit for thousands of slots at once."""

import math

import numpy as np

from hf_icrl.checks import checked_int, checked_number
from hf_icrl.envs.bandits import dot, nothing_to_see
from hf_icrl.envs.bandits_vector import BanditVectorEnv, checked_tasks
from hf_icrl.envs.linear_bandit import LinearRules, linear_arms


class LinearBanditVectorEnv(LinearRules, BanditVectorEnv):
    """`num_envs` linear bandits in lock-step; slot i equals `LinearBanditEnv(theta=...)` on its theta.

    Args:
        num_envs (`int`): number of slots, >= 1.
        theta (`array_like` of float, *optional*): one theta `(dimension,)` for all slots, or an array
            `(num_envs, dimension)`. Without it, each slot draws its own from its seed, as `LinearBanditEnv` does.
        num_arms, dimension, arm_seed, horizon, noise, render_mode: as in `LinearBanditEnv`.

    Attributes:
        arms (`np.ndarray`, float64 `(num_arms, dimension)`): the features, those of all slots.
        theta (`np.ndarray`, float64 `(num_envs, dimension)`): `None` before the reset that draws them.

    Raises:
        ValueError: an argument is of the wrong kind, or there is not one theta per slot.
    """

    def __init__(
        self,
        num_envs=1,
        num_arms=10,
        dimension=2,
        arm_seed=1234,
        theta=None,
        horizon=200,
        noise=0.3,
        render_mode=None,
    ):
        num_envs = checked_int(num_envs, "num_envs", 1)
        num_arms = checked_int(num_arms, "num_arms", 1)
        self.dimension = checked_int(dimension, "dimension", 1)
        self.arms = linear_arms(num_arms, self.dimension, arm_seed)
        self.noise = checked_number(noise, "noise", 0, math.inf)
        if theta is not None:
            theta = checked_tasks(theta, "theta", (self.dimension,), num_envs)
            if not np.isfinite(theta).all():
                raise ValueError(f"theta is {theta.tolist()}; all its numbers must be finite")
        super().__init__(num_envs, num_arms, horizon, theta, nothing_to_see(), render_mode)

    @property
    def theta(self):
        return self._tasks

    def _usable(self):
        return np.full(self.num_envs, self.num_arms)

    def _prepare(self):
        self._means = dot(self.arms.T, self._tasks.T[:, :, None])  # (slots, arms)
        self._best = self._means.max(axis=1)

    def _pull(self, actions, numbers):
        return self._means[self._slots, actions], self._best

    def _values(self, numbers):
        return self._means.copy()

    def _observe(self):
        return np.zeros(self.num_envs, dtype=np.int64)
