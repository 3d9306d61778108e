"""How fast the source of a collection becomes good: its learning curve, from the finished shards."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Enough points for a picture; longer curves are thinned by averaging neighbours.
_POINTS = 200
# Exact scores of a task can take milliseconds, and so many tasks tell the mean well enough.
_MOST_TASKS = 500
# Over which last share of a history its end is judged.
_END = 0.1


def source_curve(plan, paths):
    """The learning curve of the source, for `history_info.json`.

    Where a history has several episodes the curve is over episodes, else over the steps of the one episode (a bandit's
    pulls), each step's mean reward times the horizon.

    Args:
        plan (`CollectionPlan`): what was collected.
        paths (list of `Path`): its shards, in order.

    Returns:
        `dict`: "over" ("episodes" or "steps"); "number", at most 200 episode (or step) numbers from 1, and
        "mean_return" at each; "normalized", the same as (return - random) / (oracle - random) task by task, or None
        where the family cannot tell; "final_return", "final_normalized" and "share_of_oracle", over the last
        tenth ("final_episodes" of them, or "final_steps"); "oracle_return" and "random_return", means over tasks.
        Anchors are those of the first 500 tasks, and so are the normalised figures.
    """
    single = len(plan.keep) == 1
    length = plan.family.horizon if single else len(plan.keep)
    oracle, random = _anchors(plan)
    total, count = np.zeros(length), np.zeros(length)
    scaled, scaled_count = np.zeros(length), np.zeros(length)
    for path in paths:
        with pa.memory_map(str(path)) as source:
            for batch in pa.ipc.open_stream(source):
                if plan.source.stray_steps:
                    batch = batch.filter(pc.less(batch["episode"], len(plan.keep)))
                if not batch.num_rows:
                    continue
                offsets = batch["rewards"].offsets.to_numpy()
                rewards = batch["rewards"].values.to_numpy()[offsets[0] : offsets[-1]].astype(np.float64)
                offsets = offsets - offsets[0]
                task = batch["history_id"].to_numpy() // plan.source.streams % len(plan.tasks)
                if single:
                    rows = np.repeat(np.arange(len(task)), np.diff(offsets))
                    place, value, task = np.arange(len(rewards)) - offsets[rows], rewards * length, task[rows]
                else:
                    place, value = batch["episode"].to_numpy(), np.add.reduceat(rewards, offsets[:-1])
                total += np.bincount(place, value, minlength=length)
                count += np.bincount(place, minlength=length)
                known = task < len(oracle)
                known[known] = oracle[task[known]] > random[task[known]]
                at, task = place[known], task[known]
                share = (value[known] - random[task]) / (oracle[task] - random[task])
                scaled += np.bincount(at, share, minlength=length)
                scaled_count += np.bincount(at, minlength=length)
    return _summary(single, total, count, scaled, scaled_count, oracle, random)


def episode_curve(total, count):
    """The same dict from sums over histories alone, without anchors.

    Args:
        total (`np.ndarray` of float64, shape `(E,)`): the sum of the returns of the histories' k-th episodes.
        count (`np.ndarray` of int, shape `(E,)`): how many histories have a k-th episode.
    """
    nothing = np.zeros(len(total))
    return _summary(False, total, count, nothing, nothing, np.zeros(0), np.zeros(0))


def _summary(single, total, count, scaled, scaled_count, oracle, random):
    reached = int(np.flatnonzero(count)[-1]) + 1  # an episode that always ends early has no later steps
    total, count, scaled, scaled_count = (a[:reached] for a in (total, count, scaled, scaled_count))
    groups = np.array_split(np.arange(reached), min(reached, _POINTS))
    last = max(1, math.ceil(_END * reached))
    told = scaled_count.sum() > 0
    mean_oracle = float(oracle.mean()) if len(oracle) else None
    final = _mean(total[-last:], count[-last:])
    return {
        "over": "steps" if single else "episodes",
        "number": [int(g[-1]) + 1 for g in groups],
        "mean_return": [_mean(total[g], count[g]) for g in groups],
        "normalized": [_mean(scaled[g], scaled_count[g]) for g in groups] if told else None,
        "final_steps" if single else "final_episodes": last,
        "final_return": final,
        "final_normalized": _mean(scaled[-last:], scaled_count[-last:]) if told else None,
        "share_of_oracle": final / mean_oracle if mean_oracle else None,
        "oracle_return": mean_oracle,
        "random_return": float(random.mean()) if len(random) else None,
    }


def _mean(total, count):
    return round(float(total.sum() / count.sum()), 6) if count.sum() else None


def _anchors(plan):
    """Oracle's and random policy's returns of the first tasks, two float64 arrays; empty where the family cannot tell."""
    oracle, random = [], []
    for task in plan.tasks[:_MOST_TASKS]:
        oracle.append(plan.family.oracle_return(task))
        random.append(plan.family.random_return(task))
        if oracle[-1] is None or random[-1] is None:
            return np.zeros(0), np.zeros(0)
    return np.array(oracle), np.array(random)
