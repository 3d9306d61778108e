"""`SetReports`: what an evaluation on several sets of tasks found, as JSON, table and pictures."""

import html
import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from hf_icrl.files import atomic_file
from hf_icrl.redaction import without_tokens
from hf_icrl.rollouts.metrics import bootstrap_interval, last_mean, random_regrets, same_tasks
from hf_icrl.rollouts.report import Report, compact_json

SETS_FILE = "evaluation_sets.json"
# Of what a report says, what is a figure of the whole set.
_FIGURES = (
    "evaluation_set",
    "env_id",
    "family",
    "env_kwargs",
    "episodes",
    "last_episodes",
    "seeds",
    "seed",
    "normalized_return",
    "first_episode_return",
    "last_episodes_return",
    "regret",
    "source",
    "regret_normalized",
    "success",
    "success_ci95",
    "distinct_actions",
    "available_actions",
    "entropy",
    "temperature",
    "act_with_dropout",
    "wall_clock_seconds",
)
_COMMON = ("model", "dataset", "rolled_out_with", "versions", "command")


class SetReports(dict):
    """Name of a set -> its [`Report`]; made by `evaluate_sets`. `print` shows a table, `save` writes everything.

    Attributes:
        skipped (`dict[str, str]`): sets that the model cannot act in -> why.
    """

    def __init__(self, reports, skipped=()):
        super().__init__(reports)
        self.skipped = dict(skipped)

    def summary(self):
        """What `evaluation_sets.json` holds: the figures of each set, the sets left out, and what all have in common."""
        first = next(iter(self.values()))
        label, anchors, bars = score(self)
        sets = {
            name: {
                "tasks": len(report["tasks"]),
                "score": dict(zip(("mean", "ci95"), bars[name], strict=True)),
                **marks(report),
                **{key: report[key] for key in _FIGURES if key in report.values},
            }
            for name, report in self.items()
        }
        return {
            "score": {"name": label, "is_0_and_1": anchors},
            "sets": sets,
            "skipped": self.skipped,
            **{key: first.get(key) for key in _COMMON},
        }

    def save(self, folder):
        """Write `evaluations/<set>/` with a report each, `evaluation_sets.json`, and the pictures that can be drawn.

        A video takes seconds to draw, so there is none of each set; `reports[name].save(folder)` makes one.
        `sets.png` has a bar for each set, `regret.png` (bandits) the regret against pulls, `success.png` (episodes that
        succeed or fail) the share of successes against episodes. What an older evaluation left of them and this one does
        not draw is removed.
        """
        from hf_icrl.rollouts.set_pictures import PICTURES

        folder = Path(folder)
        for name in self:
            check_set_name(name)
        # Everything is drawn before anything is written: an error in drawing leaves the folder as it was.
        pictures = {name: draw(self) for name, draw in PICTURES.items()}
        for name, report in self.items():
            Report(report.values).save(folder / "evaluations" / name)
        contents = {SETS_FILE: without_tokens(compact_json(self.summary())).encode(), **pictures}
        with ExitStack() as files:
            for name, content in contents.items():
                if content is not None:
                    file = files.enter_context(atomic_file(folder / name, "wb"))
                    file.write(content)
                    file.flush()
        for name, content in pictures.items():
            if content is None:
                (folder / name).unlink(missing_ok=True)

    def table(self):
        """A short text table: a line for each set."""
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(
                f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}"
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        skipped = [f"skipped {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join([self.title(), *lines, *skipped])

    def title(self):
        """What was evaluated, in one line."""
        first = next(iter(self.values()))
        seeds, episodes = first["seeds"], first["episodes"]
        return (
            f"{first['env_id']}: {len(self)} evaluation set{'s' * (len(self) != 1)} x {seeds} seed{'s' * (seeds != 1)}, "
            f"{episodes} episode{'s' * (episodes != 1)} in one context, weights frozen"
        )

    def rows(self):
        """The table as rows of strings; the first one names the columns."""
        label, _, bars = score(self)
        columns = [
            ("set", list(self)),
            ("tasks", [str(len(report["tasks"])) for report in self.values()]),
            ("actions", [_actions(report) for report in self.values()]),
            (label, [f"{round(mean, 3) + 0.0:.3f}" for mean, _ in bars.values()]),
            ("95 % interval", ["-" if ci is None else f"{ci[0]:.3f} to {ci[1]:.3f}" for _, ci in bars.values()]),
        ]
        for key, name, form in (("regret", "regret", "{:.2f}"), ("success", "success", "{:.3f}")):
            if name != label and any(report.get(key) is not None for report in self.values()):
                found = [report.get(key) for report in self.values()]
                found = [value["mean"] if isinstance(value, dict) else value for value in found]
                columns.append((name, ["-" if value is None else form.format(value) for value in found]))
        return [[name for name, _ in columns], *zip(*(cells for _, cells in columns), strict=True)]

    def __repr__(self):
        return self.table()

    def _repr_html_(self):
        from hf_icrl.plots import image_html
        from hf_icrl.rollouts.set_pictures import PICTURES

        head, *body = self.rows()
        lines = [f"<tr>{''.join(f'<th>{html.escape(cell)}</th>' for cell in head)}</tr>"]
        lines += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in body]
        pictures = [draw(self) for draw in PICTURES.values()]
        shown = "".join(image_html(png) for png in pictures if png is not None)
        skipped = "".join(
            f"<div>skipped {html.escape(n)}: {html.escape(why)}</div>" for n, why in self.skipped.items()
        )
        return f"<div><div>{html.escape(self.title())}</div><table>{''.join(lines)}</table>{skipped}{shown}</div>"


def score(reports):
    """The figure by which sets are compared: the best one that all of them have.

    Where episodes succeed or fail, that is the share of the last episodes that succeed; else the return (for bandits the
    regret) against random actions and the source, against random and the oracle, or as it is.

    Returns:
        `(label, anchors, bars)`: what it is called; what 0 and 1 are, a pair of names, or None where it is on no such
        scale; and name -> `(mean, [low, high] or None)`.
    """
    every = list(reports.values())
    if all(report.get("success") is not None for report in every):
        return "success", None, {name: (one["success"], one.get("success_ci95")) for name, one in reports.items()}
    if all(report.get("regret_normalized") is not None for report in every):
        sources = list(dict.fromkeys(report["source"] for report in every))
        label = "normalised return" if every[0].get("regret") is None else "normalised regret"
        return label, ("random", " or ".join(sources)), _means(reports, "regret_normalized")
    if all(report["normalized_return"] is not None for report in every):
        return "normalised return", ("random", "oracle"), _means(reports, "normalized_return")
    if all(report.get("regret") is not None for report in every):
        return "regret", None, _means(reports, "regret")
    bars = {}
    for name, report in reports.items():
        final = last_mean(np.array(report["returns"], np.float64), report["last_episodes"])
        interval = bootstrap_interval(final, groups=same_tasks(report["tasks"]), seed=report["seed"])
        bars[name] = float(final.mean()), interval
    return "return", None, bars


def check_set_name(name):
    """Raise `ValueError` unless a set of this name can have a folder of it."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"a set is called {name!r}; its name becomes that of a folder: use letters, digits, _, - and ."
        )


def _means(reports, key):
    return {name: (report[key]["mean"], report[key]["ci95"]) for name, report in reports.items()}


def _actions(report):
    number = report.get("available_actions")
    return "-" if number is None else f"{number:.4g}"


def marks(report):
    """What random actions, the oracle and the source reach, means over the tasks: returns, and regrets of bandits."""
    found = {f"{who}_return": _mean(report.get(f"{who}_return")) for who in ("random", "oracle", "source")}
    if report.get("regret") is not None:
        chance = random_regrets(report["oracle_return"], report["random_return"], report["episodes"])
        found |= {"random_regret": _mean(chance), "source_regret": _mean(report.get("source_regret"))}
    return found


def _mean(values):
    return None if values is None or any(value is None for value in values) else float(np.mean(values))
