"""Streams belong to (seed, domain, ids) and to nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_icrl.naming import check_names, nearest
from hf_icrl.seeding import derived_seed, generator


@given(seed=st.integers(0, 2**40), ids=st.lists(st.integers(0, 2**40), max_size=3))
def test_the_same_key_gives_the_same_stream_and_touches_no_global_state(seed, ids):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 (looks at the global state to see it unchanged)
    a, b = generator(seed, "window", *ids).random(4), generator(seed, "window", *ids).random(4)
    assert (a == b).all()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_seed_domain_and_ids_each_separate_streams():
    keys = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a", 0, 1), (0, "a", 1, 0)]
    assert len({generator(*key).random() for key in keys}) == len(keys)
    seeds = {derived_seed(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= s < 2**31 for s in seeds)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed is -1"):
        generator(-1, "window")


def test_the_nearest_name_is_offered():
    assert nearest("sise", ["size", "goal"]) == "did you mean 'size'? (valid: goal, size)"
    assert nearest("zzz", ["size", "goal"]) == "valid: goal, size"
    with pytest.raises(ValueError, match="unknown colour 'gren': did you mean 'green'"):
        check_names(["red", "gren"], ["red", "green"], "colour")
