"""What every source shares: its interface."""

from abc import ABC, abstractmethod
from dataclasses import asdict

import numpy as np

from hf_icrl.naming import check_names
from hf_icrl.sources.recording import record


class Source(ABC):
    """Base of the sources: a dataclass whose fields are its parameters.

    A subclass sets `name` and defines `begin`, whose result acts and learns for all runs at once:
    `act(observations, clock) -> (actions, optional)`, where `optional` is a dict of arrays `(n, ...)` by the names of
    `offers`, and `learn(transition)`. A source that steps the environments itself defines `run` instead. Its constructor
    checks every parameter.

    Attributes:
        name (`str`): the source's name.
        offers (`tuple[str, ...]`): optional columns that its `act` can return ("log_probs"); every source also has
            those that the recorder itself makes ("time", and "optimal_actions" where the family has a demonstrator).
        uses_torch (`bool`): whether it computes with torch, which is then held to one thread: the bits of a history must
            not depend on how many there are.
        side_by_side (`bool`): whether learners run at once, so that a shard of many is made faster than one of few.
        stray_steps (`int`): steps of one more episode, after the last, that are recorded.
        streams (`int`): how many histories one learner makes at once, in as many environments. They have consecutive
            ids, the first of which is a multiple of `streams`, and one task.
    """

    name = None
    offers = ()
    streams = 1
    uses_torch = False
    side_by_side = True
    stray_steps = 0

    @property
    def params(self):
        """All parameters as JSON values, defaults filled in."""
        return asdict(self)

    @abstractmethod
    def describe(self):
        """One sentence for the data card that says what this source does, with its parameters."""

    def begin(self, family, tasks, history_ids, seed):
        """Begin one run per task; see the class."""
        raise TypeError(f"{type(self).__name__} defines neither begin nor run, so nothing says how it acts")

    def generate(self, family, tasks, history_ids, num_episodes, seed, columns=(), keep=None):
        """Run this source once on each task, from nothing, for `num_episodes` episodes.

        Args:
            family (`hf_icrl.tasks.TaskFamily`): where the tasks come from.
            tasks (`list[dict]`): one task per run, repetitions allowed.
            history_ids (`array_like` of int, shape `(n,)`): one id >= 0 per run.
            num_episodes (`int`): episodes per run.
            seed (`int`): the user's seed.
            columns (iterable of `str`): optional columns to record: "time" (steps taken in the running episode before
                the action), "optimal_actions" (what the family's demonstrator would have done), and what the source
                `offers`.
            keep (`range`, *optional*): the episodes to record, all by default. What comes after the last of them is
                not even run.

        Returns:
            `HistoryBatch`: run i depends on `(seed, history_ids[i])`, its task and the parameters alone: not on its
            neighbours, its place or the size of the batch.

        Raises:
            ValueError: the numbers of tasks and ids differ, the family cannot serve this source, or a column that
                nobody can fill.
        """
        history_ids = np.asarray(history_ids, dtype=np.int64)
        if history_ids.shape != (len(tasks),):
            raise ValueError(f"generate got {len(tasks)} tasks and history_ids of shape {history_ids.shape}")
        if len(tasks) and history_ids.min() < 0:
            raise ValueError(f"a history id is {history_ids.min()}; ids must be >= 0")
        if num_episodes < 1:
            raise ValueError(f"num_episodes is {num_episodes}; it must be at least 1")
        columns = tuple(columns)
        check_names(columns, ("time", "optimal_actions", *self.offers), f"optional column of {self.name}")
        keep = range(num_episodes) if keep is None else keep
        if not len(keep) or keep.step < 1 or not 0 <= keep[0] <= keep[-1] < num_episodes:
            raise ValueError(f"keep is {keep!r}; it must be an ascending range of the {num_episodes} episodes")
        self._check_streams(tasks, history_ids)
        return self.run(family, tasks, history_ids, num_episodes, seed, columns, keep)

    def run(self, family, tasks, history_ids, num_episodes, seed, columns, keep):
        """What `generate` does when its arguments (all given) are checked."""
        run = self.begin(family, tasks, history_ids, seed)
        return record(
            run, family, tasks, history_ids, num_episodes, seed, columns, keep, self.stray_steps, self.streams
        )

    def _check_streams(self, tasks, history_ids):
        if self.streams == 1:
            return
        if len(tasks) % self.streams:
            raise ValueError(
                f"{self.name} makes {self.streams} histories with each learner, but {len(tasks)} are asked for: ask "
                f"for a multiple of {self.streams}"
            )
        groups = history_ids.reshape(-1, self.streams)
        if (groups != groups[:, :1] + np.arange(self.streams)).any() or (groups[:, 0] % self.streams).any():
            raise ValueError(
                f"{self.name} makes {self.streams} histories with each learner; their ids must follow each other from "
                f"a multiple of {self.streams} on, got {history_ids.tolist()[:20]}"
            )
        for first in range(0, len(tasks), self.streams):
            if any(task != tasks[first] for task in tasks[first : first + self.streams]):
                raise ValueError(f"the {self.streams} histories of a learner of {self.name} must have one task")
