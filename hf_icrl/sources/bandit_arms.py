"""What the bandit sources share: the usable arms of many bandits in flat arrays, and what each arm has paid."""

import numpy as np

from hf_icrl.counter_random import bits, stream_keys


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
        self._starts = starts
        self._order = order
        self._place = np.full((n, family.num_actions), -1)
        self._place[self.bandit, self.arm] = np.arange(len(self.arm))
        self._rows = np.arange(n)

    def streams(self, seed, domain, history_ids):
        """One stream per place, uint64 `(places,)`, which depends on the bandit's history id and the arm alone."""
        return bits(stream_keys(seed, domain, history_ids)[self.bandit], self.arm)

    def places(self, actions):
        """The place of one arm of each bandit: int64 `(n,)`."""
        return self._place[self._rows, actions]

    def best(self, scores, ties=None):
        """The arm of the highest score of each bandit: int64 `(n,)`.

        Args:
            scores (`np.ndarray`, shape `(places,)`): numbers, infinities included.
            ties (`np.ndarray`, shape `(places,)`, *optional*): which of equal scores wins: the highest of these, which
                makes the choice uniform if they are random. Without it, the first one wins.
        """
        n = len(self._rows)
        winner = np.arange(n)
        best = scores[:n].copy()
        best_tie = None if ties is None else ties[:n].copy()
        for start, size in self._slices[1:]:
            mine = scores[start : start + size]
            better = mine > best[:size]
            if ties is not None:
                better |= (mine == best[:size]) & (ties[start : start + size] > best_tie[:size])
                np.copyto(best_tie[:size], ties[start : start + size], where=better)
            np.maximum(best[:size], mine, out=best[:size])
            np.copyto(winner[:size], self._rows[:size] + start, where=better)
        actions = np.empty(n, dtype=np.int64)
        actions[self._order] = self.arm[winner]
        return actions

    def highest(self, scores):
        """The highest score of each bandit and how many of its arms have it: two arrays `(n,)`."""
        n = len(self._rows)
        best = scores[:n].copy()
        for start, size in self._slices[1:]:
            np.maximum(best[:size], scores[start : start + size], out=best[:size])
        highest = np.empty_like(best)
        highest[self._order] = best
        return highest, np.bincount(self.bandit[scores == highest[self.bandit]], minlength=n)


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
    """Raise `ValueError` unless the family's tasks are bandits without contexts: discrete actions, nothing to see."""
    space = observation_space(family, tasks)
    if not sees_nothing(space):
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


def observation_space(family, tasks):
    """What one of the family's environments shows, a gymnasium space."""
    envs = family.make_vec(tasks[:1])
    space = envs.single_observation_space
    envs.close()
    return space
