"""Streams of random numbers keyed by (key, counter)."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_icrl.counter_random import bits, integers, normals, stream_keys, uniforms


def test_bits_are_the_published_splitmix64_sequence():
    # First outputs of SplitMix64 from state 1234567, as tabulated for implementers (Rosetta Code, "SplitMix64").
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert bits(np.array([1234567], dtype=np.uint64), np.arange(5)).tolist() == expected


@given(st.integers(0, 2**40), st.lists(st.integers(0, 2**62), min_size=1, max_size=20), st.integers(0, 2**40))
def test_a_stream_depends_on_its_own_id_alone(seed, ids, counter):
    together = uniforms(stream_keys(seed, "test", ids), counter)
    alone = [uniforms(stream_keys(seed, "test", [i]), counter)[0] for i in ids]
    assert together.tolist() == alone


@given(st.integers(1, 2**31), st.integers(0, 2**32))
def test_integers_stay_in_range(high, counter):
    drawn = integers(stream_keys(0, "test", np.arange(100)), counter, high)
    assert drawn.dtype == np.int64
    assert drawn.min() >= 0
    assert drawn.max() < high


def test_seeds_domains_ids_and_counters_give_different_numbers():
    streams = [stream_keys(seed, domain, np.arange(50)) for seed in (0, 1) for domain in ("a", "b")]
    numbers = np.stack([bits(keys[:, None], np.arange(50)) for keys in streams])
    assert len(np.unique(numbers)) == numbers.size


def test_uniforms_are_uniform_and_neighbouring_streams_uncorrelated():
    numbers = uniforms(stream_keys(7, "test", np.arange(400))[:, None], np.arange(400))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=64, range=(0, 1))
    expected = numbers.size / 64
    # Chi-square with 63 degrees of freedom: 130 is exceeded with probability 1e-6.
    assert ((counts - expected) ** 2 / expected).sum() < 130
    # Correlation of 160 000 independent pairs has a standard deviation of 0.0025.
    for a, b in [(numbers[1:], numbers[:-1]), (numbers[:, 1:], numbers[:, :-1])]:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.0125


def test_normals_are_box_and_mullers_transformation():
    keys, counters = stream_keys(3, "test", np.arange(300)), np.arange(200)[:, None]
    first, second = uniforms(keys, 2 * counters), uniforms(keys, 2 * counters + 1)
    radius, angle = np.sqrt(-2 * np.log(1 - first)), 2 * np.pi * second
    expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)])
    # The cosine is the root of 1 - sine**2, which where it is small costs half of the digits of the sine.
    assert np.abs(normals(keys, counters, 2) - expected).max() < 1e-8
    assert np.abs(normals(keys, counters, 2) - expected).mean() < 1e-14


@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=9),
    st.lists(st.integers(0, 2**32), min_size=1, max_size=9),
    st.integers(1, 5),
)
def test_normals_do_not_depend_on_what_is_drawn_beside_them(ids, counters, count):
    keys = stream_keys(0, "test", ids)
    together = normals(keys, np.array(counters)[:, None], count)
    assert together.shape == (count, len(counters), len(ids))
    alone = [[normals(keys[j : j + 1], c, count)[:, 0] for j in range(len(ids))] for c in counters]
    assert together.tolist() == np.moveaxis(np.array(alone), 2, 0).tolist()


def test_normals_are_normal_and_independent():
    numbers = normals(stream_keys(5, "test", np.arange(400)), np.arange(200)[:, None], 3)
    edges = np.array([-np.inf, *NormalDist().quantiles(32), np.inf])
    counts, _ = np.histogram(numbers, bins=edges)
    expected = numbers.size / 32
    # Chi-square with 31 degrees of freedom: 83 is exceeded with probability 1e-6.
    assert ((counts - expected) ** 2 / expected).sum() < 83
    # Mean products of 80 000 independent pairs have a standard deviation of 0.0035; of squares, 0.005 * 2**0.5.
    shifted = [(numbers[0], numbers[1]), (numbers[0], numbers[2]), (numbers[1], numbers[2])]
    shifted += [(numbers[:, 1:], numbers[:, :-1]), (numbers[:, :, 1:], numbers[:, :, :-1])]
    for a, b in shifted:
        assert abs((a * b).mean()) < 0.018
        assert abs((a**2 * b**2).mean() - 1) < 0.05


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="-1"):
        stream_keys(-1, "test", [0])
