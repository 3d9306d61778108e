"""The linear bandit family of the Decision-Pretrained Transformer (Lee et al. 2023, arXiv:2306.14892)."""

import math

import numpy as np

from hf_icrl.checks import checked_int, checked_number
from hf_icrl.counter_random import stream_keys
from hf_icrl.envs.bandit_tasks import BanditFamily, FixedValues
from hf_icrl.envs.bandits import dot
from hf_icrl.envs.linear_bandit import checked_theta, drawn_thetas, linear_arms
from hf_icrl.naming import nearest


class LinearBanditFamily(FixedValues, BanditFamily):
    """Linear bandits that share their arms' features and differ in theta.

    Args:
        num_arms, dimension, arm_seed, horizon, noise: as in `hf_icrl.envs.LinearBanditEnv`.

    Attributes:
        arms (`np.ndarray`, float64 `(num_arms, dimension)`): the features.
    """

    name = "linear_bandit"
    env_id = "hf_icrl/LinearBandit-v0"
    entry = "theta"
    example = '{"theta": [0.3, -1.2]}'
    task_sets = {"eval": "DPT's evaluation: fresh tasks of the law of training, theta N(0, I / d)"}

    def __init__(self, num_arms=10, dimension=2, arm_seed=1234, horizon=200, noise=0.3):
        env_kwargs = {
            "num_arms": checked_int(num_arms, "num_arms", 1),
            "dimension": checked_int(dimension, "dimension", 1),
            "arm_seed": checked_int(arm_seed, "arm_seed", 0),
            "horizon": checked_int(horizon, "horizon", 1),
            "noise": checked_number(noise, "noise", 0, math.inf),
        }
        super().__init__(env_kwargs, horizon=env_kwargs["horizon"], num_actions=env_kwargs["num_arms"])
        self._dimension = env_kwargs["dimension"]
        self.arms = linear_arms(self.num_actions, self._dimension, env_kwargs["arm_seed"])

    def sample(self, num=1000, seed=0):
        """`num` tasks, theta N(0, I / dimension); task i depends on `(seed, i)` alone.

        Args:
            num (`int`, *optional*, defaults to 1000): how many, >= 1.
            seed (`int`, *optional*, defaults to 0): which.
        """
        return self._drawn("linear_bandit", num, seed)

    def task_set(self, name, num=100, seed=0):
        """The set of `task_sets`, drawn from other streams than `sample`'s."""
        if name not in self.task_sets:
            raise ValueError(f"unknown task set {name!r} of {self.name!r}: {nearest(name, self.task_sets)}")
        return self._drawn(f"linear_bandit/set/{name}", num, seed)

    def _drawn(self, domain, num, seed):
        keys = stream_keys(checked_int(seed, "seed", 0), domain, np.arange(checked_int(num, "num", 1)))
        return [{"theta": theta} for theta in drawn_thetas(keys, self._dimension).tolist()]

    def _checked(self, value):
        return checked_theta(value, self._dimension)

    def _stacked(self, tasks):
        return np.array([task["theta"] for task in tasks], dtype=np.float64).reshape(len(tasks), self._dimension)

    def values(self, observations, task_array):
        """The arms' inner products with theta, whatever is observed."""
        return dot(self.arms.T, task_array.T[:, :, None])

    def oracle_return(self, task):
        """The best arm's expected reward, `horizon` times; exact."""
        return self.horizon * float(self._values_of(task).max())

    def random_return(self, task):
        """The mean of the arms' expected rewards, `horizon` times; exact."""
        return self.horizon * float(self._values_of(task).mean())

    def _values_of(self, task):
        return self.values(None, self.task_array([task]))[0]
