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


def encode(row, col, size, observation):
    """Cells to observations: int64 state indexes `(n,)`, or `(n, 2)` rows and columns for "row_col"."""
    if observation == "index":
        return row * size + col
    return np.stack([row, col], axis=-1)


def decode(observations, size, observation):
    """Observations `(n,)` or `(n, 2)` to a pair of int64 arrays `(n,)`, rows and columns: the inverse of `encode`."""
    observations = np.asarray(observations)
    if observation == "index":
        return observations // size, observations % size
    return observations[..., 0], observations[..., 1]


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


def checked_observation(observation):
    """`observation` as "index" or "row_col"."""
    return checked_choice(observation, "observation", OBSERVATIONS)
