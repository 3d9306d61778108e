"""Build a gymnasium environment with some of its values changed: what a task of `hf_icrl/Gymnasium-v0` says."""

import inspect
import json
import math
import os
import sys
from importlib import import_module

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator

from hf_icrl.checks import checked_int
from hf_icrl.naming import nearest

# Arguments of `gymnasium.make`, `gymnasium.make_vec` and our two classes: a task entry of this name would get lost.
RESERVED = {
    "env",
    "kwargs",
    "horizon",
    "render_mode",
    "num_envs",
    "id",
    "max_episode_steps",
    "disable_env_checker",
    "vectorization_mode",
    "vector_kwargs",
    "wrappers",
}

# Set to "1", it lets recipes and data name Python modules that are then imported; see `find_spec`.
TRUST_VARIABLE = "HF_ICRL_TRUST_REMOTE_CODE"
# gymnasium's own bridge to environments of the old gym, which are named by an argument and would be imported.
_BRIDGES = ("GymV21Environment-v0", "GymV26Environment-v0")

# What an environment computes from its other attributes in its constructor, and never again: class -> name -> how.
# Without this a changed pole would fall as heavily as the unchanged one.
DERIVED = {
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": {
        "total_mass": lambda env: env.masspole + env.masscart,
        "polemass_length": lambda env: env.masspole * env.length,
    },
}


def checked_recipe(env, kwargs, horizon):
    """`{"env", "kwargs", "horizon"}` as JSON values with the defaults filled in.

    Raises:
        ValueError: an unknown id (the nearest is named), kwargs that are no JSON or not to be given here, or an
            environment that has no time limit of its own when no `horizon` is given.
    """
    spec = find_spec(env)
    kwargs = {} if kwargs is None else kwargs
    try:
        kwargs = json.loads(json.dumps(kwargs, allow_nan=False))
        if not isinstance(kwargs, dict):
            raise TypeError("not a dict")
    except (TypeError, ValueError) as error:
        raise ValueError(f"kwargs is {kwargs!r}; it must be a dict of JSON values ({error})") from error
    for name in kwargs:
        if name in RESERVED:
            raise ValueError(f"kwargs holds {name!r}, which is no argument of the environment {env!r} itself")
    if horizon is None:
        horizon = spec.max_episode_steps
        if horizon is None:
            raise ValueError(
                f"{env} has no time limit of its own: say with horizon after how many steps to cut episodes"
            )
    return {"env": env, "kwargs": kwargs, "horizon": checked_int(horizon, "horizon", 1)}


def find_spec(env):
    """The registered spec of `env`, an id such as "CartPole-v1" or "module:Id-v0".

    To import a module is to run its code, and `env` may have been read from a recipe or a data set of somebody else. So
    it is imported only where `HF_ICRL_TRUST_REMOTE_CODE=1` is set (`--trust_remote_code`); one that is imported already
    is used as it is.

    Raises:
        ValueError: no id, an unknown one (the nearest is named), or one that names code which is not trusted.
    """
    if not isinstance(env, str):
        raise ValueError(f'env is {env!r}; it must be a gymnasium id such as "CartPole-v1"')
    module, _, name = env.rpartition(":")
    trusted = os.environ.get(TRUST_VARIABLE) == "1"
    if not trusted and ((module and module not in sys.modules) or name in _BRIDGES):
        raise ValueError(
            f"{env!r} names Python code that would be run: import the module yourself before, or allow it with "
            f"--trust_remote_code (in Python: {TRUST_VARIABLE}=1 in the environment)"
        )
    if module:
        try:
            import_module(module)
        except ImportError as error:
            raise ValueError(f"the module {module!r} of {env!r} cannot be imported: {error}") from error
    if name not in gym.registry:
        raise ValueError(f"unknown gymnasium environment {name!r}: {nearest(name, gym.registry)}")
    return gym.registry[name]


def constructor_parameters(env):
    """The names that may go to the constructor of the environment `env`, a set."""
    creator = find_spec(env).entry_point
    creator = creator if callable(creator) else load_env_creator(creator)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in inspect.signature(creator).parameters.values() if p.kind in kinds} - RESERVED


def plain_attributes(unwrapped):
    """Name -> value of the public attributes that a task may set: numbers, strings, and arrays or lists of numbers."""
    found = {}
    for holder in [*reversed(type(unwrapped).__mro__), unwrapped]:
        found.update(vars(holder))
    derived = derived_attributes(unwrapped)
    kinds = (bool, int, float, str, list, tuple, np.ndarray, np.number)
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, kinds) and name[0] != "_" and name not in RESERVED and name not in derived
    }


def derived_attributes(unwrapped):
    """The entry of `DERIVED` for this environment, empty for most."""
    names = (f"{cls.__module__}:{cls.__name__}" for cls in type(unwrapped).__mro__)
    return next((DERIVED[name] for name in names if name in DERIVED), {})


def check_entries(env, task, parameters, attributes):
    """Raise `ValueError` unless every entry of `task` is a constructor parameter or an attribute of a fitting kind.

    Args:
        env (`str`): the environment.
        task (`dict`): what to check.
        parameters (`set`), attributes (`dict`): from `constructor_parameters` and `plain_attributes`.
    """
    for name, value in task.items():
        if name in parameters:
            continue
        if name not in attributes:
            raise ValueError(
                f"{env} has no value {name!r} that a task could set: {nearest(name, {*parameters, *attributes})}"
            )
        fitting(name, attributes[name], value)


def check_not_fixed(kwargs, task):
    """Raise `ValueError` if `task` sets what `kwargs` fixes for all tasks."""
    for name in task:
        if name in kwargs:
            raise ValueError(f"the task sets {name!r}, which kwargs fixes to {kwargs[name]!r}: leave one of them out")


def fitting(name, old, new):
    """`new` in the form that the attribute `name`, now `old`, has; `ValueError` if it is of another kind."""
    if isinstance(old, (bool, str)):
        ok = type(new) is type(old)
    elif isinstance(old, (list, tuple, np.ndarray)):
        try:
            array = np.asarray(new, np.asarray(old).dtype)
        except (TypeError, ValueError):
            array = None
        ok = isinstance(new, list) and array is not None and array.shape == np.shape(old)
        if ok:
            new = array if isinstance(old, np.ndarray) else type(old)(new)
    else:
        ok = isinstance(new, (int, float)) and not isinstance(new, bool) and math.isfinite(new)
    if not ok:
        raise ValueError(f"the task sets {name!r} to {new!r}; it must be a value like {old!r}")
    return new


def build(env, kwargs, horizon, render_mode, task):
    """The environment that `gymnasium.make` gives for all this, before our own translations.

    Raises:
        ValueError: a task entry that is no value of this environment, or whatever the environment itself refuses.
    """
    check_not_fixed(kwargs, task)
    parameters = constructor_parameters(env)
    given = {name: value for name, value in task.items() if name in parameters}
    # Many environments that cannot draw do not take the argument at all.
    drawing = {} if render_mode is None else {"render_mode": render_mode}
    try:
        made = gym.make(env, max_episode_steps=horizon, disable_env_checker=True, **drawing, **kwargs, **given)
    except Exception as error:
        arguments = "".join(f", {name}={value!r}" for name, value in {**kwargs, **given}.items())
        raise ValueError(f"gymnasium.make({env!r}{arguments}) failed: {type(error).__name__}: {error}") from error
    changes = {name: value for name, value in task.items() if name not in given}
    if changes:
        unwrapped = made.unwrapped
        attributes = plain_attributes(unwrapped)
        check_entries(env, changes, parameters, attributes)
        for name, value in changes.items():
            setattr(unwrapped, name, fitting(name, attributes[name], value))
        for name, compute in derived_attributes(unwrapped).items():
            setattr(unwrapped, name, compute(unwrapped))
    return made
