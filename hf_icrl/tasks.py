"""Task families by name: which tasks there are, which are held out, and what perfect and random agents earn on each.

A *task* is a dict of JSON values: exactly the keyword arguments that, with a family's `env_id` and `env_kwargs`,
rebuild one environment (`{"goal": [2, 7]}`). A *family* is the set of tasks that share the rest.

A new family is a subclass of `TaskFamily` (`hf_icrl/envs/family.py`) and one line in `_FAMILIES`.
"""

import inspect
from importlib import import_module

from hf_icrl.envs.family import TaskFamily
from hf_icrl.naming import check_names, nearest
from hf_icrl.splits import task_key, validation_split

__all__ = ["TaskFamily", "divide_tasks", "family_of_section", "task_family", "task_key", "validation_split"]

# Family name -> where its class is. Classes are loaded on first use.
_FAMILIES = {
    "bernoulli_bandit": "hf_icrl.envs.bernoulli_bandit_tasks:BernoulliBanditFamily",
    "contextual_bandit": "hf_icrl.envs.contextual_bandit_tasks:ContextualBanditFamily",
    "dark_room": "hf_icrl.envs.dark_room_tasks:DarkRoomFamily",
    "gymnasium": "hf_icrl.envs.gymnasium_tasks:GymnasiumFamily",
    "key_to_door": "hf_icrl.envs.key_to_door_tasks:KeyToDoorFamily",
    "linear_bandit": "hf_icrl.envs.linear_bandit_tasks:LinearBanditFamily",
}
# Environment id -> family name: an id names its family, too.
_FAMILY_OF_ENV_ID = {
    "hf_icrl/BernoulliBandit-v0": "bernoulli_bandit",
    "hf_icrl/ContextualBandit-v0": "contextual_bandit",
    "hf_icrl/DarkRoom-v0": "dark_room",
    "hf_icrl/Gymnasium-v0": "gymnasium",
    "hf_icrl/KeyToDoor-v0": "key_to_door",
    "hf_icrl/LinearBandit-v0": "linear_bandit",
}


def task_family(name, /, **env_kwargs):
    """The family called `name`.

    Args:
        name (`str`): `"bernoulli_bandit"`, `"contextual_bandit"`, `"dark_room"`, `"gymnasium"`, `"key_to_door"` or
            `"linear_bandit"`, or its environment id, such as `"hf_icrl/DarkRoom-v0"`.
        env_kwargs: environment arguments that all tasks share; what is left out has the environment's default.

    Returns:
        `TaskFamily`.

    Raises:
        ValueError: an unknown name or argument (the nearest valid one is named), or a bad value.

    Example:
        >>> family = task_family("dark_room", size=9)
        >>> train, held_out = family.split(seed=0, held_out=0.2)
        >>> len(train), len(held_out)
        (64, 16)
    """
    key = _FAMILY_OF_ENV_ID.get(name, name)
    if key not in _FAMILIES:
        raise ValueError(f"unknown task family {name!r}: {nearest(name, {*_FAMILIES, *_FAMILY_OF_ENV_ID})}")
    module, _, attribute = _FAMILIES[key].partition(":")
    family_class = getattr(import_module(module), attribute)
    parameters = inspect.signature(family_class).parameters
    check_names(env_kwargs, list(parameters), f"{key} argument")
    for parameter in parameters.values():
        if parameter.default is parameter.empty and parameter.name not in env_kwargs:
            raise ValueError(f"the task family {key!r} needs the argument {parameter.name!r}, which has no default")
    return family_class(**env_kwargs)


def divide_tasks(family, *, split_seed=0, held_out=0.2, validation=0, population=None):
    """The three disjoint task lists of an experiment.

    Args:
        family (`TaskFamily`): where the tasks come from.
        split_seed, held_out, population: see `TaskFamily.split`.
        validation (`int`, *optional*, defaults to 0): see `validation_split`.

    Returns:
        `dict`: "train" (without the validation tasks), "validation" and "held_out".
    """
    train, held_out = family.split(seed=split_seed, held_out=held_out, population=population)
    train, validation = validation_split(train, validation, seed=split_seed)
    return {"train": train, "validation": validation, "held_out": held_out}


def family_of_section(section):
    """What the section `environment` of a recipe describes.

    Args:
        section (`dict`): "family", and whatever there is of "kwargs" and of the arguments of `divide_tasks`.

    Returns:
        `(TaskFamily, dict)`: the family, and its tasks as `divide_tasks` gives them.
    """
    family = task_family(section["family"], **(section.get("kwargs") or {}))
    names = ("split_seed", "held_out", "validation", "population")
    return family, divide_tasks(family, **{name: section[name] for name in names if name in section})
