"""Tabular Q-learning, the learners of all tasks batched in NumPy."""

from dataclasses import dataclass, field

import numpy as np

from hf_icrl.checks import checked_number, checked_range
from hf_icrl.counter_random import integers, stream_keys, uniforms
from hf_icrl.sources.base import Source


@dataclass
class QLearning(Source):
    """Watkins' Q-learning with an epsilon-greedy policy; each history is one learner's whole life on one task.

    The defaults are the constants published with Headless-AD (Sinii et al. 2024, arXiv:2312.13327) for its grid world.
    Unlike that code, a terminal step bootstraps nothing, a truncated one bootstraps from the true last observation,
    equal values are broken at random, and every learner has random numbers of its own.

    Args:
        learning_rate (`float`, *optional*, defaults to 0.9933): step size, in (0, 1].
        discount (`float`, *optional*, defaults to 0.6238): in [0, 1].
        eps_start (`float`, *optional*, defaults to 1.0): probability of a uniformly random action in the first episode.
        eps_end (`float`, *optional*, defaults to 0.0): the same after the decay.
        eps_decay_fraction (`float`, *optional*, defaults to 0.9): the share of the history's episodes over which that
            probability falls, linearly from episode to episode; in [0, 1].
        initial_q (`[low, high]`, *optional*, defaults to `[0.0, 1.0]`): the table begins uniform in this range.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the observations are not `Discrete`.
    """

    learning_rate: float = 0.9933
    discount: float = 0.6238
    eps_start: float = 1.0
    eps_end: float = 0.0
    eps_decay_fraction: float = 0.9
    initial_q: list[float] = field(default_factory=lambda: [0.0, 1.0])

    name = "q_learning"

    def __post_init__(self):
        self.learning_rate = checked_number(self.learning_rate, "learning_rate", 0.0, 1.0)
        if self.learning_rate == 0:
            raise ValueError("learning_rate is 0; it must be above 0, or nothing is learned")
        self.discount = checked_number(self.discount, "discount", 0.0, 1.0)
        self.eps_start = checked_number(self.eps_start, "eps_start", 0.0, 1.0)
        self.eps_end = checked_number(self.eps_end, "eps_end", 0.0, 1.0)
        self.eps_decay_fraction = checked_number(self.eps_decay_fraction, "eps_decay_fraction", 0.0, 1.0)
        self.initial_q = checked_range(self.initial_q, "initial_q", -1e9, 1e9)

    def describe(self):
        return (
            f"Tabular Q-learning from scratch, one learner per history (learning rate {self.learning_rate:g}, discount "
            f"{self.discount:g}, table initialised uniformly in [{self.initial_q[0]:g}, {self.initial_q[1]:g}]); it acts "
            f"epsilon-greedily, with epsilon falling linearly from {self.eps_start:g} to {self.eps_end:g} over the first "
            f"{self.eps_decay_fraction:.0%} of the episodes."
        )

    def begin(self, family, tasks, history_ids, seed):
        from gymnasium.spaces import Discrete

        envs = family.make_vec(tasks[:1])
        space = envs.single_observation_space
        envs.close()
        if not isinstance(space, Discrete):
            raise ValueError(
                f"tabular Q-learning needs Discrete observations, but {family!r} has {space}; "
                'choose observation="index", or another source'
            )
        return _Learners(self, int(space.n), family.num_actions, history_ids, seed)


class _Learners:
    def __init__(self, source, num_states, num_actions, history_ids, seed):
        self.source = source
        self.num_actions = num_actions
        self.rows = np.arange(len(history_ids))
        self.explore = stream_keys(seed, "q_learning/explore", history_ids)
        self.choose = stream_keys(seed, "q_learning/choose", history_ids)
        low, high = source.initial_q
        table_keys = stream_keys(seed, "q_learning/table", history_ids)
        table = uniforms(table_keys[:, None], np.arange(num_states * num_actions)[None, :])
        self.q = (low + (high - low) * table).reshape(len(history_ids), num_states, num_actions)

    def act(self, observations, clock):
        source = self.source
        decay_episodes = source.eps_decay_fraction * clock.num_episodes
        over = np.minimum(clock.episode / decay_episodes, 1.0) if decay_episodes > 0 else 1.0
        eps = source.eps_start + (source.eps_end - source.eps_start) * over
        values = self.q[self.rows, observations]
        random = uniforms(self.explore, clock.time) < eps
        # Choose uniformly among the candidates: all actions when exploring, else those of the highest value.
        candidates = (values == values.max(axis=1, keepdims=True)) | random[:, None]
        rank = integers(self.choose, clock.time, candidates.sum(axis=1))
        actions = (candidates.cumsum(axis=1) == rank[:, None] + 1).argmax(axis=1)
        return actions, {}

    def learn(self, transition):
        source, step = self.source, transition
        bootstrap = np.where(step.terminated, 0.0, self.q[self.rows, step.next_observations].max(axis=1))
        error = step.rewards + source.discount * bootstrap - self.q[self.rows, step.observations, step.actions]
        self.q[self.rows, step.observations, step.actions] += source.learning_rate * error
