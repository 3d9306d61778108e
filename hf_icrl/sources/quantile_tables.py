"""Variates of any smooth law from 32 random bits each, by tabulated quantile functions: a dozen passes.

A sampler of n learners on many arms needs millions of variates a second, each a function of its own 32 bits alone.
So a variate is Q(u), the quantile function at a uniform u, read from a table and interpolated linearly. One bit says
from which tail u is counted, the other 31 are u in (0, 1/2]. Q is tabulated at 64 equally spaced places in each of
the 32 octaves of u, down to 2**-33: exactly the places that the exponent and the first 6 bits of the mantissa of u
as a float32 distinguish. So the law is as exact in its tails as in its middle: every tail probability above 2**-30
is right to within 0.01 %, which is far below what any number of histories could show.

Tables are made with the exponentials and logarithms of the platform, which differ in the last bit of a float64 from one
to another, and are then rounded to float32: of millions of entries at most a few can differ, in their last bit.
"""

import math
import threading

import numpy as np

_SEGMENT_BITS = 6
_SHIFT = 23 - _SEGMENT_BITS
# u is held as the float32 u * 2**32, a number from 0.5 to 2**31; these are its bits at the ends of the segments.
_FIRST = 126 << _SEGMENT_BITS
_ENDS = ((np.arange((32 << _SEGMENT_BITS) + 1, dtype=np.uint32) + np.uint32(_FIRST)) << np.uint32(_SHIFT)).view(
    np.float32
)
_LOG_U = np.log(_ENDS.astype(np.float64)) - 32 * math.log(2)
# Entries of a table: the segments and the last end, of either tail.
_WIDTH = len(_ENDS)
# The density is integrated from where it is e**-40 of its maximum, over cells of this size in standard deviations.
_DROP = 40.0
_CELL = 0.05
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


class QuantileTables:
    """Tables of several laws in one array, by number; a table is made when it is first needed, and the same always.

    Args:
        make: number of the law -> `(log_density, low, high, scale)`: the logarithm of its density as a function of
            float64 arrays, zero at its maximum; the interval outside of which it is below -40; and the length over
            which it varies.
    """

    def __init__(self, make):
        self._make = make
        self._lines = np.zeros((0, 2 * _WIDTH), dtype=np.complex64)
        self._lock = threading.Lock()

    def need(self, count):
        """Have the tables of the laws 0 to `count` - 1."""
        with self._lock:
            have = len(self._lines)
            if count > have:
                # Growing copies what is there, so a table that grows once grows by several.
                count = max(count, have + 16 if have else 0)
                new = [_lines(*self._make(number)) for number in range(have, count)]
                self._lines = np.concatenate([self._lines, np.stack(new)])

    def draw(self, words, laws):
        """Variates, float32 `(n,)`.

        Args:
            words (`np.ndarray` of uint32, shape `(n,)`): random bits.
            laws (`np.ndarray` of int64, shape `(n,)`, or an `int`): numbers of laws; `need` must have been told.
        """
        scaled = (words >> np.uint32(1)).view(np.int32).astype(np.float32)
        scaled += np.float32(0.5)
        entry = scaled.view(np.uint32) >> np.uint32(_SHIFT)
        entry += (words & np.uint32(1)) * np.uint32(_WIDTH)
        place = np.multiply(laws, 2 * _WIDTH, dtype=np.int64) - _FIRST + entry
        # Value and slope are the two halves of one number, so that they are fetched from memory together.
        line = self._lines.ravel().take(place, mode="clip")
        scaled *= line.imag
        scaled += line.real
        return scaled


def _lines(log_density, low, high, scale):
    """A table: complex64 `(2 * _WIDTH,)`, for each segment of either tail the line Q = real + imag * (u * 2**32)."""
    edges = np.linspace(low, high, math.ceil((high - low) / (_CELL * scale)) + 1)
    half = 0.5 * (edges[1] - edges[0])
    middles = 0.5 * (edges[1:] + edges[:-1])
    masses = sum(w * np.exp(log_density(middles + half * x)) for x, w in zip(_NODES, _WEIGHTS, strict=True)) * half
    density = np.exp(log_density(edges)) / masses.sum()
    masses /= masses.sum()
    # The upper tail is the lower one of the law of -y.
    lower = _quantiles(edges, np.cumsum(masses), density)
    upper = -_quantiles(-edges[::-1], np.cumsum(masses[::-1]), density[::-1])
    table = np.empty((2, _WIDTH), dtype=np.complex64)
    ends = _ENDS.astype(np.float64)
    for tail, values in enumerate((lower, upper)):
        slopes = np.diff(values) / np.diff(ends)
        slopes = np.append(slopes, slopes[-1])
        table[tail] = values - slopes * ends + 1j * slopes
    return table.ravel()


def _quantiles(edges, below, density):
    """Quantiles at the ends of the segments, by cubic interpolation of y as a function of the logarithm of its law."""
    y, law, density = edges[1:], np.log(below), density[1:]
    i = np.clip(np.searchsorted(law, _LOG_U) - 1, 0, len(law) - 2)
    slope = below / density
    step = law[i + 1] - law[i]
    t = (_LOG_U - law[i]) / step
    return (
        (1 + 2 * t) * (1 - t) ** 2 * y[i]
        + t * (1 - t) ** 2 * step * slope[i]
        + t**2 * (3 - 2 * t) * y[i + 1]
        - t**2 * (1 - t) * step * slope[i + 1]
    )
