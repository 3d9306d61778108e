"""Logarithms of gamma variates whose shapes grow by ones, as the parameters of Beta posteriors do."""

import math
from functools import lru_cache

import numpy as np

from hf_icrl.counter_random import normals, uniforms
from hf_icrl.sources.quantile_tables import QuantileTables

# Shapes beyond this many steps have no table: 33 kB each, they would soon fill the memory.
_MOST_TABLES = 512
# So many attempts at one variate have numbers of their own; more than three are never seen.
_ATTEMPTS = 64


class LogGammas:
    """Draws log G with G ~ Gamma(first + count, scale 1), for arrays of counts.

    Counts below 512 are drawn from tables (`QuantileTables`), larger ones by the rejection method of Marsaglia and
    Tsang ("A simple method for generating gamma variables", ACM TOMS 2000), which is exact.

    Args:
        first (`float`): the shape at count 0.
    """

    def __init__(self, first):
        self._first = first
        self._tables = QuantileTables(self._law)

    def _law(self, number):
        shape = self._first + number
        mode = math.log(shape)
        # The logarithm y of a gamma variate has a density proportional to e**(shape * y - e**y).
        low, high = _where_exponential_rises(40.0 / shape)
        scale = min(1.0, 1 / math.sqrt(shape))
        return lambda y: shape * (y - mode + 1 - np.exp(y - mode)), mode + low, mode + high, scale

    def draw(self, counts, words, keys, time):
        """One variate per count, each a function of its own count and random bits alone.

        Args:
            counts (`np.ndarray` of int64, shape `(n,)`): see the class.
            words (`np.ndarray` of uint32, shape `(n,)`): random bits.
            keys (`np.ndarray` of uint64, shape `(n,)`), time (`int`): streams, used by nothing else, and the place in
                them, for counts of 512 and more.

        Returns:
            `np.ndarray`: float32 `(n,)`, whatever the counts: in wider numbers, differences that are ties here would
            not be, and a neighbour's count would decide about a run's bits.
        """
        most = int(counts.max())
        self._tables.need(min(most + 1, _MOST_TABLES))
        if most < _MOST_TABLES:
            return self._tables.draw(words, counts)
        values = self._tables.draw(words, np.minimum(counts, _MOST_TABLES - 1))
        large = np.flatnonzero(counts >= _MOST_TABLES)
        values[large] = _large(self._first + counts[large], keys[large], time)
        return values


@lru_cache(maxsize=8)
def log_gammas(first):
    """The `LogGammas` of this shape; its tables are made once in a process."""
    return LogGammas(first)


def _large(shapes, keys, time):
    """Log G for large shapes, float64 `(m,)`."""
    values = np.empty(len(shapes))
    left = np.arange(len(shapes))
    attempt = 0
    while len(left):
        z = normals(keys[left], time * _ATTEMPTS + attempt)[0]
        # Of another stream: how many numbers of its own a normal takes is not for us to know.
        u = 1.0 - uniforms(~keys[left], time * _ATTEMPTS + attempt)
        d = shapes[left] - 1.0 / 3.0
        # No z is beyond 9, so this is positive.
        v = (1.0 + z / np.sqrt(9.0 * d)) ** 3
        accepted = np.log(u) < 0.5 * z * z + d - d * v + d * np.log(v)
        values[left[accepted]] = np.log(d[accepted] * v[accepted])
        left = left[~accepted]
        attempt += 1
    return values


def _where_exponential_rises(above):
    """The two t for which e**t - t - 1 is `above`, by bisection."""
    ends = []
    for outside in (-above - 1.0, math.sqrt(2 * above)):
        inside = 0.0
        for _ in range(60):
            middle = 0.5 * (inside + outside)
            if math.exp(middle) - middle - 1.0 < above:
                inside = middle
            else:
                outside = middle
        ends.append(outside)
    return ends
