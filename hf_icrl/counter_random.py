"""Random numbers as a pure function of (key, counter), for thousands of independent streams at once.

A NumPy generator per environment slot or per learning history would need a Python loop at every step. Here a
stream is a 64-bit key and its n-th number is the n-th output of SplitMix64 started at that key (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), so one vectorised call serves every stream,
in any order, and no stream depends on how many others there are. The numbers are the same on every platform and
with every NumPy version.
"""

import numpy as np

from hf_icrl.seeding import seed_sequence

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream_keys(seed, domain, ids):
    """One stream per id.

    Args:
        seed (`int`): the user's seed, >= 0.
        domain (`str`): what the numbers are for; two domains never share a stream.
        ids (`array_like` of `int`, shape `(n,)`): what within the domain, each >= 0 (a history id, ...).

    Returns:
        `np.ndarray`: uint64 keys of shape `(n,)`; key i depends on `(seed, domain, ids[i])` alone.
    """
    base = seed_sequence(seed, domain).generate_state(1, np.uint64)[0]
    ids = np.atleast_1d(np.asarray(ids)).astype(np.uint64)
    return _mix(_mix(ids + _GOLDEN) + base)


def bits(keys, counter):
    """The `counter`-th 64 bits of each stream; `keys` and `counter` (an int or an array >= 0) broadcast."""
    counter = np.asarray(counter, dtype=np.uint64)
    with np.errstate(over="ignore"):  # only 0-d operands would warn; wrapping around is what is wanted
        return _mix(keys + (counter + np.uint64(1)) * _GOLDEN)


def uniforms(keys, counter):
    """Float64 numbers uniform in [0, 1), one per stream."""
    return (bits(keys, counter) >> np.uint64(11)) * (1.0 / 2**53)


def integers(keys, counter, high):
    """Int64 numbers uniform in [0, high), one per stream; `high` (an int or an array) is at most 2**31.

    Multiply-and-shift on 32 bits: the bias is below high / 2**32, far under anything that can be measured here.
    """
    high = np.asarray(high, dtype=np.uint64)
    return (((bits(keys, counter) >> np.uint64(32)) * high) >> np.uint64(32)).astype(np.int64)


def _mix(x):
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
