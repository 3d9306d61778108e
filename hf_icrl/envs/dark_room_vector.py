"""DarkRoom for thousands of slots at once, each on its own goal, with no Python loop over slots."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hf_icrl.checks import checked_bool, checked_int
from hf_icrl.envs import grid
from hf_icrl.envs.dark_room import (
    RENDER_FPS,
    RENDER_MODES,
    checked_render_mode,
    draw_goals,
    draw_starts,
    observation_space,
    outcome,
)
from hf_icrl.envs.vector import keys_from_seeds, reset_mask, same_step_infos, slot_seeds


class DarkRoomVectorEnv(VectorEnv):
    """`num_envs` DarkRooms in lock-step; slot i equals `DarkRoomEnv(goal=goal[i], ...)` step for step.

    Autoreset is *same-step*: when a slot's episode ends, `step` already returns the first observation of its next
    episode, and the true last one is in `infos["final_obs"][i]` (see `hf_icrl.envs.true_next_observations`).

    Args:
        num_envs (`int`): number of slots, >= 1.
        goal (`array_like` of int, *optional*): one goal `[row, col]` for all slots, or an array `(num_envs, 2)`.
            Without it, each slot draws its goal from its own seed, as `DarkRoomEnv` does.
        size, start, horizon, terminate_on_goal, observation, render_mode: as in `DarkRoomEnv`.

    Attributes:
        goal (`np.ndarray` of int64, shape `(num_envs, 2)`): each slot's goal; `None` before the reset that draws them.

    Raises:
        ValueError: an argument is of the wrong kind, a goal is outside the room, or there is not one goal per slot.
    """

    metadata = {
        "render_modes": RENDER_MODES,
        "render_fps": RENDER_FPS,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs=1,
        size=9,
        goal=None,
        start="center",
        horizon=20,
        terminate_on_goal=False,
        observation="index",
        render_mode=None,
    ):
        self.num_envs = checked_int(num_envs, "num_envs", 1)
        self.size = grid.checked_size(size)
        self.start = grid.checked_start(start, self.size)
        self.horizon = checked_int(horizon, "horizon", 1)
        self.terminate_on_goal = checked_bool(terminate_on_goal, "terminate_on_goal")
        self.observation = grid.checked_observation(observation)
        self.goal = None if goal is None else _checked_goals(goal, self.num_envs, self.size)
        self.render_mode = checked_render_mode(render_mode)
        self.single_observation_space = observation_space(self.size, self.observation)
        self.single_action_space = gym.spaces.Discrete(grid.NUM_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._draws_goal = goal is None
        self._fixed_start = grid.start_cell(self.start, self.size)
        self._keys = None
        if render_mode is not None:
            # Cells visited in the running episode, for the drawing only: (slots, horizon + 1, row and column).
            self._trail = np.zeros((self.num_envs, self.horizon + 1, 2), dtype=np.int64)

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those that `options["reset_mask"]` (bool, `(num_envs,)`) selects.

        Args:
            seed (`int` or list of `int | None`, *optional*): an int seeds slot i with `seed + i`, a list gives every
                slot its own. Slot i then goes exactly as `DarkRoomEnv` reset with that seed, whatever its
                neighbours are. A slot without a seed goes on with its stream (the first time: one drawn from the
                operating system).
            options (`dict`, *optional*): may hold `"reset_mask"`.

        Returns:
            `(observations, {})`, observations of all slots, `(num_envs,)` or `(num_envs, 2)` int64.
        """
        seeds = slot_seeds(seed, self.num_envs)
        mask = reset_mask(options, self.num_envs)
        if self._keys is None:
            if not mask.all():
                raise ValueError("the first reset must be of all environments; leave options['reset_mask'] out")
            unseeded = self.np_random.integers(2**63, size=self.num_envs).tolist()
            seeds = [u if s is None else s for s, u in zip(seeds, unseeded, strict=True)]
            self._keys = np.zeros(self.num_envs, dtype=np.uint64)
            self._episodes = np.zeros(self.num_envs, dtype=np.int64)
            self._steps = np.zeros(self.num_envs, dtype=np.int64)
            self._row = np.zeros(self.num_envs, dtype=np.int64)
            self._col = np.zeros(self.num_envs, dtype=np.int64)
            if self._draws_goal:
                self.goal = np.zeros((self.num_envs, 2), dtype=np.int64)
        seeded = mask & np.array([s is not None for s in seeds])
        if seeded.any():
            self._keys[seeded] = keys_from_seeds([s for s, yes in zip(seeds, seeded, strict=True) if yes])
            if self._draws_goal:
                goals = grid.possible_goals(self.size, self.start)
                self.goal[seeded] = draw_goals(self._keys[seeded], goals)
        # Episode 0 is the one that the seed begins; _begin counts up.
        self._episodes[seeded] = -1
        self._goal_row, self._goal_col = np.ascontiguousarray(self.goal.T)
        self._begin(mask)
        return grid.encode(self._row, self._col, self.size, self.observation), {}

    def step(self, actions):
        """One step of every slot.

        Args:
            actions (`array_like` of int, shape `(num_envs,)`): each in [0, 5).

        Returns:
            `(observations, rewards, terminated, truncated, infos)`: int64 `(num_envs,)` or `(num_envs, 2)`, float32
            `(num_envs,)`, bool `(num_envs,)` twice, and a dict that is empty unless an episode ended.
        """
        actions = self._checked_actions(actions)
        self._row, self._col, reached, terminated, truncated = outcome(
            self._row,
            self._col,
            actions,
            self._goal_row,
            self._goal_col,
            self._steps,
            self.size,
            self.horizon,
            self.terminate_on_goal,
        )
        self._steps += 1
        if self.render_mode is not None:
            self._trail[np.arange(self.num_envs), self._steps] = np.stack([self._row, self._col], axis=1)
        observations = grid.encode(self._row, self._col, self.size, self.observation)
        infos = {}
        ended = terminated | truncated
        if ended.any():
            infos = same_step_infos(observations, ended)
            self._begin(ended)
            observations = grid.encode(self._row, self._col, self.size, self.observation)
        return observations, reached.astype(np.float32), terminated, truncated, infos

    def render(self):
        """One frame per slot, a tuple of uint8 arrays `(height, width, 3)`, each with the running episode's trail."""
        if self.render_mode is None:
            gym.logger.warn('render() needs a render mode: make the environment with render_mode="rgb_array"')
            return None
        if self._keys is None:
            raise gym.error.ResetNeeded("there is nothing to draw yet; call reset() before render()")
        from hf_icrl.envs.drawing import draw_room

        return tuple(
            draw_room(self.size, trail[: steps + 1].tolist(), goal)
            for trail, steps, goal in zip(self._trail, self._steps.tolist(), self.goal.tolist(), strict=True)
        )

    def _begin(self, mask):
        self._episodes[mask] += 1
        self._steps[mask] = 0
        if self._fixed_start is None:
            self._row[mask], self._col[mask] = draw_starts(self._keys[mask], self._episodes[mask], self.size)
        else:
            self._row[mask], self._col[mask] = self._fixed_start
        if self.render_mode is not None:
            self._trail[mask, 0] = np.stack([self._row[mask], self._col[mask]], axis=1)

    def _checked_actions(self, actions):
        if self._keys is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers of shape ({self.num_envs},), got {actions.dtype} of shape {actions.shape}"
            )
        if actions.min() < 0 or actions.max() >= grid.NUM_ACTIONS:
            wrong = actions[(actions < 0) | (actions >= grid.NUM_ACTIONS)][0]
            raise ValueError(f"an action is {wrong}; it must be from 0 to {grid.NUM_ACTIONS - 1}")
        return actions


def _checked_goals(goal, num_envs, size):
    goals = np.asarray(goal)
    if goals.dtype.kind not in "iu" or goals.shape not in [(2,), (num_envs, 2)]:
        raise ValueError(
            f"goal must be one [row, col] pair of integers or {num_envs} of them (one for each environment), "
            f"got {goals.dtype} of shape {goals.shape}"
        )
    goals = np.broadcast_to(goals, (num_envs, 2)).astype(np.int64)
    outside = ((goals < 0) | (goals >= size)).any(axis=1)
    if outside.any():
        grid.checked_cell(goals[outside][0].tolist(), size, "goal")  # raises, naming the goal and the size
    return goals
