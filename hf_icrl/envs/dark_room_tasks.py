"""The DarkRoom family: every goal of one room, with exact scores and an optimal demonstrator."""

import numpy as np

from hf_icrl.checks import checked_int
from hf_icrl.envs import grid, published_splits
from hf_icrl.envs import words as word_sets
from hf_icrl.envs.dark_room_sets import evaluation_set_of_words, evaluation_sets_of_words
from hf_icrl.envs.dark_room_settings import PERMUTATIONS, RoomSettings
from hf_icrl.envs.dark_room_values import RoomValues
from hf_icrl.envs.family import TaskFamily
from hf_icrl.naming import check_names
from hf_icrl.seeding import generator

_PERMUTED = (10_000, 100)  # train and held-out tasks of the split "headless_ad_permuted"
_EXAMPLES = {"goal": "[2, 7]", "action_permutation": "[1, 0, 2, 4, 3]", "word_order": "17"}


class DarkRoomFamily(TaskFamily):
    """DarkRooms that differ in their goal: every cell, but for a fixed start (80 goals for 9 x 9).

    With `permuted=True` they differ in the order of their actions, too. A task then also has an `action_permutation`:
    all goals times all 120 permutations of the five moves, or with a `goal` that all tasks share, the 120 permutations
    alone (the published one is `start="corner", goal=[8, 8]`). For words a task has a `word_order` instead, the seed of
    its own order: `tasks()` gives every goal one order, `sample` draws goals with replacement, each with another order.

    Published splits (`split(held_out=name)`); all but the last may hold out, or train on, the start as a goal:

    - `"headless_ad"`: 68 train and 13 held-out goals; `seed` is the published training seed (give `words_seed` the same);
    - `"headless_ad_permuted"`: for permuted words: 10 000 train tasks whose goals are drawn from those 68, each task with
      another order of its actions, and 100 held-out ones with goals of those 13. (Meant by the published code, which by
      a mistake gave all tasks one order.)
    - `"ad_eps"`: 65 and 16; always that of NumPy's seed 42, as published, whatever `seed` is;
    - `"cccad"`: 73 and 8; `seed=0` is published;
    - `"dpt"`: 80 and 20, for `size=10`; `seed=0` is published;
    - `"a3c_dt"`: 57 and 23 goals, none of them the start. Which is not published, so this is our own split of that size.

    Args:
        size, start, horizon, terminate_on_goal, observation, observation_size, permuted, word_length, words,
            words_seed, words_split: as in `hf_icrl.envs.DarkRoomEnv`.
        goal (`[row, col]`, *optional*): one goal for all tasks, which then differ in their `action_permutation` alone.

    Raises:
        ValueError: a bad argument, or a shared `goal` where actions are not permuted or are words.
    """

    name = "dark_room"
    env_id = "hf_icrl/DarkRoom-v0"
    published_splits = {
        "headless_ad": "_headless_ad_split",
        "headless_ad_permuted": "_headless_ad_permuted_split",
        "ad_eps": "_ad_eps_split",
        "cccad": "_cccad_split",
        "dpt": "_dpt_split",
        "a3c_dt": "_a3c_dt_split",
    }

    def __init__(
        self,
        size=9,
        start="center",
        horizon=20,
        terminate_on_goal=False,
        observation="index",
        observation_size=None,
        permuted=False,
        goal=None,
        word_length=1,
        words="all",
        words_seed=0,
        words_split="random",
    ):
        settings = RoomSettings(
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
        env_kwargs = dict(settings.kwargs)
        if goal is not None:
            if not settings.permuted or settings.word_length > 1:
                raise ValueError(
                    f"goal is {goal!r}: a goal that all tasks share needs permuted=True and word_length=1, or there "
                    "would be nothing in which they differ; leave goal out"
                )
            env_kwargs["goal"] = grid.checked_cell(goal, settings.size, "goal")
        super().__init__(env_kwargs, horizon=env_kwargs["horizon"], num_actions=settings.num_actions)
        self.num_states = settings.observed_size**2
        self._settings = settings
        self._values = RoomValues(settings)
        self._entries = [] if "goal" in env_kwargs else ["goal"]
        if settings.permuted:
            self._entries.append(settings.order_entry)

    # ---- Which tasks there are ----

    def tasks(self):
        """`[{"goal": [row, col]}, ...]` in state order; permuted ones (see the class) in the order of goal, then order.

        Where every task has its own order of the words there are infinitely many; these are one for each goal.
        """
        if self._entries == ["action_permutation"]:
            return [{"action_permutation": order} for order in PERMUTATIONS.tolist()]
        goals = grid.possible_goals(self._settings.size, self.env_kwargs["start"])
        if self._entries == ["goal", "action_permutation"]:
            orders = PERMUTATIONS.tolist()
            return [{"goal": goal, "action_permutation": order} for goal in goals.tolist() for order in orders]
        return self._tasks_of(goals)

    def sample(self, num=1000, seed=0):
        """See `TaskFamily.sample`. Where every task has its own order of the words, goals are drawn with replacement
        and no order twice, so `num` is not bounded by the number of goals."""
        if self._entries != ["goal", "word_order"]:
            return super().sample(num, seed)
        num, seed = checked_int(num, "num", 1), checked_int(seed, "seed", 0)
        rng = generator(seed, "dark_room/sample")
        goals = grid.possible_goals(self._settings.size, self.env_kwargs["start"])
        return _of_different_orders(goals[rng.integers(len(goals), size=num)], rng)

    def check_task(self, task):
        """Raise `ValueError` unless `task` has exactly this family's entries, as in `{"goal": [row, col]}`."""
        example = "{" + ", ".join(f'"{name}": {_EXAMPLES[name]}' for name in self._entries) + "}"
        wrong = f'task is {task!r}; a task of the family "dark_room" is a dict such as {example}'
        if not isinstance(task, dict):
            raise ValueError(wrong)
        check_names(task, self._entries, "dark_room task entry")
        if len(task) < len(self._entries) or None in task.values():
            raise ValueError(wrong)
        if "goal" in task:
            grid.checked_cell(task["goal"], self._settings.size, "goal")
        if self._settings.permuted:
            self._settings.checked_order(**{name: task[name] for name in task if name != "goal"})

    def task_array(self, tasks):
        """Int64 `(n, 2)`: goals. Permuted: `(n, 2 + num_actions)`, then which of the room's actions each action is."""
        for task in tasks:
            self.check_task(task)
        goals = np.array([self._goal(task) for task in tasks], dtype=np.int64).reshape(len(tasks), 2)
        if not self._settings.permuted:
            return goals
        entries = np.array([task[self._settings.order_entry] for task in tasks], dtype=np.int64)
        return np.concatenate([goals, self._settings.orders(entries)], axis=1)

    def _goal(self, task):
        return task["goal"] if "goal" in task else self.env_kwargs["goal"]

    def _tasks_of(self, goals):
        """One task for each goal `(n, 2)`, a list of dicts; the order of words is numbered by the goal's cell."""
        if "word_order" not in self._entries:
            return [{"goal": goal} for goal in goals.tolist()]
        size = self._settings.size
        return [{"goal": goal, "word_order": goal[0] * size + goal[1]} for goal in goals.tolist()]

    # ---- Published splits ----

    def _headless_ad_split(self, seed):
        return self._goal_split("headless_ad", 9, published_splits.headless_ad_goals(seed, 9))

    def _headless_ad_permuted_split(self, seed):
        if self._entries != ["goal", "word_order"]:
            raise ValueError(
                'held_out="headless_ad_permuted" gives every task its own order of words: make the family with '
                'permuted=True and word_length=3, or take held_out="headless_ad"'
            )
        self._check_splittable("headless_ad_permuted", 9)
        train, held_out = (
            np.stack(np.divmod(part, 9), axis=1) for part in published_splits.headless_ad_goals(seed, 9)
        )
        rng = generator(seed, "dark_room/headless_ad_permuted")
        goals = [
            part[rng.integers(len(part), size=num)] for part, num in zip((train, held_out), _PERMUTED, strict=True)
        ]
        tasks = _of_different_orders(np.concatenate(goals), rng)
        return tasks[: _PERMUTED[0]], tasks[_PERMUTED[0] :]

    def _ad_eps_split(self, seed):
        return self._goal_split("ad_eps", 9, published_splits.ad_eps_goals())

    def _cccad_split(self, seed):
        return self._goal_split("cccad", 9, published_splits.cccad_goals(seed))

    def _dpt_split(self, seed):
        return self._goal_split("dpt", 10, published_splits.dpt_goals(seed))

    def _a3c_dt_split(self, seed):
        self._check_splittable("a3c_dt", 9)
        if len(self.tasks()) != 80:
            raise ValueError(
                f'held_out="a3c_dt" divides 80 goals, but start={self.env_kwargs["start"]!r} leaves '
                f'{len(self.tasks())}; the published start is "center"'
            )
        return self.split(seed=seed, held_out=23)

    def _goal_split(self, name, size, cells):
        """Lists of tasks for two arrays of cells, train and held out, each in state order."""
        self._check_splittable(name, size)
        return tuple(self._tasks_of(np.stack(np.divmod(np.sort(part), size), axis=1)) for part in cells)

    def _check_splittable(self, name, size):
        if self._settings.size != size:
            raise ValueError(
                f"held_out={name!r} is published for rooms of size {size}, but size is {self._settings.size}; take "
                "that size, or a fraction as held_out"
            )
        if "action_permutation" in self._entries:
            raise ValueError(
                f"held_out={name!r} divides goals, but with permuted=True tasks also differ in their moves; give a "
                "fraction or a number as held_out"
            )

    # ---- Published evaluation sets ----

    @property
    def evaluation_sets(self):
        """Those of Headless-AD for rooms with words; see `hf_icrl/envs/dark_room_sets.py`."""
        return evaluation_sets_of_words(self.env_kwargs)

    def _evaluation_set(self, name, num, seed, train, held_out):
        instead, tasks = evaluation_set_of_words(name, num, seed, train, held_out)
        return type(self)(**{**self.env_kwargs, **instead}), tasks

    # ---- What perfect and random agents earn ----

    def oracle_return(self, task):
        """What a policy that knows the task earns in one episode, on average over starts; exact."""
        return self._expected_return(task, np.max)

    def random_return(self, task):
        """What uniformly random actions earn in one episode, on average; exact."""
        return self._expected_return(task, np.mean)

    def _expected_return(self, task, backup):
        self.check_task(task)
        return self._values.expected_return(self._goal(task), backup)

    # ---- What a source may ask ----

    def states(self, observations):
        """The cells, as the observation "index" numbers them."""
        row, col = self._settings.decode(observations)
        return row * self._settings.observed_size + col

    # ---- The demonstrator ----

    def demonstrator(self, observations, task_array, infos):
        """The published walker: first along the column to the goal's row, then along the row, then it stays.

        With words: the first of those words that reach the goal soonest, and then as often as possible.
        """
        if self._settings.word_length == 1:
            return self.walk(observations, task_array, task_array[:, :2])
        row, col = self._settings.decode(observations)
        return self._in_task_order(self._values.actions_to_goal(row, col, task_array[:, :2]), task_array)

    def possible_targets(self):
        """Every possible goal."""
        return grid.possible_goals(self._settings.size, self.env_kwargs["start"])

    def targets(self, task_array, infos):
        """The goals."""
        return task_array[:, :2]

    def walk(self, observations, task_array, targets):
        """The same walk, to any cells `targets` `(n, 2)`; no way is shorter. Words end there, and return there."""
        row, col = self._settings.decode(observations)
        if self._settings.word_length == 1:
            actions = grid.walk(row, col, targets[:, 0], targets[:, 1])
        else:
            actions = self._values.actions_to_rest(row, col, targets)
        return self._in_task_order(actions, task_array)

    def arrived(self, observations, targets):
        """Bool `(n,)`: does each agent stand on its target?"""
        row, col = self._settings.decode(observations)
        return (row == targets[:, 0]) & (col == targets[:, 1])

    def action_groups(self, tasks):
        """Where there are both: "train" and "test", which of each task's actions are train words and test words."""
        if self._settings.word_length == 1:
            return {}
        split = [self.env_kwargs[name] for name in ("words_seed", "words_split", "size")]
        ids, train = (
            word_sets.word_ids(self._settings.word_length, words, *split)
            for words in (self.env_kwargs["words"], "train")
        )
        is_train = np.isin(ids, train)
        if is_train.all() or not is_train.any():
            return {}
        # Row by row, the room's actions in the task's order.
        orders = np.arange(len(ids)) if not self._settings.permuted else self.task_array(tasks)[:, 2:]
        groups = np.broadcast_to(is_train[orders], (len(tasks), len(ids)))
        return {"train": groups, "test": ~groups}

    def _in_task_order(self, actions, task_array):
        """The room's actions `(n,)` as the numbers that they have in each task."""
        if not self._settings.permuted:
            return actions
        return (task_array[:, 2:] == actions[:, None]).argmax(axis=1)


def _of_different_orders(goals, rng):
    """A task for each goal `(n, 2)`, no two of which have the same seed of their order of words."""
    orders = rng.choice(2**31, size=len(goals), replace=False).tolist()
    return [{"goal": goal, "word_order": order} for goal, order in zip(goals.tolist(), orders, strict=True)]
