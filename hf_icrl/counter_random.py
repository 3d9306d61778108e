"""Random numbers as a pure function of (key, counter), for thousands of independent streams at once.

A NumPy generator per environment slot or per learning history would need a Python loop at every step. Here a
stream is a 64-bit key and its n-th number is the n-th output of SplitMix64 started at that key (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014), so one vectorised call serves every stream,
in any order, and no stream depends on how many others there are. The numbers are the same on every platform and
with every NumPy version.
"""

from math import factorial

import numpy as np

from hf_icrl.seeding import seed_sequence

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)

_LN_2 = 0.6931471805599453
_SQRT_HALF = int(np.float64(0.5**0.5).view(np.int64))
# log((1 + s) / (1 - s)) = s * sum_j 2 / (2 j + 1) * s**(2 j), with |s| < 0.172; sine: Taylor's series to the 19th power.
_LOG_SERIES = [2.0 / (2 * j + 1) for j in range(9)]
_SINE_SERIES = [(-1.0) ** j / factorial(2 * j + 1) for j in range(10)]


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


def normals(keys, counter, count=1):
    """Standard normal float64 numbers, `count` per stream: `(count, ...)`, by Box and Muller's transformation (1958).

    Computed by basic operations alone, which IEEE 754 rounds in one way (libraries differ in the last bits of their
    logarithms and sines), so that these, too, are the same on every platform and for any shape of the arrays. They
    are within 1e-12 of the exact transformation. A stream's counters serve one `count` only: another one numbers the
    underlying bits differently.
    """
    pairs = (count + 1) // 2
    keys, counter = np.asarray(keys), np.asarray(counter, dtype=np.uint64)
    which = np.arange(2 * pairs, dtype=np.uint64).reshape(-1, *[1] * max(keys.ndim, counter.ndim))
    numbers = uniforms(keys, counter * np.uint64(2 * pairs) + which)
    radius = np.sqrt(-2.0 * _log(1.0 - numbers[:pairs]))
    # The angle is half_turns * pi, in two half circles: the right one by its sine, the left one by the sign.
    half_turns = 2.0 * numbers[pairs:]
    nearest = np.rint(half_turns)
    radius *= 1.0 - 2.0 * (nearest == 1.0)
    sine = _sine((half_turns - nearest) * np.pi)
    drawn = np.empty((count, *radius.shape[1:]))
    np.multiply(radius, np.sqrt(1.0 - sine * sine), out=drawn[:pairs])
    np.multiply(radius[: count - pairs], sine[: count - pairs], out=drawn[pairs:])
    return drawn


def _log(x):
    """Natural logarithm of float64 numbers in [2**-53, 1], from x = 2**k * m with m in [0.70, 1.41)."""
    words = x.view(np.int64)
    exponent = (words - _SQRT_HALF) >> 52
    mantissa = (words - (exponent << 52)).view(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return exponent * _LN_2 + s * _horner(s * s, _LOG_SERIES)


def _sine(angle):
    """Sine of angles in [-pi / 2, pi / 2]."""
    return angle * _horner(angle * angle, _SINE_SERIES)


def _horner(x, coefficients):
    value = x * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        value += coefficient
        value *= x
    value += coefficients[0]
    return value


def _mix(x):
    x = x ^ (x >> np.uint64(30))
    x *= _MIX_1
    x ^= x >> np.uint64(27)
    x *= _MIX_2
    x ^= x >> np.uint64(31)
    return x
