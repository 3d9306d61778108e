"""Check a rollout state that was read from a file: what an index or a number of rows is taken from must be in range."""

import numpy as np

_METADATA = {
    "batch_size": int,
    "seed": str,
    "temperature": float,
    "overflow": str,
    "refill_keep": int,
}
_MOST = 2**62


def check_metadata(metadata, row_ids):
    """Raise `ValueError` unless the metadata have what a state is made from, and as many rows as its tensors.

    Args:
        metadata (`dict`): see `RolloutState.metadata`.
        row_ids: the tensor of that name, or None.
    """
    for name, kind in _METADATA.items():
        value = metadata.get(name)
        fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
        if not fits or (name == "seed" and not (value.isascii() and value.isdigit() and len(value) <= 20)):
            raise ValueError(
                f"the rollout state has {name}={value!r:.80}, which is none: load what state_dict() returned"
            )
    shape = None if row_ids is None else tuple(row_ids.shape)
    if shape != (metadata["batch_size"],):
        raise ValueError(
            f"the rollout state says that it has {metadata['batch_size']} rows, but its tensor 'row_ids' is of the shape "
            f"{shape}: it is not a whole state_dict()"
        )


def check_cache(keys, values, state, layer):
    """Raise `ValueError` unless a layer's keys and values, (rows, heads, tokens, head size), are those of the state."""
    lengths, slots = state.cache.lengths, state.cache.num_slots
    tokens = int(min(lengths.max(), slots))
    for name, tensor in (("keys", keys), ("values", values)):
        if tensor.ndim != 4 or tensor.shape[0] != state.batch_size or tensor.shape[2] != tokens:
            raise ValueError(
                f"the {name} of layer {layer} of the rollout state have the shape {tuple(tensor.shape)}, expected "
                f"({state.batch_size}, heads, {tokens}, head size)"
            )
        if not tensor.dtype.is_floating_point:
            raise ValueError(f"the {name} of layer {layer} of the rollout state are of the type {tensor.dtype}")


def check_loaded(state):
    """Raise `ValueError` if a number of a loaded state is out of range, where a later step would go astray by it."""
    window = state.cache.window
    ranges = {
        "row_ids": (0, 2**63 - 1),
        "steps": (0, _MOST),
        "draws": (0, _MOST),
        "last_dones": (0, 1),
        "prompt_tokens": (0, state.cache.num_slots),
    }
    if state.episode_length is not None:
        ranges["last_times"] = (0, state.episode_length - 1)
        _check("inputs.episode_times", state.inputs["episode_times"], 0, state.episode_length - 1)
    for name, (low, high) in ranges.items():
        _check(name, getattr(state, name), low, high)
    _check("inputs.previous_dones", state.inputs["previous_dones"], -1, 1)
    _check(
        "cache.lengths", state.cache.lengths, state.prompt_tokens, state.cache.num_slots if window is None else _MOST
    )
    _check("last_rewards", state.last_rewards, -np.inf, np.inf)
    _check("inputs.previous_rewards", state.inputs["previous_rewards"], -np.inf, np.inf)
    observations = [(f"inputs.{name}", state.inputs[name]) for name in state.inputs if name.endswith("observations")]
    if state.keeps_observations:
        observations.append(("last_observations", state.last_observations))
    actions = [("last_actions", state.last_actions), ("inputs.previous_actions", state.inputs["previous_actions"])]
    for space, arrays in ((state.observation_space, observations), (state.action_space, actions)):
        for name, values in arrays if space.is_discrete else ():
            _check(name, values, space.low, space.high)


def _check(name, values, low, high):
    # Written so that NaN counts as outside.
    wrong = ~((values >= low) & (values <= high))
    if wrong.any():
        raise ValueError(f"tensor {name!r} of the rollout state holds {values[wrong][0]}, which no rollout has there")
