"""What the grid worlds share: the actions, the one transition function, states, starts, and argument checks.

Conventions (design.md, 3): state index = row * size + column; row 0 is at the top, column 0 at the left; actions are
0 stay, 1 up, 2 right, 3 down, 4 left; a move into a wall does nothing.
"""

import operator

import numpy as np

from hf_icrl.checks import checked_choice, checked_int
from hf_icrl.naming import nearest

STAY, UP, RIGHT, DOWN, LEFT = range(5)
NUM_ACTIONS = 5

STARTS = ("center", "corner", "random")
OBSERVATIONS = ("index", "row_col")


def move(row, col, action, size):
    """The one transition function of every grid world, scalar and vector.

    It is written with operators that mean the same for Python ints and for NumPy int64 arrays, so the scalar
    environment, the vector environment and the dynamic programs cannot drift apart.

    Args:
        row, col: int or int64 array `(n,)`: cells before the action, in [0, size).
        action: int or int64 array `(n,)`: actions in [0, 5).
        size (`int`): side of the room.

    Returns:
        The pair `(row, col)` after the action, of the same kind.
    """
    row = row + ((action == DOWN) & (row < size - 1)) - 1 * ((action == UP) & (row > 0))
    col = col + ((action == RIGHT) & (col < size - 1)) - 1 * ((action == LEFT) & (col > 0))
    return row, col


def cells_passed(row, col, moves, size):
    """Yields the pair `(row, col)` after each of `moves`, a sequence of what `move` takes as an action."""
    for action in moves:
        row, col = move(row, col, action, size)
        yield row, col


def walk(row, col, target_row, target_col):
    """The published walker: along the column to the target's row first, then along the row, then it stays.

    All arguments are int64 arrays `(n,)`; returns int64 actions `(n,)`. No way is shorter.
    """
    across = np.where(col < target_col, RIGHT, np.where(col > target_col, LEFT, STAY))
    return np.where(row < target_row, DOWN, np.where(row > target_row, UP, across))


def start_cell(start, size):
    """The fixed start as `(row, col)`, or `None` for a start that is drawn anew for every episode."""
    if start == "random":
        return None
    if start == "center":
        return size // 2, size // 2
    if start == "corner":
        return 0, 0
    return start[0], start[1]


def possible_goals(size, start):
    """Every goal of a room as an int64 array `(goals, 2)` of rows and columns, in state order.

    A fixed start is no goal: the agent would stand on it without having learned anything. A random start leaves all
    cells.
    """
    state = np.arange(size * size)
    cell = start_cell(start, size)
    if cell is not None:
        state = state[state != cell[0] * size + cell[1]]
    return np.stack([state // size, state % size], axis=1)


def encode(row, col, size, observation, room_size=None):
    """Cells, ints or int64 `(n,)`, to observations of one kind.

    Args:
        row, col: the agents' cells.
        size (`int`): side of the observed square: that of the room, or of a larger one at whose top left it stands.
        observation (`str`): "index" gives int64 `(n,)`, `row * size + col`; "row_col" int64 `(n, 2)`; "one_hot"
            float32 `(n, size * size)`; "image" uint8 `(n, size, size, 3)`, a pixel a cell: the agent red, the floor
            white, and black what is outside the room.
        room_size (`int`, *optional*): side of the room, `size` by default; only images show it.
    """
    if observation == "index":
        return row * size + col
    if observation == "row_col":
        return np.stack([row, col], axis=-1)
    row, col = np.asarray(row), np.asarray(col)
    agents = np.arange(row.size)
    if observation == "one_hot":
        observations = np.zeros((row.size, size * size), dtype=np.float32)
        observations[agents, (row * size + col).ravel()] = 1.0
        return observations.reshape(*row.shape, size * size)
    floor = size if room_size is None else room_size
    images = np.zeros((row.size, size, size, 3), dtype=np.uint8)
    images[:, :floor, :floor] = 255
    images[agents, row.ravel(), col.ravel(), 1:] = 0
    return images.reshape(*row.shape, size, size, 3)


def decode(observations, size, observation):
    """Observations to a pair of int64 arrays `(n,)`, rows and columns: the inverse of `encode`, the same arguments."""
    observations = np.asarray(observations)
    if observation == "row_col":
        return observations[..., 0], observations[..., 1]
    if observation == "one_hot":
        observations = observations.argmax(axis=-1)
    elif observation == "image":
        # Only the agent is red without being green.
        red = observations[..., 0] > observations[..., 1]
        observations = red.reshape(*red.shape[:-2], size * size).argmax(axis=-1)
    return observations // size, observations % size


def checked_size(size):
    """`size` as an int >= 2."""
    return checked_int(size, "size", 2)


def checked_start(start, size):
    """`start` as "center", "corner", "random" or a list `[row, col]` inside the room."""
    if isinstance(start, str):
        if start not in STARTS:
            raise ValueError(f"unknown start {start!r}: {nearest(start, STARTS)}, or a [row, col] pair")
        return start
    return checked_cell(start, size, "start")


def checked_cell(cell, size, what):
    """`cell` as a list `[row, col]` of Python ints inside a room of `size`; `what` ("goal", "start") is for errors."""
    try:
        row, col = (operator.index(x) for x in cell)
    except (TypeError, ValueError):
        raise ValueError(f"{what} is {cell!r}; it must be a [row, col] pair of integers") from None
    if not (0 <= row < size and 0 <= col < size):
        raise ValueError(
            f"{what} {[row, col]} is outside the room of size {size}: rows and columns go from 0 to {size - 1}. "
            f"Choose a {what} inside, or a larger size"
        )
    return [row, col]


def checked_cells(cells, num_envs, size, what):
    """One cell for all slots, or one for each, as a new int64 array `(num_envs, 2)`; see `checked_cell`."""
    cells = np.asarray(cells)
    if cells.dtype.kind not in "iu" or cells.shape not in [(2,), (num_envs, 2)]:
        raise ValueError(
            f"{what} must be one [row, col] pair of integers or {num_envs} of them (one for each environment), "
            f"got {cells.dtype} of shape {cells.shape}"
        )
    cells = np.broadcast_to(cells, (num_envs, 2)).astype(np.int64)
    outside = ((cells < 0) | (cells >= size)).any(axis=1)
    if outside.any():
        checked_cell(cells[outside][0].tolist(), size, what)  # raises, naming the cell and the size
    return cells


def checked_observation(observation, valid=OBSERVATIONS):
    """`observation`, one of the kinds `valid`: by default "index" or "row_col"."""
    return checked_choice(observation, "observation", valid)
