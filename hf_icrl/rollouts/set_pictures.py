"""Pictures of an evaluation on several sets: bars, regret against pulls, success against episodes."""

import re

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from hf_icrl.plots import AXIS, BLUE, GRID, INK, MUTED, figure_png, new_figure
from hf_icrl.rollouts.curves import spread
from hf_icrl.rollouts.regret_curve import random_regret_curve
from hf_icrl.rollouts.set_reports import marks, score

_WIDTH = 9.0  # inches
# Okabe and Ito's (2008) colours without yellow, which is hard to see on white; more lines get shades of one scale.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# Inches from one label beside the lines to the next.
_LABEL_INCHES = 0.21
# Bars of sets with tasks or goals of training.
_LIGHT_BLUE = "#8FBFDD"
# The curve of episodes is a moving mean over this part of them.
_SMOOTH = 20


def sets_png(reports):
    """A bar for each set with its 95 % interval over tasks; the bytes of a PNG file of 1800 pixels' width.

    Where the figure is normalised, lines mark its 0 and its 1.
    """
    label, anchors, bars = score(reports)
    names, means = list(bars), np.array([mean for mean, _ in bars.values()])
    ends = np.array([ci or (mean, mean) for mean, ci in bars.values()])
    rows = np.arange(len(names))[::-1]
    figure, axes = _figure(1.55 + 0.36 * len(names), reports, left=_name_margin(names), right=0.95, below=0.62)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GRID, linewidth=0.9)
    trained = [name.rpartition("_")[2] == "train" for name in names]
    axes.barh(rows, means, height=0.62, color=[_LIGHT_BLUE if light else BLUE for light in trained], zorder=2)
    axes.hlines(rows, ends[:, 0], ends[:, 1], color=INK, linewidth=1.6, zorder=4)
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", labelcolor=INK, labelsize=10)
    whole = anchors is not None or label == "success"
    low, high = min(0.0, ends.min()), max(ends.max(), 1.0 if whole else 0.0)
    room = (high - low) or 1.0
    for row, mean, end in zip(rows, means, ends[:, 1], strict=True):
        at = max(end, 0.0) + 0.012 * room
        axes.text(
            at,
            row,
            f"{round(mean, 3) + 0.0:.3f}",
            va="center",
            ha="left",
            fontsize=9.5,
            color=INK,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
    axes.set_xlim(low - 0.02 * room * (low < 0), high + 0.1 * room)
    axes.set_ylim(-0.6, len(names) - 0.4)
    if anchors is not None:
        for at, name, style in ((0.0, anchors[0], (0, (1.5, 2))), (1.0, anchors[1], (0, (6, 3)))):
            axes.axvline(at, color=MUTED, linewidth=1.3, linestyle=style, zorder=3)
            _name_above(axes, at, name)
    if label == "success":
        _mark_rows(axes, rows, reports)
    first = next(iter(reports.values()))
    last = first["last_episodes"]
    over = "" if label.endswith("regret") else f", last {last} episodes" if last > 1 else ", last episode"
    axes.set_xlabel(label + over, color=INK, fontsize=11, labelpad=6)
    remarks = ["bars: mean over tasks; lines: 95 % interval", *["light: sets called train"] * any(trained)]
    _titles(figure, reports, f"{label} by evaluation set", "  ·  ".join(remarks))
    return figure_png(figure)


def _mark_rows(axes, rows, reports):
    """Mark across each bar what random actions and the source reach, and say above the first one what the marks are."""
    for key, name, style in (("random_return", "random", (0, (1, 1.2))), ("source_return", _sources(reports), "-")):
        at = [marks(report)[key] for report in reports.values()]
        if None in at:
            continue
        axes.vlines(at, rows - 0.44, rows + 0.44, color=MUTED, linewidth=1.6, linestyle=style, zorder=3)
        _name_above(axes, at[0], name)


def _sources(reports):
    return " or ".join(dict.fromkeys(report["source"] for report in reports.values() if report.get("source")))


def _name_above(axes, at, name):
    axes.annotate(
        name,
        (at, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9.5,
        color=MUTED,
    )


def regret_png(reports):
    """Cumulative expected regret against pulls, a line a set, or None if a set has no regret.

    In the same colours, dashed: uniformly random pulls; dots: the source at the last pull, where the reports tell it. The
    bytes of a PNG file of 1800 pixels' width.
    """
    if any(report.get("regret_curve") is None for report in reports.values()):
        return None
    curves = {name: np.array(report["regret_curve"]) for name, report in reports.items()}
    figure, axes = _line_figure(reports)
    colours = _colours({name: curve[-1] for name, curve in curves.items()})
    randoms, sources = [], []
    for name, curve in curves.items():
        pulls = np.arange(1, len(curve) + 1)
        axes.plot(pulls, curve, color=colours[name], linewidth=2.0, zorder=4)
        random = random_regret_curve(reports[name])
        if random is not None:
            style = {"linewidth": 1.0, "linestyle": (0, (4, 2.5)), "alpha": 0.75}
            axes.plot(pulls, random, color=colours[name], zorder=2, **style)
            randoms.append(random[-1])
        source = marks(reports[name])["source_regret"]
        if source is not None:
            style = {"marker": "o", "markersize": 6, "markeredgecolor": "white", "clip_on": False}
            axes.plot(pulls[-1], source, color=colours[name], zorder=6, **style)
            sources.append(source)
    top = max([*(curve.max() for curve in curves.values()), *randoms, *sources])
    axes.set_ylim(0, 1.05 * top or 1)
    axes.set_xlim(1, max(2, *(len(curve) for curve in curves.values())))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("pulls in the same context", color=INK, fontsize=11, labelpad=6)
    axes.set_ylabel("cumulative expected regret", color=INK, fontsize=11, labelpad=6)
    labels = [(curve[-1], f"{name}  {curve[-1]:.1f}", colours[name]) for name, curve in curves.items()]
    if randoms:
        labels.append((np.mean(randoms), "random (dashed)", MUTED))
    _label_lines(axes, labels)
    remarks = ["mean over tasks, 0 is the best arm at every pull", *[f"dots: {_sources(reports)}"] * bool(sources)]
    _titles(figure, reports, "regret by evaluation set", "  ·  ".join(remarks))
    return figure_png(figure)


def success_png(reports):
    """The share of episodes that succeed against their number, a line a set, or None where there is no such share.

    Where names end with "_train" and "_test", as those of DarkRooms with words do, sets with equal beginnings share a
    colour, and the former are dashed. The bytes of a PNG file of 1800 pixels' width.
    """
    curves = {name: report.get("success_curve") for name, report in reports.items()}
    if any(curve is None or len(curve) < 2 for curve in curves.values()):
        return None
    episodes = len(next(iter(curves.values())))
    window = max(1, episodes // _SMOOTH)
    curves = {name: _moving_mean(np.array(curve), window) for name, curve in curves.items()}
    number = np.arange(window, episodes + 1) - (window - 1) / 2
    paired = all(any(name.endswith(end) for name in curves) for end in ("_train", "_test"))
    groups = {name: re.sub("_(train|test)$", "", name) if paired else name for name in curves}
    heights = {}
    for name, curve in curves.items():
        heights.setdefault(groups[name], []).append(curve[-1])
    colours = _colours({group: np.mean(values) for group, values in heights.items()})
    figure, axes = _line_figure(reports)
    labels = []
    for name, curve in curves.items():
        dashed = paired and name.endswith("_train")
        axes.plot(
            number,
            curve,
            color=colours[groups[name]],
            linewidth=1.5 if dashed else 2.0,
            zorder=4,
            linestyle=(0, (4, 2)) if dashed else "-",
        )
        labels.append((curve[-1], f"{name}  {reports[name]['success']:.2f}", colours[groups[name]]))
    random = [np.mean(report["random_return"]) for report in reports.values() if None not in report["random_return"]]
    if random:
        axes.axhspan(min(random), max(random), color=AXIS, alpha=0.5, zorder=1, linewidth=1.2)
        labels.append((np.mean(random), "random", MUTED))
    axes.set_ylim(0, 1.02)
    axes.set_xlim(number[0], max(number[-1], number[0] + 1))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    smoothed = f" (moving mean of {window})" * (window > 1)
    axes.set_xlabel(f"episode in the same context{smoothed}", color=INK, fontsize=11, labelpad=6)
    axes.set_ylabel("success", color=INK, fontsize=11, labelpad=6)
    _label_lines(axes, labels)
    last = next(iter(reports.values()))["last_episodes"]
    parts = [f"beside the lines: last {last} episodes" if last > 1 else "beside the lines: last episode"]
    parts += ["dashed: goals of training"] * paired
    _titles(figure, reports, "success by evaluation set", "  ·  ".join(parts))
    return figure_png(figure)


# File name -> what draws it, or gives None.
PICTURES = {"sets.png": sets_png, "regret.png": regret_png, "success.png": success_png}


def _figure(height, reports, left, right, below):
    """A figure of `height` inches with room for two lines of title, in inches whatever the height."""
    figure, axes = new_figure(_WIDTH, height)
    figure.subplots_adjust(left=left, right=right, top=1 - 0.93 / height, bottom=below / height)
    return figure, axes


def _line_figure(reports):
    names = [*reports, "random (dashed)"]
    height = max(4.8, 1.7 + _LABEL_INCHES * (len(names) + 1))
    # Labels end with a value.
    return _figure(
        height, reports, left=0.085, right=1 - _name_margin([f"{name}  0.00" for name in names]) - 0.02, below=0.62
    )


def _name_margin(names):
    """The share of the width that the longest name takes, with a little space."""
    return (0.3 + 0.078 * max(len(name) for name in names)) / _WIDTH


def _titles(figure, reports, what, remark):
    first = next(iter(reports.values()))
    tasks = sum(len(report["tasks"]) for report in reports.values())
    height, left = figure.get_size_inches()[1], 0.3 / _WIDTH
    env = first["env_id"].rpartition("/")[2]
    figure.text(left, 1 - 0.36 / height, f"{env}: {what}", fontsize=14, fontweight="bold", color=INK)
    seeds = f", {first['seeds']} seeds" if first["seeds"] > 1 else ""
    text = f"weights frozen, {tasks} tasks in all{seeds}  ·  {remark}"
    figure.text(left, 1 - 0.6 / height, text, fontsize=9.5, color=MUTED)


def _colours(heights):
    """A colour for each name: distinct ones for few; for many, shades in the order of the lines' ends."""
    if len(heights) <= len(_COLOURS):
        return dict(zip(heights, _COLOURS, strict=False))
    order = sorted(heights, key=heights.get)
    # The yellow end of the scale is too light for lines on white.
    return {name: colormaps["plasma"](0.8 * i / (len(order) - 1)) for i, name in enumerate(order)}


def _label_lines(axes, labels):
    """Each line's name beside its end, in the order of the ends, moved apart and joined to them by thin lines."""
    low, high = axes.get_ylim()
    inches = axes.get_position().height * axes.figure.get_size_inches()[1]
    gap = _LABEL_INCHES / inches
    labels = sorted(labels, key=lambda label: label[0])
    at = np.array([(label[0] - low) / (high - low) for label in labels])
    for (_, text, colour), end, place in zip(labels, at, spread(at, gap), strict=True):
        axes.plot([1.0, 1.026], [end, place], transform=axes.transAxes, color=colour, linewidth=0.9, clip_on=False)
        axes.annotate(
            text,
            (1.026, place),
            xycoords="axes fraction",
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            fontsize=9.5,
            color=colour,
            annotation_clip=False,
        )


def _moving_mean(values, window):
    return np.convolve(values, np.full(window, 1 / window), mode="valid")
