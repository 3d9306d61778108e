"""Pictures of bandits: what the arms are worth above, and below how often each was pulled."""

import numpy as np

_WIDTH, _HEIGHT = 480, 360  # even, as video encoders ask
_MARGIN = 24
# Rows of pixels: the panel of the arms' expected rewards, and that of the pulls.
_VALUES, _PULLS = (24, 226), (250, 336)
_PAPER, _PANEL = (13, 16, 26), (34, 40, 58)
_ARM, _BEST, _PULL, _LAST, _LINE = (92, 120, 170), (250, 190, 70), (92, 170, 255), (238, 244, 255), (110, 120, 145)


def draw_bandit(values, low, high, pulls, last):
    """One frame of a bandit.

    Above, a bar for each arm's expected reward, the best one golden; below, one for how often it was pulled in the
    episode, next to the arm that was pulled most. The column of the arm that was pulled last is lit.

    Args:
        values (`list[float]`): the expected rewards of the usable arms.
        low, high (`float`): the rewards at the lower and the upper edge of the panel, low <= 0 <= high, low < high;
            bars beyond end there.
        pulls (`list[int]`): how often each arm was pulled in the episode.
        last (`int` or `None`): the arm that was pulled last.

    Returns:
        `np.ndarray`: uint8 `(360, 480, 3)`.
    """
    frame = np.empty((_HEIGHT, _WIDTH, 3), dtype=np.float32)
    frame[:] = _PAPER
    for top, bottom in (_VALUES, _PULLS):
        _fill(frame, top, bottom, _MARGIN, _WIDTH - _MARGIN, _PANEL)
    column = (_WIDTH - 2 * _MARGIN) / len(values)
    gap = min(0.14 * column, 6.0)
    level = np.interp([*values, 0.0], [low, high], [_VALUES[1], _VALUES[0]])
    best, most = max(values), max(*pulls, 1)
    for arm, value in enumerate(values):
        left, right = _MARGIN + arm * column, _MARGIN + (arm + 1) * column
        if arm == last:
            for top, bottom in (_VALUES, _PULLS):
                _fill(frame, top, bottom, left, right, _LAST, strength=0.22)
        colour = _BEST if value == best else _ARM
        _fill(frame, *sorted((level[arm], level[-1])), left + gap, right - gap, colour)
        height = (_PULLS[1] - _PULLS[0]) * pulls[arm] / most
        _fill(frame, _PULLS[1] - height, _PULLS[1], left + gap, right - gap, _LAST if arm == last else _PULL)
    _fill(frame, level[-1] - 0.75, level[-1] + 0.75, _MARGIN, _WIDTH - _MARGIN, _LINE)
    return np.round(frame).astype(np.uint8)


def _fill(frame, top, bottom, left, right, colour, strength=1.0):
    """Paint a rectangle; pixels that it covers in part take as much of its colour."""
    rows, columns = _cover(top, bottom, _HEIGHT), _cover(left, right, _WIDTH)
    y, x = _touched(rows), _touched(columns)
    share = strength * rows[y, None, None] * columns[None, x, None]
    frame[y, x] += share * (np.array(colour, dtype=np.float32) - frame[y, x])


def _cover(first, end, length):
    """How much of each of `length` pixels lies between two coordinates."""
    pixel = np.arange(length)
    return np.clip(np.minimum(pixel + 1, end) - np.maximum(pixel, first), 0.0, 1.0).astype(np.float32)


def _touched(cover):
    at = np.flatnonzero(cover)
    return slice(at[0], at[-1] + 1) if len(at) else slice(0, 0)
