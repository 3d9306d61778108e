"""DarkRoom: find, and remember over episodes, an unseen goal in an empty room (Laskin et al. 2022, arXiv:2210.14215)."""

import operator

import numpy as np

from hf_icrl.counter_random import integers
from hf_icrl.envs import grid
from hf_icrl.envs.dark_room_settings import RoomSettings
from hf_icrl.envs.episodic import EpisodicEnv


def outcome(row, col, moves, goal_row, goal_col, steps, size, horizon, terminate_on_goal):
    """One step of DarkRoom, for Python ints as well as for int64 arrays `(n,)`.

    Args:
        row, col: cells before the action.
        moves: the atomic moves that the action plays, one after the other: a sequence of actions in [0, 5), or of
            arrays of them.
        goal_row, goal_col: goals.
        steps: how many steps the episode had before this one.
        size, horizon (`int`), terminate_on_goal (`bool`): the room.

    Returns:
        `(row, col, reached, terminated, truncated)` after the action: `reached` (the reward is 1 where it holds) says
        whether any move ended on the goal; it and the two ends are bool. All moves are played, those after the goal
        too. An episode that terminates on its very last step counts as terminated only, so that a learner does not
        bootstrap from it.
    """
    reached = None
    for action in moves:
        row, col = grid.move(row, col, action, size)
        here = (row == goal_row) & (col == goal_col)
        reached = here if reached is None else reached | here
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


class DarkRoomEnv(EpisodicEnv):
    """An empty square room with one unmarked goal; the reward is 1 on every step that ends on the goal, else 0.

    The observation does not show the goal, so an episode spent searching only pays for an agent that remembers
    earlier episodes. Moves: 0 stay, 1 up, 2 right, 3 down, 4 left; walls clip. An action is a move, or a word of
    several (`word_length`), played one after the other: then the reward is 1 if any of the moves ended on the goal, and
    the observation is where the whole word led, even if it passed the goal and the episode ends (Sinii et al. 2024,
    arXiv:2312.13327).

    Args:
        size (`int`, *optional*, defaults to 9): side of the room, >= 2.
        goal (`[row, col]`, *optional*): the rewarded cell; it may be the start. Without one, `reset(seed=...)` draws
            it from that seed, uniformly over all cells but a fixed start, and it stays until the next seeded reset.
        start (`str` or `[row, col]`, *optional*, defaults to `"center"`): `"center"` is
            `[size // 2, size // 2]`, `"corner"` is `[0, 0]`, `"random"` is uniform over all cells, drawn for every
            episode from the seed and the number of the episode since it was given.
        horizon (`int`, *optional*, defaults to 20): steps (actions, not moves) after which an episode is truncated,
            >= 1.
        terminate_on_goal (`bool`, *optional*, defaults to `False`): end the episode on the goal.
        observation (`str`, *optional*, defaults to `"index"`): with S the observation size,

            - `"index"`: `row * S + column` in `Discrete(S * S)`;
            - `"row_col"`: `[row, column]` in `MultiDiscrete([S, S])`;
            - `"one_hot"`: float32 `(S * S,)`, 1 at the index;
            - `"image"`: uint8 RGB `(S, S, 3)`, a pixel a cell: the agent red, the floor white; never the goal.
        observation_size (`int`, *optional*): S, at least `size`, which is the default. Rooms of different sizes that
            share it have one observation space: a smaller room is the top left part of the observed square, whose
            rest an image shows in black.
        permuted (`bool`, *optional*, defaults to `False`): the actions are in an order of the task's own. Without
            `action_permutation` or `word_order`, `reset(seed=...)` draws that order as it draws a goal.
        action_permutation (`list[int]`, *optional*): a permutation of 0 to 4: action a makes the move
            `action_permutation[a]`. For `word_length=1`.
        word_length (`int`, *optional*, defaults to 1): moves of an action, from 1 to 5 (3 is published).
        words (`str` or `list[int]`, *optional*, defaults to `"all"`): which words there are, as actions in this order:
            `"train"`, `"test"`, `"sliced"` (as many of the test words as there are train words), `"all"` (train words,
            then test words), or places in the list of all words in lexicographic order.
        words_seed (`int`, *optional*, defaults to 0): the split's seed: NumPy's generator of that seed permutes the
            cells (the goals of the published split `"headless_ad"`), then the words, the first 40 % of which train.
        words_split (`str`, *optional*, defaults to `"random"`): or `"displacement"`: test words have a net
            displacement of two cells, train words any other.
        word_order (`int`, *optional*): the seed of the task's own order of its words. For `word_length > 1`.
        render_mode (`str`, *optional*): `"rgb_array"` or nothing.

    Raises:
        ValueError: an argument is of the wrong kind, the goal or start is outside the room, or two arguments do not
            fit each other.
    """

    def __init__(
        self,
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
        self.goal = None if goal is None else grid.checked_cell(goal, self.size, "goal")
        order = self._settings.checked_order(action_permutation, word_order)
        self.action_permutation = self.word_order = self._order = None
        super().__init__(self._settings.observation_space(), self._settings.num_actions, render_mode)
        self._moves = [tuple(moves) for moves in self._settings.moves.T.tolist()]
        self._draws_goal = goal is None
        self._draws_order = self.permuted and order is None
        if order is not None:
            self._set_order(order[None])

    def _seeded(self):
        if self._draws_goal:
            self.goal = draw_goals(self._stream, grid.possible_goals(self.size, self.start))[0].tolist()
        if self._draws_order:
            self._set_order(self._settings.draw_orders(self._stream))

    def _begin(self):
        if self._settings.fixed_start is None:
            row, col = draw_starts(self._stream, self._episode, self.size)
            self._row, self._col = int(row[0]), int(col[0])
        else:
            self._row, self._col = self._settings.fixed_start
        self._trail = [(self._row, self._col)]

    def step(self, action):
        """One step. Returns `(observation, reward, terminated, truncated, {})`."""
        action = operator.index(action)
        if self._steps is None or not 0 <= action < self._num_actions:
            raise self._refusal(action)
        moves = self._moves[action if self._order is None else self._order[action]]
        if self.render_mode is not None:
            self._trail.extend(grid.cells_passed(self._row, self._col, moves, self.size))
        self._row, self._col, reached, terminated, truncated = outcome(
            self._row,
            self._col,
            moves,
            *self.goal,
            self._steps,
            self.size,
            self.horizon,
            self.terminate_on_goal,
        )
        self._steps = None if terminated or truncated else self._steps + 1
        return self._observe(), float(reached), terminated, truncated, {}

    def _frame(self):
        from hf_icrl.envs.drawing import draw_room

        return draw_room(self.size, self._trail, self.goal)

    def _set_order(self, entry):
        """Take over the task's order of the actions, `(1, 5)` or `(1,)`."""
        setattr(self, self._settings.order_entry, entry[0].tolist())
        self._order = self._settings.orders(entry)[0].tolist()

    def _observe(self):
        # What `encode` does, in the two common cases without its cost for arrays.
        if self.observation == "index":
            return np.int64(self._row * self._settings.observed_size + self._col)
        if self.observation == "row_col":
            return np.array([self._row, self._col], dtype=np.int64)
        return self._settings.encode(self._row, self._col)
