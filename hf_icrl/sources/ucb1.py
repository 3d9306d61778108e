"""UCB1: optimism about arms that were seldom pulled, batched over tasks."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.checks import checked_choice, checked_number
from hf_icrl.sources.bandit_arms import Arms, Payouts, check_bandit
from hf_icrl.sources.base import Source

BONUSES = ("log", "count")


@dataclass
class UCB1(Source):
    """Pulls the arm of the highest upper confidence bound (Auer et al. 2002); ties are broken at random.

    The defaults are the reference curves of Headless-AD (Sinii et al. 2024, arXiv:2312.13327); Auer's own is `c=2`. Those
    of DPT (Lee et al. 2023, arXiv:2306.14892) are `c=1, bonus="count"`.

    Args:
        c (`float`, *optional*, defaults to 0.3): how much optimism, >= 0.
        bonus (`str`, *optional*, defaults to `"log"`): what is added to the mean of an arm that was pulled m times in t
            pulls of all arms: `"log"`: sqrt(c * ln t / m), arms that were never pulled come first; `"count"`:
            c / sqrt(m), an arm that was never pulled has mean 0 and m = 1.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the family's observations tell something of the arms.
    """

    c: float = 0.3
    bonus: str = "log"

    name = "ucb1"

    def __post_init__(self):
        self.c = checked_number(self.c, "c", 0.0, 1e9)
        checked_choice(self.bonus, "bonus", BONUSES)

    def describe(self):
        if self.bonus == "log":
            bonus = f"sqrt({self.c:g} ln t / m), after each arm was pulled once"
        else:
            bonus = f"{self.c:g} / sqrt(m)"
        return (
            "UCB1 from scratch, one learner per history: it pulls the arm of the highest mean reward plus "
            f"{bonus} (m: pulls of the arm, t: of all arms), ties broken at random."
        )

    def begin(self, family, tasks, history_ids, seed):
        check_bandit(self, family, tasks)
        return _Learners(self, Arms(family, tasks), history_ids, seed)


class _Learners:
    def __init__(self, source, arms, history_ids, seed):
        self.source = source
        self.arms = arms
        self.payouts = Payouts(arms)
        self.ties = arms.streams(seed, "ucb1/ties", history_ids)
        first, width = (np.inf, 0.0) if source.bonus == "log" else (0.0, 1.0)
        self.mean = np.full(len(arms.arm), first)
        self.width = np.full(len(arms.arm), width)  # 1 / sqrt(pulls)

    def act(self, observations, clock):
        factor = self.source.c
        if self.source.bonus == "log":
            # Every run has pulled once at each step so far.
            factor = np.sqrt(self.source.c * np.log(max(clock.time, 1)))
        return self.arms.best(self.mean + factor * self.width, self.ties, clock.time), {}

    def learn(self, transition):
        at = self.payouts.add(transition.actions, transition.rewards)
        self.mean[at] = self.payouts.sums[at] / self.payouts.pulls[at]
        self.width[at] = 1.0 / np.sqrt(self.payouts.pulls[at])
