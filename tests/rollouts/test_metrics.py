import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hf_icrl.rollouts.metrics import (
    bootstrap_interval,
    episodes_to_fraction,
    last_mean,
    normalized_regret,
    normalized_returns,
    normalized_summary,
    null_for_nan,
    same_tasks,
    seeds_interval,
)

finite = st.floats(-1e3, 1e3, allow_nan=False, width=32)
values = arrays(np.float64, st.integers(2, 30), elements=finite)


@given(values, finite, st.floats(0.1, 100))
def test_normalised_return_is_zero_for_random_and_one_for_the_oracle_on_any_scale(returns, random, scale):
    n = len(returns)
    randoms, oracles = [random] * n, [random + scale] * n
    np.testing.assert_allclose(normalized_returns(randoms, oracles, randoms), 0)
    np.testing.assert_allclose(normalized_returns(oracles, oracles, randoms), 1)
    # A change of unit and origin of the returns changes nothing.
    moved = normalized_returns(3 * returns - 7, [3 * o - 7 for o in oracles], [3 * r - 7 for r in randoms])
    np.testing.assert_allclose(moved, normalized_returns(returns, oracles, randoms), atol=1e-9, rtol=1e-9)


def test_tasks_without_a_scale_have_no_normalised_return():
    got = normalized_returns([1.0, 1.0, 1.0, 1.0, 0.5], [None, 2.0, 1.0, 0.0, 1.0], [0.0, None, 1.0, 1.0, 0.0])
    assert null_for_nan(got) == [None, None, None, None, 0.5]


@settings(max_examples=30)
@given(values, st.integers(0, 5))
def test_interval_holds_the_mean_lies_within_the_values_and_repeats(x, seed):
    low, high = bootstrap_interval(x, seed=seed)
    assert low <= x.mean() <= high
    assert x.min() - 1e-9 <= low
    assert high <= x.max() + 1e-9
    assert (low, high) == bootstrap_interval(x, seed=seed)


def test_tasks_that_are_there_more_than_once_say_no_more_than_once():
    """Goals drawn with replacement: the interval is that of the goals, not of as many tasks as there are rows."""
    rng = np.random.default_rng(0)
    goals = rng.normal(size=12)
    drawn = rng.integers(12, size=600)
    tasks = [{"goal": [int(goal), 3]} for goal in drawn]
    groups = same_tasks(tasks)
    assert len({*zip(groups.tolist(), drawn.tolist(), strict=True)}) == len({*groups.tolist()}) == 12
    noisy = goals[drawn] + 0.01 * rng.normal(size=600)
    naive, clustered = (np.ptp(bootstrap_interval(noisy, groups=g)) for g in (None, groups))
    # Of 12 groups of 50 rows each the standard error is sqrt(50) times as large, less what groups differ in size.
    assert 5 < clustered / naive < 9
    low, high = bootstrap_interval(noisy, groups=groups)
    assert low < noisy.mean() < high
    np.testing.assert_allclose(bootstrap_interval(goals, groups=np.arange(12)), bootstrap_interval(goals))
    assert bootstrap_interval([1.0, 2.0], groups=np.array([4, 4])) is None
    # The ratio of means, too.
    ratios = [normalized_regret(noisy, noisy + 1, noisy + 1 - 2.0, groups=g)["ci95"] for g in (None, groups)]
    np.testing.assert_allclose(ratios, 0.5)
    random = np.full(600, 5.0)
    naive, clustered = (np.ptp(normalized_regret(noisy, random, noisy - 1, groups=g)["ci95"]) for g in (None, groups))
    assert clustered > 3 * naive


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        low, high = bootstrap_interval(rng.normal(3.0, 2.0, size=40))
        covered += low <= 3.0 <= high
    # 95 % is asymptotic; a percentile bootstrap of 40 normal values covers about 93.5 %. 3 standard errors each way.
    assert 86 <= covered <= 99


def test_one_task_has_no_interval():
    assert bootstrap_interval([0.7]) is None


def test_worst_is_the_minimum_over_tasks_of_the_mean_over_seeds():
    # Two seeds, two tasks, three episodes; the first episode must not count.
    returns = np.array([[[9, 1, 1], [9, 0, 2]], [[9, 0, 0], [9, 3, 3]]], float)
    summary, per_task = normalized_summary(returns, [2.0, 4.0], [0.0, 0.0], last_episodes=2)
    assert per_task == [0.25, 0.5]
    assert summary["worst"] == 0.25
    assert summary["mean"] == 0.375
    assert summary["ci95"] == [0.25, 0.5]


def test_summary_leaves_out_tasks_without_a_scale_and_says_null_when_none_has_one():
    returns = np.ones((2, 3, 4))
    summary, per_task = normalized_summary(returns, [2.0, None, 4.0], [0.0, 0.0, 0.0], last_episodes=1)
    assert per_task == [0.5, None, 0.25]
    assert summary["mean"] == 0.375
    assert normalized_summary(returns, [None] * 3, [0.0] * 3, last_episodes=1) == (None, [None] * 3)


@given(st.lists(st.tuples(finite, st.floats(0.1, 100), finite), min_size=2, max_size=20), finite, st.floats(0.1, 10))
def test_normalised_regret_is_zero_for_random_and_one_for_the_source_on_any_scale(rows, shift, unit):
    random, lead, regret = np.array(rows).T
    source = random - lead
    assert normalized_regret(random, random, source) == {"mean": 0.0, "ci95": [0.0, 0.0], "worst": 0.0}
    assert normalized_regret(source, random, source) == {"mean": 1.0, "ci95": [1.0, 1.0], "worst": 1.0}
    got = normalized_regret(regret, random, source)
    assert got["ci95"][0] <= got["mean"] <= got["ci95"][1]
    # What all regrets of a task share, and the unit, change nothing.
    moved = normalized_regret(*(unit * x + shift for x in (regret, random, source)))
    assert moved["mean"] == pytest.approx(got["mean"], rel=1e-4, abs=1e-4)


def test_normalised_regret_has_the_means_of_the_set_as_its_anchors():
    random, source, regret = [10.0, 30.0, 5.0], [4.0, 6.0, 5.5], [7.0, 12.0, 5.0]
    got = normalized_regret(regret, random, source)
    assert got["mean"] == pytest.approx((15 - 8) / (15 - 15.5 / 3))
    # The third task's source is worse than random: it counts in the means, but has no scale of its own.
    assert got["worst"] == pytest.approx(min(3 / 6, 18 / 24))
    assert normalized_regret([1.0], [2.0], [0.0]) == {"mean": 0.5, "ci95": None, "worst": 0.5}
    assert normalized_regret([1.0, 1.0], [2.0, 2.0], [2.0, 2.5]) is None


def test_interval_of_normalised_regret_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        random = rng.normal(100, 20, size=60)
        source, regret = 0.2 * random + rng.normal(0, 5, size=60), 0.3 * random + rng.normal(0, 8, size=60)
        low, high = normalized_regret(regret, random, source)["ci95"]
        covered += low <= 70 / 80 <= high
    assert 86 <= covered <= 99  # as for the plain bootstrap above


def test_interval_over_seeds_is_students():
    # Quantiles of Student's distribution as every table has them (97.5 %; 2, 1, 9 and 30 degrees of freedom).
    for runs, quantile in [(3, 4.3027), (2, 12.7062), (10, 2.2622), (31, 2.0423)]:
        x = np.arange(runs, dtype=float)
        got = seeds_interval(x)
        error = quantile * x.std(ddof=1) / math.sqrt(runs)
        np.testing.assert_allclose(got["ci95"], [x.mean() - error, x.mean() + error], rtol=1e-4)
        assert (got["mean"], got["runs"]) == (x.mean(), runs)
    assert seeds_interval([0.5, None, 0.7])["runs"] == 2
    assert seeds_interval([0.5]) == {"mean": 0.5, "ci95": None, "runs": 1}
    assert seeds_interval([None]) == {"mean": None, "ci95": None, "runs": 0}


def test_interval_over_three_seeds_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = np.array([seeds_interval(x)["ci95"] for x in rng.normal(2.0, 3.0, size=(2000, 3))])
    covered = ((intervals[:, 0] <= 2.0) & (intervals[:, 1] >= 2.0)).mean()
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 2000))


@pytest.mark.parametrize("last", [0, 5])
def test_last_episodes_out_of_range_is_refused_with_both_numbers(last):
    with pytest.raises(ValueError, match=f"last_episodes is {last}, but there are 4 episodes"):
        last_mean(np.zeros((2, 4)), last)


def test_episodes_to_90_counts_the_episodes_played_when_the_moving_mean_gets_there():
    at_once = [10.0] * 8
    late = [0.0, 0, 0, 9, 9, 9, 9, 9]
    never = [8.9] * 8
    assert episodes_to_fraction([at_once], [10.0], [0.0]) == {"median": 5.0, "share": 1.0}
    assert episodes_to_fraction([late], [10.0], [None]) == {"median": 8.0, "share": 1.0}
    assert episodes_to_fraction([never], [10.0], [0.0]) == {"median": None, "share": 0.0}
    assert episodes_to_fraction([at_once, late, never], [10.0] * 3, [0.0] * 3) == {
        "median": 8.0,
        "share": pytest.approx(2 / 3),
    }
    # Half of the tasks never get there: the median lies beyond every number.
    assert episodes_to_fraction([at_once, never], [10.0] * 2, [0.0] * 2) == {"median": None, "share": 0.5}


def test_episodes_to_90_knows_when_it_cannot_tell():
    nothing = {"median": None, "share": None}
    assert episodes_to_fraction(np.ones((2, 4)), [1.0, 1.0], [0.0, 0.0]) == nothing
    assert episodes_to_fraction(np.ones((2, 9)), [None, None], [0.0, 0.0]) == nothing
    assert episodes_to_fraction(np.ones((2, 9)), [None, 1.0], [0.0, 0.0]) == {"median": 5.0, "share": 1.0}
    # A goal out of reach: the oracle earns what random actions earn, and an agent that earns nothing gets nowhere.
    assert episodes_to_fraction(np.zeros((1, 9)), [0.0], [0.0]) == nothing


def test_episodes_to_90_can_be_reached_with_a_negative_oracle():
    # 90 % of -10 is meant as -11: the mean of one -11.9 and four -10.5 is the first above it.
    assert episodes_to_fraction([[-11.9] * 5 + [-10.5] * 5], [-10.0], [-20.0])["median"] == 9.0


@given(
    arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(5, 30)), elements=st.floats(0, 20)), st.floats(0, 3)
)
def test_higher_returns_never_take_longer(returns, more):
    anchors = [15.0] * len(returns), [0.0] * len(returns)
    before, after = episodes_to_fraction(returns, *anchors), episodes_to_fraction(returns + more, *anchors)
    assert after["share"] >= before["share"]
    if before["median"] is not None:
        assert after["median"] <= before["median"]


@given(arrays(np.float64, st.tuples(st.integers(0, 3), st.integers(0, 4))))
def test_what_is_not_finite_becomes_null_and_the_rest_stays(x):
    got = json.loads(json.dumps(null_for_nan(x), allow_nan=False))
    assert len(got) == len(x)
    for row, expected in zip(got, x, strict=True):
        assert row == [v if math.isfinite(v) else None for v in expected.tolist()]
