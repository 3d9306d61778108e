"""The Bernoulli bandit family: the reward laws and evaluation sets of Headless-AD (arXiv:2312.13327)."""

import numpy as np

from hf_icrl.checks import checked_choice, checked_int
from hf_icrl.counter_random import integers, stream_keys, uniforms
from hf_icrl.envs.bandit_tasks import ArmSetFamily, FixedValues, numbered_sets
from hf_icrl.envs.bernoulli_bandit import checked_means, checked_sight

_ALIASES = {"odd": "train", "even": "inverse"}
# Law -> probability that a task's good arms are the even ones. Published are exactly these shares, shuffled.
_EVEN_GOOD = {"train": 0.05, "inverse": 0.95}


class BernoulliBanditFamily(FixedValues, ArmSetFamily):
    """Bernoulli bandits that differ in their arms' means and in how many arms there are.

    Args:
        num_arms, horizon, observation, dimension: as in `hf_icrl.envs.BernoulliBanditEnv`.
    """

    name = "bernoulli_bandit"
    env_id = "hf_icrl/BernoulliBandit-v0"
    entry = "means"
    example = '{"means": [0.1, 0.9, 0.4]}'
    task_sets = {
        "train": 'Headless-AD "train": fresh tasks of the law of training, 4 to 20 arms, good arms at odd places in 95 % of the tasks',
        "inverse": 'Headless-AD "inverse": 4 to 20 arms, good arms at even places in 95 % of the tasks',
        "uniform": 'Headless-AD "all_new": 4 to 20 arms, means uniform in [0, 1)',
        **numbered_sets((5, 10, 15, 20, 25, 30, 40, 50, 100), "Headless-AD: {k} arms, means uniform in [0, 1)"),
    }

    def __init__(self, num_arms=20, horizon=300, observation="none", dimension=2):
        observation, dimension = checked_sight(observation, dimension)
        env_kwargs = {
            "num_arms": checked_int(num_arms, "num_arms", 1),
            "horizon": checked_int(horizon, "horizon", 1),
            "observation": observation,
            "dimension": dimension,
        }
        super().__init__(env_kwargs, horizon=env_kwargs["horizon"], num_actions=env_kwargs["num_arms"])
        self._shape = (self.num_actions,)

    def sample(self, num=1000, seed=0, law="train", min_arms=None, max_arms=None):
        """`num` tasks; task i depends on `(seed, law, i)` and the two bounds alone.

        Args:
            num (`int`, *optional*, defaults to 1000): how many, >= 1.
            seed (`int`, *optional*, defaults to 0): which.
            law (`str`, *optional*, defaults to `"train"`): `"train"` (or `"odd"`): arms at odd places (from 0) have
                means uniform in [0.5, 1), the others in [0, 0.5), but each task is mirrored (1 - mean) with
                probability 0.05; `"inverse"` (or `"even"`): mirrored with probability 0.95; `"uniform"`: all means
                uniform in [0, 1). (The paper mirrors exactly that share of a set.)
            min_arms, max_arms (`int`, *optional*): each task's number of arms is uniform between them, both included;
                both default to `num_arms`. Headless-AD trains on 4 to 20.

        Raises:
            ValueError: an unknown law, or bounds out of order.
        """
        law = checked_choice(_ALIASES.get(law, law), "law", [*_EVEN_GOOD, "uniform"])
        bounds = self._arm_range(min_arms, max_arms)
        return self._drawn(f"bernoulli_bandit/{law}", num, seed, law, bounds)

    def task_set(self, name, num=100, seed=0):
        """A set of `task_sets`, or "num_<k>" for any number of arms k, drawn from other streams than `sample`'s."""
        bounds = self._set_arm_range(name)
        return self._drawn(f"bernoulli_bandit/set/{name}", num, seed, name, bounds)

    def _drawn(self, domain, num, seed, law, bounds):
        keys = stream_keys(checked_int(seed, "seed", 0), domain, np.arange(checked_int(num, "num", 1)))
        low, high = bounds
        counts = low + integers(keys, 0, high - low + 1)
        means = uniforms(keys[:, None], 2 + np.arange(high))
        if law in _EVEN_GOOD:
            means /= 2
            means[:, 1::2] += 0.5
            mirrored = uniforms(keys, 1) < _EVEN_GOOD[law]
            means[mirrored] = 1 - means[mirrored]
        return [{"means": row[:n].tolist()} for row, n in zip(means, counts, strict=True)]

    def _checked(self, value):
        return checked_means(value, self.num_actions)

    def values(self, observations, task_array):
        """The means, whatever is observed."""
        return np.where(np.isnan(task_array), -np.inf, task_array)

    def oracle_return(self, task):
        """The best mean, `horizon` times; exact."""
        self.check_task(task)
        return float(self.horizon * max(task["means"]))

    def random_return(self, task):
        """The mean over the usable arms, `horizon` times; exact."""
        self.check_task(task)
        return float(self.horizon * np.mean(task["means"]))
