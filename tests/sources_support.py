"""Small sources that tests run in worker processes, which import them from here. On sys.path by pyproject.toml."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.counter_random import integers, stream_keys
from hf_icrl.sources.base import Source


@dataclass
class ThreeStreams(Source):
    """One learner acts in three environments; what it does next depends on what happened in all of them."""

    name = "three_streams"
    streams = 3

    def describe(self):
        return "Three environments, one learner."

    def begin(self, family, tasks, history_ids, seed):
        return _SharedCount(stream_keys(seed, "three_streams", history_ids), family.num_actions)


class _SharedCount:
    def __init__(self, keys, num_actions):
        self.keys, self.num_actions = keys, num_actions
        self.count = np.zeros(len(keys) // 3, np.int64)

    def act(self, observations, clock):
        drawn = integers(self.keys, clock.time, self.num_actions)
        return (drawn + self.count.repeat(3)) % self.num_actions, {}

    def learn(self, transition):
        self.count += transition.next_observations.reshape(-1, 3).sum(axis=1)


@dataclass
class TorchSums(Source):
    """Acts by the last bits of sums in torch, which depend on the number of threads."""

    name = "torch_sums"
    uses_torch = True

    def describe(self):
        return "Sums in torch."

    def begin(self, family, tasks, history_ids, seed):
        return _Sums(history_ids, family.num_actions)


class _Sums:
    def __init__(self, history_ids, num_actions):
        import torch

        self.history_ids, self.num_actions = history_ids, num_actions
        self.numbers = torch.randn(100_000, generator=torch.Generator().manual_seed(0))

    def act(self, observations, clock):
        sums = [(self.numbers * (1 + (i + 31 * clock.time) / 7)).sum().item() for i in self.history_ids.tolist()]
        return np.array(sums, np.float32).view(np.int32).astype(np.int64) % self.num_actions, {}

    def learn(self, transition):
        pass
