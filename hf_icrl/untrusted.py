"""Read what somebody else may have written: text, JSON and YAML of limited size, of plain values only, and file names.

Files of a repository or a recipe are data, whoever made them: nothing in them is executed, no name in them leads out of
their folder, and what is wrong with one is a `ValueError` that names it. Cheap to import.
"""

import json
import math
from pathlib import Path, PurePosixPath, PureWindowsPath

# Far above what we write; a file that is larger is not one of ours, and is not read into memory to find that out.
MAX_JSON_BYTES = 2**28
MAX_YAML_BYTES = 2**24
# Python's parsers recurse, and so does most of what reads the values; ours are about ten levels deep.
_MAX_DEPTH = 64
# Aliases let a few lines of YAML stand for more values than fit into memory.
_MAX_YAML_VALUES = 2_000_000


def read_text(path, max_bytes):
    """The UTF-8 text of a file.

    Raises:
        ValueError: it is larger than `max_bytes`, or no UTF-8.
        OSError: it cannot be read.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > max_bytes:
        raise ValueError(f"{path} has {size:,} bytes, more than the {max_bytes:,} that are read of such a file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); restore it from where it came") from error


def parse_json(text, origin, finite=True):
    """The value of a JSON text; see `check_plain` for `finite`.

    Raises:
        ValueError: it is no JSON, or holds what `check_plain` refuses; names `origin`.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{origin} nests lists or mappings more than {_MAX_DEPTH} levels deep") from error
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        raise ValueError(
            f"{origin} is not valid JSON ({error}); delete it or restore it from where it came"
        ) from error
    check_plain(value, origin, finite)
    return value


def parse_yaml(text, origin, loader=None):
    """The value of a YAML text, of plain values only: no tag makes an object of another kind.

    Args:
        text (`str`): the text.
        origin (`str`): what it is, for messages.
        loader (*optional*): a subclass of `yaml.SafeLoader`, which is the default.

    Raises:
        ValueError: it is no YAML, or holds what `check_plain` refuses; names `origin`.
    """
    import yaml

    loader = loader or yaml.SafeLoader
    if not issubclass(loader, yaml.SafeLoader):
        raise TypeError(f"{loader.__name__} is no yaml.SafeLoader: others can be made to call any function")
    if len(text) > MAX_YAML_BYTES:
        raise ValueError(f"{origin} has {len(text):,} characters, more than the {MAX_YAML_BYTES:,} that are read")
    try:
        value = yaml.load(text, Loader=loader)
    except RecursionError as error:
        raise ValueError(f"{origin} nests lists or mappings more than {_MAX_DEPTH} levels deep") from error
    except (yaml.YAMLError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        # PyYAML's constructors raise whatever Python does, on a date of month 13 or a number without digits.
        raise ValueError(f"{origin} is not valid YAML: {error or type(error).__name__}") from error
    check_plain(value, origin, finite=False, max_values=_MAX_YAML_VALUES)
    return value


def check_plain(value, origin, finite=True, max_values=math.inf):
    """Check that a value read from a file is plain: null, booleans, 64-bit numbers, text, lists, mappings with text keys.

    Args:
        value: the value.
        origin (`str`): where it was read, for messages.
        finite (`bool`): refuse NaN and infinity.
        max_values (`int`): how many values there may be, what is referred to twice counting twice.

    Raises:
        ValueError: it is not, or is too deep or too large.
    """
    count, waiting = 0, [(value, 0)]
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > _MAX_DEPTH:
            raise ValueError(f"{origin} nests lists or mappings more than {_MAX_DEPTH} levels deep")
        if count > max_values:
            raise ValueError(
                f"{origin} stands for more than {max_values:,} values: write less, or use no aliases in it"
            )
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise ValueError(f"{origin} has the key {str(key)[:80]!r}, which is no text: quote it")
                _check_text(key, origin)
            waiting += [(entry, depth + 1) for entry in value.values()]
        elif isinstance(value, list):
            waiting += [(entry, depth + 1) for entry in value]
        elif isinstance(value, str):
            _check_text(value, origin)
        elif isinstance(value, float):
            if finite and not math.isfinite(value):
                raise ValueError(f"{origin} holds {value}, which is no JSON; a value that is not known is null")
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                raise ValueError(
                    f"{origin} holds a number of {value.bit_length()} bits; whole numbers have at most 64"
                )
        elif value is not None:
            raise ValueError(
                f"{origin} holds {str(value)[:80]!r} of type {type(value).__name__}; quote it if it is meant as text"
            )


def inside(folder, name, origin):
    """`folder / name`, for a name that stands in a file and must not lead out of the folder.

    Raises:
        ValueError: it is no text, empty, absolute, or goes up with `..`; names `origin`.
    """
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        raise ValueError(f"{origin} names the file {name!r:.200}, which is no relative path with slashes")
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        raise ValueError(f"{origin} names the file {name!r:.200}, which would lead out of {folder}; nothing was read")
    return Path(folder) / name


def _check_text(text, origin):
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{origin} holds the text {text[:80]!r}, half a character of UTF-16: correct it") from None
