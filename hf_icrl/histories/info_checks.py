"""What a `history_info.json` must say before anything is done with it: anybody may have written it."""

import re

from hf_icrl.shapes import AtLeast, Maybe, check_shape

_CURVE = {
    "over": str,
    "number": [AtLeast(1)],
    "mean_return": [float],
    "share_of_oracle": (float, None),
    "final_normalized": (float, None),
    "final_episodes": Maybe(AtLeast(0)),
    "final_steps": Maybe(AtLeast(0)),
    "oracle_return": Maybe((float, None)),
    "random_return": Maybe((float, None)),
}
# What the entries are, where they are there; see `check_complete` for those that must be.
_ENTRIES = {
    "package_version": (str, None),
    "family": (str, None),
    "env_id": str,
    "env_kwargs": {str: object},
    "observation_space": dict,
    "action_space": dict,
    "source": {"name": str, "params": {str: object}, "description": str},
    "seed": (AtLeast(0), None),
    "tasks": {"train": [dict], "validation": Maybe([dict]), "held_out": Maybe([dict]), str: [dict]},
    "collected_on": str,
    "actions_per_task": ([AtLeast(0)], None),
    "histories_per_task": (AtLeast(0), None),
    "episodes": AtLeast(1),
    "run": {"episodes": AtLeast(1), "subsample": AtLeast(1), "skip": AtLeast(0), "keep": (AtLeast(0), None)},
    "num_histories": AtLeast(1),
    "num_transitions": AtLeast(1),
    "num_bytes": AtLeast(0),
    "command": (str, None),
    "curve": (_CURVE, None),
    "name": str,
    "weight": float,
    "reconcile": str,
}
_COMPLETE = (
    "package_version",
    "family",
    "env_id",
    "env_kwargs",
    "observation_space",
    "action_space",
    "source",
    "seed",
    "tasks",
    "collected_on",
    "histories_per_task",
    "episodes",
    "run",
    "num_histories",
    "num_transitions",
    "num_bytes",
    "command",
)
_COMPLETE_MIXTURE = ("observation_space", "action_space", "reconcile", "num_transitions", "num_bytes")


def check_entries(info, where):
    """Raise `ValueError` if an entry of `history_info.json` that is there is of the wrong kind.

    Args:
        info (`dict`): its content, without the format version.
        where (`str`): what it is, for the message.
    """
    entries = {name: Maybe(shape) for name, shape in _ENTRIES.items()}
    check_shape(info, {**entries, "mixture": Maybe([dict])}, where)
    if "mixture" in info and not info["mixture"]:
        raise ValueError(f"{where} has a mixture without parts")
    for number, part in enumerate(info.get("mixture", ())):
        check_shape(part, entries, f"{where}: mixture[{number}]")
        # Each part is a folder of its name.
        if "name" in part and not re.fullmatch(r"\w+", part["name"]):
            raise ValueError(
                f"{where} calls a part of the mixture {part['name']!r:.200}; a name is made of letters, digits and "
                "underscores, since it is that of a folder"
            )
        if not part.get("weight", 1.0) > 0:
            raise ValueError(f"{where} gives a part of the mixture the weight {part['weight']}; it must be above 0")
    for part in (info, *info.get("mixture", ())):
        curve, sizes = part.get("curve"), part.get("actions_per_task")
        if curve is not None and not 0 < len(curve["number"]) == len(curve["mean_return"]):
            raise ValueError(
                f"{where} has a curve of {len(curve['number'])} places and {len(curve['mean_return'])} values"
            )
        if curve is not None:
            if curve["over"] not in ("episodes", "steps"):
                raise ValueError(f"{where} has a curve over {curve['over']!r:.80}; it must be over episodes or steps")
            if curve["share_of_oracle"] is not None and f"final_{curve['over']}" not in curve:
                raise ValueError(f"{where} does not say of how many {curve['over']} the end of its curve is the mean")
        if sizes is not None and "n" not in part.get("action_space", {}):
            raise ValueError(f"{where} has actions_per_task, but its action_space is no Discrete one")
        if sizes is not None and len(sizes) != 2:
            raise ValueError(
                f"{where} has {len(sizes)} numbers in actions_per_task; there are two, the least and the most"
            )


def check_complete(info, where):
    """Raise `ValueError` unless the content of a `history_info.json` says everything that describes a data set.

    The record beside a model may say less: which tasks it was trained on.

    Args:
        info (`dict`): from `read_info`.
        where (`str`): what it is, for the message.
    """
    parts = info.get("mixture", [info])
    wanted = [(info, _COMPLETE_MIXTURE)] if "mixture" in info else []
    for part, names in [*wanted, *((part, _COMPLETE) for part in parts)]:
        for name in names:
            if name not in part:
                raise ValueError(f"{where} has no {name!r}: collect the histories again")
    for part in parts if "mixture" in info else ():
        for name in ("name", "weight"):
            if name not in part:
                raise ValueError(f"a part of the mixture in {where} has no entry {name!r}")
