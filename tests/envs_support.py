"""What the tests of several environments share. On sys.path through `pythonpath` in pyproject.toml."""

from gymnasium.utils.env_checker import data_equivalence
from hypothesis import strategies as st


def key_to_door_rooms(longest):
    """Arguments of small Key-to-Door rooms, in which keys and doors are found; horizons are at most `longest`."""
    return st.fixed_dictionaries(
        {
            "size": st.integers(2, 4),
            "start": st.sampled_from(["center", "corner", "random", [1, 0]]),
            "start_off_key": st.booleans(),
            "horizon": st.integers(1, longest),
            "terminate_at_door": st.booleans(),
            "observation": st.sampled_from(["index", "row_col"]),
            "key_in_observation": st.booleans(),
        }
    ).filter(lambda kwargs: kwargs["start"] == "random" or not kwargs["start_off_key"])


def assert_step_identical(vector, scalars, seeds, actions):
    """Both begin at `seeds`, take the rows of `actions`, and give the same spaces, arrays, types of arrays and infos.

    `scalars` is gymnasium's `SyncVectorEnv` in same-step mode over the scalar environments.
    """
    assert vector.metadata["autoreset_mode"] == scalars.metadata["autoreset_mode"]
    assert vector.observation_space == scalars.observation_space
    assert vector.action_space == scalars.action_space
    expected, expected_infos = scalars.reset(seed=seeds)
    got, infos = vector.reset(seed=seeds)
    assert got.dtype == expected.dtype
    assert got.tolist() == expected.tolist()
    assert data_equivalence(infos, expected_infos, exact=True)
    for row in actions:
        expected = scalars.step(row)
        got = vector.step(row)
        for a, b in zip(got[:4], expected[:4], strict=True):
            assert a.tolist() == b.tolist()
        assert data_equivalence(got[4], expected[4], exact=True)
        assert got[0] in vector.observation_space
        assert got[1].dtype == "float32"


def assert_place_does_not_matter(whole, part, seeds, order, actions, info=None):
    """Slot j of `part` goes as slot `order[j]` of `whole` does; so does what `info(infos)` gives, if that is given."""
    expected, got = whole.reset(seed=seeds), part.reset(seed=[seeds[i] for i in order])
    assert got[0].tolist() == expected[0][order].tolist()
    for row in actions:
        expected, got = whole.step(row), part.step(row[order])
        for a, b in zip(got[:4], expected[:4], strict=True):
            assert a.tolist() == b[order].tolist()
        if info is not None:
            assert info(got[4]).tolist() == info(expected[4])[order].tolist()


def drawn_order(seeds, random):
    """Some of the slots, in any order."""
    return random.sample(range(len(seeds)), random.randint(1, len(seeds)))
