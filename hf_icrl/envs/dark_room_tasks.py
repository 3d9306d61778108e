"""The DarkRoom family: every goal of one room, with exact scores and an optimal demonstrator."""

import numpy as np

from hf_icrl.checks import checked_bool, checked_int
from hf_icrl.envs import grid
from hf_icrl.envs.dark_room import outcome
from hf_icrl.envs.family import TaskFamily
from hf_icrl.naming import check_names


class DarkRoomFamily(TaskFamily):
    """DarkRooms that differ in their goal: every cell, but for a fixed start (80 goals for 9 x 9).

    Args:
        size, start, horizon, terminate_on_goal, observation: as in `hf_icrl.envs.DarkRoomEnv`.
    """

    name = "dark_room"
    env_id = "hf_icrl/DarkRoom-v0"

    def __init__(self, size=9, start="center", horizon=20, terminate_on_goal=False, observation="index"):
        size = grid.checked_size(size)
        env_kwargs = {
            "size": size,
            "start": grid.checked_start(start, size),
            "horizon": checked_int(horizon, "horizon", 1),
            "terminate_on_goal": checked_bool(terminate_on_goal, "terminate_on_goal"),
            "observation": grid.checked_observation(observation),
        }
        super().__init__(env_kwargs, horizon=env_kwargs["horizon"], num_actions=grid.NUM_ACTIONS)
        self._size = size
        self._scores = {}  # (goal, reduction over actions) -> expected return

    def tasks(self):
        """`[{"goal": [row, col]}, ...]` in state order."""
        return [{"goal": goal} for goal in grid.possible_goals(self._size, self.env_kwargs["start"]).tolist()]

    def check_task(self, task):
        """Raise `ValueError` unless `task` is `{"goal": [row, col]}` with a goal inside the room."""
        if not isinstance(task, dict):
            raise ValueError(
                f'task is {task!r}; a task of the family "dark_room" is a dict such as {{"goal": [2, 7]}}'
            )
        check_names(task, ["goal"], "dark_room task entry")
        if "goal" not in task:
            raise ValueError('task is {}; a task of the family "dark_room" is a dict such as {"goal": [2, 7]}')
        grid.checked_cell(task["goal"], self._size, "goal")

    def task_array(self, tasks):
        """Goals as int64 `(n, 2)`."""
        for task in tasks:
            self.check_task(task)
        return np.array([task["goal"] for task in tasks], dtype=np.int64).reshape(len(tasks), 2)

    def oracle_return(self, task):
        """What a policy that knows the goal earns in one episode, on average over starts; exact."""
        return self._expected_return(task, np.max)

    def random_return(self, task):
        """What uniformly random actions earn in one episode, on average; exact."""
        return self._expected_return(task, np.mean)

    def demonstrator(self, observations, task_array, infos):
        """The published walker: first along the column to the goal's row, then along the row, then it stays."""
        return self.walk(observations, task_array, task_array)

    def possible_targets(self):
        """Every possible goal."""
        return grid.possible_goals(self._size, self.env_kwargs["start"])

    def targets(self, task_array, infos):
        """The goals."""
        return task_array

    def walk(self, observations, task_array, targets):
        """The same walk, to any cells `targets` `(n, 2)`; no way is shorter."""
        row, col = grid.decode(observations, self._size, self.env_kwargs["observation"])
        return grid.walk(row, col, targets[:, 0], targets[:, 1])

    def arrived(self, observations, targets):
        """Bool `(n,)`: does each agent stand on its target?"""
        row, col = grid.decode(observations, self._size, self.env_kwargs["observation"])
        return (row == targets[:, 0]) & (col == targets[:, 1])

    def _expected_return(self, task, backup):
        """Value of the start by backward induction; `backup` is the NumPy reduction over actions."""
        self.check_task(task)
        goal = tuple(task["goal"])
        if (goal, backup) not in self._scores:
            state = np.arange(self._size**2)[:, None]
            row, col, reached, terminated, _ = outcome(
                state // self._size,
                state % self._size,
                np.arange(grid.NUM_ACTIONS)[None, :],
                *goal,
                0,
                self._size,
                self.horizon,
                self.env_kwargs["terminate_on_goal"],
            )
            following = row * self._size + col
            values = np.zeros(self._size**2)
            for _ in range(self.horizon):
                values = backup(reached + np.where(terminated, 0.0, values[following]), axis=1)
            start = grid.start_cell(self.env_kwargs["start"], self._size)
            score = values.mean() if start is None else values[start[0] * self._size + start[1]]
            self._scores[goal, backup] = float(score)
        return self._scores[goal, backup]
