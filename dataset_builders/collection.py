"""What `collect` returns: a folder of learning histories that shows itself."""

from functools import cached_property
from html import escape
from pathlib import Path

import numpy as np

from hf_icrl.files import atomic_file
from hf_icrl.histories import describe_histories, load_histories, read_info
from hf_icrl.histories.info import CURVE_FILENAME, INFO_FILENAME
from hf_icrl.histories.info_checks import check_complete


class Collection:
    """Collected learning histories.

    Attributes:
        path (`Path`): the folder; `datasets.load_from_disk` opens it.
        info (`dict`): what `history_info.json` says.
        new_shards (`int`): how many shards this call of `collect` wrote; 0 if the folder was finished already.

    Args:
        path (`str` or `Path`): a finished folder.
        new_shards (`int`, *optional*, defaults to 0): see above.

    Raises:
        FileNotFoundError, ValueError: what the folder says of itself is missing or damaged, or it is a mixture.
    """

    def __init__(self, path, new_shards=0):
        self.path = Path(path)
        self.info = read_info(path)
        check_complete(self.info, f"{path}/{INFO_FILENAME}")
        if "mixture" in self.info:
            raise ValueError(f"{path} is a mixture; each of its parts, a folder in it, is a collection")
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
            # What a source strays into after the last episode does not count.
            total += np.bincount(episodes, np.add.reduceat(rewards, offsets[:-1]), minlength=len(total))[: len(total)]
            count += np.bincount(episodes, minlength=len(count))[: len(count)]
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
        # Here, since matplotlib takes a while to load.
        from hf_icrl.dataset_builders.source_picture import source_curve_png
        from hf_icrl.plots import image_html

        return f"<div><table>{cells}</table>{image_html(source_curve_png(self.info))}</div>"

    def save_picture(self):
        """Write the learning curve of the source to `learning_curve.png` in the folder, unless it is there already."""
        path = self.path / CURVE_FILENAME
        if not path.is_file():
            from hf_icrl.dataset_builders.source_picture import source_curve_png

            with atomic_file(path, "wb") as file:
                file.write(source_curve_png(self.info))

    def _rows(self):
        return describe_histories(self.path, self.info)
