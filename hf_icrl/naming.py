"""Say which valid name was probably meant, and in which value two sets of arguments differ."""

from difflib import get_close_matches

# More valid names than this hide the one that was meant.
_MANY = 20
# A value of more characters hides the sentence that it stands in.
_LONG = 100


def shortened(value):
    """`repr(value)` for a message; of a long one (thousands of tasks) the beginning, and how much there is."""
    text = repr(value)
    if len(text) <= _LONG:
        return text
    rest = f"{len(value):,} entries" if isinstance(value, list | tuple | dict | set) else f"{len(text):,} characters"
    return f"{text[: _LONG - 20]}... ({rest})"


def nearest(name, valid):
    """The sentence that ends an unknown-name error: the nearest valid name, and all of them unless they are many.

    Example: `nearest("sise", ["size", "goal"])` is `"did you mean 'size'? (valid: goal, size)"`.
    """
    valid = sorted(str(v) for v in valid)
    close = get_close_matches(str(name)[:_LONG], valid, n=1, cutoff=0.5)
    listing = f"valid: {', '.join(valid)}" if valid else "there are no valid names"
    if close and len(valid) > _MANY:
        return f"did you mean {close[0]!r}?"
    return f"did you mean {close[0]!r}? ({listing})" if close else listing


def check_names(given, valid, what):
    """Raise `ValueError` naming the first of `given` that is not in `valid`. `what` is e.g. "environment argument"."""
    for name in given:
        if name not in valid:
            raise ValueError(f"unknown {what} {shortened(name)}: {nearest(name, valid)}")


def differences(old, new, prefix=""):
    """Yield `(dotted name, old value, new value)` for every entry in which two nested dicts differ.

    An entry that one of them lacks counts as `None` there.
    """
    for key in [*old, *(k for k in new if k not in old)]:
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{prefix}{key}.")
        elif a != b:
            yield f"{prefix}{key}", a, b
