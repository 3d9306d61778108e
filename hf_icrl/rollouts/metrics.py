"""Figures of merit of in-context learning, as pure functions of the returns.

Shapes: S seeds, N tasks, E episodes. What cannot be told is NaN inside this module and null in a report
(`null_for_nan`).
"""

import json
import math

import numpy as np

from hf_icrl.seeding import generator

# Enough resamples that the end points of a 95 % interval are stable to about 1 % of its width.
_RESAMPLES = 10_000
# How many drawn values the bootstrap holds at a time.
_BLOCK = 2_000_000


def normalized_returns(returns, oracle, random):
    """(return - random) / (oracle - random), task by task.

    Args:
        returns (`np.ndarray` of shape (..., N)): returns, tasks last.
        oracle, random (sequences of N `float | None`): each task's anchors; None where the family cannot tell.

    Returns:
        `np.ndarray` of shape (..., N), float64; NaN where an anchor is missing or the oracle is no better than
        random (then there is nothing to learn and no scale).
    """
    oracle, random = _anchors(oracle), _anchors(random)
    scale = np.where(oracle > random, oracle - random, np.nan)
    return (np.asarray(returns, np.float64) - random) / scale


def same_tasks(tasks):
    """Which tasks (dicts) of a list are equal: a number each, int64 (N,), the same for equal ones."""
    return np.unique([json.dumps(task, sort_keys=True, default=repr) for task in tasks], return_inverse=True)[1]


def bootstrap_interval(values, *, groups=None, seed=0, confidence=0.95):
    """Percentile bootstrap interval of the mean (Efron, 1979): the values are resampled with replacement.

    Args:
        values (`np.ndarray` of shape (N,)): one value a task, all finite.
        groups (`np.ndarray` of shape (N,), *optional*): values with equal numbers are of one task that is there more
            than once (see `same_tasks`), and are drawn together: they say no more about how tasks differ than one.
        seed (`int`): the resampling has its own generator, so the same values always give the same interval.
        confidence (`float`): between 0 and 1.

    Returns:
        `(low, high)`, or `None` for fewer than two tasks: one says nothing about how tasks differ.
    """
    values = np.asarray(values, np.float64)
    sums, counts = _by_group(values, groups), _by_group(np.ones(len(values)), groups)
    if len(sums) < 2:
        return None
    means = [sums[rows].sum(axis=1) / counts[rows].sum(axis=1) for rows in _resamples(len(sums), seed)]
    means = np.concatenate(means)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    # A mean of equal values may round to the other side of them; an interval must hold its own centre.
    centre = values.mean()
    return min(float(low), float(centre)), max(float(high), float(centre))


def normalized_summary(returns_per_seed, oracle, random, last_episodes, *, groups=None, seed=0):
    """Mean over tasks, 95 % interval (bootstrap over tasks) and worst task, over the last episodes.

    Args:
        returns_per_seed (`np.ndarray` of shape (S, N, E)).
        oracle, random (sequences of N `float | None`).
        last_episodes (`int`): over how many of the last episodes, 1 to E.
        groups, seed: as in `bootstrap_interval`.

    Returns:
        `(summary, per_task)`: `summary` is `{"mean", "ci95": [low, high], "worst"}`, worst being the minimum over
        tasks of the mean over seeds, or None when no task has a scale; `ci95` is None for a single task.
        `per_task` holds N `float | None`. Tasks without a scale are left out of the mean.
    """
    final = last_mean(returns_per_seed, last_episodes).mean(axis=0)
    per_task = normalized_returns(final, oracle, random)
    finite = np.isfinite(per_task)
    told = per_task[finite]
    if not len(told):
        return None, null_for_nan(per_task)
    interval = bootstrap_interval(told, groups=None if groups is None else groups[finite], seed=seed)
    summary = {
        "mean": float(told.mean()),
        "ci95": None if interval is None else list(interval),
        "worst": float(told.min()),
    }
    return summary, null_for_nan(per_task)


def regret_summary(regrets, *, seed=0):
    """The cumulative expected regret of a bandit rollout, over all its steps.

    Args:
        regrets (`np.ndarray` of shape (S, N, T)): expected regret of each pull.

    Returns:
        `(summary, curve, interval)`: `summary` is `{"mean", "ci95", "worst"}` of the regret after the last pull (worst:
        the maximum over tasks of the mean over seeds), `curve` (T,) its mean after each pull, and `interval` (T, 2) the
        mean plus and minus 1.96 standard errors over tasks, or None for a single task.
    """
    per_task = regrets.mean(axis=0).cumsum(axis=1)
    total = per_task[:, -1]
    interval = bootstrap_interval(total, seed=seed)
    summary = {
        "mean": float(total.mean()),
        "ci95": None if interval is None else list(interval),
        "worst": float(total.max()),
    }
    curve = per_task.mean(axis=0)
    if len(per_task) == 1:
        return summary, curve, None
    error = 1.96 * per_task.std(axis=0, ddof=1) / math.sqrt(len(per_task))
    return summary, curve, np.stack([curve - error, curve + error], axis=1)


def random_regrets(oracle, random, episodes):
    """The expected regret of uniformly random actions over `episodes` episodes.

    Args:
        oracle, random (sequences of N `float | None`): each task's returns of one episode.
        episodes (`int`): how many are played.

    Returns:
        `np.ndarray` of shape (N,), float64, or None where one of the returns is not known.
    """
    if None in oracle or None in random:
        return None
    return episodes * np.subtract(oracle, random, dtype=np.float64)


def normalized_regret(regret, random, source, *, groups=None, seed=0):
    """(random - regret) / (random - source) of the means over a set of tasks: 1 is the source, 0 is random.

    The anchors are means over the set, as in Headless-AD (Sinii et al., 2024): a task on which the source happened to be
    hardly better than random has no weight of its own. What the tasks' regrets share, such as the oracle's return,
    cancels out.

    Args:
        regret, random, source (`array_like` of shape (N,)): each task's regret: the model's, that of uniformly random
            actions, and the source's. All finite.
        groups, seed: as in `bootstrap_interval`.

    Returns:
        `{"mean", "ci95", "worst"}`, or None where the source is on average no better than random. `ci95` is the
        percentile bootstrap interval over tasks of the ratio of means, all three regrets of a task being drawn together;
        None for a single task, or when some resample has no scale. `worst` is the minimum over tasks of the same ratio
        with the task's own anchors, over tasks where the source is better than random.
    """
    gain = np.asarray(random, np.float64) - np.asarray(regret, np.float64)
    scale = np.asarray(random, np.float64) - np.asarray(source, np.float64)
    if not scale.mean() > 0:
        return None
    mean = float(gain.mean() / scale.mean())
    interval = _ratio_interval(_by_group(gain, groups), _by_group(scale, groups), mean, seed)
    told = scale > 0
    return {"mean": mean, "ci95": interval, "worst": float((gain[told] / scale[told]).min())}


def seeds_interval(values, *, confidence=0.95):
    """Mean and Student's t interval over independent runs, such as training seeds.

    Of three runs, the mean plus and minus 1.96 standard errors would hold the true mean only about 81 % of the time; the
    t interval is 2.2 times as wide and holds it 95 % of the time where the runs' results are normal.

    Args:
        values (sequence of `float | None`): one a run; None (the run could not tell) is left out.
        confidence (`float`): between 0 and 1.

    Returns:
        `{"mean", "ci95": [low, high], "runs"}`; `ci95` is None for a single run, and `mean`, too, for none.
    """
    told = np.array([value for value in values if value is not None], np.float64)
    mean = float(told.mean()) if len(told) else None
    if len(told) < 2:
        return {"mean": mean, "ci95": None, "runs": len(told)}
    error = _t_quantile(confidence, len(told) - 1) * float(told.std(ddof=1)) / math.sqrt(len(told))
    return {"mean": mean, "ci95": [mean - error, mean + error], "runs": len(told)}


def last_mean(returns, last_episodes):
    """Mean over the last `last_episodes` of the last axis.

    Raises:
        ValueError: `last_episodes` is not between 1 and the number of episodes.
    """
    episodes = returns.shape[-1]
    if not 1 <= last_episodes <= episodes:
        raise ValueError(
            f"last_episodes is {last_episodes}, but there are {episodes} episodes: choose 1 to {episodes}, or roll "
            f"out for more episodes"
        )
    return returns[..., -last_episodes:].mean(axis=-1)


def episodes_to_fraction(returns, oracle, random, *, fraction=0.9, window=5):
    """After how many episodes the moving mean of a task's return first reaches a share of the oracle's.

    Args:
        returns (`np.ndarray` of shape (N, E)): mean over seeds.
        oracle, random (sequences of N `float | None`): tasks without an oracle, and tasks on which the oracle earns no
            more than the random policy (a goal out of reach, say), are left out: there is nothing to get to.
        fraction (`float`): the share; the threshold is `oracle - (1 - fraction) * |oracle|`, which is
            `fraction * oracle` for a positive oracle and can also be reached when the oracle's return is negative.
        window (`int`): length of the moving mean in episodes.

    Returns:
        `{"median", "share"}`: the median over tasks (a task that never gets there counts as infinitely late, and an
        infinite median is None) and the share of tasks that get there. Both None if fewer than `window` episodes
        were played or no task is left.
    """
    returns, oracle, random = np.asarray(returns, np.float64), _anchors(oracle), _anchors(random)
    told = np.isfinite(oracle) & ~(oracle <= random)
    if returns.shape[-1] < window or not told.any():
        return {"median": None, "share": None}
    means = np.lib.stride_tricks.sliding_window_view(returns[told], window, axis=-1).mean(axis=-1)
    oracle = oracle[told]
    # The tolerance forgives the rounding of a mean of `window` numbers, nothing more.
    reached = means >= (oracle - (1 - fraction) * np.abs(oracle))[:, None] - 1e-9 * np.abs(oracle)[:, None]
    got_there = reached.any(axis=1)
    # The window that starts at episode index i ends with episode number i + window.
    number = np.where(got_there, reached.argmax(axis=1) + window, np.inf)
    # The middle value of an even number of tasks may lie between a finite and an infinite one: np.median says inf.
    median = float(np.median(number))
    return {"median": median if math.isfinite(median) else None, "share": float(got_there.mean())}


def null_for_nan(values):
    """Nested lists of Python floats with None where an array holds NaN or an infinity: what JSON can say."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, list | tuple):
        return [null_for_nan(v) for v in values]
    return values if values is None or math.isfinite(values) else None


def _anchors(values):
    return np.array([np.nan if v is None else v for v in values], np.float64)


def _resamples(n, seed):
    """Blocks of row numbers `(block, n)`, `_RESAMPLES` rows in all, each drawn with replacement."""
    rng = generator(seed, "bootstrap")
    block = max(1, _BLOCK // n)
    for start in range(0, _RESAMPLES, block):
        yield rng.integers(n, size=(min(block, _RESAMPLES - start), n))


def _by_group(values, groups):
    """Sums of `values` over those with equal numbers in `groups`; the values themselves without groups."""
    if groups is None:
        return values
    return np.bincount(np.unique(groups, return_inverse=True)[1], weights=values)


def _ratio_interval(gain, scale, centre, seed):
    """95 % percentile bootstrap interval of `gain.sum() / scale.sum()` as a list, or None for a single task or if a
    resample has no scale."""
    if len(gain) < 2:
        return None
    ratios = []
    for rows in _resamples(len(gain), seed):
        below = scale[rows].sum(axis=1)
        if not (below > 0).all():
            return None
        ratios.append(gain[rows].sum(axis=1) / below)
    low, high = np.quantile(np.concatenate(ratios), [0.025, 0.975])
    return [min(float(low), centre), max(float(high), centre)]


def _t_quantile(confidence, df):
    """The t that a Student t variable of `df` degrees of freedom stays within, in absolute value, so often."""
    low, high = 0.0, 1.0
    while _t_within(high, df) < confidence:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, df) < confidence else (low, middle)
    return high


def _t_within(t, df):
    """P(|T| <= t) for whole degrees of freedom: the finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    first = 1 if df % 2 == 0 else 2
    term, total = (1.0 if df % 2 == 0 else cosine), 0.0
    for k in range(first, df, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    return sine * total if df % 2 == 0 else (angle + sine * total) * 2 / math.pi
