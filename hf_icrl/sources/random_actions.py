"""Uniformly random actions, each run's from its own stream and among the actions that its task has."""

import numpy as np

from hf_icrl.counter_random import integers, stream_keys


class RandomActions:
    """Draws actions uniformly for n runs at once; discrete actions only.

    Args:
        family (`hf_icrl.tasks.TaskFamily`), tasks (`list[dict]`): what the runs act in.
        history_ids (`np.ndarray`, shape `(n,)`), seed (`int`), domain (`str`): which streams.
        only (`list[int]`, *optional*): the actions to draw from, of those that each task has; all by default.

    Raises:
        ValueError: the actions are continuous, or a task has none of `only`.
    """

    def __init__(self, family, tasks, history_ids, seed, domain, only=None):
        if family.num_actions is None:
            raise ValueError(f"{family!r} has continuous actions; this source draws discrete ones")
        listed = np.arange(family.num_actions) if only is None else np.array(only, dtype=np.int64)
        if listed.max() >= family.num_actions:
            raise ValueError(
                f"random_actions lists {listed.max()}, but the family {family.name!r} has actions 0 to "
                f"{family.num_actions - 1}"
            )
        available = family.available_actions(tasks)
        if available is None:
            self.counts, self.choices = len(listed), listed[None, :]
        else:
            # The available ones first, in ascending order: a draw below the count finds one of them.
            mask = available[:, listed]
            self.counts = mask.sum(axis=1)
            self.choices = listed[np.argsort(~mask, axis=1, kind="stable")]
            if not self.counts.all():
                lacking = int(np.flatnonzero(self.counts == 0)[0])
                raise ValueError(f"the task {tasks[lacking]} has none of the actions {listed.tolist()}")
        self.rows = np.arange(len(history_ids)) if len(self.choices) > 1 else 0
        self.keys = stream_keys(seed, domain, history_ids)

    def draw(self, counter):
        """Int64 actions `(n,)`; `counter` (an int or `(n,)`) is where in the streams."""
        return self.choices[self.rows, integers(self.keys, counter, self.counts)]
