"""The optimal policy, from the first step to the last."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.sources.base import Source


@dataclass
class Oracle(Source):
    """Acts as the family's demonstrator does, at every step: nothing is learned in these histories.

    They are what behaviour cloning from an expert (expert distillation) trains on, and an upper bound beside others.

    Raises:
        ValueError: on `generate`, if the family has no demonstrator.
    """

    name = "oracle"

    def describe(self):
        return "No learning took place in these histories: an optimal demonstrator that knows its task acts at every step."

    def begin(self, family, tasks, history_ids, seed):
        return _Demonstrators(family, tasks)


class _Demonstrators:
    def __init__(self, family, tasks):
        self.family = family
        self.task_array = family.task_array(tasks)

    def act(self, observations, clock):
        actions = self.family.demonstrator(observations, self.task_array, clock.infos)
        return actions.astype(np.int64, copy=False), {}

    def learn(self, transition):
        """It knows all it needs."""
