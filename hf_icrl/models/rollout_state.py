"""Everything that a rollout remembers, row by row."""

import numpy as np
import torch

from .input_checks import check_reward_values, check_times, to_numpy
from .rollout_action_sets import ActionSetsMixin
from .rollout_cache import RolloutCache
from .rollout_checks import check_cache

# 2: states of models with position_embedding="env_time" hold the times of their steps. 3: action sets.
FORMAT = 3
# What a row carries from step to step.
_PER_ROW = (
    "row_ids",
    "steps",
    "draws",
    "last_actions",
    "last_rewards",
    "last_dones",
    "outcome_known",
    "entropies",
    "prompt_tokens",
    "prompt_stale",
)


class RolloutState(ActionSetsMixin):
    """The memory of a model that acts in `batch_size` environments at once. Made by `model.init_rollout`.

    It is the only place where a rollout lives: the model holds nothing of it. `model.act` and `model.observe` change
    it in place.

    Attributes:
        batch_size (`int`): rows.
        seed (`int`): of the drawing of actions.
        row_ids (`np.ndarray`): int64 (rows,); an action is drawn with random numbers keyed by (seed, row id, `draws`).
        temperature, overflow, refill_keep: as in the config, resolved.
        context_length (`int`): W.
        steps (`np.ndarray`): int64 (rows,), steps since the row's history began.
        draws (`np.ndarray`): int64 (rows,), steps of the row, acted and observed, since it was given its id. Unlike
            `steps`, a restart that keeps the id does not set it back, so that no random number is used twice.
        episode_length (`int | None`): the number of times inside an episode that the model embeds; None: it embeds
            none, and no times are kept.
        reward_values (`list[float] | None`): the only rewards that the model embeds; None: it embeds any.
        available_actions (`np.ndarray | None`): bool (rows, actions), the actions that each row may choose among; None:
            all of them. Changed by `set_available_actions`.
        action_embeddings (`np.ndarray | None`): float32 (rows, actions, d), where the model knows actions by vectors.
        entropies (`np.ndarray`): float64 (rows,), in nats, of the distribution that each row's last action was drawn
            from; NaN before the first and for Box.
    """

    def __init__(
        self,
        *,
        batch_size,
        seed,
        row_ids,
        temperature,
        overflow,
        refill_keep,
        context_length,
        spaces,
        cache,
        keeps_observations=False,
        episode_length=None,
        reward_values=None,
        available_actions=None,
        codes=None,
        action_embeddings=None,
        prompts=False,
    ):
        self.batch_size = batch_size
        self.seed = seed
        self.row_ids = row_ids
        self.temperature = temperature
        self.overflow = overflow
        self.refill_keep = refill_keep
        self.context_length = context_length
        self.observation_space, self.action_space = spaces
        self.cache = cache
        self.episode_length, self.reward_values = episode_length, reward_values
        self.steps = np.zeros(batch_size, np.int64)
        self.draws = np.zeros(batch_size, np.int64)
        # The last action and, where a history was given rather than acted, what it earned.
        self.last_actions = np.zeros((batch_size, *self.action_space.shape), self.action_space.dtype)
        self.last_rewards = np.zeros(batch_size, np.float32)
        self.last_dones = np.zeros(batch_size, np.int64)
        self.outcome_known = np.zeros(batch_size, bool)
        self.entropies = np.full(batch_size, np.nan)
        self.begin_action_sets(available_actions, codes, action_embeddings, prompts)
        # The newest W steps of inputs; step t of a row lies at t modulo W.
        window = (batch_size, context_length)
        self.inputs = {
            "observations": np.zeros((*window, *self.observation_space.shape), self.observation_space.dtype),
            "previous_actions": np.zeros((*window, *self.action_space.shape), self.action_space.dtype),
            "previous_rewards": np.zeros(window, np.float32),
            "previous_dones": np.zeros(window, np.int64),
        }
        # Whether the model reads what was observed before the previous action.
        self.keeps_observations = keeps_observations
        if keeps_observations:
            space = self.observation_space
            self.last_observations = np.zeros((batch_size, *space.shape), space.dtype)  # at the newest step
            self.inputs["previous_observations"] = np.zeros((*window, *space.shape), space.dtype)
        if episode_length is not None:
            self.last_times = np.zeros(batch_size, np.int64)  # of the newest step
            self.inputs["episode_times"] = np.zeros(window, np.int64)

    def __repr__(self):
        return (
            f"RolloutState({self.batch_size} rows, steps {self.steps.min()} to {self.steps.max()}, context of "
            f"{self.context_length} steps, overflow {self.overflow!r}, temperature {self.temperature})"
        )

    def restart(self, rows, row_ids=None):
        """These rows begin a new history, on a new task: nothing of what they saw is remembered.

        Args:
            rows: row indices, or a boolean array (batch_size,).
            row_ids (*optional*): new row ids for them, whose random streams are read from the beginning. By default a
                row keeps its id, and its `draws` go on counting.

        Raises:
            ValueError: an index out of range, or as many ids as rows are not given.
        """
        rows = self.checked_rows(rows)
        ids = None if row_ids is None else checked_row_ids(row_ids, len(rows))
        self.steps[rows] = 0
        self.outcome_known[rows] = False
        self.cache.lengths[rows] = 0
        if ids is not None:
            self.row_ids[rows] = ids
            self.draws[rows] = 0
        self.restart_action_sets(rows, ids)

    def checked_rows(self, rows):
        """Row indices or a boolean array, as an int64 array of indices."""
        rows = np.asarray(rows)
        if rows.dtype == bool:
            if rows.shape != (self.batch_size,):
                raise ValueError(f"a boolean array of rows has shape {rows.shape}, expected ({self.batch_size},)")
            return np.flatnonzero(rows)
        rows = rows.reshape(-1)
        if rows.size == 0:
            return rows.astype(np.int64)
        if rows.dtype.kind not in "iu" or rows.min() < -self.batch_size or rows.max() >= self.batch_size:
            raise ValueError(f"rows {rows.tolist()} must be integers below the batch size {self.batch_size}")
        rows = rows.astype(np.int64) % self.batch_size
        if len(np.unique(rows)) < len(rows):
            raise ValueError(f"rows {rows.tolist()} names a row twice")
        return rows

    def next_inputs(self, observations, rewards, dones):
        """Check what the environments show and say, and add the previous action: the inputs of one step of all rows.

        Returns:
            `dict[str, np.ndarray]`: the model's inputs, each (rows, 1, ...).
        """
        observations = self.observation_space.checked(observations, "observations", (self.batch_size,))
        if (rewards is None) != (dones is None):
            raise ValueError("give both rewards and dones, or neither")
        if rewards is None:
            rewards, dones = self.last_rewards, self.last_dones
            missing = np.flatnonzero((self.steps > 0) & ~self.outcome_known)
            if missing.size:
                raise ValueError(
                    f"row {missing[0]} has acted before, so act needs rewards and dones: what its last action earned "
                    "and whether it ended the episode"
                )
        else:
            rewards = self.checked_rewards(rewards, (self.batch_size,), self.steps > 0)
            dones = checked_dones(dones, (self.batch_size,), self.steps > 0)
        step = (observations, self.last_actions, rewards, dones)
        return self.with_predecessor(np.arange(self.batch_size), *(values[:, None] for values in step))

    def with_predecessor(self, rows, observations, actions, rewards, dones):
        """The inputs of the next T steps of `rows`, from what came before each; a history's first step has nothing.

        Args:
            rows (`np.ndarray`): int64 (rows,).
            observations, actions, rewards, dones (`np.ndarray`): (rows, T, ...), the last three of the steps before.

        Raises:
            ValueError: an episode is longer than the model has times for.
        """
        first = self.steps[rows, None] + np.arange(dones.shape[1]) == 0
        inputs = {
            "observations": observations,
            "previous_actions": np.where(first.reshape(first.shape + (1,) * (actions.ndim - first.ndim)), 0, actions),
            "previous_rewards": np.where(first, np.float32(0), rewards),
            "previous_dones": np.where(first, -1, dones),
        }
        if self.keeps_observations:
            before = np.concatenate([self.last_observations[rows, None], observations[:, :-1]], axis=1)
            inputs["previous_observations"] = before
        if self.episode_length is not None:
            # Counted from where the episode began: here, or (at a negative index) before these steps.
            index = np.arange(dones.shape[1])
            begin = np.where(inputs["previous_dones"] != 0, index, -1 - self.last_times[rows, None])
            inputs["episode_times"] = index - np.maximum.accumulate(begin, axis=1)
            check_times(inputs["episode_times"], self.episode_length)
        return inputs

    def checked_rewards(self, rewards, shape, read=True):
        """Rewards as float32 of this shape, wherever they are `read` (bool of the same shape) finite and embeddable."""
        rewards = to_numpy(rewards).astype(np.float32)
        if rewards.shape != shape:
            raise ValueError(f"rewards have shape {rewards.shape}, expected {shape}")
        read = np.broadcast_to(read, shape)
        odd = rewards[~np.isfinite(rewards) & read]
        if odd.size:
            raise ValueError(f"rewards must be finite, got {odd[0]}")
        if self.reward_values is not None:
            check_reward_values(rewards[read], self.reward_values)
        return rewards

    def remember(self, rows, inputs):
        """Append inputs, each (len(rows), T, ...), to the windows of these rows and count the steps."""
        num_steps = inputs["previous_dones"].shape[1]
        kept = min(num_steps, self.context_length)
        slots = (self.steps[rows, None] + np.arange(num_steps - kept, num_steps)) % self.context_length
        for name, values in inputs.items():
            self.inputs[name][rows[:, None], slots] = values[:, num_steps - kept :]
        if self.keeps_observations:
            self.last_observations[rows] = inputs["observations"][:, -1]
        if self.episode_length is not None:
            self.last_times[rows] = inputs["episode_times"][:, -1]
        self.steps[rows] += num_steps
        self.draws[rows] += num_steps

    def newest(self, rows, counts):
        """The newest `counts` steps of inputs of these rows, oldest first, right-padded with their last step.

        Args:
            rows (`np.ndarray`): int64 (rows,).
            counts (`np.ndarray`): int64 (rows,), between 0 and W. A row that has none gets a step without predecessor.

        Returns:
            `dict[str, np.ndarray]`: each (rows, counts.max(), ...).
        """
        offset = np.minimum(np.arange(counts.max()), counts[:, None] - 1)
        slots = (self.steps[rows, None] - counts[:, None] + offset) % self.context_length
        newest = {name: values[rows[:, None], slots] for name, values in self.inputs.items()}
        # What lies there is of another history, or was never written.
        for name, values in newest.items():
            values[counts == 0] = -1 if name == "previous_dones" else 0
        return newest

    def state_dict(self):
        """Everything, so that `model.load_rollout(state.state_dict())` goes on with the same bits.

        Returns:
            `dict`: CPU tensors by name, fit for safetensors, and under `"metadata"` a dict fit for JSON.
        """
        used = int(min(self.cache.lengths.max(), self.cache.num_slots))
        tensors = {f"inputs.{name}": torch.from_numpy(values.copy()) for name, values in self.inputs.items()}
        for name in self._per_row():
            tensors[name] = torch.from_numpy(getattr(self, name).copy())
        if self.available_actions is not None:
            tensors["available_actions"] = torch.from_numpy(self.available_actions.copy())
        tensors["cache.lengths"] = torch.from_numpy(self.cache.lengths.copy())
        for i, layer in enumerate(self.cache.layers):
            if layer.is_initialized:
                for name in ("keys", "values"):
                    tensors[f"cache.{i}.{name}"] = getattr(layer, name)[:, :, :used].cpu().contiguous()
        return {**tensors, "metadata": self.metadata()}

    def _per_row(self):
        times = () if self.episode_length is None else ("last_times",)
        vectors = () if self.action_embeddings is None else ("action_embeddings",)
        observations = ("last_observations",) if self.keeps_observations else ()
        return (*_PER_ROW, *times, *vectors, *observations)

    def metadata(self):
        """What stands beside the tensors, fit for JSON."""
        return {
            "format": FORMAT,
            "batch_size": self.batch_size,
            # 64-bit seeds do not survive readers that keep numbers as doubles.
            "seed": str(self.seed),
            "temperature": float(self.temperature),
            "overflow": self.overflow,
            "refill_keep": self.refill_keep,
            "context_length": self.context_length,
            "keeps_observations": self.keeps_observations,
            "episode_length": self.episode_length,
            "reward_values": None if self.reward_values is None else [float(v) for v in self.reward_values],
            "num_actions": self.action_space.sizes[0] if self.action_space.kind == "Discrete" else None,
            "action_sets": self.available_actions is not None,
            "prompts": self.prompts,
            "vectors": None if self.action_embeddings is None else "drawn" if self.codes is not None else "given",
            "num_layers": len(self.cache.layers),
            "num_slots": self.cache.num_slots,
            "window": self.cache.window,
        }

    def load_state_dict(self, tensors, device):
        """Take over the tensors of a `state_dict` (without its metadata) into this fresh state.

        Raises:
            ValueError: a tensor is missing, or its shape is not this state's.
        """

        def fetch(name, like):
            if name not in tensors:
                raise ValueError(f"the rollout state has no tensor {name!r}: it is not a whole state_dict()")
            value = torch.as_tensor(tensors[name]).cpu()
            if str(value.dtype).removeprefix("torch.") != str(like.dtype):
                raise ValueError(f"tensor {name!r} of the rollout state is {value.dtype}, expected {like.dtype}")
            value = value.numpy()
            if value.shape != like.shape:
                raise ValueError(
                    f"tensor {name!r} of the rollout state has shape {value.shape}, expected {like.shape}"
                )
            return value.copy()

        for name, values in self.inputs.items():
            self.inputs[name] = fetch(f"inputs.{name}", values)
        for name in self._per_row():
            setattr(self, name, fetch(name, getattr(self, name)))
        self._tensors = None
        self.cache.lengths = fetch("cache.lengths", self.cache.lengths)
        for i, layer in enumerate(self.cache.layers):
            keys, values = (tensors.get(f"cache.{i}.{name}") for name in ("keys", "values"))
            if keys is None or values is None:
                if self.cache.lengths.any():
                    raise ValueError(f"the rollout state has no cache for layer {i}: it is not a whole state_dict()")
                continue
            keys, values = torch.as_tensor(keys).to(device), torch.as_tensor(values).to(device)
            check_cache(keys, values, self, i)
            layer.lazy_initialization(keys, values)
            layer.keys[:, :, : keys.shape[2]] = keys
            layer.values[:, :, : values.shape[2]] = values


def checked_dones(dones, shape, read=True):
    """Dones (terminated or truncated) as int64 of this shape, 0 or 1 wherever they are `read`."""
    dones = to_numpy(dones)
    if dones.shape != shape:
        raise ValueError(f"dones have shape {dones.shape}, expected {shape}")
    odd = dones[(dones != 0) & (dones != 1) & read]
    if odd.size:
        raise ValueError(f"dones must be true or false (terminated or truncated), got {odd[0]}")
    return dones.astype(np.int64)


def checked_row_ids(row_ids, count):
    """Row ids as int64 (count,), each >= 0."""
    row_ids = np.asarray(row_ids)
    if row_ids.shape != (count,) or row_ids.dtype.kind not in "iu" or (row_ids < 0).any():
        raise ValueError(f"row_ids must be {count} integers >= 0, got {row_ids!r}")
    return row_ids.astype(np.int64)


def new_cache(trunk_config, batch_size, context_tokens, window, chunk_tokens):
    """The cache of a rollout: `context_tokens` slots, or a ring that a window and one chunk of tokens fit in.

    `context_tokens` counts the prompt, too; there is none where the cache is a ring.
    """
    slots = context_tokens if window is None else window + chunk_tokens - 1
    return RolloutCache(trunk_config.num_hidden_layers, batch_size, slots, window)
