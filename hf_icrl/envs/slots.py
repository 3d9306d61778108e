"""What our vector environments share: slots with streams, episodes and resets of their own, and same-step autoresets."""

from abc import ABC, abstractmethod

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hf_icrl.checks import checked_int
from hf_icrl.envs.episodic import RENDER_FPS, RENDER_MODES, checked_render_mode, warn_of_no_mode
from hf_icrl.envs.vector import all_slots, keys_from_seeds, reset_mask, same_step_infos, slot_seeds


class SlotVectorEnv(VectorEnv, ABC):
    """Base of the vector environments: all that is random in slot i is a function of its stream and its episode.

    Autoreset is *same-step*: when a slot's episode ends, `step` already returns the first observation of its next
    episode, and the true last one is in `infos["final_obs"][i]` (see `hf_icrl.envs.true_next_observations`).

    Args:
        num_envs (`int`): number of slots, >= 1.
        observation_space (`gymnasium.spaces.Space`): that of one slot.
        num_actions (`int`): the actions of a slot are `Discrete(num_actions)`.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Attributes:
        _streams: uint64 `(num_envs,)`, the key that each slot's last seed gave; `None` before the first reset.
        _episodes: int64 `(num_envs,)`, number of each slot's episode since that seed, from 0 on.
        _steps: int64 `(num_envs,)`, steps that each slot's episode had so far.
        _slots: `arange(num_envs)`.
    """

    metadata = {
        "render_modes": RENDER_MODES,
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, num_envs, observation_space, num_actions, render_mode=None):
        self.render_mode = checked_render_mode(render_mode)
        self.single_observation_space = observation_space
        self.single_action_space = gym.spaces.Discrete(num_actions)
        self._num_actions = num_actions
        self._streams = None
        self._set_num_envs(checked_int(num_envs, "num_envs", 1))

    @abstractmethod
    def _allocate(self):
        """Make the arrays with an entry per slot, before the first episodes begin."""

    @abstractmethod
    def _seeded(self, rows):
        """The streams of the slots `rows` (int64 indexes) are new: draw from them what an episode does not change."""

    @abstractmethod
    def _begin(self, rows):
        """Begin the episodes number `self._episodes[rows]` of the slots `rows` (int64 indexes: few of them, mostly)."""

    @abstractmethod
    def _advance(self, actions):
        """Take checked actions: `(rewards, terminated, truncated)`, `(num_envs,)` each, the two ends never both true.

        `self._steps` does not yet count this step.
        """

    @abstractmethod
    def _observe(self):
        """What each slot shows now: a new array `(num_envs, ...)`."""

    @abstractmethod
    def _frames(self):
        """Yields one picture per slot, a uint8 array `(height, width, 3)`."""

    def _infos(self):
        """What each slot tells now beside its observation: arrays `(num_envs, ...)` by name. Others get copies of them;
        `_begin` replaces those that change, and writes to none."""
        return {}

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those that `options["reset_mask"]` (bool, `(num_envs,)`) selects.

        Args:
            seed (`int` or list of `int | None`, *optional*): an int seeds slot i with `seed + i`, a list gives every
                slot its own. Slot i then goes exactly as the scalar environment reset with that seed, whatever its
                neighbours are. A slot without a seed goes on with its stream (the first time: one drawn from the
                operating system).
            options (`dict`, *optional*): may hold `"reset_mask"`.

        Returns:
            `(observations, infos)`: observations of all slots, `(num_envs, ...)` of the observation space's type; see
            the class for the infos.
        """
        seeds = slot_seeds(seed, self.num_envs)
        mask = reset_mask(options, self.num_envs)
        if self._streams is None:
            if not mask.all():
                raise ValueError("the first reset must be of all environments; leave options['reset_mask'] out")
            unseeded = self.np_random.integers(2**63, size=self.num_envs).tolist()
            seeds = [u if s is None else s for s, u in zip(seeds, unseeded, strict=True)]
            self._streams = np.zeros(self.num_envs, dtype=np.uint64)
            self._episodes, self._steps = np.zeros((2, self.num_envs), dtype=np.int64)
            self._allocate()
        rows = np.flatnonzero(mask)
        seeded = np.array([i for i in rows.tolist() if seeds[i] is not None], dtype=np.int64)
        if len(seeded):
            self._streams[seeded] = keys_from_seeds([seeds[i] for i in seeded.tolist()])
            self._episodes[seeded] = -1  # episode 0 is the one that the seed begins
            self._seeded(seeded)
        self._begin_next(rows)
        return self._observe(), self._reset_infos(mask)

    def step(self, actions):
        """One step of every slot.

        Args:
            actions (`array_like` of int, shape `(num_envs,)`): one action for each slot.

        Returns:
            `(observations, rewards, terminated, truncated, infos)`: observations as `reset` gives them, float32
            `(num_envs,)`, bool `(num_envs,)` twice, and a dict: the infos of the class, and the true last observations
            and infos of the episodes that ended.

        Raises:
            ValueError: actions of the wrong kind or shape, or one that its slot does not have.
        """
        rewards, terminated, truncated = self._advance(self._checked_actions(actions))
        self._steps += 1
        observations = self._observe()
        ended = terminated | truncated
        (rows,) = ended.nonzero()
        if len(rows):
            final_observations, final = observations, self._infos()
            self._begin_next(rows)
            observations = self._observe()
            infos = same_step_infos(final_observations, ended, final, self._infos())
        else:
            infos = all_slots(self._infos())
        return observations, rewards.astype(np.float32), terminated, truncated, infos

    def render(self):
        """One frame per slot, a tuple of uint8 arrays `(height, width, 3)`: see the scalar environment."""
        if self.render_mode is None:
            return warn_of_no_mode()
        if self._streams is None:
            raise gym.error.ResetNeeded("there is nothing to draw yet; call reset() before render()")
        return tuple(self._frames())

    def _set_num_envs(self, num_envs):
        self.num_envs = num_envs
        self._slots = np.arange(num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def _begin_next(self, rows):
        self._episodes[rows] += 1
        self._steps[rows] = 0
        self._begin(rows)

    def _reset_infos(self, mask):
        """The infos of a reset of the slots in `mask`."""
        return all_slots(self._infos())

    def _checked_actions(self, actions):
        """`actions` as an array of integers `(num_envs,)` that each slot has."""
        if self._streams is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers of shape ({self.num_envs},), got {actions.dtype} of shape {actions.shape}"
            )
        self._check_range(actions)
        return actions

    def _check_range(self, actions):
        if actions.min() < 0 or actions.max() >= self._num_actions:
            wrong = actions[(actions < 0) | (actions >= self._num_actions)][0]
            raise ValueError(f"an action is {wrong}; it must be from 0 to {self._num_actions - 1}")
