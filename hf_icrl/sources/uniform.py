"""Uniformly random actions, from the first step to the last."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.counter_random import stream_keys, uniforms
from hf_icrl.sources.base import Source
from hf_icrl.sources.random_actions import RandomActions


@dataclass
class UniformRandom(Source):
    """Draws every action uniformly: among those that the task has, or each of its numbers within its bounds.

    Offers `log_probs`; for a `Box` of float actions they are log densities.

    Raises:
        ValueError: on `generate`, if the actions are no `Discrete`, `MultiDiscrete` or `Box`, or a bound is infinite.
    """

    name = "uniform"
    offers = ("log_probs",)

    def describe(self):
        return "No learning took place in these histories: every action is drawn uniformly from all that are allowed."

    def begin(self, family, tasks, history_ids, seed):
        if family.num_actions is not None:
            return _Discrete(family, tasks, history_ids, seed)
        return _Several(family, tasks, history_ids, seed)


class _Discrete:
    def __init__(self, family, tasks, history_ids, seed):
        self.random = RandomActions(family, tasks, history_ids, seed, "uniform/act")
        counts = np.broadcast_to(self.random.counts, len(tasks))
        self.log_probs = -np.log(counts).astype(np.float32)

    def act(self, observations, clock):
        return self.random.draw(clock.time), {"log_probs": self.log_probs}

    def learn(self, transition):
        """Nothing is learned."""


class _Several:
    """Actions of several numbers, each drawn on its own."""

    def __init__(self, family, tasks, history_ids, seed):
        from gymnasium.spaces import Box, MultiDiscrete

        _, space = family.spaces(tasks[0])
        if isinstance(space, MultiDiscrete):
            self.low, width = space.start, space.nvec
        elif isinstance(space, Box):
            if not space.is_bounded():
                raise ValueError(f"uniform needs actions with finite bounds, but {family!r} has {space}")
            self.low = space.low.astype(np.float64)
            width = space.high - self.low
        else:
            raise ValueError(f"uniform draws Discrete, MultiDiscrete and Box actions, but {family!r} has {space}")
        self.whole = space.dtype.kind in "iu"
        # The whole numbers of a Box include its upper bound.
        self.width = (width + 1 if self.whole and isinstance(space, Box) else width).astype(np.float64)
        self.dtype = space.dtype
        self.numbers = np.arange(self.low.size).reshape(self.low.shape)
        self.keys = stream_keys(seed, "uniform/act", history_ids).reshape(-1, *[1] * self.low.ndim)
        self.log_probs = np.full(len(tasks), -np.log(self.width).sum(), dtype=np.float32)

    def act(self, observations, clock):
        steps = self.width * uniforms(self.keys, clock.time * self.low.size + self.numbers)
        if self.whole:
            steps = np.floor(steps)
        return (self.low + steps).astype(self.dtype), {"log_probs": self.log_probs}

    def learn(self, transition):
        """Nothing is learned."""
