"""A digest of the code that decides the bits of a collection, so that data of two versions are never mixed."""

import hashlib
import inspect
import sys
from functools import cache
from pathlib import Path

import hf_icrl

# What generates and lays out histories. The readers (windows, validation) change no bit of them, nor do checks of
# arguments (a collection's arguments are compared as they are after the checks) and pictures.
_CODE = (
    "envs/*.py",
    "sources/*.py",
    "splits.py",
    "seeding.py",
    "counter_random.py",
    "histories/schema.py",
    "histories/episodes.py",
    "histories/spaces.py",
)
_NO_BITS = {"envs/__init__.py", "envs/drawing.py", "sources/__init__.py"}


def code_files():
    """The files of ours that decide the bits of histories, in an order that does not depend on the installation."""
    package = Path(hf_icrl.__file__).parent
    files = (path for pattern in _CODE for path in package.glob(pattern))
    chosen = [path for path in files if path.relative_to(package).as_posix() not in _NO_BITS]
    return [*sorted(chosen), *(Path(__file__).parent / name for name in ("one_thread.py", "plan.py"))]


def code_digest(*classes):
    """The first 16 hexadecimal digits of SHA-256 over our generating code and the modules that define `classes`.

    Args:
        classes: of the family and the source; those from outside hf_icrl are covered by their own modules' files.
    """
    digest = hashlib.sha256(_package_digest())
    for cls in classes:
        if not cls.__module__.startswith("hf_icrl."):
            digest.update(_module_source(cls).encode())
    return digest.hexdigest()[:16]


@cache
def _package_digest():
    digest = hashlib.sha256()
    for path in code_files():
        text = path.read_bytes()
        digest.update(f"{path.parent.name}/{path.name} {len(text)}\n".encode() + text)
    return digest.digest()


def _module_source(cls):
    try:
        return inspect.getsource(sys.modules[cls.__module__])
    except (OSError, TypeError, KeyError):
        # Typed into a notebook or a prompt: there is no file; the class's name has to do.
        return f"{cls.__module__}.{cls.__qualname__}"
