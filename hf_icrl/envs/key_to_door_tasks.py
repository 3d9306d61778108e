"""The Key-to-Door family: every key and door of one room, with exact scores and an optimal demonstrator."""

import random

import numpy as np

from hf_icrl.envs import grid
from hf_icrl.envs.family import TaskFamily
from hf_icrl.envs.key_to_door import checked_room, decode, following_cells
from hf_icrl.naming import check_names

_EXAMPLE = 'a task of the family "key_to_door" is a dict such as {"key": [2, 7], "door": [6, 1]}'


class KeyToDoorFamily(TaskFamily):
    """Key-to-Door rooms that differ in their key and their door: all ordered pairs of different cells (6480 for 9 x 9).

    A task whose key lies at the door is none of `tasks()`, but allowed: the published split "cccad" has some.

    Published splits (`split(held_out=name)`), of the room of size 9:

    - `"ad_eps"`: 1000 train and 50 held-out pairs that differ in row *and* column (Zisman et al. 2024); always that of
      NumPy's seed 42, as published, whatever `seed` is;
    - `"cccad"`: all 9**4 = 6561 pairs, 6233 to train and 328 held out; `seed=0` is published.

    Args:
        size, start, start_off_key, horizon, terminate_at_door, observation, key_in_observation: as in
            `hf_icrl.envs.KeyToDoorEnv`.
    """

    name = "key_to_door"
    env_id = "hf_icrl/KeyToDoor-v0"
    published_splits = {"ad_eps": "_ad_eps_split", "cccad": "_cccad_split"}

    def __init__(
        self,
        size=9,
        start="random",
        start_off_key=False,
        horizon=50,
        terminate_at_door=True,
        observation="index",
        key_in_observation=False,
    ):
        env_kwargs = checked_room(
            size, start, start_off_key, horizon, terminate_at_door, observation, key_in_observation
        )
        super().__init__(env_kwargs, horizon=env_kwargs["horizon"], num_actions=grid.NUM_ACTIONS)
        self._size = env_kwargs["size"]
        self._first_visits = {}  # cell -> see _first_visit

    # ---- Tasks ----

    def tasks(self):
        """`[{"key": [row, col], "door": [row, col]}, ...]`: lexicographic, the key first; never both in one cell."""
        return [task for task in self._all_pairs() if task["key"] != task["door"]]

    def check_task(self, task):
        """Raise `ValueError` unless `task` is `{"key": [row, col], "door": [row, col]}` inside the room."""
        if not isinstance(task, dict):
            raise ValueError(f"task is {task!r}; {_EXAMPLE}")
        check_names(task, ["key", "door"], "key_to_door task entry")
        for name in ("key", "door"):
            if name not in task:
                raise ValueError(f"task is {task!r}, without {name!r}; {_EXAMPLE}")
            grid.checked_cell(task[name], self._size, name)

    def task_array(self, tasks):
        """Keys and doors as int64 `(n, 4)`: key row, key column, door row, door column."""
        for task in tasks:
            self.check_task(task)
        return np.array([[*task["key"], *task["door"]] for task in tasks], dtype=np.int64).reshape(len(tasks), 4)

    def _ad_eps_split(self, seed):
        """AD-eps's 1000 train and 50 held-out tasks; `seed` is not used, the published one is always 42.

        All 81 * 81 pairs in lexicographic order (key row, key column, door row, door column), permuted by NumPy's
        legacy generator, which never changes; kept where row and column both differ (5184); the first 1000, then 50.
        """
        pairs = self._published_pairs("ad_eps")
        pairs = [pairs[i] for i in np.random.RandomState(42).permutation(len(pairs))]
        pairs = [p for p in pairs if p["key"][0] != p["door"][0] and p["key"][1] != p["door"][1]]
        return pairs[:1000], pairs[1000:1050]

    def _cccad_split(self, seed):
        """CCCAD's 6233 train and 328 held-out tasks.

        All 6561 pairs in lexicographic order, shuffled by Python's `random.Random(seed)`; the first 95 % are to train.
        """
        pairs = self._published_pairs("cccad")
        random.Random(seed).shuffle(pairs)
        num_train = round(0.95 * len(pairs))
        return pairs[:num_train], pairs[num_train:]

    def _published_pairs(self, name):
        if self._size != 9:
            raise ValueError(f"the published split {name!r} is of the room of size 9, but size is {self._size}")
        return self._all_pairs()

    def _all_pairs(self):
        cells = [[row, col] for row in range(self._size) for col in range(self._size)]
        return [{"key": list(key), "door": list(door)} for key in cells for door in cells]

    # ---- Scores ----

    def oracle_return(self, task):
        """What a policy that knows the task earns in one episode, on average over starts; exact.

        No way pays more than the shortest one to the key and from there to the door. Each leg takes at least one step:
        staying collects a key or door that the agent stands on.
        """
        self.check_task(task)
        rows, cols = np.divmod(np.arange(self._size**2), self._size)
        (key_row, key_col), (door_row, door_col) = task["key"], task["door"]
        to_key = np.maximum(np.abs(rows - key_row) + np.abs(cols - key_col), 1)
        to_door = max(abs(key_row - door_row) + abs(key_col - door_col), 1)
        earned = (to_key <= self.horizon) * 1.0 + (to_key + to_door <= self.horizon)
        return float(earned[self._starts(task)].mean())

    def random_return(self, task):
        """What uniformly random actions earn in one episode, on average; exact.

        The chance to take the key at step t, times 1 plus the chance to find the door in the steps that are left then,
        summed over t. Both are first visits of one cell, so they are shared by all tasks with that key or that door.
        """
        self.check_task(task)
        size = self._size
        key, door = (cell[0] * size + cell[1] for cell in (task["key"], task["door"]))
        takes = self._first_visit(key)[:, self._starts(task)].mean(axis=1)
        opens = np.cumsum(self._first_visit(door)[:, key])
        # Taken at step t of 1 to horizon: horizon - t steps are left, none after the last.
        left = np.concatenate([opens[:-1][::-1], [0.0]])
        return float(takes @ (1.0 + left))

    def _starts(self, task):
        """The cells where an episode may start, all equally likely: bool `(size**2,)`."""
        fixed = grid.start_cell(self.env_kwargs["start"], self._size)
        if fixed is not None:
            return np.arange(self._size**2) == fixed[0] * self._size + fixed[1]
        starts = np.ones(self._size**2, dtype=bool)
        if self.env_kwargs["start_off_key"]:
            starts[task["key"][0] * self._size + task["key"][1]] = False
        return starts

    def _first_visit(self, cell):
        """The chance that a random walk ends its step t in `cell` for the first time: float64 `(horizon, size**2)`.

        Row t - 1 is step t, the column is where the walk began; a walk that begins in `cell` counts when it is there
        after a step. By dynamic programming over t.
        """
        if cell not in self._first_visits:
            following = following_cells(self._size).reshape(self._size**2, grid.NUM_ACTIONS)
            chance = np.empty((self.horizon, self._size**2))
            chance[0] = (following == cell).mean(axis=1)
            for t in range(1, self.horizon):
                chance[t] = np.where(following == cell, 0.0, chance[t - 1][following]).mean(axis=1)
            self._first_visits[cell] = chance
        return self._first_visits[cell]

    # ---- The demonstrator ----

    def demonstrator(self, observations, task_array, infos):
        """The published walker: to the key, then to the door, each time along the column first; then it stays.

        `infos["has_key"]` (bool `(n,)`) tells where it is heading, since observations need not.
        """
        return self.walk(observations, task_array, self.targets(task_array, infos))

    def possible_targets(self):
        """Every cell, `(size**2, 2)`."""
        return grid.possible_goals(self._size, "random")

    def targets(self, task_array, infos):
        """The keys, and the doors of those who have their key: `(n, 2)`."""
        return np.where(infos["has_key"][:, None], task_array[:, 2:], task_array[:, :2])

    def walk(self, observations, task_array, targets):
        """The shortest way to any cells `targets` `(n, 2)`: along the column to their row first, then along the row."""
        row, col = decode(observations, self._size, self.env_kwargs["observation"])
        return grid.walk(row, col, targets[:, 0], targets[:, 1])

    def arrived(self, observations, targets):
        """Bool `(n,)`: does each agent stand on its target?"""
        row, col = decode(observations, self._size, self.env_kwargs["observation"])
        return (row == targets[:, 0]) & (col == targets[:, 1])
