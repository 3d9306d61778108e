"""Which embeddings of observations, rewards and positions fit which spaces, in words."""

import math
from itertools import pairwise

# Embedding -> the kinds of spaces that it takes.
_FITS = {
    "table": ("Discrete",),
    "row_col": ("Discrete", "MultiDiscrete"),
    "linear": ("Box", "Discrete", "MultiDiscrete"),
    "fourier": ("Discrete", "MultiDiscrete"),
    "conv": ("Box",),
}
# How far a reward may be from the value that it is taken for, relative to the value where that is above 1.
REWARD_TOLERANCE = 1e-6


def check_observation_embedding(config, observation):
    """Raise `ValueError` if the embedding, the grid or the normalisation does not fit the observation space.

    Args:
        config ([`ICRLPreTrainedConfig`]): any of the family.
        observation (`SpaceSpec`): its observation space.
    """
    embedding, grid = config.resolved_observation_embedding, config.observation_grid
    if observation.kind not in _FITS[embedding]:
        raise ValueError(
            f"observation_embedding={embedding!r} embeds {' or '.join(_FITS[embedding])}, but observation_space is "
            f"{config.observation_space}: use 'auto'"
        )
    if embedding == "conv" and not (observation.is_image and len(observation.shape) in (2, 3)):
        raise ValueError(
            "observation_embedding='conv' embeds images, Boxes of dtype uint8 with a height, a width and perhaps "
            f"channels, but observation_space is {config.observation_space}: use 'auto'"
        )
    of_coordinates = observation.kind == "Discrete" and embedding in ("row_col", "linear", "fourier")
    if grid is not None and not of_coordinates:
        raise ValueError(
            f"observation_grid={grid} describes a Discrete observation embedded as 'row_col', 'linear' or 'fourier', "
            f"but observation_space is a {observation.kind} embedded as {embedding!r}: leave observation_grid out"
        )
    if of_coordinates:
        if grid is None:
            raise ValueError(
                f"observation_embedding={embedding!r} of {config.observation_space} needs observation_grid, e.g. [9, 9]"
            )
        if min(grid, default=0) < 1 or math.prod(grid) != observation.sizes[0]:
            raise ValueError(
                f"observation_grid={grid} has {math.prod(grid)} cells, but observation_space has "
                f"{observation.sizes[0]} values: they must be equal"
            )
    count = len(grid) if grid is not None else observation.flat_size
    for name in ("observation_mean", "observation_std"):
        values = getattr(config, name)
        if values is None:
            continue
        if embedding != "linear":
            raise ValueError(
                f"{name} has {len(values)} numbers, but observation_space is {observation.describe()}, embedded as "
                f"{embedding!r}, where nothing is normalised: leave it out"
            )
        if len(values) != count:
            raise ValueError(
                f"{name} has {len(values)} numbers, but observation_space is {observation.describe()}: give {count}, "
                "one for each entry of a Box or each coordinate, or leave it out"
            )
    if config.observation_std is not None and min(config.observation_std) <= 0:
        raise ValueError(f"observation_std={config.observation_std} must be above 0")


def check_reward_embedding(config):
    """Raise `ValueError` unless the rewards' normalisation and the values of their table make sense."""
    if config.reward_std <= 0:
        raise ValueError(f"reward_std={config.reward_std} must be above 0")
    if config.reward_embedding != "table":
        return
    values = config.reward_values
    if not values:
        raise ValueError(
            f"reward_embedding='table' needs reward_values, all rewards that there are, e.g. [0.0, 1.0]; got {values}"
        )
    apart = all(b - a > 2 * REWARD_TOLERANCE * max(1, abs(a), abs(b)) for a, b in pairwise(values))
    if not apart or not all(math.isfinite(value) for value in values):
        raise ValueError(f"reward_values={values} must be finite and increasing, each more than 2e-6 above the last")
    if config.reward_mean != 0 or config.reward_std != 1:
        raise ValueError(
            f"reward_mean={config.reward_mean} and reward_std={config.reward_std} normalise rewards that are "
            "projected, but reward_embedding is 'table', which looks them up as they are: leave them out"
        )


def check_position_embedding(config):
    """Raise `ValueError` if times are to be embedded and it is not known how many there are."""
    if config.episode_length is not None and config.episode_length < 1:
        raise ValueError(f"episode_length={config.episode_length}; it must be at least 1 step")
    if config.embeds_time and config.episode_length is None:
        raise ValueError(
            f"position_embedding={config.position_embedding!r} has one vector for each time inside an episode, so it "
            "needs episode_length, the most steps that an episode has (the horizon of the environment)"
        )
