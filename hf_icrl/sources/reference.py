"""What a source reaches on given tasks: the mark that a model trained on its histories is measured against."""

from dataclasses import dataclass

import numpy as np

from hf_icrl.envs.bandit_tasks import BanditFamily
from hf_icrl.seeding import derived_seed

# History ids are round * _IDS_PER_ROUND + what the task's place in the list gives, as rollouts number their rows.
_IDS_PER_ROUND = 2**31
# The share of a history, at its end, in which a source's return counts as what it has come to.
_LAST_SHARE = 10


@dataclass(frozen=True, eq=False)
class SourceReference:
    """What a source reached, each figure the mean over its runs on a task.

    Attributes:
        name (`str`): the source's.
        returns (`np.ndarray` of float64, shape `(n,)`): mean return of the last tenth of its episodes (at least one).
        regret_curve (`np.ndarray` of float64, shape `(n, T)`, or `None`): cumulative expected regret after each pull of
            the whole history; None where the family is no bandit.
        regret (`np.ndarray` of float64, shape `(n,)`, or `None`): the last column of it.
    """

    name: str
    returns: np.ndarray
    regret_curve: np.ndarray | None = None

    @property
    def regret(self):
        return None if self.regret_curve is None else self.regret_curve[:, -1]


def source_reference(source, family, tasks, *, episodes, seed=0, repeats=1):
    """Run a source from nothing on each task and say what it reached.

    These are other runs than those of any dataset: their streams have a domain of their own. A task's figures depend on
    its place in the list and on `(seed, repeats)`, not on the other tasks.

    Args:
        source (`Source`): with its parameters.
        family (`TaskFamily`), tasks (`list[dict]`): where it acts; at least one task.
        episodes (`int`): length of each history. Sources that follow a schedule (epsilon, noise) spread it over these.
        seed (`int`): which runs.
        repeats (`int`): histories of each task, >= 1. A source that makes k histories at once (`Source.streams`) makes
            the next multiple of k.

    Returns:
        `SourceReference`

    Raises:
        ValueError: no tasks or repeats, or the source cannot act in this family.
    """
    if not tasks or repeats < 1:
        raise ValueError(f"source_reference got {len(tasks)} tasks and repeats={repeats}; both must be at least 1")
    is_bandit = isinstance(family, BanditFamily)
    last = -(-episodes // _LAST_SHARE)
    # A bandit's regret counts from the first pull; of others only the end is needed, and then only that is recorded.
    keep = range(0 if is_bandit else episodes - last, episodes)
    rounds, streams = -(-repeats // source.streams), source.streams
    returns, curves = [], []
    for number in range(rounds):
        places = np.repeat(np.arange(len(tasks)), streams)
        ids = number * _IDS_PER_ROUND + np.arange(len(places))
        # A learner's own number must be a multiple of its streams in every round.
        ids += -(number * _IDS_PER_ROUND) % streams
        rows = [tasks[place] for place in places]
        batch = source.generate(family, rows, ids, episodes, derived_seed(seed, "source_reference"), keep=keep)
        returns.append(_last_returns(batch, len(keep), last).reshape(len(tasks), streams))
        if is_bandit:
            curves.append(_regret_curve(family, batch).reshape(len(tasks), streams, -1).mean(axis=1))
    return SourceReference(
        source.name,
        np.concatenate(returns, axis=1).mean(axis=1),
        np.mean(curves, axis=0) if is_bandit else None,
    )


def _last_returns(batch, recorded, last):
    """Mean return of the last of the recorded episodes: float64 `(n,)`."""
    ended = batch.terminated | batch.truncated
    episode = np.cumsum(ended, axis=1) - ended
    # Beyond a history's end rewards are 0; a stray step belongs to the episode after the last.
    counted = (episode >= recorded - last) & (episode < recorded)
    return np.where(counted, batch.rewards, 0.0).sum(axis=1, dtype=np.float64) / last


def _regret_curve(family, batch):
    """Cumulative expected regret after each pull: float64 `(n, T)`."""
    task_array = family.task_array(batch.tasks)
    rows = np.arange(len(batch.tasks))
    regrets = np.empty(batch.actions.shape)
    for step in range(batch.actions.shape[1]):
        values = family.values(batch.observations[:, step], task_array)
        regrets[:, step] = values.max(axis=1) - values[rows, batch.actions[:, step]]
    return regrets.cumsum(axis=1)
