"""Thompson sampling for bandits with independent arms, batched over tasks."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.checks import checked_choice, checked_number
from hf_icrl.counter_random import bits, normals
from hf_icrl.sources.bandit_arms import Arms, Payouts, check_bandit
from hf_icrl.sources.base import Source
from hf_icrl.sources.gamma_draws import log_gammas

PRIORS = ("beta", "gaussian")
# The standard deviation of rewards that a Gaussian posterior assumes where the family does not tell.
_DEFAULT_NOISE = 0.3


@dataclass
class ThompsonSampling(Source):
    """Pulls the arm whose mean is the highest in a draw from the posterior; each history is one learner's whole life.

    The defaults made the histories of Headless-AD (Sinii et al. 2024, arXiv:2312.13327, Beta(1, 1) priors). DPT (Lee et
    al. 2023, arXiv:2306.14892) compares itself with `prior="gaussian"` with the other defaults, and its linear bandits'
    histories are `prior="gaussian", prior_mean=0.0, prior_variance=1.0`: arms are independent there, too.

    A Beta variate is G / (G + G') of two gamma variates, so the highest one is found from their logarithms; these have
    every tail probability right to within 0.01 % (`hf_icrl.sources.quantile_tables`).

    Args:
        prior (`str`, *optional*, defaults to `"beta"`): `"beta"` for rewards of 0 and 1, or `"gaussian"`: a normal
            prior of each arm's mean, rewards normal with a known standard deviation.
        alpha, beta (`float`, *optional*, default to 1.0): parameters of the Beta prior, in [0.1, 1000].
        prior_mean (`float`, *optional*, defaults to 0.5), prior_variance (`float`, *optional*, defaults to 1/12): of
            the Gaussian prior; those of the uniform law on [0, 1].
        noise (`float`, *optional*): for `"gaussian"`: the rewards' standard deviation, above 0. By default the family's
            (its environment argument `noise`), or 0.3 if it has none.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the family's observations tell something of the arms, if
            a reward is neither 0 nor 1 with the Beta prior, or if the family's noise is 0 with the Gaussian.
    """

    prior: str = "beta"
    alpha: float = 1.0
    beta: float = 1.0
    prior_mean: float = 0.5
    prior_variance: float = 1 / 12
    noise: float | None = None

    name = "thompson"

    def __post_init__(self):
        checked_choice(self.prior, "prior", PRIORS)
        self.alpha = checked_number(self.alpha, "alpha", 0.1, 1000.0)
        self.beta = checked_number(self.beta, "beta", 0.1, 1000.0)
        self.prior_mean = checked_number(self.prior_mean, "prior_mean", -1e9, 1e9)
        self.prior_variance = checked_number(self.prior_variance, "prior_variance", 1e-9, 1e9)
        if self.noise is not None:
            self.noise = checked_number(self.noise, "noise", 1e-9, 1e9)

    def describe(self):
        if self.prior == "beta":
            prior = f"Beta({self.alpha:g}, {self.beta:g}) priors"
        else:
            noise = f"{self.noise:g}" if self.noise is not None else "that of the environment"
            prior = (
                f"normal priors (mean {self.prior_mean:g}, variance {self.prior_variance:.4g}) and normal rewards "
                f"(standard deviation {noise})"
            )
        return (
            "Thompson sampling from scratch, one learner per history: it pulls the arm whose mean is the highest in a "
            f"draw from its posterior, with independent arms, {prior}."
        )

    def begin(self, family, tasks, history_ids, seed):
        check_bandit(self, family, tasks)
        arms = Arms(family, tasks)
        if self.prior == "beta":
            return _BetaLearners(self, arms, history_ids, seed)
        noise = family.env_kwargs.get("noise", _DEFAULT_NOISE) if self.noise is None else self.noise
        if noise == 0:
            raise ValueError(f"the rewards of {family!r} have no noise; give thompson a noise above 0 to assume")
        return _GaussianLearners(self, noise, arms, history_ids, seed)


class _BetaLearners:
    def __init__(self, source, arms, history_ids, seed):
        self.arms = arms
        self.successes = np.zeros(len(arms.arm), dtype=np.int64)
        self.failures = np.zeros(len(arms.arm), dtype=np.int64)
        self.keys = arms.streams(seed, "thompson/sample", history_ids)
        self.alpha_keys = arms.streams(seed, "thompson/alpha", history_ids)
        self.beta_keys = arms.streams(seed, "thompson/beta", history_ids)
        self.alpha, self.beta = log_gammas(source.alpha), log_gammas(source.beta)

    def act(self, observations, clock):
        words = bits(self.keys, clock.time)
        odds = self.alpha.draw(self.successes, words.astype(np.uint32), self.alpha_keys, clock.time)
        words >>= np.uint64(32)
        odds = odds - self.beta.draw(self.failures, words.astype(np.uint32), self.beta_keys, clock.time)
        # Of a Beta variate, these are the logarithm of the odds, which rises with it.
        return self.arms.best(odds), {}

    def learn(self, transition):
        won = transition.rewards == 1
        if not (won | (transition.rewards == 0)).all():
            wrong = transition.rewards[~(won | (transition.rewards == 0))][0]
            raise ValueError(f'a reward is {wrong}; prior="beta" is for rewards of 0 and 1, use prior="gaussian"')
        at = self.arms.places(transition.actions)
        self.successes[at] += won
        self.failures[at] += ~won


class _GaussianLearners:
    def __init__(self, source, noise, arms, history_ids, seed):
        self.arms = arms
        self.payouts = Payouts(arms)
        self.keys = arms.streams(seed, "thompson/sample", history_ids)
        self.prior_precision = 1.0 / source.prior_variance
        self.prior_mean = source.prior_mean
        self.pull_precision = noise**-2
        self.mean = np.full(len(arms.arm), float(source.prior_mean))
        self.deviation = np.full(len(arms.arm), np.sqrt(source.prior_variance))

    def act(self, observations, clock):
        return self.arms.best(self.mean + self.deviation * normals(self.keys, clock.time)[0]), {}

    def learn(self, transition):
        at = self.payouts.add(transition.actions, transition.rewards)
        precision = self.prior_precision + self.pull_precision * self.payouts.pulls[at]
        weighted = self.prior_precision * self.prior_mean + self.pull_precision * self.payouts.sums[at]
        self.mean[at] = weighted / precision
        self.deviation[at] = 1.0 / np.sqrt(precision)
