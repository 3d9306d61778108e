"""Collect a mixture: several families or sources into one folder, to be trained on together."""

import re
from pathlib import Path

import hf_icrl
from hf_icrl.checks import checked_choice
from hf_icrl.dataset_builders.collecting import collect
from hf_icrl.dataset_builders.plan import CollectionPlan
from hf_icrl.files import check_writable, read_json, write_json
from hf_icrl.histories.info import REQUEST_FILENAME, write_info
from hf_icrl.histories.spaces import joint_space
from hf_icrl.naming import differences
from hf_icrl.shapes import check_shape
from hf_icrl.splits import task_key

RECONCILE = ("refuse", "pad")
# What `datasets.load_from_disk` takes a folder for a DatasetDict by.
_DICT_FILENAME = "dataset_dict.json"


def collect_mixture(parts, output_dir, *, reconcile="refuse", num_proc=1, command=None, progress=True):
    """Collect several kinds of learning histories into one folder.

    Each part is an ordinary collection in a folder of its name, so an interrupted mixture goes on at the first missing
    shard of its first unfinished part, and `datasets.load_from_disk(output_dir)` is a `DatasetDict` of the parts.

    Args:
        parts (`list[dict]`): each has "name" (`str`, letters, digits and underscores), "weight" (`float` > 0, *optional*,
            defaults to 1: the share of the training windows that it gets) and the arguments of `collect` ("family",
            "source", "histories_per_task", "episodes", ...).
        output_dir (`str` or `Path`): a new or empty folder, or one that the same call has begun or finished.
        reconcile (`str`, *optional*, defaults to `"refuse"`): what happens where the parts' spaces differ: `"refuse"`
            is an error that names the parts; `"pad"` lets discrete spaces have the size of the largest.
        num_proc, command, progress: see `collect`.

    Returns:
        `list` of [`Collection`], in the order of the parts.

    Raises:
        ValueError: a bad argument, spaces that cannot be reconciled, a task that one part holds out and another trains
            on, or a folder begun with other arguments.
    """
    folder = Path(output_dir)
    checked_choice(reconcile, "reconcile", RECONCILE)
    parts = [_checked_part(part) for part in parts]
    names = [part["name"] for part in parts]
    if len(parts) < 2 or len(set(names)) < len(names):
        raise ValueError(f"a mixture needs at least two parts of different names, got {names}")
    request = {
        "reconcile": reconcile,
        "parts": [{"name": part["name"], "weight": part["weight"]} for part in parts],
    }
    _check_begun(folder, request)
    calls = [{key: value for key, value in part.items() if key not in ("name", "weight")} for part in parts]
    # Whether the parts fit together shows before anything is collected.
    plans = [CollectionPlan(**call) for call in calls]
    _spaces([plan.spaces for plan in plans], names, reconcile)
    _check_leaks(plans, names)
    check_writable(folder)
    write_json(folder / REQUEST_FILENAME, {"mixture": request})
    collections = []
    for part, call in zip(parts, calls, strict=True):
        if progress:
            print(f"part {part['name']!r} (weight {part['weight']:g})", flush=True)
        collections.append(
            collect(**call, output_dir=folder / part["name"], num_proc=num_proc, command=command, progress=progress)
        )
    write_json(folder / _DICT_FILENAME, {"splits": names})
    write_info(folder, _info([collection.info for collection in collections], parts, reconcile, command))
    return collections


def _checked_part(part):
    part = {"weight": 1.0, **part}
    if not isinstance(part.get("name"), str) or not re.fullmatch(r"\w+", part["name"]):
        raise ValueError(
            f"a part of the mixture is called {part.get('name')!r}; a name is made of letters, digits and underscores"
        )
    weight = part["weight"]
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
        raise ValueError(f"the part {part['name']!r} has the weight {weight!r}; it must be a number above 0")
    for name in ("output_dir", "num_proc", "command", "progress"):
        if name in part:
            raise ValueError(f"the part {part['name']!r} has {name!r}, which belongs to the mixture as a whole")
    return part


def _check_begun(folder, request):
    path = folder / REQUEST_FILENAME
    if path.is_file():
        begun = read_json(path, dict)
        if "mixture" not in begun:
            raise ValueError(f"{folder} holds a plain collection, no mixture; choose another output_dir")
        parts = [{"name": str, "weight": float}]
        check_shape(begun["mixture"], {"reconcile": str, "parts": parts}, f"{path}: mixture")
        old, new = (
            {"reconcile": r["reconcile"], **{p["name"]: p for p in r["parts"]}} for r in (begun["mixture"], request)
        )
        for name, a, b in differences(old, new):
            raise ValueError(
                f"{folder} was begun with {name} = {a!r}, now it is {b!r}; use the same value to go on, or another "
                "output_dir to start afresh"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and holds no mixture; nothing was changed: choose another output_dir")


def _spaces(infos, names, reconcile):
    return {
        what: joint_space(
            {name: info[what] for name, info in zip(names, infos, strict=True)}, what, reconcile == "pad"
        )
        for what in ("observation_space", "action_space")
    }


def _check_leaks(plans, names):
    """No part may train on what another one holds out or sets aside."""
    seen = {}
    for name, plan in zip(names, plans, strict=True):
        where = (plan.family.env_id, task_key(plan.family.env_kwargs))
        for side, tasks in plan.all_tasks.items():
            trained = side == plan.split
            for task in tasks:
                other_trained, other, other_name = seen.setdefault((*where, task_key(task)), (trained, side, name))
                if other_trained != trained:
                    raise ValueError(
                        f"the task {task} is one of the {side} tasks of part {name!r} and one of the {other} tasks of "
                        f"part {other_name!r}, and one of them trains on it: give both the same split_seed, held_out, "
                        "validation and population"
                    )


def _info(infos, parts, reconcile, command):
    return {
        "package_version": hf_icrl.__version__,
        "mixture": [{"name": p["name"], "weight": p["weight"], **i} for p, i in zip(parts, infos, strict=True)],
        "reconcile": reconcile,
        **_spaces(infos, [part["name"] for part in parts], reconcile),
        **{name: sum(info[name] for info in infos) for name in ("num_histories", "num_transitions", "num_bytes")},
        "command": command,
    }
