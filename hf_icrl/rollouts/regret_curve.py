"""The picture of a bandit report: cumulative expected regret against pulls."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from hf_icrl.plots import BLUE, INK, MUTED, figure_png, new_figure
from hf_icrl.rollouts.curves import HEIGHT, WIDTH, label_right, title
from hf_icrl.rollouts.metrics import random_regrets

_VERMILION = "#D55E00"  # also of Okabe and Ito


def regret_curve_png(report):
    """The picture of a report that has a `regret_curve`, as the bytes of a PNG file of 1600 x 920 pixels.

    Shows the mean over tasks with its 95 % band, the source's regret where the report tells it, and the straight line of
    uniformly random pulls. The oracle's regret is 0.
    """
    regret = np.asarray(report["regret_curve"])
    pulls = np.arange(1, len(regret) + 1)
    figure, axes = new_figure(WIDTH, HEIGHT)
    figure.subplots_adjust(left=0.085, right=0.865, top=0.825, bottom=0.13)
    labels = [(regret[-1], "model", BLUE, "bold")]
    top = regret[-1]
    axes.plot(pulls, regret, color=BLUE, linewidth=2.6, zorder=5)
    if report.get("regret_curve_ci95") is not None:
        low, high = np.asarray(report["regret_curve_ci95"]).T
        axes.fill_between(pulls, low, high, color=BLUE, alpha=0.18, linewidth=0, zorder=2)
        top = high[-1]
    random = random_regret_curve(report)
    if random is not None:
        axes.plot(pulls, random, color=MUTED, linewidth=1.3, linestyle=(0, (1.5, 2)), zorder=1)
        labels.append((random[-1], "random", MUTED, "normal"))
    if report.get("source_regret_curve") is not None:
        source = np.asarray(report["source_regret_curve"])
        axes.plot(pulls, source, color=_VERMILION, linewidth=1.8, linestyle=(0, (5, 2)), zorder=4)
        labels.append((source[-1], "source", _VERMILION, "normal"))
    axes.set_ylim(0, 1.06 * max(top, *(label[0] for label in labels)))
    axes.set_xlim(1, max(len(regret), 2))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("pulls in the same context", color=INK, fontsize=11, labelpad=6)
    axes.set_ylabel("cumulative expected regret", color=INK, fontsize=11, labelpad=6)
    label_right(axes, labels)
    title(figure, report)
    return figure_png(figure)


def random_regret_curve(report):
    """Expected regret after each of T uniformly random pulls, mean over tasks: float64 (T,), or None."""
    total = random_regrets(report["oracle_return"], report["random_return"], report["episodes"])
    pulls = len(report["regret_curve"])
    return None if total is None else np.mean(total) / pulls * np.arange(1, pulls + 1)
