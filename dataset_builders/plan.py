"""What is to be collected, decided before anything is: tasks, history ids, shards, columns. The same for the files
of `collect` and for the `LearningHistories` builder."""

import hashlib
import json
from functools import cached_property

import numpy as np

import hf_icrl
from hf_icrl.checks import checked_choice, checked_int
from hf_icrl.dataset_builders.code_digest import code_digest
from hf_icrl.dataset_builders.one_thread import one_thread
from hf_icrl.dataset_builders.shard_sizes import default_histories_per_shard
from hf_icrl.histories.episodes import episodes_table
from hf_icrl.histories.schema import ACTION_SETS, COLUMNS, element_width, history_features
from hf_icrl.histories.spaces import check_values, space_to_spec
from hf_icrl.sources import make_source
from hf_icrl.sources.scratch import IN_MEMORY, Scratch
from hf_icrl.tasks import divide_tasks, task_family

# About how many bytes are turned into Arrow at a time, which bounds the memory that this takes.
BYTES_PER_RECORD_BATCH = 2**25
# Which tasks histories may be collected on. There is no "validation": those tasks are for rollouts.
TASK_SETS = ("train", "held_out")


class CollectionPlan:
    """Everything that the bits of a collection depend on. See `hf_icrl.collect` for the arguments.

    History `h` is one run of the source on task `h // streams % number of tasks` (`streams` of the source: histories that
    one learner makes at once), and its bits depend only on the source, that task, `seed` and `h`; shard `s` holds the
    histories from `s * histories_per_shard` on.

    Attributes:
        family, source: the resolved objects.
        all_tasks (`dict`): the lists "train" (without the validation tasks), "validation" and "held_out".
        tasks (`list[dict]`): those of them that histories are collected on; `split` says which.
        request (`dict`): all arguments as JSON values, defaults filled in, by argument name.
    """

    def __init__(
        self,
        family,
        source,
        *,
        env_kwargs=None,
        source_params=None,
        histories_per_task,
        episodes,
        seed=0,
        split_seed=0,
        held_out=0.2,
        validation=0,
        population=None,
        tasks="train",
        columns=(),
        subsample=1,
        skip=0,
        keep=None,
        histories_per_shard=None,
    ):
        self.family = _resolved(family, env_kwargs, task_family, "family", "env_kwargs")
        self.source = _resolved(source, source_params, make_source, "source", "source_params")
        self.split = checked_choice(tasks, "tasks", TASK_SETS)
        self.histories_per_task = checked_int(histories_per_task, "histories_per_task", 1)
        self.episodes = checked_int(episodes, "episodes", 1)
        self.seed, self.split_seed = checked_int(seed, "seed", 0), checked_int(split_seed, "split_seed", 0)
        self.columns = tuple(columns)
        self.keep = _kept_episodes(self.episodes, subsample, skip, keep)
        self.all_tasks = divide_tasks(
            self.family, split_seed=self.split_seed, held_out=held_out, validation=validation, population=population
        )
        self.tasks = self.all_tasks[tasks]
        if not self.tasks:
            raise ValueError(f"there are no {tasks} tasks: held_out is {held_out!r} and validation {validation!r}")
        streams = self.source.streams
        if self.histories_per_task % streams:
            raise ValueError(
                f"histories_per_task is {self.histories_per_task}, but each learner of {self.source.name} makes "
                f"{streams} histories at once: use a multiple of {streams}"
            )
        if histories_per_shard is None:
            histories_per_shard = default_histories_per_shard(
                self.source, self.num_histories, len(self.keep) * self.family.horizon, self._row_and_step_bytes()[1]
            )
        self.histories_per_shard = checked_int(histories_per_shard, "histories_per_shard", 1)
        if self.histories_per_shard % streams:
            raise ValueError(
                f"histories_per_shard is {self.histories_per_shard}, but the {streams} histories of a learner of "
                f"{self.source.name} belong into one shard: use a multiple of {streams}"
            )
        self.request = {
            "family": self.family.name,
            "env_kwargs": self.family.env_kwargs,
            "source": self.source.name,
            "source_params": self.source.params,
            "histories_per_task": self.histories_per_task,
            "episodes": self.episodes,
            "seed": self.seed,
            "split_seed": self.split_seed,
            "held_out": list(held_out) if isinstance(held_out, tuple) else held_out,
            "validation": validation,
            "population": population,
            "tasks": tasks,
            "columns": list(self.columns),
            "subsample": subsample,
            "skip": skip,
            "keep": keep,
            "histories_per_shard": self.histories_per_shard,
        }
        try:
            json.dumps(self.request, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the arguments of a collection must be JSON values: {error}") from error

    @property
    def num_histories(self):
        return self.histories_per_task * len(self.tasks)

    @property
    def num_shards(self):
        return -(-self.num_histories // self.histories_per_shard)

    @property
    def max_transitions(self):
        """Recorded steps in all if no episode ends before the horizon."""
        return self.num_histories * len(self.keep) * self.family.horizon

    def histories_of(self, shard):
        """The history ids of a shard, a `range`."""
        first = shard * self.histories_per_shard
        return range(first, min(first + self.histories_per_shard, self.num_histories))

    def task_of(self, history_id):
        """The task of a history: neighbouring learners have different ones, so that every shard shows many tasks."""
        return self.tasks[history_id // self.source.streams % len(self.tasks)]

    @cached_property
    def code(self):
        """Digest of the code that makes the bits."""
        return code_digest(type(self.family), type(self.source))

    @cached_property
    def digest(self):
        """Digest of the code and of all arguments: collections with the same digest have the same bits."""
        text = json.dumps([self.code, self.request], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def spaces(self):
        """`{"observation_space": spec, "action_space": spec}`."""
        observation_space, action_space = self.family.spaces(self.tasks[0])
        return {"observation_space": space_to_spec(observation_space), "action_space": space_to_spec(action_space)}

    @cached_property
    def features(self):
        """The `datasets.Features` of the collection."""
        optional = (*self.columns, *([ACTION_SETS] if self.has_action_sets else []))
        return history_features(*self.spaces.values(), task_example=self.tasks[0], optional=optional)

    @cached_property
    def has_action_sets(self):
        """Whether the rows say which actions their tasks have: where not every task of the family has all of them."""
        return self.family.available_actions([task for tasks in self.all_tasks.values() for task in tasks]) is not None

    def action_sets(self, tasks):
        """Which actions each of `tasks` has, bool `(n, actions)`, or `None` if the rows do not say it.

        Raises:
            ValueError: the family's sets are of another size than its action space.
        """
        if not self.has_action_sets:
            return None
        shape = (len(tasks), self.spaces["action_space"]["n"])
        sets = self.family.available_actions(tasks)
        if sets is None:
            return np.ones(shape, bool)
        if sets.shape != shape:
            raise ValueError(
                f"available_actions of {self.family!r} has the shape {sets.shape} for {len(tasks)} tasks; it must be "
                f"{shape}, one entry for each action of {self.spaces['action_space']}"
            )
        return sets

    def check_source(self):
        """Raise `ValueError` if the source cannot serve this family or these columns, by running it for one episode.

        A source whose learners run one after the other needs too long for that; what it refuses shows at its first shard.
        """
        streams = self.source.streams
        if self.source.side_by_side:
            tasks = self.tasks[:1] * streams
            with one_thread(self.source):
                self.source.generate(self.family, tasks, range(streams), 1, self.seed, columns=self.columns)
        self.action_sets(self.tasks)
        self.features  # noqa: B018  (a task whose values have no Arrow type)

    def tables(self, shard, scratch):
        """Generate the histories of a shard: `pyarrow.Table`s of consecutive episodes, one record batch each.

        Args:
            shard (`int`): which.
            scratch (`str` or `Path`): a folder on a disk with room for the recording, if it is large.
        """
        ids = self.histories_of(shard)
        tasks = [self.task_of(h) for h in ids]
        with Scratch(scratch) as room, one_thread(self.source):
            batch = self.source.generate(
                self.family, tasks, list(ids), self.episodes, self.seed, columns=self.columns, keep=self.keep
            )
        for part in batch.parts(BYTES_PER_RECORD_BATCH // self._row_and_step_bytes()[1]):
            check_values(part.observations, self.spaces["observation_space"], f"observations of {self.source.name}")
            check_values(part.actions, self.spaces["action_space"], f"actions of {self.source.name}")
            yield episodes_table(
                part,
                self.features,
                env_id=self.family.env_id,
                source=self.source.name,
                split=self.split,
                available_actions=self.action_sets(part.tasks),
            )
            room.release()

    def max_bytes(self):
        """About how many bytes the shards take if no episode ends before the horizon."""
        row, step = self._row_and_step_bytes()
        return self.max_transitions * step + self.num_histories * len(self.keep) * row

    def scratch_bytes(self):
        """About how many bytes the recording of a shard takes on disk while it is made; 0 if it stays in memory."""
        steps = self.histories_per_shard * len(self.keep) * self.family.horizon
        size = steps * (
            self._row_and_step_bytes()[1] + _bytes(self.features.arrow_schema.field("final_observation").type)
        )
        return size if size > IN_MEMORY else 0

    def _row_and_step_bytes(self):
        row, step = 0, 0
        for field in self.features.arrow_schema:
            if field.name in ("env_id", "source", "split"):
                row += 4 + len({"env_id": self.family.env_id, "source": self.source.name}.get(field.name, self.split))
            elif field.name == "task":
                row += 8 + 2 * len(json.dumps(self.tasks[0]))
            elif field.name in COLUMNS[:2] or field.name == "final_observation":
                row += _bytes(field.type)
            elif field.name == ACTION_SETS:
                row += 4 + -(-self.spaces["action_space"]["n"] // 8)
            elif field.name not in ("terminated", "truncated"):
                row += 4
                step += _bytes(field.type.value_type)
        return row, step

    def _actions_per_task(self):
        """The smallest and the largest number of actions of a task that histories are collected on, or `None`."""
        sets = self.action_sets(self.tasks)
        if sets is None:
            return None
        sizes = sets.sum(axis=1)
        return [int(sizes.min()), int(sizes.max())]

    def info(self, num_transitions, num_bytes, command):
        """What `history_info.json` says."""
        return {
            "package_version": hf_icrl.__version__,
            "family": self.family.name,
            "env_id": self.family.env_id,
            "env_kwargs": self.family.env_kwargs,
            **self.spaces,
            "source": {
                "name": self.source.name,
                "params": self.source.params,
                "description": self.source.describe(),
            },
            "seed": self.seed,
            "split": {name: self.request[name] for name in ("held_out", "population")} | {"seed": self.split_seed},
            "tasks": self.all_tasks,
            "collected_on": self.split,
            "actions_per_task": self._actions_per_task(),
            "histories_per_task": self.histories_per_task,
            "episodes": len(self.keep),
            "run": {name: self.request[name] for name in ("episodes", "subsample", "skip", "keep")},
            "num_histories": self.num_histories,
            "num_transitions": num_transitions,
            "num_bytes": num_bytes,
            "code": self.code,
            "command": command,
        }


def _resolved(given, params, make, what, params_name):
    """The family or source `given` by name and parameters, or as it is."""
    if isinstance(given, str):
        return make(given, **(params or {}))
    if params:
        raise ValueError(
            f"{params_name} {params!r} is given beside a {what} that is an object already ({given!r}); give the "
            f"{what}'s name with {params_name}, or the object alone"
        )
    return given


def _kept_episodes(episodes, subsample, skip, keep):
    """The episodes of a run that are recorded, a `range`."""
    subsample, skip = checked_int(subsample, "subsample", 1), checked_int(skip, "skip", 0)
    kept = range(skip, episodes, subsample)
    if keep is not None:
        kept = kept[: checked_int(keep, "keep", 1)]
    if not kept:
        raise ValueError(f"skip is {skip}, but a run has only {episodes} episodes; skip fewer")
    return kept


def _bytes(kind):
    number = getattr(kind, "value_type", kind)
    return element_width(kind) * number.bit_width // 8
