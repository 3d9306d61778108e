"""Write files so that an interruption, a full disk or a bad argument never leaves half a file behind."""

import errno
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path, mode="w"):
    """Open a temporary neighbour of `path`; on success it is flushed to disk and renamed to `path`.

    On any exception the temporary file is removed and whatever stood at `path` is untouched. `mode` is "w" (UTF-8
    text) or "wb". Yields the open file; use its `.name` for libraries that want a path.

    Raises:
        OSError: the folder cannot be written or the disk is full; the message says which file and what is left.
    """
    path = Path(path)
    encoding = None if "b" in mode else "utf-8"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise _explained(error, path) from error
    try:
        # mkstemp makes 0600 files; give what an ordinary open() would have given.
        os.fchmod(handle, 0o666 & ~_umask())
        with os.fdopen(handle, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _explained(error, path) from error
        raise


@contextmanager
def atomic_folder(path):
    """Yield a new temporary neighbour folder; on success it replaces `path`, on any exception it is removed."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise _explained(error, path) from error
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        if path.exists():
            # rename(2) cannot replace a folder that has content; step the old one aside first.
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
            os.replace(path, old / path.name)
            os.replace(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise _explained(error, path) from error
        raise


def write_json(path, value):
    """Write `value` as indented JSON, atomically. NaN and infinity are refused: they are no JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_file(path) as file:
        file.write(text + "\n")


def read_json(path):
    """Read a JSON file; an unreadable one is a `ValueError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it or restore it from where it came") from error


def check_writable(folder):
    """Raise `OSError` now, before hours of work, if `folder` cannot be created or written to. Creates it."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _explained(error, folder) from error


def _explained(error, path):
    if getattr(error, "explained", False):
        return error
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(_existing_parent(path)).free
        text = (
            f"the disk is full ({free / 2**20:.1f} MiB free) while writing {path}; what was there before is unchanged. "
            "Free some space and run the same command again: it goes on from the last finished part"
        )
    else:
        text = (
            f"cannot write {path}: {error.strerror or error}. Choose a folder that you may write to "
            f"(this process runs as user id {os.getuid()})"
        )
    new = OSError(error.errno, text)
    new.explained = True
    # OSError.__str__ would print "[Errno 28] ..."; the CLI prints `strerror`.
    return new


def _existing_parent(path):
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
