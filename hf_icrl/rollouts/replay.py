"""The replay video: one task at its first, a middle and its last episode, side by side."""

import io
import logging
from dataclasses import dataclass

import numpy as np

from hf_icrl.rollouts.video_frames import compose

logger = logging.getLogger(__name__)

_FRAMES_PER_SECOND = 6
# How long the first and the last picture stand still, so that one can read them before and after.
_HOLD_START, _HOLD_END = 0.7, 1.5


@dataclass(frozen=True, eq=False)
class Replay:
    """One row of an evaluation, ready to be played again in a scalar environment that can draw itself.

    Attributes:
        family: the task family; `family.make(task, render_mode="rgb_array")` makes the environment.
        task (`dict`).
        seed (`int`): with which the row's environment was reset.
        actions (`np.ndarray` of shape (steps, ...)): of all episodes.
        returns, lengths (`np.ndarray` of shape (episodes,)): what the evaluation measured.
    """

    family: object
    task: dict
    seed: int
    actions: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray

    @property
    def episodes(self):
        """Indices of the episodes that are shown: the first, the middle one and the last (fewer if they coincide)."""
        last = len(self.returns) - 1
        return sorted({0, last // 2, last})

    def video(self):
        """The bytes of an MP4 file (h264, yuv420p), or None if the environment cannot be drawn or played again."""
        panels = self._panels()
        return None if panels is None else encode_mp4(list(self._pictures(panels)), _FRAMES_PER_SECOND)

    def _panels(self):
        """For each shown episode: (index, frames (T + 1), cumulative returns (T + 1))."""
        try:
            env = self.family.make(self.task, render_mode="rgb_array")
        except (ValueError, TypeError) as error:
            logger.warning("no replay.mp4: %s cannot be drawn (%s)", self.family.env_id, error)
            return None
        shown, panels, step = set(self.episodes), [], 0
        try:
            for episode, length in enumerate(self.lengths):
                env.reset(seed=self.seed if episode == 0 else None)
                total, totals = 0.0, [0.0]
                frames = [env.render()] if episode in shown else None
                for action in self.actions[step : step + length]:
                    _, reward, _, _, _ = env.step(action)
                    total += float(reward)
                    totals.append(total)
                    if frames is not None:
                        frames.append(env.render())
                step += length
                if not np.isclose(total, self.returns[episode], rtol=1e-4, atol=1e-4):
                    logger.warning(
                        "no replay.mp4: played again, episode %d of %s earned %g instead of %g, so the environment "
                        "does not repeat itself from its seed",
                        episode + 1,
                        self.family.env_id,
                        total,
                        self.returns[episode],
                    )
                    return None
                if frames is not None:
                    panels.append((episode, [np.asarray(frame) for frame in frames], totals))
        finally:
            env.close()
        return panels

    def _pictures(self, panels):
        title = f"{self.family.env_id}   " + ", ".join(f"{name} = {value}" for name, value in self.task.items())
        oracle = self.family.oracle_return(self.task)
        longest = max(len(frames) for _, frames, _ in panels)
        steps = (
            [0] * round(_HOLD_START * _FRAMES_PER_SECOND)
            + list(range(longest))
            + [longest - 1] * round(_HOLD_END * _FRAMES_PER_SECOND)
        )
        pictures = {}
        for step in steps:
            if step not in pictures:
                now = [
                    (episode, frames[min(step, len(frames) - 1)], totals[min(step, len(frames) - 1)])
                    for episode, frames, totals in panels
                ]
                pictures[step] = compose(title, now, oracle, len(self.returns), progress=step / max(longest - 1, 1))
            yield pictures[step]


def encode_mp4(pictures, frames_per_second):
    """Encode RGB pictures (uint8, even height and width) as an MP4 that a browser plays at once; in memory."""
    import av

    content = io.BytesIO()
    # The index goes to the front, so that playing can begin before the file is whole. Room for it is kept free:
    # "faststart" would rewrite a real file instead. It takes about 20 bytes a picture.
    options = {"moov_size": str(4096 + 64 * len(pictures))}
    with av.open(content, "w", format="mp4", options=options) as container:
        _encode(container, pictures, frames_per_second)
    return content.getvalue()


def _encode(container, pictures, frames_per_second):
    import av

    stream = container.add_stream("libx264", rate=frames_per_second)
    stream.height, stream.width = pictures[0].shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": "18", "preset": "medium", "threads": "1"}
    for picture in pictures:
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)
