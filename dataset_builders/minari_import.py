"""Minari datasets (offline reinforcement learning) as learning histories."""

from pathlib import Path

import numpy as np
from gymnasium import spaces

from hf_icrl.checks import checked_bool, checked_int
from hf_icrl.dataset_builders.imported import Episode, check_free, write_imported
from hf_icrl.envs.gymnasium_spaces import shown_actions, shown_observations
from hf_icrl.histories.spaces import space_to_spec

# So many episodes are opened at a time: a little at once is faster than one by one, and memory stays bounded.
_EPISODES_AT_ONCE = 64


def import_minari(
    source, output_dir, *, episodes_per_history=None, flatten=False, download=False, command=None, progress=True
):
    """Write Minari datasets as a folder of learning histories.

    The episodes of a dataset, in the order of their numbers, are one history (or several, see `episodes_per_history`),
    and its task is `{"dataset": id}`. Whether they show a learner's progress depends on who recorded them. Discrete,
    MultiDiscrete and MultiBinary values are numbered from 0, other numbers become float32 (images stay uint8). An
    episode whose record just stops counts as truncated; one that both terminated and was truncated as terminated.

    The data are read and written piece by piece. `output_dir` appears when all is written; after an interruption, the
    same call starts afresh.

    Args:
        source (`str`, `Path` or list of them): ids of local Minari datasets, or their folders.
        output_dir (`str` or `Path`): a new or empty folder.
        episodes_per_history (`int`, *optional*): cut a dataset's episodes into histories of so many; the last one may be
            shorter. By default all of them are one.
        flatten (`bool`, *optional*, defaults to `False`): make one vector of observations that are dicts or tuples, by
            gymnasium's rules; otherwise these are refused.
        download (`bool`, *optional*, defaults to `False`): fetch datasets that are not here from Minari's server.
        command (`str`, *optional*): recorded as the command that made the data.
        progress (`bool`, *optional*, defaults to `True`): say what was imported.

    Returns:
        [`hf_icrl.dataset_builders.Collection`].

    Raises:
        ValueError: Minari is not installed, a dataset cannot be read, its spaces have no place in a history or differ
            from another's, or an episode is malformed (it is named).
        FileNotFoundError: there is no such dataset here.
        OSError: the folder cannot be written.
    """
    if episodes_per_history is not None:
        episodes_per_history = checked_int(episodes_per_history, "episodes_per_history", 1)
    flatten = checked_bool(flatten, "flatten")
    check_free(Path(output_dir))
    opened = [_open(one, download) for one in ([source] if isinstance(source, (str, Path)) else list(source))]
    if not opened:
        raise ValueError("source is an empty list; name at least one Minari dataset")
    specs = _common_spaces(opened, flatten)
    ids = [dataset.id for dataset in opened]
    if len(set(ids)) < len(ids):
        raise ValueError(f"source names a dataset twice: {ids}")
    how_many = "all" if episodes_per_history is None else f"every {episodes_per_history}"
    return write_imported(
        output_dir,
        _episodes(opened, episodes_per_history),
        specs,
        {"dataset": ids[0]},
        {
            "name": "minari",
            "params": {"datasets": ids, "episodes_per_history": episodes_per_history, "flatten": flatten},
            "description": f"Recorded episodes, imported from Minari ({', '.join(ids)}); {how_many} episodes of a dataset, "
            "in the order of their numbers, are a history.",
        },
        command,
        progress,
    )


def _open(source, download):
    try:
        import minari
    except ImportError as error:
        raise ValueError(f'importing Minari datasets needs Minari: pip install "hf-icrl[minari]" ({error})') from error
    folders = [Path(source) / "data", Path(source)]
    folder = next((folder for folder in folders if (folder / "metadata.json").is_file()), None)
    try:
        return minari.MinariDataset(folder) if folder else minari.load_dataset(str(source), download=download)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{source} is neither a folder of a Minari dataset nor the id of one that is here; download=True "
            f"(--download) fetches it ({error})"
        ) from error
    except Exception as error:
        raise ValueError(f"{source} cannot be opened as a Minari dataset: {type(error).__name__}: {error}") from error


def _common_spaces(opened, flatten):
    """The specs of what is written, the same for all datasets."""
    specs = None
    for dataset in opened:
        observations = dataset.observation_space
        if isinstance(observations, (spaces.Dict, spaces.Tuple)) and not flatten:
            raise ValueError(
                f"the observations of {dataset.id} are a {type(observations).__name__} ({observations}), a history holds "
                "one array: flatten=True (--flatten) makes one vector of them"
            )
        try:
            _check_parts(observations)
            own = {
                "observation_space": space_to_spec(shown_observations(observations)[0]),
                "action_space": space_to_spec(shown_actions(dataset.action_space)[0]),
            }
        except ValueError as error:
            raise ValueError(f"{dataset.id}: {error}") from error
        specs = specs or own
        for name in specs:
            if own[name] != specs[name]:
                raise ValueError(
                    f"the {name} of {dataset.id} is {own[name]}, that of {opened[0].id} is {specs[name]}; import datasets "
                    "of different spaces into different folders"
                )
    return specs


def _episodes(opened, per_history):
    history = -1
    for dataset in opened:
        env_id = dataset.env_spec.id if dataset.env_spec is not None else "unknown"
        indices = dataset.episode_indices
        for begin in range(0, len(indices), _EPISODES_AT_ONCE):
            some = indices[begin : begin + _EPISODES_AT_ONCE]
            lengths = [int(about["total_steps"]) for about in dataset.storage.get_episode_metadata(some)]
            for place, (data, length) in enumerate(
                zip(dataset.iterate_episodes(some), lengths, strict=True), start=begin
            ):
                if place % (per_history or len(indices)) == 0:
                    history += 1
                yield _episode(data, length, history, dataset, env_id)


def _episode(data, length, history, dataset, env_id):
    where = f"episode {data.id} of {dataset.id}"
    if len(data.rewards) != length:
        raise ValueError(
            f"{where} has {len(data.rewards)} rewards, but its metadata say {length} steps: it is damaged"
        )
    terminations, truncations = np.asarray(data.terminations, bool), np.asarray(data.truncations, bool)
    early = np.flatnonzero((terminations | truncations)[:-1])
    if len(early):
        raise ValueError(f"{where} ends at step {early[0]}, but goes on to step {length - 1}: it is malformed")
    terminated = bool(terminations[-1:].any())
    return Episode(
        history=history,
        task={"dataset": dataset.id},
        env_id=env_id,
        observations=_column(dataset.observation_space, data.observations),
        actions=_column(dataset.action_space, data.actions),
        rewards=np.asarray(data.rewards),
        terminated=terminated,
        truncated=not terminated,
        where=where,
    )


def _column(space, values):
    """T values of `space`, in Minari's batched form, as one array `(T, ...)` in the space that is shown."""
    if isinstance(space, spaces.Discrete):
        return np.asarray(values, np.int64) - space.start
    if isinstance(space, (spaces.MultiDiscrete, spaces.MultiBinary)):
        return (
            np.asarray(values, np.int64).reshape(len(values), -1)
            - getattr(space, "start", np.zeros(1, np.int64)).ravel()
        )
    if isinstance(space, spaces.Box):
        return np.asarray(values, np.uint8 if space.dtype == np.uint8 else np.float32)
    return _flat(space, values)


def _flat(space, values):
    """T values of any space made of the four as float32 `(T, numbers)`, the rows being `gymnasium.spaces.flatten`'s."""
    if isinstance(space, spaces.Dict):
        return np.concatenate([_flat(part, values[name]) for name, part in space.spaces.items()], axis=1)
    if isinstance(space, spaces.Tuple):
        return np.concatenate([_flat(part, value) for part, value in zip(space.spaces, values, strict=True)], axis=1)
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        counts = np.atleast_1d(space.n if isinstance(space, spaces.Discrete) else space.nvec.ravel())
        numbers = _column(space, values).reshape(len(values), -1)
        # One-hot: the places of a number's own stretch of the vector are compared with it.
        place = np.concatenate([np.arange(count) for count in counts])
        return (np.repeat(numbers, counts, axis=1) == place).astype(np.float32)
    return np.asarray(values, np.float32).reshape(len(values), -1)


def _check_parts(space):
    """Raise `ValueError` if a part of `space` is of a kind that has no fixed number of numbers."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for part in space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces:
            _check_parts(part)
    elif not isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)):
        raise ValueError(f"a {type(space).__name__} space ({space}) has no place in a learning history")
