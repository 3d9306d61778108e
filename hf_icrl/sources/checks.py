"""Checks of source parameters; each returns the value in its plain JSON form."""

from hf_icrl.naming import nearest


def checked_number(value, what, low, high):
    """`value` as a float in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}; it must be a number from {low} to {high}")
    return float(value)


def checked_range(value, what, low, high, kind=float):
    """`value` as a list `[a, b]` of `kind` with low <= a <= b <= high; `high` may be infinite."""
    try:
        first, second = value
        numbers = [kind(first), kind(second)]
        if isinstance(first, bool) or isinstance(second, bool) or numbers != [first, second]:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {value!r}; it must be a pair [low, high] of {kind.__name__} values") from None
    if not low <= numbers[0] <= numbers[1] <= high:
        raise ValueError(f"{what} is {value!r}; it must be a pair [low, high] with {low} <= low <= high <= {high}")
    return numbers


def checked_choice(value, what, valid):
    """`value`, one of the strings `valid`."""
    if value not in valid:
        raise ValueError(f"unknown {what} {value!r}: {nearest(value, valid)}")
    return value
