"""One thread for the libraries that a source computes with: how many there are must not change a bit of a history."""

import ctypes
import os
import re
import sys
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

# What the libraries of a new process read when they are loaded.
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@contextmanager
def one_thread(source):
    """Hold NumPy's OpenBLAS to one thread, and torch, if `source` uses it or anybody has loaded it.

    The numbers of threads are put back afterwards. (OpenBLAS is what NumPy's wheels bring along; another library is
    left as it is.)
    """
    pairs = list(_openblas())
    if source.uses_torch or "torch" in sys.modules:
        import torch

        pairs.append((torch.get_num_threads, torch.set_num_threads))
    with ExitStack() as stack:
        for get, put in pairs:
            stack.callback(put, get())
            put(1)
        yield


@contextmanager
def one_thread_in_new_processes():
    """Processes that are spawned in this context have one thread in torch, OpenMP, MKL and OpenBLAS."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@cache
def _openblas():
    """(get, set) of the number of threads of each OpenBLAS that is loaded, on Linux."""
    maps = Path("/proc/self/maps")
    paths = re.findall(r"\S*openblas\S*\.so\S*", maps.read_text()) if maps.exists() else []
    pairs = []
    for path in sorted(set(paths)):
        library = ctypes.CDLL(path)
        for prefix in ("", "scipy_"):
            for suffix in ("", "64_"):
                get = getattr(library, f"{prefix}openblas_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}openblas_set_num_threads{suffix}", None)
                if get is not None and put is not None:
                    pairs.append((get, put))
    return tuple(pairs)
