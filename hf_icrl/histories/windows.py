"""Windows of learning histories, the training data of every sequence model here."""

import warnings
from itertools import pairwise

import numpy as np
import torch

from hf_icrl.checks import checked_int
from hf_icrl.counter_random import bits
from hf_icrl.histories.action_sets import ActionSets
from hf_icrl.histories.columns import FlatColumn, FlatOffsets, flat_values
from hf_icrl.histories.validation import HistoryIndex, validate_histories
from hf_icrl.histories.weighting import WEIGHTINGS
from hf_icrl.histories.window_draws import WindowDraws
from hf_icrl.naming import check_names
from hf_icrl.seeding import seed_sequence

# Value of `previous_dones`, and of integer `previous_actions`, where a history truly begins: there is no such step.
NONE = -1


class HistoryWindows(torch.utils.data.Dataset):
    """A map-style torch dataset of windows of `length` steps, drawn from learning histories.

    Window `i` is a pure function of `(seed, i)` and the data: nothing has to be stored to resume a training run. Every
    valid window start is equally likely, so a history weighs as much as it has windows, `len(history) - length + 1`,
    and windows begin anywhere, at a history's true start too. They cross episode borders, never history borders.

    Each item is a dict of NumPy arrays (which every collator of torch and transformers stacks into tensors, and which
    are made five times faster than small tensors), what an agent knows when it must act and what the source did then:

    | key | shape | meaning at step t of the window |
    |---|---|---|
    | `observations` | (L, ...) | the observation before the action |
    | `previous_actions` | (L, ...) | the action of step t - 1 |
    | `previous_rewards` | (L,) float32 | what that action earned |
    | `previous_dones` | (L,) int64 | 1 if it ended an episode (terminated or truncated), else 0 |
    | `labels` | (L, ...) | the action taken at t |
    | `episode_times` | (L,) int64 | with `times`: steps taken in the running episode before t |
    | `previous_observations` | (L, ...) | with `predecessors`: the observation before the previous action |
    | `loss_weights` | (L,) float32 | with `weighting`: how much the loss of this step counts |
    | `available_actions` | (A,) bool | with `num_actions`: which actions the task of the window's history has |
    | `action_seeds` | int64 | with `num_actions`: a seed in [0, 2**63), of this window alone |

    Discrete and MultiDiscrete values are int64, Box values float32 (images uint8). A window cut from the middle of a
    history knows its true predecessor. At a history's true start there is none: `previous_dones` is -1,
    `previous_rewards` 0, `previous_actions` -1 (0 for Box).

    Args:
        dataset (`datasets.Dataset`): learning histories, see `validate_histories`. It stays memory-mapped; this object
            holds 24 bytes a history and nothing a step or an episode.
        length (`int`): steps of a window.
        num_windows (`int`): the length of this dataset, enough for the whole training run (one epoch).
        seed (`int`): which windows.
        times (`bool`): give `episode_times`, for models with `position_embedding="env_time"`. A window that begins in
            the middle of an episode knows the true time.
        predecessors (`bool`): give `previous_observations`, for models with `embed_previous_observation=True`; zeros at a
            history's true start.
        weighting (`str`, *optional*): give `loss_weights`. `"improvement"`: episodes better than the history's
            episodes before weigh more, by [`~hf_icrl.histories.weighting.improvement_weights`]; the mean over the
            steps of each history is 1. All rewards are read once, at the first window; 4 bytes an episode are held.
        num_actions (`int`, *optional*): give `available_actions` over so many Discrete actions A, and `action_seeds`,
            for models that read action sets and draw embeddings of actions. Without the column `available_actions` of
            the data every task has all of them; a bit an action and history is held of the column.
        own_actions (`int`, *optional*): the size of the data's own action space, where that is smaller than
            `num_actions`, as in a padded mixture: actions beyond it are not available.

    Raises:
        ValueError: no history is as long as a window (histories that are too short are left out with a warning if
            others are long enough), the dataset holds no learning histories, an unknown weighting, or numbers of
            actions that do not fit the data.
    """

    def __init__(
        self,
        dataset,
        *,
        length,
        num_windows,
        seed=0,
        times=False,
        predecessors=False,
        weighting=None,
        num_actions=None,
        own_actions=None,
    ):
        self.dataset = dataset
        self.length = checked_int(length, "length", 1)
        self.num_windows = checked_int(num_windows, "num_windows", 1)
        self.seed = checked_int(seed, "seed", 0)
        self.times = bool(times)
        self.predecessors = bool(predecessors)
        self.weighting = weighting
        if weighting is not None:
            check_names([weighting], WEIGHTINGS, "weighting")
        self.num_actions = None if num_actions is None else checked_int(num_actions, "num_actions", 1)
        self.own_actions = None if own_actions is None else checked_int(own_actions, "own_actions", 1)
        index = validate_histories(dataset)
        longest, short = int(index.lengths.max()), int((index.lengths < length).sum())
        if longest < length:
            raise ValueError(
                f"a window of {length} steps is longer than every history: the longest has {longest} steps; use a "
                f"length of at most {longest}, or collect histories of more episodes"
            )
        if short:
            warnings.warn(
                f"{short} of {len(index.lengths)} histories are shorter than a window of {length} steps and are never "
                "drawn",
                stacklevel=2,
            )
        self._open(index)

    def _open(self, index):
        """Look at the dataset's memory. Called again in a process that got this object by spawning."""
        self._index = index
        self._draws = WindowDraws(index.lengths, self.length, self.seed)
        batches = [batch for batch in self.dataset.data.to_batches() if batch.num_rows]
        self._first_row = np.cumsum([0, *(batch.num_rows for batch in batches)])
        columns = {}
        for name in ("observations", "actions", "rewards"):
            columns[name] = FlatColumn([flat_values(batch[name]) for batch in batches], self.length)
        self._observations, self._actions, self._rewards = columns.values()
        self._first_step = np.cumsum([0, *(len(piece) for piece in self._rewards.pieces)])
        self._offsets = FlatOffsets([batch["rewards"].offsets.to_numpy() for batch in batches], self.length)
        # What `previous_actions` holds where there is no predecessor.
        self._no_action = NONE if self._actions.dtype == np.int64 else 0
        self._episode_weights = None
        if self.num_actions is not None:
            self._action_sets = ActionSets(batches, index.rows[:-1], self.num_actions, self.own_actions)
            self._action_key = seed_sequence(self.seed, "window/action_seed").generate_state(1, np.uint64)

    def __getstate__(self):
        # The views hold addresses of this process; a dataset travels as the names of its memory-mapped files.
        kept = ("dataset", "length", "num_windows", "seed", "times", "predecessors", "weighting")
        kept += ("num_actions", "own_actions")
        return {name: getattr(self, name) for name in kept} | {"rows": self._index.rows, "steps": self._index.steps}

    def __setstate__(self, state):
        index = HistoryIndex(state.pop("rows"), state.pop("steps"))
        self.__dict__.update(state)
        self._open(index)

    def __repr__(self):
        return f"HistoryWindows({len(self)} windows of {self.length} steps, seed {self.seed}, {self._index!r})"

    def __len__(self):
        return self.num_windows

    def __getitem__(self, index):
        return self.__getitems__([index])[0]

    def __getitems__(self, indices):
        """The windows `indices` (list of `int`), a list of dicts; see the class. One gather serves them all."""
        if not len(indices):
            return []
        columns, extra = self._batch(checked_indices(indices, self.num_windows))
        rows = zip(*columns, strict=True)
        # Written out, since it is a quarter of the time of a window and `dict(zip(...))` takes four times as long.
        items = [
            {
                "observations": observations,
                "previous_actions": actions,
                "previous_rewards": rewards,
                "previous_dones": dones,
                "labels": labels,
            }
            for observations, actions, rewards, dones, labels in rows
        ]
        for name, values in extra.items():
            for item, row in zip(items, values, strict=True):
                item[name] = row
        return items

    def _batch(self, indices):
        """The five arrays of a batch, in the order of the class's table, and a dict of the optional ones.

        Each is of shape (B, length, ...), but for those that a window has once.
        """
        history, offset = self._draws(indices)
        start = self._index.steps[history] + offset  # over the whole dataset
        first = np.flatnonzero(offset == 0)
        chunk = np.searchsorted(self._first_step, start, side="right") - 1
        step = start - self._first_step[chunk]
        # Wholly inside one chunk, together with the step before: all but a few of the windows.
        inside = (step > 0) & (start + self.length <= self._first_step[chunk + 1])
        where = (history, chunk, step)
        crossing = ()
        if not inside.all():
            rows = np.flatnonzero(~inside)
            parts = (rows, chunk[rows], step[rows], offset[rows] == 0)
            crossing = list(zip(*(part.tolist() for part in parts), strict=True))
            # So that one gather still serves the whole batch, the others stand in for these; their rows follow below.
            stand_in = np.where(inside, np.arange(len(start)), inside.argmax())
            where = tuple(array[stand_in] for array in where)
        some_inside = len(crossing) < len(start)

        def gather(column, shift, fill=None):
            """Runs that begin `shift` (0 or -1) steps from the windows' starts; `fill` where there is no such step."""
            runs = column.gather(where[1], where[2] + shift) if some_inside else column.empty(len(start))
            for row, c, s, no_step_before in crossing:
                skip = int(shift == -1 and no_step_before)
                column.copy_across(c, s + shift + skip, runs[row, skip:])
            if shift == -1 and len(first):
                runs[first, 0] = fill
            return runs

        dones = np.zeros((len(start), self.length), np.int64)
        # The episode, a row of the dataset, that each window begins in, and the time there.
        episode, time = np.empty((2, len(start)), np.int64)
        if some_inside:
            episode, time = self._mark_dones(dones, *where)
        for row, c, s, _ in crossing:
            dones[row] = 0
            episode[row], time[row] = self._mark_dones_across(dones[row], c, s)
        extra = {}
        if self.times:
            extra["episode_times"] = _episode_times(dones, time)
        if self.predecessors:
            extra["previous_observations"] = gather(self._observations, -1, 0)
        if self.weighting is not None:
            extra["loss_weights"] = self._loss_weights(dones, episode)
        if self.num_actions is not None:
            extra["available_actions"] = self._action_sets(history)
            extra["action_seeds"] = (bits(self._action_key, indices) >> np.uint64(1)).astype(np.int64)
        dones[first, 0] = NONE
        columns = (
            gather(self._observations, 0),
            gather(self._actions, -1, self._no_action),
            gather(self._rewards, -1, 0.0),
            dones,
            gather(self._actions, 0),
        )
        return columns, extra

    def _loss_weights(self, begins, episode):
        """Weights of the steps (B, length) of windows that begin in `episode` (B,); `begins`: 1 where one begins."""
        if self._episode_weights is None:
            self._episode_weights = self._weigh_episodes()
        # A beginning at the first step is that of `episode` itself.
        later = np.cumsum(begins, axis=1)
        later -= begins[:, :1]
        return self._episode_weights[episode[:, None] + later]

    def _weigh_episodes(self):
        """The weight of each row of the dataset, float32 (rows,)."""
        returns, lengths = [], []
        for chunk, rewards in enumerate(self._rewards.pieces):
            offsets = self._offsets.of_chunk(chunk)
            returns.append(np.add.reduceat(rewards.astype(np.float64), offsets))
            lengths.append(np.diff(offsets, append=len(rewards)))
        returns, lengths = np.concatenate(returns), np.concatenate(lengths)
        weigh = WEIGHTINGS[self.weighting]
        return np.concatenate([weigh(returns[a:b], lengths[a:b]) for a, b in pairwise(self._index.rows)])

    def _mark_dones(self, dones, history, chunk, step):
        """Write 1 into `dones` (B, length) at every first step of an episode, for windows inside their chunks.

        Returns:
            the episode that each window begins in, counted over the whole dataset, and the time there, both (B,).
        """
        # The history's rows in this chunk; no other episode can begin in the window.
        low = np.maximum(self._index.rows[history] - self._first_row[chunk], 0)
        high = np.minimum(self._index.rows[history + 1] - self._first_row[chunk], self._offsets.rows[chunk])
        begins, row, time = self._offsets.starts_in_runs(chunk, step, low, high)
        dones[begins] = 1
        return self._first_row[chunk] + row, time

    def _mark_dones_across(self, dones, chunk, step):
        """The same for one window (length,) that may go on in the next chunks."""
        offsets = self._offsets.of_chunk(chunk)
        row = np.searchsorted(offsets, step, side="right") - 1
        begun_in = self._first_row[chunk] + row, step - offsets[row]
        position = -step  # of the chunk's first step, in the window
        while position < self.length:
            starts = self._offsets.of_chunk(chunk) + position
            dones[starts[(starts >= 0) & (starts < self.length)]] = 1
            position = position + len(self._rewards.pieces[chunk])
            chunk += 1
        return begun_in


def checked_indices(indices, num_windows):
    """Window indices (a list, not empty) as an int64 array in [0, num_windows); negative ones count from the end."""
    indices = np.asarray(indices, np.int64)
    low, high = indices.min(), indices.max()
    if low < -num_windows or high >= num_windows:
        raise IndexError(f"window index out of range: there are {num_windows} windows, asked for {indices.tolist()}")
    return indices if low >= 0 else indices % num_windows


def _episode_times(begins, time):
    """Times (B, length) inside the episodes that begin where `begins` (B, length) is 1; `time` (B,) at the first step."""
    index = np.arange(begins.shape[1])
    # An episode that began before the window did so at a negative index.
    begin = np.where(begins, index, -time[:, None])
    np.maximum.accumulate(begin, axis=1, out=begin)
    return np.subtract(index, begin, out=begin)
