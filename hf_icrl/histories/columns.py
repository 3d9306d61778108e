"""A column of many Arrow chunks as one array to gather from, without copying it."""

import numpy as np
import pyarrow as pa


class FlatColumn:
    """Gathers runs of consecutive steps from chunks that lie anywhere in memory (usually in memory-mapped files).

    All chunks are seen through ONE strided array that begins at the lowest address of any of them, so that a whole
    batch of runs, whatever chunks they lie in, is one fancy index. What lies between the chunks is never touched:
    `gather` takes only runs that lie inside one chunk. This is what makes many small chunks as fast as one.

    Args:
        pieces (list of `np.ndarray`): the chunks, each C-contiguous of shape (steps, *element), of one dtype. They are
            kept, not copied (except those whose address is not aligned to the dtype, which Arrow never writes).
        length (`int`): steps of a run.
    """

    def __init__(self, pieces, length):
        itemsize = pieces[0].dtype.itemsize
        self.pieces = [p if p.ctypes.data % itemsize == 0 else p.copy() for p in pieces]
        self.element = pieces[0].shape[1:]
        self.dtype = pieces[0].dtype
        self.length = length
        self.width = int(np.prod(self.element))
        addresses = np.array([p.ctypes.data for p in self.pieces], np.int64)
        base = int(addresses.min())
        self.shift = (addresses - base) // itemsize  # of each chunk's first number
        span = int(max(p.ctypes.data + p.nbytes for p in self.pieces)) - base
        self.runs = _runs(base, span // itemsize, length * self.width, self.dtype)

    def gather(self, chunk, step):
        """Runs that begin at `step` (within the chunk) of `chunk`, both int64 (B,): shape (B, length, *element).

        The caller has made sure that every run lies inside its chunk.
        """
        if self.runs is None:
            return np.stack([self.pieces[c][s : s + self.length] for c, s in zip(chunk, step, strict=True)])
        return self.runs[self.shift[chunk] + step * self.width].reshape(-1, self.length, *self.element)

    def empty(self, batch):
        """Room for as many runs, not filled: shape (batch, length, *element)."""
        return np.empty((batch, self.length, *self.element), self.dtype)

    def copy_across(self, chunk, step, out):
        """Fill `out` (steps, *element) with the steps from `step` of `chunk` on, going on in the next chunks.

        `step` may be -1: the last step of the chunk before.
        """
        if step < 0:
            chunk, step = chunk - 1, len(self.pieces[chunk - 1]) - 1
        done = 0
        while done < len(out):
            part = self.pieces[chunk][step : step + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
            chunk, step = chunk + 1, 0


class FlatOffsets:
    """Where the rows of every chunk begin, read from Arrow's list offsets where they lie.

    Rows and steps are counted within their chunk. Array arguments are int64 of shape (B,).

    Args:
        pieces (list of `np.ndarray` of int32): the offsets of each chunk, one more than its rows.
        length (`int`): steps of a run.
    """

    def __init__(self, pieces, length):
        self.pieces = pieces
        self.length = length
        self.rows = np.array([len(p) - 1 for p in pieces], np.int64)
        column = FlatColumn(pieces, length=1)
        self._all, self._shift = column.runs[:, 0], column.shift
        self._zero = np.array([p[0] for p in pieces], np.int64)
        # How many rows to look at first: those that a run has on average, a few more, and one beyond it.
        steps = sum(int(p[-1]) - int(p[0]) for p in pieces)
        self._usual = np.arange(5 * length * int(self.rows.sum()) // (4 * steps) + 3)

    def of_chunk(self, chunk):
        """The first steps of all rows of one chunk (an `int`), shape (rows,)."""
        return self.pieces[chunk][:-1] - self.pieces[chunk][0]

    def starts_in_runs(self, chunk, begin, low, high):
        """Where rows begin in the runs of steps from `begin` on.

        Returns:
            `((batch, place), row, time)`: position in the batch and place in the run of each beginning; and, of shape
            (B,), the row that the first step of each run lies in, and how many steps of that row come before it.

        A run lies within the rows [low, high), high > low. Where `high` is the chunk's number of rows, the row of
        this number counts as beginning after the chunk's last step.
        """
        # From here on as Arrow has it: one index for all chunks, offsets that need not begin at 0.
        shift = self._shift[chunk]
        begin, low, high = begin + self._zero[chunk], low + shift, high + shift
        first = self._all[low]
        # Episodes of one length are found at once by interpolation; the rest by bisection.
        row = low + (begin - first) * (high - low) // (self._all[high] - first)
        place = self._places(row, begin, high, self._usual)
        wrong = np.flatnonzero((place[:, 0] > 0) | (place[:, 1] <= 0))
        if len(wrong):
            row[wrong] = self._row_of(begin[wrong], low[wrong], high[wrong])
            place[wrong] = self._places(row[wrong], begin[wrong], high[wrong], self._usual)
        while (place[:, -1] < self.length).any():
            place = self._places(row, begin, high, np.arange(2 * place.shape[1]))
        # Seen as unsigned, what lies before the run is beyond it.
        inside = place.view(np.uint64) < self.length
        return (inside.nonzero()[0], place[inside]), row - shift, -place[:, 0]

    def _places(self, row, begin, high, ahead):
        """Where the rows `row + ahead` begin, counted from `begin`; at `high` or later, where row `high` does."""
        return self._all[np.minimum(row[:, None] + ahead, high[:, None])] - begin[:, None]

    def _row_of(self, step, low, high):
        """The row in [low, high) that `step` lies in, by bisection."""
        for _ in range(int((high - low).max()).bit_length()):
            middle = (low + high) >> 1
            before = self._all[middle] <= step
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        return low


def flat_values(column):
    """The values of an Arrow list column of one chunk as a NumPy view of shape (steps, *element)."""
    offsets = column.offsets
    values = column.values.slice(offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py())
    if pa.types.is_fixed_size_list(values.type):
        width = values.type.list_size
        return values.flatten().to_numpy(zero_copy_only=True).reshape(-1, width)
    return values.to_numpy(zero_copy_only=True)


class _Memory:
    """What NumPy needs to look at memory from an address on (the array interface protocol), read-only."""

    def __init__(self, address, numbers, dtype):
        self.__array_interface__ = {
            "data": (address, True),
            "shape": (numbers,),
            "typestr": dtype.str,
            "version": 3,
        }


def _runs(address, numbers, run, dtype):
    """Every run of `run` numbers in the memory from `address` on, as a strided view; None if NumPy cannot count them."""
    starts = numbers - run + 1
    if starts < 1 or starts * run * dtype.itemsize >= 2**62:
        return None
    memory = np.asarray(_Memory(address, numbers, dtype))
    return np.lib.stride_tricks.as_strided(memory, (starts, run), (dtype.itemsize, dtype.itemsize), writeable=False)
