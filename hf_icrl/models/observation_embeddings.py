"""One embedding module for each way in which an observation can be read. Suffixes: B rows, T steps, H hidden size."""

import math

import numpy as np
import torch
from torch import nn

# The periods of `CoordinateEmbedding` are 2, 4, ..., 2**6: rooms of up to 64 cells a side have all their cells apart.
NUM_FREQUENCIES = 6
# Below this side the stack of strided convolutions has no pixel left to convolve.
_STRIDED_FROM = 36


class DiscreteEmbedding(nn.Module):
    """One table for each factor of a discrete space; the vectors of the factors are summed.

    Args:
        sizes (`list[int]`): values of each factor.
        hidden_size (`int`): H.
        grid (`list[int]`, *optional*): the space is one Discrete that counts through a grid of this shape, last
            dimension fastest; its coordinates are the factors.
    """

    def __init__(self, sizes, hidden_size, grid=None):
        super().__init__()
        self.grid = grid
        self.tables = nn.ModuleList(nn.Embedding(size, hidden_size) for size in (grid or sizes))

    def forward(self, values):
        """Embed integers of shape (B, T), or (B, T, factors), as (B, T, H)."""
        factors = _factors(values, self.grid)
        total = self.tables[0](factors[0])
        for table, factor in zip(self.tables[1:], factors[1:], strict=True):
            total = total + table(factor)
        return total


class LinearEmbedding(nn.Module):
    """Normalise the numbers of a value and project them.

    Args:
        mean, std (`np.ndarray`): shape (numbers,), float32. Not tensors: `from_pretrained` builds modules under the
            meta device, where tensors have no values.
        hidden_size (`int`): H.
        grid (`list[int]`, *optional*): as in `DiscreteEmbedding`; the numbers are the coordinates.
    """

    def __init__(self, mean, std, hidden_size, grid=None):
        super().__init__()
        self.grid = grid
        # They come from the config, so they are rebuilt, not saved; None where there is nothing to normalise. What is
        # the same for all numbers (the thousands of an image) is kept as one.
        parts = [part[:1] if (part == part[0]).all() else part for part in (mean, std)]
        self.statistics = None if (mean == 0).all() and (std == 1).all() else [part.tolist() for part in parts]
        self.projection = nn.Linear(len(mean), hidden_size)

    def forward(self, values):
        """Embed numbers of shape (B, T, *shape), flattened (B, T, numbers), or of a grid (B, T), as (B, T, H)."""
        flat = values.flatten(2) if self.grid is None else torch.stack(_factors(values, self.grid), dim=-1)
        flat = flat.to(torch.float32)
        if self.statistics is not None:
            mean, std = self.statistics
            flat = (flat - flat.new_tensor(mean)) / flat.new_tensor(std)
        return self.projection(flat.to(self.projection.weight.dtype))


class CoordinateEmbedding(nn.Module):
    """Sines and cosines of each coordinate, of the periods 2, 4, ..., 64, and a projection of them.

    A table has no vector for a coordinate that was never seen, and a linear map lets it grow without bound. These
    features stay in [-1, 1], and those of an unseen coordinate are made of the same waves as those of its neighbours.

    Args:
        num_coordinates (`int`): factors of the space, or dimensions of the grid.
        hidden_size (`int`): H.
        grid (`list[int]`, *optional*): as in `DiscreteEmbedding`.
    """

    def __init__(self, num_coordinates, hidden_size, grid=None):
        super().__init__()
        self.grid = grid
        self.frequencies = [2 * math.pi / 2**j for j in range(1, NUM_FREQUENCIES + 1)]
        self.projection = nn.Linear(2 * NUM_FREQUENCIES * num_coordinates, hidden_size)

    def forward(self, values):
        """Embed integers of shape (B, T), or (B, T, factors), as (B, T, H)."""
        numbers = torch.stack(_factors(values, self.grid), dim=-1).to(torch.float32)
        angles = (numbers[..., None] * numbers.new_tensor(self.frequencies)).flatten(2)
        features = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return self.projection(features.to(self.projection.weight.dtype))


class ConvEmbedding(nn.Module):
    """A small convolutional encoder of images of integers 0 to 255.

    Both sides at least 36 pixels: the three layers of Mnih et al. (2015), which Decision Transformer uses too, 32
    filters of 8x8 with stride 4, 64 of 4x4 with stride 2, 64 of 3x3. Smaller images: two layers of 32 filters of 3x3
    with stride 1, which keep the size. After each a ReLU, at the end a projection of all that is left.

    Args:
        shape (`tuple[int]`): (height, width), (height, width, channels), or (channels, height, width), which it is
            where the first axis is shorter than both others.
        hidden_size (`int`): H.
    """

    def __init__(self, shape, hidden_size):
        super().__init__()
        self.shape = shape if len(shape) == 3 else (*shape, 1)
        self.channels_last = self.shape[0] >= min(self.shape[1:])
        channels, height, width = self.shape if not self.channels_last else (self.shape[2], *self.shape[:2])
        if min(height, width) >= _STRIDED_FROM:
            layers = [(32, 8, 4, 0), (64, 4, 2, 0), (64, 3, 1, 0)]
        else:
            layers = [(32, 3, 1, 1), (32, 3, 1, 1)]
        modules = []
        for filters, kernel, stride, padding in layers:
            modules += [nn.Conv2d(channels, filters, kernel, stride, padding), nn.ReLU()]
            channels = filters
            height, width = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
        self.layers = nn.Sequential(*modules)
        self.projection = nn.Linear(channels * height * width, hidden_size)

    def forward(self, values):
        """Embed images (B, T, *shape), or flattened (B, T, numbers), as (B, T, H)."""
        images = values.reshape(-1, *self.shape)
        if self.channels_last:
            images = images.permute(0, 3, 1, 2)
        images = (images.to(torch.float32) / 255).to(self.projection.weight.dtype)
        return self.projection(self.layers(images).flatten(1)).unflatten(0, values.shape[:2])


def observation_embedding(config, space):
    """The module that a config asks for.

    Args:
        config ([`ICRLPreTrainedConfig`]): checked.
        space (`SpaceSpec`): its observation space.
    """
    kind, grid, hidden_size = (
        config.resolved_observation_embedding,
        config.observation_grid,
        config.trunk_config.hidden_size,
    )
    if kind == "conv":
        return ConvEmbedding(space.shape, hidden_size)
    sizes = grid or space.sizes
    if kind == "fourier":
        return CoordinateEmbedding(len(sizes), hidden_size, grid)
    if kind != "linear":
        return DiscreteEmbedding(space.sizes, hidden_size, grid)
    if space.is_discrete:
        mean, std = [(n - 1) / 2 for n in sizes], [n / 2 for n in sizes]
    else:
        mean, std = [0] * space.flat_size, [255 if space.is_image else 1] * space.flat_size
    mean, std = config.observation_mean or mean, config.observation_std or std
    return LinearEmbedding(np.asarray(mean, np.float32), np.asarray(std, np.float32), hidden_size, grid)


def _factors(values, grid):
    """The factors of integers (B, T) or (B, T, factors), or their coordinates in the grid: a list of (B, T)."""
    if grid is not None:
        return torch.unravel_index(values, grid)
    return [values] if values.dim() == 2 else values.unbind(-1)
