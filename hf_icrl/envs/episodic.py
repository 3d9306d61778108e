"""What our scalar environments share: streams from seeds, the count of episodes, and when a picture can be drawn."""

from abc import ABC, abstractmethod

import gymnasium as gym

from hf_icrl.envs.vector import keys_from_seeds

RENDER_MODES = ["rgb_array"]
RENDER_FPS = 8


class EpisodicEnv(gym.Env, ABC):
    """Base of the scalar environments: all that is random in one is a function of `_stream` and `_episode`.

    A subclass defines `step`, which keeps `_steps` and refuses by `_refusal`, and what is abstract here.

    Args:
        observation_space (`gymnasium.spaces.Space`): what is shown.
        num_actions (`int`): the actions are `Discrete(num_actions)`.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Attributes:
        _stream: uint64 `(1,)`, the key that the last seed gave; `None` before the first reset.
        _episode (`int`): number of the episode since that seed, from 0 on.
        _steps (`int`): steps that the episode had so far; `None` when no episode is running.
        _num_actions (`int`): actions from this one on are refused.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS}

    def __init__(self, observation_space, num_actions, render_mode=None):
        self.render_mode = checked_render_mode(render_mode)
        self.observation_space = observation_space
        self.action_space = gym.spaces.Discrete(num_actions)
        self._num_actions = num_actions
        self._stream = None
        self._episode = 0
        self._steps = None

    @abstractmethod
    def _seeded(self):
        """The stream is a new one: draw from it what an episode does not change."""

    @abstractmethod
    def _begin(self):
        """Begin the episode number `self._episode`."""

    @abstractmethod
    def _observe(self):
        """What is shown now."""

    @abstractmethod
    def _frame(self):
        """The picture of now: a uint8 array `(height, width, 3)`."""

    def _infos(self):
        """What `reset` tells beside the observation."""
        return {}

    def reset(self, *, seed=None, options=None):
        """Begin an episode; `options` has no entries. Returns `(observation, infos)`; see the class for the infos."""
        super().reset(seed=seed)
        if seed is not None or self._stream is None:
            # Never seeded: gymnasium draws a seed from the operating system and tells it by `np_random_seed`.
            self._stream = keys_from_seeds([self.np_random_seed])
            self._episode = 0
            self._seeded()
        else:
            self._episode += 1
        self._steps = 0
        self._begin()
        return self._observe(), self._infos()

    def render(self):
        """The environment as it is now: a uint8 array `(height, width, 3)`; `None`, with a warning, without a mode."""
        if self.render_mode is None:
            return warn_of_no_mode()
        if self._stream is None:
            raise gym.error.ResetNeeded("there is nothing to draw yet; call reset() before render()")
        return self._frame()

    def _refusal(self, action):
        """Why `step` cannot take the int `action`, as an exception to raise. (To ask costs a step too much time.)"""
        if self._steps is None:
            return gym.error.ResetNeeded("the episode is over or was never begun; call reset() before step()")
        return ValueError(self._out_of_range(action))

    def _out_of_range(self, action):
        return f"action is {action!r}; it must be an integer from 0 to {self._num_actions - 1}"


def checked_render_mode(render_mode):
    """`render_mode` as `None` or "rgb_array"."""
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode is {render_mode!r}; it must be one of {RENDER_MODES} or None")
    return render_mode


def warn_of_no_mode():
    """What `render` answers without a render mode."""
    gym.logger.warn('render() needs a render mode: make the environment with render_mode="rgb_array"')
