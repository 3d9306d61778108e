"""Errors that name what is wrong with an input: an argument that a model does not have, a value that it has no vector
for (looked for in NumPy arrays, so on the CPU only)."""

import inspect
from functools import wraps

import numpy as np
import torch

from .embedding_rules import REWARD_TOLERANCE
from .trunk_rules import nearest

# What wrappers made for language models pass to a forward.
_OF_TEXT = ("input_ids", "inputs_embeds", "decoder_input_ids", "decoder_inputs_embeds", "token_type_ids")


def knows_its_arguments(forward):
    """Decorate a `forward` without `**kwargs`: what it does not know is a `TypeError` that says what to do instead."""
    names = {*list(inspect.signature(forward).parameters)[1:], "return_dict"}

    @wraps(forward)
    def checked(self, *args, **kwargs):
        for name in kwargs:
            if name in _OF_TEXT:
                raise TypeError(
                    f"{type(self).__name__}.forward() has no argument {name!r}, for it reads no text. With PEFT leave "
                    "task_type out of the adapter's config; to act use init_rollout and act, not a pipeline"
                )
            if name not in names:
                raise TypeError(f"{type(self).__name__}.forward() has no argument {name!r}{nearest(name, names)}")
        return forward(self, *args, **kwargs)

    return checked


def check_integers(values, space, what):
    """Raise `ValueError` for integers outside a discrete space.

    Args:
        values (`np.ndarray`): (..., *space.shape).
        space (`SpaceSpec`): a Discrete or MultiDiscrete.
        what (`str`): the name used in the error.
    """
    flat = values.reshape(-1, space.flat_size)
    if len(flat) == 0:
        return
    smallest, largest = flat.min(0), flat.max(0)
    wrong = np.flatnonzero((smallest < space.low.reshape(-1)) | (largest > space.high.reshape(-1)))
    if wrong.size:
        i = wrong[0]
        value = smallest[i] if smallest[i] < space.low.reshape(-1)[i] else largest[i]
        raise ValueError(
            f"{what} have the value {value}, which is outside the space that the model was made for: "
            f"{space.describe()}. Check that the dataset and the model's config belong to the same environment"
        )


def check_times(times, episode_length):
    """Raise `ValueError` for times (any shape) that are negative or that no episode of this length has."""
    wrong = times[(times < 0) | (times >= episode_length)]
    if wrong.size:
        raise ValueError(
            f"the time inside an episode is {wrong[0]}, but the model was made for episodes of episode_length="
            f"{episode_length} steps, whose times are 0 to {episode_length - 1}: use an environment whose episodes are "
            "that short (and data whose episodes are whole), or train a model with a larger episode_length"
        )


def check_reward_values(rewards, values):
    """Raise `ValueError` for rewards (any shape) that are none of the values of the model's reward table."""
    rewards = rewards.reshape(-1).astype(np.float64)
    values = np.asarray(values, np.float64)
    distance = np.abs(rewards[:, None] - values) - REWARD_TOLERANCE * np.maximum(1, np.abs(values))
    wrong = rewards[(distance > 0).all(1)]
    if wrong.size:
        raise ValueError(
            f"the reward {wrong[0]:g} is none of reward_values={values.tolist()}, which are all that the model has a "
            "vector for: add it to reward_values, or use reward_embedding='linear'"
        )


def to_numpy(values):
    """A tensor (on any device), list or array as a NumPy array."""
    return values.detach().cpu().numpy() if torch.is_tensor(values) else np.asarray(values)
