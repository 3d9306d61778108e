"""Checks of arguments: each returns the value in its plain JSON form, or raises a `ValueError` that says what to give."""

import operator

import numpy as np

from hf_icrl.naming import nearest, shortened


def checked_int(value, what, low):
    """`value` as a Python int >= `low`; booleans and floats are refused."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < low:
        raise ValueError(f"{what} is {shortened(value)}; it must be an integer of at least {low}")
    return number


def checked_bool(value, what):
    """`value` as a Python bool; numbers and strings are refused (a YAML "no" in quotes is true in Python)."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{what} is {shortened(value)}; it must be true or false")
    return bool(value)


def checked_number(value, what, low, high):
    """`value` as a float in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{what} is {shortened(value)}; it must be a number from {low} to {high}")
    return float(value)


def checked_range(value, what, low, high, kind=float):
    """`value` as a list `[a, b]` of `kind` with low <= a <= b <= high; `high` may be infinite."""
    try:
        first, second = value
        numbers = [kind(first), kind(second)]
        if isinstance(first, bool) or isinstance(second, bool) or numbers != [first, second]:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            f"{what} is {shortened(value)}; it must be a pair [low, high] of {kind.__name__} values"
        ) from None
    if not low <= numbers[0] <= numbers[1] <= high:
        raise ValueError(
            f"{what} is {shortened(value)}; it must be a pair [low, high] with {low} <= low <= high <= {high}"
        )
    return numbers


def checked_choice(value, what, valid):
    """`value`, one of the strings `valid`."""
    if value not in valid:
        raise ValueError(f"unknown {what} {shortened(value)}: {nearest(value, valid)}")
    return value
