"""Say which valid name was probably meant."""

from difflib import get_close_matches


def nearest(name, valid):
    """The sentence that ends an unknown-name error: the nearest valid name, or all of them.

    Example: `nearest("sise", ["size", "goal"])` is `"did you mean 'size'? (valid: goal, size)"`.
    """
    valid = sorted(str(v) for v in valid)
    close = get_close_matches(str(name), valid, n=1, cutoff=0.5)
    listing = f"valid: {', '.join(valid)}" if valid else "there are no valid names"
    return f"did you mean {close[0]!r}? ({listing})" if close else listing


def check_names(given, valid, what):
    """Raise `ValueError` naming the first of `given` that is not in `valid`. `what` is e.g. "environment argument"."""
    for name in given:
        if name not in valid:
            raise ValueError(f"unknown {what} {name!r}: {nearest(name, valid)}")
