"""Find an action that was taken though its task lacks it."""

import numpy as np


def first_unavailable(sets, lengths, actions):
    """The first step whose action is not in its set: `(row, step of the row)`, or `None`.

    Args:
        sets: bool `(rows, A)`.
        lengths: int `(rows,)`, steps of each row; none is 0.
        actions: int64 `(steps,)`, those of all rows in their order.
    """
    rows, size = sets.shape
    begins = np.repeat(np.arange(rows) * size, lengths)
    outside = (actions < 0) | (actions >= size)
    there = sets.reshape(-1).take(begins + actions, mode="clip") if size else ~outside
    wrong = np.flatnonzero(outside | ~there)
    if not len(wrong):
        return None
    ends = np.cumsum(lengths)
    row = int(np.searchsorted(ends, wrong[0], side="right"))
    return row, int(wrong[0] - (ends[row] - lengths[row]))


def set_text(actions):
    """A set, bool `(A,)`, for messages."""
    there = np.flatnonzero(actions).tolist()
    named = ", ".join(map(str, there[:20])) + (", ..." if len(there) > 20 else "")
    return f"{len(there)} of {len(actions)} actions ({named or 'none'})"
