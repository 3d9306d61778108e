"""What all DarkRooms of a family share, checked once for the scalar and the vector environment and the family."""

from itertools import permutations

import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_bool, checked_int
from hf_icrl.counter_random import integers
from hf_icrl.envs import grid
from hf_icrl.envs import words as word_sets

OBSERVATIONS = (*grid.OBSERVATIONS, "one_hot", "image")
# Every permutation of the five moves, in lexicographic order.
PERMUTATIONS = np.array(list(permutations(range(grid.NUM_ACTIONS))), dtype=np.int64)
# Beyond every counter that a stream's goal (0) and starts (1 + episode) can take.
_ORDER_COUNTER = 2**63


class RoomSettings:
    """The arguments of `hf_icrl.envs.DarkRoomEnv` but for the task and the render mode.

    Attributes:
        kwargs (`dict`): all of them as JSON values, defaults filled in.
        moves (`np.ndarray` of int64, shape `(word_length, num_actions)`): the atomic moves that each action plays.
        num_actions (`int`), fixed_start (`(row, col)` or `None`), observed_size (`int`): derived.

    Raises:
        ValueError: an argument is of the wrong kind or does not fit the others.
    """

    def __init__(
        self,
        size,
        start,
        horizon,
        terminate_on_goal,
        observation,
        observation_size,
        permuted,
        word_length,
        words,
        words_seed,
        words_split,
    ):
        size = grid.checked_size(size)
        word_length = word_sets.checked_word_length(word_length)
        self.kwargs = {
            "size": size,
            "start": grid.checked_start(start, size),
            "horizon": checked_int(horizon, "horizon", 1),
            "terminate_on_goal": checked_bool(terminate_on_goal, "terminate_on_goal"),
            "observation": grid.checked_observation(observation, OBSERVATIONS),
            "observation_size": _checked_observation_size(observation_size, size),
            "permuted": checked_bool(permuted, "permuted"),
            "word_length": word_length,
            "words": word_sets.checked_words(words, word_length),
            "words_seed": checked_int(words_seed, "words_seed", 0),
            "words_split": word_sets.checked_split(words_split),
        }
        ids = word_sets.word_ids(word_length, self.kwargs["words"], words_seed, words_split, size)
        self.moves = np.ascontiguousarray(word_sets.catalogue(word_length)[ids].T)
        self.num_actions = len(ids)
        self.size = size
        self.permuted = self.kwargs["permuted"]
        self.word_length = word_length
        self.observed_size = self.kwargs["observation_size"] or size
        self.fixed_start = grid.start_cell(self.kwargs["start"], size)

    @property
    def order_entry(self):
        """The task entry in which the order of the actions stands."""
        return "action_permutation" if self.word_length == 1 else "word_order"

    def observation_space(self):
        """Of one environment; see `DarkRoomEnv`."""
        kind, size = self.kwargs["observation"], self.observed_size
        if kind == "index":
            return spaces.Discrete(size * size)
        if kind == "row_col":
            return spaces.MultiDiscrete([size, size])
        if kind == "one_hot":
            return spaces.Box(0.0, 1.0, (size * size,), np.float32)
        return spaces.Box(0, 255, (size, size, 3), np.uint8)

    def encode(self, row, col):
        """Cells, ints or int64 `(n,)`, to observations."""
        return grid.encode(row, col, self.observed_size, self.kwargs["observation"], self.size)

    def decode(self, observations):
        """The inverse of `encode`: a pair of int64 arrays `(n,)`."""
        return grid.decode(observations, self.observed_size, self.kwargs["observation"])

    def checked_order(self, action_permutation=None, word_order=None, num_envs=None):
        """The one of the two that is given (it must fit the word length), as int64, or `None`.

        Returns:
            `np.ndarray` or `None`: `(5,)` or `()`; with `num_envs`, `(num_envs, 5)` or `(num_envs,)`, whether one for
            all or one for each was given.
        """
        given = {"action_permutation": action_permutation, "word_order": word_order}
        value = given.pop(self.order_entry)
        if any(other is not None for other in given.values()):
            raise ValueError(
                f"{next(iter(given))} is given, but word_length is {self.word_length}: the order of the actions is "
                f"{self.order_entry} here"
            )
        if value is None:
            return None
        order = np.asarray(value)
        shape = (grid.NUM_ACTIONS,) if self.word_length == 1 else ()
        if order.dtype.kind not in "iu" or order.shape not in (
            [shape] if num_envs is None else [shape, (num_envs, *shape)]
        ):
            several = "" if num_envs is None else f", or {num_envs} of them (one for each environment)"
            what = "a list of five integers" if self.word_length == 1 else "an integer"
            raise ValueError(f"{self.order_entry} must be {what}{several}, got {order.dtype} of shape {order.shape}")
        order = order.astype(np.int64)
        if self.word_length == 1:
            wrong = (np.sort(order, axis=-1) != np.arange(grid.NUM_ACTIONS)).any(axis=-1)
            if wrong.any():
                raise ValueError(
                    f"action_permutation is {order[wrong].tolist()[0] if wrong.ndim else order.tolist()}; it must hold "
                    f"each of 0 to {grid.NUM_ACTIONS - 1} once"
                )
        elif order.min() < 0:
            raise ValueError(f"word_order is {order.min()}; it must be an integer of at least 0")
        return order if num_envs is None else np.broadcast_to(order, (num_envs, *shape)).copy()

    def draw_orders(self, keys):
        """The order of the actions that each stream gives when none was asked for: `(n, 5)` or `(n,)`."""
        if self.word_length == 1:
            return PERMUTATIONS[integers(keys, _ORDER_COUNTER, len(PERMUTATIONS))]
        return integers(keys, _ORDER_COUNTER, 2**31)

    def orders(self, entries):
        """Orders as `draw_orders` and tasks give them, written out: int64 `(n, num_actions)`."""
        if self.word_length == 1:
            return entries
        return np.stack([word_sets.word_order(int(seed), self.num_actions) for seed in entries])


def _checked_observation_size(observation_size, size):
    if observation_size is None:
        return None
    observation_size = checked_int(observation_size, "observation_size", 2)
    if observation_size < size:
        raise ValueError(
            f"observation_size is {observation_size}, but the room has size {size}; give at least the size of the "
            "largest room that shares these observations"
        )
    return observation_size
