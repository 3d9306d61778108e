"""What a rollout tries out: against plain loops, and in a real rollout."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.rollouts.exploration import distinct_actions, entropy_by_episode, exploration_values, tried_share
from hf_icrl.tasks import task_family


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


def test_values_of_a_report_are_split_by_kind_of_word():
    family = task_family("dark_room", size=3, word_length=2, words="all", horizon=4)
    tasks = family.tasks()[:2]
    # Two seeds; ten train words come first. Seed 0, task 0 tries two of them; seed 1, task 1 three test words.
    actions = np.array([[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0], [10, 11, 12, 10]])
    history = {"actions": actions, "entropies": np.full((4, 4), 0.25)}
    got = exploration_values(family, tasks, 2, history, np.array([[2, 2]] * 4))
    assert (got["available_actions"], got["distinct_actions"]) == (25.0, 7 / 4)
    assert got["distinct_actions_per_task"] == [1.5, 2.0]
    assert got["tried_share"] == {
        "all": [round(5 / 4 / 25, 6), round(7 / 4 / 25, 6)],
        "train": [round(3 / 4 / 10, 6), round(4 / 4 / 10, 6)],
        "test": [round(2 / 4 / 15, 6), round(3 / 4 / 15, 6)],
    }
    assert (got["entropy"], got["entropy_curve"]) == (0.25, [0.25, 0.25])


def test_values_of_a_bandit_count_the_arms_that_its_tasks_have():
    family = task_family("bernoulli_bandit", num_arms=6, horizon=4)
    tasks = [{"means": [0.1, 0.2, 0.3, 0.4]}, {"means": [0.5, 0.6]}]
    history = {
        "actions": np.array([[0, 1, 2, 2], [1, 1, 1, 1]]),
        "entropies": np.array([[1.0, 0.5, np.nan, 0.0], [0.0, 0.5, 0.0, 0.0]]),
    }
    got = exploration_values(family, tasks, 1, history, np.array([[4], [4]]))
    assert (got["available_actions"], got["distinct_actions"]) == (3.0, 2.0)
    assert got["tried_share"] == {"all": [(3 / 4 + 1 / 2) / 2]}
    # One episode: entropy step by step. What cannot be told is null.
    assert (got["entropy"], got["entropy_curve"]) == (None, [0.5, 0.5, None, 0.0])
