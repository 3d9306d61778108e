"""The picture of a collection: the learning curve of its source."""

from matplotlib.ticker import MaxNLocator

from hf_icrl.plots import BLUE, INK, MUTED, figure_png, new_figure


def source_curve_png(info):
    """The learning curve that `history_info.json` holds, as the bytes of a PNG file of 1600 x 760 pixels.

    Args:
        info (`dict`): the content of a collection's `history_info.json`, with its entry "curve".
    """
    curve = info["curve"]
    number, value, unit = curve["number"], curve["mean_return"], "return"
    levels = [("oracle", curve["oracle_return"], (0, (6, 3))), ("random", curve["random_return"], (0, (1.5, 2)))]
    if curve["over"] == "steps":
        unit = "reward x horizon"
    figure, axes = new_figure(8.0, 3.8)
    figure.subplots_adjust(left=0.09, right=0.89, top=0.83, bottom=0.15)
    axes.plot(number, value, color=BLUE, linewidth=2.2, marker="o" if len(number) == 1 else None)
    for name, level, style in levels:
        if level is not None:
            axes.axhline(level, color=MUTED, linewidth=1.2, linestyle=style, zorder=1)
            axes.annotate(
                name,
                (1, level),
                xycoords=("axes fraction", "data"),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                color=MUTED,
                fontsize=10,
                annotation_clip=False,
            )
    axes.set_xlim(number[0] if len(number) > 1 else 0, max(number[-1], 1.5))
    axes.margins(y=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("episode of the history" if curve["over"] == "episodes" else "step", color=INK, fontsize=11)
    axes.set_ylabel(unit, color=INK, fontsize=11)
    where = info["env_id"].rpartition("/")[2]
    left = figure.subplotpars.left
    title = f"{where}: what {info['source']['name']} earns while it goes on"
    figure.text(left, 0.925, title, fontsize=13, fontweight="bold", color=INK)
    share = curve["share_of_oracle"]
    note = f"mean of {info['num_histories']:,} histories"
    if share is not None:
        note += f"  ·  at the end {share:.0%} of the oracle's return"
    figure.text(left, 0.865, note, fontsize=9.5, color=MUTED)
    return figure_png(figure)
