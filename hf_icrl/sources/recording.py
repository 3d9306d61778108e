"""The loop that steps a source's runs on one vector environment and records their histories."""

import numpy as np

from hf_icrl.counter_random import stream_keys
from hf_icrl.envs.vector import true_next_observations
from hf_icrl.sources.steps import Clock, HistoryBatch, Transition
from hf_icrl.sources.tape import Tape

# Runs that have all their episodes are dropped when they are at least this share of those that still go on.
_DROPPED_SHARE = 0.25


def record(run, family, tasks, history_ids, num_episodes, seed, columns, keep, stray_steps=0, streams=1):
    """Step `run` until every run has its episodes; see `Source` and `Recorder` for the arguments."""
    recorder = Recorder(family, tasks, history_ids, num_episodes, seed, columns, keep, stray_steps)
    selective = hasattr(run, "select") and hasattr(recorder.envs, "select_slots")
    while not recorder.finished:
        if selective:
            rows = recorder.drop_finished(streams)
            if rows is not None:
                run.select(rows)
        actions, optional = run.act(recorder.observations, recorder.clock)
        run.learn(recorder.step(actions, optional))
    return recorder.batch()


def environment_seeds(seed, history_ids):
    """The seeds (a list of ints) of the environments of these histories.

    Each has one of its own: resetting all with one seed would correlate the histories. Of 63 bits, so that no two of
    millions of histories meet.
    """
    return (stream_keys(seed, "source/environment", history_ids) >> np.uint64(1)).tolist()


class Recorder:
    """One vector environment with a run in each slot, and what happens in it, recorded.

    Args:
        family, tasks, history_ids, num_episodes, seed, columns, keep: see `Source.generate`.
        stray_steps (`int`, *optional*, defaults to 0): see `Source`.

    Attributes:
        envs: the vector environment.
        observations: what is shown now, `(n, ...)`.
        clock (`Clock`): where each run is.
    """

    def __init__(self, family, tasks, history_ids, num_episodes, seed, columns, keep, stray_steps=0):
        self.family, self.tasks, self.history_ids = family, list(tasks), history_ids
        self.columns, self.keep = columns, keep
        n = len(tasks)
        self.envs = family.make_vec(tasks)
        self.observations, infos = self.envs.reset(seed=environment_seeds(seed, history_ids))
        self.clock = Clock(0, np.zeros(n, np.int64), np.zeros(n, np.int64), num_episodes, family.horizon, infos)
        self._task_array = family.task_array(tasks) if "optimal_actions" in columns else None
        # Stray steps belong to the episode after the last; they are recorded if that one would be kept, too.
        self._stray_steps = stray_steps if keep[-1] + keep.step == num_episodes else 0
        self._last = num_episodes if self._stray_steps else keep[-1] + 1
        self._tape = Tape(n, len(keep) * family.horizon + self._stray_steps, every_step=keep == range(self._last))
        self._active = np.ones(n, bool)  # of the runs that still have a slot, those that still record

    @property
    def finished(self):
        """Has every run all the episodes that are to be recorded?"""
        return not self._active.any()

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
        clock.time += 1
        clock.step = clock.step + 1
        ended = terminated | truncated
        if ended.any():
            clock.episode = clock.episode + ended
            clock.step[ended] = 0
        self._active = self._going_on(ended)
        clock.infos = infos
        self.observations = following
        return Transition(observations, actions, rewards, terminated, truncated, true_next)

    def drop_finished(self, streams=1):
        """Give up the slots of finished runs if they are many. Returns the rows that stay, or `None` for all.

        Of the `streams` runs of one learner all go on until the last of them is finished: the learner learns from all.
        """
        going_on = self._active
        if streams > 1:
            going_on = np.repeat(going_on.reshape(-1, streams).any(axis=1), streams)
        if np.count_nonzero(going_on) * (1 + _DROPPED_SHARE) > len(going_on):
            return None
        rows = np.flatnonzero(going_on)
        self.envs.select_slots(rows)
        self._tape.select(rows)
        clock = self.clock
        clock.episode, clock.step, clock.infos = clock.episode[rows], clock.step[rows], _rows_of(clock.infos, rows)
        self.observations = self.observations[rows]
        if self._task_array is not None:
            self._task_array = self._task_array[rows]
        self._active = self._active[rows]
        return rows

    def batch(self):
        """Close the environment and return the `HistoryBatch`."""
        self.envs.close()
        arrays = self._tape.arrays()
        extra = {name: arrays.pop(name) for name in self.columns}
        return HistoryBatch(self.history_ids, self.tasks, lengths=self._tape.lengths, optional=extra, **arrays)

    def _wanted(self):
        """Of which runs the coming step is recorded: bool `(n,)`, or `None` for all."""
        keep = self.keep
        if keep.start == 0 and keep.step == 1:
            return None if self._active.all() else self._active
        episode = self.clock.episode
        return self._active & (episode >= keep.start) & ((episode - keep.start) % keep.step == 0)

    def _going_on(self, ended):
        """Which runs still have something to record: bool `(n,)`."""
        if not self._stray_steps:
            return self.clock.episode < self._last if ended.any() else self._active
        episode = self.clock.episode
        return (episode < self._last) | ((episode == self._last) & (self.clock.step < self._stray_steps))


def _rows_of(infos, rows):
    return {k: _rows_of(v, rows) if isinstance(v, dict) else v[rows] for k, v in infos.items()}
