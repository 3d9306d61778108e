"""The loop that steps a source's runs on one vector environment and records their histories."""

import numpy as np

from hf_icrl.counter_random import integers, stream_keys
from hf_icrl.envs.vector import true_next_observations
from hf_icrl.sources.steps import Clock, HistoryBatch, Transition


def record(run, family, tasks, history_ids, num_episodes, seed, columns, keep):
    """Step `run` until every run has its episodes; see `Source.generate` for the arguments."""
    n = len(tasks)
    envs = family.make_vec(tasks)
    # A run's environment has a stream of its own: resetting all with one seed would correlate the histories.
    env_seeds = integers(stream_keys(seed, "source/environment", history_ids), 0, 2**31)
    observations, infos = envs.reset(seed=env_seeds.tolist())
    clock = Clock(0, np.zeros(n, np.int64), np.zeros(n, np.int64), num_episodes, family.horizon, infos)
    task_array = family.task_array(tasks) if "optimal_actions" in columns else None
    last = keep[-1] + 1
    tape = _Tape(n, len(keep) * family.horizon, every_step=len(keep) == last)
    for time in range(last * family.horizon):
        clock.time = time
        actions, optional = run.act(observations, clock)
        following, rewards, terminated, truncated, infos = envs.step(actions)
        true_next = true_next_observations(following, infos)
        run.learn(Transition(observations, actions, rewards, terminated, truncated, true_next))
        extra = {}
        for name in columns:
            if name == "time":
                extra[name] = clock.step
            elif name == "optimal_actions":
                extra[name] = family.demonstrator(observations, task_array, clock.infos)
            else:
                extra[name] = optional[name]
        wanted = clock.episode < last
        if keep.start or keep.step > 1:
            wanted &= (clock.episode >= keep.start) & ((clock.episode - keep.start) % keep.step == 0)
        tape.write(
            wanted,
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
        clock.episode = clock.episode + ended
        clock.step = np.where(ended, 0, clock.step + 1)
        clock.infos = infos
        observations = following
        if clock.episode.min() >= last:
            break
    envs.close()
    arrays = tape.arrays()
    extra = {name: arrays.pop(name) for name in columns}
    return HistoryBatch(history_ids, list(tasks), lengths=tape.lengths, optional=extra, **arrays)


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
