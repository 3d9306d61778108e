"""Random numbers that are a pure function of a counter, so that a row's draws depend on nothing but the row."""

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seed, row_ids, draws, count):
    """Uniform numbers keyed by (seed, row id, draw number).

    The 64-bit finaliser of SplitMix64 (Steele, Lea and Flood, 2014) is applied once for each part of the key.

    Args:
        seed (`int`): 0 <= seed < 2**64.
        row_ids (`np.ndarray`): int64 (rows,).
        draws (`np.ndarray`): int64 (rows,), which draw of the row this is.
        count (`int`): numbers for each row.

    Returns:
        `np.ndarray`: float64 (rows, count), strictly between 0 and 1.
    """
    key = _mix(np.full(len(row_ids), seed, np.uint64) + _GOLDEN)
    key = _mix((key ^ row_ids.astype(np.uint64)) + _GOLDEN)
    key = _mix((key ^ draws.astype(np.uint64)) + _GOLDEN)
    key = _mix(key[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
    # The upper 53 bits, moved off the end points by half a unit.
    return ((key >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _mix(x):
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def normals(seed, row_ids, draws, count):
    """Standard normal numbers with the same key, by Box and Muller's transformation: float64 (rows, count)."""
    u = uniforms(seed, row_ids, draws, 2 * count)
    return np.sqrt(-2.0 * np.log(u[:, :count])) * np.cos(2.0 * np.pi * u[:, count:])
