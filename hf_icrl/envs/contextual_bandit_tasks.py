"""The contextual bandit family: the law of arms and evaluation sets of Headless-AD (arXiv:2312.13327)."""

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np

from hf_icrl.checks import checked_int, checked_number
from hf_icrl.counter_random import integers, normals, stream_keys
from hf_icrl.envs.bandit_tasks import ArmSetFamily, numbered_sets
from hf_icrl.envs.bandits import dot
from hf_icrl.envs.contextual_bandit import checked_arms, drawn_arms

_DIRECTIONS = 2**15


class ContextualBanditFamily(ArmSetFamily):
    """Contextual bandits that differ in their arms' vectors and in how many arms there are.

    Args:
        num_arms, dimension, horizon, noise: as in `hf_icrl.envs.ContextualBanditEnv`.
    """

    name = "contextual_bandit"
    env_id = "hf_icrl/ContextualBandit-v0"
    entry = "arms"
    example = '{"arms": [[0.3, -1.2], [0.7, 0.1]]}'
    task_sets = {
        "train": 'Headless-AD "train": fresh tasks of the law of training, 4 to 20 arms, each N(0, I / d)',
        "eval": 'Headless-AD "eval": the same law, 4 to 20 arms',
        "eval_scaled": 'Headless-AD "eval_scaled": 4 to 20 arms, twice as long',
        **numbered_sets((20, 25, 30, 40, 50, 100), "Headless-AD: {k} arms, each N(0, I / d)"),
    }

    def __init__(self, num_arms=20, dimension=2, horizon=300, noise=1.0):
        env_kwargs = {
            "num_arms": checked_int(num_arms, "num_arms", 1),
            "dimension": checked_int(dimension, "dimension", 1),
            "horizon": checked_int(horizon, "horizon", 1),
            "noise": checked_number(noise, "noise", 0, math.inf),
        }
        super().__init__(env_kwargs, horizon=env_kwargs["horizon"], num_actions=env_kwargs["num_arms"])
        self._dimension = env_kwargs["dimension"]
        self._shape = (self.num_actions, self._dimension)

    def sample(self, num=1000, seed=0, scale=1.0, min_arms=None, max_arms=None):
        """`num` tasks; task i depends on `(seed, i)` and the other arguments alone.

        Args:
            num (`int`, *optional*, defaults to 1000): how many, >= 1.
            seed (`int`, *optional*, defaults to 0): which.
            scale (`float`, *optional*, defaults to 1.0): each arm is `scale` times a draw from N(0, I / dimension).
            min_arms, max_arms (`int`, *optional*): each task's number of arms is uniform between them, both included;
                both default to `num_arms`. Headless-AD trains on 4 to 20.

        Raises:
            ValueError: a negative scale, or bounds out of order.
        """
        scale = checked_number(scale, "scale", 0, math.inf)
        return self._drawn("contextual_bandit", num, seed, scale, self._arm_range(min_arms, max_arms))

    def task_set(self, name, num=100, seed=0):
        """A set of `task_sets`, or "num_<k>" for any number of arms k, drawn from other streams than `sample`'s."""
        bounds = self._set_arm_range(name)
        return self._drawn(f"contextual_bandit/set/{name}", num, seed, 2.0 if name == "eval_scaled" else 1.0, bounds)

    def _drawn(self, domain, num, seed, scale, bounds):
        keys = stream_keys(checked_int(seed, "seed", 0), domain, np.arange(checked_int(num, "num", 1)))
        low, high = bounds
        counts = low + integers(keys, 0, high - low + 1)
        arms = scale * drawn_arms(keys, high, self._dimension, first=1)
        return [{"arms": vectors[:n].tolist()} for vectors, n in zip(arms, counts, strict=True)]

    def _checked(self, value):
        return checked_arms(value, *self._shape)

    def values(self, observations, task_array):
        """The arms' inner products with the observed contexts `(n, dimension)`."""
        contexts = np.asarray(observations, dtype=np.float64).T[:, :, None]
        values = dot(np.moveaxis(task_array, 2, 0), contexts)
        return np.where(np.isnan(values), -np.inf, values)

    def oracle_return(self, task):
        """The expected value of the best arm, `horizon` times.

        A context's length and direction are independent, and the longest projection of the arms on a uniform
        direction is, on average over the plane, the perimeter of their convex hull over 2 pi (Cauchy): exact for
        dimension 2. It is half the range for dimension 1: exact, too. Otherwise the average is over 2**15 fixed random
        directions and their opposites, with a standard error of at most 0.16 % of it (2 arms; 0.07 % from 10 arms on).
        """
        self.check_task(task)
        arms, d = np.array(task["arms"], dtype=np.float64), self._dimension
        if d == 2:
            support = _hull_perimeter(arms.tolist()) / (2 * math.pi)
        else:
            projections = arms @ _directions(d)
            support = float((projections.max(axis=0) - projections.min(axis=0)).mean()) / 2
        length = math.sqrt(2 / d) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
        return self.horizon * length * support

    def random_return(self, task):
        """0: a context points in every direction alike."""
        self.check_task(task)
        return 0.0


@lru_cache(maxsize=8)
def _directions(dimension):
    """Unit vectors `(dimension, about 2**15)`, uniform on the sphere and always the same.

    They form orthonormal bases, over each of which every quadratic function has its exact average: for few arms the
    standard error is about a third of that of independent directions.
    """
    frames = -(-_DIRECTIONS // dimension)
    keys = stream_keys(0, "contextual_bandit/directions", np.arange(frames))
    vectors = normals(keys[:, None], np.arange(dimension), dimension)  # (coordinates, frames, vectors)
    bases = np.linalg.qr(vectors.transpose(1, 0, 2))[0]
    return bases.transpose(1, 0, 2).reshape(dimension, frames * dimension)


def _hull_perimeter(points):
    """Length of the way around the convex hull of points `[x, y]` (twice its length for a segment, 0 for a point)."""
    points = sorted(points)

    def half(ordered):
        """The chain that turns left only, from the first point to the last (Andrew's monotone chain)."""
        chain = []
        for x, y in ordered:
            while len(chain) > 1 and (
                (chain[-1][0] - chain[-2][0]) * (y - chain[-2][1])
                <= (chain[-1][1] - chain[-2][1]) * (x - chain[-2][0])
            ):
                chain.pop()
            chain.append((x, y))
        return sum(math.dist(a, b) for a, b in pairwise(chain))

    return half(points) + half(points[::-1])
