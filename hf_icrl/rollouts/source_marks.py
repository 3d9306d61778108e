"""How a rollout compares with the source of the histories that the model was trained on."""

import numpy as np

from hf_icrl.rollouts.metrics import (
    bootstrap_interval,
    last_mean,
    normalized_regret,
    null_for_nan,
    random_regrets,
)


def source_values(reference, *, returns, regrets, oracle, random, last_episodes, groups=None, seed=0):
    """What a report says about the source.

    Args:
        reference (`hf_icrl.sources.reference.SourceReference` or `None`): what the source reached on the same N tasks;
            None gives no values.
        returns (`np.ndarray` of shape (S, N, E)): the model's.
        regrets (`np.ndarray` of shape (S, N, T) or `None`): the model's expected regret of each step, where the family
            tells it.
        oracle, random (sequences of N `float | None`): returns of one episode.
        last_episodes (`int`): over how many of the last episodes the model's return is taken.
        groups, seed: of the bootstrap, as in `bootstrap_interval`.

    Returns:
        `dict`: "source" (its name), "source_return" and "source_regret" (one a task; the second None without regrets),
        "source_regret_curve" (mean over tasks after each pull, or None), and "regret_normalized", see
        `normalized_regret`. Where there are no regrets, it is that of the returns of the last episodes against the
        source's in the last tenth of its history; None where the family knows no random (or, with regrets, no oracle)
        return.

    Raises:
        ValueError: the reference is about other tasks, or about histories of another length.
    """
    if reference is None:
        return {}
    tasks = returns.shape[1]
    if len(reference.returns) != tasks:
        raise ValueError(f"the source's reference is about {len(reference.returns)} tasks, the rollout about {tasks}")
    values = {
        "source": reference.name,
        "source_return": null_for_nan(reference.returns),
        "source_regret": None,
        "source_regret_curve": None,
        "regret_normalized": None,
    }
    if regrets is None:
        # The oracle's return, from which a regret would count, cancels out.
        model, source = -last_mean(returns, last_episodes).mean(axis=0), -reference.returns
        chance = None if None in random else -np.array(random, np.float64)
    else:
        pulls = regrets.shape[2]
        if reference.regret_curve is None or reference.regret_curve.shape[1] != pulls:
            played = "none" if reference.regret_curve is None else reference.regret_curve.shape[1]
            raise ValueError(
                f"the source's reference tells the regret of {played} pulls, but the rollout has {pulls}: give the source "
                f"as many episodes as the rollout has ({returns.shape[2]})"
            )
        model, source = regrets.mean(axis=0).sum(axis=1), reference.regret
        chance = random_regrets(oracle, random, returns.shape[2])
        values["source_regret"] = null_for_nan(source)
        values["source_regret_curve"] = reference.regret_curve.mean(axis=0).round(6).tolist()
    if chance is not None:
        values["regret_normalized"] = normalized_regret(model, chance, source, groups=groups, seed=seed)
    return values


def success_values(returns, oracle, last_episodes, groups=None, seed=0):
    """How often episodes succeed, where a return is 1 for success and 0 for failure, and no more can be had.

    Args:
        returns (`np.ndarray` of shape (S, N, E)), oracle (sequence of N `float | None`), last_episodes (`int`).
        groups, seed: of the bootstrap, as in `bootstrap_interval`.

    Returns:
        `dict`: "success" (the share of the last episodes that succeed), "success_ci95" (its 95 % interval over tasks, or
        None) and "success_curve" (E shares); empty for other tasks.
    """
    if None in oracle or max(oracle) > 1 or not np.isin(returns, (0.0, 1.0)).all():
        return {}
    per_task = last_mean(returns, last_episodes).mean(axis=0)
    interval = bootstrap_interval(per_task, groups=groups, seed=seed)
    return {
        "success": float(per_task.mean()),
        "success_ci95": None if interval is None else list(interval),
        "success_curve": returns.mean(axis=(0, 1)).round(6).tolist(),
    }
