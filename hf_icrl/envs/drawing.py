"""Pictures of grid worlds, in NumPy: shapes are signed distances in pixels, which gives smooth edges for free."""

from functools import lru_cache
from itertools import pairwise

import numpy as np

_WALL = (13, 16, 26)
_FLOOR = (34, 40, 58)
GOLD = (250, 190, 70)
_TRAIL = (92, 170, 255)
_AGENT = (238, 244, 255)
_AGENT_EDGE = (60, 110, 220)
_MIN_SIDE = 360  # pixels


def draw_room(size, trail, goal):
    """One frame of a room.

    Args:
        size (`int`): side of the room in cells.
        trail (`list` of `(row, col)`): the cells of the running episode, oldest first; the agent stands on the last.
        goal (`(row, col)`): the rewarded cell.

    Returns:
        `np.ndarray`: uint8 `(side, side, 3)`; `side` is even (video encoders ask for that) and at least 360 pixels.
    """
    cell = cell_side(size)
    frame = empty_room(size).copy()
    on_goal = tuple(trail[-1]) == tuple(goal)
    glow(frame, cell_center(goal, cell), cell, strength=0.75 if on_goal else 0.35)
    paint(frame, cell_center(goal, cell), cell, rounded_square(0.41 * cell, 0.12 * cell), GOLD)
    draw_trail(frame, trail, cell)
    draw_agent(frame, cell_center(trail[-1], cell), cell)
    return np.round(frame).astype(np.uint8)


def draw_trail(frame, trail, cell):
    """Lines through the cells `trail` (`list` of `(row, col)`, oldest first), into the float frame."""
    _blend(frame, _trail_coverage(frame.shape[:2], trail, cell), _TRAIL)


def draw_agent(frame, center, cell):
    """The agent at pixel coordinates `center`, into the float frame."""
    paint(frame, center, cell, disc(0.3 * cell), _AGENT_EDGE)
    paint(frame, center, cell, disc(0.3 * cell - max(0.06 * cell, 1.0)), _AGENT)


def cell_side(size):
    """Pixels per cell: even, so that centres fall between pixels and everything is symmetric."""
    return max(6, 2 * -(-_MIN_SIDE // (2 * (size + 1))))


def cell_center(place, cell):
    """Pixel coordinates `(y, x)` of a cell's centre; half a cell of wall surrounds the room."""
    return (place[0] + 1.0) * cell, (place[1] + 1.0) * cell


@lru_cache(maxsize=8)
def empty_room(size):
    """The room without anything in it: float32 `(side, side, 3)`; copy it before painting."""
    cell = cell_side(size)
    frame = np.empty(((size + 1) * cell, (size + 1) * cell, 3), dtype=np.float32)
    frame[:] = _WALL
    offset = np.arange(cell) + 0.5 - cell / 2
    coverage = _coverage(rounded_square(0.46 * cell, 0.1 * cell)(offset[:, None], offset[None, :]))
    tile = np.array(_WALL) + coverage[..., None] * (np.array(_FLOOR) - np.array(_WALL))
    edge = cell // 2
    frame[edge : edge + size * cell, edge : edge + size * cell] = np.tile(tile, (size, size, 1))
    return frame


def disc(radius):
    """Signed distance of a disc, in pixels from its centre: a function of `y` and `x`, negative inside."""
    return lambda y, x: np.hypot(y, x) - radius


def rounded_square(half_side, radius):
    """Signed distance of a square with rounded corners; see `disc`."""

    def distance(y, x):
        y, x = np.abs(y) - half_side + radius, np.abs(x) - half_side + radius
        return np.hypot(np.maximum(y, 0), np.maximum(x, 0)) + np.minimum(np.maximum(y, x), 0) - radius

    return distance


def _coverage(distance):
    """Share of a pixel inside a shape, from the signed distance of its centre."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _trail_coverage(shape, trail, cell):
    """How much of the trail's colour each pixel takes, `(height, width)`.

    The newest moves are clear, older ones fade to a floor that still shows where the episode has been. The maximum
    over moves, so that nothing doubles up where they meet.
    """
    coverage = np.zeros(shape, dtype=np.float32)
    moves = [pair for pair in pairwise(trail) if tuple(pair[0]) != tuple(pair[1])]
    for age, (start, end) in enumerate(reversed(moves)):
        _line(
            coverage,
            cell_center(start, cell),
            cell_center(end, cell),
            0.07 * cell,
            strength=max(0.85 - 0.07 * age, 0.2),
        )
    return coverage


def _window(frame, low_y, high_y, low_x, high_x):
    """A view of the frame and the coordinates of its pixel centres."""
    low_y, low_x = max(int(low_y), 0), max(int(low_x), 0)
    high_y, high_x = min(int(high_y) + 1, frame.shape[0]), min(int(high_x) + 1, frame.shape[1])
    y = np.arange(low_y, high_y)[:, None] + 0.5
    x = np.arange(low_x, high_x)[None, :] + 0.5
    return frame[low_y:high_y, low_x:high_x], y, x


def _blend(view, alpha, colour):
    view += alpha[..., None] * (np.array(colour, dtype=np.float32) - view)


def paint(frame, center, cell, shape, colour):
    """Fill `shape` (a signed distance, see `disc`; at most a cell around `center`) into the float frame."""
    view, y, x = _window(frame, center[0] - cell, center[0] + cell, center[1] - cell, center[1] + cell)
    _blend(view, _coverage(shape(y - center[0], x - center[1])), colour)


def glow(frame, center, cell, strength):
    """A golden light around pixel coordinates `center`, into the float frame; `strength` in [0, 1]."""
    reach = 2 * cell
    view, y, x = _window(frame, center[0] - reach, center[0] + reach, center[1] - reach, center[1] + reach)
    radius = np.hypot(y - center[0], x - center[1]) / cell
    # Reaches zero with zero slope at the edge of the window, so that no border shows.
    _blend(view, strength * np.clip(1 - radius / 2, 0, 1) ** 2, GOLD)


def _line(coverage, start, end, half_width, strength):
    reach = half_width + 1
    view, y, x = _window(
        coverage,
        min(start[0], end[0]) - reach,
        max(start[0], end[0]) + reach,
        min(start[1], end[1]) - reach,
        max(start[1], end[1]) + reach,
    )
    along_y, along_x = end[0] - start[0], end[1] - start[1]
    share = ((y - start[0]) * along_y + (x - start[1]) * along_x) / (along_y**2 + along_x**2)
    share = np.clip(share, 0, 1)
    distance = np.hypot(y - start[0] - share * along_y, x - start[1] - share * along_x) - half_width
    np.maximum(view, strength * _coverage(distance), out=view)
