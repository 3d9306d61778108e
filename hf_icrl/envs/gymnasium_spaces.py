"""Show a gymnasium space as one that learning histories can hold, and translate values between the two.

Histories hold `Discrete` from 0, `MultiDiscrete` on one axis from 0, and `Box` of float32 (or uint8 images).
"""

import numpy as np
from gymnasium import spaces


def shown_observations(space):
    """`(shown space, translate)`: how the observations of a gymnasium environment are shown.

    Args:
        space (`gymnasium.Space`): the environment's own. Discrete and MultiDiscrete are numbered from 0, MultiBinary
            becomes MultiDiscrete, a Box is cast to float32 (uint8 stays), and anything else is flattened into one
            vector by gymnasium's rules (one-hot for its discrete parts).

    Returns:
        The space, and a function from the environment's observation to the shown one.

    Raises:
        ValueError: the space has no flat form of fixed size (Text, Sequence, Graph).
    """
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        shown, start = _numbered(space)
        if isinstance(space, spaces.Discrete):
            return shown, lambda value: int(value) - start
        return shown, lambda value: np.asarray(value, np.int64).ravel() - start
    if isinstance(space, spaces.Box):
        shown = _float_box(space)
        return shown, lambda value: np.asarray(value, shown.dtype).reshape(shown.shape)
    flat = spaces.flatten_space(space) if space.is_np_flattenable else None
    if not isinstance(flat, spaces.Box):
        raise ValueError(
            f"the observation space {space} has no form of fixed size, so it has no place in a learning history "
            "(Discrete, MultiDiscrete, Box and what flattens to a Box have): wrap the environment, register it under an "
            "id of its own and use that"
        )
    shown = _float_box(flat)
    return shown, lambda value: spaces.flatten(space, value).astype(shown.dtype)


def shown_actions(space):
    """`(shown space, translate)`: the same for actions, the function from a shown action to the environment's own.

    Raises:
        ValueError: the space is neither Discrete, MultiDiscrete, MultiBinary nor Box.
    """
    if isinstance(space, spaces.Discrete):
        shown, start = _numbered(space)
        return shown, lambda action: int(action) + start
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)):
        shown, start = _numbered(space)
        return shown, lambda action: (np.asarray(action) + start).astype(space.dtype).reshape(space.shape)
    if isinstance(space, spaces.Box):
        shown = _float_box(space)
        return shown, lambda action: np.asarray(action, space.dtype).reshape(space.shape)
    raise ValueError(
        f"the action space {space} has no place in a learning history (Discrete, MultiDiscrete and Box have): wrap the "
        "environment, register it under an id of its own and use that"
    )


def _numbered(space):
    """`(space numbered from 0, what to subtract from its values)`."""
    if isinstance(space, spaces.Discrete):
        return (spaces.Discrete(int(space.n)) if space.start else space), int(space.start)
    if isinstance(space, spaces.MultiBinary):
        return spaces.MultiDiscrete([2] * int(np.prod(space.shape))), 0
    if space.nvec.ndim == 1 and space.dtype == np.int64 and not space.start.any():
        return space, 0
    return spaces.MultiDiscrete(space.nvec.ravel()), space.start.ravel()


def _float_box(box):
    """`box` itself where histories can hold it, else the same box of float32."""
    if box.dtype in (np.float32, np.uint8) and box.shape:
        return box
    dtype = np.uint8 if box.dtype == np.uint8 else np.float32
    with np.errstate(over="ignore"):  # float64's largest numbers stand for "no bound" in many environments
        low, high = (np.atleast_1d(bound.astype(dtype)) for bound in (box.low, box.high))
    return spaces.Box(low, high, dtype=dtype)
