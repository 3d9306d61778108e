"""The family of one gymnasium environment whose values vary from task to task."""

import json
import math
from importlib import import_module

import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_int
from hf_icrl.counter_random import integers, stream_keys, uniforms
from hf_icrl.envs.family import TaskFamily
from hf_icrl.envs.gymnasium_spaces import shown_actions
from hf_icrl.envs.gymnasium_variation import (
    build,
    check_entries,
    check_not_fixed,
    checked_recipe,
    constructor_parameters,
    plain_attributes,
)
from hf_icrl.naming import check_names
from hf_icrl.splits import task_key


class GymnasiumFamily(TaskFamily):
    """Any gymnasium environment; its tasks are dicts of the values that vary, such as `{"length": 0.7}`.

    Which tasks there are is for you to say, since any value may vary: by `sample(vary=...)` or `sample(tasks=...)`, or
    as the `population` of a recipe or of `split`. What perfect and random agents earn is not known.

    Args:
        env, kwargs, horizon: as in `hf_icrl.envs.gymnasium_env.GymnasiumEnv`, which also says what a task may set.

    Example:
        >>> family = task_family("gymnasium", env="CartPole-v1")
        >>> tasks = family.sample(50, seed=0, vary={"length": [0.3, 0.8], "gravity": [7.0, 12.0]})
    """

    name = "gymnasium"
    env_id = "hf_icrl/Gymnasium-v0"

    def __init__(self, env, kwargs=None, horizon=None):
        recipe = checked_recipe(env, kwargs, horizon)
        self._parameters = constructor_parameters(env)
        made = build(**recipe, render_mode=None, task={})
        self._attributes = plain_attributes(made.unwrapped)
        actions, _ = shown_actions(made.action_space)
        made.close()
        num_actions = int(actions.n) if isinstance(actions, spaces.Discrete) else None
        super().__init__(recipe, horizon=recipe["horizon"], num_actions=num_actions)

    def __setstate__(self, state):
        # In a process that collects for another one, which has the module already, and so may have it, too.
        module = state["env_kwargs"]["env"].rpartition(":")[0]
        if module:
            import_module(module)
        self.__dict__.update(state)

    def tasks(self):
        """Raises `ValueError`: any value may vary."""
        raise ValueError(
            f"{self!r} does not know which of its values should vary: say it by sample(num, seed, vary={{...}}) or "
            "sample(tasks=[...]), or as the population, as in population={'num': 50, 'vary': {'gravity': [7.0, 12.0]}} "
            "or population={'tasks': [{'gravity': 9.8}]}"
        )

    def sample(self, num=None, seed=0, vary=None, tasks=None):
        """Different tasks, a list of dicts: drawn, or as listed.

        Args:
            num (`int`, *optional*, defaults to 1000): how many to draw. The first n of a longer draw are the draw of n.
            seed (`int`, *optional*, defaults to 0): which ones.
            vary (`dict`, *optional*): by entry of the tasks, what it is drawn from, uniformly and independently:
                `[low, high]` of two floats draws a float, of two ints an int (both ends included), and
                `{"choices": [...]}` one of these values.
            tasks (`list[dict]`, *optional*): the tasks themselves, instead of `num` and `vary`.

        Raises:
            ValueError: neither or both ways, an unknown entry (the nearest is named), a bad range, a task listed
                twice, tasks of different entries, or fewer different tasks than `num`.
        """
        if tasks is not None:
            if vary is not None or num is not None:
                raise ValueError("sample got tasks, which are all tasks, beside num or vary: leave these out")
            return self._listed(tasks)
        if vary is None:
            return self.tasks()  # raises
        num, seed = checked_int(1000 if num is None else num, "num", 1), checked_int(seed, "seed", 0)
        laws = self._checked_laws(vary)
        possible = math.prod(count for _, count in laws.values())
        if num > possible:
            raise ValueError(f"num is {num}, but vary={vary!r} makes only {possible} different tasks")
        keys = {name: stream_keys(seed, f"gymnasium/vary/{name}", [0]) for name in laws}
        drawn, at = {}, 0
        while len(drawn) < num:
            task = {name: draw(keys[name], at) for name, (draw, _) in laws.items()}
            drawn.setdefault(task_key(task), task)
            at += 1
        for task in drawn.values():
            self.check_task(task)
        return list(drawn.values())

    def check_task(self, task):
        """Raise `ValueError` unless `task` is a dict, not empty, of values that this environment has."""
        if not isinstance(task, dict) or not task:
            example = json.dumps(dict(list(self._attributes.items())[:1] or [("name", 1.0)]), default=str)
            raise ValueError(
                f'task is {task!r}; a task of the family "gymnasium" is a dict with at least one entry, such as {example}'
            )
        check_not_fixed(self.env_kwargs["kwargs"], task)
        check_entries(self.env_kwargs["env"], task, self._parameters, self._attributes)

    def task_array(self, tasks):
        """The numbers of the tasks, float64 `(n, entries)`, entries in alphabetical order.

        Raises:
            ValueError: an entry is no number.
        """
        self._check_same_entries(tasks)
        for task in tasks:
            self.check_task(task)
            for name, value in task.items():
                if not isinstance(value, (bool, int, float)):
                    raise ValueError(f"the task entry {name!r} is {value!r}; only numbers have a place in an array")
        return np.array([[task[name] for name in sorted(tasks[0])] for task in tasks], dtype=np.float64)

    def oracle_return(self, task):
        """`None`: not known."""
        self.check_task(task)

    def random_return(self, task):
        """`None`: not known."""
        self.check_task(task)

    def stack(self, tasks):
        """Entry name -> list of n values, just as they are in the tasks."""
        self._check_same_entries(tasks)
        return {name: [task[name] for task in tasks] for name in tasks[0]}

    def _listed(self, tasks):
        if not isinstance(tasks, (list, tuple)) or not tasks:
            raise ValueError(f"tasks is {tasks!r}; it must be a list of task dicts, not empty")
        for task in tasks:
            self.check_task(task)
        self._check_same_entries(tasks)
        seen = set()
        for task in tasks:
            key = task_key(task)
            if key in seen:
                raise ValueError(f"the task {task} is listed twice")
            seen.add(key)
        return [dict(task) for task in tasks]

    def _check_same_entries(self, tasks):
        for task in tasks:
            if set(task) != set(tasks[0]):
                raise ValueError(
                    f"the tasks of one family have the same entries, but {tasks[0]} and {task} differ: give what is not "
                    "changed its usual value"
                )

    def _checked_laws(self, vary):
        """Name -> (function of (key, counter) that draws a value, how many different values there are)."""
        if not isinstance(vary, dict) or not vary:
            raise ValueError(f"vary is {vary!r}; it must be a dict such as {{'gravity': [7.0, 12.0]}}, not empty")
        laws = {}
        for name, law in vary.items():
            check_names([name], {*self._parameters, *self._attributes}, f"value of {self.env_kwargs['env']}")
            laws[name] = _law(name, law)
        return laws


def _law(name, law):
    if isinstance(law, dict) and set(law) == {"choices"} and isinstance(law["choices"], list) and law["choices"]:
        choices = law["choices"]
        different = len({task_key({name: value}) for value in choices})
        return lambda key, at: choices[int(integers(key, at, len(choices))[0])], different
    ends = law if isinstance(law, (list, tuple)) and len(law) == 2 else ()
    kinds = [type(end) for end in ends]
    if kinds == [int, int] and ends[0] <= ends[1] < ends[0] + 2**31:
        low, count = ends[0], ends[1] - ends[0] + 1
        return lambda key, at: low + int(integers(key, at, count)[0]), count
    if (
        kinds
        and set(kinds) <= {int, float}
        and float in kinds
        and all(map(math.isfinite, ends))
        and ends[0] <= ends[1]
    ):
        low, high = map(float, ends)
        return lambda key, at: low + (high - low) * float(uniforms(key, at)[0]), 1 if low == high else math.inf
    raise ValueError(
        f"vary[{name!r}] is {law!r}; it must be a range [low, high] of numbers with low <= high, or {{'choices': [...]}}"
    )
