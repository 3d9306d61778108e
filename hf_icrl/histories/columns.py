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
    """

    def __init__(self, pieces):
        self.pieces = pieces
        self.rows = np.array([len(p) - 1 for p in pieces], np.int64)
        column = FlatColumn(pieces, length=1)
        self._all, self._shift = column.runs[:, 0], column.shift
        self._zero = np.array([p[0] for p in pieces], np.int64)

    def of_chunk(self, chunk):
        """The first steps of all rows of one chunk (an `int`), shape (rows,)."""
        return self.pieces[chunk][:-1] - self.pieces[chunk][0]

    def starts_between(self, chunk, begin, end, low, high):
        """The rows in [low, high) whose first step is in [begin, end): (position in the batch, first step) of each.

        `begin` lies between the first step of row `low` and that of row `high`; at a chunk's number of rows, the
        latter is the chunk's number of steps.
        """
        # From here on as Arrow has it: one index for all chunks, offsets that need not begin at 0.
        shift, zero = self._shift[chunk], self._zero[chunk]
        row = self._first_row_from(begin + zero, low + shift, high + shift)
        last, end = high + shift, end + zero
        count = 8
        while True:
            rows = row[:, None] + np.arange(count)
            starts = self._all[np.minimum(rows, last[:, None])]
            inside = (starts < end[:, None]) & (rows < last[:, None])
            if not inside[:, -1].any():
                batch, column = np.nonzero(inside)
                return batch, starts[batch, column] - zero[batch]
            count *= 4

    def _first_row_from(self, step, low, high):
        """The first row in [low, high) that begins at `step` or later, or `high`."""
        # Episodes of one length are found at once by interpolation; the rest by bisection.
        first = self._all[low]
        row = low - (first - step) * (high - low) // (self._all[high] - first)
        right = (self._all[row] >= step) & ((row == low) | (self._all[np.maximum(row - 1, low)] < step))
        if not right.all():
            wrong = np.flatnonzero(~right)
            row[wrong] = self._bisect(step[wrong], low[wrong], high[wrong])
        return row

    def _bisect(self, step, low, high):
        for _ in range(int((high - low).max()).bit_length()):
            middle = (low + high) >> 1
            # Where low == high the search is over; `middle` is then at most the chunk's rows, which has an offset.
            before = (low < high) & (self._all[middle] < step)
            low, high = np.where(before, middle + 1, low), np.where(before, high, middle)
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
