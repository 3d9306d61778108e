"""Uniformly random actions, from the first step to the last."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.counter_random import stream_keys, uniforms
from hf_icrl.sources.base import Source
from hf_icrl.sources.random_actions import RandomActions


@dataclass
class UniformRandom(Source):
    """Draws every action uniformly: among those that the task has, or within the bounds of a `Box`.

    Offers `log_probs`; for a `Box` they are log densities.

    Raises:
        ValueError: on `generate`, if a bound of the actions is infinite, or they are neither discrete nor a `Box`.
    """

    name = "uniform"
    offers = ("log_probs",)

    def describe(self):
        return "No learning took place in these histories: every action is drawn uniformly from all that are allowed."

    def begin(self, family, tasks, history_ids, seed):
        if family.num_actions is not None:
            return _Discrete(family, tasks, history_ids, seed)
        return _Continuous(family, tasks, history_ids, seed)


class _Discrete:
    def __init__(self, family, tasks, history_ids, seed):
        self.random = RandomActions(family, tasks, history_ids, seed, "uniform/act")
        counts = np.broadcast_to(self.random.counts, len(tasks))
        self.log_probs = -np.log(counts).astype(np.float32)

    def act(self, observations, clock):
        return self.random.draw(clock.time), {"log_probs": self.log_probs}

    def learn(self, transition):
        """Nothing is learned."""


class _Continuous:
    def __init__(self, family, tasks, history_ids, seed):
        from gymnasium.spaces import Box

        envs = family.make_vec(tasks[:1])
        space = envs.single_action_space
        envs.close()
        if not isinstance(space, Box):
            raise ValueError(f"uniform draws discrete actions or those of a Box, but {family!r} has {space}")
        if not space.is_bounded():
            raise ValueError(f"uniform needs actions with finite bounds, but {family!r} has {space}")
        self.space = space
        self.low = space.low.astype(np.float64)
        self.width = space.high.astype(np.float64) - self.low
        self.numbers = np.arange(self.low.size).reshape(self.low.shape)
        keys = stream_keys(seed, "uniform/act", history_ids)
        self.keys = keys.reshape(-1, *[1] * self.low.ndim)
        self.log_probs = np.full(len(tasks), -np.log(self.width).sum(), dtype=np.float32)

    def act(self, observations, clock):
        u = uniforms(self.keys, clock.time * self.low.size + self.numbers)
        actions = (self.low + self.width * u).astype(self.space.dtype)
        # Rounding to float32 may go up to the bound; no further.
        return np.minimum(actions, self.space.high), {"log_probs": self.log_probs}

    def learn(self, transition):
        """Nothing is learned."""
