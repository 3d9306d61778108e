"""Tabulated variates: their tail probabilities against closed forms."""

import math

import numpy as np
import pytest

from hf_icrl.sources.gamma_draws import LogGammas

# Probabilities at which to look, from far out in a tail to the median.
PROBABILITIES = np.exp(np.linspace(np.log(2.0**-30), np.log(0.5), 3000, endpoint=False))


def words_and_tails(tail):
    """Random words that stand for `PROBABILITIES` in the lower (0) or upper (1) tail, and the exact probabilities."""
    steps = np.floor(PROBABILITIES * 2.0**32).astype(np.uint32)
    return (steps << np.uint32(1)) | np.uint32(tail), (steps + 0.5) * 2.0**-32


def log_gammas(first, count, words):
    counts, keys = np.full(len(words), count), np.zeros(len(words), dtype=np.uint64)
    return LogGammas(first).draw(counts, words, keys, 0).astype(np.float64)


@pytest.mark.parametrize("tail", [0, 1])
@pytest.mark.parametrize("shape", [1, 2, 9, 70, 300, 512])
def test_tails_of_gamma_variates_of_whole_shape(shape, tail):
    words, expected = words_and_tails(tail)
    y = log_gammas(1.0, shape - 1, words)
    # Erlang: G > x if a Poisson count of mean x is below the shape.
    counts = np.arange(shape) if tail else np.arange(shape, 2 * shape + 100)
    logs = counts * y[:, None] - np.exp(y)[:, None] - np.array([math.lgamma(k + 1) for k in counts])
    assert np.abs(np.exp(logs).sum(axis=1) / expected - 1).max() < 1e-4


@pytest.mark.parametrize("tail", [0, 1])
@pytest.mark.parametrize(("first", "count"), [(0.1, 0), (0.5, 0), (0.75, 1)])
def test_tails_of_gamma_variates_of_broken_shape(first, count, tail):
    words, expected = words_and_tails(tail)
    y = log_gammas(first, count, words)
    x, shape = np.exp(y), first + count
    # The power series of the incomplete gamma function.
    below, term = np.ones_like(x), np.ones_like(x)
    for k in range(1, 200):
        term = term * x / (shape + k)
        below += term
    below *= np.exp(shape * y - x - math.lgamma(shape + 1))
    # Near 1 it has lost the digits that its complement would need.
    exact = expected > 1e-10
    assert np.abs((1 - below if tail else below) / expected - 1)[exact].max() < 1e-4


def test_gamma_variates_of_large_shape_follow_the_same_law_as_those_of_numpy():
    n = 100_000
    rng = np.random.default_rng(0)
    keys, words = rng.integers(2**64, size=n, dtype=np.uint64), rng.integers(2**32, size=n, dtype=np.uint32)
    for count in (511, 512, 5000):
        mine = np.sort(LogGammas(1.5).draw(np.full(n, count), words, keys, 7))
        theirs = np.sort(np.log(rng.gamma(1.5 + count, size=n)))
        # Kolmogorov-Smirnov: a distance above this has a probability of 1e-6.
        both = np.concatenate([mine, theirs])
        distance = np.searchsorted(mine, both, "right") - np.searchsorted(theirs, both, "right")
        assert np.abs(distance).max() / n < 2.69 * (2 / n) ** 0.5


def test_a_variate_depends_on_its_own_numbers_alone():
    rng = np.random.default_rng(1)
    counts = rng.choice([0, 1, 5, 40, 300, 511, 512, 900], size=200)
    keys, words = rng.integers(2**64, size=200, dtype=np.uint64), rng.integers(2**32, size=200, dtype=np.uint32)
    whole = LogGammas(1.0).draw(counts, words, keys, 3).astype(np.float64)
    # One after another, with tables that are made in another order.
    one, backwards = LogGammas(1.0), np.arange(200)[::-1]
    each = [one.draw(counts[[i]], words[[i]], keys[[i]], 3).astype(np.float64)[0] for i in backwards]
    assert (np.array(each)[::-1] == whole).all()
    # A difference that is a tie in one precision is none in another.
    assert {LogGammas(1.0).draw(np.array([count]), words[:1], keys[:1], 3).dtype for count in (5, 900)} == {
        np.dtype(np.float32)
    }
