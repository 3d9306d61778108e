"""How rollouts and reports show themselves: as text, and as HTML in a notebook."""

import base64
import html

import numpy as np


def rollout_text(returns):
    """One sentence about a rollout's returns of shape (rows, episodes)."""
    rows, episodes = returns.shape
    first, last = returns[:, 0].mean(), returns[:, -1].mean()
    return (
        f"Rollout: {rows} row{'s' * (rows != 1)} x {episodes} episode{'s' * (episodes != 1)}; mean return "
        f"{first:.4g} in the first episode, {last:.4g} in the last"
    )


def curve_html(returns, caption):
    """The mean return per episode as a small picture with a caption."""
    from hf_icrl.plots import image_html, simple_curve_png

    return f"<div>{image_html(simple_curve_png(np.asarray(returns)))}<div>{html.escape(caption)}</div></div>"


def video_html(mp4, width=560):
    """An inline MP4."""
    data = base64.b64encode(mp4).decode()
    return f'<video width="{width}" controls loop muted src="data:video/mp4;base64,{data}"></video>'


def text_table(rows):
    """Rows of (name, value, remark) with the columns aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in rows)


def html_table(rows):
    """The same rows as an HTML table."""
    cells = "".join(
        f"<tr><td>{html.escape(a)}</td><td style='text-align:right'><b>{html.escape(b)}</b></td>"
        f"<td>{html.escape(c)}</td></tr>"
        for a, b, c in rows
    )
    return f"<table>{cells}</table>"
