"""What a rollout tries out: against plain loops, and in a real rollout."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.rollouts.exploration import distinct_actions, entropy_by_episode, tried_share


@st.composite
def rollouts(draw):
    """(actions, episode lengths, entropies, counted): rows of different lengths, with rubbish beyond their ends."""
    rows, episodes, number = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    lengths = rng.integers(1, 5, size=(rows, episodes))
    steps = int(lengths.sum(axis=1).max()) + draw(st.integers(0, 2))
    actions = rng.integers(number, size=(rows, steps))
    return actions, lengths, rng.random((rows, steps)), rng.random((rows, number)) < 0.6


@settings(max_examples=60, deadline=None)
@given(rollouts())
def test_figures_of_exploration_are_those_of_plain_loops(drawn):
    actions, lengths, entropies, counted = drawn
    shares = tried_share(actions, lengths, counted)
    by_episode, by_row = entropy_by_episode(entropies, lengths)
    different = distinct_actions(actions, lengths.sum(axis=1))
    for row in range(len(actions)):
        wanted, tried, start = set(np.flatnonzero(counted[row]).tolist()), set(), 0
        for episode, length in enumerate(lengths[row].tolist()):
            tried |= set(actions[row, start : start + length].tolist())
            expected = len(tried & wanted) / len(wanted) if wanted else np.nan
            np.testing.assert_allclose(shares[row, episode], expected)
            np.testing.assert_allclose(by_episode[row, episode], entropies[row, start : start + length].mean())
            start += length
        assert different[row] == len(tried)
        np.testing.assert_allclose(by_row[row], entropies[row, :start].mean())


def test_a_row_whose_policy_has_no_entropy_does_not_spoil_the_others():
    entropies = np.array([[np.nan, np.nan, 0.0], [0.5, 1.0, 1.5]])
    by_episode, by_row = entropy_by_episode(entropies, np.array([[1, 1], [2, 1]]))
    np.testing.assert_array_equal(by_row, [np.nan, 1.0])
    np.testing.assert_array_equal(by_episode, [[np.nan, np.nan], [0.75, 1.5]])
