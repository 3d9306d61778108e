"""First layers of stacked networks, by the observation space: rows of a table, or a matrix."""

from itertools import pairwise

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete


def first_layer(space):
    """The first layer for observations of `space`: `Discrete`, `MultiDiscrete`, or `Box` of any shape.

    Raises:
        ValueError: another space.
    """
    if isinstance(space, Discrete):
        return TableLayer([int(space.n)], int(space.start))
    if isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        return TableLayer(space.nvec.tolist(), space.start)
    if isinstance(space, Box):
        return DenseLayer(space.shape, space.dtype)
    raise ValueError(
        f"the network takes observations that are Discrete, MultiDiscrete or Box, but the environment has {space}"
    )


class TableLayer:
    """A linear layer on concatenated one-hot vectors, of which only the rows that are hot are ever touched.

    Args:
        sizes (`list[int]`): values of each of the k components.
        start (`int` or `np.ndarray`): the lowest value of each component.
    """

    dtype = np.int64

    def __init__(self, sizes, start):
        self.num_inputs = sum(sizes)
        self.shape = (len(sizes),)
        self.offsets = np.cumsum([0, *sizes[:-1]]) - start

    def encode(self, observations):
        """Observations `(n,)` or `(n, k)` as the numbers of their rows, int64 `(n, k)`."""
        return observations.reshape(len(observations), -1) + self.offsets

    def apply(self, weights, inputs, learners):
        """float32 `(l, n, h)`: inputs `(l, n, k)` of the `learners` (int64 `(l,)`) times their `weights[learners]`.

        Args:
            weights (`np.ndarray`, shape `(all learners, num_inputs, h)`).
        """
        owner = learners[:, None]
        outputs = weights[owner, inputs[:, :, 0]]
        for k in range(1, inputs.shape[2]):
            outputs += weights[owner, inputs[:, :, k]]
        return outputs

    def gradient(self, inputs, output_gradient, out):
        """Write the gradient of `weights` to `out`, from inputs `(L, n, k)` and the outputs' gradient `(L, n, h)`."""
        out[:] = 0
        learners, n, width = output_gradient.shape
        flat = output_gradient.reshape(-1, width)
        owner = np.repeat(np.arange(learners), n)
        for k in range(inputs.shape[2]):
            row = inputs[:, :, k].ravel()
            # np.add.at adds row by row in a slow loop; here the first use of every row is added at once, then the
            # second, ... Each row's sum has an order of its own, whatever the other learners do.
            key = owner * self.num_inputs + row
            order = np.argsort(key, kind="stable")
            sorted_key = key[order]
            new = np.ones(len(key), dtype=bool)
            new[1:] = sorted_key[1:] != sorted_key[:-1]
            first = np.flatnonzero(new)
            use = np.arange(len(key)) - np.repeat(first, np.diff(np.append(first, len(key))))
            by_use = order[np.argsort(use, kind="stable")]
            bounds = np.concatenate([[0], np.cumsum(np.bincount(use))])
            for low, high in pairwise(bounds):
                now = by_use[low:high]
                out[owner[now], row[now]] += flat[now]


class DenseLayer:
    """A linear layer on flattened numbers; bytes are divided by 255.

    Args:
        shape (`tuple[int, ...]`): of one observation.
        dtype (`np.dtype`): of the observations.
    """

    dtype = np.float32

    def __init__(self, shape, dtype):
        self.num_inputs = int(np.prod(shape))
        self.shape = (self.num_inputs,)
        self.scale = 1 / 255 if dtype == np.uint8 else 1.0

    def encode(self, observations):
        """Observations `(n, ...)` as float32 `(n, num_inputs)`."""
        return observations.reshape(len(observations), -1).astype(np.float32) * np.float32(self.scale)

    def apply(self, weights, inputs, learners):
        """As `TableLayer.apply`, for inputs float32 `(l, n, num_inputs)`."""
        return matmul(inputs, weights if len(learners) == len(weights) else weights[learners])

    def gradient(self, inputs, output_gradient, out):
        """As `TableLayer.gradient`."""
        matmul(inputs.swapaxes(1, 2), output_gradient, out)


# Above so many multiplications OpenBLAS shares one product among threads. For stacks of small products that waits far
# more than it computes (measured: 60 ms for 0.7 ms of work on two busy cores).
_THREADED = 2**18


def matmul(a, b, out=None):
    """`a @ b` for float32 stacks `(L, m, k)` and `(L, k, n)`: one BLAS product per learner, none of them threaded.

    So the bits of a learner's product depend on neither the other learners nor the number of threads.
    """
    (learners, m, k), n = a.shape, b.shape[2]
    if out is None:
        out = np.empty((learners, m, n), dtype=np.float32)
    width = max(1, _THREADED // (m * k))
    for first in range(0, n, width):
        np.matmul(a, b[:, :, first : first + width], out=out[:, :, first : first + width])
    return out
