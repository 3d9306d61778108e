"""The loop that steps a source's runs on one vector environment and records their histories."""

import numpy as np

from hf_icrl.counter_random import integers, stream_keys
from hf_icrl.envs.vector import true_next_observations
from hf_icrl.sources.steps import Clock, HistoryBatch, Transition


def record(run, family, tasks, history_ids, num_episodes, seed, columns, keep):
    """Step `run` until every run has its episodes; see `Source.generate` for the arguments."""
    recorder = Recorder(family, tasks, history_ids, num_episodes, seed, columns, keep)
    while not recorder.finished:
        actions, optional = run.act(recorder.observations, recorder.clock)
        run.learn(recorder.step(actions, optional))
    return recorder.batch()


class Recorder:
    """One vector environment with a run in each slot, and what happens in it, recorded.

    Args:
        family, tasks, history_ids, num_episodes, seed, columns, keep: see `Source.generate`.

    Attributes:
        envs: the vector environment.
        observations: what is shown now, `(n, ...)`.
        clock (`Clock`): where each run is.
    """

    def __init__(self, family, tasks, history_ids, num_episodes, seed, columns, keep):
        self.family, self.tasks, self.history_ids = family, list(tasks), history_ids
        self.columns, self.keep = columns, keep
        n = len(tasks)
        self.envs = family.make_vec(tasks)
        # A run's environment has a stream of its own: resetting all with one seed would correlate the histories.
        env_seeds = integers(stream_keys(seed, "source/environment", history_ids), 0, 2**31)
        self.observations, infos = self.envs.reset(seed=env_seeds.tolist())
        self.clock = Clock(0, np.zeros(n, np.int64), np.zeros(n, np.int64), num_episodes, family.horizon, infos)
        self._task_array = family.task_array(tasks) if "optimal_actions" in columns else None
        self._last = keep[-1] + 1
        self._tape = _Tape(n, len(keep) * family.horizon, every_step=len(keep) == self._last)

    @property
    def finished(self):
        """Has every run all the episodes that are to be recorded?"""
        return self.clock.episode.min() >= self._last

    def step(self, actions, optional):
        """Take one step in every slot; `optional` holds what of `columns` the source offers. Returns a `Transition`."""
        clock, observations = self.clock, self.observations
        following, rewards, terminated, truncated, infos = self.envs.step(actions)
        true_next = true_next_observations(following, infos)
        extra = {}
        for name in self.columns:
            if name == "time":
                extra[name] = clock.step
            elif name == "optimal_actions":
                extra[name] = self.family.demonstrator(observations, self._task_array, clock.infos)
            else:
                extra[name] = optional[name]
        self._tape.write(
            self._wanted(),
            {
                "observations": observations,
                "actions": actions,
                "rewards": rewards,
                "terminated": terminated,
                "truncated": truncated,
                "next_observations": true_next,
                **extra,
            },
        )
        ended = terminated | truncated
        clock.time += 1
        clock.episode = clock.episode + ended
        clock.step = np.where(ended, 0, clock.step + 1)
        clock.infos = infos
        self.observations = following
        return Transition(observations, actions, rewards, terminated, truncated, true_next)

    def batch(self):
        """Close the environment and return the `HistoryBatch`."""
        self.envs.close()
        arrays = self._tape.arrays()
        extra = {name: arrays.pop(name) for name in self.columns}
        return HistoryBatch(self.history_ids, self.tasks, lengths=self._tape.lengths, optional=extra, **arrays)

    def _wanted(self):
        """Of which runs the running episode is recorded: bool `(n,)`."""
        episode, keep = self.clock.episode, self.keep
        wanted = episode < self._last
        if keep.start or keep.step > 1:
            wanted &= (episode >= keep.start) & ((episode - keep.start) % keep.step == 0)
        return wanted


class _Tape:
    """Holds what is recorded, a row a step: writing columns of (n, steps) arrays would touch n cache lines a step.

    Args:
        n (`int`): runs.
        most (`int`): the most steps that are recorded of a run.
        every_step (`bool`): nothing is left out before the last recorded step, so that all runs write side by side.
    """

    def __init__(self, n, most, every_step):
        self.most = most
        self.every_step = every_step
        self.time = 0
        self.lengths = np.zeros(n, dtype=np.int64)
        self.steps = {}

    def write(self, wanted, values):
        """Record one step of the runs that are `wanted` (bool `(n,)`)."""
        if not self.steps:
            self.steps = {k: np.zeros((self.most, *v.shape), v.dtype) for k, v in values.items()}
        if self.every_step:
            for name, value in values.items():
                self.steps[name][self.time] = value
        elif wanted.any():
            rows = np.flatnonzero(wanted)
            at = self.lengths[rows]
            for name, value in values.items():
                self.steps[name][at, rows] = value[rows]
        self.lengths += wanted
        self.time += 1

    def arrays(self):
        """Name -> array (n, steps of the longest run, ...), zero beyond each run's length."""
        longest = int(self.lengths.max())
        arrays = {k: np.ascontiguousarray(np.swapaxes(v[:longest], 0, 1)) for k, v in self.steps.items()}
        if self.lengths.min() < longest:
            # Runs that had all their episodes went on beside the others; that part is no history.
            beyond = np.arange(longest) >= self.lengths[:, None]
            for value in arrays.values():
                value[beyond] = 0
        return arrays
