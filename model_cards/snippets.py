"""The code that a card prints. The tests run it as printed."""

import inspect

from hf_icrl.model_cards.rendering import literal
from hf_icrl.tasks import task_family

_MODEL = """\
import hf_icrl
from transformers import AutoModel

model = AutoModel.from_pretrained({model})
family = hf_icrl.task_family({family})
tasks = {tasks}
result = hf_icrl.rollout(model, family.make_vec(tasks), num_episodes={episodes})
print(result)  # one row a task, one column an episode: result.returns"""

_ACTING = """\
{prepared}envs = family.make_vec(tasks)
observations, _ = envs.reset(seed=0)
state = model.init_rollout(len(tasks), seed=0{sets})
actions = model.act(state, observations)
for _ in range({steps}):
    observations, rewards, terminated, truncated, _ = envs.step(actions)
    actions = model.act(state, observations, rewards, terminated | truncated)"""

# Characters.
_LONGEST_TASKS = 400
# Which actions there are: bool (tasks, actions).
_SETS = {
    "family": "available = family.available_actions(tasks)  # one row a task, one entry an action: is it there?\n",
    "all": "import numpy as np\n\navailable = np.ones((len(tasks), family.num_actions), bool)  # any other number, too\n",
}
_CHANGE = """

available[:, -1] = False  # the last action goes away: from the next step on; what was seen stays in the context
state.set_available_actions(available)"""

_DATASET = """\
import hf_icrl
from datasets import {load}

dataset = {load}({dataset}{split})
print(dataset)

windows = hf_icrl.HistoryWindows(dataset, length={length}, num_windows=1000, seed=0{options})
print({{name: tuple(values.shape) for name, values in windows[0].items()}})"""
_REBUILD = """

family = hf_icrl.task_family({family})
env = family.make(dataset[0]["task"])  # the gymnasium environment in which the first row was collected"""


_MIXTURE = """\
import hf_icrl
from datasets import {load}

parts = {parts}
print(parts)

windows = hf_icrl.MixtureWindows(
    list(parts.values()), weights={weights}, length={length}, num_windows=1000, seed=0{options}
)
print({{name: tuple(values.shape) for name, values in windows[0].items()}})"""


def usage_snippet(model_id, family, env_kwargs, tasks, *, episodes=40):
    """Python that loads a model, lets it act on a few tasks and prints what it earned.

    Args:
        model_id (`str`): a folder (relative to where the code is run) or a Hub id.
        family (`str`), env_kwargs (`dict`): what the tasks have in common, see `hf_icrl.task_family`.
        tasks (list of task dicts): the first few are printed; where that would be a screenful of numbers, fresh ones are
            drawn.
        episodes (`int`): how many episodes to act.
    """
    arguments = _family_arguments(family, env_kwargs)
    shown = literal(list(tasks[:4]))
    if len(shown) > _LONGEST_TASKS:
        shown = "family.sample(4, seed=12345)"  # another seed than populations are usually drawn with
    return _MODEL.format(model=literal(str(model_id)), family=arguments, tasks=shown, episodes=episodes)


def _family_arguments(family, env_kwargs):
    """The arguments of `task_family` as Python: what has no default or differs from it. Long code is skipped by readers."""
    parameters = inspect.signature(type(task_family(family, **env_kwargs))).parameters
    needed = {name: value for name, value in env_kwargs.items() if parameters[name].default is inspect.Parameter.empty}
    defaults = task_family(family, **needed).env_kwargs
    changed = {name: value for name, value in env_kwargs.items() if name in needed or defaults.get(name) != value}
    return ", ".join([literal(family), *(f"{name}={literal(value)}" for name, value in changed.items())])


def acting_snippet(steps=100, actions=None):
    """Python that goes on from `usage_snippet` with the plain acting loop.

    Args:
        steps (`int`): of the loop.
        actions (`str`, *optional*): for models that act with any number of actions, where it is known which ones a task
            has: `"family"`, or `"all"` where all tasks have all.
    """
    if actions is None:
        return _ACTING.format(steps=steps, prepared="", sets="")
    return _ACTING.format(steps=steps, prepared=_SETS[actions], sets=", available_actions=available") + _CHANGE


def dataset_snippet(dataset, length, *, on_hub, num_actions=None, family=None, env_kwargs=None):
    """Python that opens learning histories, cuts windows of them and rebuilds an environment.

    Args:
        dataset (`str` or `Path`): a folder, or with `on_hub` a Hub id.
        length (`int`): of the windows.
        num_actions (`int`, *optional*): for windows that say what actions there are.
        family (`str`, *optional*), env_kwargs (`dict`): what the tasks have in common; None: nobody knows.
    """
    code = _DATASET.format(
        load="load_dataset" if on_hub else "load_from_disk",
        dataset=literal(str(dataset)),
        split=', split="train"' if on_hub else "",
        length=length,
        options="" if num_actions is None else f", num_actions={num_actions}",
    )
    return code if family is None else code + _REBUILD.format(family=_family_arguments(family, env_kwargs))


def mixture_snippet(dataset, weights, length, *, on_hub, own_actions=None):
    """Python that opens the parts of a mixture (name -> weight) and cuts windows of all of them.

    `own_actions`: how many actions each part has, for windows that say which there are.
    """
    options = "" if own_actions is None else f", num_actions={max(own_actions)}, own_actions={own_actions}"
    parts = f"load_from_disk({literal(str(dataset))})"
    if on_hub:
        # On the Hub a part is a configuration, because the task columns of parts may differ.
        loaded = (
            f'{literal(name)}: load_dataset({literal(str(dataset))}, {literal(name)}, split="train")'
            for name in weights
        )
        parts = "{" + ", ".join(loaded) + "}"
    load = "load_dataset" if on_hub else "load_from_disk"
    weights = literal(list(weights.values()))
    return _MIXTURE.format(load=load, parts=parts, weights=weights, length=length, options=options)
