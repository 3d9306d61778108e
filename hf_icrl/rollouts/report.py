"""`Report`: what an evaluation found, as JSON, table, curve and video."""

import html
import json
from contextlib import ExitStack
from pathlib import Path

from hf_icrl.files import atomic_file, read_json
from hf_icrl.redaction import without_tokens
from hf_icrl.rollouts.report_checks import check_report
from hf_icrl.rollouts.show import html_table, text_table, video_html

REPORT_FILE, CURVE_FILE, REPLAY_FILE = "report.json", "learning_curve.png", "replay.mp4"

# How long a line of report.json may be before a list or a mapping is broken up.
_LINE = 100

# What every report has, whatever the method and the environment; others may be added.
REQUIRED = (
    "env_id",
    "env_kwargs",
    "evaluation_set",
    "tasks",
    "returns",
    "returns_per_seed",
    "oracle_return",
    "random_return",
    "normalized_return",
    "episodes_to_90",
    "episodes",
    "last_episodes",
    "seeds",
    "context_length",
    "overflow",
    "refill_keep",
    "model",
    "dataset",
    "versions",
    "command",
)


class Report:
    """The result of `evaluate`. `report["normalized_return"]["mean"]` reads a value; `print(report)` shows a table.

    Args:
        values (`dict`): JSON-able; the keys of `REQUIRED` and any others. Returns are undiscounted sums of rewards:
            `returns` (tasks x episodes, mean over seeds), `returns_per_seed` (seeds x tasks x episodes),
            `oracle_return`, `random_return` (one a task, or null). `normalized_return` is
            `{"mean", "ci95": [low, high], "worst"}` or null, taken over the last `last_episodes`. What `source_values`,
            `success_values` and `exploration_values` describe is there where it can be told. An optional `note`
            (what a reader must know, such as "smoke run") is shown in the table and in the card, which then offers
            no result to leaderboards.
        replay (`Replay`, *optional*): what is needed to draw the video; None for a report read from a file.
        folder (`Path`, *optional*): the folder it was read from; its video is shown and saved on.

    Raises:
        ValueError: a required key is missing.
    """

    def __init__(self, values, replay=None, folder=None):
        missing = [key for key in REQUIRED if key not in values]
        if missing:
            raise ValueError(f"this is no evaluation report: it has no {missing[0]!r} (found: {', '.join(values)})")
        self.values = values
        self.replay = replay
        self._folder = folder

    @classmethod
    def from_file(cls, path):
        """Read report.json, given as a file or as the folder that holds it.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is no report, or a value is not of the kind that a report has there.
        """
        path = Path(path)
        if path.is_dir():
            path = path / REPORT_FILE
        if not path.is_file():
            raise FileNotFoundError(f"there is no report at {path}: write one with hf-icrl evaluate")
        values = read_json(path)
        if not isinstance(values, dict):
            raise ValueError(f"{path} holds no evaluation report but a JSON {type(values).__name__}")
        report = cls(values, folder=path.parent)
        check_report(values, str(path))
        return report

    def __getitem__(self, key):
        return self.values[key]

    def get(self, key, default=None):
        """The value of a key, or `default` where the report has none."""
        return self.values.get(key, default)

    def save(self, folder):
        """Write report.json, learning_curve.png and replay.mp4 into `folder`; on an error, what was there stays.

        There is no replay.mp4 when the environment cannot be drawn; one of an older report is then removed, so that
        the files of a folder always belong together.
        """
        folder = Path(folder)
        # Everything is drawn before anything is written: an error in drawing leaves the folder as it was.
        curve, video = self.curve(), self.video()
        text = without_tokens(compact_json(self.values))
        contents = {REPORT_FILE: text.encode(), CURVE_FILE: curve, REPLAY_FILE: video}
        with ExitStack() as files:
            for name, content in contents.items():
                if content is not None:
                    file = files.enter_context(atomic_file(folder / name, "wb"))
                    file.write(content)
                    # A full disk shows itself here, before any of the files is renamed to its place.
                    file.flush()
        if video is None:
            (folder / REPLAY_FILE).unlink(missing_ok=True)

    def curve(self):
        """The learning curve as the bytes of a PNG file: return against episodes, or for bandits regret against pulls."""
        if self.get("regret_curve") is not None:
            from hf_icrl.rollouts.regret_curve import regret_curve_png

            return regret_curve_png(self)
        from hf_icrl.rollouts.curves import learning_curve_png

        return learning_curve_png(self)

    def video(self):
        """The replay as the bytes of an MP4 file, or None if the environment cannot be drawn."""
        if self.replay is not None:
            return self.replay.video()
        path = None if self._folder is None else self._folder / REPLAY_FILE
        return path.read_bytes() if path is not None and path.is_file() else None

    def table(self):
        """A short text table: first and last return with their anchors, normalised return, wall-clock."""
        note = f"\nNote: {self['note']}" if self.get("note") else ""
        return f"{self.title()}\n{text_table(self.rows())}{note}"

    def title(self):
        """What was evaluated, in one line."""
        v = self.values
        tasks, seeds = len(v["tasks"]), v["seeds"]
        return (
            f"{v['env_id']}: {tasks} {v['evaluation_set'].replace('_', '-')} task{'s' * (tasks != 1)} x {seeds} "
            f"seed{'s' * (seeds != 1)}, {v['episodes']} episode{'s' * (v['episodes'] != 1)} in one context, weights frozen"
        )

    def rows(self):
        """The table as rows of (name, value, remark)."""
        v = self.values
        normalized, reached = v["normalized_return"], v["episodes_to_90"]
        last = v["last_episodes"]
        oracle, random = (_mean([x for x in v[f"{who}_return"] if x is not None]) for who in ("oracle", "random"))
        rows = [
            ("return, first episode", number(self.first_return), ""),
            (f"return, last {last} episodes" if last > 1 else "return, last episode", number(self.last_return), ""),
            ("return, oracle", number(oracle), ""),
            ("return, random", number(random), ""),
        ]
        if normalized is None:
            rows.append(("normalised return", "-", "the task family knows no oracle or random return"))
        else:
            interval = normalized["ci95"]
            rows += [
                (
                    "normalised return",
                    f"{normalized['mean']:.3f}",
                    "" if interval is None else f"95 % interval {interval[0]:.3f} to {interval[1]:.3f}",
                ),
                ("normalised return, worst task", f"{normalized['worst']:.3f}", ""),
            ]
        if reached["share"] is not None:
            median = "-" if reached["median"] is None else f"{reached['median']:g}"
            rows.append(
                ("episodes to 90 % of the oracle", median, f"reached on {100 * reached['share']:.0f} % of the tasks")
            )
        if v.get("regret") is not None:
            regret = v["regret"]
            interval = "" if regret["ci95"] is None else "95 % interval {:.2f} to {:.2f}".format(*regret["ci95"])
            pulls = len(v["regret_curve"])
            rows.append((f"expected regret after {pulls} pulls", f"{regret['mean']:.2f}", interval))
        rows += self._source_rows() + self._exploration_rows()
        if v.get("act_with_dropout"):
            rows.append(("dropout while acting", "on", ""))
        if v.get("wall_clock_seconds") is not None:
            rows.append(("wall-clock of the rollouts", f"{v['wall_clock_seconds']:.1f} s", ""))
        return rows

    def _source_rows(self):
        """What the source of the histories reached, and where the model is on the way from random actions to it."""
        v = self.values
        if v.get("source") is None:
            return []
        what, marks = ("return", v["source_return"]) if v["source_regret"] is None else ("regret", v["source_regret"])
        rows = [(f"{what}, source", number(_mean(marks)), v["source"])]
        normalized = v["regret_normalized"]
        if normalized is not None:
            interval = normalized["ci95"]
            remark = "0 is random, 1 is the source"
            if interval is not None:
                remark += "; 95 % interval {:.3f} to {:.3f}".format(*interval)
            rows.append((f"normalised {what}, source", f"{normalized['mean']:.3f}", remark))
        return rows

    def _exploration_rows(self):
        """Success, and what was tried; only what this report tells."""
        v, rows = self.values, []
        if v.get("success") is not None:
            first = v["success_curve"][0]
            rows.append(("success", f"{100 * v['success']:.1f} %", f"{100 * first:.1f} % in the first episode"))
        if v.get("distinct_actions") is not None:
            of = f"of {v['available_actions']:g}" + " on average" * (v["available_actions"] % 1 > 0)
            kinds = [
                f"{100 * curve[-1]:.0f} % of the {kind} actions"
                for kind, curve in v["tried_share"].items()
                if kind != "all" and curve[-1] is not None
            ]
            rows.append(("distinct actions tried", f"{v['distinct_actions']:.1f}", "; ".join([of, *kinds])))
        if v.get("entropy") is not None:
            rows.append(("entropy of the policy", f"{v['entropy']:.3f}", "nats, mean over the steps"))
        return rows

    @property
    def first_return(self):
        """Mean return of the first episode over tasks and seeds."""
        return _mean([row[0] for row in self["returns"]])

    @property
    def last_return(self):
        """Mean return of the last `last_episodes` over tasks and seeds."""
        return _mean([_mean(row[-self["last_episodes"] :]) for row in self["returns"]])

    def __repr__(self):
        return self.table()

    def _repr_html_(self):
        from hf_icrl.plots import image_html

        video = self.video()
        return (
            f"<div><div>{html.escape(self.title())}</div>{html_table(self.rows())}{image_html(self.curve())}"
            f"{'' if video is None else video_html(video)}</div>"
        )


def number(value):
    """A return for a table."""
    return "-" if value is None else f"{value:.2f}"


def compact_json(values):
    """Indented JSON in which what fits on a line, and every list of plain numbers, is on one line, for people."""
    return _lines(values, "") + "\n"


def _lines(value, indent):
    inline = json.dumps(value, ensure_ascii=False, allow_nan=False)
    nested = isinstance(value, dict | list | tuple) and len(inline) + len(indent) > _LINE
    inner = indent + "  "
    if nested and isinstance(value, dict):
        body = [f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {_lines(v, inner)}" for key, v in value.items()]
        return "{\n" + ",\n".join(body) + f"\n{indent}}}"
    if nested and any(isinstance(v, list | tuple | dict) for v in value):
        return "[\n" + ",\n".join(inner + _lines(v, inner) for v in value) + f"\n{indent}]"
    return inline


def _mean(values):
    return sum(values) / len(values) if len(values) else None
