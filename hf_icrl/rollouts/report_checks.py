"""What report.json and evaluation_sets.json must say before anything is shown of them: anybody may have written them."""

from hf_icrl.shapes import AtLeast, Maybe, check_shape

_INTERVAL = ([float], None)
_SUMMARY = ({"mean": float, "ci95": _INTERVAL, "worst": Maybe(float)}, None)
_NUMBERS = ([float], None)
_NUMBERS_OR_NULL = [(float, None)]

_REPORT = {
    "env_id": str,
    "env_kwargs": {str: object},
    "evaluation_set": str,
    "tasks": [dict],
    "returns": [[float]],
    "returns_per_seed": [[[float]]],
    "oracle_return": _NUMBERS_OR_NULL,
    "random_return": _NUMBERS_OR_NULL,
    "normalized_return": ({"mean": float, "ci95": _INTERVAL, "worst": float}, None),
    "episodes_to_90": {"median": (float, None), "share": (float, None)},
    "episodes": AtLeast(1),
    "last_episodes": AtLeast(1),
    "seeds": AtLeast(1),
    "context_length": (AtLeast(1), None),
    "overflow": (str, None),
    "refill_keep": (AtLeast(0), None),
    "model": (str, None),
    "dataset": (str, None),
    "versions": {str: (str, None)},
    "command": (str, None),
    "family": Maybe((str, None)),
    "seed": Maybe(AtLeast(0)),
    "note": Maybe((str, None)),
    "mean_episode_length": Maybe((float, None)),
    "act_with_dropout": Maybe((bool, None)),
    "wall_clock_seconds": Maybe((float, None)),
    "regret": Maybe(_SUMMARY),
    "regret_curve": Maybe(_NUMBERS),
    "regret_curve_ci95": Maybe(([[float]], None)),
    "regret_normalized": Maybe(_SUMMARY),
    "source": Maybe((str, None)),
    "source_return": Maybe((_NUMBERS_OR_NULL, None)),
    "source_regret": Maybe((_NUMBERS_OR_NULL, None)),
    "source_regret_curve": Maybe(_NUMBERS),
    "success": Maybe((float, None)),
    "success_curve": Maybe(_NUMBERS),
    "distinct_actions": Maybe((float, None)),
    "available_actions": Maybe((float, None)),
    "tried_share": Maybe(({str: _NUMBERS_OR_NULL}, None)),
    "entropy": Maybe((float, None)),
    "first_episode_return": Maybe(float),
    "last_episodes_return": Maybe(float),
}
# What is shown with what: the second of each is needed where the first is not null.
_TOGETHER = (
    ("source", "source_return"),
    ("source", "source_regret"),
    ("source", "regret_normalized"),
    ("success", "success_curve"),
    ("distinct_actions", "available_actions"),
    ("distinct_actions", "tried_share"),
    ("regret", "regret_curve"),
)
_CAN_BE_NULL = ("source_return", "source_regret", "regret_normalized")

_SET = {
    "tasks": AtLeast(1),
    "score": {"mean": float, "ci95": _INTERVAL},
    "last_episodes_return": Maybe((float, None)),
    "regret": Maybe(_SUMMARY),
    "source": Maybe((str, None)),
    "available_actions": Maybe((float, None)),
    **{f"{who}_{what}": Maybe((float, None)) for who in ("source", "random") for what in ("return", "regret")},
}
_SETS = {
    "score": {"name": str, "is_0_and_1": ([str], None)},
    "sets": {str: _SET},
    "skipped": {str: str},
}


def check_report(values, where):
    """Raise `ValueError` if the values of a report are not of the kinds and sizes that [`Report`] describes.

    Args:
        values (`dict`): the content of report.json, with all required keys.
        where (`str`): the file.
    """
    check_shape(values, _REPORT, where)
    tasks, episodes = len(values["tasks"]), values["episodes"]
    sizes = {
        "returns": len(values["returns"]),
        **{f"{w}_return": len(values[f"{w}_return"]) for w in ("oracle", "random")},
    }
    for name, size in sizes.items():
        if not 0 < size == tasks:
            raise ValueError(f"{where}: {name} has {size} entries for {tasks} tasks; there is one each, at least one")
    for row in values["returns"]:
        if len(row) != episodes:
            raise ValueError(f"{where}: a task has {len(row)} returns for {episodes} episodes; there is one each")
    for first, second in _TOGETHER:
        if values.get(first) is not None:
            known = second in values and (values[second] is not None or second in _CAN_BE_NULL)
            if not known or values[second] == []:
                raise ValueError(f"{where} has {first!r}, but no {second!r} with it; it is damaged: restore it")
    if values.get("source") is not None and values["source_regret"] is None and values["source_return"] is None:
        raise ValueError(f"{where} names the source {values['source']!r:.80}, and not what it reaches; restore it")
    for name in ("source_return", "source_regret"):
        if None in (values.get(name) or ()) and values.get("source") is not None and _shown(values) == name:
            raise ValueError(f"{where}: {name} has a null, which has no mean; restore it")
    for kind, curve in (values.get("tried_share") or {}).items():
        if not curve:
            raise ValueError(f"{where}: tried_share of {kind!r:.80} is empty; restore it")
    curve, band = values.get("regret_curve"), values.get("regret_curve_ci95")
    if curve is not None:
        for name, other in (("regret_curve_ci95", band), ("source_regret_curve", values.get("source_regret_curve"))):
            if not curve or (other is not None and len(other) != len(curve)):
                raise ValueError(
                    f"{where}: regret_curve has {len(curve)} pulls, {name} {len(other or ())}; restore it"
                )
    intervals = [(values.get(n) or {}).get("ci95") for n in ("normalized_return", "regret", "regret_normalized")]
    _check_pairs([*intervals, *(band or ())], where)


def check_sets(found, where):
    """Raise `ValueError` if evaluation_sets.json is not of the form that `SetReports.summary` gives.

    Args:
        found (`dict`): its content, with an entry "score".
        where (`str`): the file.
    """
    check_shape(found, _SETS, where)
    if not found["sets"]:
        raise ValueError(f"{where} has no sets; restore it, or evaluate again")
    has_regret = all(one.get("regret") for one in found["sets"].values())
    for name, one in found["sets"].items():
        if not has_regret and one.get("last_episodes_return") is None:
            raise ValueError(
                f"{where}: the set {name!r:.80} has neither a regret nor a last_episodes_return; restore it"
            )
    _check_pairs([found["score"]["is_0_and_1"], *(one["score"]["ci95"] for one in found["sets"].values())], where)


def _shown(values):
    return "source_return" if values["source_regret"] is None else "source_regret"


def _check_pairs(pairs, where):
    for pair in pairs:
        if pair is not None and len(pair) != 2:
            raise ValueError(f"{where} has a pair of {len(pair)} entries; it is damaged: restore it")
