"""Dynamic programs over one DarkRoom: expected returns, exact, and where the actions lead that reach a cell soonest."""

import numpy as np

from hf_icrl.envs.dark_room import outcome

# Below 1, so that sooner is better even where every policy reaches the goal in time; equal waits give equal values to
# the last bit, since they are the same products.
_DISCOUNT = 0.99


class RoomValues:
    """What follows from a room's rules alone. The order of the actions does not matter: actions are the room's own.

    Args:
        settings (`RoomSettings`): the room.
    """

    def __init__(self, settings):
        self.settings = settings
        self.horizon = settings.kwargs["horizon"]
        self.terminates = settings.kwargs["terminate_on_goal"]
        self._scores = {}  # (goal, reduction over actions) -> expected return
        self._to_goal, self._to_rest = _Policy(settings.size**2), _Policy(settings.size**2)

    def expected_return(self, goal, backup):
        """Return of one episode, on average over starts; `backup` (np.max, np.mean) reduces over actions."""
        goal = tuple(goal)
        if (goal, backup) not in self._scores:
            reached, following = self._transitions(goal)
            values = np.zeros(len(reached))
            for _ in range(self.horizon):
                values = backup(reached + self._continued(reached, values[following]), axis=1)
            start = self.settings.fixed_start
            score = values.mean() if start is None else values[start[0] * self.settings.size + start[1]]
            self._scores[goal, backup] = float(score)
        return self._scores[goal, backup]

    def actions_to_goal(self, row, col, targets):
        """Optimal actions, int64 `(n,)`, of agents in the cells `row`, `col` `(n,)` whose goals are `targets` `(n, 2)`.

        They reach the goal soonest, on any move of a word; where the goal does not end the episode, they then earn as
        often as they can. The first of several optimal actions is taken.
        """
        return self._to_goal(self._states(row, col), self._states(*targets.T), self._best_for_goal)

    def actions_to_rest(self, row, col, targets):
        """The same for agents that want to end their words on the target, and to go on doing so."""
        return self._to_rest(self._states(row, col), self._states(*targets.T), self._best_for_rest)

    def _best_for_goal(self, target):
        reached, following = self._transitions(divmod(target, self.settings.size))
        return self._greedy(reached, lambda values: self._continued(reached, values[following]))

    def _best_for_rest(self, target):
        _, following = self._transitions(divmod(target, self.settings.size))
        return self._greedy(following == target, lambda values: values[following])

    def _greedy(self, rewards, continued):
        values = np.zeros(len(rewards))
        # Enough steps to cross the room, however short the episode is.
        for _ in range(max(self.horizon, 2 * self.settings.size)):
            returns = rewards + _DISCOUNT * continued(values)
            values = returns.max(axis=1)
        return returns.argmax(axis=1)

    def _continued(self, reached, following_values):
        return np.where(reached, 0.0, following_values) if self.terminates else following_values

    def _transitions(self, goal):
        """For every cell and action: does it reach the goal, and the cell after it; both `(cells, actions)`."""
        size = self.settings.size
        state = np.arange(size * size)[:, None]
        moves = self.settings.moves[:, None, :]
        row, col, reached, _, _ = outcome(state // size, state % size, moves, *goal, 0, size, self.horizon, False)
        return reached, row * size + col

    def _states(self, row, col):
        return row * self.settings.size + col


class _Policy:
    """One action for every target and cell, worked out for a target when it is first asked for."""

    def __init__(self, num_cells):
        self.actions = None
        self.known = np.zeros(num_cells, dtype=bool)

    def __call__(self, states, targets, best):
        """Int64 `(n,)` for cells and targets `(n,)`; `best(target)` gives the actions of all cells."""
        if not self.known[targets].all():
            if self.actions is None:
                self.actions = np.zeros((len(self.known), len(self.known)), dtype=np.int16)
            for target in np.unique(targets[~self.known[targets]]).tolist():
                self.actions[target] = best(target)
                self.known[target] = True
        return self.actions[targets, states].astype(np.int64)
