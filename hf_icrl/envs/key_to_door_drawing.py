"""Pictures of Key-to-Door rooms."""

import numpy as np

from hf_icrl.envs.drawing import GOLD, cell_center, cell_side, disc, draw_agent, draw_trail, empty_room, glow, paint

_KEY_EDGE = (120, 84, 20)
_FRAME = (92, 52, 30)
_DOOR = (168, 104, 60)
_PANEL = (140, 84, 48)
_OPEN = (255, 226, 150)


def draw_key_to_door(size, trail, key, door, has_key, opened):
    """One frame of a room.

    The key lies in its cell until it is taken, then the agent carries it; a door that paid shows the light behind it.

    Args:
        size (`int`): side of the room in cells.
        trail (`list` of `(row, col)`): the cells of the running episode, oldest first; the agent stands on the last.
        key, door (`(row, col)`): the two cells.
        has_key, opened (`bool`): was the key taken, did the door pay, in this episode?

    Returns:
        `np.ndarray`: uint8 `(side, side, 3)`; `side` is even (video encoders ask for that) and at least 360 pixels.
    """
    cell = cell_side(size)
    frame = empty_room(size).copy()
    key, door, agent = (cell_center(place, cell) for place in (key, door, trail[-1]))
    # What pays next shines.
    glow(frame, door if has_key else key, cell, strength=0.75 if opened else 0.35)
    _draw_door(frame, door, cell, opened)
    if not has_key:
        _draw_key(frame, key, cell, 0.36 * cell)
    draw_trail(frame, trail, cell)
    draw_agent(frame, agent, cell)
    if has_key:
        _draw_key(frame, agent, cell, 0.2 * cell)
    return np.round(frame).astype(np.uint8)


def _draw_key(frame, center, cell, reach):
    """A golden key from the upper left to the lower right, `reach` pixels to either side of its centre."""
    edge = max(0.03 * cell, 0.8)
    paint(frame, center, cell, _key(reach, edge), _KEY_EDGE)
    paint(frame, center, cell, _key(reach, 0.0), GOLD)


def _key(reach, grown):
    """Signed distance of the key, made thicker by `grown` pixels."""
    thickness = 0.13 * reach

    def distance(y, x):
        # Along the key, from its bow (-1) to its tip (1), and across it.
        along, across = (x + y) / (2**0.5 * reach), (y - x) / (2**0.5 * reach)
        ring = np.abs(np.hypot(along + 0.62, across) - 0.38) * reach - 1.2 * thickness
        shaft = _bar(along - 0.38, across, 0.64, reach) - thickness
        teeth = [_bar(across - 0.2, along - at, 0.2, reach) - thickness for at in (0.6, 0.96)]
        return np.minimum.reduce([ring, shaft, *teeth]) - grown

    return distance


def _bar(along, across, half_length, reach):
    """Pixels to a segment of `half_length` around the origin; all lengths in units of `reach`."""
    return np.hypot(np.maximum(np.abs(along) - half_length, 0.0), across) * reach


def _draw_door(frame, center, cell, opened):
    """A brown door in its frame, with two panels and a knob."""
    paint(frame, center, cell, _box(0.44 * cell, 0.36 * cell, 0.06 * cell), _FRAME)
    leaf = _box(0.38 * cell, 0.3 * cell, 0.03 * cell)
    if opened:
        paint(frame, center, cell, leaf, _OPEN)
        return
    paint(frame, center, cell, leaf, _DOOR)
    for offset in (-0.18, 0.18):
        panel = (center[0] + offset * cell, center[1])
        paint(frame, panel, cell, _box(0.13 * cell, 0.2 * cell, 0.03 * cell), _PANEL)
    paint(frame, (center[0], center[1] + 0.22 * cell), cell, disc(0.05 * cell), GOLD)


def _box(half_height, half_width, radius):
    def distance(y, x):
        y, x = np.abs(y) - half_height + radius, np.abs(x) - half_width + radius
        return np.hypot(np.maximum(y, 0), np.maximum(x, 0)) + np.minimum(np.maximum(y, x), 0) - radius

    return distance
