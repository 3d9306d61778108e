"""The learning curve: return against episode number within one context."""

import numpy as np
from matplotlib import patheffects
from matplotlib.ticker import MaxNLocator

from hf_icrl.plots import AXIS, BLUE, INK, MUTED, figure_png, new_figure
from hf_icrl.rollouts.metrics import bootstrap_interval, normalized_returns

# Blue, green and vermilion of Okabe and Ito (2008), which colour-blind readers can tell apart.
_MEAN, _BEST, _WORST = BLUE, "#009E73", "#D55E00"
WIDTH, HEIGHT = 8.0, 4.6
# From bottom to top, where lines end at the same height.
_LABEL_ORDER = ("random", "worst task", "mean", "return", "model", "source", "best task", "oracle")
# Room for a label, as a share of the plot's height.
_LABEL_HEIGHT = 0.062


def learning_curve_png(report):
    """The picture of a report, as the bytes of a PNG file of 1600 x 920 pixels.

    Shows the mean over tasks with its 95 % band (bootstrap over tasks), the tasks that ended best and worst (each a
    mean over seeds), the oracle and the random policy. Where every task has a scale, returns are normalised task by
    task (0 = random, 1 = oracle), so that near and far goals can stand in one picture; else they are plain returns.
    """
    returns, levels, unit = _scaled(report)
    tasks, episodes = returns.shape
    number = np.arange(1, episodes + 1)
    mean = returns.mean(axis=0)
    figure, axes = new_figure(WIDTH, HEIGHT)
    figure.subplots_adjust(left=0.085, right=0.865, top=0.825, bottom=0.13)

    tail = _tail(episodes)
    labels = [(level, name, MUTED, "normal") for name, level, _ in levels]
    for _, level, style in levels:
        axes.axhline(level, color=MUTED, linewidth=1.3, linestyle=style, zorder=1)
    if tasks > 1:
        # Tasks that end equally well are told apart by how soon they got there; rounded, as means of floats differ.
        ended = returns[:, -report["last_episodes"] :].mean(axis=1).round(6)
        order = np.lexsort((returns.mean(axis=1), ended))
        for index, colour, name in ((order[-1], _BEST, "best task"), (order[0], _WORST, "worst task")):
            axes.plot(number, returns[index], color=colour, linewidth=1.1, alpha=0.9, zorder=3)
            labels.append((returns[index, -tail:].mean(), name, colour, "normal"))
        band = np.array([bootstrap_interval(column) for column in returns.T])
        axes.fill_between(number, band[:, 0], band[:, 1], color=_MEAN, alpha=0.18, linewidth=0, zorder=2)
    marker = "o" if episodes == 1 else None
    halo = [patheffects.Stroke(linewidth=4.5, foreground="white"), patheffects.Normal()]
    axes.plot(number, mean, color=_MEAN, linewidth=2.6, zorder=5, marker=marker, path_effects=halo)
    labels.append((mean[-tail:].mean(), "mean" if tasks > 1 else "return", _MEAN, "bold"))

    heights = [returns.min(), returns.max(), 0.0, *(level for _, level, _ in levels)]
    low, high = min(heights), max(heights)
    margin = 0.06 * ((high - low) or 1.0)
    axes.set_ylim(low - margin, high + margin)
    axes.set_xlim(1 if episodes > 1 else 0.5, max(episodes, 1.5))
    axes.set_xlabel("episode in the same context", color=INK, fontsize=11, labelpad=6)
    axes.set_ylabel(unit, color=INK, fontsize=11, labelpad=6)
    if episodes > 1:
        inner = MaxNLocator(6, integer=True).tick_values(1, episodes)
        axes.set_xticks([1, *(int(t) for t in inner if 1 < t <= episodes)])
    label_right(axes, labels)
    _mark_full_context(axes, report, episodes)
    title(figure, report)
    return figure_png(figure)


def _scaled(report):
    """(returns (tasks, episodes), levels [(name, height, line style)], name of the axis)."""
    returns = np.asarray(report["returns"], np.float64)
    anchors = [("oracle", report["oracle_return"], (0, (6, 3))), ("random", report["random_return"], (0, (1.5, 2)))]
    normalized = normalized_returns(returns.T, report["oracle_return"], report["random_return"]).T
    if np.isfinite(normalized).all():
        levels = [(name, height, style) for (name, _, style), height in zip(anchors, (1.0, 0.0), strict=True)]
        return normalized, levels, "normalised return"
    levels = [(name, float(np.mean(values)), style) for name, values, style in anchors if None not in values]
    return returns, levels, "return per episode"


def _tail(episodes):
    # A label stands where the line ends up, not on the last noisy value.
    return max(1, min(5, episodes // 4))


def label_right(axes, labels):
    """Write each line's name beside its right end, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    at = np.array([(label[0] - low) / (high - low) for label in labels])
    # What differs by less than the eye can tell counts as equal.
    order = np.lexsort(([_LABEL_ORDER.index(label[1]) for label in labels], at.round(2)))
    places = spread(np.sort(at), _LABEL_HEIGHT)
    for place, index in zip(places, order, strict=True):
        _, name, colour, weight = labels[index]
        axes.annotate(
            name,
            (1, place),
            xycoords="axes fraction",
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            ha="left",
            color=colour,
            fontsize=10.5,
            fontweight=weight,
            annotation_clip=False,
        )


def spread(at, gap):
    """Places as near as possible to the ascending `at`, at least `gap` apart, where they fit within 0 to 1.

    Least squares under these constraints: of the places minus their due distances, the isotonic regression, in which
    neighbours out of order are pooled to their mean.
    """
    due = gap * np.arange(len(at))
    blocks = []  # (mean, size)
    for value in at - due:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    places = np.concatenate([np.full(size, mean) for mean, size in blocks])
    return np.clip(places, 0.0, max(1.0 - due[-1], 0.0)) + due


def _mark_full_context(axes, report, episodes):
    """A tick on the axis where the context is full for the first time and the oldest episodes begin to leave it."""
    length, context = report.get("mean_episode_length"), report["context_length"]
    if not length or not context or not 1 < context / length < episodes:
        return
    at = context / length
    axes.axvline(at, color=AXIS, linewidth=1.0, linestyle=(0, (2, 3)), zorder=1)
    axes.annotate(
        f"context full\n({context} steps)",
        (at, 0.1),
        xycoords=("data", "axes fraction"),
        xytext=(5, 6),
        textcoords="offset points",
        fontsize=8.5,
        color=MUTED,
        va="bottom",
        linespacing=1.2,
        zorder=6,
        path_effects=[patheffects.withStroke(linewidth=3, foreground="white")],
    )


def title(figure, report):
    """What was evaluated and how it came out, above the axes."""
    tasks, seeds = len(report["tasks"]), report["seeds"]
    name = report["env_id"].rpartition("/")[2]
    side = report["evaluation_set"].replace("_", "-")
    left = figure.subplotpars.left
    figure.text(
        left,
        0.925,
        f"{name}: learning in context on {tasks} {side} task{'s' * (tasks != 1)}",
        fontsize=14,
        fontweight="bold",
        color=INK,
    )
    parts = [f"weights frozen, mean of {seeds} seeds" if seeds > 1 else "weights frozen"]
    normalized = report["normalized_return"]
    if normalized is not None:
        last = report["last_episodes"]
        parts.append(
            f"last {last} episode{'s' * (last != 1)}: mean {normalized['mean']:.2f}, worst task "
            f"{normalized['worst']:.2f} (0 = random, 1 = oracle)"
        )
    figure.text(left, 0.868, "  ·  ".join(parts), fontsize=9.5, color=MUTED)
