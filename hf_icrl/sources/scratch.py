"""Room for recordings that are larger than the memory that a collecting process should take."""

import mmap
import os
import tempfile
from contextvars import ContextVar

import numpy as np

from hf_icrl.files import full_disk_error

# What is recorded of one batch stays in memory up to this many bytes.
IN_MEMORY = 2**27

_current = ContextVar("scratch", default=None)


class Scratch:
    """While this context is entered, large recordings lie in nameless files of `folder`.

    The system frees such a file when its process ends, however it ends, so a kill leaves nothing behind.

    Args:
        folder (`str` or `Path`): an existing folder on a disk with room for the recordings.
    """

    def __init__(self, folder):
        self._folder = folder
        self._maps = []

    def __enter__(self):
        self._token = _current.set(self)
        return self

    def __exit__(self, *exception):
        _current.reset(self._token)

    def room(self, shape, dtype):
        """Zeros of this shape, in a file.

        Raises:
            OSError: the disk has not enough room; found now, since a mapped file that cannot grow kills its process.
        """
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                os.posix_fallocate(file.fileno(), 0, size)
                self._maps.append(mmap.mmap(file.fileno(), size))
        except OSError as error:
            raise (full_disk_error(self._folder, error.errno) or error) from error
        return np.frombuffer(self._maps[-1], dtype).reshape(shape)

    def release(self):
        """Give back the memory that holds pages of the files; what is in them stays."""
        for pages in self._maps:
            pages.madvise(mmap.MADV_DONTNEED)


def zeros(kinds):
    """Arrays of zeros for one batch: `{name: (shape, dtype)}` to `{name: array}`, and the `Scratch` they lie in or `None`.

    They are in memory, or, if they exceed it inside of a `Scratch`, in its files.
    """
    size = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in kinds.values())
    scratch = _current.get() if size > IN_MEMORY else None
    make = np.zeros if scratch is None else scratch.room
    return {name: make(shape, dtype) for name, (shape, dtype) in kinds.items()}, scratch
