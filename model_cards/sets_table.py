"""What a model's folder says about several evaluation sets, for its card."""

from hf_icrl.files import read_json
from hf_icrl.rollouts.report_checks import check_sets
from hf_icrl.rollouts.set_reports import SETS_FILE

_PICTURES = {
    "sets.png": "Bars: the score on each evaluation set",
    "regret.png": "Cumulative expected regret against pulls, a line for each set",
    "success.png": "Share of successful episodes against the number of the episode, a line for each set",
}


def evaluation_sets(folder):
    """The evaluation on several sets that lies in `folder`, or `None`.

    Returns:
        `dict`: "columns" (their names), "rows" (lists of cells, one a set), "scale" (a sentence on what 0 and 1 are, or
        None), "skipped" (name -> why) and "pictures" (file name -> what it shows, of those that are there).

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / SETS_FILE
    found = read_json(path, dict) if path.is_file() else {}
    if "score" not in found:  # no file, or one of an earlier version
        return None
    check_sets(found, str(path))
    sets, score = found["sets"], found["score"]
    what = "regret" if all(one.get("regret") for one in sets.values()) else "return"
    source = next((one["source"] for one in sets.values() if one.get("source")), None)
    # Where the score is the plain figure itself, there is no second column of it.
    own_column = [what] * (score["name"] not in ("success", what))
    columns = ["set", "tasks", "actions", score["name"], "95 % interval"]
    columns += [*own_column, *([source] * bool(source)), "random"]
    rows = []
    for name, one in sets.items():
        own = one["regret"]["mean"] if what == "regret" else one["last_episodes_return"]
        marks = [one.get(f"source_{what}")] * bool(source) + [one.get(f"random_{what}")]
        interval = one["score"]["ci95"]
        rows.append(
            [
                name,
                str(one["tasks"]),
                _number(one.get("available_actions"), "{:.4g}"),
                _number(one["score"]["mean"], "{:.3f}"),
                "-" if interval is None else "{:.3f} to {:.3f}".format(*interval),
                *(_number(value, "{:.2f}") for value in ([own] * bool(own_column) + marks)),
            ]
        )
    scale = None
    if score["is_0_and_1"]:
        scale = "{} is 0 for {} and 1 for {}".format(score["name"].capitalize(), *score["is_0_and_1"])
    return {
        "columns": columns,
        "rows": rows,
        "scale": scale,
        "skipped": found["skipped"],
        "pictures": {name: text for name, text in _PICTURES.items() if (folder / name).is_file()},
    }


def _number(value, form):
    return "-" if value is None else form.format(round(value, 4) + 0.0)
