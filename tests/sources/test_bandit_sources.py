"""The bandit sources: independence of histories, their rules against the textbook, and the published regret."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.sources import make_source
from hf_icrl.sources.steps import Transition
from hf_icrl.tasks import task_family

BERNOULLI, LINEAR, CONTEXTUAL = "bernoulli_bandit", "linear_bandit", "contextual_bandit"
SOURCES = [
    ("thompson", {}, BERNOULLI),
    ("thompson", {"alpha": 0.5, "beta": 2.5}, BERNOULLI),
    ("thompson", {"prior": "gaussian"}, BERNOULLI),
    ("thompson", {"prior": "gaussian", "prior_mean": 0.0, "prior_variance": 1.0}, LINEAR),
    ("ucb1", {}, BERNOULLI),
    ("ucb1", {"c": 1.0, "bonus": "count"}, LINEAR),
    ("epsilon_greedy", {"eps_end": 0.1}, BERNOULLI),
    ("epsilon_greedy", {}, LINEAR),
    ("lin_ucb", {}, CONTEXTUAL),
    ("lin_ucb", {"alpha": 1.0, "optimistic_start": False}, CONTEXTUAL),
    ("lin_ucb", {"alpha": 1.0, "ridge": 0.5, "optimistic_start": False}, LINEAR),
]
each_source = pytest.mark.parametrize(("name", "params", "family_name"), SOURCES)


def family_and_tasks(family_name, arms, dimension, horizon, count, random):
    """A small family, and tasks of it that have different numbers of arms where they may."""
    if family_name == BERNOULLI:
        family = task_family(family_name, num_arms=arms, horizon=horizon)
    else:
        family = task_family(family_name, num_arms=arms, dimension=dimension, horizon=horizon)
    pool = family.sample(12, 0) if family_name == LINEAR else family.sample(12, 0, min_arms=1)
    return family, [random.choice(pool) for _ in range(count)]


@each_source
@settings(max_examples=25, deadline=None)
@given(
    arms=st.integers(1, 7),
    dimension=st.integers(1, 4),
    horizon=st.integers(1, 12),
    seed=st.integers(0, 2**40),
    ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=7),
    episodes=st.integers(1, 3),
    random=st.randoms(use_true_random=False),
)
def test_a_history_depends_on_seed_id_and_task_alone(
    name, params, family_name, arms, dimension, horizon, seed, ids, episodes, random
):
    family, tasks = family_and_tasks(family_name, arms, dimension, horizon, len(ids), random)
    source = make_source(name, **params)
    whole = source.generate(family, tasks, ids, episodes, seed, source.offers)
    part = random.sample(range(len(ids)), random.randint(1, len(ids)))
    again = source.generate(family, [tasks[i] for i in part], np.array(ids)[part], episodes, seed, source.offers)
    assert whole.actions.dtype == np.int64
    for column in ("observations", "actions", "rewards"):
        assert getattr(again, column).tobytes() == getattr(whole, column)[part].tobytes()
    for column in source.offers:
        assert again.optional[column].tobytes() == whole.optional[column][part].tobytes()
    usable = family.available_actions(tasks)
    if usable is not None:
        assert np.take_along_axis(usable, whole.actions, axis=1).all()


@each_source
def test_seeds_and_ids_give_different_histories(name, params, family_name):
    family = task_family(family_name, num_arms=6, horizon=80)
    tasks = family.sample(1, 3) * 8
    source = make_source(name, **params)
    runs = [source.generate(family, tasks, np.arange(8) + 100 * k, 1, seed) for k, seed in [(0, 0), (1, 0), (0, 1)]]
    assert len(np.unique(np.concatenate([run.actions for run in runs]), axis=0)) == 24


@each_source
def test_parameters_survive_json_and_rebuild_the_source(name, params, family_name):
    source = make_source(name, **params)
    again = make_source(source.name, **json.loads(json.dumps(source.params)))
    assert again.params == source.params
    assert set(params) <= set(source.params)
    assert source.describe() == again.describe()
    assert source.describe().endswith(".")
    if params:
        assert source.describe() != make_source(name).describe()


# ---- Thompson sampling: its posterior, against NumPy's own generators ----


def first_choice(source, family, pulls, rewards, n):
    """Which arm n learners pull next, after each of them saw the same `pulls` and `rewards`: a share for each arm."""
    tasks = family.sample(1) * n
    run = source.begin(family, tasks, np.arange(n), seed=0)
    zeros, no = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    for arm, reward in zip(pulls, rewards, strict=True):
        run.learn(Transition(zeros, np.full(n, arm), np.full(n, reward, dtype=np.float32), no, no, zeros))
    clock = type("Clock", (), {"time": len(pulls)})
    return np.bincount(run.act(zeros, clock)[0], minlength=family.num_actions) / n


@pytest.mark.parametrize(
    ("params", "wins", "losses"),
    [
        ({}, [0, 0, 0], [0, 0, 0]),
        ({}, [3, 1, 0], [2, 0, 1]),
        ({"alpha": 0.5, "beta": 0.5}, [2, 0, 1], [3, 0, 1]),
        ({"alpha": 2.0, "beta": 7.5}, [20, 3, 0], [30, 7, 0]),
        # Beyond what is tabulated, and across its end.
        ({}, [640, 330, 509], [610, 310, 505]),
    ],
)
def test_thompson_pulls_arms_as_often_as_their_beta_posterior_says(params, wins, losses):
    n = 20000
    source, family = make_source("thompson", **params), task_family(BERNOULLI, num_arms=3)
    pulls = np.repeat([0, 1, 2, 0, 1, 2], [*wins, *losses])
    shares = first_choice(source, family, pulls, [1] * sum(wins) + [0] * sum(losses), n)
    draws = np.random.default_rng(0).beta(np.add(wins, source.alpha), np.add(losses, source.beta), (10 * n, 3))
    expected = np.bincount(draws.argmax(axis=1), minlength=3) / len(draws)
    # Two independent samples; five standard errors of the difference.
    assert shares == pytest.approx(expected, abs=5 * (0.25 * (1 / n + 1 / (10 * n))) ** 0.5)
    assert shares.min() > 0


@pytest.mark.parametrize(("family_name", "noise"), [(BERNOULLI, 0.3), (LINEAR, 0.3), (BERNOULLI, 1.0)])
def test_thompson_pulls_arms_as_often_as_their_gaussian_posterior_says(family_name, noise):
    n, mean, variance = 20000, 0.5, 1 / 12
    params = {} if noise == 0.3 else {"noise": noise}  # 0.3 is what it takes from the linear family, and else assumes
    family = task_family(family_name, num_arms=3)
    pulls, rewards = [0, 0, 1, 0], [0.25, 1.0, 0.5, 0.0]
    shares = first_choice(make_source("thompson", prior="gaussian", **params), family, pulls, rewards, n)
    precision = np.array([1 / variance + pulls.count(arm) / noise**2 for arm in range(3)])
    sums = np.bincount(pulls, rewards, minlength=3)
    means = (mean / variance + sums / noise**2) / precision
    draws = means + np.random.default_rng(0).normal(size=(10 * n, 3)) / np.sqrt(precision)
    expected = np.bincount(draws.argmax(axis=1), minlength=3) / len(draws)
    assert shares == pytest.approx(expected, abs=5 * (0.25 * (1 / n + 1 / (10 * n))) ** 0.5)


# ---- Deterministic rules: every recorded pull is one that the textbook allows ----


def check_pulls(batch, family, tasks, scores):
    """Was each pull one of the best of `scores(history, t, arm)`, computed anew at each step?"""
    for i, task in enumerate(tasks):
        count = (
            family.num_actions if family.available_actions(tasks) is None else family.available_actions([task]).sum()
        )
        for t, action in enumerate(batch.actions[i]):
            score = np.array([scores(i, t, arm) for arm in range(count)])
            assert score[action] >= score.max() - 1e-9


@pytest.mark.parametrize(("params", "c"), [({}, 0.3), ({"c": 1.0, "bonus": "count"}, 1.0)])
def test_ucb1_pulls_the_arm_of_the_highest_bound(params, c):
    family = task_family(BERNOULLI, num_arms=5, horizon=60)
    tasks = family.sample(4, min_arms=2)
    batch = make_source("ucb1", **params).generate(family, tasks, np.arange(4), 1, 0)

    def score(i, t, arm):
        rewards = batch.rewards[i, :t][batch.actions[i, :t] == arm]
        if params:
            return rewards.sum() / max(1, len(rewards)) + c / max(1, len(rewards)) ** 0.5
        return rewards.mean() + (c * np.log(t) / len(rewards)) ** 0.5 if len(rewards) else np.inf

    check_pulls(batch, family, tasks, score)


@pytest.mark.parametrize("optimistic_start", [True, False])
@pytest.mark.parametrize("family_name", [CONTEXTUAL, LINEAR])
def test_lin_ucb_pulls_the_arm_of_the_highest_bound(family_name, optimistic_start):
    family = task_family(family_name, num_arms=4, dimension=3, horizon=60)
    tasks = family.sample(3)
    source = make_source("lin_ucb", alpha=0.7, ridge=0.4, optimistic_start=optimistic_start)
    batch = source.generate(family, tasks, np.arange(3), 1, 0)

    def score(i, t, arm):
        own = batch.actions[i, :t] == arm
        if optimistic_start and not own.any():
            return np.inf
        if family_name == CONTEXTUAL:
            x = batch.observations[i, t].astype(np.float64)
            seen, rewards = batch.observations[i, :t][own].astype(np.float64), batch.rewards[i, :t][own]
        else:
            x, seen, rewards = family.arms[arm], family.arms[batch.actions[i, :t]], batch.rewards[i, :t]
        covariance = 0.4 * np.eye(3) + seen.T @ seen
        theta = np.linalg.solve(covariance, seen.T @ rewards)
        return theta @ x + 0.7 * np.sqrt(x @ np.linalg.solve(covariance, x))

    check_pulls(batch, family, tasks, score)


def test_a_greedy_learner_pulls_the_arm_of_the_highest_mean():
    family = task_family(BERNOULLI, num_arms=5, horizon=60)
    tasks = family.sample(4, min_arms=2)
    source = make_source("epsilon_greedy", eps_start=0.0)
    batch = source.generate(family, tasks, np.arange(4), 1, 0)

    def score(i, t, arm):
        rewards = batch.rewards[i, :t][batch.actions[i, :t] == arm]
        return rewards.sum() / max(1, len(rewards))

    check_pulls(batch, family, tasks, score)


def test_epsilon_falls_as_it_should_and_the_log_probs_say_so():
    family = task_family(BERNOULLI, num_arms=4, horizon=100)
    tasks = [{"means": [0.0, 0.0, 1.0, 0.0]}] * 4000
    source = make_source("epsilon_greedy", eps_start=0.8, eps_end=0.2, decay_fraction=0.5)
    batch = source.generate(family, tasks, np.arange(4000), 2, 0, ("log_probs",))
    t = np.arange(200)
    eps = np.maximum(0.8 - 0.6 * t / 100, 0.2)
    # As soon as arm 2 has paid it is the greedy one; before, all four are tied.
    paid = np.cumsum(batch.actions == 2, axis=1) - (batch.actions == 2) > 0
    chosen = np.where(batch.actions == 2, 1 - 0.75 * eps, 0.25 * eps)
    assert np.allclose(batch.optional["log_probs"], np.log(np.where(paid, chosen, 0.25)), rtol=0, atol=1e-5)
    assert paid[:, 60:].all()
    # 4000 learners: a share has a standard error of at most 0.5 / sqrt(4000).
    shares = (batch.actions == 2).mean(axis=0)
    assert shares[60:] == pytest.approx((1 - 0.75 * eps)[60:], abs=5 * 0.5 / 4000**0.5)


@pytest.mark.parametrize("name", ["thompson", "ucb1", "epsilon_greedy"])
def test_vectors_without_meaning_change_nothing_for_sources_that_do_not_look(name):
    plain = task_family(BERNOULLI, num_arms=6, horizon=30)
    seeing = task_family(BERNOULLI, num_arms=6, horizon=30, observation="random", dimension=3)
    tasks = plain.sample(5, min_arms=2)
    expected, got = (make_source(name).generate(family, tasks, range(5), 2, 1) for family in (plain, seeing))
    assert got.actions.tolist() == expected.actions.tolist()
    assert got.rewards.tolist() == expected.rewards.tolist()
    assert got.observations.shape[-1] == 3


@pytest.mark.parametrize(("name", "family_name"), [("ucb1", BERNOULLI), ("lin_ucb", CONTEXTUAL)])
def test_every_arm_is_pulled_once_first_in_random_order(name, family_name):
    family = task_family(family_name, num_arms=5, horizon=10)
    batch = make_source(name).generate(family, family.sample(1) * 3000, np.arange(3000), 1, 0)
    first = batch.actions[:, :5]
    assert (np.sort(first, axis=1) == np.arange(5)).all()
    shares = np.stack([np.bincount(first[:, t], minlength=5) for t in range(5)]) / 3000
    assert shares == pytest.approx(np.full((5, 5), 0.2), abs=5 * 0.4 / 3000**0.5)  # five standard errors


# ---- Errors ----


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("thomson", {}, "unknown source 'thomson': did you mean 'thompson'"),
        ("thompson", {"prior": "gausian"}, "unknown prior 'gausian': did you mean 'gaussian'"),
        ("thompson", {"alpha": 0}, "alpha is 0; it must be a number from 0.1 to 1000.0"),
        ("thompson", {"beta": "1"}, "beta is '1'"),
        ("thompson", {"noise": 0.0}, "noise is 0.0"),
        ("thompson", {"prior_variance": -1.0}, "prior_variance is -1.0"),
        ("ucb1", {"c": -0.1}, "c is -0.1"),
        ("ucb1", {"bonus": "logarithm"}, "unknown bonus 'logarithm': did you mean 'log'"),
        ("lin_ucb", {"ridge": 0}, "ridge is 0"),
        ("lin_ucb", {"optimistic_start": 1}, "optimistic_start is 1"),
        ("epsilon_greedy", {"eps_start": 1.5}, "eps_start is 1.5"),
        ("epsilon_greedy", {"decay": 0.5}, "unknown epsilon_greedy parameter 'decay'"),
    ],
)
def test_bad_parameters_are_named(name, params, message):
    with pytest.raises(ValueError, match=message):
        make_source(name, **params)


@pytest.mark.parametrize(
    ("name", "params", "family_name", "message"),
    [
        ("thompson", {}, "dark_room", r"thompson plays bandits, .*task_family\('dark_room'.* has Discrete\(81\)"),
        ("ucb1", {}, CONTEXTUAL, r'ucb1 plays bandits, .* use "lin_ucb" for contexts'),
        ("epsilon_greedy", {}, "dark_room", "epsilon_greedy plays bandits"),
        ("lin_ucb", {}, BERNOULLI, r'lin_ucb needs contexts .*has Discrete\(1\).* use "thompson" or "ucb1"'),
        ("lin_ucb", {}, "dark_room", "lin_ucb needs contexts"),
        ("thompson", {}, LINEAR, 'a reward is .* prior="beta" is for rewards of 0 and 1, use prior="gaussian"'),
    ],
)
def test_families_that_a_source_cannot_serve_are_named(name, params, family_name, message):
    family = task_family(family_name)
    with pytest.raises(ValueError, match=message):
        make_source(name, **params).generate(family, family.sample(2), [0, 1], 1, 0)


def test_gaussian_thompson_needs_noise_to_assume():
    family = task_family(LINEAR, noise=0.0)
    with pytest.raises(ValueError, match=r"have no noise; give thompson a noise above 0"):
        make_source("thompson", prior="gaussian").generate(family, family.sample(2), [0, 1], 1, 0)
    batch = make_source("thompson", prior="gaussian", noise=0.1).generate(family, family.sample(2), [0, 1], 1, 0)
    assert batch.actions.shape == (2, 200)
