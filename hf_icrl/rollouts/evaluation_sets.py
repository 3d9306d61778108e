"""`evaluate_sets`: one model on many sets of tasks at once, each with a report of its own."""

import hashlib
from dataclasses import fields

import numpy as np

from hf_icrl.envs.joint import JointVectorEnv
from hf_icrl.rollouts.acting import Rollout
from hf_icrl.rollouts.checks import same_space
from hf_icrl.rollouts.evaluation import loaded, timed_rollout
from hf_icrl.rollouts.reporting import report_of, row_ids_of
from hf_icrl.rollouts.set_reports import SetReports, check_set_name
from hf_icrl.rollouts.which_tasks import check_sets_held_out

# A set's rows begin at its key times this: it leaves room for 2**12 seeds of 2**31 tasks each.
_ROWS_PER_SET = 2**43
_MOST_SEEDS, _KEYS = 2**12, 2**20


def evaluate_sets(
    model,
    sets,
    *,
    episodes=100,
    seeds=10,
    seed=0,
    last_episodes=5,
    temperature=None,
    overflow=None,
    refill_keep=None,
    act_with_dropout=None,
    max_rows=None,
    references=None,
    dataset=None,
    command=None,
    progress=False,
):
    """Roll a model out on several sets of tasks in one batch, and report on each.

    The sets may differ in which actions there are and, for a model that reads action sets (Headless-AD), in their number.
    Sets whose number of actions a model cannot act with are left out, and said to be, as long as one remains.

    Args:
        model: a model that can act, or the folder or Hub id of one.
        sets (`dict[str, (TaskFamily, list[dict])]`): name -> what `TaskFamily.evaluation_set` gives. A set whose name
            ends with "train" may hold tasks that the model was trained on; any other name is the caller's word that it
            does not, checked as in `evaluate`. (A name that ends with "validation" may hold those that it was chosen
            on.)
        episodes, seeds, last_episodes, temperature, overflow, refill_keep, act_with_dropout, dataset, command, progress:
            as in `evaluate`.
        seed (`int`): what the random streams are derived from. The row of (set, task index, seed index) has the row id
            `key * 2**43 + seed_index * 2**31 + task_index`, where the key follows from the set's name alone (SHA-256; 0
            for "held_out"). So a row's result does not depend on which other sets there are, nor on how many tasks or
            seeds, and that of "held_out" is the one of `evaluate`.
        max_rows (`int`, *optional*): where the caches of all rows (a task with a seed) do not fit into memory at once, how
            many may: whole sets are then rolled out one batch after another, at least one at a time. Nothing that is
            found depends on it.
        references (`dict[str, SourceReference]`, *optional*): set name -> what the source reaches on its tasks; see
            `evaluate`.

    Returns:
        [`SetReports`]: a dict of name -> [`Report`], with the same values as those of `evaluate`. `wall_clock_seconds`
        is that of the whole batch, which the value `rolled_out_with` lists.

    Raises:
        ValueError: no set, an empty one, a name that is no file name, a bad count, sets whose observations differ, no set
            that the model can act in, or a set that holds tasks which the model was trained on and does not say so.

    Example:
        >>> family = hf_icrl.task_family("bernoulli_bandit")
        >>> train, held_out = family.split(population={"num": 10_000, "min_arms": 4})
        >>> names = ["train", "inverse", "num_50", "num_100"]
        >>> sets = {name: family.evaluation_set(name, train=train, held_out=held_out) for name in names}
        >>> print(hf_icrl.evaluate_sets(model, sets, episodes=1, seeds=3))
    """
    if episodes < 1 or not 1 <= seeds <= _MOST_SEEDS:
        raise ValueError(
            f"episodes is {episodes} and seeds is {seeds}; both must be at least 1, seeds at most {_MOST_SEEDS}"
        )
    if max_rows is not None and max_rows < 1:
        raise ValueError(f"max_rows is {max_rows}; it must be at least 1, or None for all rows at once")
    if not sets:
        raise ValueError("there are no sets to evaluate on: give at least one, as in {name: (family, tasks)}")
    for name, (_, tasks) in sets.items():
        check_set_name(name)
        if not tasks:
            raise ValueError(f"the set {name!r} has no tasks")
    model = loaded(model)
    sets, skipped = runnable_sets(sets, model.config)
    check_sets_held_out(sets, model.config)
    drawing = {"temperature": temperature, "overflow": overflow, "refill_keep": refill_keep}
    reports = {}
    for names in _batches({name: len(tasks) * seeds for name, (_, tasks) in sets.items()}, max_rows):
        row_ids = {name: row_ids_of(len(sets[name][1]), seeds, _set_key(name) * _ROWS_PER_SET) for name in names}
        result, dropout, seconds = timed_rollout(
            model,
            lambda names=names: JointVectorEnv([sets[name][0].make_vec(sets[name][1] * seeds) for name in names]),
            episodes,
            act_with_dropout,
            seed=seed,
            row_ids=np.concatenate(list(row_ids.values())),
            progress=progress,
            **drawing,
        )
        for name, rows in zip(names, result.state.envs.slices, strict=True):
            family, tasks = sets[name]
            reports[name] = report_of(
                _rows(result, rows),
                model=model,
                family=family,
                tasks=list(tasks),
                seeds=seeds,
                seed=seed,
                row_ids=row_ids[name],
                last_episodes=last_episodes,
                drawing={**drawing, "act_with_dropout": dropout},
                evaluation_set=name,
                reference=(references or {}).get(name),
                more={
                    "dataset": None if dataset is None else str(dataset),
                    "wall_clock_seconds": seconds,
                    "rolled_out_with": names,
                    "command": command,
                },
            )
        del result  # its cache, before that of the next batch is made
    return SetReports(reports, skipped)


def _batches(rows, max_rows):
    """Names of sets in lists, in their order, with at most `max_rows` of their `rows` (name -> number) in each if possible."""
    batches, held = [], 0
    for name, number in rows.items():
        if not batches or (max_rows is not None and held + number > max_rows):
            batches.append([])
            held = 0
        batches[-1].append(name)
        held += number
    return batches


def runnable_sets(sets, config):
    """The sets that a model with this config can act in, and why it cannot act in the others.

    Args:
        sets (`dict[str, (TaskFamily, list[dict])]`), config: the sets, and the model's config.

    Returns:
        `(sets, skipped)`: the sets that are left, and name -> sentence for the others.

    Raises:
        ValueError: none is left.
    """
    own = config.action_space
    left, skipped = {}, {}
    for name, (family, tasks) in sets.items():
        number = family.num_actions
        anything = getattr(config, "reads_action_sets", False) or number is None or own["type"] != "Discrete"
        if anything or same_space(own, {"type": "Discrete", "n": number}, smaller=config.padded_spaces):
            left[name] = family, tasks
        else:
            skipped[name] = (
                f"it has {number} actions, and this model acts with {'at most' if config.padded_spaces else 'exactly'} "
                f"{own['n']}"
            )
    if not left:
        name, reason = next(iter(skipped.items()))
        raise ValueError(
            f"the model can act in none of the sets {', '.join(skipped)}; of {name!r}: {reason}. A model that reads "
            "action sets (headless_ad) acts with any number"
        )
    return left, skipped


def _set_key(name):
    """What tells the row ids of a set from those of others; from 0 to 2**20 - 1."""
    if name == "held_out":
        return 0
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % (_KEYS - 1)


def _rows(result, rows):
    """The `Rollout` of some rows alone, its steps cut to those that the longest of them made."""
    steps = int(result.lengths[rows].sum(axis=1).max())
    cut = {field.name: getattr(result, field.name) for field in fields(Rollout)}
    for name in ("returns", "lengths"):
        cut[name] = cut[name][rows]
    if result.regrets is not None:
        # Of environments that tell none, beside others that do, it is NaN.
        cut["regrets"] = None if np.isnan(result.regrets[rows]).any() else result.regrets[rows, :steps]
    cut["history"] = {k: v[rows] if k == "lengths" else v[rows, :steps] for k, v in result.history.items()}
    return Rollout(**cut)
