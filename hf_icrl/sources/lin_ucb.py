"""LinUCB: optimism about rewards that are linear in a context or in an arm's features, batched over tasks."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.checks import checked_bool, checked_number
from hf_icrl.sources.bandit_arms import Arms, sees_nothing
from hf_icrl.sources.base import Source


@dataclass
class LinUCB(Source):
    """Pulls the arm of the highest upper confidence bound of a ridge regression (Li et al. 2010, arXiv:1003.0146).

    Where a context x is observed, each arm has a regression of its own ("disjoint"): A = ridge * I + sum of x x^T,
    theta = A^-1 * sum of reward * x, over its own pulls, and its bound is theta . x + alpha * sqrt(x^T A^-1 x). Where
    the arms have fixed features instead (the family's `arms`), a bandit has one regression, and x is the arm's features.
    Ties are broken at random.

    The defaults made the contextual histories of Headless-AD (Sinii et al. 2024, arXiv:2312.13327). The baseline of DPT
    on linear bandits (Lee et al. 2023, arXiv:2306.14892) is `alpha=1.0, optimistic_start=False`.

    Args:
        alpha (`float`, *optional*, defaults to 0.3): how much optimism, >= 0.
        ridge (`float`, *optional*, defaults to 1.0): the regression's penalty, above 0.
        optimistic_start (`bool`, *optional*, defaults to `True`): arms that were never pulled come first.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the family's observations are no vectors and its arms
            have no features either.
    """

    alpha: float = 0.3
    ridge: float = 1.0
    optimistic_start: bool = True

    name = "lin_ucb"

    def __post_init__(self):
        self.alpha = checked_number(self.alpha, "alpha", 0.0, 1e9)
        self.ridge = checked_number(self.ridge, "ridge", 1e-9, 1e9)
        self.optimistic_start = checked_bool(self.optimistic_start, "optimistic_start")

    def describe(self):
        start = ", after each arm was pulled once" if self.optimistic_start else ""
        return (
            "LinUCB from scratch, one learner per history: it pulls the arm of the highest predicted reward plus "
            f"{self.alpha:g} standard deviations of a ridge regression (penalty {self.ridge:g}) on the contexts, one "
            f"regression per arm, or on the features of the arms where these are fixed{start}; ties are broken at random."
        )

    def begin(self, family, tasks, history_ids, seed):
        from gymnasium.spaces import Box

        space, _ = family.spaces(tasks[0])
        if family.num_actions is None:
            raise ValueError(f"lin_ucb needs discrete actions, but {family!r} has continuous ones")
        arms = Arms(family, tasks)
        ties = arms.streams(seed, "lin_ucb/ties", history_ids)
        if isinstance(space, Box) and len(space.shape) == 1:
            return _DisjointLearners(self, arms, ties, space.shape[0])
        if sees_nothing(space) and hasattr(family, "arms"):
            return _SharedLearners(self, arms, ties, family.arms, len(tasks))
        raise ValueError(
            f"lin_ucb needs contexts (a Box of one dimension) or arms with fixed features, but {family!r} has {space} "
            'and no features; use "thompson" or "ucb1" for bandits without contexts'
        )


class _Learners:
    """Ridge regressions side by side; all sums over features have a fixed order, so that no neighbour changes a bit.

    Args:
        source, arms, ties: what to do, where, and the streams by which ties are broken.
        num_models (`int`), dimension (`int`): regressions, and the features of each.
    """

    def __init__(self, source, arms, ties, num_models, dimension):
        self.source = source
        self.arms = arms
        self.ties = ties
        # A^-1, which a pull changes by the formula of Sherman and Morrison; A itself is never needed.
        self.inverse = np.zeros((dimension, dimension, num_models))
        self.inverse[np.arange(dimension), np.arange(dimension)] = 1.0 / source.ridge
        self.response = np.zeros((dimension, num_models))
        self.theta = np.zeros((dimension, num_models))
        self.head_start = np.full(len(arms.arm), np.inf if source.optimistic_start else 0.0)

    def act(self, observations, clock):
        x = self._features(observations)
        theta, inverse = self._of_places(self.theta), self._of_places(self.inverse)
        bound = _dot(theta, x) + self.source.alpha * np.sqrt(_quadratic(inverse, x))
        return self.arms.best(bound + self.head_start, self.ties, clock.time), {}

    def learn(self, transition):
        at = self.arms.places(transition.actions)
        self.head_start[at] = 0.0
        model, x = self._pulled(at, transition.observations)
        inverse = self.inverse[:, :, model]
        change = np.stack([_dot(row, x) for row in inverse])
        inverse -= change[:, None] * change / (1.0 + _dot(change, x))
        self.inverse[:, :, model] = inverse
        self.response[:, model] += transition.rewards * x
        self.theta[:, model] = np.stack([_dot(row, self.response[:, model]) for row in inverse])


class _DisjointLearners(_Learners):
    """One regression per place, on the contexts."""

    def __init__(self, source, arms, ties, dimension):
        super().__init__(source, arms, ties, len(arms.arm), dimension)

    def _features(self, observations):
        return observations.T.astype(np.float64)[:, self.arms.bandit]

    def _of_places(self, values):
        return values

    def _pulled(self, at, observations):
        return at, observations.T.astype(np.float64)


class _SharedLearners(_Learners):
    """One regression per bandit, on the features `(num_arms, dimension)` of its arms."""

    def __init__(self, source, arms, ties, features, num_bandits):
        super().__init__(source, arms, ties, num_bandits, features.shape[1])
        self.features = np.ascontiguousarray(features.T[:, arms.arm])
        self.bandits = np.arange(num_bandits)

    def _features(self, observations):
        return self.features

    def _of_places(self, values):
        return values[..., self.arms.bandit]

    def _pulled(self, at, observations):
        return self.bandits, self.features[:, at]


def _dot(a, b):
    """Inner products of columns: `(d, n)` and `(d, n)` to `(n,)`."""
    total = a[0] * b[0]
    for i in range(1, len(a)):
        total += a[i] * b[i]
    return total


def _quadratic(matrices, x):
    """x^T M x of symmetric M: `(d, d, n)` and `(d, n)` to `(n,)`, not below zero."""
    total = np.zeros(x.shape[1])
    for i in range(len(x)):
        # The entries off the diagonal count twice.
        row = 0.5 * matrices[i, i] * x[i]
        for j in range(i + 1, len(x)):
            row += matrices[i, j] * x[j]
        total += row * x[i]
    return np.maximum(2.0 * total, 0.0)
