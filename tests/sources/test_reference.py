"""What a source reaches on given tasks, against its recorded histories and its published regret."""

import numpy as np
import pytest

from hf_icrl.seeding import derived_seed
from hf_icrl.sources import make_source
from hf_icrl.sources.reference import source_reference
from hf_icrl.tasks import task_family


def test_thompsons_regret_is_the_published_one_and_repeats_sharpen_it():
    family = task_family("bernoulli_bandit")
    tasks = family.task_set("train", 300, seed=3)
    got = source_reference(make_source("thompson"), family, tasks, episodes=1, repeats=4)
    assert got.name == "thompson"
    assert got.regret_curve.shape == (300, 300)
    assert (np.diff(got.regret_curve, axis=1) >= 0).all()
    # 21.9 was measured on 4000 bandits; four standard errors.
    assert got.regret.mean() == pytest.approx(21.9, abs=4 * got.regret.std() * (1 / 300 + 1 / 4000) ** 0.5)
    one = source_reference(make_source("thompson"), family, tasks, episodes=1)
    assert got.regret.std() < one.regret.std()
    # What was lost in expectation was not earned, but for the luck of 300 * 300 (or four times so many) pulls.
    lost = np.array([family.oracle_return(task) for task in tasks]) - got.returns
    assert lost.mean() == pytest.approx(got.regret.mean(), abs=4 * (0.25 * 300 / (4 * 300)) ** 0.5)


def test_other_tasks_do_not_change_a_tasks_reference():
    family = task_family("contextual_bandit", horizon=50)
    tasks = family.sample(4)
    source = make_source("lin_ucb")
    all_of_them = source_reference(source, family, tasks, episodes=2, seed=5, repeats=2)
    fewer = source_reference(source, family, tasks[:2], episodes=2, seed=5, repeats=2)
    np.testing.assert_array_equal(fewer.regret_curve, all_of_them.regret_curve[:2])
    np.testing.assert_array_equal(fewer.returns, all_of_them.returns[:2])
    other = source_reference(source, family, tasks, episodes=2, seed=6, repeats=2)
    assert (other.regret != all_of_them.regret).all()
    assert all_of_them.regret_curve.shape == (4, 100)


@pytest.mark.parametrize("stray", [False, True])
def test_returns_are_those_of_the_last_tenth_of_the_history(stray):
    """Episodes of words end on the goal, at different times in different runs."""
    family = task_family("dark_room", size=5, horizon=6, terminate_on_goal=True, word_length=2, words="all")
    tasks = family.tasks()[:6]
    source = make_source("q_learning", stray_transition=stray)
    got = source_reference(source, family, tasks, episodes=40)
    assert got.regret is None
    # The same runs, whole: 40 episodes each, 36 to 39 (from 0) are the last tenth.
    batch = source.generate(family, tasks, np.arange(6), 40, derived_seed(0, "source_reference"))
    for row in range(6):
        ends = np.flatnonzero(batch.terminated[row] | batch.truncated[row])
        rewards = batch.rewards[row]
        episodes = [rewards[a:b].sum() for a, b in zip([0, *(ends + 1)], ends + 1, strict=False)]
        assert got.returns[row] == np.mean(episodes[36:40])
    assert got.returns.mean() > 0.7


def test_a_source_that_makes_several_histories_at_once_makes_whole_groups():
    family = task_family("dark_room", size=3, horizon=5)
    source = make_source("a2c", num_envs=2)
    assert source.streams == 2
    got = source_reference(source, family, family.tasks()[:3], episodes=4, repeats=3)
    assert got.returns.shape == (3,)
    assert (got.returns >= 0).all()


def test_nothing_to_run_is_an_error():
    family = task_family("dark_room", size=3)
    with pytest.raises(ValueError, match="0 tasks and repeats=1"):
        source_reference(make_source("uniform"), family, [], episodes=1)
    with pytest.raises(ValueError, match="1 tasks and repeats=0"):
        source_reference(make_source("uniform"), family, family.tasks()[:1], episodes=1, repeats=0)
