"""Forms of noise: ways in which a demonstrator strays, for a given noise level.

Each class serves n runs at once. `act(observations, optimal, level, clock) -> actions`: `optimal` int64 `(n,)` is what
the demonstrator would do, `level` float64 `(n,)` in [0, 1] how noisy each run is now. `begin` gives a form the source,
the family, the tasks, the history ids and the seed. Every random number comes
from the run's own stream (`hf_icrl.counter_random`). A new form is a class and one line in `FORMS`.
"""

import numpy as np

from hf_icrl.counter_random import integers, stream_keys, uniforms
from hf_icrl.sources.random_actions import RandomActions


class UniformNoise:
    """Independent noise on every step: with probability `level` a uniformly random action (Zisman et al. 2024).

    The random action is uniform over all that are allowed, the optimal one included.
    """

    sentence = "at each step an action drawn uniformly from {actions} replaces the demonstrator's with probability eps"

    def __init__(self, source, family, tasks, history_ids, seed):
        self.random = RandomActions(family, tasks, history_ids, seed, "noise/uniform/choose", source.random_actions)
        self.explore = stream_keys(seed, "noise/uniform/explore", history_ids)

    def act(self, observations, optimal, level, clock):
        random = self.random.draw(clock.time)
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

    def __init__(self, source, family, tasks, history_ids, seed):
        self.random = RandomActions(family, tasks, history_ids, seed, "noise/held/choose", source.random_actions)
        self.low, self.high = source.hold
        self.explore = stream_keys(seed, "noise/held/explore", history_ids)
        self.duration = stream_keys(seed, "noise/held/duration", history_ids)
        self.left = np.zeros(len(history_ids), dtype=np.int64)
        self.held = np.zeros(len(history_ids), dtype=np.int64)

    def act(self, observations, optimal, level, clock):
        self.left[clock.step == 0] = 0
        begin_probability = level / (level + 0.5 * (self.low + self.high) * (1.0 - level))
        begins = (self.left == 0) & (uniforms(self.explore, clock.time) < begin_probability)
        random = self.random.draw(clock.time)
        duration = self.low + integers(self.duration, clock.time, self.high - self.low + 1)
        self.held = np.where(begins, random, self.held)
        self.left = np.where(begins, duration, self.left)
        actions = np.where(self.left > 0, self.held, optimal)
        self.left = np.maximum(self.left - 1, 0)
        return actions


class GoalNoise:
    """A wrong target for a whole episode: with probability `level` at its start the demonstrator heads somewhere else.

    It goes to the wrong target and stays there until the episode ends. The wrong target is uniform over all possible
    ones but what the task asks for now, those of held-out tasks included: going there is exploration, and earns
    nothing.
    """

    sentence = (
        "for one episode at a time, with probability eps, the demonstrator goes to a wrong goal, drawn uniformly from "
        "all other goals (held-out ones included; they are not rewarded), and stays there"
    )

    def __init__(self, source, family, tasks, history_ids, seed):
        self.family = family
        self.task_array = family.task_array(tasks)
        self.every = family.possible_targets()
        # A target is a few small numbers: seen as one, it is found among all of them by bisection.
        self.base = int(self.every.max()) + 2
        code = self._code(self.every)
        self.order = np.argsort(code)
        self.sorted_codes = code[self.order]
        n = len(tasks)
        self.wrong_place = np.full(n, -1)  # which of all targets a run is led astray to; -1: it is not
        self.explore = stream_keys(seed, f"noise/{source.noise}/explore", history_ids)
        self.choose = stream_keys(seed, f"noise/{source.noise}/choose", history_ids)

    def act(self, observations, optimal, level, clock):
        self._draw(clock.step == 0, self._own_place(clock), level, clock)
        return self._walk(observations, optimal)

    def _walk(self, observations, optimal):
        astray = self.wrong_place >= 0
        if not astray.any():
            return optimal
        walk = self.family.walk(observations, self.task_array, self.every[self.wrong_place])
        return np.where(astray, walk, optimal)

    def _own_place(self, clock):
        """Where among all targets stands what each task asks for now; -1 if nowhere (a goal on the start, say)."""
        code = self._code(self.family.targets(self.task_array, clock.infos))
        at = np.minimum(np.searchsorted(self.sorted_codes, code), len(self.order) - 1)
        return np.where(self.sorted_codes[at] == code, self.order[at], -1)

    def _code(self, targets):
        return targets @ self.base ** np.arange(targets.shape[1])

    def _draw(self, rows, own_place, level, clock, leaving=None):
        """Give the runs in `rows` (bool `(n,)`) a new target: a wrong one with probability `level`, else their own.

        `leaving` (bool `(n,)`) are runs that have reached their wrong target and must not draw it again.
        """
        if not rows.any():
            return
        own = own_place[rows]
        left = np.full(len(own), -1) if leaving is None else np.where(leaving, self.wrong_place, -1)[rows]
        left = np.where(left == own, -1, left)
        # Uniform over all targets but these two: draw from as many as remain, then skip over both, the lower one first.
        skipped = np.sort(np.stack([own, left]), axis=0)
        wrong = integers(self.choose[rows], clock.time, len(self.every) - (skipped >= 0).sum(axis=0))
        for place in skipped:
            wrong += (place >= 0) & (wrong >= place)
        strays = uniforms(self.explore[rows], clock.time) < level[rows]
        self.wrong_place[rows] = np.where(strays, wrong, -1)


class TripNoise(GoalNoise):
    """Wrong targets one after another: as `GoalNoise`, but a wrong target that is reached is followed by a new draw.

    So an episode may pass several wrong targets before it settles on the right one, and does not idle away from it.
    (Where the start is random, the first wrong target may be the start itself, which costs one step.)
    """

    sentence = (
        "at the start of an episode and whenever it reaches a wrong goal, the demonstrator sets out, with probability "
        "eps, for a wrong goal drawn uniformly from all other goals (held-out ones included; they are not rewarded), "
        "else for its own"
    )

    def act(self, observations, optimal, level, clock):
        begins = clock.step == 0
        astray = self.wrong_place >= 0
        reached = astray & ~begins & self.family.arrived(observations, self.every[self.wrong_place])
        self._draw(begins | reached, self._own_place(clock), level, clock, leaving=reached)
        return self._walk(observations, optimal)


FORMS = {"uniform": UniformNoise, "held": HeldNoise, "goal": GoalNoise, "trips": TripNoise}
