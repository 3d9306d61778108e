"""Refuse environments that a model cannot act in, before anything is computed."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from hf_icrl.histories import space_to_spec


def check_envs(envs, config):
    """Check that a model with this `config` can act in `envs`.

    Raises:
        TypeError: `envs` is no vector environment.
        ValueError: the autoreset mode is not same-step, or a space differs from the model's. (With
            `config.padded_spaces` a discrete one may be smaller; with `config.reads_action_sets` there may be any number
            of discrete actions.)
    """
    if not isinstance(envs, VectorEnv):
        what = "a scalar environment" if isinstance(envs, gym.Env) else f"a {type(envs).__name__}"
        raise TypeError(
            f"envs is {what}; it must be a gymnasium vector environment: family.make_vec(tasks), or "
            'gymnasium.make_vec(env_id, num_envs=n, vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})'
        )
    mode = (envs.metadata or {}).get("autoreset_mode")
    if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value):
        found = getattr(mode, "value", mode)
        raise ValueError(
            f"envs resets itself in mode {found!r}; a rollout needs {AutoresetMode.SAME_STEP.value!r}, where the "
            "observation after an episode's last step is the first of the next episode. For gymnasium's vector "
            'environments pass vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}'
        )
    for name in ("observation_space", "action_space"):
        expected, found = getattr(config, name), space_to_spec(getattr(envs, f"single_{name}"))
        if (
            name == "action_space"
            and getattr(config, "reads_action_sets", False)
            and found["type"] == expected["type"] == "Discrete"
        ):
            continue
        if not same_space(expected, found, smaller=config.padded_spaces):
            raise ValueError(
                f"the model was made for the {name.replace('_', ' ')} {expected}, but the environments have {found}: "
                "make the environments with the arguments that the model was trained with, or train a model for these"
            )


def same_space(a, b, smaller=False):
    """Whether two space specs (dicts) describe the same set of values; bounds are compared as float32.

    With `smaller`, a discrete `b` may have fewer values.
    """
    # Here, because whatever touches models/ loads transformers, and reading a report should not.
    from hf_icrl.models.space_specs import parse_space

    a, b = parse_space(a, "the model's space"), parse_space(b, "the environments' space")
    if smaller and a.is_discrete and (a.kind, a.shape) == (b.kind, b.shape):
        return all(few <= many for few, many in zip(b.sizes, a.sizes, strict=True))
    return (a.kind, a.shape, a.sizes) == (b.kind, b.shape, b.sizes) and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("low", "high")
    )
