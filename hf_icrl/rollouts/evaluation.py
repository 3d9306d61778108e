"""`evaluate`: how well a frozen model learns in context, on tasks that it was never trained on."""

import os
import time

import numpy as np

from hf_icrl.rollouts.acting import environment_seed, rollout
from hf_icrl.rollouts.metrics import (
    episodes_to_fraction,
    last_mean,
    normalized_returns,
    normalized_summary,
    null_for_nan,
    regret_summary,
)
from hf_icrl.rollouts.replay import Replay
from hf_icrl.rollouts.report import Report
from hf_icrl.rollouts.which_tasks import resolve
from hf_icrl.versions import versions

# Row ids are seed_index * _ROWS_PER_SEED + task_index: distinct for every list of tasks that fits into memory.
_ROWS_PER_SEED = 2**31


def evaluate(
    model,
    family=None,
    tasks=None,
    *,
    episodes=100,
    seeds=10,
    seed=0,
    last_episodes=5,
    temperature=None,
    overflow=None,
    refill_keep=None,
    evaluation_set="held_out",
    dataset=None,
    command=None,
    progress=False,
):
    """Roll a model out on all tasks and seeds at once and report how its return grows from episode to episode.

    Args:
        model: a model that can act, or the folder or Hub id of one.
        family (task family or its name, *optional*): by default, the environment that the model was trained in, as
            the `history_info.json` (the record of its data) or else the `recipe.yaml` beside its weights say.
        tasks (list of task dicts, *optional*): by default, the tasks that `evaluation_set` names there. For an
            environment that the model was not trained in, the held-out tasks are those of `family.split()`. When
            neither file is there, tasks must be given: nobody else knows which ones are held out.
        episodes (`int`): episodes in one context, at least 1.
        seeds (`int`): how often each task is rolled out, with independent sampling.
        seed (`int`): what the random streams are derived from. Row (task index, seed index) has row id
            `seed_index * 2**31 + task_index`, so a row's result does not depend on how many others there are.
        last_episodes (`int`): over how many of the last episodes the normalised return is taken; if fewer are
            played, over all of them.
        temperature, overflow, refill_keep (*optional*): override the model's config.
        evaluation_set (`str`): "held_out", "validation" or "train": which tasks these are, for the report. For given
            tasks "held_out" is the caller's word, checked against the files beside the model wherever they are.
        dataset (`str`, *optional*): what the model was trained on, for the report: a folder or a Hub id.
        command (`str`, *optional*): the command line that reproduces the report.
        progress (`bool`): show a progress bar if there is a terminal.

    Returns:
        [`Report`]: shows itself as a table and a curve; `report.save(folder)` writes report.json,
        learning_curve.png and replay.mp4.

    Raises:
        ValueError: a count below 1; nothing says which tasks to use; or a task is to be reported as held-out that the
            model was trained on or chosen on, according to the files beside its weights.

    Example:
        >>> report = hf_icrl.evaluate(AutoModel.from_pretrained("quickstart/model"), episodes=40, seeds=3)
        >>> print(report)
    """
    if min(episodes, seeds) < 1:
        raise ValueError(f"episodes is {episodes} and seeds is {seeds}; both must be at least 1")
    if isinstance(model, str | os.PathLike):
        from transformers import AutoModel

        model = AutoModel.from_pretrained(os.fspath(model))
    family, tasks = resolve(family, tasks, evaluation_set, model.config)
    row_ids = (np.arange(seeds)[:, None] * _ROWS_PER_SEED + np.arange(len(tasks))).ravel()

    start = time.perf_counter()
    envs = family.make_vec(tasks * seeds)
    try:
        result = rollout(
            model,
            envs,
            episodes,
            seed=seed,
            row_ids=row_ids,
            temperature=temperature,
            overflow=overflow,
            refill_keep=refill_keep,
            record=("actions",),
            progress=progress,
        )
    finally:
        envs.close()
    seconds = time.perf_counter() - start

    returns = result.returns.reshape(seeds, len(tasks), episodes)
    oracle = [family.oracle_return(task) for task in tasks]
    random = [family.random_return(task) for task in tasks]
    last_episodes = min(last_episodes, episodes)
    summary, per_task = normalized_summary(returns, oracle, random, last_episodes, seed=seed)
    chosen = median_task(returns, oracle, random, last_episodes)
    config = model.config
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
        "temperature": config.temperature if temperature is None else temperature,
        "overflow": config.overflow if overflow is None else overflow,
        "refill_keep": config.resolved_refill_keep if refill_keep is None else refill_keep,
        "model": model_path(model),
        "dataset": None if dataset is None else os.fspath(dataset),
        "wall_clock_seconds": round(seconds, 3),
        "versions": versions(),
        "command": command,
    }
    if result.regrets is not None:
        regrets = result.regrets.reshape(seeds, len(tasks), -1)
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
