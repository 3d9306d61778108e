"""From what a model did on a set of tasks to the report of it."""

import numpy as np

from hf_icrl.rollouts.acting import environment_seed
from hf_icrl.rollouts.exploration import exploration_values
from hf_icrl.rollouts.metrics import (
    episodes_to_fraction,
    last_mean,
    normalized_returns,
    normalized_summary,
    null_for_nan,
    regret_summary,
    same_tasks,
)
from hf_icrl.rollouts.replay import Replay
from hf_icrl.rollouts.report import Report
from hf_icrl.rollouts.source_marks import source_values, success_values
from hf_icrl.versions import versions

# What `rollout` must record for a report.
RECORDED = ("actions", "entropies")
# Distinct for every list of tasks that fits into memory.
_ROWS_PER_SEED = 2**31


def row_ids_of(num_tasks, seeds, first=0):
    """The row ids of an evaluation, seed by seed: `first + seed_index * 2**31 + task_index`, int64 `(seeds * num_tasks,)`."""
    return first + (np.arange(seeds)[:, None] * _ROWS_PER_SEED + np.arange(num_tasks)).ravel()


def report_of(
    result,
    *,
    model,
    family,
    tasks,
    seeds,
    seed,
    row_ids,
    last_episodes,
    drawing,
    evaluation_set,
    more,
    reference=None,
):
    """The report of one set of tasks.

    Args:
        result (`Rollout`): what the model did, row by row: all tasks with the first seed, then with the second, ...; its
            history holds what `RECORDED` names.
        model, family, tasks: the model, the task family, and the list of task dicts.
        seeds (`int`): rows of each task.
        seed (`int`), row_ids (`np.ndarray`, shape (rows,)): what the rows' random numbers were keyed by.
        last_episodes (`int`): as in `evaluate`.
        drawing (`dict`): "temperature", "overflow" and "refill_keep", as given; None is the model's own. And
            "act_with_dropout", whether dropout was on.
        evaluation_set (`str`): which tasks these are.
        more (`dict`): further values of the report, "dataset" and "command" among them.
        reference (`SourceReference`, *optional*): what the source of the model's histories reached on these tasks.

    Returns:
        [`Report`]
    """
    episodes = result.returns.shape[1]
    returns = result.returns.reshape(seeds, len(tasks), episodes)
    oracle = [family.oracle_return(task) for task in tasks]
    random = [family.random_return(task) for task in tasks]
    last_episodes = min(last_episodes, episodes)
    groups = same_tasks(tasks)
    summary, per_task = normalized_summary(returns, oracle, random, last_episodes, groups=groups, seed=seed)
    chosen = median_task(returns, oracle, random, last_episodes)
    config = model.config
    own = {"temperature": config.temperature, "overflow": config.overflow, "refill_keep": config.resolved_refill_keep}
    values = {
        "env_id": family.env_id,
        "env_kwargs": family.env_kwargs,
        "family": family.name,
        "evaluation_set": evaluation_set,
        "tasks": tasks,
        "episodes": episodes,
        "last_episodes": last_episodes,
        "seeds": seeds,
        "seed": seed,
        "normalized_return": summary,
        "normalized_return_per_task": per_task,
        "normalized_curve": _normalized_curve(returns, oracle, random),
        "episodes_to_90": episodes_to_fraction(returns.mean(axis=0), oracle, random),
        "first_episode_return": float(returns[..., 0].mean()),
        "last_episodes_return": float(last_mean(returns, last_episodes).mean()),
        "oracle_return": oracle,
        "random_return": random,
        "returns": null_for_nan(returns.mean(axis=0)),
        "returns_per_seed": null_for_nan(returns),
        "mean_episode_length": float(result.lengths.mean()),
        "context_length": config.context_length,
        **{name: own[name] if value is None else value for name, value in drawing.items()},
        "model": model_path(model),
        "versions": versions(),
        **success_values(returns, oracle, last_episodes, groups, seed),
        **exploration_values(family, tasks, seeds, result.history, result.lengths),
        **more,
    }
    regrets = None if result.regrets is None else result.regrets.reshape(seeds, len(tasks), -1)
    values |= source_values(
        reference,
        returns=returns,
        regrets=regrets,
        oracle=oracle,
        random=random,
        last_episodes=last_episodes,
        groups=groups,
        seed=seed,
    )
    if regrets is not None:
        values["regret"], curve, interval = regret_summary(regrets, seed=seed)
        values["regret_curve"] = curve.round(6).tolist()
        values["regret_curve_ci95"] = None if interval is None else interval.round(6).tolist()
    replay = Replay(
        family=family,
        task=tasks[chosen],
        seed=environment_seed(seed, row_ids[chosen], 0),
        actions=result.history["actions"][chosen],
        returns=result.returns[chosen],
        lengths=result.lengths[chosen],
    )
    return Report(values, replay)


def median_task(returns, oracle, random, last_episodes):
    """Index of the task that is shown in the replay: the (lower) median by final return, so that it is typical.

    The final return is the normalised one where every task has a scale, the plain one otherwise.
    """
    final = last_mean(returns, last_episodes).mean(axis=0)
    normalized = normalized_returns(final, oracle, random)
    order = np.argsort(normalized if np.isfinite(normalized).all() else final, kind="stable")
    return int(order[(len(order) - 1) // 2])


def model_path(model):
    """Where the model was loaded from, or None for one that was never saved."""
    return getattr(model.config, "_name_or_path", None) or None


def _normalized_curve(returns, oracle, random):
    normalized = normalized_returns(returns.mean(axis=0).T, oracle, random)
    told = np.isfinite(normalized).all(axis=0)
    return null_for_nan(normalized[:, told].mean(axis=1)) if told.any() else None
