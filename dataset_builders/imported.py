"""Write episodes from elsewhere as a folder of learning histories, in the layout that `collect` writes."""

import hashlib
import shutil
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import load_from_disk

import hf_icrl
from hf_icrl.dataset_builders.collection import Collection
from hf_icrl.dataset_builders.shards import shard_name, write_description
from hf_icrl.dataset_builders.source_curve import episode_curve
from hf_icrl.files import atomic_file, check_writable, locked, sync_folder
from hf_icrl.histories.episodes import episodes_table
from hf_icrl.histories.info import write_info
from hf_icrl.histories.schema import ACTION_SETS, history_features
from hf_icrl.histories.spaces import check_values
from hf_icrl.histories.unavailable import first_unavailable, set_text
from hf_icrl.histories.validation import validate_histories
from hf_icrl.sources.steps import HistoryBatch
from hf_icrl.splits import task_key

# A shard is written when it has about so many bytes: what is held in memory does not grow with the data.
SHARD_BYTES = 2**26


@dataclass
class Episode:
    """One episode of T >= 1 steps, in the order of its history.

    Attributes:
        history (`int`): which history it goes on; the numbers begin at 0 and never fall.
        task (`dict`), env_id (`str`): the same for all episodes of a history.
        observations: `(T + 1, ...)`, the last one after the last action.
        actions: `(T, ...)`.
        rewards: `(T,)`.
        terminated, truncated (`bool`): how it ended; at most one.
        where (`str`): for messages, as in "episode 3 of x".
        available_actions (*optional*): bool `(actions,)`, which actions the task has; the same for all episodes of a
            history, and given for all of the data or none.
    """

    history: int
    task: dict[str, Any]
    env_id: str
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    truncated: bool
    where: str
    available_actions: np.ndarray | None = None


def write_imported(
    output_dir, episodes: Iterable[Episode], spaces, task_example, source, command, progress, *, has_action_sets=False
):
    """Write `episodes` to `output_dir`, whole or not at all: it appears under its name when it is finished.

    Args:
        output_dir (`str` or `Path`): a new or empty folder.
        episodes (iterable of `Episode`): taken one by one.
        spaces (`dict`): the specs "observation_space" and "action_space".
        task_example (`dict`): one of the tasks.
        source (`dict`): "name", "params" and "description", for `history_info.json`.
        command (`str`, *optional*), progress (`bool`): see `import_minari`.
        has_action_sets (`bool`, *optional*, defaults to `False`): the episodes say which actions their tasks have.

    Returns:
        [`Collection`].

    Raises:
        ValueError: the folder is not empty, there are no episodes, or one is malformed (it is named).
        OSError: the folder cannot be written, or another process imports into it.
    """
    folder = Path(output_dir)
    check_free(folder)
    with _staging(folder) as staging:
        writer = _Writer(staging, spaces, task_example, source["name"], has_action_sets)
        for episode in episodes:
            writer.add(episode)
        writer.finish(source, command)
        validate_histories(load_from_disk(str(staging)))
        sync_folder(staging)
        staging.replace(folder)
    collection = Collection(folder, new_shards=writer.num_shards)
    if progress:
        info = collection.info
        print(
            f"imported {info['num_histories']:,} histories of up to {info['episodes']:,} episodes, "
            f"{info['num_transitions']:,} transitions, into {folder}",
            flush=True,
        )
    return collection


def check_free(folder):
    """Raise `ValueError` if there is something in `folder`, a `Path`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not empty; nothing was changed: choose another output_dir")


@contextmanager
def _staging(folder):
    """A folder beside `folder` to write into; what is left in it, also by a killed process, is removed."""
    staging = folder.with_name(f"_partial-{folder.name}")
    check_writable(staging)
    with locked(staging, "importing into"):
        for path in staging.iterdir():
            path.unlink()
        try:
            yield staging
        finally:
            # Not there any more if all went well: then it has become `folder`.
            shutil.rmtree(staging, ignore_errors=True)


class _Writer:
    """Holds the episodes of one shard at most.

    Attributes:
        num_shards (`int`): shards written so far.
    """

    def __init__(self, folder, spaces, task_example, source_name, has_action_sets):
        self.folder, self.spaces, self.source_name = folder, spaces, source_name
        optional = (ACTION_SETS,) * has_action_sets
        self.features = history_features(*spaces.values(), task_example=task_example, optional=optional)
        self._set_sizes = set()
        self.num_shards = 0
        self._digest = hashlib.sha256()
        self._waiting, self._waiting_bytes = [], 0
        self._history, self._place = -1, 0  # the running history and the number of its next episode
        self._first = None  # the first episode of the running history
        self._tasks, self._env_ids = {}, {}
        self._returns, self._counts = [], []  # by number of the episode: total over histories, how many have it
        self._transitions = 0

    def add(self, episode):
        """Take the next episode."""
        _check(episode, self.spaces)
        if episode.history != self._history:
            self._history, self._place, self._first = episode.history, 0, episode
            self._tasks.setdefault(task_key(episode.task), episode.task)
            self._env_ids[episode.env_id] = None
        elif episode.task != self._first.task or episode.env_id != self._first.env_id:
            raise ValueError(
                f"{episode.where} has the task {episode.task} of {episode.env_id}, but {self._first.where}, which begins "
                f"its history, has {self._first.task} of {self._first.env_id}; a history is of one task"
            )
        elif not np.array_equal(episode.available_actions, self._first.available_actions):
            raise ValueError(
                f"{episode.where} has {set_text(episode.available_actions)} in {ACTION_SETS}, but {self._first.where}, which "
                f"begins its history, has {set_text(self._first.available_actions)}; a history is of one task, whose "
                "actions do not change"
            )
        if episode.available_actions is not None:
            self._set_sizes.add(int(episode.available_actions.sum()))
        self._waiting.append((self._place, episode))
        if self._place == len(self._returns):
            self._returns.append(0.0)
            self._counts.append(0)
        self._returns[self._place] += float(np.sum(episode.rewards, dtype=np.float64))
        self._counts[self._place] += 1
        self._place += 1
        self._transitions += len(episode.rewards)
        self._waiting_bytes += episode.observations.nbytes + episode.actions.nbytes + episode.rewards.nbytes
        if self._waiting_bytes >= SHARD_BYTES:
            self._flush()

    def finish(self, source, command):
        """Write what is left, and what makes the folder a dataset."""
        self._flush()
        if not self.num_shards:
            raise ValueError(f"there are no episodes to import: {source['description']}")
        names = [shard_name(i, self.num_shards) for i in range(self.num_shards)]
        for i, name in enumerate(names):
            (self.folder / _unnumbered(i)).rename(self.folder / name)
        num_bytes = sum((self.folder / name).stat().st_size for name in names)
        digest = self._digest.hexdigest()[:16]
        histories, longest = self._history + 1, len(self._counts)
        info = {
            "package_version": hf_icrl.__version__,
            "family": None,
            "env_id": ", ".join(self._env_ids),
            "env_kwargs": {},
            **self.spaces,
            "source": source,
            "seed": None,
            "split": None,
            "tasks": {"train": list(self._tasks.values()), "validation": [], "held_out": []},
            "collected_on": "train",
            "actions_per_task": [min(self._set_sizes), max(self._set_sizes)] if self._set_sizes else None,
            "histories_per_task": None,
            "episodes": longest,
            "run": {"episodes": longest, "subsample": 1, "skip": 0, "keep": None},
            "num_histories": histories,
            "num_transitions": self._transitions,
            "num_bytes": num_bytes,
            "code": None,
            "command": command,
            "curve": episode_curve(np.array(self._returns), np.array(self._counts)),
        }
        write_info(self.folder, info)
        write_description(self.folder, names, source["description"], self.features, digest, "train")

    def _flush(self):
        if not self._waiting:
            return
        tables, begin = [], 0
        for at in range(1, len(self._waiting) + 1):
            if at == len(self._waiting) or self._waiting[at][1].history != self._waiting[begin][1].history:
                tables.append(self._table(self._waiting[begin:at]))
                begin = at
        table = pa.concat_tables(tables).combine_chunks()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        content = sink.getvalue()
        self._digest.update(content)
        with atomic_file(self.folder / _unnumbered(self.num_shards), "wb") as file:
            file.write(content)
        self.num_shards += 1
        self._waiting, self._waiting_bytes = [], 0

    def _table(self, numbered):
        """Consecutive episodes of one history as a table; `numbered` holds (number in the history, episode)."""
        episodes = [episode for _, episode in numbered]
        first = episodes[0]
        lengths = [len(episode.rewards) for episode in episodes]
        ends = np.cumsum(lengths) - 1
        terminated, truncated = (np.zeros(sum(lengths), bool) for _ in range(2))
        terminated[ends] = [episode.terminated for episode in episodes]
        truncated[ends] = [episode.truncated for episode in episodes]

        def one_history(parts):
            return np.concatenate(parts)[None]

        batch = HistoryBatch(
            history_ids=np.array([first.history]),
            tasks=[first.task],
            observations=one_history([episode.observations[:-1] for episode in episodes]),
            actions=one_history([episode.actions for episode in episodes]),
            rewards=one_history([np.asarray(episode.rewards, np.float32) for episode in episodes]),
            terminated=terminated[None],
            truncated=truncated[None],
            next_observations=one_history([episode.observations[1:] for episode in episodes]),
            lengths=np.array([sum(lengths)]),
        )
        table = episodes_table(
            batch,
            self.features,
            env_id=first.env_id,
            source=self.source_name,
            split="train",
            available_actions=None if first.available_actions is None else first.available_actions[None],
        )
        place = table.schema.get_field_index("episode")
        # The table numbers its own episodes from 0; the history may have begun in an earlier shard.
        numbers = pa.array(np.arange(numbered[0][0], numbered[0][0] + len(numbered)), type=pa.int32())
        return table.set_column(place, table.schema.field(place), numbers)


def _unnumbered(shard):
    """The name of a shard while it is not known how many there will be."""
    return f"shard-{shard:05d}"


def _check(episode, spaces):
    steps = len(episode.rewards)
    if steps < 1:
        raise ValueError(f"{episode.where} has no steps; leave it out")
    if len(episode.observations) != steps + 1 or len(episode.actions) != steps:
        raise ValueError(
            f"{episode.where} has {len(episode.observations)} observations, {len(episode.actions)} actions and {steps} "
            "rewards; there must be one observation more than rewards, the one after the last action, and as many actions"
        )
    for name in ("observations", "actions"):
        values, spec = getattr(episode, name), spaces[name.replace("ions", "ion") + "_space"]
        width = int(np.prod(spec["shape"])) if spec["type"] == "Box" else len(spec.get("nvec", [0]))
        if values[0].size != width:
            raise ValueError(f"{episode.where} has {name} of {values[0].size} numbers, but their space is {spec}")
        if spec["type"] != "Box" and values.dtype.kind not in "iu":
            raise ValueError(f"{episode.where} has {name} of type {values.dtype}, but their space is {spec}")
        if not np.isfinite(values).all():
            raise ValueError(
                f"{episode.where} has {name} that are not finite (nan or infinite): repair or leave it out"
            )
        check_values(values, spec, f"{name} of {episode.where}")
    if episode.available_actions is not None:
        _check_available(episode, spaces["action_space"])
    if episode.rewards.ndim != 1:
        raise ValueError(f"{episode.where} has rewards of shape {episode.rewards.shape}; a step earns one number")
    if not np.isfinite(episode.rewards).all():
        raise ValueError(f"{episode.where} has rewards that are not finite (nan or infinite): repair or leave it out")


def _check_available(episode, space):
    sets, number = episode.available_actions[None], space.get("n")
    if sets.shape[1] != number:
        raise ValueError(
            f"{episode.where} has {sets.shape[1]} entries of {ACTION_SETS}, but the action space is {space}; there must be one "
            "for each of its Discrete actions"
        )
    missing = first_unavailable(sets, np.array([len(episode.actions)]), episode.actions)
    if missing is not None:
        raise ValueError(
            f"{episode.where} takes the action {episode.actions[missing[1]]} at its step {missing[1]}, but {ACTION_SETS} has "
            f"{set_text(sets[0])}: correct the column, or leave the history out"
        )
