"""The noise curriculum of AD-eps: learning histories without a learner, from a demonstrator that strays less and less."""

from dataclasses import dataclass, field

import numpy as np

from hf_icrl.checks import checked_choice, checked_int, checked_number, checked_range
from hf_icrl.counter_random import stream_keys, uniforms
from hf_icrl.sources.base import Source
from hf_icrl.sources.noise import FORMS
from hf_icrl.sources.schedules import SENTENCES, SHAPES, noise_level


@dataclass
class NoiseCurriculum(Source):
    """A demonstrator whose noise eps decays over the history (Zisman et al. 2024, arXiv:2312.12275).

    AD-eps is this with `noise="uniform"` over all actions; the other forms are variations of it. None has a learner in it.
    The published DarkRoom histories are `eps_end=0.5, decay_fraction=[0.45, 0.45]` with the other defaults (there the
    noise falls at a pace that would bring it to zero after 0.9 of the history, and stops at its floor).

    Args:
        noise (`str`, *optional*, defaults to `"uniform"`): how the demonstrator strays:

            - `"uniform"`: at each step, with probability eps, a uniformly random action (published);
            - `"held"`: a random action is held for `hold` steps, so often that the share of such steps is about eps;
            - `"goal"`: for one whole episode, with probability eps, it goes to a wrong random goal and stays there;
            - `"trips"`: at an episode's start and at each wrong goal it reaches, with probability eps, it sets out for
              a(nother) wrong random goal, else for its own.
        eps_start (`float`, *optional*, defaults to 1.0): noise at the history's first step, in [0, 1].
        eps_end (`float`, *optional*, defaults to 0.0): noise after the decay, in [0, 1].
        schedule (`str`, *optional*, defaults to `"linear"`): `"linear"` or `"cosine"` in steps, or `"stepped"`: linear
            in episodes and constant within one. The two noise forms that choose goals read eps when they choose.
        decay_fraction (`[low, high]`, *optional*, defaults to `[0.9, 0.9]`): the share of the history after which the
            noise reaches `eps_end`, drawn for each history uniformly from this range; equal ends fix it.
        hold (`[low, high]`, *optional*, defaults to `[1, 8]`): for `"held"`: steps that a random action is held, drawn
            uniformly.
        random_actions (`list[int]`, *optional*): for `"uniform"` and `"held"`: the actions that noise draws from; all
            by default.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the family has no demonstrator.
    """

    noise: str = "uniform"
    eps_start: float = 1.0
    eps_end: float = 0.0
    schedule: str = "linear"
    decay_fraction: list[float] = field(default_factory=lambda: [0.9, 0.9])
    hold: list[int] = field(default_factory=lambda: [1, 8])
    random_actions: list[int] | None = None

    name = "noise_curriculum"

    def __post_init__(self):
        checked_choice(self.noise, "noise", FORMS)
        checked_choice(self.schedule, "schedule", SHAPES)
        self.eps_start = checked_number(self.eps_start, "eps_start", 0.0, 1.0)
        self.eps_end = checked_number(self.eps_end, "eps_end", 0.0, 1.0)
        self.decay_fraction = checked_range(self.decay_fraction, "decay_fraction", 0.0, 1.0)
        self.hold = checked_range(self.hold, "hold", 1, 10**9, kind=int)
        if self.random_actions is not None:
            self.random_actions = [
                checked_int(action, "an entry of random_actions", 0) for action in self.random_actions
            ]
            if not self.random_actions:
                raise ValueError("random_actions is empty; list at least one action, or leave it out for all of them")

    def describe(self):
        low, high = self.decay_fraction
        after = f"{low:.0%}" if low == high else f"{low:.0%} to {high:.0%} (drawn per history)"
        actions = "all actions" if self.random_actions is None else f"the actions {self.random_actions}"
        hold = f"{self.hold[0]}" if self.hold[0] == self.hold[1] else f"{self.hold[0]} to {self.hold[1]}"
        # Published is independent noise that is uniform over all actions, and nothing else.
        published = self.noise == "uniform" and self.random_actions is None
        name = "AD-eps" if published else "a variation of AD-eps"
        how = FORMS[self.noise].sentence.format(actions=actions, hold=hold)
        return (
            "No learning took place in these histories: an optimal demonstrator strays less and less (noise "
            f"curriculum, {name}); {how}; eps {SENTENCES[self.schedule]} from {self.eps_start:g} to {self.eps_end:g} "
            f"over the first {after} of a history."
        )

    def begin(self, family, tasks, history_ids, seed):
        return _Demonstration(self, family, tasks, history_ids, seed)


class _Demonstration:
    def __init__(self, source, family, tasks, history_ids, seed):
        self.source = source
        self.family = family
        self.task_array = family.task_array(tasks)
        low, high = source.decay_fraction
        self.fraction = low + (high - low) * uniforms(stream_keys(seed, "noise/decay_fraction", history_ids), 0)
        self.noise = FORMS[source.noise](source, family, tasks, history_ids, seed)

    def act(self, observations, clock):
        source = self.source
        optimal = self.family.demonstrator(observations, self.task_array, clock.infos)
        level = noise_level(source.schedule, clock, self.fraction, source.eps_start, source.eps_end)
        actions = self.noise.act(observations, optimal, level, clock)
        return actions.astype(np.int64, copy=False), {}

    def learn(self, transition):
        """The demonstrator knows all it needs."""
