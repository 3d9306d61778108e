"""Random vectors that stand for actions: a model that reads them knows nothing of an action but which one it is."""

import numpy as np

from .counter_noise import normals

KINDS = ("orthonormal", "normal")
# As the draw number of `counter_noise` is 64 bits wide, and rollouts count their draws from 0 up, codes lie at its end.
_FIRST_DRAW = 2**62


class ActionCodes:
    """Draws a random vector for every action, as Headless-AD does (Sinii et al. 2024, arXiv:2312.13327, section 4).

    `"orthonormal"`: the rows are orthonormal, drawn uniformly (Haar measure: QR of a Gaussian matrix with positive
    diagonal). There are only `dim` orthonormal vectors in `dim` dimensions: more actions than that get further
    independent sets of `dim` orthonormal rows, so that all rows have length 1, rows of one set are orthogonal, and rows
    of different sets nearly so (their inner product has mean 0 and standard deviation 1 / sqrt(dim)). `"normal"`: all
    numbers are independent N(0, 1), a length of about sqrt(dim), the paper's ablation.

    Args:
        kind (`str`): "orthonormal" or "normal".
        dim (`int`): numbers of a vector.
    """

    def __init__(self, kind, dim):
        self.kind, self.dim = kind, dim

    def draw(self, seed, ids, num_actions):
        """The vectors of `num_actions` actions for each id; those of an id depend on (seed, id) alone.

        Args:
            seed (`int`): 0 <= seed < 2**64.
            ids (`np.ndarray`): int64 (B,).
            num_actions (`int`): A.

        Returns:
            `np.ndarray`: float32 (B, A, dim).
        """
        sets = -(-num_actions // self.dim) if self.kind == "orthonormal" else 1
        rows = min(num_actions, self.dim) if self.kind == "orthonormal" else num_actions
        # One key for each action, so that the first actions of a larger catalogue have the vectors of a smaller one.
        actions = np.arange(sets * rows)
        keys = np.repeat(np.asarray(ids, np.int64), len(actions))
        noise = normals(seed, keys, np.tile(_FIRST_DRAW + actions, len(ids)), self.dim)
        if self.kind == "normal":
            return noise.reshape(len(ids), num_actions, self.dim).astype(np.float32)
        columns = noise.reshape(len(ids), sets, rows, self.dim).swapaxes(-1, -2)
        q, r = np.linalg.qr(columns.astype(np.float32))
        q = q * np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, np.float32(-1), np.float32(1))[..., None, :]
        return np.ascontiguousarray(q.swapaxes(-1, -2)).reshape(len(ids), -1, self.dim)[:, :num_actions]
