"""What `collect` returns: a folder of learning histories that shows itself."""

from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np

from hf_icrl.histories import load_histories, read_info


class Collection:
    """Collected learning histories.

    Attributes:
        path (`Path`): the folder; `datasets.load_from_disk` opens it.
        info (`dict`): what `history_info.json` says.
        new_shards (`int`): how many shards this call of `collect` wrote; 0 if the folder was finished already.

    Args:
        path (`str` or `Path`): a finished folder.
        new_shards (`int`, *optional*, defaults to 0): see above.
    """

    def __init__(self, path, new_shards=0):
        self.path = Path(path)
        self.info = read_info(path)
        self.new_shards = new_shards

    @cached_property
    def dataset(self):
        """The `datasets.Dataset`, memory-mapped: one row an episode."""
        return load_histories(self.path)[0]

    @cached_property
    def returns(self):
        """Mean return of the histories' k-th episodes: float64 `(episodes,)`. How fast the source becomes good."""
        total, count = (np.zeros(self.info["episodes"]) for _ in range(2))
        for batch in self.dataset.data.to_batches():
            offsets = batch["rewards"].offsets.to_numpy()
            rewards = batch["rewards"].values.to_numpy()[: offsets[-1]].astype(np.float64)
            episodes = batch["episode"].to_numpy()
            total += np.bincount(episodes, np.add.reduceat(rewards, offsets[:-1]), minlength=len(total))
            count += np.bincount(episodes, minlength=len(count))
        return total / count

    def __repr__(self):
        return f"Collection({str(self.path)!r}, num_histories={self.info['num_histories']})"

    def __str__(self):
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _repr_html_(self):
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<div><table>{cells}</table>{curve_svg(self.returns, self.info['source']['name'])}</div>"

    def _rows(self):
        info = self.info
        kwargs = ", ".join(f"{name}={value!r}" for name, value in info["env_kwargs"].items())
        tasks = ", ".join(f"{len(tasks)} {name.replace('_', '-')}" for name, tasks in info["tasks"].items())
        transitions, size = info["num_transitions"], info["num_bytes"]
        return [
            ("learning histories", str(self.path)),
            ("environment", f"{info['env_id']}({kwargs})"),
            ("source", info["source"]["name"]),
            ("tasks", f"{tasks}; collected on {info['collected_on'].replace('_', '-')}"),
            (
                "histories",
                f"{info['num_histories']:,} ({info['histories_per_task']} a task) of {info['episodes']} episodes",
            ),
            ("transitions", f"{transitions:,} ({size / 1e6:,.1f} MB, {size / transitions:.1f} bytes each)"),
            ("mean return", f"first episode {self.returns[0]:.2f}, last {self.returns[-1]:.2f}"),
        ]


def curve_svg(returns, label):
    """A small line chart of `returns` (mean return per episode) as an SVG element; `label` names what made them."""
    width, height, left, right, top, bottom = 480, 220, 52, 12, 28, 40
    low, high = min(0.0, float(returns.min())), max(0.0, float(returns.max()))
    high = high if high > low else low + 1.0
    across = np.arange(len(returns)) / max(len(returns) - 1, 1)
    x = left + across * (width - left - right)
    y = height - bottom - (returns - low) / (high - low) * (height - top - bottom)
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    axis_y = height - bottom
    ticks = "".join(
        f"<text x='{left - 6}' y='{axis_y - share * (axis_y - top) + 4:.0f}' text-anchor='end'>"
        f"{low + share * (high - low):.3g}</text><line x1='{left}' x2='{width - right}' "
        f"y1='{axis_y - share * (axis_y - top):.0f}' y2='{axis_y - share * (axis_y - top):.0f}' stroke='#ddd'/>"
        for share in (0.0, 0.5, 1.0)
    )
    return (
        f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}' role='img' "
        "style='background:#fff;font:12px sans-serif' fill='#333'>"
        f"<text x='{left}' y='16'>{escape(label)}: mean return per episode</text>{ticks}"
        f"<polyline points='{line}' fill='none' stroke='#2563eb' stroke-width='2'/>"
        f"<text x='{left}' y='{axis_y + 16}'>1</text>"
        f"<text x='{width - right}' y='{axis_y + 16}' text-anchor='end'>{len(returns)}</text>"
        f"<text x='{(left + width - right) // 2}' y='{axis_y + 32}' text-anchor='middle'>episode of the history</text>"
        "</svg>"
    )
