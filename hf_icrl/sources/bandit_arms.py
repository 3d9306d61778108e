"""What the bandit sources share: the usable arms of many bandits in flat arrays, and what each arm has paid."""

import numpy as np

from hf_icrl.counter_random import bits, stream_keys
from hf_icrl.envs.bandit_tasks import FixedValues


class Arms:
    """The usable arms of n bandits side by side, so that no work is done for arms that a bandit lacks.

    A *place* is an arm of a bandit. First comes the first usable arm of every bandit, then the second of all that have
    two, and so on, the bandits with the most arms first: the j-th arms are one slice, and so are their bandits.

    Args:
        family (`hf_icrl.tasks.TaskFamily`), tasks (`list[dict]`): one task per bandit; discrete actions only.

    Attributes:
        bandit, arm: int64 `(places,)`, what each place is.
        counts: int64 `(n,)`, usable arms of each bandit.
    """

    def __init__(self, family, tasks):
        n = len(tasks)
        available = family.available_actions(tasks)
        if available is None:
            available = np.ones((n, family.num_actions), dtype=bool)
        self.counts = available.sum(axis=1)
        order = np.argsort(-self.counts, kind="stable")
        listed = np.argsort(~available[order], axis=1, kind="stable")
        present = np.arange(family.num_actions)[:, None] < self.counts[order]
        self.bandit = np.broadcast_to(order, present.shape)[present]
        self.arm = listed.T[present]
        sizes = present.sum(axis=1)
        starts = np.cumsum(sizes) - sizes
        self._slices = [(int(a), int(b)) for a, b in zip(starts, sizes, strict=True) if b]
        # Where each place's bandit stands within every slice.
        self._rank = np.broadcast_to(np.arange(n), present.shape)[present]
        self._place = np.full((n, family.num_actions), -1)
        self._place[self.bandit, self.arm] = np.arange(len(self.arm))
        self._rows = np.arange(n)

    def streams(self, seed, domain, history_ids):
        """One stream per place, uint64 `(places,)`, which depends on the bandit's history id and the arm alone."""
        return bits(stream_keys(seed, domain, history_ids)[self.bandit], self.arm)

    def places(self, actions):
        """The place of one arm of each bandit: int64 `(n,)`."""
        return self._place[self._rows, actions]

    def best(self, scores, ties=None, time=None):
        """The arm of the highest score of each bandit: int64 `(n,)`.

        Args:
            scores (`np.ndarray`, shape `(places,)`): numbers, infinities included.
            ties (`np.ndarray` of uint64, shape `(places,)`, *optional*), time (`int`, *optional*): the streams, and
                where in them, by which equal scores are told apart at random. Without them the first one wins.
        """
        hits = self._hits(scores)
        if len(hits) > len(self._rows):
            # Of the values that are assigned to one place, NumPy keeps the last.
            hits = hits[::-1] if ties is None else hits[np.argsort(bits(ties[hits], time), kind="stable")]
        actions = np.empty(len(self._rows), dtype=np.int64)
        actions[self.bandit[hits]] = self.arm[hits]
        return actions

    def ties(self, scores):
        """Which places have their bandit's highest score, bool `(places,)`, and how many of each bandit: `(n,)`."""
        hits = self._hits(scores)
        highest = np.zeros(len(scores), dtype=bool)
        highest[hits] = True
        return highest, np.bincount(self.bandit[hits], minlength=len(self._rows))

    def _hits(self, scores):
        """The places that have their bandit's highest score, ascending."""
        best = scores[: len(self._rows)].copy()
        for start, size in self._slices[1:]:
            np.maximum(best[:size], scores[start : start + size], out=best[:size])
        return np.flatnonzero(scores == best.take(self._rank))


class Payouts:
    """How often each arm was pulled and what it paid in all: float64 `(places,)` each."""

    def __init__(self, arms):
        self._arms = arms
        self.pulls = np.zeros(len(arms.arm))
        self.sums = np.zeros(len(arms.arm))

    def add(self, actions, rewards):
        """Add one pull of each bandit; returns the places that changed, int64 `(n,)`."""
        at = self._arms.places(actions)
        self.pulls[at] += 1
        self.sums[at] += rewards
        return at


def check_bandit(source, family, tasks):
    """Raise `ValueError` unless the family's tasks are bandits without contexts: discrete actions, nothing to see, or
    nothing that tells anything."""
    space, _ = family.spaces(tasks[0])
    if not (sees_nothing(space) or isinstance(family, FixedValues)):
        raise ValueError(
            f'{source.name} plays bandits, whose observation is Discrete(1), but {family!r} has {space}; use "lin_ucb" '
            'for contexts, or a source that learns from states, such as "q_learning"'
        )
    if family.num_actions is None:
        raise ValueError(f"{source.name} needs discrete actions, but {family!r} has continuous ones")


def sees_nothing(space):
    """Is this the observation space of a bandit without contexts?"""
    from gymnasium.spaces import Discrete

    return isinstance(space, Discrete) and space.n == 1
