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

__all__ = ["TaskFamily", "task_family", "task_key", "validation_split"]

# Family name -> where its class is. Classes are loaded on first use.
_FAMILIES = {"dark_room": "hf_icrl.envs.dark_room_tasks:DarkRoomFamily"}
# Environment id -> family name: an id names its family, too.
_FAMILY_OF_ENV_ID = {"hf_icrl/DarkRoom-v0": "dark_room"}


def task_family(name, /, **env_kwargs):
    """The family called `name`.

    Args:
        name (`str`): `"dark_room"`, or its environment id `"hf_icrl/DarkRoom-v0"`.
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
    check_names(env_kwargs, list(inspect.signature(family_class).parameters), f"{key} argument")
    return family_class(**env_kwargs)
