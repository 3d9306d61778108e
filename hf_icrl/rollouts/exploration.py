"""How much a rollout tries out, as pure functions of what it did.

Shapes: R rows, T steps (left-aligned, padded), E episodes, A actions.
"""

import numpy as np

from hf_icrl.rollouts.metrics import null_for_nan


def exploration_values(family, tasks, seeds, history, episode_lengths):
    """What a report says about what was tried.

    Args:
        family (`TaskFamily`), tasks (list of N task dicts), seeds (`int`): R = seeds * N rows, all tasks of one seed
            before those of the next.
        history (`dict`): of a rollout that recorded "actions" and "entropies".
        episode_lengths (`np.ndarray` of shape (R, E)): steps of each episode.

    Returns:
        `dict`, means over tasks and seeds: "available_actions" (how many actions a task has), "distinct_actions" (how
        many were tried), "distinct_actions_per_task", "tried_share" (E shares of the actions of each kind tried by the
        end of each episode: "all" of the task's, and what `family.action_groups` tells apart), "entropy" in nats, and
        "entropy_curve": the entropy of each episode, or of each step where there is only one episode. What a policy
        without entropies cannot tell is None. Empty for actions that cannot be counted.
    """
    if family.num_actions is None:
        return {}
    actions, entropies = history["actions"], history["entropies"]
    available = family.available_actions(tasks)
    if available is None:
        available = np.ones((len(tasks), family.num_actions), bool)
    groups = {"all": available}
    groups |= {name: group & available for name, group in family.action_groups(tasks).items()}
    different = distinct_actions(actions, episode_lengths.sum(axis=1)).reshape(seeds, len(tasks))
    by_episode, by_row = entropy_by_episode(entropies, episode_lengths)
    curve = by_episode if episode_lengths.shape[1] > 1 else _steps_of_all(entropies, episode_lengths)
    return {
        "available_actions": float(available.sum(axis=1).mean()),
        "distinct_actions": float(different.mean()),
        "distinct_actions_per_task": different.mean(axis=0).tolist(),
        "tried_share": {
            name: _curve(tried_share(actions, episode_lengths, np.tile(group, (seeds, 1))))
            for name, group in groups.items()
        },
        "entropy": null_for_nan(float(by_row.mean())),
        "entropy_curve": _curve(curve),
    }


def distinct_actions(actions, lengths):
    """How many different actions each row has taken.

    Args:
        actions (`np.ndarray` of int, shape (R, T)): numbers >= 0; what lies beyond a row's length is not read.
        lengths (`np.ndarray` of shape (R,)): each row's steps.

    Returns:
        `np.ndarray` of int64, shape (R,).
    """
    return (_first_steps(actions, lengths) < actions.shape[1]).sum(axis=1)


def tried_share(actions, episode_lengths, counted):
    """Which share of some of its actions each row has tried by the end of each episode.

    Args:
        actions (`np.ndarray` of int, shape (R, T)): as for `distinct_actions`.
        episode_lengths (`np.ndarray` of shape (R, E)): steps of each episode; they follow each other from step 0 on.
        counted (`np.ndarray` of bool, shape (R, A)): the actions of interest, such as those that the row's task has.

    Returns:
        `np.ndarray` of float64, shape (R, E): between 0 and 1, never falling; NaN in rows without such actions.
    """
    first = _first_steps(actions, episode_lengths.sum(axis=1), counted.shape[1])
    ends = np.cumsum(episode_lengths, axis=1)
    number = counted.sum(axis=1)
    tried = np.empty(ends.shape)
    for episode in range(ends.shape[1]):
        tried[:, episode] = ((first < ends[:, episode, None]) & counted).sum(axis=1)
    return tried / np.where(number > 0, number, np.nan)[:, None]


def entropy_by_episode(entropies, episode_lengths):
    """The mean entropy of each episode, and of each row over all its steps.

    Args:
        entropies (`np.ndarray` of shape (R, T)): in nats, of the distribution that each action was drawn from; NaN where
            that has none.
        episode_lengths (`np.ndarray` of shape (R, E)): each at least 1.

    Returns:
        `(by_episode, by_row)`: float64 (R, E) and (R,).
    """
    ends = np.cumsum(episode_lengths, axis=1)
    inside = np.arange(entropies.shape[1]) < ends[:, -1:]
    # The running sum before each episode and after it; a sum from each row's first step, so NaN stays in its row.
    sums = np.concatenate([np.zeros((len(ends), 1)), np.cumsum(np.where(inside, entropies, 0.0), axis=1)], axis=1)
    after = np.take_along_axis(sums, ends, axis=1)
    before = np.concatenate([np.zeros((len(ends), 1)), after[:, :-1]], axis=1)
    return (after - before) / episode_lengths, after[:, -1] / ends[:, -1]


def _first_steps(actions, lengths, num_actions=None):
    """The step at which each row first takes each action: int64 (R, A), T where it never does."""
    rows, steps = actions.shape
    valid = np.arange(steps) < lengths[:, None]
    row, step = np.nonzero(valid)
    taken = actions[row, step].astype(np.int64)
    if num_actions is None:
        num_actions = int(taken.max(initial=-1)) + 1
    first = np.full((rows, num_actions), steps, np.int64)
    np.minimum.at(first, (row, taken), step)
    return first


def _steps_of_all(entropies, episode_lengths):
    """The steps that every row has."""
    return entropies[:, : int(episode_lengths.min())]


def _curve(values):
    """Means over rows `(R, ...)` as a list, None where a row has none."""
    return null_for_nan(values.mean(axis=0).round(6))
