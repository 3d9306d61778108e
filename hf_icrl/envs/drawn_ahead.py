"""Random numbers of environment slots, drawn for several steps at once."""

import numpy as np

# As many numbers per call as make up for the call, while its temporary arrays still fit a core's cache.
_AT_ONCE = 2048


class DrawnAhead:
    """The numbers that each slot needs between two pulls, for n slots whose streams begin at their seeds.

    A slot's *clock* counts the observations that it has shown since it was seeded, those of `reset` included. Its
    numbers are a function of its key and its clock alone, so that how many are drawn ahead, and for whom beside it,
    changes nothing.

    Args:
        num_slots (`int`): n.
        draw (callable): `draw(keys, clocks)` gives the numbers `(k, steps, m)` of m keys at clocks `(steps, m)`.

    Attributes:
        now: the numbers `(k, n)` at the slots' clocks; do not write to it.
    """

    def __init__(self, num_slots, draw):
        self._keys = np.zeros(num_slots, dtype=np.uint64)
        self._draw_piece = draw
        self._clock = np.zeros(num_slots, dtype=np.int64)
        self._ahead = np.arange(max(1, _AT_ONCE // num_slots))[:, None]
        self._block = self._draw(self._keys, self._clock + self._ahead)
        self._row = 0
        self.now = self._block[:, 0]

    def seed(self, rows, keys):
        """The slots `rows` (int64 indexes) go on with other streams, from the beginning: `keys`, as many uint64."""
        self._keys[rows] = keys
        self._clock[rows] = 0
        self._redraw(rows)

    def advance(self):
        """Every slot shows its next observation."""
        self._clock += 1
        self._row += 1
        if self._row == len(self._ahead):
            self._row = 0
            self._block = self._draw(self._keys, self._clock + self._ahead)
        self.now = self._block[:, self._row]

    def skip(self, rows):
        """The slots `rows` (int64 indexes) show one observation more than the others: that of a reset."""
        self._clock[rows] += 1
        self._redraw(rows)

    def _redraw(self, rows):
        """Draw what remains of the block again, for the slots `rows`, whose clocks have moved."""
        left = self._ahead[: len(self._ahead) - self._row]
        self._block[:, self._row :, rows] = self._draw(self._keys[rows], self._clock[rows] + left)

    def _draw(self, keys, clocks):
        if len(keys) <= _AT_ONCE:
            return self._draw_piece(keys, clocks)
        pieces = [slice(first, first + _AT_ONCE) for first in range(0, len(keys), _AT_ONCE)]
        return np.concatenate([self._draw_piece(keys[piece], clocks[:, piece]) for piece in pieces], axis=2)
