"""Key-to-Door: find an unseen key, then an unseen door, in an empty room (Laskin et al. 2022, arXiv:2210.14215)."""

import operator
from functools import lru_cache

import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_bool, checked_int
from hf_icrl.counter_random import integers
from hf_icrl.envs import grid
from hf_icrl.envs.episodic import EpisodicEnv


@lru_cache(maxsize=8)
def following_cells(size):
    """Where each action leads from each cell, by `grid.move`: int64 `(size**2 * 5,)`, place `cell * 5 + action`.

    Looking up is several times faster than computing. Cells are state indexes, `row * size + column`.
    """
    cell, action = np.divmod(np.arange(size * size * grid.NUM_ACTIONS), grid.NUM_ACTIONS)
    row, col = grid.move(cell // size, cell % size, action, size)
    table = row * size + col
    table.setflags(write=False)
    return table


def outcome(cell, action, has_key, opened, key, door, steps, following, horizon, terminate_at_door):
    """One step of Key-to-Door, for Python numbers as well as for arrays `(n,)`.

    A step earns at most 1: the door asks for a key that was there before the step, so where the key lies at the door
    a second step has to end there (as in CCCAD; the other published variants have no such task).

    Args:
        cell: where the agents are before the action, state indexes (int).
        action: actions in [0, 5).
        has_key, opened: was the key taken, was the door paid, earlier in this episode? (bool)
        key, door: state indexes (int).
        steps: how many steps the episode had before this one.
        following (array, or list for Python numbers): `following_cells(size)`.
        horizon (`int`), terminate_at_door (`bool`): the room.

    Returns:
        `(cell, has_key, opened, earns, terminated, truncated)` after the action, all but the cell bool: the reward is
        1 where `earns` holds. An episode that terminates on its very last step counts as terminated only, so that a
        learner does not bootstrap from it.
    """
    cell = following[cell * grid.NUM_ACTIONS + action]
    takes = (cell == key) & (has_key ^ True)
    opens = (cell == door) & has_key & (opened ^ True)
    terminated = opens if terminate_at_door else opens & False
    truncated = (steps >= horizon - 1) & (terminated ^ True)
    return cell, has_key | takes, opened | opens, takes | opens, terminated, truncated


def draw_tasks(streams, size):
    """The key and the door that each stream gives when none were asked for: two arrays `(n,)` of state indexes.

    Uniform over all ordered pairs of different cells.
    """
    key = integers(streams, 0, size * size)
    door = integers(streams, 1, size * size - 1)
    return key, door + (door >= key)


def draw_starts(streams, episodes, size, key=None):
    """The random start of each stream's episode number `episodes` (int or `(n,)`): state indexes `(n,)`.

    Uniform over all cells, or over all but `key` (state indexes, `(n,)`).
    """
    cell = integers(streams, 2 + np.asarray(episodes), size * size - (key is not None))
    return cell if key is None else cell + (cell >= key)


def encode(cell, has_key, size, observation, key_in_observation):
    """Cells and key flags to observations, see `observation_space`; for Python numbers and for arrays `(n,)`."""
    if observation == "index":
        # Adding 0 makes a new array: whoever gets it may write to it.
        return cell + (has_key * (size * size) if key_in_observation else 0)
    place = (cell // size, cell % size)
    return np.stack([*place, has_key] if key_in_observation else place, axis=-1)


def decode(observations, size, observation):
    """Observations of any kind to a pair of int64 arrays `(n,)`, rows and columns; the key flag is left out."""
    observations = np.asarray(observations)
    if observation == "index":
        return grid.decode(observations % (size * size), size, observation)
    return grid.decode(observations[..., :2], size, observation)


def observation_space(size, observation, key_in_observation):
    """`Discrete(size**2)` for "index", `MultiDiscrete([size, size])` for "row_col", twice as much with the key flag."""
    if observation == "index":
        return spaces.Discrete(size * size * (2 if key_in_observation else 1))
    return spaces.MultiDiscrete([size, size, 2] if key_in_observation else [size, size])


def checked_room(size, start, start_off_key, horizon, terminate_at_door, observation, key_in_observation):
    """What scalar environment, vector environment and family have in common, checked: a dict of JSON values."""
    size = grid.checked_size(size)
    room = {
        "size": size,
        "start": grid.checked_start(start, size),
        "start_off_key": checked_bool(start_off_key, "start_off_key"),
        "horizon": checked_int(horizon, "horizon", 1),
        "terminate_at_door": checked_bool(terminate_at_door, "terminate_at_door"),
        "observation": grid.checked_observation(observation),
        "key_in_observation": checked_bool(key_in_observation, "key_in_observation"),
    }
    if room["start_off_key"] and room["start"] != "random":
        raise ValueError(
            f"start_off_key is true and start is {room['start']!r}: only a random start can avoid the key; choose "
            'start="random", or start_off_key=False'
        )
    return room


def checked_draws_task(key, door):
    """Whether the task is drawn from the seed: neither `key` nor `door` is given. Only one of them is an error."""
    if (key is None) != (door is None):
        missing, given = ("key", "door") if key is None else ("door", "key")
        raise ValueError(f"{given} is given but {missing} is not; give both, or neither to draw them from the seed")
    return key is None


class KeyToDoorEnv(EpisodicEnv):
    """An empty square room with an unmarked key and an unmarked door: the first visit of each pays 1, in this order.

    The key pays on the first step of an episode that ends on it (a start on the key has not taken it yet: staying
    does), the door on the first later step that ends there. Actions: 0 stay, 1 up, 2 right, 3 down, 4 left; walls
    clip. The infos of `reset` and `step` hold `has_key` (bool), which the observation does not show by default.

    The defaults are toy-meta-gym's `Dark-Key-To-Door-9x9` (its 3 x 3 room: `size=3, horizon=20`). AD-eps (Zisman et
    al. 2024, arXiv:2312.12275): `horizon=40, start_off_key=True`. CCCAD: `start="center", terminate_at_door=False,
    observation="row_col"`.

    Args:
        size (`int`, *optional*, defaults to 9): side of the room, >= 2.
        key, door (`[row, col]`, *optional*): the two cells, which may be one, or the start. Without them,
            `reset(seed=...)` draws them from that seed, uniformly over all pairs of different cells, and they stay
            until the next seeded reset.
        start (`str` or `[row, col]`, *optional*, defaults to `"random"`): `"random"` is uniform over all cells, drawn
            for every episode from the seed and the number of the episode since it was given; `"center"` is
            `[size // 2, size // 2]`, `"corner"` is `[0, 0]`.
        start_off_key (`bool`, *optional*, defaults to `False`): random starts are uniform over all cells but the key.
        horizon (`int`, *optional*, defaults to 50): steps after which an episode is truncated, >= 1.
        terminate_at_door (`bool`, *optional*, defaults to `True`): end the episode when the door pays.
        observation (`str`, *optional*, defaults to `"index"`): `"index"` gives `row * size + column` in
            `Discrete(size**2)`; `"row_col"` gives `[row, column]` in `MultiDiscrete([size, size])`.
        key_in_observation (`bool`, *optional*, defaults to `False`): show whether the agent has the key, too: `"index"`
            becomes `has_key * size**2 + row * size + column` in `Discrete(2 * size**2)`, `"row_col"` becomes
            `[row, column, has_key]` in `MultiDiscrete([size, size, 2])`.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Attributes:
        key, door (`[row, col]`): the task; `None` before the reset that draws it.

    Raises:
        ValueError: an argument is of the wrong kind, a cell is outside the room, only one of key and door is given, or
            `start_off_key` with a fixed start.
    """

    def __init__(
        self,
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
        self._draws_task = checked_draws_task(key, door)
        self.key = None if key is None else grid.checked_cell(key, self.size, "key")
        self.door = None if door is None else grid.checked_cell(door, self.size, "door")
        shown = observation_space(self.size, self.observation, self.key_in_observation)
        super().__init__(shown, grid.NUM_ACTIONS, render_mode)
        self._fixed_start = grid.start_cell(self.start, self.size)
        self._following = following_cells(self.size).tolist()

    def _seeded(self):
        if self._draws_task:
            self.key, self.door = (list(divmod(int(x[0]), self.size)) for x in draw_tasks(self._stream, self.size))
        self._key_state, self._door_state = (cell[0] * self.size + cell[1] for cell in (self.key, self.door))

    def _begin(self):
        if self._fixed_start is None:
            avoided = self._key_state if self.start_off_key else None
            self._cell = int(draw_starts(self._stream, self._episode, self.size, avoided)[0])
        else:
            self._cell = self._fixed_start[0] * self.size + self._fixed_start[1]
        self._has_key = self._opened = False
        self._trail = [divmod(self._cell, self.size)]

    def step(self, action):
        """One step. Returns `(observation, reward, terminated, truncated, {"has_key": bool})`."""
        action = operator.index(action)
        if self._steps is None or not 0 <= action < self._num_actions:
            raise self._refusal(action)
        self._cell, self._has_key, self._opened, earns, terminated, truncated = outcome(
            self._cell,
            action,
            self._has_key,
            self._opened,
            self._key_state,
            self._door_state,
            self._steps,
            self._following,
            self.horizon,
            self.terminate_at_door,
        )
        self._steps = None if terminated or truncated else self._steps + 1
        if self.render_mode is not None:
            self._trail.append(divmod(self._cell, self.size))
        return self._observe(), float(earns), terminated, truncated, {"has_key": self._has_key}

    def _frame(self):
        from hf_icrl.envs.key_to_door_drawing import draw_key_to_door

        return draw_key_to_door(self.size, self._trail, self.key, self.door, self._has_key, self._opened)

    def _infos(self):
        return {"has_key": self._has_key}

    def _observe(self):
        seen = encode(self._cell, self._has_key, self.size, self.observation, self.key_in_observation)
        return np.asarray(seen, dtype=np.int64)[()]  # [()]: a scalar for an index, the array itself for a row
