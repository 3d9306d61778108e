"""Key-to-Door for thousands of slots at once, each with its own key and door, with no Python loop over slots."""

import numpy as np

from hf_icrl.envs import grid
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
from hf_icrl.envs.slots import SlotVectorEnv


class KeyToDoorVectorEnv(SlotVectorEnv):
    """`num_envs` Key-to-Door rooms in lock-step; slot i equals `KeyToDoorEnv(key=key[i], door=door[i], ...)`.

    Autoreset is *same-step*: when a slot's episode ends, `step` already returns the first observation of its next
    episode, and the true last one is in `infos["final_obs"][i]` (see `hf_icrl.envs.true_next_observations`).
    The infos hold `has_key` (bool `(num_envs,)`), those of `reset` too, where `_has_key` marks the slots that were reset.

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
        room = checked_room(size, start, start_off_key, horizon, terminate_at_door, observation, key_in_observation)
        for name, value in room.items():
            setattr(self, name, value)  # self.size, self.start, ...
        shown = observation_space(self.size, self.observation, self.key_in_observation)
        super().__init__(num_envs, shown, grid.NUM_ACTIONS, render_mode)
        self._draws_task = checked_draws_task(key, door)
        self.key = None if key is None else grid.checked_cells(key, self.num_envs, self.size, "key")
        self.door = None if door is None else grid.checked_cells(door, self.num_envs, self.size, "door")
        self._fixed_start = grid.start_cell(self.start, self.size)
        self._following = following_cells(self.size)
        if render_mode is not None:
            # Cells visited in the running episode, for the drawing only: (slots, horizon + 1, row and column).
            self._trail = np.zeros((self.num_envs, self.horizon + 1, 2), dtype=np.int64)

    def _allocate(self):
        self._cell = np.zeros(self.num_envs, dtype=np.int64)
        self._has_key, self._opened = np.zeros((2, self.num_envs), dtype=bool)
        if self._draws_task:
            self.key, self.door = np.zeros((2, self.num_envs, 2), dtype=np.int64)

    def _seeded(self, rows):
        if self._draws_task:
            drawn = draw_tasks(self._streams[rows], self.size)
            self.key[rows], self.door[rows] = (np.stack(divmod(x, self.size), axis=1) for x in drawn)
        self._key_state, self._door_state = (cells @ [self.size, 1] for cells in (self.key, self.door))

    def _begin(self, rows):
        self._has_key = self._has_key.copy()  # what it was goes into the infos of the last step
        self._has_key[rows] = False
        self._opened[rows] = False
        if self._fixed_start is None:
            avoided = self._key_state[rows] if self.start_off_key else None
            self._cell[rows] = draw_starts(self._streams[rows], self._episodes[rows], self.size, avoided)
        else:
            self._cell[rows] = self._fixed_start[0] * self.size + self._fixed_start[1]
        if self.render_mode is not None:
            self._trail[rows, 0] = np.stack(divmod(self._cell[rows], self.size), axis=1)

    def _advance(self, actions):
        self._cell, self._has_key, self._opened, *outcomes = outcome(
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
        if self.render_mode is not None:
            self._trail[self._slots, self._steps + 1] = np.stack(divmod(self._cell, self.size), axis=1)
        return outcomes  # earns, terminated, truncated

    def _observe(self):
        return encode(self._cell, self._has_key, self.size, self.observation, self.key_in_observation)

    def _infos(self):
        return {"has_key": self._has_key}

    def _reset_infos(self, mask):
        # Of the slots that were not reset gymnasium tells nothing.
        return {"has_key": np.zeros(self.num_envs, dtype=bool), "_has_key": mask.copy()}

    def _frames(self):
        from hf_icrl.envs.key_to_door_drawing import draw_key_to_door

        slots = (self._steps, self.key, self.door, self._has_key, self._opened)
        for trail, steps, *rest in zip(self._trail, *(x.tolist() for x in slots), strict=True):
            yield draw_key_to_door(self.size, trail[: steps + 1].tolist(), *rest)
