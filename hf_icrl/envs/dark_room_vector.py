"""DarkRoom for thousands of slots at once, each on its own goal, with no Python loop over slots."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hf_icrl.checks import checked_int
from hf_icrl.envs import grid
from hf_icrl.envs.dark_room import (
    RENDER_FPS,
    RENDER_MODES,
    checked_render_mode,
    draw_goals,
    draw_starts,
    outcome,
)
from hf_icrl.envs.dark_room_settings import RoomSettings
from hf_icrl.envs.vector import keys_from_seeds, reset_mask, same_step_infos, slot_seeds


class DarkRoomVectorEnv(VectorEnv):
    """`num_envs` DarkRooms in lock-step; slot i equals `DarkRoomEnv(goal=goal[i], ...)` step for step.

    Autoreset is *same-step*: when a slot's episode ends, `step` already returns the first observation of its next
    episode, and the true last one is in `infos["final_obs"][i]` (see `hf_icrl.envs.true_next_observations`).

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
        self.num_envs = checked_int(num_envs, "num_envs", 1)
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
        vars(self).update(self._settings.kwargs)  # self.size, self.start, ...
        self.goal = None if goal is None else _checked_goals(goal, self.num_envs, self.size)
        order = self._settings.checked_order(action_permutation, word_order, self.num_envs)
        self.action_permutation = self.word_order = self._orders = None
        self.render_mode = checked_render_mode(render_mode)
        self.single_observation_space = self._settings.observation_space()
        self.single_action_space = gym.spaces.Discrete(self._settings.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._draws_goal = goal is None
        self._draws_order = self.permuted and order is None
        self._slots = np.arange(self.num_envs)
        if order is not None:
            self._set_orders(order, self._slots)
        self._keys = None
        if render_mode is not None:
            # Cells visited in the running episode, for the drawing only: (slots, 1 + moves, row and column).
            self._trail = np.zeros((self.num_envs, self.horizon * self.word_length + 1, 2), dtype=np.int64)

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those that `options["reset_mask"]` (bool, `(num_envs,)`) selects.

        Args:
            seed (`int` or list of `int | None`, *optional*): an int seeds slot i with `seed + i`, a list gives every
                slot its own. Slot i then goes exactly as `DarkRoomEnv` reset with that seed, whatever its
                neighbours are. A slot without a seed goes on with its stream (the first time: one drawn from the
                operating system).
            options (`dict`, *optional*): may hold `"reset_mask"`.

        Returns:
            `(observations, {})`, observations of all slots, `(num_envs, ...)` of the observation space's type.
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
            if self._draws_order:
                self._set_orders(self._settings.draw_orders(self._keys[seeded]), seeded)
        # Episode 0 is the one that the seed begins; _begin counts up.
        self._episodes[seeded] = -1
        self._goal_row, self._goal_col = np.ascontiguousarray(self.goal.T)
        self._begin(mask)
        return self._settings.encode(self._row, self._col), {}

    def step(self, actions):
        """One step of every slot.

        Args:
            actions (`array_like` of int, shape `(num_envs,)`): each in [0, 5), or a number of a word.

        Returns:
            `(observations, rewards, terminated, truncated, infos)`: observations as `reset` gives them, float32
            `(num_envs,)`, bool `(num_envs,)` twice, and a dict that is empty unless an episode ended.
        """
        moves = self._moves_of(self._checked_actions(actions))
        if self.render_mode is not None:
            self._draw_trail(moves)
        self._row, self._col, reached, terminated, truncated = outcome(
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
        self._steps += 1
        observations = self._settings.encode(self._row, self._col)
        infos = {}
        ended = terminated | truncated
        if ended.any():
            infos = same_step_infos(observations, ended)
            self._begin(ended)
            observations = self._settings.encode(self._row, self._col)
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
            draw_room(self.size, trail[: steps * self.word_length + 1].tolist(), goal)
            for trail, steps, goal in zip(self._trail, self._steps.tolist(), self.goal.tolist(), strict=True)
        )

    def select_slots(self, slots):
        """Go on with these slots only, int64 `(m,)` in ascending order: each as if the others had never been there."""
        if self._keys is None:
            raise gym.error.ResetNeeded("call reset() before select_slots()")
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):  # every array of this object has one entry a slot
                setattr(self, name, value[slots])
        self.num_envs = len(slots)
        self._slots = np.arange(self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def _begin(self, mask):
        self._episodes[mask] += 1
        self._steps[mask] = 0
        if self._settings.fixed_start is None:
            self._row[mask], self._col[mask] = draw_starts(self._keys[mask], self._episodes[mask], self.size)
        else:
            self._row[mask], self._col[mask] = self._settings.fixed_start
        if self.render_mode is not None:
            self._trail[mask, 0] = np.stack([self._row[mask], self._col[mask]], axis=1)

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

    def _checked_actions(self, actions):
        if self._keys is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be integers of shape ({self.num_envs},), got {actions.dtype} of shape {actions.shape}"
            )
        if actions.min() < 0 or actions.max() >= self._settings.num_actions:
            wrong = actions[(actions < 0) | (actions >= self._settings.num_actions)][0]
            raise ValueError(f"an action is {wrong}; it must be from 0 to {self._settings.num_actions - 1}")
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
