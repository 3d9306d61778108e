"""The state of a rollout between two calls, and how it is written to disk."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hf_icrl.files import atomic_file
from hf_icrl.rollouts.episodes import left_aligned
from hf_icrl.untrusted import parse_json

STATE_FILE = "rollout_state.safetensors"
_FORMAT = 1
_ARRAYS = ("row_ids", "episodes_begun", "rewards", "dones", "ahead_counts", "ahead_rewards", "ahead_dones")
# What a step may have beside its reward and its end.
OPTIONAL = ("observations", "actions", "entropies", "regrets")
_RECORDED = tuple(f"ahead_{name}" for name in OPTIONAL)


@dataclass(eq=False)
class ActingState:
    """Where a rollout stands. `rollout` changes it in place; nothing else holds state.

    Attributes:
        model: the model's own rollout state (contexts, random streams).
        seed (`int`), row_ids (`np.ndarray` of shape (rows,)): what every random number is keyed by.
        episodes_begun (`np.ndarray` of shape (rows,)).
        envs: the environments that the rows stand in; None once it was loaded from disk.
        observations: what the environments show now.
        rewards, dones (`np.ndarray` of shape (rows,)): of the newest step; None before the first.
        ahead_*: the steps that rows have made beyond the last counted episode, left-aligned and padded to the row
            that is farthest ahead: rewards and dones (rows, K), observations, actions and entropies if they are
            recorded, and regrets if the environments tell them;
            `ahead_counts` (rows,) says how many are real. Empty (K = 0) when all episodes are equally long.
    """

    model: object
    seed: int
    row_ids: np.ndarray
    episodes_begun: np.ndarray
    envs: object = None
    observations: np.ndarray | None = None
    rewards: np.ndarray | None = None
    dones: np.ndarray | None = None
    ahead_counts: np.ndarray = field(default=None)
    ahead_rewards: np.ndarray = field(default=None)
    ahead_dones: np.ndarray = field(default=None)
    ahead_observations: np.ndarray | None = None
    ahead_actions: np.ndarray | None = None
    ahead_entropies: np.ndarray | None = None
    ahead_regrets: np.ndarray | None = None

    def __post_init__(self):
        if self.ahead_counts is None:
            rows = len(self.row_ids)
            self.ahead_counts = np.zeros(rows, np.int64)
            self.ahead_rewards = np.zeros((rows, 0))
            self.ahead_dones = np.zeros((rows, 0), bool)

    def __repr__(self):
        return f"ActingState(rows={len(self.row_ids)}, seed={self.seed}, episodes_begun={self.episodes_begun})"

    def leave_environments(self):
        """Forget the environments: an episode that a row is in the middle of is cut off and counts nowhere."""
        self.envs = None
        if self.dones is None:
            return
        self.dones = np.ones(len(self.row_ids), bool)
        width = self.ahead_dones.shape[1]
        whole = np.where(
            self.ahead_dones.any(axis=1), width - np.argmax(self.ahead_dones[:, ::-1], axis=1) if width else 0, 0
        )
        self.keep_ahead(self._ahead(), whole, np.zeros_like(whole))

    def keep_ahead(self, stream, ends, starts=None):
        """Keep what comes after the last counted step: `stream[name][i, ends[i]:]`, or `[starts[i]:ends[i]]`."""
        if starts is None:
            starts, ends = ends, np.full_like(ends, stream["rewards"].shape[1])
        self.ahead_counts = ends - starts
        for name in ("rewards", "dones", *OPTIONAL):
            values = stream.get(name)
            setattr(self, f"ahead_{name}", None if values is None else left_aligned(values, starts, ends))

    def ahead_right_aligned(self):
        """The steps ahead, each row's last one in the last column."""
        width = self.ahead_rewards.shape[1]
        shift = (np.arange(width) - (width - self.ahead_counts)[:, None]) % max(width, 1)
        rows = np.arange(len(self.row_ids))[:, None]
        return {name: None if values is None else values[rows, shift] for name, values in self._ahead().items()}

    def _ahead(self):
        return {name: getattr(self, f"ahead_{name}") for name in ("rewards", "dones", *OPTIONAL)}


def save_state(state, folder):
    """Write `state` to `folder/rollout_state.safetensors` in one atomic step: tensors, and JSON in the header."""
    import torch
    from safetensors.torch import save

    tensors, plain = {}, {}
    for name, value in state.model.state_dict().items():
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(np.ascontiguousarray(value))
        if isinstance(value, torch.Tensor):
            tensors[f"model.{name}"] = value.detach().cpu().contiguous()
        else:
            plain[name] = value
    for name in (*_ARRAYS, *_RECORDED):
        value = getattr(state, name)
        if value is not None:
            tensors[name] = torch.from_numpy(np.ascontiguousarray(value))
    header = {
        "format": "hf_icrl.rollout_state",
        "version": str(_FORMAT),
        "seed": str(state.seed),
        "model": json.dumps(plain, allow_nan=False),
    }
    content = save(tensors, metadata=header)
    with atomic_file(Path(folder) / STATE_FILE, "wb") as file:
        file.write(content)


def load_state(folder, model):
    """Read a state that `Rollout.save_state(folder)` wrote, to go on with `rollout(model, envs, n, state=...)`.

    Args:
        folder (`str` or `Path`): the folder that was given to `save_state`.
        model: the model that was acting; its weights are not part of the state.

    Raises:
        FileNotFoundError: there is no state in the folder.
        ValueError: the file is no rollout state, or one of a newer format.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = Path(folder) / STATE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"there is no {STATE_FILE} in {folder}: write one with Rollout.save_state(folder)")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, AttributeError) as error:  # the second of a type that this torch does not have
        raise ValueError(f"{path} is damaged ({error}); save the state again") from error
    if header.get("format") != "hf_icrl.rollout_state":
        raise ValueError(f"{path} is a safetensors file, but no rollout state of hf_icrl")
    for name in ("version", "seed"):
        if not re.fullmatch(r"\d{1,20}", header.get(name, ""), re.ASCII):
            raise ValueError(
                f"{path} has the {name} {header.get(name)!r:.80}; it must be a number: save the state again"
            )
    if int(header["version"]) > _FORMAT:
        raise ValueError(
            f"{path} has format version {header['version']}, this hf_icrl reads up to {_FORMAT}: update it"
        )
    plain = parse_json(header.get("model", "null"), f"the header of {path}")
    if not isinstance(plain, dict):
        raise ValueError(f"{path} holds no state of a model; save the state again")
    own = plain | {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    numpy_kinds = (torch.bool, torch.uint8, torch.int64, torch.float32, torch.float64)
    for name, tensor in tensors.items():
        if not name.startswith("model.") and tensor.dtype not in numpy_kinds:
            raise ValueError(f"{path}: the tensor {name!r} is of the type {tensor.dtype}; save the state again")
    arrays = {name: tensors[name].numpy() for name in (*_ARRAYS, *_RECORDED) if name in tensors}
    _check_arrays(arrays, own, path)
    return ActingState(model=model.load_rollout(own), seed=int(header["seed"]), **arrays)


def _check_arrays(arrays, own, path):
    """Raise `ValueError` unless the arrays of a file fit each other; their number of rows is then that of the file."""
    for name in ("row_ids", "episodes_begun", "ahead_counts", "ahead_rewards", "ahead_dones"):
        if name not in arrays:
            raise ValueError(f"{path} has no tensor {name!r}, so it is no whole state; save the state again")
    rows, ahead = arrays["row_ids"].shape[0] if arrays["row_ids"].ndim else 0, arrays["ahead_rewards"].shape[1:2]
    kinds = {"row_ids": "i", "episodes_begun": "i", "ahead_counts": "i", "ahead_dones": "b", "dones": "b"}
    for name, values in arrays.items():
        shape = (
            (rows,) if name in ("row_ids", "episodes_begun", "rewards", "dones", "ahead_counts") else (rows, *ahead)
        )
        if values.shape[: len(shape)] != shape or len(shape) == 1 < values.ndim or not rows:
            raise ValueError(f"{path}: the tensor {name!r} has the shape {values.shape}, expected {shape} first")
        if values.dtype.kind != kinds.get(name, values.dtype.kind):
            raise ValueError(f"{path}: the tensor {name!r} is of the type {values.dtype}; save the state again")
    for name, top in (("episodes_begun", 2**62), ("row_ids", 2**63 - 1), ("ahead_counts", *ahead)):
        if (arrays[name] < 0).any() or (arrays[name] > top).any():
            raise ValueError(f"{path}: the tensor {name!r} has values outside of 0 to {top}; save the state again")
    metadata = own.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("batch_size") != rows:
        # Before anything is allocated by that number.
        raise ValueError(
            f"{path} does not say that its {rows} rows are those of the model's state; save the state again"
        )
