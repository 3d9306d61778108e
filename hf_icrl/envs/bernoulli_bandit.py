"""The Bernoulli bandit of Headless-AD (Sinii et al. 2024, arXiv:2312.13327)."""

import numpy as np

from hf_icrl.checks import checked_choice, checked_int
from hf_icrl.counter_random import normals, uniforms
from hf_icrl.envs.bandits import BanditEnv, BanditRules, checked_table, nothing_to_see, sight_streams
from hf_icrl.envs.contextual_bandit import context_space, to_contexts

OBSERVATIONS = ("none", "random")


class BernoulliRules(BanditRules):
    """Arm a earns 1 with probability means[a], else 0. `self.observation` and `self.dimension` say what is seen."""

    def _draw(self, keys, clocks):
        # What is seen stands first, from a stream of its own: the rewards are the same, whatever is seen.
        chances = uniforms(keys, clocks)[None]
        if self.observation == "none":
            return chances
        vectors = normals(sight_streams(keys), clocks, self.dimension)
        to_contexts(vectors)
        return np.concatenate([vectors, chances])

    def _earned(self, value, numbers):
        return numbers[-1] < value

    def _drawn_tasks(self, keys):
        return uniforms(keys[:, None], np.arange(self.num_arms))

    def _drawn_range(self, task):
        return 0.0, 1.0


class BernoulliBanditEnv(BernoulliRules, BanditEnv):
    """Arms that earn 1 with a fixed probability each, else 0; nothing that is observed tells anything.

    An episode is truncated after `horizon` pulls and never terminates; the next one has the same means. The infos of
    `reset` and `step` hold `regret`, the expected reward of the best arm minus that of the pulled one (0.0 at a
    reset), and `action_mask`, int8 `(num_arms,)`, gymnasium's mask of the usable arms.

    Args:
        num_arms (`int`, *optional*, defaults to 20): size of the action space, >= 1.
        means (`list[float]`, *optional*): each usable arm's probability of reward, 1 to `num_arms` of them; actions
            beyond them are refused. Without it, `reset(seed=...)` draws `num_arms` means from that seed, uniformly in
            [0, 1), which stay until the next seeded reset.
        horizon (`int`, *optional*, defaults to 300): pulls in an episode, >= 1.
        observation (`str`, *optional*, defaults to `"none"`): `"none"` shows nothing (`Discrete(1)`, always 0).
            `"random"` shows a vector without meaning, float32 `(dimension,)`, drawn anew before every pull from
            N(0, I / dimension): what `ContextualBanditEnv` of that dimension shows, so that a model trained on
            contextual bandits can act here (Sinii et al. 2024, appendix D). Rewards do not depend on `observation`.
        dimension (`int`, *optional*, defaults to 2): numbers in a random vector, >= 1; read with `"random"` only.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Attributes:
        means (`list[float]`): the means; `None` before the reset that draws them.

    Raises:
        ValueError: an argument is of the wrong kind, a mean is outside [0, 1], or there are more than `num_arms`.
    """

    def __init__(self, num_arms=20, means=None, horizon=300, observation="none", dimension=2, render_mode=None):
        num_arms = checked_int(num_arms, "num_arms", 1)
        means = None if means is None else checked_means(means, num_arms).tolist()
        self.observation, self.dimension = checked_sight(observation, dimension)
        space = sight_space(self.observation, self.dimension)
        super().__init__(num_arms, horizon, means, space, render_mode)

    @property
    def means(self):
        return self._task

    def _values(self, numbers):
        return self._task

    def _observe(self):
        if self.observation == "none":
            return np.int64(0)
        return np.array(self._numbers[: self.dimension], dtype=np.float32)


def checked_sight(observation, dimension):
    """`observation` and `dimension`, checked."""
    return checked_choice(observation, "observation", OBSERVATIONS), checked_int(dimension, "dimension", 1)


def sight_space(observation, dimension):
    """The observation space of one slot."""
    return nothing_to_see() if observation == "none" else context_space(dimension)


def checked_means(means, num_arms):
    """`means` as a float64 array `(usable arms,)`."""
    means = checked_table(means, "means", (num_arms,), ragged=True)
    if means.min() < 0 or means.max() > 1:
        raise ValueError(f"means is {means.tolist()}; each is a probability, so it must be from 0 to 1")
    return means
