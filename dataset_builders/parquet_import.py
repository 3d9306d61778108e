"""Plain parquet files as learning histories: one row a transition, or one row an episode."""

import warnings
from pathlib import Path

import numpy as np

from hf_icrl.checks import checked_choice
from hf_icrl.dataset_builders.imported import Episode, check_free, write_imported
from hf_icrl.dataset_builders.parquet_columns import ParquetColumns
from hf_icrl.dataset_builders.parquet_episodes import episodes_from_rows, episodes_from_steps
from hf_icrl.histories.spaces import as_spec, spec_text


def import_parquet(
    source,
    output_dir,
    *,
    columns=None,
    observation_space=None,
    action_space=None,
    env_id="unknown",
    missing_final="refuse",
    command=None,
    progress=True,
):
    """Write parquet files as a folder of learning histories.

    A file has one row a transition (`rewards` is a number), ordered by history and episode, or one row an episode
    (`rewards` is a list). Histories and episodes are taken in the order of the rows and numbered from 0.

    | name | a row a transition | a row an episode |
    |---|---|---|
    | `observations` | before the action | list, of one more than actions if it holds the last one, too |
    | `actions`, `rewards` | numbers, or lists of fixed length | lists of them |
    | `terminated`, `truncated` | true where an episode ended | the same of the episode |
    | `history_id` (optional) | any value; all rows are one history without it | the same |
    | `episode` (optional) | any value; numbers must rise; without it an episode goes to where it ended | ignored |
    | `next_observations` | what the action led to | list |
    | `final_observation` | (not used) | what the last action led to |
    | `available_actions` (optional) | list of true or false, one entry an action; the same within a history | the same |
    | `task`, `env_id` (optional) | the same within a history; `task` may be several columns or a struct | the same |

    An episode that did not terminate counts as truncated. Values become int64, or float32 (uint8 where the space is of
    images). The files are read and written piece by piece; `output_dir` appears when all is written.

    Args:
        source (`str`, `Path` or list of them): parquet files, or folders of them.
        output_dir (`str` or `Path`): a new or empty folder.
        columns (`dict`, *optional*): the name in the table -> the files' column, or a list of columns that are put side by
            side. A name that is left out is taken for the column of the same name, if there is one.
        observation_space, action_space (`dict` or gymnasium space, *optional*): by default they are inferred, with a
            warning, from all values: whole numbers give Discrete (or, in lists, MultiDiscrete) up to the largest,
            others a Box without bounds.
        env_id (`str`, *optional*, defaults to `"unknown"`): where no column says it.
        missing_final (`str`, *optional*, defaults to `"refuse"`): what to do if no column says what the last action of an
            episode led to: `"refuse"`, or `"repeat"` the observation before it.
        command (`str`, *optional*): recorded as the command that made the data.
        progress (`bool`, *optional*, defaults to `True`): say what was imported.

    Returns:
        [`hf_icrl.dataset_builders.Collection`].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column that is missing, unknown or malformed, values outside a given space, rows out of order: the
            message names column, file and row. Nothing is left behind.
        OSError: the folder cannot be written.
    """
    check_free(Path(output_dir))
    files = ParquetColumns(source, columns or {})
    checked_choice(missing_final, "missing_final", ("refuse", "repeat"))
    _check_ends(files, missing_final)
    spaces = {
        "observation_space": _space(files, "observations", observation_space),
        "action_space": _space(files, "actions", action_space, files.num_actions()),
    }
    default_task = {"dataset": Path(source if isinstance(source, (str, Path)) else source[0]).stem}
    _, _, first = next(files.batches(), (None, None, None))
    if first is None:
        raise ValueError(f"{files.paths[0]} has no rows, so there is nothing to import")
    repeat_last = missing_final == "repeat"
    cut = episodes_from_steps(files) if files.layout == "steps" else episodes_from_rows(files, repeat_last)
    described = {name: group[0] if len(group) == 1 else group for name, group in files.names.items()}
    return write_imported(
        output_dir,
        (
            Episode(
                history=raw.history,
                task=raw.task or default_task,
                env_id=raw.env_id or env_id,
                observations=_fitted(raw.observations, spaces["observation_space"]),
                actions=_fitted(raw.actions, spaces["action_space"]),
                rewards=raw.rewards,
                terminated=raw.terminated,
                truncated=not raw.terminated,
                where=raw.where,
                available_actions=raw.available_actions,
            )
            for raw in cut
        ),
        spaces,
        files.task(first, 0) or default_task,
        {
            "name": "parquet",
            "params": {
                "files": [path.name for path in files.paths],
                "columns": described,
                "missing_final": missing_final,
            },
            "description": f"Recorded episodes, imported from {len(files.paths)} parquet file"
            f"{'s' * (len(files.paths) != 1)} ({files.paths[0].name}{', ...' * (len(files.paths) > 1)}).",
        },
        command,
        progress,
        has_action_sets="available_actions" in files.names,
    )


def _check_ends(files, missing_final):
    """Episodes must have an end, and an observation after it."""
    if files.layout == "steps" and not {"episode", "terminated", "truncated"} & set(files.names):
        raise ValueError(
            f"nothing says where an episode ends: map episode, terminated or truncated to a column of {files.paths[0]}"
        )
    # Where a row is an episode, `observations` may hold one more: each row shows whether it does.
    if files.layout == "steps" and missing_final == "refuse" and "next_observations" not in files.names:
        raise ValueError(
            f"nothing says what the last action of an episode led to: map next_observations to a column of "
            f"{files.paths[0]}, or let missing_final='repeat' put the observation before it there"
        )


def _space(files, name, given, number=None):
    """The spec of `given`, or the Discrete one of `number`, if it is known, or one that holds all values of `name`."""
    if given is not None:
        return as_spec(given)
    if number is not None:
        return {"type": "Discrete", "n": number}
    also = ("next_observations", "final_observation") if name == "observations" else ()
    highest, shape, kind = None, None, None
    for path, row, batch in files.batches(only=[name, *also]):
        arrays = [files.elements(batch, n) for n in (name, *also[:1]) if n in files.names]
        if files.layout == "episodes" and also and "final_observation" in files.names:
            arrays.append(files.final(batch))
        for array in arrays:
            if not len(array):
                continue
            if shape is not None and array.shape[1:] != shape:
                raise ValueError(
                    f"the {name} have the shape {array.shape[1:]} from row {row} of {path} on, before it was {shape}"
                )
            shape, kind = array.shape[1:], array.dtype if kind is None else np.promote_types(kind, array.dtype)
            if array.dtype.kind in "iu":
                if array.min() < 0:
                    raise ValueError(
                        f"the {name} have the value {array.min()} from row {row} of {path} on; numbers below 0 are none of "
                        "a Discrete space: give their space, such as a Box"
                    )
                top = array.max(axis=0)
                highest = top if highest is None else np.maximum(highest, top)
    if shape is None:
        raise ValueError(f"{files.paths[0]} has no {name}, so there is nothing to import")
    if kind.kind == "f":
        size = int(np.prod(shape))
        inf = float("inf")
        spec = {"type": "Box", "shape": list(shape) or [1], "low": [-inf] * size, "high": [inf] * size}
    elif kind == np.uint8 and len(shape) > 1:
        spec = {"type": "Box", "dtype": "uint8", "shape": list(shape)}
    elif not shape:
        spec = {"type": "Discrete", "n": int(highest) + 1}
    else:
        spec = {"type": "MultiDiscrete", "nvec": [int(n) + 1 for n in highest.ravel()]}
    which = "observation_space" if name == "observations" else "action_space"
    warnings.warn(
        f"{which} is inferred from the values as {spec_text(spec)}; give it if others can occur", stacklevel=3
    )
    return spec


def _fitted(values, spec):
    """`values` `(n, ...)` in the type in which histories hold the space, where that loses nothing."""
    if spec["type"] == "Discrete":
        values = values.reshape(len(values)) if values.size == len(values) else values
    else:
        values = values.reshape(len(values), -1)
    if spec["type"] == "Box":
        if spec.get("dtype") == "uint8" and ((values < 0) | (values > 255) | (values != np.floor(values))).any():
            raise ValueError(f"values from {values.min()} to {values.max()} are no uint8 image; give another space")
        return values.astype(spec.get("dtype", "float32"), copy=False)
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        values = values.astype(np.int64)  # whole numbers, which pandas keeps as floats where a column had gaps
    return values.astype(np.int64, copy=False) if values.dtype.kind in "iu" else values
