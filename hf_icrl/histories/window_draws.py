"""Which window is the i-th: a counter-based draw, so that window i needs no other window and no generator."""

import numpy as np

from hf_icrl.seeding import seed_sequence

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


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
        drawn = below(random_bits(self._key, indices), self._starts)
        history = np.searchsorted(self._until, drawn, side="right") - 1
        return history, drawn - self._until[history]


def random_bits(key, counters):
    """64 random bits for each counter: the outputs of SplitMix64 (Steele, Lea and Flood, 2014) started at `key`.

    Args:
        key (`np.ndarray` of uint64, shape (1,)): the start of the stream.
        counters (`np.ndarray` of int64): which outputs.
    """
    bits = key + (counters.astype(np.uint64) + np.uint64(1)) * _GAMMA  # arrays wrap modulo 2**64
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX[0]
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX[1]
    return bits ^ (bits >> np.uint64(31))


def below(bits, n):
    """Integers in [0, n) from 64 random bits each, int64; uniform but for a bias of at most n / 2**53."""
    return ((bits >> np.uint64(11)) * (n * 2.0**-53)).astype(np.int64)
