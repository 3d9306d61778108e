"""Which window is the i-th: a counter-based draw, so that window i needs no other window and no generator."""

import numpy as np

from hf_icrl.counter_random import uniforms
from hf_icrl.seeding import seed_sequence


class WindowDraws:
    """Maps window indices to (history, first step), uniform over all starts of all histories that are long enough.

    Args:
        lengths (`np.ndarray` of int64, shape (H,)): steps of each history.
        length (`int`): steps of a window; at least one history is that long.
        seed (`int`): >= 0.
    """

    def __init__(self, lengths, length, seed):
        starts = np.maximum(lengths - length + 1, 0)
        self._until = np.cumsum(starts) - starts  # starts of the histories before
        self._starts = int(starts.sum())
        self._key = seed_sequence(seed, "window").generate_state(1, np.uint64)

    def __call__(self, indices):
        """`(history, offset)`, int64 arrays of the shape of `indices` (int64, >= 0)."""
        # 53 random bits: no start is favoured by more than one part in 2**53 / starts.
        drawn = (uniforms(self._key, indices) * self._starts).astype(np.int64)
        history = np.searchsorted(self._until, drawn, side="right") - 1
        return history, drawn - self._until[history]
