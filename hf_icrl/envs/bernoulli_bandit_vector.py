"""The Bernoulli bandit for thousands of slots at once."""

import numpy as np

from hf_icrl.checks import checked_int
from hf_icrl.envs.bandits_vector import BanditVectorEnv, checked_arm_sets, usable_arms
from hf_icrl.envs.bernoulli_bandit import BernoulliRules, checked_means, checked_sight, sight_space


class BernoulliBanditVectorEnv(BernoulliRules, BanditVectorEnv):
    """`num_envs` Bernoulli bandits in lock-step; slot i equals `BernoulliBanditEnv(means=...)` on its means.

    Args:
        num_envs (`int`): number of slots, >= 1.
        means (`array_like` of float, *optional*): the means of all slots, `(num_envs, num_arms)`, NaN for the arms
            after the last that a slot's task has; or those of one task for all, up to `num_arms` of them. Without it,
            each slot draws its own from its seed, as `BernoulliBanditEnv` does.
        num_arms, horizon, observation, dimension, render_mode: as in `BernoulliBanditEnv`.

    Attributes:
        means (`np.ndarray`, float64 `(num_envs, num_arms)`): NaN where there is no arm; `None` before the reset that
            draws them.

    Raises:
        ValueError: an argument is of the wrong kind, a mean is outside [0, 1], or there is not one task per slot.
    """

    def __init__(
        self, num_envs=1, num_arms=20, means=None, horizon=300, observation="none", dimension=2, render_mode=None
    ):
        num_envs = checked_int(num_envs, "num_envs", 1)
        num_arms = checked_int(num_arms, "num_arms", 1)
        means = None if means is None else _checked_means(means, num_envs, num_arms)
        self.observation, self.dimension = checked_sight(observation, dimension)
        space = sight_space(self.observation, self.dimension)
        super().__init__(num_envs, num_arms, horizon, means, space, render_mode)

    @property
    def means(self):
        return self._tasks

    def _usable(self):
        return usable_arms(self._tasks, "means")

    def _prepare(self):
        self._best = np.fmax.reduce(self._tasks, axis=1)

    def _pull(self, actions, numbers):
        return self._tasks[self._slots, actions], self._best

    def _values(self, numbers):
        return self._tasks.copy()

    def _observe(self):
        if self.observation == "none":
            return np.zeros(self.num_envs, dtype=np.int64)
        return self._ahead.now[: self.dimension].T.astype(np.float32, order="C")


def _checked_means(means, num_envs, num_arms):
    means = checked_arm_sets(means, "means", (num_arms,), num_envs, lambda one: checked_means(one, num_arms))
    outside = (means < 0) | (means > 1)
    if outside.any():
        raise ValueError(f"a mean is {means[outside][0]}; each is a probability, so it must be from 0 to 1")
    return means
