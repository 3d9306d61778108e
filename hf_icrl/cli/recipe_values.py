"""The values of a recipe: how YAML is read and written, two mappings merged, and a value compared with its type."""

import copy
import re
from enum import Enum
from types import UnionType
from typing import Union, get_args, get_origin

import yaml

from hf_icrl.cli.errors import UsageError
from hf_icrl.naming import shortened


class RecipeLoader(yaml.SafeLoader):
    """SafeLoader that reads `1e-3` as a number: YAML 1.1 takes it for a string, which nobody means."""


class RecipeDumper(yaml.SafeDumper):
    """SafeDumper that quotes the strings which `RecipeLoader` would take for numbers."""


for _yaml in (RecipeLoader, RecipeDumper):
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)$"),
        list("-+0123456789."),
    )


def merged(base, more, where):
    """Two nested mappings as one; what `more` says counts."""
    if not isinstance(more, dict):
        raise UsageError(f"{where} is {shortened(more)}; it must be a mapping")
    result = copy.deepcopy(base)
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value, f"{where}.{key}") if both else copy.deepcopy(value)
    return result


def fits(value, kind):
    """Is a YAML value of the annotated type? Whole numbers are floats, but true and false are no numbers."""
    if get_origin(kind) in (Union, UnionType):
        return any(fits(value, part) for part in get_args(kind))
    kind = get_origin(kind) or kind
    if not isinstance(kind, type) or issubclass(kind, Enum):  # Any, Literal, names of an enumeration
        return True
    if isinstance(value, bool) and kind in (int, float):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def type_name(kind):
    return getattr(kind, "__name__", None) or str(kind).replace(" | ", " or ").replace("None", "null")
