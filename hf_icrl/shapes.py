"""Check that a JSON value out of a file has the entries that its readers rely on."""

from dataclasses import dataclass
from typing import Any

from hf_icrl.naming import shortened

# Sums and squares of numbers up to it are finite.
_LARGEST = 1e100


@dataclass(frozen=True)
class Maybe:
    """In a mapping: an entry that may be absent."""

    shape: Any


@dataclass(frozen=True)
class AtLeast:
    """A whole number of at least `low`."""

    low: int


def check_shape(value, shape, where):
    """Raise `ValueError` unless `value` has the shape `shape`.

    Args:
        value: a plain value, as `hf_icrl.untrusted.check_plain` lets through.
        shape: `str`, `bool`, `int` or `float` (at most 1e100; whole numbers count, booleans do not), `dict`, `list`, `None`,
            `object` (anything) or `AtLeast(n)`; a tuple of alternatives; `[shape]`, a list of such; `{str: shape}`, a
            mapping to such; or `{"name": shape, ...}`, a mapping with at least these entries, `Maybe(shape)` if absent
            will do.
        where (`str`): what the value is, for the message, as in "report.json".
    """
    if isinstance(shape, dict) and isinstance(value, dict):
        if str in shape:
            for key, entry in value.items():
                check_shape(entry, shape[str], f"{where}: {key}")
        for key, inner in shape.items():
            if key is str:
                continue
            if key in value:
                check_shape(value[key], inner.shape if isinstance(inner, Maybe) else inner, f"{where}: {key}")
            elif not isinstance(inner, Maybe):
                raise ValueError(f"{where} has no entry {key!r}; it is damaged, or of another version: restore it")
    elif isinstance(shape, list) and isinstance(value, list):
        for number, entry in enumerate(value):
            if not _fits(entry, shape[0]):
                check_shape(entry, shape[0], f"{where}[{number}]")
    elif isinstance(shape, tuple):
        nested = [one for one in shape if isinstance(one, (list, dict)) and isinstance(value, type(one))]
        if nested:
            check_shape(value, nested[0], where)
        elif not any(_fits(value, one) for one in shape):
            _refuse(value, shape, where)
    elif not _fits(value, shape):
        _refuse(value, shape, where)


def _fits(value, shape):
    """Whether a value has a shape that is not nested; False for those that are."""
    if shape is object:
        return True
    if shape is None:
        return value is None
    if isinstance(shape, AtLeast):
        return isinstance(value, int) and not isinstance(value, bool) and value >= shape.low
    if shape is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST
    if shape is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(shape, type) and isinstance(value, shape)


def _refuse(value, shape, where):
    raise ValueError(f"{where} is {shortened(value)}; it must be {_words(shape)}: it is damaged, restore it")


def _words(shape):
    if isinstance(shape, tuple):
        return " or ".join(map(_words, shape))
    if isinstance(shape, AtLeast):
        return f"a whole number of at least {shape.low}"
    if isinstance(shape, (list, dict)):
        shape = type(shape)
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number up to 1e100"}
    return names.get(shape) or {dict: "a mapping", list: "a list", None: "null"}[shape]
