"""DarkRoom for thousands of slots at once, each on its own goal, with no Python loop over slots."""

import gymnasium as gym
import numpy as np

from hf_icrl.envs import grid
from hf_icrl.envs.dark_room import draw_goals, draw_starts, outcome
from hf_icrl.envs.dark_room_settings import RoomSettings
from hf_icrl.envs.slots import SlotVectorEnv


class DarkRoomVectorEnv(SlotVectorEnv):
    """`num_envs` DarkRooms in lock-step; slot i equals `DarkRoomEnv(goal=goal[i], ...)` step for step.

    Autoreset is *same-step*: when a slot's episode ends, `step` already returns the first observation of its next
    episode, and the true last one is in `infos["final_obs"][i]` (see `hf_icrl.envs.true_next_observations`).
    Else infos are empty.

    Args:
        num_envs (`int`): number of slots, >= 1.
        goal (`array_like` of int, *optional*): one goal `[row, col]` for all slots, or an array `(num_envs, 2)`.
            Without it, each slot draws its goal from its own seed, as `DarkRoomEnv` does.
        action_permutation (`array_like` of int, *optional*): one permutation for all slots, or `(num_envs, 5)`.
        word_order (`array_like` of int, *optional*): one for all slots, or `(num_envs,)`. Without either, and with
            `permuted=True`, each slot draws its order from its own seed.
        size, start, horizon, terminate_on_goal, observation, observation_size, permuted, word_length, words,
            words_seed, words_split, render_mode: as in `DarkRoomEnv`.

    Attributes:
        goal (`np.ndarray` of int64, shape `(num_envs, 2)`): each slot's goal; `None` before the reset that draws them.
        action_permutation (`np.ndarray` of int64, shape `(num_envs, 5)`), word_order (`(num_envs,)`): each slot's order
            of the actions; `None` before the reset that draws them, and where actions are not permuted.

    Raises:
        ValueError: an argument is of the wrong kind, a goal is outside the room, there is not one goal per slot, or two
            arguments do not fit each other.
    """

    def __init__(
        self,
        num_envs=1,
        size=9,
        goal=None,
        start="center",
        horizon=20,
        terminate_on_goal=False,
        observation="index",
        observation_size=None,
        permuted=False,
        action_permutation=None,
        word_length=1,
        words="all",
        words_seed=0,
        words_split="random",
        word_order=None,
        render_mode=None,
    ):
        self._settings = RoomSettings(
            size=size,
            start=start,
            horizon=horizon,
            terminate_on_goal=terminate_on_goal,
            observation=observation,
            observation_size=observation_size,
            permuted=permuted,
            word_length=word_length,
            words=words,
            words_seed=words_seed,
            words_split=words_split,
        )
        for name, value in self._settings.kwargs.items():
            setattr(self, name, value)  # self.size, self.start, ...
        super().__init__(num_envs, self._settings.observation_space(), self._settings.num_actions, render_mode)
        self.goal = None if goal is None else grid.checked_cells(goal, self.num_envs, self.size, "goal")
        order = self._settings.checked_order(action_permutation, word_order, self.num_envs)
        self.action_permutation = self.word_order = self._orders = None
        self._draws_goal = goal is None
        self._draws_order = self.permuted and order is None
        if order is not None:
            self._set_orders(order, self._slots)
        if render_mode is not None:
            # Cells visited in the running episode, for the drawing only: (slots, 1 + moves, row and column).
            self._trail = np.zeros((self.num_envs, self.horizon * self.word_length + 1, 2), dtype=np.int64)

    def _allocate(self):
        self._row, self._col = np.zeros((2, self.num_envs), dtype=np.int64)
        if self._draws_goal:
            self.goal = np.zeros((self.num_envs, 2), dtype=np.int64)

    def _seeded(self, rows):
        if self._draws_goal:
            self.goal[rows] = draw_goals(self._streams[rows], grid.possible_goals(self.size, self.start))
        if self._draws_order:
            self._set_orders(self._settings.draw_orders(self._streams[rows]), rows)
        self._goal_row, self._goal_col = np.ascontiguousarray(self.goal.T)

    def _begin(self, rows):
        if self._settings.fixed_start is None:
            self._row[rows], self._col[rows] = draw_starts(self._streams[rows], self._episodes[rows], self.size)
        else:
            self._row[rows], self._col[rows] = self._settings.fixed_start
        if self.render_mode is not None:
            self._trail[rows, 0] = np.stack([self._row[rows], self._col[rows]], axis=1)

    def _advance(self, actions):
        moves = self._moves_of(actions)
        if self.render_mode is not None:
            self._draw_trail(moves)
        self._row, self._col, *outcomes = outcome(
            self._row,
            self._col,
            moves,
            self._goal_row,
            self._goal_col,
            self._steps,
            self.size,
            self.horizon,
            self.terminate_on_goal,
        )
        return outcomes  # reached, terminated, truncated

    def _observe(self):
        return self._settings.encode(self._row, self._col)

    def _frames(self):
        from hf_icrl.envs.drawing import draw_room

        for trail, steps, goal in zip(self._trail, self._steps.tolist(), self.goal.tolist(), strict=True):
            yield draw_room(self.size, trail[: steps * self.word_length + 1].tolist(), goal)

    def select_slots(self, slots):
        """Go on with these slots only, int64 `(m,)` in ascending order: each as if the others had never been there."""
        if self._streams is None:
            raise gym.error.ResetNeeded("call reset() before select_slots()")
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):  # every array of this object has one entry a slot
                setattr(self, name, value[slots])
        self._set_num_envs(len(slots))

    def _moves_of(self, actions):
        """The atomic moves of each slot's action: a sequence of `word_length` arrays `(num_envs,)`."""
        if self._orders is not None:
            actions = self._orders[self._slots, actions]
        return (actions,) if self.word_length == 1 else self._settings.moves[:, actions]

    def _draw_trail(self, moves):
        for place, (row, col) in enumerate(grid.cells_passed(self._row, self._col, moves, self.size), start=1):
            self._trail[self._slots, self._steps * self.word_length + place] = np.stack([row, col], axis=1)

    def _set_orders(self, entries, slots):
        """Take over the order of the actions of `slots`: `(n, 5)` or `(n,)`, as tasks have it."""
        if self._orders is None:
            setattr(self, self._settings.order_entry, np.zeros((self.num_envs, *entries.shape[1:]), dtype=np.int64))
            self._orders = np.zeros((self.num_envs, self._settings.num_actions), dtype=np.int64)
        getattr(self, self._settings.order_entry)[slots] = entries
        self._orders[slots] = self._settings.orders(entries)
