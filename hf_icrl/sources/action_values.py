"""Tables of action values of many learners, which know the best action of every state without searching for it."""

import numpy as np

from hf_icrl.counter_random import bits

_HALF = np.uint64(32)
# Tables that are filled at a time: their random bits fit into the cache.
_BLOCK = 16


class ActionValues:
    """Float32 values of n learners, `(n, num_states, num_actions)`, with the best ones of each state at hand.

    An update changes one value of a row. Only where that was the best one, and fell, is the row searched again, so a
    step costs about the same with 125 actions as with 5. A *cell* is a learner's state as one number, `(n,)` int64.

    Args:
        keys (`np.ndarray` of uint64, shape `(n,)`): the streams that the first values come from.
        num_states, num_actions (`int`): of each learner.
        initial (`[low, high]`): the values begin uniform in this range (on a grid of 2**24 numbers).
        available (`np.ndarray` of bool, shape `(n, num_actions)`, *optional*): which actions each learner has; what
            it lacks is never chosen.
    """

    def __init__(self, keys, num_states, num_actions, initial, available=None):
        n = len(keys)
        self._num_states, self._num_actions = num_states, num_actions
        self._available = available
        self._table = np.empty((n, num_states, num_actions), np.float32)
        for first in range(0, n, _BLOCK):
            block = slice(first, first + _BLOCK)
            self._table[block] = _uniform(keys[block], num_states, num_actions, *initial)
            if available is not None:
                self._table[block][~np.broadcast_to(available[block, None], self._table[block].shape)] = -np.inf
        self._highest = np.empty(n * num_states, np.float32)
        self._best = np.empty(n * num_states, np.int64)
        self._tied = np.empty(n * num_states, bool)
        self._lay_out()
        for first in range(0, n, _BLOCK):
            self._search(np.arange(first * num_states, min(first + _BLOCK, n) * num_states))

    def _lay_out(self):
        n = len(self._table)
        self._rows = self._table.reshape(n * self._num_states, self._num_actions)
        self._flat = self._table.reshape(-1)
        self._first_cells = np.arange(n) * self._num_states
        if self._available is None:
            self._counts = np.uint64(self._num_actions)
        else:
            self._counts = self._available.sum(axis=1).astype(np.uint64)
            # The available ones first, in ascending order: a rank below the count finds one of them.
            self._choices = np.argsort(~self._available, axis=1, kind="stable")

    def select(self, rows):
        """Go on with these learners only: int64 `(m,)`, ascending."""
        by_state = (-1, self._num_states)
        self._table = self._table[rows]
        for name in ("_highest", "_best", "_tied"):
            setattr(self, name, getattr(self, name).reshape(by_state)[rows].reshape(-1))
        if self._available is not None:
            self._available = self._available[rows]
        self._lay_out()

    def cells(self, states):
        """The cells of one state of each learner, int64 `(n,)`."""
        return self._first_cells + states

    def best(self, cells):
        """The best action, at ties the first: int64."""
        return self._best.take(cells)

    def highest(self, cells):
        """The value of the best action: float32."""
        return self._highest.take(cells)

    def is_tied(self, cells):
        """Whether several actions are best: bool."""
        return self._tied.take(cells)

    def draw_best(self, cells, draw):
        """One of the best actions, by numbers `draw` uniform in [0, 2**32): int64."""
        candidates = self._rows[cells] == self._highest.take(cells)[:, None]
        rank = (draw * candidates.sum(axis=1).astype(np.uint64)) >> _HALF
        return (candidates.cumsum(axis=1) == rank[:, None].astype(np.int64) + 1).argmax(axis=1)

    def draw_any(self, draw):
        """One of each learner's actions, by numbers `draw` uniform in [0, 2**32): int64 `(n,)`."""
        rank = ((draw * self._counts) >> _HALF).view(np.int64)
        return rank if self._available is None else self._choices[np.arange(len(rank)), rank]

    def update(self, cells, actions, targets, rate):
        """Move the value of one action of each learner by `rate` of the way to its target (float32 `(n,)`)."""
        place = cells * self._num_actions
        place += actions
        old = self._flat.take(place)
        targets -= old
        targets *= rate
        targets += old
        new = targets
        self._flat[place] = new
        top = self._highest.take(cells)
        was_best = old == top
        rises = np.flatnonzero(new > top)
        if len(rises):
            at = cells[rises]
            self._highest[at] = new[rises]
            self._best[at] = actions[rises]
            self._tied[at] = False
        # The best value fell, or another one came up to it.
        search = np.flatnonzero(np.where(was_best, new < top, new == top))
        if len(search):
            self._search(cells[search])

    def erase(self, learners, cells):
        """Set all values of these cells to 0; `learners` says whose they are, both int64 `(m,)`."""
        if self._available is None:
            self._rows[cells] = 0.0
        else:
            self._rows[cells] = np.where(self._available[learners], np.float32(0.0), np.float32(-np.inf))
        self._search(cells)

    def _search(self, cells):
        values = self._rows[cells]
        best = values.argmax(axis=1)
        highest = values[np.arange(len(cells)), best]
        self._best[cells] = best
        self._highest[cells] = highest
        self._tied[cells] = (values == highest[:, None]).sum(axis=1, dtype=np.int16) > 1


def _uniform(keys, num_states, num_actions, low, high):
    """Float32 numbers uniform in [low, high), `(n, num_states, num_actions)`: two from each 64 bits of a stream."""
    size = num_states * num_actions
    drawn = bits(keys[:, None], np.arange((size + 1) // 2)[None, :]).astype("<u8", copy=False).view("<u4")
    unit = (drawn[:, :size] >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return (np.float32(low) + np.float32(high - low) * unit).reshape(len(keys), num_states, num_actions)
