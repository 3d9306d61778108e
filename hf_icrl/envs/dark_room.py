"""DarkRoom: find, and remember over episodes, an unseen goal in an empty room (Laskin et al. 2022, arXiv:2210.14215)."""

import operator

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_bool, checked_int
from hf_icrl.counter_random import integers
from hf_icrl.envs import grid
from hf_icrl.envs.vector import keys_from_seeds

RENDER_MODES = ["rgb_array"]
RENDER_FPS = 8


def outcome(row, col, action, goal_row, goal_col, steps, size, horizon, terminate_on_goal):
    """One step of DarkRoom, for Python ints as well as for int64 arrays `(n,)`.

    Args:
        row, col: cells before the action.
        action: actions in [0, 5).
        goal_row, goal_col: goals.
        steps: how many steps the episode had before this one.
        size, horizon (`int`), terminate_on_goal (`bool`): the room.

    Returns:
        `(row, col, reached, terminated, truncated)` after the action: `reached` (the reward is 1 where it holds) and
        the two ends are bool. An episode that terminates on its very last step counts as terminated only, so that
        a learner does not bootstrap from it.
    """
    row, col = grid.move(row, col, action, size)
    reached = (row == goal_row) & (col == goal_col)
    terminated = reached & terminate_on_goal
    truncated = (steps + 1 >= horizon) & (terminated ^ True)
    return row, col, reached, terminated, truncated


def draw_goals(keys, goals):
    """The goal `(n, 2)` that each stream gives when none was asked for. `goals` is `grid.possible_goals`."""
    return goals[integers(keys, 0, len(goals))]


def draw_starts(keys, episodes, size):
    """The random start of each stream's episode number `episodes` (int or `(n,)`): a pair of arrays `(n,)`."""
    state = integers(keys, 1 + np.asarray(episodes), size * size)
    return state // size, state % size


def observation_space(size, observation):
    """`Discrete(size**2)` for "index", `MultiDiscrete([size, size])` for "row_col"."""
    return spaces.Discrete(size * size) if observation == "index" else spaces.MultiDiscrete([size, size])


class DarkRoomEnv(gym.Env):
    """An empty square room with one unmarked goal; the reward is 1 on every step that ends on the goal, else 0.

    The observation does not show the goal, so an episode spent searching only pays for an agent that remembers
    earlier episodes. Actions: 0 stay, 1 up, 2 right, 3 down, 4 left; walls clip.

    Args:
        size (`int`, *optional*, defaults to 9): side of the room, >= 2.
        goal (`[row, col]`, *optional*): the rewarded cell; it may be the start. Without one, `reset(seed=...)` draws
            it from that seed, uniformly over all cells but a fixed start, and it stays until the next seeded reset.
        start (`str` or `[row, col]`, *optional*, defaults to `"center"`): `"center"` is
            `[size // 2, size // 2]`, `"corner"` is `[0, 0]`, `"random"` is uniform over all cells, drawn for every
            episode from the seed and the number of the episode since it was given.
        horizon (`int`, *optional*, defaults to 20): steps after which an episode is truncated, >= 1.
        terminate_on_goal (`bool`, *optional*, defaults to `False`): end the episode on the goal.
        observation (`str`, *optional*, defaults to `"index"`): `"index"` gives `row * size + column` in
            `Discrete(size**2)`; `"row_col"` gives `[row, column]` in `MultiDiscrete([size, size])`.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Raises:
        ValueError: an argument is of the wrong kind, or the goal or start is outside the room.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": RENDER_FPS}

    def __init__(
        self,
        size=9,
        goal=None,
        start="center",
        horizon=20,
        terminate_on_goal=False,
        observation="index",
        render_mode=None,
    ):
        self.size = grid.checked_size(size)
        self.start = grid.checked_start(start, self.size)
        self.horizon = checked_int(horizon, "horizon", 1)
        self.terminate_on_goal = checked_bool(terminate_on_goal, "terminate_on_goal")
        self.observation = grid.checked_observation(observation)
        self.goal = None if goal is None else grid.checked_cell(goal, self.size, "goal")
        self.render_mode = checked_render_mode(render_mode)
        self.observation_space = observation_space(self.size, self.observation)
        self.action_space = spaces.Discrete(grid.NUM_ACTIONS)
        self._draws_goal = goal is None
        self._fixed_start = grid.start_cell(self.start, self.size)
        self._key = None
        self._episode = 0
        self._steps = None  # None: no episode is running
        self._trail = []

    def reset(self, *, seed=None, options=None):
        """Begin an episode; `options` has no entries. Returns `(observation, {})`."""
        super().reset(seed=seed)
        if seed is not None or self._key is None:
            # Never seeded: gymnasium draws a seed from the operating system and tells it by `np_random_seed`.
            self._key = keys_from_seeds([self.np_random_seed])
            self._episode = 0
            if self._draws_goal:
                self.goal = draw_goals(self._key, grid.possible_goals(self.size, self.start))[0].tolist()
        else:
            self._episode += 1
        if self._fixed_start is None:
            row, col = draw_starts(self._key, self._episode, self.size)
            self._row, self._col = int(row[0]), int(col[0])
        else:
            self._row, self._col = self._fixed_start
        self._steps = 0
        self._trail = [(self._row, self._col)]
        return self._observe(), {}

    def step(self, action):
        """One step. Returns `(observation, reward, terminated, truncated, {})`."""
        if self._steps is None:
            raise gym.error.ResetNeeded("the episode is over or was never begun; call reset() before step()")
        action = operator.index(action)
        if not 0 <= action < grid.NUM_ACTIONS:
            raise ValueError(f"action is {action!r}; it must be an integer from 0 to {grid.NUM_ACTIONS - 1}")
        self._row, self._col, reached, terminated, truncated = outcome(
            self._row,
            self._col,
            action,
            *self.goal,
            self._steps,
            self.size,
            self.horizon,
            self.terminate_on_goal,
        )
        self._steps = None if terminated or truncated else self._steps + 1
        if self.render_mode is not None:
            self._trail.append((self._row, self._col))
        return self._observe(), float(reached), terminated, truncated, {}

    def render(self):
        """The room as it is now: a uint8 array `(height, width, 3)`, with the episode's trail."""
        if self.render_mode is None:
            gym.logger.warn('render() needs a render mode: make the environment with render_mode="rgb_array"')
            return None
        if not self._trail:
            raise gym.error.ResetNeeded("there is nothing to draw yet; call reset() before render()")
        from hf_icrl.envs.drawing import draw_room

        return draw_room(self.size, self._trail, self.goal)

    def _observe(self):
        if self.observation == "index":
            return np.int64(self._row * self.size + self._col)
        return np.array([self._row, self._col], dtype=np.int64)


def checked_render_mode(render_mode):
    """`render_mode` as `None` or "rgb_array"."""
    if render_mode is not None and render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode is {render_mode!r}; it must be one of {RENDER_MODES} or None")
    return render_mode
