"""How a report compares a model with its source: what is compared with what."""

from dataclasses import dataclass

import numpy as np
import pytest

from hf_icrl.rollouts.source_marks import source_values, success_values
from hf_icrl.sources import make_source
from hf_icrl.sources.reference import source_reference
from hf_icrl.tasks import task_family


@dataclass
class Played:
    """What `source_values` takes of a rollout."""

    returns: np.ndarray
    regrets: np.ndarray | None
    oracle: list
    random: list
    last_episodes: int = 1


def played_by(source, family, tasks, episodes, seed):
    """As if a model had done what `source` does, in three seeds."""
    runs = [source_reference(source, family, tasks, episodes=episodes, seed=seed + i) for i in range(3)]
    regrets = None
    if runs[0].regret is not None:
        regrets = np.stack([np.diff(run.regret_curve, axis=1, prepend=0.0) for run in runs])
    returns = np.stack([np.repeat(run.returns[:, None], episodes, axis=1) for run in runs])
    anchors = ([getattr(family, f"{who}_return")(task) for task in tasks] for who in ("oracle", "random"))
    return Played(returns, regrets, *anchors)


def test_a_bandit_model_that_does_what_its_source_does_is_at_1_and_random_pulls_are_at_0():
    family = task_family("bernoulli_bandit", num_arms=10)
    tasks = family.sample(100, min_arms=4)
    reference = source_reference(make_source("thompson"), family, tasks, episodes=2, repeats=3)
    as_good = source_values(reference, **vars(played_by(make_source("thompson"), family, tasks, 2, 10)))
    at_random = source_values(reference, **vars(played_by(make_source("uniform"), family, tasks, 2, 10)))
    # Thompson's regret varies by about 11 from run to run and random pulls' by about 5, of a distance of 100 * 2:
    # means of 300 runs have errors below 0.5 %.
    assert as_good["regret_normalized"]["mean"] == pytest.approx(1.0, abs=0.02)
    assert at_random["regret_normalized"]["mean"] == pytest.approx(0.0, abs=0.02)
    for values in (as_good, at_random):
        low, high = values["regret_normalized"]["ci95"]
        assert low <= values["regret_normalized"]["mean"] <= high
        assert values["regret_normalized"]["worst"] < values["regret_normalized"]["mean"]
    assert as_good["source"] == "thompson"
    assert as_good["source_regret"] == reference.regret.tolist()
    assert as_good["source_regret_curve"][-1] == pytest.approx(np.mean(reference.regret), abs=1e-5)
    assert as_good["source_return"] == reference.returns.tolist()


def test_without_regrets_the_last_episodes_are_compared_with_the_end_of_the_sources_history():
    family = task_family("dark_room", size=5, horizon=8, terminate_on_goal=True, word_length=2)
    tasks = family.tasks()[::3]
    reference = source_reference(make_source("q_learning"), family, tasks, episodes=100)
    played = played_by(make_source("q_learning"), family, tasks, 100, 10)
    played.returns[:, :, :-2] = 0.0
    got = source_values(reference, **vars(played) | {"last_episodes": 2})
    random = np.mean(played.random)
    expected = (played.returns[..., -2:].mean() - random) / (reference.returns.mean() - random)
    assert got["regret_normalized"]["mean"] == pytest.approx(expected)
    assert got["source_regret"] is got["source_regret_curve"] is None


def test_what_cannot_be_told_is_null():
    family = task_family("bernoulli_bandit", num_arms=4, horizon=10)
    tasks = family.sample(3)
    reference = source_reference(make_source("thompson"), family, tasks, episodes=1)
    played = played_by(make_source("uniform"), family, tasks, 1, 0)
    assert source_values(None, **vars(played)) == {}
    for unknown in ("oracle", "random"):
        got = source_values(reference, **vars(played) | {unknown: [0.5, None, 0.5]})
        assert got["regret_normalized"] is None
        assert got["source_regret"] == reference.regret.tolist()


def test_references_about_something_else_are_refused():
    family = task_family("bernoulli_bandit", num_arms=4, horizon=10)
    tasks = family.sample(3)
    played = vars(played_by(make_source("uniform"), family, tasks, 2, 0))
    with pytest.raises(ValueError, match="about 2 tasks, the rollout about 3"):
        source_values(source_reference(make_source("ucb1"), family, tasks[:2], episodes=2), **played)
    with pytest.raises(ValueError, match="regret of 10 pulls, but the rollout has 20"):
        source_values(source_reference(make_source("ucb1"), family, tasks, episodes=1), **played)


def test_success_is_told_where_a_return_can_only_be_0_or_1():
    returns = np.array([[[0.0, 1, 1], [0, 0, 1]], [[0, 0, 1], [0, 1, 1]]])
    got = success_values(returns, [1.0, 1.0], last_episodes=2)
    assert got == {"success": 0.75, "success_ci95": [0.75, 0.75], "success_curve": [0.0, 0.5, 1.0]}
    # One goal that is drawn twice says nothing about how goals differ.
    assert success_values(returns, [1.0, 1.0], 2, groups=np.array([3, 3]))["success_ci95"] is None
    assert success_values(returns, [1.0, None], 2) == success_values(returns, [1.0, 16.0], 2) == {}
    assert success_values(returns / 2, [1.0, 1.0], 2) == {}
