"""What every source shares: its interface, the histories it returns, and the loop that records them."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hf_icrl.counter_random import integers, stream_keys
from hf_icrl.envs.vector import true_next_observations


@dataclass
class HistoryBatch:
    """Learning histories of n runs, side by side, time-major within each run; T = num_episodes * horizon.

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
        optional: more arrays `(n, T)` by name, such as `"optimal_actions"`.
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


@dataclass
class Clock:
    """Where each run is, before its next action.

    Attributes:
        time (`int`): steps since the run began, the same for all runs.
        episode: int64 `(n,)`, episodes finished.
        step: int64 `(n,)`, steps taken in the running episode.
        num_episodes (`int`), horizon (`int`): how many episodes a run has, and the most steps an episode has.
    """

    time: int
    episode: np.ndarray
    step: np.ndarray
    num_episodes: int
    horizon: int


class Source(ABC):
    """Base of the sources: a dataclass whose fields are its parameters.

    A subclass sets `name` and defines `begin`, whose result acts and learns for all runs at once:
    `act(observations, clock) -> (actions, optional)`, where `optional` is a dict of arrays `(n,)` to record, and
    `learn(observations, actions, rewards, terminated, next_observations)`. Its constructor checks every parameter.
    """

    name = None

    @property
    def params(self):
        """All parameters as JSON values, defaults filled in."""
        return asdict(self)

    @abstractmethod
    def describe(self):
        """One sentence for the data card that says what this source does, with its parameters."""

    @abstractmethod
    def begin(self, family, tasks, history_ids, seed):
        """Begin one run per task; see the class."""

    def generate(self, family, tasks, history_ids, num_episodes, seed):
        """Run this source once on each task, from nothing, for `num_episodes` episodes.

        Args:
            family (`hf_icrl.tasks.TaskFamily`): where the tasks come from.
            tasks (`list[dict]`): one task per run, repetitions allowed.
            history_ids (`array_like` of int, shape `(n,)`): one id >= 0 per run.
            num_episodes (`int`): episodes per run.
            seed (`int`): the user's seed.

        Returns:
            `HistoryBatch`: run i depends on `(seed, history_ids[i])`, its task and the parameters alone: not on its
            neighbours, its place or the size of the batch.

        Raises:
            ValueError: the numbers of tasks and ids differ, or the family cannot serve this source.
        """
        history_ids = np.asarray(history_ids, dtype=np.int64)
        if history_ids.shape != (len(tasks),):
            raise ValueError(f"generate got {len(tasks)} tasks and history_ids of shape {history_ids.shape}")
        if len(tasks) and history_ids.min() < 0:
            raise ValueError(f"a history id is {history_ids.min()}; ids must be >= 0")
        if num_episodes < 1:
            raise ValueError(f"num_episodes is {num_episodes}; it must be at least 1")
        run = self.begin(family, tasks, history_ids, seed)
        return _record(run, family, tasks, history_ids, num_episodes, seed)


def _record(run, family, tasks, history_ids, num_episodes, seed):
    """Step `run` on one vector environment until every run has its episodes, and keep what happens."""
    n, total = len(tasks), num_episodes * family.horizon
    envs = family.make_vec(tasks)
    # A run's environment has a stream of its own: resetting all with one seed would correlate the histories.
    env_seeds = integers(stream_keys(seed, "source/environment", history_ids), 0, 2**31)
    observations, _ = envs.reset(seed=env_seeds.tolist())
    clock = Clock(0, np.zeros(n, np.int64), np.zeros(n, np.int64), num_episodes, family.horizon)
    lengths = np.zeros(n, dtype=np.int64)
    # One row per step while recording: writing columns of (n, total) arrays would touch n cache lines each.
    steps = {}
    for time in range(total):
        clock.time = time
        actions, optional = run.act(observations, clock)
        following, rewards, terminated, truncated, infos = envs.step(actions)
        true_next = true_next_observations(following, infos)
        run.learn(observations, actions, rewards, terminated, true_next)
        core = {
            "observations": observations,
            "actions": actions,
            "rewards": rewards,
            "terminated": terminated,
            "truncated": truncated,
            "next_observations": true_next,
        }
        if not steps:
            steps = {k: np.zeros((total, *v.shape), v.dtype) for k, v in {**core, **optional}.items()}
        for name, value in {**core, **optional}.items():
            steps[name][time] = value
        lengths += clock.episode < num_episodes
        ended = terminated | truncated
        clock.episode = clock.episode + ended
        clock.step = np.where(ended, 0, clock.step + 1)
        observations = following
        if clock.episode.min() >= num_episodes:
            break
    envs.close()
    arrays = {name: np.ascontiguousarray(np.swapaxes(value, 0, 1)) for name, value in steps.items()}
    if lengths.min() < total:
        # Runs that had all their episodes went on beside the others; that part is no history.
        beyond = np.arange(total) >= lengths[:, None]
        for value in arrays.values():
            value[beyond] = 0
    extra = {name: arrays.pop(name) for name in optional}
    return HistoryBatch(history_ids, list(tasks), lengths=lengths, optional=extra, **arrays)
