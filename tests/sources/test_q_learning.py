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


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 4),
    st.booleans(),
    st.sampled_from(["center", "random"]),
    st.floats(0.1, 1),
    st.floats(0, 1),
    st.integers(0, 2**40),
)
def test_greedy_actions_are_those_of_a_plain_learner(size, terminate, start, learning_rate, discount, seed):
    """With the recorded experience, a learner written as loops agrees that every greedy action had the highest value.

    All values begin equal (at 1), so the test also sees that a terminal step bootstraps nothing and that a truncated
    one does: with a wrong rule, values and with them the greedy actions differ.
    """
    family = task_family("dark_room", size=size, terminate_on_goal=terminate, start=start, horizon=6)
    tasks = family.tasks()
    source = make_source(
        "q_learning",
        learning_rate=learning_rate,
        discount=discount,
        eps_start=0,
        initial_q=[1, 1],
    )
    batch = source.generate(family, tasks, np.arange(len(tasks)), 15, seed)
    for i in range(len(tasks)):
        q = np.ones((size * size, 5))
        for t in range(batch.lengths[i]):
            state, action, following = batch.observations[i, t], batch.actions[i, t], batch.next_observations[i, t]
            assert q[state, action] == q[state].max()
            target = float(batch.rewards[i, t])
            if not batch.terminated[i, t]:
                target += discount * q[following].max()
            q[state, action] += learning_rate * (target - q[state, action])


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
