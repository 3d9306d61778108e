"""What runs and their recorder hand each other: the clock, one transition of all runs, and the finished histories."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np


@dataclass
class HistoryBatch:
    """Learning histories of n runs, side by side, time-major within each run; T is at most num_episodes * horizon.

    A run whose episodes end early has fewer than T steps; what lies beyond its length is zero.

    Attributes:
        history_ids: int64 `(n,)`.
        tasks: n task dicts.
        observations: `(n, T, ...)`, before each action.
        actions: `(n, T, ...)`.
        rewards: float32 `(n, T)`, what that action earned.
        terminated, truncated: bool `(n, T)`, whether that action ended its episode, and how; never both.
        next_observations: `(n, T, ...)`, what that action led to: at an episode's end the true last observation.
        lengths: int64 `(n,)`, valid steps of each run.
        optional: more arrays `(n, T, ...)` by name, such as `"optimal_actions"`.
    """

    history_ids: np.ndarray
    tasks: list[dict[str, Any]]
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observations: np.ndarray
    lengths: np.ndarray
    optional: dict[str, np.ndarray] = field(default_factory=dict)

    def parts(self, steps):
        """Cut into batches of consecutive histories, views of about `steps` steps each, but of at least one history."""
        per_step = [f.name for f in fields(self) if f.name not in ("history_ids", "tasks", "lengths", "optional")]
        ends = np.cumsum(self.lengths)
        first = 0
        while first < len(ends):
            done = ends[first] - self.lengths[first]
            last = max(first + 1, int(np.searchsorted(ends, done + steps, side="right")))
            rows, longest = slice(first, last), int(self.lengths[first:last].max())
            yield HistoryBatch(
                self.history_ids[rows],
                self.tasks[rows],
                **{name: getattr(self, name)[rows, :longest] for name in per_step},
                lengths=self.lengths[rows],
                optional={name: array[rows, :longest] for name, array in self.optional.items()},
            )
            first = last


@dataclass
class Clock:
    """Where each run is, before its next action.

    Attributes:
        time (`int`): steps since the run began, the same for all runs.
        episode: int64 `(n,)`, episodes finished.
        step: int64 `(n,)`, steps taken in the running episode.
        num_episodes (`int`), horizon (`int`): how many episodes a run has, and the most steps an episode has.
        infos (`dict`): what the environments told beside the observations that are shown now.
    """

    time: int
    episode: np.ndarray
    step: np.ndarray
    num_episodes: int
    horizon: int
    infos: dict


@dataclass
class Transition:
    """One step of all runs, for learning.

    Attributes:
        observations: `(n, ...)`, before the actions.
        actions: `(n, ...)`.
        rewards: float32 `(n,)`.
        terminated, truncated: bool `(n,)`, whether the action ended its episode, and how; never both.
        next_observations: `(n, ...)`, what the action led to: at an episode's end the true last observation.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observations: np.ndarray
