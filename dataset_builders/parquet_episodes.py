"""Cut the rows of parquet files into episodes."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hf_icrl.dataset_builders.parquet_columns import is_list


@dataclass
class RawEpisode:
    """One episode as the files have it; `observations` `(T + 1, ...)`, `actions` `(T, ...)`, `rewards` `(T,)`."""

    history: int
    task: dict[str, Any] | None
    env_id: str | None
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    where: str
    available_actions: np.ndarray | None = None  # bool (actions,)


class _Histories:
    """Numbers the histories by their ids, which must not come back after another history began."""

    def __init__(self):
        self.number, self.key, self._seen = -1, None, set()
        self._episodes, self._last = set(), None  # of the running history

    def enter(self, key, where):
        """Go on with, or begin, the history `key`."""
        if self.number >= 0 and key == self.key:
            return
        if key in self._seen:
            raise ValueError(
                f"history {key!r} goes on at {where}, after another one began: sort the rows by history and episode"
            )
        self._seen.add(key)
        self.number, self.key = self.number + 1, key
        self._episodes, self._last = set(), None

    def enter_episode(self, key, where):
        """Begin the episode `key` of the running history; numbers must rise, and no other value may come back."""
        if key is None:
            return
        wrong = key in self._episodes if isinstance(key, str) else self._last is not None and key <= self._last
        if wrong:
            raise ValueError(
                f"episode {key!r} of history {self.key!r} at {where} comes after episode {self._last!r}: sort the rows by "
                "history and episode"
            )
        self._episodes.add(key)
        self._last = key


def episodes_from_rows(files, repeat_last):
    """Yield `RawEpisode`s from files with one row an episode.

    Args:
        files (`ParquetColumns`): of the layout "episodes".
        repeat_last (`bool`): put the last observation where nothing says what the last action led to.

    Raises:
        ValueError: lists of different lengths, histories out of order, or nothing says what the last action led to.
    """
    histories = _Histories()
    step_names = [name for name in ("observations", "actions", "rewards", "next_observations") if name in files.names]
    for path, first_row, batch in files.batches():
        ids = files.plain(batch, "history_id")
        terminated, truncated = (_flags(files, batch, name) for name in ("terminated", "truncated"))
        if terminated is None and truncated is None:
            terminated = np.zeros(batch.num_rows, bool)
        env_ids = files.plain(batch, "env_id")
        lengths = {name: files.lengths(batch, name) for name in step_names}
        values = {name: files.elements(batch, name) for name in step_names}
        final = files.final(batch) if "final_observation" in files.names else None
        sets = files.action_sets(batch)
        begins = {name: np.cumsum(lengths[name]) - lengths[name] for name in step_names}
        for i in range(batch.num_rows):
            where = f"row {first_row + i} of {path}"
            histories.enter(_key(ids, i), where)
            part = {name: values[name][begins[name][i] : begins[name][i] + lengths[name][i]] for name in step_names}
            observations, steps = part["observations"], len(part["rewards"])
            if len(observations) == steps and steps:
                if final is not None:
                    last = final[i : i + 1]
                elif "next_observations" in part:
                    last = part["next_observations"][-1:]
                elif repeat_last:
                    last = observations[-1:]
                else:
                    raise ValueError(
                        f"nothing says what the last action of {where} led to: map final_observation or "
                        "next_observations to a column, or let missing_final='repeat' put the observation before it there"
                    )
                observations = np.concatenate([observations, last])
            yield RawEpisode(
                history=histories.number,
                task=files.task(batch, i),
                env_id=None if env_ids is None else str(env_ids[i]),
                observations=observations,
                actions=part["actions"],
                rewards=part["rewards"],
                terminated=bool(terminated[i]) if terminated is not None else False,
                where=where,
                available_actions=None if sets is None else sets[i],
            )


def _key(column, row):
    """A value of a column as a plain Python one, or `None` where there is no such column."""
    return None if column is None else column[row : row + 1].tolist()[0]


def _flags(files, batch, name):
    """Bool `(rows,)`: how each episode ended; a list of flags a step counts if any of them is true."""
    if name not in files.names:
        return None
    if not is_list(files.type_of(name)):
        return files.plain(batch, name).astype(bool)
    lengths, values = files.lengths(batch, name), files.elements(batch, name).astype(bool)
    begins = np.cumsum(lengths) - lengths
    return np.array([values[b : b + n].any() for b, n in zip(begins, lengths, strict=True)])


def episodes_from_steps(files):
    """Yield `RawEpisode`s from files with one row a transition; an episode may go on in the next batch or file.

    Args:
        files (`ParquetColumns`): of the layout "steps". Without `next_observations`, the last observation of an episode
            stands for what its last action led to, too.

    Raises:
        ValueError: histories or episodes out of order, or rows that go on after their episode ended.
    """
    histories, running = _Histories(), None
    for path, first_row, batch in files.batches():
        keys = {name: files.plain(batch, name) for name in ("history_id", "episode")}
        flags = {name: files.plain(batch, name) for name in ("terminated", "truncated")}
        flags = {name: np.zeros(batch.num_rows, bool) if f is None else f.astype(bool) for name, f in flags.items()}
        names = [name for name in ("observations", "actions", "rewards", "next_observations") if name in files.names]
        values = {name: files.elements(batch, name) for name in names} | flags
        sets = files.action_sets(batch)
        if sets is not None:
            values["available_actions"] = sets
        for begin, end in _stretches(keys, flags["terminated"] | flags["truncated"]):
            where = f"row {first_row + begin} of {path}"
            key = {name: _key(column, begin) for name, column in keys.items()}
            if running is None or not running.goes_on(key):
                if running is not None:
                    yield running.finished()
                histories.enter(key["history_id"], where)
                histories.enter_episode(key["episode"], where)
                env_ids = files.plain(batch, "env_id")
                running = _Running(
                    histories.number,
                    key,
                    files.task(batch, begin),
                    None if env_ids is None else str(env_ids[begin]),
                    where,
                )
            running.add({name: value[begin:end] for name, value in values.items()}, where)
    if running is not None:
        yield running.finished()


def _stretches(keys, ended):
    """`(begin, end)` of the stretches of rows between which an episode may have changed."""
    changes = ended[:-1].copy()
    for column in keys.values():
        if column is not None:
            changes |= column[1:] != column[:-1]
    cuts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(ended)]
    return list(pairwise(cuts))


class _Running:
    """An episode of which more rows may come."""

    def __init__(self, history, key, task, env_id, where):
        self.history, self.key, self.task, self.env_id, self.where = history, key, task, env_id, where
        self._pieces = []

    @property
    def _ended(self):
        return bool(self._pieces[-1]["terminated"][-1] | self._pieces[-1]["truncated"][-1])

    def goes_on(self, key):
        """Do rows with the keys `key` belong to this episode? Without a number of the episode, until it ends."""
        return key == self.key and not (key["episode"] is None and self._ended)

    def add(self, piece, where):
        if self._pieces and self._ended:
            raise ValueError(
                f"the episode {self.key['episode']!r} that began at {self.where} has ended, but goes on at {where}: number "
                "the episodes of a history, or leave the column out"
            )
        self._pieces.append(piece)

    def finished(self):
        """The `RawEpisode`."""
        part = {name: np.concatenate([piece[name] for piece in self._pieces]) for name in self._pieces[0]}
        observations = part["observations"]
        following = part.get("next_observations")
        if following is not None:
            differs = following[:-1] != observations[1:]
            differs = differs.any(axis=tuple(range(1, differs.ndim)))
            if differs.any():
                raise ValueError(
                    f"step {int(np.flatnonzero(differs)[0])} of the episode that begins at {self.where} led to another "
                    "observation than the next row has: mark where episodes end (episode, terminated or truncated)"
                )
            last = following[-1:]
        else:
            last = observations[-1:]
        sets = part.get("available_actions")
        if sets is not None and (sets != sets[0]).any():
            raise ValueError(
                f"available_actions change at step {int((sets != sets[0]).any(axis=1).argmax())} of the episode that begins "
                f"at {self.where}; they are a task's, and so the same in all rows of a history"
            )
        return RawEpisode(
            history=self.history,
            task=self.task,
            env_id=self.env_id,
            observations=np.concatenate([observations, last]),
            actions=part["actions"],
            rewards=part["rewards"],
            terminated=bool(part["terminated"][-1]),
            where=f"the episode that begins at {self.where}",
            available_actions=None if sets is None else sets[0],
        )
