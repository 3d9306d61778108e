"""The linear bandit of the Decision-Pretrained Transformer (Lee et al. 2023, arXiv:2306.14892)."""

import math

import numpy as np

from hf_icrl.checks import checked_int, checked_number
from hf_icrl.counter_random import normals
from hf_icrl.envs.bandits import BanditEnv, BanditRules, GaussianRewards, checked_table, dot, nothing_to_see


class LinearRules(GaussianRewards, BanditRules):
    """Arm a earns N(<arms[a], theta>, noise**2), where the arms are the environment's and theta is the task."""

    def _draw(self, keys, clocks):
        return normals(keys, clocks)

    def _drawn_tasks(self, keys):
        return drawn_thetas(keys, self.dimension)

    def _drawn_range(self, task):
        values = dot(self.arms.T, task)
        low, high = min(values.min(), 0.0), max(values.max(), 0.0)
        return (low, high) if low < high else (-1.0, 1.0)


class LinearBanditEnv(LinearRules, BanditEnv):
    """Arms with known features, the same in all tasks; arm a earns N(<arms[a], theta>, noise**2) for the task's theta.

    Nothing is observed (`Discrete(1)`, always 0). An episode is truncated after `horizon` pulls and never terminates;
    the next one has the same theta. The infos of `reset` and `step` hold `regret`, the expected reward of the best arm
    minus that of the pulled one (0.0 at a reset), and `action_mask`, int8 `(num_arms,)`, all ones.

    Args:
        num_arms (`int`, *optional*, defaults to 10): size of the action space, >= 1.
        dimension (`int`, *optional*, defaults to 2): d, numbers in an arm's features and in theta, >= 1.
        arm_seed (`int`, *optional*, defaults to 1234): which arms, see `linear_arms`; the default is DPT's.
        theta (`list[float]`, *optional*): d numbers. Without it, `reset(seed=...)` draws it from that seed,
            N(0, I / d), and it stays until the next seeded reset.
        horizon (`int`, *optional*, defaults to 200): pulls in an episode, >= 1.
        noise (`float`, *optional*, defaults to 0.3): standard deviation of a reward, >= 0.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Attributes:
        arms (`np.ndarray`, float64 `(num_arms, dimension)`): the features.
        theta (`list[float]`): the task; `None` before the reset that draws it.

    Raises:
        ValueError: an argument is of the wrong kind.
    """

    def __init__(self, num_arms=10, dimension=2, arm_seed=1234, theta=None, horizon=200, noise=0.3, render_mode=None):
        num_arms = checked_int(num_arms, "num_arms", 1)
        self.dimension = checked_int(dimension, "dimension", 1)
        self.arms = linear_arms(num_arms, self.dimension, arm_seed)
        self.noise = checked_number(noise, "noise", 0, math.inf)
        theta = None if theta is None else checked_theta(theta, self.dimension).tolist()
        super().__init__(num_arms, horizon, theta, nothing_to_see(), render_mode)

    @property
    def theta(self):
        return self._task

    def _num_usable(self):
        return self.num_arms

    def _values(self, numbers):
        return dot(self.arms.T, self._task).tolist()

    def _observe(self):
        return np.int64(0)


def linear_arms(num_arms, dimension, arm_seed):
    """The features of all arms: float64 `(num_arms, dimension)`, N(0, I / dimension) each.

    They come from NumPy's frozen legacy generator, as DPT's do: a generator of its own, `RandomState(arm_seed)`, so
    that the defaults are the very arms of that paper's code.
    """
    arm_seed = checked_int(arm_seed, "arm_seed", 0)
    if arm_seed >= 2**32:
        raise ValueError(f"arm_seed is {arm_seed}; NumPy's RandomState takes seeds below 2**32 = {2**32}")
    return np.random.RandomState(arm_seed).normal(size=(num_arms, dimension)) / np.sqrt(dimension)


def checked_theta(theta, dimension):
    """`theta` as a float64 array `(dimension,)`."""
    return checked_table(theta, "theta", (dimension,))


def drawn_thetas(keys, dimension):
    """N(0, I / dimension) from each stream: float64 `(n, dimension)`."""
    return normals(keys, 0, dimension).T * dimension**-0.5
