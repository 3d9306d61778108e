"""What is recorded of runs side by side, step after step, and handed out history by history."""

import numpy as np

from hf_icrl.sources.scratch import zeros

# Bytes that are gathered before they are laid out by history: they should fit into a processor's cache.
_CHUNK = 2**21


class Tape:
    """Records one step of all runs at a time, in constant memory beside the arrays that it fills.

    Writing into columns of `(n, steps)` arrays would touch n cache lines a step; so a chunk of steps is gathered with
    a row a step, and then turned at once.

    Args:
        n (`int`): runs.
        most (`int`): the most steps that are recorded of a run.
        every_step (`bool`): nothing is left out before a run's last recorded step, so that all runs write side by side.

    Attributes:
        lengths: int64 `(n,)`, steps of each run that are laid out.
    """

    def __init__(self, n, most, every_step):
        self.lengths = np.zeros(n, dtype=np.int64)
        self._most = most
        self._every_step = every_step
        self._rows = np.arange(n)  # the runs that still write
        self._arrays, self._scratch = None, None
        self._chunk, self._room = None, 0  # name -> array (room, m, ...)
        self._steps = 0  # of the chunk's rows those that are begun
        self._filled = np.zeros(n, dtype=np.int64)  # steps of each run in the chunk

    def write(self, wanted, values):
        """Record one step of the runs that are `wanted`: bool `(m,)`, one for each run that still writes, or `None`.

        `values` (`dict`) has arrays `(m, ...)` by name: always the same names, types and shapes.
        """
        if self._chunk is None:
            self._begin_chunk(values)
        if self._every_step:
            # Runs that have stopped write on beside the others; it is left behind when the chunk is laid out.
            for name, value in values.items():
                self._chunk[name][self._steps] = value
            self._filled += 1 if wanted is None else wanted
            self._steps += 1
        else:
            rows = np.arange(len(self._rows)) if wanted is None else np.flatnonzero(wanted)
            if not len(rows):
                return
            at = self._filled[rows]
            for name, value in values.items():
                self._chunk[name][at, rows] = value[rows]
            self._filled[rows] += 1
            self._steps = max(self._steps, int(at.max()) + 1)
        if self._steps == self._room:
            self._lay_out()

    def select(self, rows):
        """Go on with these of the runs that still write, int64 `(m,)`, ascending; the others have all their steps."""
        self._lay_out()
        self._chunk = None
        self._rows, self._filled = self._rows[rows], self._filled[rows]

    def arrays(self):
        """Name -> array `(n, steps of the longest run, ...)`, zero beyond each run's length. Nothing follows it."""
        self._lay_out()
        self._chunk = None
        longest = int(self.lengths.max())
        return {name: array[:, :longest] for name, array in self._arrays.items()}

    def _begin_chunk(self, values):
        if self._arrays is None:
            n = len(self.lengths)
            kinds = {name: ((n, self._most, *v.shape[1:]), v.dtype) for name, v in values.items()}
            self._arrays, self._scratch = zeros(kinds)
        step = sum(value.nbytes for value in values.values())
        self._room = min(max(16, _CHUNK // step), self._most)
        self._chunk = {name: np.empty((self._room, *v.shape), v.dtype) for name, v in values.items()}

    def _lay_out(self):
        """Move what is in the chunk to where it belongs."""
        if not self._steps:
            return
        filled, start = self._filled, self.lengths[self._rows]
        # Nearly always all runs have as many steps and are copied as one block.
        first = int(filled.argmax())
        block = np.flatnonzero((filled == filled[first]) & (start == start[first]))
        rest = np.setdiff1d(np.flatnonzero(filled), block)
        into = slice(start[first], start[first] + filled[first])
        for name, array in self._arrays.items():
            chunk = self._chunk[name]
            if len(block) == len(self.lengths):
                array[:, into] = np.swapaxes(chunk[: filled[first]], 0, 1)
            else:
                array[self._rows[block], into] = np.swapaxes(chunk[: filled[first], block], 0, 1)
            for row in rest:
                array[self._rows[row], start[row] : start[row] + filled[row]] = chunk[: filled[row], row]
        self.lengths[self._rows] += filled
        self._filled[:] = 0
        self._steps = 0
        if self._scratch is not None:
            self._scratch.release()
