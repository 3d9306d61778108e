"""Tabular Q-learning against a plain learner written out in Python, and against what it should achieve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family


def test_it_learns_every_goal():
    """The published constants on the 9 x 9 room: from random to within 2 % of the optimum in 200 episodes."""
    family = task_family("dark_room")
    batch = make_source("q_learning").generate(family, family.tasks(), np.arange(80), 200, 0)
    returns = batch.rewards.reshape(80, 200, 20).sum(axis=2)
    random = np.mean([family.random_return(task) for task in family.tasks()])
    oracle = np.array([family.oracle_return(task) for task in family.tasks()])
    assert returns[:, :5].mean() == pytest.approx(random, abs=0.15)
    assert (returns[:, -5:].mean() - random) / (oracle.mean() - random) > 0.98


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 4),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["center", "random"]),
    st.floats(0.1, 1),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.5]),
    st.integers(0, 2**40),
)
def test_greedy_actions_are_those_of_a_plain_learner(
    size, word_length, terminate, erase, first_index, start, learning_rate, discount, eps, seed
):
    """With the recorded experience, a learner written as loops agrees that every greedy action had the highest value.

    All values begin equal (at 1), so the test also sees that a terminal step bootstraps nothing and that a truncated
    one does: with a wrong rule, values and with them the greedy actions differ. With words, an episode may end on a
    cell that is not the goal, so it sees what the published code erases, too.
    """
    family = task_family(
        "dark_room", size=size, word_length=word_length, terminate_on_goal=terminate, start=start, horizon=6
    )
    tasks = family.tasks()
    num_actions = family.num_actions
    source = make_source(
        "q_learning",
        learning_rate=learning_rate,
        discount=discount,
        eps_start=eps,
        eps_end=0,
        eps_decay_fraction=0.5,
        initial_q=[1, 1],
        erase_final_row=erase,
        first_index_ties=first_index,
    )
    batch = source.generate(family, tasks, np.arange(len(tasks)), 16, seed)
    rate, discount, one = np.float32(learning_rate), np.float32(discount), np.float32(1)
    for i in range(len(tasks)):
        q = np.full((size * size, num_actions), one)
        episode = 0
        for t in range(batch.lengths[i]):
            state, action, following = batch.observations[i, t], batch.actions[i, t], batch.next_observations[i, t]
            if eps == 0 or episode >= 8:
                assert action == q[state].argmax() if first_index else q[state, action] == q[state].max()
            target = np.float32(0)
            if batch.terminated[i, t] and erase:
                q[following] = 0
            elif not batch.terminated[i, t]:
                target = discount * q[following].max()
            target = target + batch.rewards[i, t]
            q[state, action] = (target - q[state, action]) * rate + q[state, action]
            episode += batch.terminated[i, t] or batch.truncated[i, t]


@pytest.mark.parametrize("observation", ["row_col", "one_hot", "image"])
def test_it_learns_the_same_from_whatever_shows_the_cell(observation):
    """Its table has a row a cell, so the histories for models that see images are those of a learner of cells."""
    kwargs = {"size": 4, "observation_size": 5, "word_length": 2, "terminate_on_goal": True}
    indexed, shown = task_family("dark_room", **kwargs), task_family("dark_room", observation=observation, **kwargs)
    tasks = indexed.tasks()
    source = make_source("q_learning", stray_transition=True)
    expected, got = (source.generate(family, tasks, np.arange(15), 30, 7) for family in (indexed, shown))
    for name in ("actions", "rewards", "terminated", "truncated"):
        assert getattr(got, name).tolist() == getattr(expected, name).tolist()
    assert shown.states(got.observations).tolist() == expected.observations.tolist()


def test_erasing_the_final_row_forgets_a_cell_that_is_not_the_goal():
    """The words are those of two moves; the agent passes the goal and ends its episodes beside it."""
    family = task_family("dark_room", word_length=2, terminate_on_goal=True)
    runs = [
        make_source("q_learning", erase_final_row=erase).generate(family, family.tasks(), np.arange(80), 100, 0)
        for erase in (False, True)
    ]
    # Before anything is learned, the histories are the same.
    np.testing.assert_array_equal(runs[0].actions[:, 0], runs[1].actions[:, 0])
    assert (runs[0].actions[:, :300] != runs[1].actions[:, :300]).any()


def test_the_stray_transition_is_one_step_of_an_unfinished_episode():
    family = task_family("dark_room", size=4, terminate_on_goal=True, horizon=5)
    tasks = family.tasks()
    plain, stray = (
        make_source("q_learning", stray_transition=given).generate(family, tasks, np.arange(15), 9, 0)
        for given in (False, True)
    )
    assert (stray.lengths == plain.lengths + 1).all()
    ended = stray.terminated | stray.truncated
    for i, length in enumerate(plain.lengths):
        for name in ("observations", "actions", "rewards", "terminated", "truncated", "next_observations"):
            np.testing.assert_array_equal(getattr(stray, name)[i, :length], getattr(plain, name)[i, :length])
        assert ended[i, length - 1]
        assert stray.observations[i, length] == 2 * 4 + 2
        assert ended[i, length] == stray.rewards[i, length]
    assert not ended[np.arange(15), plain.lengths].all()


@pytest.mark.parametrize(("keep", "follows"), [(range(0, 9, 2), False), (range(0, 9, 3), True), (range(3), False)])
def test_the_stray_transition_is_kept_as_its_episode_would_be(keep, follows):
    family = task_family("dark_room", size=4, horizon=5)
    batch = make_source("q_learning", stray_transition=True).generate(
        family, family.tasks(), np.arange(15), 9, 0, keep=keep
    )
    assert set(batch.lengths) == {len(keep) * 5 + follows}


def test_exploring_is_uniform_over_all_actions():
    family = task_family("dark_room", word_length=2)
    batch = make_source("q_learning", eps_end=1).generate(family, family.tasks() * 2, np.arange(160), 10, 0)
    counts = np.bincount(batch.actions.ravel(), minlength=25) / 32000
    # Standard deviation of a share of one twenty-fifth among 32000: 0.0011.
    assert counts == pytest.approx([0.04] * 25, abs=0.0055)


def test_ties_are_broken_at_random():
    family = task_family("dark_room")
    source = make_source("q_learning", eps_start=0, initial_q=[0, 0], learning_rate=0.5)
    batch = source.generate(family, family.tasks() * 25, np.arange(2000), 1, 0)
    counts = np.bincount(batch.actions[:, 0], minlength=5) / 2000
    # Standard deviation of a share of one fifth among 2000: 0.009.
    assert counts == pytest.approx([0.2] * 5, abs=0.045)


def test_exploration_falls_linearly_over_the_episodes_and_ends():
    """With a table that learns nothing to speak of, an exploring step is one that leaves the best action."""
    family = task_family("dark_room", horizon=50)
    source = make_source("q_learning", learning_rate=1e-9, eps_start=0.8, eps_end=0.2, eps_decay_fraction=0.5)
    batch = source.generate(family, family.tasks() * 5, np.arange(400), 20, 0)
    actions = batch.actions.reshape(400, 20, 50)
    states = batch.observations.reshape(400, 20, 50)
    # The best action of each state is the one most often taken there.
    strays = np.zeros(20)
    for i in range(400):
        table = np.zeros((81, 5))
        np.add.at(table, (states[i].ravel(), actions[i].ravel()), 1)
        strays += (actions[i] != table.argmax(axis=1)[states[i]]).mean(axis=1) / 400
    eps = 0.8 + (0.2 - 0.8) * np.minimum(np.arange(20) / 10, 1)
    # Rarely visited states hide some strays, so compare the shape: all of it after the decay, most of it before.
    assert strays[10:] == pytest.approx(0.8 * eps[10:], abs=0.03)
    assert (np.diff(strays[:11]) < 0).all()


@pytest.mark.parametrize("high", [0.0, 100.0])
def test_an_optimistic_table_makes_a_greedy_learner_try_everything(high):
    """With a table far above any reward, no action is repeated in a state before all five were tried there."""
    family = task_family("dark_room", size=3)
    source = make_source("q_learning", eps_start=0, initial_q=[high, high], discount=0.0)
    batch = source.generate(family, family.tasks() * 10, np.arange(80), 10, 0)
    repeated = 0
    for states, actions in zip(batch.observations, batch.actions, strict=True):
        for state in range(9):
            first = actions[states == state][:5]
            repeated += len(first) - len(np.unique(first))
    assert (repeated == 0) == (high == 100.0)


def test_the_description_states_its_constants():
    sentence = make_source("q_learning", discount=0.9).describe()
    assert all(word in sentence for word in ["Q-learning", "0.9933", "discount 0.9", "from 1 to 0", "90%"])
    assert "published code" not in sentence
    faulty = make_source("q_learning", erase_final_row=True, first_index_ties=True).describe()
    assert "as in the published code" in faulty
    assert "erases the values of the cell observed last, of equally good actions it takes the first" in faulty


@pytest.mark.parametrize("flag", ["erase_final_row", "first_index_ties", "stray_transition"])
def test_flags_are_booleans(flag):
    with pytest.raises(ValueError, match=f"{flag} is 'no'; it must be true or false"):
        make_source("q_learning", **{flag: "no"})
