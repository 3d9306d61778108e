"""What the bandit sources lose to the best arm: the published regret, within sampling errors."""

import numpy as np
import pytest

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family

BERNOULLI, LINEAR, CONTEXTUAL = "bernoulli_bandit", "linear_bandit", "contextual_bandit"


def regret(family, tasks, batch):
    """Expected regret of each step, `(n, T)`."""
    task_array = family.task_array(tasks)
    steps = []
    for t in range(batch.actions.shape[1]):
        values = family.values(batch.observations[:, t], task_array)
        steps.append(values.max(axis=1) - values[np.arange(len(tasks)), batch.actions[:, t]])
    return np.stack(steps, axis=1)


@pytest.mark.parametrize(
    ("name", "family_name", "task_set", "published", "count"),
    [
        ("thompson", BERNOULLI, "train", 21.9, 1000),
        ("thompson", BERNOULLI, "inverse", 21.7, 1000),
        ("thompson", BERNOULLI, "uniform", 21.9, 1000),
        ("thompson", BERNOULLI, "num_10", 20.3, 1000),
        ("thompson", BERNOULLI, "num_20", 31.4, 1000),
        ("thompson", BERNOULLI, "num_50", 55.0, 500),
        ("thompson", BERNOULLI, "num_100", 84.4, 300),
        ("ucb1", BERNOULLI, "train", 29.1, 1000),
        ("ucb1", BERNOULLI, "inverse", 29.2, 1000),
        ("ucb1", BERNOULLI, "uniform", 28.5, 1000),
        ("ucb1", BERNOULLI, "num_20", 45.3, 1000),
        ("ucb1", BERNOULLI, "num_50", 83.3, 300),
        ("uniform", BERNOULLI, "train", 127.0, 1000),
        ("lin_ucb", CONTEXTUAL, "train", 78.3, 1000),
        ("lin_ucb", CONTEXTUAL, "eval_scaled", 128.5, 1000),
        ("lin_ucb", CONTEXTUAL, "num_20", 117.0, 500),
        ("lin_ucb", CONTEXTUAL, "num_50", 183.0, 300),
        ("lin_ucb", CONTEXTUAL, "num_100", 267.0, 150),
        ("uniform", CONTEXTUAL, "train", 295.7, 1000),
    ],
)
def test_expected_regret_after_300_pulls_is_the_published_one(name, family_name, task_set, published, count):
    arms = int(task_set.removeprefix("num_")) if task_set.startswith("num_") else 20
    family = task_family(family_name, num_arms=arms)
    tasks = family.task_set(task_set, count, seed=0)
    batch = make_source(name).generate(family, tasks, np.arange(count), 1, 0)
    total = regret(family, tasks, batch).sum(axis=1)
    # The published numbers were measured, too: on 4000 Bernoulli or 2000 contextual bandits. Four standard errors of
    # the difference, such as 1.5 for Thompson sampling on "train" and 6.5 for LinUCB.
    reference = 4000 if family_name == BERNOULLI else 2000
    assert total.mean() == pytest.approx(published, abs=4 * total.std() * (1 / count + 1 / reference) ** 0.5)
    if (name, task_set) == ("thompson", "train"):
        tried = np.array([len(np.unique(actions)) for actions in batch.actions])
        assert tried.mean() == pytest.approx(12.0, abs=4 * tried.std() * (1 / count + 1 / reference) ** 0.5)
        assert total.std() == pytest.approx(10.7, rel=0.15)


def test_on_linear_bandits_knowing_the_features_pays():
    """As in DPT's figures: LinUCB, then Thompson sampling with independent arms, then uniformly random pulls."""
    family = task_family(LINEAR)
    tasks = family.task_set("eval", 400)
    regrets = []
    for name, params in [
        ("lin_ucb", {"alpha": 1.0, "optimistic_start": False}),
        ("thompson", {"prior": "gaussian", "prior_mean": 0.0, "prior_variance": 1.0}),
        ("uniform", {}),
    ]:
        batch = make_source(name, **params).generate(family, tasks, np.arange(400), 1, 0)
        regrets.append(regret(family, tasks, batch).sum(axis=1).mean())
    assert 2 * regrets[0] < regrets[1] < regrets[2] / 2


def test_what_was_learned_lasts_into_the_next_episode():
    family = task_family(BERNOULLI, num_arms=10, horizon=100)
    tasks = family.sample(300)
    for name in ("thompson", "ucb1"):
        batch = make_source(name).generate(family, tasks, np.arange(300), 2, 0)
        first, second = regret(family, tasks, batch).reshape(300, 2, 100).sum(axis=2).mean(axis=0)
        assert second < 0.6 * first
