"""Tabular Q-learning, the learners of all tasks batched in NumPy."""

from dataclasses import dataclass, field

import numpy as np

from hf_icrl.checks import checked_bool, checked_number, checked_range
from hf_icrl.counter_random import bits, stream_keys
from hf_icrl.sources.action_values import ActionValues
from hf_icrl.sources.base import Source


@dataclass
class QLearning(Source):
    """Watkins' Q-learning with an epsilon-greedy policy; each history is one learner's whole life on one task.

    The defaults are the constants published with Headless-AD (Sinii et al. 2024, arXiv:2312.13327) for its grid world.
    That code has three faults, which are corrected here and which a flag each brings back. As there, a truncated
    episode bootstraps from its true last observation. Tables are float32.

    Args:
        learning_rate (`float`, *optional*, defaults to 0.9933): step size, in (0, 1].
        discount (`float`, *optional*, defaults to 0.6238): in [0, 1].
        eps_start (`float`, *optional*, defaults to 1.0): probability of a uniformly random action in the first episode.
        eps_end (`float`, *optional*, defaults to 0.0): the same after the decay.
        eps_decay_fraction (`float`, *optional*, defaults to 0.9): the share of the history's episodes over which that
            probability falls, linearly from episode to episode; in [0, 1].
        initial_q (`[low, high]`, *optional*, defaults to `[0.0, 1.0]`): the table begins uniform in this range.
        erase_final_row (`bool`, *optional*, defaults to `False`): when an episode terminates, set all values of the
            cell that was observed last to 0 before the update, as the published code does. With word actions the agent
            may end elsewhere than on the goal, and then this erases what it had learned about that cell. Without the
            flag, a terminal step just bootstraps nothing.
        first_index_ties (`bool`, *optional*, defaults to `False`): among equally good actions take the one of the
            lowest index, as the published code does, instead of drawing one.
        stray_transition (`bool`, *optional*, defaults to `False`): record the first step of one more episode after the
            last, as the published code does: a row that is unfinished, unless that step ended the episode.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if actions are not `Discrete`, or observations are not and
            the family does not tell which states they stand for (a DarkRoom's do, images included).
    """

    learning_rate: float = 0.9933
    discount: float = 0.6238
    eps_start: float = 1.0
    eps_end: float = 0.0
    eps_decay_fraction: float = 0.9
    initial_q: list[float] = field(default_factory=lambda: [0.0, 1.0])
    erase_final_row: bool = False
    first_index_ties: bool = False
    stray_transition: bool = False

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
        self.erase_final_row = checked_bool(self.erase_final_row, "erase_final_row")
        self.first_index_ties = checked_bool(self.first_index_ties, "first_index_ties")
        self.stray_transition = checked_bool(self.stray_transition, "stray_transition")

    @property
    def stray_steps(self):
        return int(self.stray_transition)

    def describe(self):
        faults = [
            (self.erase_final_row, "a terminal step erases the values of the cell observed last"),
            (self.first_index_ties, "of equally good actions it takes the first"),
            (self.stray_transition, "the first step of one more episode is recorded after the last"),
        ]
        faults = [text for given, text in faults if given]
        as_published = f"; as in the published code, {', '.join(faults)}" if faults else ""
        return (
            f"Tabular Q-learning from scratch, one learner per history (learning rate {self.learning_rate:g}, discount "
            f"{self.discount:g}, table initialised uniformly in [{self.initial_q[0]:g}, {self.initial_q[1]:g}]); it acts "
            f"epsilon-greedily, with epsilon falling linearly from {self.eps_start:g} to {self.eps_end:g} over the first "
            f"{self.eps_decay_fraction:.0%} of the episodes{as_published}."
        )

    def begin(self, family, tasks, history_ids, seed):
        from gymnasium.spaces import Discrete

        space, _ = family.spaces(tasks[0])
        if isinstance(space, Discrete):
            num_states, first = int(space.n), int(space.start)
            states = (lambda observations: observations - first) if first else (lambda observations: observations)
        elif family.num_states is not None:
            num_states, states = family.num_states, family.states
        else:
            raise ValueError(
                f"tabular Q-learning needs Discrete observations, but {family!r} has {space}; "
                'choose observation="index", or another source'
            )
        if family.num_actions is None:
            raise ValueError(f"tabular Q-learning needs Discrete actions, but {family!r} has continuous ones")
        available = family.available_actions(tasks)
        return _Learners(self, states, num_states, family.num_actions, available, history_ids, seed)


class _Learners:
    def __init__(self, source, states, num_states, num_actions, available, history_ids, seed):
        self.source = source
        self.states = states
        self.choose = stream_keys(seed, "q_learning/choose", history_ids)
        table_keys = stream_keys(seed, "q_learning/table", history_ids)
        self.values = ActionValues(table_keys, num_states, num_actions, source.initial_q, available)
        self.explore_below = None

    def act(self, observations, clock):
        values = self.values
        if self.explore_below is None:
            self.explore_below = self._thresholds(clock.num_episodes)
        # One draw serves both questions: its low half whether to explore, its high half what to choose.
        draw = bits(self.choose, clock.time)
        explore = (draw & _LOW_HALF) < self.explore_below.take(clock.episode, mode="clip")
        draw >>= _HALF
        self.cells = values.cells(self.states(observations))
        greedy = values.best(self.cells)
        if not self.source.first_index_ties:
            tied = np.flatnonzero(values.is_tied(self.cells) & ~explore)
            if len(tied):
                greedy[tied] = values.draw_best(self.cells[tied], draw[tied])
        return np.where(explore, values.draw_any(draw), greedy), {}

    def learn(self, transition):
        source, step = self.source, transition
        following = self.values.cells(self.states(step.next_observations))
        terminal = np.flatnonzero(step.terminated)
        if len(terminal) and source.erase_final_row:
            self.values.erase(terminal, following[terminal])
        bootstrap = self.values.highest(following)
        bootstrap[terminal] = 0.0
        bootstrap *= np.float32(source.discount)
        bootstrap += step.rewards
        self.values.update(self.cells, step.actions, bootstrap, np.float32(source.learning_rate))

    def select(self, rows):
        """Go on with these runs only."""
        self.choose = self.choose[rows]
        self.values.select(rows)

    def _thresholds(self, num_episodes):
        """For each episode, the numbers out of 2**32 below which a run explores: uint64 `(num_episodes + 1,)`."""
        source = self.source
        decay_episodes = source.eps_decay_fraction * num_episodes
        episode = np.arange(num_episodes + 1)
        over = np.minimum(episode / decay_episodes, 1.0) if decay_episodes > 0 else np.ones(num_episodes + 1)
        return np.rint((source.eps_start + (source.eps_end - source.eps_start) * over) * 2.0**32).astype(np.uint64)


_HALF = np.uint64(32)
_LOW_HALF = np.uint64(2**32 - 1)
