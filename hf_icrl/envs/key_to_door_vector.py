"""Key-to-Door for thousands of slots at once, each with its own key and door, with no Python loop over slots."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hf_icrl.checks import checked_int
from hf_icrl.envs import grid
from hf_icrl.envs.dark_room import RENDER_FPS, RENDER_MODES, checked_render_mode
from hf_icrl.envs.key_to_door import (
    checked_draws_task,
    checked_room,
    draw_starts,
    draw_tasks,
    encode,
    following_cells,
    observation_space,
    outcome,
)
from hf_icrl.envs.vector import all_slots, keys_from_seeds, reset_mask, same_step_infos, slot_seeds


class KeyToDoorVectorEnv(VectorEnv):
    """`num_envs` Key-to-Door rooms in lock-step; slot i equals `KeyToDoorEnv(key=key[i], door=door[i], ...)`.

    Autoreset is *same-step*: when a slot's episode ends, `step` already returns the first observation of its next
    episode, and the true last one is in `infos["final_obs"][i]` (see `hf_icrl.envs.true_next_observations`).

    Args:
        num_envs (`int`): number of slots, >= 1.
        key, door (`array_like` of int, *optional*): one cell `[row, col]` for all slots, or an array `(num_envs, 2)`.
            Without them, each slot draws its task from its own seed, as `KeyToDoorEnv` does.
        size, start, start_off_key, horizon, terminate_at_door, observation, key_in_observation, render_mode: as in
            `KeyToDoorEnv`.

    Attributes:
        key, door (`np.ndarray` of int64, shape `(num_envs, 2)`): each slot's task; `None` before the reset that draws
            them.

    Raises:
        ValueError: an argument is of the wrong kind, a cell is outside the room, only one of key and door is given,
            there is not one for each slot, or `start_off_key` with a fixed start.
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
        key=None,
        door=None,
        start="random",
        start_off_key=False,
        horizon=50,
        terminate_at_door=True,
        observation="index",
        key_in_observation=False,
        render_mode=None,
    ):
        self.num_envs = checked_int(num_envs, "num_envs", 1)
        room = checked_room(size, start, start_off_key, horizon, terminate_at_door, observation, key_in_observation)
        self.size = room["size"]
        self.start = room["start"]
        self.start_off_key = room["start_off_key"]
        self.horizon = room["horizon"]
        self.terminate_at_door = room["terminate_at_door"]
        self.observation = room["observation"]
        self.key_in_observation = room["key_in_observation"]
        self._draws_task = checked_draws_task(key, door)
        self.key = None if key is None else _checked_cells(key, self.num_envs, self.size, "key")
        self.door = None if door is None else _checked_cells(door, self.num_envs, self.size, "door")
        self.render_mode = checked_render_mode(render_mode)
        self.single_observation_space = observation_space(self.size, self.observation, self.key_in_observation)
        self.single_action_space = gym.spaces.Discrete(grid.NUM_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._fixed_start = grid.start_cell(self.start, self.size)
        self._following = following_cells(self.size)
        self._streams = None
        if render_mode is not None:
            # Cells visited in the running episode, for the drawing only: (slots, horizon + 1, row and column).
            self._trail = np.zeros((self.num_envs, self.horizon + 1, 2), dtype=np.int64)

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those that `options["reset_mask"]` (bool, `(num_envs,)`) selects.

        Args:
            seed (`int` or list of `int | None`, *optional*): an int seeds slot i with `seed + i`, a list gives every
                slot its own. Slot i then goes exactly as `KeyToDoorEnv` reset with that seed, whatever its
                neighbours are. A slot without a seed goes on with its stream (the first time: one drawn from the
                operating system).
            options (`dict`, *optional*): may hold `"reset_mask"`.

        Returns:
            `(observations, infos)`: observations of all slots, `(num_envs,)`, `(num_envs, 2)` or `(num_envs, 3)`
            int64; infos `has_key` (bool `(num_envs,)`, all false) and `_has_key`, which marks the slots that were
            reset.
        """
        seeds = slot_seeds(seed, self.num_envs)
        mask = reset_mask(options, self.num_envs)
        if self._streams is None:
            if not mask.all():
                raise ValueError("the first reset must be of all environments; leave options['reset_mask'] out")
            unseeded = self.np_random.integers(2**63, size=self.num_envs).tolist()
            seeds = [u if s is None else s for s, u in zip(seeds, unseeded, strict=True)]
            self._streams = np.zeros(self.num_envs, dtype=np.uint64)
            self._episodes, self._steps, self._cell = np.zeros((3, self.num_envs), dtype=np.int64)
            self._has_key, self._opened = np.zeros((2, self.num_envs), dtype=bool)
            if self._draws_task:
                self.key, self.door = np.zeros((2, self.num_envs, 2), dtype=np.int64)
        seeded = mask & np.array([s is not None for s in seeds])
        if seeded.any():
            self._streams[seeded] = keys_from_seeds([s for s, yes in zip(seeds, seeded, strict=True) if yes])
            if self._draws_task:
                drawn = draw_tasks(self._streams[seeded], self.size)
                self.key[seeded], self.door[seeded] = (np.stack(divmod(x, self.size), axis=1) for x in drawn)
        # Episode 0 is the one that the seed begins; _begin counts up.
        self._episodes[seeded] = -1
        self._key_state, self._door_state = (cells @ [self.size, 1] for cells in (self.key, self.door))
        self._begin(np.flatnonzero(mask))
        return self._observe(), {"has_key": np.zeros(self.num_envs, dtype=bool), "_has_key": mask.copy()}

    def step(self, actions):
        """One step of every slot.

        Args:
            actions (`array_like` of int, shape `(num_envs,)`): each in [0, 5).

        Returns:
            `(observations, rewards, terminated, truncated, infos)`: int64 as in `reset`, float32 `(num_envs,)`, bool
            `(num_envs,)` twice, and a dict with `has_key`, and more where an episode ended.
        """
        actions = self._checked_actions(actions)
        self._cell, self._has_key, self._opened, earns, terminated, truncated = outcome(
            self._cell,
            actions,
            self._has_key,
            self._opened,
            self._key_state,
            self._door_state,
            self._steps,
            self._following,
            self.horizon,
            self.terminate_at_door,
        )
        self._steps += 1
        if self.render_mode is not None:
            self._trail[np.arange(self.num_envs), self._steps] = np.stack(divmod(self._cell, self.size), axis=1)
        observations = self._observe()
        ended = terminated | truncated
        (rows,) = ended.nonzero()
        if len(rows):
            final_observations, final_has_key = observations, self._has_key.copy()
            self._begin(rows)
            observations = self._observe()
            infos = same_step_infos(final_observations, ended, {"has_key": final_has_key}, {"has_key": self._has_key})
        else:
            infos = all_slots({"has_key": self._has_key})
        return observations, earns.astype(np.float32), terminated, truncated, infos

    def render(self):
        """One frame per slot, a tuple of uint8 arrays `(height, width, 3)`, each with the running episode's trail."""
        if self.render_mode is None:
            gym.logger.warn('render() needs a render mode: make the environment with render_mode="rgb_array"')
            return None
        if self._streams is None:
            raise gym.error.ResetNeeded("there is nothing to draw yet; call reset() before render()")
        from hf_icrl.envs.key_to_door_drawing import draw_key_to_door

        slots = (self._steps, self.key, self.door, self._has_key, self._opened)
        return tuple(
            draw_key_to_door(self.size, trail[: steps + 1].tolist(), *rest)
            for trail, steps, *rest in zip(self._trail, *(x.tolist() for x in slots), strict=True)
        )

    def _begin(self, rows):
        """Begin the next episode of the slots `rows` (int64 indexes: few of them, mostly)."""
        self._episodes[rows] += 1
        self._steps[rows] = 0
        self._has_key[rows] = False
        self._opened[rows] = False
        if self._fixed_start is None:
            avoided = self._key_state[rows] if self.start_off_key else None
            self._cell[rows] = draw_starts(self._streams[rows], self._episodes[rows], self.size, avoided)
        else:
            self._cell[rows] = self._fixed_start[0] * self.size + self._fixed_start[1]
        if self.render_mode is not None:
            self._trail[rows, 0] = np.stack(divmod(self._cell[rows], self.size), axis=1)

    def _observe(self):
        return encode(self._cell, self._has_key, self.size, self.observation, self.key_in_observation)

    def _checked_actions(self, actions):
        if self._streams is None:
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


def _checked_cells(cells, num_envs, size, what):
    cells = np.asarray(cells)
    if cells.dtype.kind not in "iu" or cells.shape not in [(2,), (num_envs, 2)]:
        raise ValueError(
            f"{what} must be one [row, col] pair of integers or {num_envs} of them (one for each environment), "
            f"got {cells.dtype} of shape {cells.shape}"
        )
    cells = np.broadcast_to(cells, (num_envs, 2)).astype(np.int64)
    outside = ((cells < 0) | (cells >= size)).any(axis=1)
    if outside.any():
        grid.checked_cell(cells[outside][0].tolist(), size, what)  # raises, naming the cell and the size
    return cells
