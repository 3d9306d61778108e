"""Mixtures: several collections of learning histories, trained on together.

On disk a mixture is a `datasets.DatasetDict` (one split a part, each an ordinary folder of histories) with a
`history_info.json` that names the parts, their weights and the spaces that hold them all. So parts may differ in their
task columns, and `datasets.load_from_disk` opens each by its name.
"""

import numpy as np
import torch

from hf_icrl.checks import checked_int
from hf_icrl.counter_random import uniforms
from hf_icrl.histories.windows import HistoryWindows, checked_indices
from hf_icrl.seeding import derived_seed, seed_sequence


class MixtureWindows(torch.utils.data.Dataset):
    """Windows drawn from several collections of histories, each with a probability in proportion to its weight.

    Window `i` is a pure function of `(seed, i)` and the data: a number keyed by them chooses the part, whose own
    `i`-th window it is. Items are those of [`HistoryWindows`].

    Args:
        datasets (list of `datasets.Dataset`): learning histories; spaces that differ must have been reconciled.
        weights (list of `float`): each above 0.
        length, num_windows, seed: as in [`HistoryWindows`].
        own_actions (list of `int`, *optional*): of each part, as in [`HistoryWindows`].
        options: further arguments of [`HistoryWindows`], the same for all parts.

    Raises:
        ValueError: weights that do not fit, or what [`HistoryWindows`] refuses.
    """

    def __init__(self, datasets, weights, *, length, num_windows, seed=0, own_actions=None, **options):
        weights = np.asarray(weights, np.float64)
        if weights.shape != (len(datasets),) or not len(datasets) or not (weights > 0).all():
            raise ValueError(f"{len(datasets)} data sets have the weights {weights.tolist()}; give each one above 0")
        if own_actions is not None and len(own_actions) != len(datasets):
            raise ValueError(
                f"own_actions is {own_actions!r}; give a number for each of the {len(datasets)} data sets"
            )
        self.num_windows = checked_int(num_windows, "num_windows", 1)
        self.seed = checked_int(seed, "seed", 0)
        self.length = length
        self.weights = weights / weights.sum()
        self.own_actions = None if own_actions is None else list(own_actions)
        self.parts = [
            HistoryWindows(
                dataset,
                length=length,
                num_windows=num_windows,
                seed=derived_seed(seed, "mixture", part),
                own_actions=None if own_actions is None else own_actions[part],
                **options,
            )
            for part, dataset in enumerate(datasets)
        ]
        first = self.parts[0]
        self.times, self.weighting, self.num_actions = first.times, first.weighting, first.num_actions
        self._until = np.cumsum(self.weights)[:-1]
        self._key = seed_sequence(seed, "mixture/part").generate_state(1, np.uint64)

    def __repr__(self):
        return f"MixtureWindows({len(self)} windows of {self.length} steps, seed {self.seed}, {len(self.parts)} parts)"

    def __len__(self):
        return self.num_windows

    def __getitem__(self, index):
        return self.__getitems__([index])[0]

    def __getitems__(self, indices):
        """The windows `indices` (list of `int`), a list of dicts; one gather for each part serves them all."""
        if not len(indices):
            return []
        indices = checked_indices(indices, self.num_windows)
        part = np.searchsorted(self._until, uniforms(self._key, indices), side="right")
        rows = [None] * len(indices)
        for number in np.unique(part):
            places = np.flatnonzero(part == number)
            for place, row in zip(places, self.parts[number].__getitems__(indices[places]), strict=True):
                rows[place] = row
        return rows
