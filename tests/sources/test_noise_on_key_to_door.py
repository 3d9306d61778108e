"""The noise curriculum on Key-to-Door, with the settings of AD-eps: 40 steps, random starts off the key."""

import numpy as np
import pytest

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family

FAMILY = task_family("key_to_door", horizon=40, start_off_key=True)
# The pairs that AD-eps draws from. (Its levels are those of these 5184: the shortest way takes 12.67 steps on average,
# against 12.00 over all 6480 pairs of different cells.)
PAIRS = [t for t in FAMILY.tasks() if t["key"][0] != t["door"][0] and t["key"][1] != t["door"][1]]


def histories(tasks, episodes, family=FAMILY, seed=0, **params):
    source = make_source("noise_curriculum", **params)
    return source.generate(family, tasks, np.arange(len(tasks)), episodes, seed, columns=["optimal_actions", "time"])


def by_episode(batch, episodes):
    """Return and length of every episode, `(n, episodes)` each."""
    valid = np.arange(batch.rewards.shape[1]) < batch.lengths[:, None]
    ended = (batch.terminated | batch.truncated) & valid
    number = np.cumsum(ended, axis=1) - ended
    rows = np.broadcast_to(np.arange(len(number))[:, None], number.shape)
    returns, lengths = np.zeros((2, len(number), episodes))
    np.add.at(returns, (rows[valid], number[valid]), batch.rewards[valid])
    np.add.at(lengths, (rows[valid], number[valid]), 1)
    return returns, lengths


@pytest.mark.parametrize(
    ("eps", "expected"), [(0, 2.00), (0.25, 2.00), (0.5, 1.80), (0.7, 1.18), (0.75, 0.97), (0.8, 0.77), (1, 0.20)]
)
def test_demonstrator_levels_agree_with_the_published_reference(eps, expected):
    """Mean return over all pairs that AD-eps draws from, at a constant eps."""
    batch = histories(PAIRS, 2, eps_start=eps, eps_end=eps)
    returns, lengths = by_episode(batch, 2)
    # Our own error, 0.008 at most, is that of means over tasks. The reference is rounded to 0.01 and has sampled, too,
    # with an error that it does not state.
    error = returns.mean(axis=1).std() / np.sqrt(len(returns))
    assert returns.mean() == pytest.approx(expected, abs=3 * error + 0.02)
    if eps == 0:
        assert (returns == 2).all()
        # A standard deviation of about 5 over 10 368 episodes.
        assert lengths.mean() == pytest.approx(12.7, abs=0.2)
    if eps == 1:
        exact = np.array([FAMILY.random_return(task) for task in batch.tasks])
        assert np.abs((returns.mean(axis=1) - exact).mean()) < 4 * error
        assert exact.mean() == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize("noise", ["uniform", "held", "goal", "trips"])
@pytest.mark.parametrize("kwargs", [{}, {"start": "center", "terminate_at_door": False, "observation": "row_col"}])
def test_every_form_of_noise_strays_at_first_and_earns_the_oracle_return_at_last(noise, kwargs):
    family = task_family("key_to_door", **kwargs)
    tasks = family.sample(150, seed=1)
    batch = histories(tasks, 8, family=family, noise=noise, decay_fraction=[0.5, 0.5])
    returns, _ = by_episode(batch, 8)
    assert (returns[:, 4:] == np.array([family.oracle_return(task) for task in tasks])[:, None]).all()
    # The first episode's eps is about 1. Trips cover much of the room in 50 steps, so they find much by chance.
    assert returns[:, 0].mean() < 1.6
    assert (batch.actions != batch.optional["optimal_actions"])[:, :10].mean() > 0.2


def test_wrong_targets_are_never_what_the_demonstrator_heads_for():
    """Goal noise at its full level leads astray in every episode: nobody ends on the key without having passed it."""
    tasks = FAMILY.sample(200, seed=2)
    batch = histories(tasks, 3, noise="goal", eps_end=1.0)
    last = batch.next_observations[batch.truncated]
    keys = FAMILY.task_array(tasks)[:, :2] @ [9, 1]
    assert not (last == keys[np.nonzero(batch.truncated)[0]]).any()


def test_the_published_schedule_reaches_its_floor_at_90_percent():
    """AD-eps on Key-to-Door: eps from 1, minus (1 - floor) / (40 * episodes * 0.9) per nominal step, where an episode
    that ends early takes its remaining steps with it, floor 0.75."""
    episodes, floor = 20, 0.75
    batch = histories(FAMILY.sample(4000), episodes, eps_end=floor, decay_fraction=[0.9, 0.9])
    valid = np.arange(batch.rewards.shape[1]) < batch.lengths[:, None]
    ended = (batch.terminated | batch.truncated) & valid
    nominal = (np.cumsum(ended, axis=1) - ended) * 40 + batch.optional["time"]
    eps = np.maximum(1 - nominal * (1 - floor) / (40 * episodes * 0.9), floor)
    strays = (batch.actions != batch.optional["optimal_actions"]) & valid
    # A uniform action is the optimal one in a fifth of the cases. Compared by nominal step, in blocks of ten.
    block = nominal[valid] // 10
    count = np.bincount(block)
    seen = np.bincount(block, strays[valid]) / count
    due = np.bincount(block, 0.8 * eps[valid]) / count
    assert len(count) == 40 * episodes // 10
    assert np.abs(seen - due)[count > 0].max() < 5 * np.sqrt(0.25 / count.min())
    assert np.median(count) > 20_000
