"""Small pictures for notebooks, and how all pictures of this library look."""

import base64
import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Blue of Okabe and Ito (2008), whose colours colour-blind readers can tell apart.
BLUE, INK, MUTED, GRID, AXIS = "#0072B2", "#1F2933", "#6B7785", "#E6E9ED", "#B8C0C9"
_DPI = 200


def simple_curve_png(returns):
    """Mean return per episode.

    Args:
        returns (`np.ndarray`, shape (rows, episodes)): one faint line a row if there are at most 64, and their mean.

    Returns:
        `bytes`: a PNG file of 1120 x 520 pixels.
    """
    figure, axes = new_figure(5.6, 2.6)
    figure.subplots_adjust(left=0.11, right=0.97, top=0.95, bottom=0.2)
    number = np.arange(1, returns.shape[1] + 1)
    if 1 < len(returns) <= 64:
        axes.plot(number, returns.T, color=BLUE, linewidth=0.6, alpha=0.15)
    axes.plot(number, returns.mean(axis=0), color=BLUE, linewidth=2.2, marker="o" if len(number) == 1 else None)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(x=0.01)
    axes.set_xlabel("episode", color=INK, fontsize=10)
    axes.set_ylabel("return", color=INK, fontsize=10)
    return figure_png(figure)


def new_figure(width, height):
    """`(figure, axes)` of `width` x `height` inches at 200 dots per inch, in the style of this library."""
    # Without pyplot: no global figure list, no window system, and the user's own matplotlib settings stay as they are.
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(AXIS)
    axes.grid(axis="y", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=10, labelcolor=MUTED, pad=5)
    return figure, axes


def figure_png(figure):
    """The bytes of a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def image_html(png, width=560):
    """An inline PNG of a learning curve."""
    data = base64.b64encode(png).decode()
    return f'<img width="{width}" alt="learning curve" src="data:image/png;base64,{data}"/>'
