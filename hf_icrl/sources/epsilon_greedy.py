"""Epsilon-greedy pulls of bandit arms, batched over tasks."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.checks import checked_number
from hf_icrl.counter_random import stream_keys, uniforms
from hf_icrl.sources.bandit_arms import Arms, Payouts, check_bandit
from hf_icrl.sources.base import Source
from hf_icrl.sources.schedules import noise_level


@dataclass
class EpsilonGreedy(Source):
    """Pulls a random arm with probability epsilon, else that of the highest mean reward; ties are broken at random.

    Epsilon falls linearly with every pull. The defaults are a reference curve of Headless-AD (Sinii et al. 2024,
    arXiv:2312.13327). An arm that was never pulled counts as one that pays 0. Offers `log_probs`.

    Args:
        eps_start (`float`, *optional*, defaults to 1.0), eps_end (`float`, *optional*, defaults to 0.0): epsilon at the
            history's first step and after the decay, in [0, 1].
        decay_fraction (`float`, *optional*, defaults to 2/3): the share of the history after which epsilon has reached
            `eps_end`, in [0, 1].

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the family's observations tell something of the arms.
    """

    eps_start: float = 1.0
    eps_end: float = 0.0
    decay_fraction: float = 2 / 3

    name = "epsilon_greedy"
    offers = ("log_probs",)

    def __post_init__(self):
        self.eps_start = checked_number(self.eps_start, "eps_start", 0.0, 1.0)
        self.eps_end = checked_number(self.eps_end, "eps_end", 0.0, 1.0)
        self.decay_fraction = checked_number(self.decay_fraction, "decay_fraction", 0.0, 1.0)

    def describe(self):
        return (
            "Epsilon-greedy bandit learning from scratch, one learner per history: a random arm with probability "
            "epsilon, else the arm of the highest mean reward, ties broken at random; epsilon falls linearly from "
            f"{self.eps_start:g} to {self.eps_end:g} over the first {self.decay_fraction:.0%} of a history."
        )

    def begin(self, family, tasks, history_ids, seed):
        check_bandit(self, family, tasks)
        return _Learners(self, Arms(family, tasks), history_ids, seed)


class _Learners:
    def __init__(self, source, arms, history_ids, seed):
        self.source = source
        self.arms = arms
        self.payouts = Payouts(arms)
        self.mean = np.zeros(len(arms.arm))
        self.explore = stream_keys(seed, "epsilon_greedy/explore", history_ids)
        self.ties = arms.streams(seed, "epsilon_greedy/ties", history_ids)
        self.fraction = np.full(len(history_ids), source.decay_fraction)

    def act(self, observations, clock):
        source, arms = self.source, self.arms
        eps = noise_level("linear", clock, self.fraction, source.eps_start, source.eps_end)
        random = uniforms(self.explore, clock.time) < eps
        # Who explores sees equal values, so that the tie is broken among all arms.
        values = np.where(random[arms.bandit], 0.0, self.mean)
        actions = arms.best(values, self.ties, clock.time)
        highest, tied = arms.ties(self.mean)
        greedy = np.where(highest[arms.places(actions)], (1.0 - eps) / tied, 0.0)
        return actions, {"log_probs": np.log(eps / arms.counts + greedy).astype(np.float32)}

    def learn(self, transition):
        at = self.payouts.add(transition.actions, transition.rewards)
        self.mean[at] = self.payouts.sums[at] / self.payouts.pulls[at]
