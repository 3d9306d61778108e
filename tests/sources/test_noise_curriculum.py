"""The noise curriculum: how noisy it is, when, and in which way."""

import numpy as np
import pytest

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family

FAMILY = task_family("dark_room")
ALL_GOALS = [{"goal": [r, c]} for r in range(9) for c in range(9)]


def histories(tasks, episodes, seed=0, family=FAMILY, **params):
    source = make_source("noise_curriculum", **params)
    return source.generate(family, tasks, np.arange(len(tasks)), episodes, seed, columns=["optimal_actions"])


def by_episode(array, horizon=20):
    """`(n, T)` to `(n, episodes, horizon)`."""
    return array.reshape(len(array), -1, horizon)


@pytest.mark.parametrize(
    ("eps", "expected"), [(0, 16.54), (0.25, 11.88), (0.5, 6.35), (0.6, 4.29), (0.75, 1.95), (1, 0.25)]
)
def test_demonstrator_levels_agree_with_the_published_reference(eps, expected):
    """Mean return over all 81 goals at a constant eps (AD-eps's demonstrator on its DarkRoom)."""
    batch = histories(ALL_GOALS, 100, eps_start=eps, eps_end=eps)
    returns = by_episode(batch.rewards).sum(axis=2)
    assert returns.mean() == pytest.approx(expected, abs=max(5 * returns.std() / np.sqrt(returns.size), 0.06))


def test_the_published_schedule_reaches_its_floor_at_45_percent():
    """AD-eps on DarkRoom: eps from 1, minus 1 / (20 * episodes * 0.9) per step, floor 0.5."""
    episodes = 40
    batch = histories(FAMILY.tasks() * 50, episodes, eps_end=0.5, decay_fraction=[0.45, 0.45])
    strays = (batch.actions != batch.optional["optimal_actions"]).mean(axis=0)
    eps = np.maximum(1 - np.arange(20 * episodes) / (20 * episodes * 0.9), 0.5)
    # A uniform action is the optimal one in a fifth of the cases.
    assert np.abs(strays - 0.8 * eps).max() < 5 * np.sqrt(0.25 / 4000)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", lambda x: np.maximum(1 - x / 0.5, 0)),
        ("cosine", lambda x: np.where(x < 0.5, 0.5 * (1 + np.cos(np.pi * x / 0.5)), 0)),
        ("stepped", lambda x: np.maximum(1 - np.floor(x * 10) / 10 / 0.5, 0)),
    ],
)
def test_schedules_have_their_shape(schedule, expected):
    batch = histories(FAMILY.tasks() * 50, 10, schedule=schedule, decay_fraction=[0.5, 0.5])
    strays = (batch.actions != batch.optional["optimal_actions"]).mean(axis=0)
    eps = expected(np.arange(200) / 200)
    assert np.abs(strays - 0.8 * eps).max() < 5 * np.sqrt(0.25 / 4000)
    assert (strays[eps == 0] == 0).all()


def test_each_history_draws_its_own_pace():
    batch = histories(FAMILY.tasks() * 10, 50, decay_fraction=[0.2, 0.8])
    strays = batch.actions != batch.optional["optimal_actions"]
    last = 1 - strays[:, ::-1].argmax(axis=1) / strays.shape[1]
    assert last.max() <= 0.8
    # The last stray action comes a little before the noise is gone.
    assert np.quantile(last, [0.1, 0.5, 0.9]) == pytest.approx([0.26, 0.5, 0.74], abs=0.06)


def test_a_decay_fraction_of_zero_is_no_noise_at_all():
    batch = histories(FAMILY.tasks(), 3, decay_fraction=[0, 0])
    assert (batch.actions == batch.optional["optimal_actions"]).all()


def test_optimal_actions_are_the_demonstrators_and_only_recorded_when_asked_for():
    batch = histories(FAMILY.tasks(), 3)
    goals = FAMILY.task_array(batch.tasks)
    for t in range(60):
        assert (
            batch.optional["optimal_actions"][:, t] == FAMILY.demonstrator(batch.observations[:, t], goals, {})
        ).all()
    assert make_source("noise_curriculum").generate(FAMILY, FAMILY.tasks(), np.arange(80), 1, 0).optional == {}


@pytest.mark.parametrize("noise", ["uniform", "held"])
def test_random_actions_are_drawn_uniformly_from_those_listed(noise):
    batch = histories(FAMILY.tasks() * 10, 10, noise=noise, eps_end=1.0, random_actions=[1, 2, 4], hold=[1, 2])
    counts = np.bincount(batch.actions.ravel(), minlength=5) / batch.actions.size
    assert counts[[0, 3]].tolist() == [0, 0]
    assert counts[[1, 2, 4]] == pytest.approx([1 / 3] * 3, abs=0.01)


def test_held_actions_last_as_long_as_they_should():
    family = task_family("dark_room", horizon=1000)
    batch = histories(family.tasks(), 1, family=family, noise="held", eps_end=1.0, hold=[3, 6])
    lengths = []
    for actions in batch.actions:
        borders = np.flatnonzero(np.diff(actions)) + 1
        lengths += np.diff(borders).tolist()
    # Two holds of the same action in a row look like one; runs of 3 to 5 steps can only be single holds.
    values, counts = np.unique(lengths, return_counts=True)
    assert values.min() == 3
    counts = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert [counts[k] / counts[3] for k in (4, 5)] == pytest.approx([1, 1], abs=0.1)
    # The mean over merged runs: a hold of 4.5 steps is followed by the same action with probability 1/5.
    assert np.mean(lengths) == pytest.approx(4.5 / 0.8, abs=0.1)


@pytest.mark.parametrize("eps", [0.2, 0.5, 0.8])
def test_held_noise_has_the_share_of_random_steps_that_eps_says(eps):
    # Long episodes, so that their ends do not matter; staying is never optimal before the goal, so holding
    # action 0 marks a random step until the goal is reached: count on a goal that is never reached.
    family = task_family("dark_room", size=600, horizon=250)
    batch = histories(
        [{"goal": [0, 0]}] * 400, 1, family=family, noise="held", eps_start=eps, eps_end=eps, random_actions=[0]
    )
    assert (batch.actions == 0)[:, 50:].mean() == pytest.approx(eps, abs=0.02)


def test_holds_end_with_their_episode():
    family = task_family("dark_room", horizon=3)
    batch = histories(family.tasks() * 5, 40, family=family, noise="held", eps_end=1.0, hold=[50, 50])
    episodes = by_episode(batch.actions, 3)
    assert (episodes == episodes[:, :, :1]).all()
    # A new episode draws anew: it repeats the last one's action only in a fifth of the cases.
    assert (episodes[:, 1:, 0] == episodes[:, :-1, 0]).mean() == pytest.approx(0.2, abs=0.02)


def walked_goals(batch):
    """Where each episode ended, `(n, episodes, 2)`."""
    last = by_episode(batch.next_observations)[:, :, -1]
    return np.stack([last // 9, last % 9], axis=2)


def test_goal_noise_serves_one_goal_for_a_whole_episode():
    tasks = FAMILY.tasks() * 5
    batch = histories(tasks, 40, noise="goal", eps_start=0.3, eps_end=0.3)
    ends = walked_goals(batch)
    own = (ends == FAMILY.task_array(tasks)[:, None]).all(axis=2)
    assert own.mean() == pytest.approx(0.7, abs=0.02)
    # An episode is the demonstrator's walk to where it ends, and nothing else.
    targets = ends.reshape(-1, 2)
    for t in range(20):
        assert (
            by_episode(batch.actions)[:, :, t].ravel()
            == FAMILY.walk(by_episode(batch.observations)[:, :, t].ravel(), targets, targets)
        ).all()
    # Wrong goals are uniform over the 79 others: the own one and the start never occur, all others do.
    wrong = ends[~own]
    counts = np.bincount(wrong[:, 0] * 9 + wrong[:, 1], minlength=81)
    assert counts[40] == 0
    assert np.delete(counts, 40) == pytest.approx(len(wrong) / 80, rel=0.6)


def test_goal_noise_at_its_full_level_never_finds_its_own_goal_first():
    batch = histories(FAMILY.tasks() * 3, 10, noise="goal", eps_end=1.0)
    assert not (walked_goals(batch) == FAMILY.task_array(batch.tasks)[:, None]).all(axis=2).any()


def test_trips_lead_from_one_wrong_goal_to_the_next_until_the_own_one_is_chosen():
    family = task_family("dark_room", size=5, horizon=200)
    tasks = family.tasks() * 5
    batch = histories(tasks, 5, family=family, noise="trips", eps_start=0.5, eps_end=0.5)
    # Half of all draws choose the own goal, so 200 steps are enough to be there at the end and to stay.
    last = by_episode(batch.next_observations, 200)[:, :, -1]
    goals = family.task_array(tasks)
    assert (last == (goals[:, 0] * 5 + goals[:, 1])[:, None]).all()
    # It never idles on the way: staying happens on the own goal only.
    stays = batch.actions == 0
    assert (
        batch.observations[stays] == np.broadcast_to((goals[:, 0] * 5 + goals[:, 1])[:, None], stays.shape)[stays]
    ).all()
    # The number of wrong goals before the own one is geometric with ratio 1/2, so half of the episodes go straight.
    distance = np.abs(goals - 2).sum(axis=1)[:, None]
    arrival = (by_episode(batch.rewards, 200) > 0).argmax(axis=2) + 1
    assert (arrival == distance).mean() == pytest.approx(0.5, abs=0.12)
    everlasting = histories(tasks, 2, family=family, noise="trips", eps_end=1.0)
    assert not (everlasting.actions == 0).any()


@pytest.mark.parametrize("noise", ["goal", "trips"])
def test_a_goal_that_is_no_listed_task_can_be_demonstrated(noise):
    """A goal on the start is allowed, though the family does not list it."""
    batch = histories([{"goal": [4, 4]}], 30, noise=noise, decay_fraction=[0.5, 0.5])
    assert (by_episode(batch.rewards)[0, 15:] == 1).all()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, ["(noise curriculum, AD-eps)", "all actions", "linearly", "from 1 to 0", "first 90%"]),
        (
            {"noise": "held", "hold": [2, 5], "random_actions": [1, 2]},
            ["a variation of AD-eps", "the actions [1, 2]", "held for 2 to 5 steps"],
        ),
        (
            {"noise": "goal", "schedule": "cosine"},
            ["a variation of AD-eps", "wrong goal", "held-out ones included", "cosine"],
        ),
        ({"noise": "uniform", "random_actions": [1]}, ["a variation of AD-eps", "the actions [1]"]),
        (
            {"noise": "trips", "decay_fraction": [0.1, 0.6]},
            ["a variation of AD-eps", "sets out", "10% to 60% (drawn per history)"],
        ),
    ],
)
def test_the_description_states_noise_schedule_and_range(params, words):
    sentence = make_source("noise_curriculum", **params).describe()
    assert sentence.startswith("No learning took place")
    assert all(word in sentence for word in words), sentence
    assert "{" not in sentence
