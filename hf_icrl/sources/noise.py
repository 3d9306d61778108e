"""Forms of noise: ways in which a demonstrator strays, for a given noise level.

Each class serves n runs at once. `act(observations, optimal, level, clock) -> actions`: `optimal` int64 `(n,)` is what
the demonstrator would do, `level` float64 `(n,)` in [0, 1] how noisy each run is now. Every random number comes
from the run's own stream (`hf_icrl.counter_random`). A new form is a class and one line in `FORMS`.
"""

import numpy as np

from hf_icrl.counter_random import integers, stream_keys, uniforms


class UniformNoise:
    """Independent noise on every step: with probability `level` a uniformly random action (Zisman et al. 2024).

    The random action is uniform over all that are allowed, the optimal one included.
    """

    sentence = "at each step an action drawn uniformly from {actions} replaces the demonstrator's with probability eps"

    def __init__(self, source, family, task_array, history_ids, seed):
        self.choices = _allowed(source.random_actions, family)
        self.explore = stream_keys(seed, "noise/uniform/explore", history_ids)
        self.choose = stream_keys(seed, "noise/uniform/choose", history_ids)

    def act(self, observations, optimal, level, clock):
        random = self.choices[integers(self.choose, clock.time, len(self.choices))]
        return np.where(uniforms(self.explore, clock.time) < level, random, optimal)


class HeldNoise:
    """Temporally extended noise: a random action is held for several steps (Dabney et al. 2020, arXiv:2006.01782).

    A hold lasts a number of steps uniform in `hold`, and ends with its episode. Holds begin with such a probability
    that, away from episode ends, the share of random steps is `level`: p = level / (level + mean_hold * (1 - level)).
    """

    sentence = (
        "an action drawn uniformly from {actions} replaces the demonstrator's and is held for {hold} steps or until "
        "the episode ends, begun so often that the share of such steps is about eps"
    )

    def __init__(self, source, family, task_array, history_ids, seed):
        self.choices = _allowed(source.random_actions, family)
        self.low, self.high = source.hold
        self.explore = stream_keys(seed, "noise/held/explore", history_ids)
        self.choose = stream_keys(seed, "noise/held/choose", history_ids)
        self.duration = stream_keys(seed, "noise/held/duration", history_ids)
        self.left = np.zeros(len(history_ids), dtype=np.int64)
        self.held = np.zeros(len(history_ids), dtype=np.int64)

    def act(self, observations, optimal, level, clock):
        self.left[clock.step == 0] = 0
        begin_probability = level / (level + 0.5 * (self.low + self.high) * (1.0 - level))
        begins = (self.left == 0) & (uniforms(self.explore, clock.time) < begin_probability)
        random = self.choices[integers(self.choose, clock.time, len(self.choices))]
        duration = self.low + integers(self.duration, clock.time, self.high - self.low + 1)
        self.held = np.where(begins, random, self.held)
        self.left = np.where(begins, duration, self.left)
        actions = np.where(self.left > 0, self.held, optimal)
        self.left = np.maximum(self.left - 1, 0)
        return actions


class GoalNoise:
    """A wrong goal for a whole episode: with probability `level` at its start the demonstrator serves another task.

    It goes to the wrong goal and stays there until the episode ends. The wrong goal is uniform over all other tasks
    of the family, held-out ones included: going there is exploration, and earns nothing.
    """

    sentence = (
        "for one episode at a time, with probability eps, the demonstrator goes to a wrong goal, drawn uniformly from "
        "all other goals (held-out ones included; they are not rewarded), and stays there"
    )

    def __init__(self, source, family, task_array, history_ids, seed):
        self.family, self.own = family, task_array
        self.every = family.task_array(family.tasks())
        place = {task: i for i, task in enumerate(map(tuple, self.every.tolist()))}
        # An own task may be unlisted: a goal on the start, chosen by hand.
        self.own_place = np.array([place.get(task, -1) for task in map(tuple, task_array.tolist())])
        self.target_place = self.own_place.copy()
        self.target = task_array.copy()
        self.explore = stream_keys(seed, f"noise/{source.noise}/explore", history_ids)
        self.choose = stream_keys(seed, f"noise/{source.noise}/choose", history_ids)

    def act(self, observations, optimal, level, clock):
        self._draw(clock.step == 0, level, clock)
        return self.family.demonstrator(observations, self.target)

    def _draw(self, rows, level, clock, leaving=None):
        """Give the runs in `rows` (bool `(n,)`) a new target: a wrong one with probability `level`, else their own.

        `leaving` (bool `(n,)`) are runs that have reached their target and must not draw it again.
        """
        if not rows.any():
            return
        own = self.own_place[rows]
        left = np.full(len(own), -1) if leaving is None else np.where(leaving, self.target_place, -1)[rows]
        # Uniform over all tasks but these two: draw from as many as remain, then skip over both, the lower one first.
        skipped = np.sort(np.stack([own, left]), axis=0)
        wrong = integers(self.choose[rows], clock.time, len(self.every) - (skipped >= 0).sum(axis=0))
        for place in skipped:
            wrong += (place >= 0) & (wrong >= place)
        strays = uniforms(self.explore[rows], clock.time) < level[rows]
        self.target_place[rows] = np.where(strays, wrong, own)
        self.target[rows] = np.where(strays[:, None], self.every[wrong], self.own[rows])


class TripNoise(GoalNoise):
    """Wrong goals one after another: as `GoalNoise`, but a wrong goal that is reached is followed by a new draw.

    So an episode may pass several wrong goals before it settles on the right one, and does not idle away from it.
    (Where the start is random, the first wrong goal may be the start itself, which costs one step.)
    """

    sentence = (
        "at the start of an episode and whenever it reaches a wrong goal, the demonstrator sets out, with probability "
        "eps, for a wrong goal drawn uniformly from all other goals (held-out ones included; they are not rewarded), "
        "else for its own"
    )

    def act(self, observations, optimal, level, clock):
        begins = clock.step == 0
        astray = (self.target != self.own).any(axis=1)
        reached = astray & ~begins & self.family.arrived(observations, self.target)
        self._draw(begins | reached, level, clock, leaving=reached)
        return self.family.demonstrator(observations, self.target)


FORMS = {"uniform": UniformNoise, "held": HeldNoise, "goal": GoalNoise, "trips": TripNoise}


def _allowed(random_actions, family):
    """The actions that noise may draw, int64; all of them if none were listed."""
    actions = np.arange(family.num_actions) if random_actions is None else np.array(random_actions, dtype=np.int64)
    if actions.max() >= family.num_actions:
        raise ValueError(
            f"random_actions lists {actions.max()}, but the family {family.name!r} has actions 0 to "
            f"{family.num_actions - 1}"
        )
    return actions
