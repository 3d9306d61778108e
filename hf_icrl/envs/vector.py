"""What our vector environments share: seeds and partial resets per slot, and gymnasium's same-step autoreset infos."""

import operator

import numpy as np

from hf_icrl.counter_random import bits

_MASK_64 = 2**64 - 1


def true_next_observations(observations, infos):
    """What each slot's last action really led to, episode ends included.

    Args:
        observations (`np.ndarray`, shape `(n, ...)`): what `step` of a same-step-autoreset vector environment
            returned: for a slot whose episode ended, the first observation of its next episode.
        infos (`dict`): what the same `step` returned; `final_obs` holds the true last observations.

    Returns:
        `np.ndarray` of the same shape and type; `observations` itself when no episode ended.
    """
    if "final_obs" not in infos:
        return observations
    ended = infos["_final_obs"]
    true = observations.copy()
    final = infos["final_obs"][ended]
    true[ended] = np.stack(final) if true.ndim > 1 else final.astype(true.dtype)  # (numbers are stacked slowly)
    return true


def true_info(infos, name):
    """What each slot's last action gave as the info `name`, episode ends included: an array `(n, ...)`.

    At an episode's end `infos[name]` is that of the next episode's reset; the true one stands in `final_info`.
    """
    if "final_info" not in infos or name not in infos["final_info"]:
        return infos[name]
    ended = infos["_final_info"]
    true = infos[name].copy()
    true[ended] = infos["final_info"][name][ended]
    return true


def told_info(infos, name, before):
    """The info `name` of each slot, and `before`, `(n, ...)`, where nothing is told of it now: a new array `(n, ...)`.

    Environments may tell what seldom changes in `reset` alone. gymnasium's mask `_name` then says which slots told it.
    """
    if name not in infos:
        return np.array(before)
    told = infos.get(f"_{name}")
    if told is None or np.all(told):
        return np.array(infos[name])
    told = np.asarray(told, bool).reshape(-1, *(1,) * (np.ndim(before) - 1))
    return np.where(told, infos[name], before)


def same_step_infos(final_observations, ended, final=None, now=None):
    """The infos of a step, exactly as gymnasium's `SyncVectorEnv` in same-step mode gives them.

    The scalar environments whose infos these are must give the same entries in `reset` and in `step`.

    Args:
        final_observations (`np.ndarray`, shape `(n, ...)`): observations before the autoreset.
        ended (`np.ndarray` of bool, shape `(n,)`): the slots whose episode ended.
        final (`dict[str, np.ndarray]`, *optional*): the step's infos, `(n, ...)` each, before the autoreset.
        now (`dict[str, np.ndarray]`, *optional*): the same after it: those of `reset` where an episode ended.
    """
    infos = all_slots(now or {})
    # By index: mostly few episodes end at once. A new array of objects holds None everywhere.
    (rows,) = ended.nonzero()
    if not len(rows):
        return infos
    final_obs = np.empty(len(ended), dtype=object)
    final_obs[rows] = np.fromiter(final_observations[rows], dtype=object, count=len(rows))
    final_info = {}
    for name, value in (final or {}).items():
        final_info[name] = np.zeros_like(value)
        final_info[name][rows] = value[rows]
        final_info[f"_{name}"] = ended.copy()
    return {
        **infos,
        "final_obs": final_obs,
        "_final_obs": ended.copy(),
        "final_info": final_info,
        "_final_info": ended.copy(),
    }


def all_slots(values):
    """Infos that every slot has, `(n, ...)` each, with the masks that gymnasium puts beside them."""
    infos = {}
    for name, value in values.items():
        infos[name] = value.copy()
        infos[f"_{name}"] = np.ones(len(value), dtype=bool)
    return infos


def slot_seeds(seed, num_envs):
    """One seed or `None` per slot, from what `reset(seed=...)` was given, with gymnasium's meaning.

    An int seeds slot i with `seed + i`; a list (or array) gives each slot its own seed or `None`.
    """
    if seed is None:
        return [None] * num_envs
    try:
        first = operator.index(seed)
    except TypeError:
        seeds = [None if s is None else operator.index(s) for s in seed]
    else:
        seeds = [first + i for i in range(num_envs)]
    if len(seeds) != num_envs:
        raise ValueError(f"reset got {len(seeds)} seeds for {num_envs} environments; give one for each, or one int")
    for s in seeds:
        if s is not None and s < 0:
            raise ValueError(f"reset got seed {s}; a seed must be an integer >= 0")
    return seeds


def reset_mask(options, num_envs):
    """The slots to reset: `options["reset_mask"]`, a bool array `(num_envs,)` with at least one true, or all."""
    if options is None or "reset_mask" not in options:
        return np.ones(num_envs, dtype=bool)
    mask = options["reset_mask"]
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,):
        got = f"{mask.dtype} of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"options['reset_mask'] must be a NumPy bool array of shape ({num_envs},), got {got}")
    if not mask.any():
        raise ValueError("options['reset_mask'] selects no environment; leave it out to reset all of them")
    return mask


def keys_from_seeds(seeds):
    """Stream keys (uint64, shape `(n,)`) from a list of ints >= 0; scalar and vector environments share this."""
    state = np.array([(s ^ (s >> 64)) & _MASK_64 for s in seeds], dtype=np.uint64)
    # Hashed, so that the neighbouring seeds that gymnasium gives to slots end up far apart.
    return bits(state, 0)
