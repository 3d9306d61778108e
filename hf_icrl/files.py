"""Write files so that an interruption, a full disk or a bad argument never leaves half a file behind.

A file that is being written is a temporary neighbour, `.<name>.hf_icrl-<random>.tmp`, on which its writer holds a lock.
The system releases the lock when the process ends, however it ends: so a temporary without a lock is what a killed
process left, and the next write of the same file (or `remove_temporaries`) removes it, while the temporaries of
running processes stay.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from hf_icrl.untrusted import MAX_JSON_BYTES, parse_json, read_text

_MARK = "hf_icrl-"
# The random part is tempfile's, which holds no dot: the name of the target is told from it without doubt.
_TEMPORARY = re.compile(rf"\.(?P<target>.+)\.{_MARK}\w+\.tmp")

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this process or file system allows (see ulimit -f)",
}
FULL_CODES = tuple(_FULL)  # the error numbers of `full_disk_error`

# The mask can only be read by setting it, which threads must not see: so it is read once, at import.
_UMASK = os.umask(0)
os.umask(_UMASK)


@contextmanager
def atomic_file(path, mode="w"):
    """Open a temporary neighbour of `path`; on success it is flushed to disk and renamed to `path`.

    On any exception the temporary file is removed and whatever stood at `path` is untouched; after a kill, the next
    use for the same path removes it. `mode` is "w" (UTF-8 text) or "wb". Yields the open file; use its `.name` for
    libraries that want a path.

    Raises:
        OSError: the folder cannot be written or the disk is full; the message says which file and what is left.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        temporary, lock = _locked_temporary(path)
    except OSError as error:
        raise _explained(error, path) from error
    try:
        follow_umask(temporary)
        with open(str(temporary), mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _explained(error, path) from error
        raise
    finally:
        os.close(lock)


def remove_temporaries(folder):
    """Remove, in `folder` and below it, what killed processes left of `atomic_file`.

    What a running process is writing, and every file that this module did not make, stays. Never fails: what cannot be
    removed is only litter.
    """
    for parent, _, files in os.walk(folder):
        for target in sorted({match["target"] for match in map(_TEMPORARY.fullmatch, files) if match}):
            _remove_stale(Path(parent) / target)


def is_temporary(name):
    """Is a file of this name what `atomic_file` writes before it renames?"""
    return _TEMPORARY.fullmatch(name) is not None


@contextmanager
def locked(folder, doing):
    """Hold the folder alone. The system lets go when the process ends, however it ends; no file is left behind.

    Args:
        folder (`str` or `Path`): an existing folder.
        doing (`str`): for the message, as in "another process is collecting into FOLDER".

    Raises:
        OSError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(
                error.errno,
                f"another process is {doing} {folder}: wait for it, or choose another output_dir",
            ) from error
        except OSError:
            # A file system without locks: whole files and renames keep two processes from tearing each other's.
            pass
        yield
    finally:
        os.close(handle)


def sync_folder(folder):
    """Wait until all files in `folder`, and the folder itself, are on the disk: before a rename that declares them whole."""
    for parent, _, files in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in files)]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def follow_umask(path):
    """Give a file or folder the permissions that an ordinary `open` or `mkdir` would have given it."""
    path = Path(path)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_UMASK)


def write_json(path, value):
    """Write `value` as indented JSON, atomically. NaN and infinity are refused: they are no JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as file:
        file.write(text + "\n")


def read_json(path, kind=None, finite=True):
    """Read a JSON file, whoever wrote it.

    Args:
        path (`str` or `Path`): the file.
        kind (`type`, *optional*): `dict` or `list`, what its value must be.
        finite (`bool`): refuse NaN and infinity, which Python's own writer lets through, and ours does not.

    Raises:
        ValueError: it is no JSON, larger than 256 MiB, more than 64 levels deep, or of another kind; names the file.
        OSError: it cannot be read.
    """
    value = parse_json(read_text(path, MAX_JSON_BYTES), path, finite)
    if kind is not None and not isinstance(value, kind):
        raise ValueError(f"{path} holds a JSON {type(value).__name__}, not a {kind.__name__}; restore it")
    return value


def check_writable(folder):
    """Raise `OSError` now, before hours of work, if `folder` cannot be created or written to. Creates it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _explained(error, folder) from error


def full_disk_error(path, code=None):
    """The `OSError` that says that there was no room to write `path`, or None if `code` is not about room.

    Args:
        path (`str` or `Path`): what was being written.
        code (`int`, *optional*): ENOSPC, EDQUOT or EFBIG; by default, that of a library which did not say which.
    """
    if code is not None and code not in _FULL:
        return None
    reason = _FULL[code] if code is not None else "the disk or a quota is full"
    free = shutil.disk_usage(_existing_parent(path)).free
    return _marked(
        code or errno.ENOSPC,
        f"cannot write {path}: {reason} ({free / 2**20:.1f} MiB free on the disk); what was there before is unchanged. "
        "Free some space and run the same command again: it goes on from the last finished part",
    )


def _explained(error, path):
    if getattr(error, "explained", False):
        return error
    full = full_disk_error(path, error.errno) if error.errno is not None else None
    return full or _marked(
        error.errno,
        f"cannot write {path}: {error.strerror or error}. Choose a folder that you may write to "
        f"(this process runs as user id {os.getuid()})",
    )


def _marked(code, text):
    # OSError.__str__ would print "[Errno 28] ..."; the CLI prints `strerror`.
    error = OSError(code, text)
    error.explained = True
    return error


def _locked_temporary(path):
    """(a new temporary neighbour of `path`, the handle that holds its lock)."""
    while True:
        lock, temporary = tempfile.mkstemp(prefix=f".{path.name}.{_MARK}", suffix=".tmp", dir=path.parent)
        with suppress(OSError):  # a file system without locks: then nobody cleans up, and nothing else is lost
            fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.lexists(temporary):
            return Path(temporary), lock
        os.close(lock)  # somebody cleaned up between the two calls


def _remove_stale(path):
    """Remove the temporaries of `path` that nobody writes any more."""
    with suppress(OSError):
        for name in os.listdir(path.parent):
            match = _TEMPORARY.fullmatch(name)
            if match and match["target"] == path.name:
                with suppress(OSError):
                    _remove_if_unlocked(path.with_name(name))


def _remove_if_unlocked(temporary):
    handle = os.open(temporary, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        temporary.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _existing_parent(path):
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path
