"""The bandit families: laws of tasks, published sets, exact scores, demonstrators."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.tasks import task_family, task_key

FAMILIES = ["bernoulli_bandit", "contextual_bandit", "linear_bandit"]


def lengths(tasks, entry):
    return np.array([len(task[entry]) for task in tasks])


# ---- Which tasks there are ----


@pytest.mark.parametrize("name", FAMILIES)
def test_a_sample_depends_on_its_seed_and_a_larger_one_contains_a_smaller_one(name):
    family = task_family(name)
    tasks = family.sample(50, seed=3)
    assert family.sample(50, seed=3) == tasks
    assert family.sample(20, seed=3) == tasks[:20]
    assert task_family(name, num_arms=family.num_actions, horizon=7).sample(50, seed=3) == tasks
    others = family.sample(50, seed=4) + family.task_set(next(iter(family.task_sets)), 50, seed=3)
    assert len({task_key(task) for task in [*tasks, *others]}) == 150
    assert json.loads(json.dumps(tasks)) == tasks
    with pytest.raises(ValueError, match="infinitely many"):
        family.tasks()
    train, held_out = family.split(seed=0, held_out=30, population={"num": 100})
    assert sorted(map(task_key, train + held_out)) == sorted(map(task_key, family.sample(100)))
    assert len(held_out) == 30


@pytest.mark.parametrize("name", ["bernoulli_bandit", "contextual_bandit"])
def test_the_number_of_arms_is_uniform_between_its_bounds(name):
    family = task_family(name)
    assert set(lengths(family.sample(20), family.entry)) == {20}
    counts = np.bincount(lengths(family.sample(3400, min_arms=4, max_arms=20), family.entry), minlength=21)
    assert counts[:4].sum() == 0
    # 3400 tasks in 17 cells of 200 expected: chi-square with 16 degrees of freedom, 57 has probability 1e-6.
    assert ((counts[4:] - 200) ** 2 / 200).sum() < 57
    # Fewer arms are the first ones of the same tasks.
    few, many = family.sample(30, min_arms=4, max_arms=10), family.sample(30, min_arms=20)
    for a, b in zip(few, many, strict=True):
        assert b[family.entry][: len(a[family.entry])] == a[family.entry]


@pytest.mark.parametrize(("law", "alias", "even"), [("train", "odd", 0.05), ("inverse", "even", 0.95)])
def test_the_bernoulli_laws_put_good_arms_at_odd_or_even_places(law, alias, even):
    family = task_family("bernoulli_bandit")
    tasks = family.sample(4000, law=law)
    assert family.sample(4000, law=alias) == tasks
    means = family.task_array(tasks)
    even_good = means[:, 0] > 0.5
    # A share of 4000 tasks near 0.05 has a standard error of 0.0034; five of them are allowed.
    assert abs(even_good.mean() - even) < 0.0175
    good = np.where(even_good[:, None], means[:, 0::2], means[:, 1::2])
    bad = np.where(even_good[:, None], means[:, 1::2], means[:, 0::2])
    for half, low in [(good, 0.5), (bad, 0.0)]:
        assert half.min() >= low
        assert half.max() <= low + 0.5
        # 40 000 uniform numbers: 20 bins, chi-square with 19 degrees of freedom, 62 has probability 2e-6.
        counts, _ = np.histogram(half, bins=20, range=(low, low + 0.5))
        assert ((counts - 2000) ** 2 / 2000).sum() < 62


def test_the_uniform_law_is_uniform():
    means = task_family("bernoulli_bandit").task_array(task_family("bernoulli_bandit").sample(2000, law="uniform"))
    counts, _ = np.histogram(means, bins=20, range=(0, 1))
    assert ((counts - 2000) ** 2 / 2000).sum() < 62
    assert abs(np.corrcoef(means[:, 0], means[:, 1])[0, 1]) < 0.11  # standard deviation 0.022


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_contextual_arms_are_normal(scale):
    family = task_family("contextual_bandit", dimension=3)
    arms = family.task_array(family.sample(1000, scale=scale)).reshape(-1, 3) / scale
    # 20 000 vectors N(0, I / 3): each entry of the covariance has a standard error of at most 0.0034.
    assert np.abs(np.cov(arms.T) - np.eye(3) / 3).max() < 0.017
    assert np.abs(arms.mean(axis=0)).max() < 0.021


def test_linear_thetas_are_normal_and_the_arms_are_dpts():
    family = task_family("linear_bandit")
    theta = family.task_array(family.sample(10_000))
    assert np.abs(np.cov(theta.T) - np.eye(2) / 2).max() < 0.036  # standard error 0.0071
    env = family.make({"theta": [0.0, 0.0]})
    assert family.arms.tolist() == env.unwrapped.arms.tolist()
    assert family.arms[0] == pytest.approx([0.333355, -0.842147], abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_published_sets_have_the_arms_that_they_name(name):
    family = task_family(name, num_arms=100)
    for which in family.task_sets:
        tasks = family.task_set(which, 30, seed=1)
        assert tasks == family.task_set(which, 40, seed=1)[:30]
        assert tasks != family.task_set(which, 30, seed=2)
        if which.startswith("num_"):
            assert set(lengths(tasks, family.entry)) == {int(which[4:])}
        elif name != "linear_bandit":
            assert 4 <= lengths(tasks, family.entry).min() < lengths(tasks, family.entry).max() <= 20
        for task in tasks:
            family.check_task(task)
    if name != "linear_bandit":
        assert set(lengths(family.task_set("num_7", 5), family.entry)) == {7}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: task_family("bernoulli_bandit").sample(law="odds"), "did you mean 'train'|valid: inverse, train"),
        (lambda: task_family("bernoulli_bandit").sample(min_arms=5, max_arms=4), "min_arms is 5 and max_arms is 4"),
        (lambda: task_family("bernoulli_bandit").sample(max_arms=30), "max_arms is 30.*num_arms = 20"),
        (lambda: task_family("contextual_bandit").sample(min_arms=0), "min_arms is 0"),
        (lambda: task_family("contextual_bandit").sample(scale=-1.0), "scale is -1.0"),
        (lambda: task_family("linear_bandit").sample(0), "num is 0"),
        (lambda: task_family("bernoulli_bandit").task_set("num_50"), "num_arms=20; make it with num_arms=50"),
        (lambda: task_family("bernoulli_bandit", num_arms=5).task_set("train"), "make it with num_arms=20"),
        (lambda: task_family("bernoulli_bandit").task_set("invers"), "did you mean 'inverse'"),
        (lambda: task_family("bernoulli_bandit").task_set("num_"), "unknown task set 'num_'"),
        (lambda: task_family("contextual_bandit").task_set("eval_scale"), "did you mean 'eval_scaled'"),
        (lambda: task_family("linear_bandit").task_set("train"), "unknown task set 'train'"),
        (lambda: task_family("bernoulli_bandit", arms=3), "unknown bernoulli_bandit argument 'arms'"),
        (lambda: task_family("linear_bandit", arm_seed=-1), "arm_seed is -1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        (
            "bernoulli_bandit",
            {"goal": [1, 2]},
            r"a task of the family 'bernoulli_bandit' is a dict such as \{\"means\"",
        ),
        ("bernoulli_bandit", [0.5], "is a dict such as"),
        ("bernoulli_bandit", {"means": [0.5], "mean": 1}, "did you mean 'means'"),
        ("bernoulli_bandit", {"means": [0.5, 2]}, "each is a probability"),
        ("bernoulli_bandit", {"means": [0.5] * 21}, r"means has shape \(21,\); it must be \(20,\)"),
        ("contextual_bandit", {"arms": [[0.5, 1.0, 2.0]]}, r"arms has shape \(1, 3\)"),
        ("contextual_bandit", {"arms": [[0.5, float("inf")]]}, "must be finite"),
        ("linear_bandit", {"theta": [0.5]}, r"theta has shape \(1,\)"),
    ],
)
def test_tasks_of_another_kind_are_refused_everywhere(name, task, message):
    family = task_family(name)
    for call in (
        family.check_task,
        family.make,
        family.oracle_return,
        family.random_return,
        lambda t: family.make_vec([t]),
        lambda t: family.task_array([t]),
    ):
        with pytest.raises(ValueError, match=message):
            call(task)


# ---- What perfect and random agents earn ----


def regret_of_random_actions(family, tasks):
    """Mean over the tasks, and its standard error."""
    regrets = [family.oracle_return(task) - family.random_return(task) for task in tasks]
    return np.mean(regrets), np.std(regrets) / len(regrets) ** 0.5


@pytest.mark.parametrize(
    ("name", "which", "reference"),
    [
        ("bernoulli_bandit", "train", 127.0),
        ("bernoulli_bandit", "inverse", 123.3),
        ("bernoulli_bandit", "uniform", 121.7),
        ("bernoulli_bandit", "num_10", 122.6),
        ("bernoulli_bandit", "num_20", 135.7),
        ("bernoulli_bandit", "num_25", 138.2),
        ("bernoulli_bandit", "num_30", 140.7),
        ("bernoulli_bandit", "num_40", 142.5),
        ("bernoulli_bandit", "num_50", 144.2),
        ("bernoulli_bandit", "num_100", 147.1),
        ("contextual_bandit", "train", 295.7),
        ("contextual_bandit", "eval", 295.7),
        ("contextual_bandit", "num_20", 352),
        ("contextual_bandit", "num_25", 369),
        ("contextual_bandit", "num_30", 383),
        ("contextual_bandit", "num_40", 406),
        ("contextual_bandit", "num_50", 421),
        ("contextual_bandit", "num_100", 471),
        ("contextual_bandit", "eval_scaled", 591.9),
    ],
)
def test_random_regret_agrees_with_the_reference(name, which, reference):
    """`headless_ad_and_ad_eps.md`, section 8, which rolled random actions out on as many tasks."""
    num, noise = (4000, 6.0) if name == "bernoulli_bandit" else (2000, 35.0)
    family = task_family(name, num_arms=100)
    mean, error = regret_of_random_actions(family, family.task_set(which, num))
    # Four standard errors of the difference between two such sets, one of which has the noise of its pulls besides
    # (the deviation of one task's regret over 300 random pulls), and half a unit of the last digit given.
    allowed = 4 * (2 * error**2 + noise**2 / num) ** 0.5 + (0.05 if isinstance(reference, float) else 0.5)
    assert abs(mean - reference) < allowed


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10**6))
def test_the_contextual_oracle_is_the_mean_of_the_best_arm(num_arms, dimension, seed):
    """Against Monte Carlo over 40 000 contexts; six standard errors and the 0.16 % that the family states."""
    family = task_family("contextual_bandit", num_arms=num_arms, dimension=dimension, horizon=1)
    task = family.sample(1, seed=seed)[0]
    contexts = np.random.default_rng(seed).normal(size=(40_000, dimension)) / dimension**0.5
    best = (contexts @ np.array(task["arms"]).T).max(axis=1)
    error = 6 * (best.std() / 200) + 6 * 0.0016 * family.oracle_return(task) + 1e-12
    assert abs(family.oracle_return(task) - best.mean()) < error


def test_the_contextual_oracle_of_known_figures():
    family = task_family("contextual_bandit", horizon=10)
    length = np.pi**0.5 / 2
    for arms, perimeter in [
        ([[3.0, 4.0]], 0),
        ([[0.0, 0.0], [3.0, 4.0]], 10),
        ([[0.0, 0.0], [3.0, 4.0], [1.5, 2.0], [3.0, 4.0]], 10),
        ([[0, 0], [1, 1], [1, 0], [0, 1], [0.5, 0.2], [0.5, 0.0]], 4),
    ]:
        expected = 10 * length * perimeter / (2 * np.pi)
        assert family.oracle_return({"arms": arms}) == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert family.random_return({"arms": arms}) == 0.0
    line = task_family("contextual_bandit", dimension=1, horizon=10)
    expected = 10 * (2.0 + 1.0) / (2 * np.pi) ** 0.5
    assert line.oracle_return({"arms": [[-1.0], [0.5], [2.0]]}) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_demonstrator_and_random_agents_earn_what_the_family_says(name):
    """500 slots on each of two tasks, one episode; the demonstrator has no regret at all."""
    family = task_family(name, num_arms=6, horizon=50)
    tasks = [family.sample(3, seed=1)[0], family.sample(3, seed=2)[2]]
    if name != "linear_bandit":
        tasks[1] = family.sample(1, seed=3, min_arms=3, max_arms=3)[0]
    slots = tasks * 500
    envs, array = family.make_vec(slots), family.task_array(slots)
    usable = family.available_actions(slots)
    counts = np.full(1000, 6) if usable is None else usable.sum(axis=1)
    rng = np.random.default_rng(0)
    for policy, score in [("optimal", family.oracle_return), ("random", family.random_return)]:
        observations, infos = envs.reset(seed=5)
        returns, regret = np.zeros(1000), np.zeros(1000)
        for _ in range(50):
            if policy == "optimal":
                actions = family.demonstrator(observations, array, infos)
                assert (infos["action_mask"][np.arange(1000), actions] == 1).all()
            else:
                actions = (rng.random(1000) * counts).astype(int)
            observations, rewards, _, truncated, infos = envs.step(actions)
            returns += rewards
            regret += infos["final_info"]["regret"] if truncated.all() else infos["regret"]
        assert truncated.all()
        if policy == "optimal":
            assert regret.tolist() == [0.0] * 1000
        for task, earned, lost in [(tasks[0], returns[::2], regret[::2]), (tasks[1], returns[1::2], regret[1::2])]:
            error = 5 * earned.std() / 500**0.5
            assert abs(earned.mean() - score(task)) < error
            if policy == "random":
                error = 5 * lost.std() / 500**0.5
                assert abs(lost.mean() - (family.oracle_return(task) - score(task))) < error


def test_targets_are_arms():
    family = task_family("bernoulli_bandit", num_arms=4)
    array = family.task_array([{"means": [0.1, 0.9, 0.5]}, {"means": [0.9, 0.2, 0.1, 0.4]}])
    assert family.possible_targets().tolist() == [[0], [1], [2], [3]]
    assert family.targets(array, {}).tolist() == [[1], [0]]
    assert family.walk(np.zeros(2), array, np.array([[2], [2]])).tolist() == [2, 2]
    assert family.walk(np.zeros(2), array, np.array([[3], [3]])).tolist() == [0, 3]  # the first task has no arm 3
    assert family.arrived(np.zeros(2), np.array([[2], [2]])).all()
    assert family.available_actions([{"means": [0.5] * 2}]).tolist() == [[True, True, False, False]]
    linear = task_family("linear_bandit")
    array = linear.task_array(linear.sample(30))
    best = np.argmax(array @ linear.arms.T, axis=1)
    assert linear.targets(array, {})[:, 0].tolist() == best.tolist()
    assert linear.walk(np.zeros(30), array, linear.targets(array, {})).tolist() == best.tolist()
    assert linear.available_actions(linear.sample(3)) is None
    contextual = task_family("contextual_bandit")
    with pytest.raises(ValueError, match="heads for no targets"):
        contextual.possible_targets()


@pytest.mark.parametrize("name", FAMILIES)
def test_make_and_make_vec_build_the_tasks_environments(name):
    family = task_family(name, num_arms=8)
    bounds = {} if name == "linear_bandit" else {"min_arms": 2}
    tasks = family.sample(5, **bounds)
    envs = family.make_vec(tasks, horizon=4).unwrapped
    assert envs.horizon == 4
    assert np.array_equal(getattr(envs, family.entry), family.task_array(tasks), equal_nan=True)
    for task in tasks:
        env = family.make(task).unwrapped
        assert getattr(env, family.entry) == task[family.entry]
        assert {k: getattr(env, k) for k in family.env_kwargs if k != "arm_seed"} == {
            k: v for k, v in family.env_kwargs.items() if k != "arm_seed"
        }
