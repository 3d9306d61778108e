"""The replay video: one task at its first, a middle and its last episode, side by side."""

import io
import logging
from dataclasses import dataclass

import gymnasium
import numpy as np

from hf_icrl.rollouts.video_frames import compose

logger = logging.getLogger(__name__)

_FRAMES_PER_SECOND = 6
# How long the first and the last picture stand still, so that one can read them before and after.
_HOLD_START, _HOLD_END = 0.7, 1.5
# Of longer episodes only every second, third, ... step is shown, so that video and memory stay small.
_MOST_STEPS = 240


@dataclass(frozen=True, eq=False)
class Replay:
    """One row of an evaluation, ready to be played again in a scalar environment that can draw itself.

    Attributes:
        family: the task family; `family.make(task, render_mode="rgb_array")` makes the environment.
        task (`dict`).
        seed (`int`): with which the row's environment was reset.
        actions (`np.ndarray` of shape (steps, ...)): of all episodes.
        returns, lengths (`np.ndarray` of shape (episodes,)): what was measured.
        note (`str`): what stands in the corner of the video.
        whole (`bool`): no episode that the row played is left out; where one is, an environment that draws random
            numbers cannot be played again.
    """

    family: object
    task: dict
    seed: int
    actions: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    note: str = "weights frozen"
    whole: bool = True

    @property
    def episodes(self):
        """Indices of the episodes that are shown: the first, the middle one and the last (fewer if they coincide)."""
        last = len(self.returns) - 1
        return sorted({0, last // 2, last})

    def video(self):
        """The bytes of an MP4 file (h264, yuv420p), or None if the environment cannot be drawn or played again."""
        panels = self._panels()
        if panels is None:
            return None
        longest = max(len(frames) for _, frames, _ in panels)
        hold = round(_HOLD_START * _FRAMES_PER_SECOND), round(_HOLD_END * _FRAMES_PER_SECOND)
        places = [0] * hold[0] + list(range(longest)) + [longest - 1] * hold[1]
        return encode_mp4(self._pictures(panels, places), len(places), _FRAMES_PER_SECOND)

    def _panels(self):
        """For each shown episode: (index, its frames, the return so far at each of them)."""
        try:
            env = self.family.make(self.task, render_mode="rgb_array")
        except (ValueError, TypeError) as error:
            logger.warning("no replay.mp4: %s cannot be drawn (%s)", self.family.env_id, error)
            return None
        shown, panels, step = set(self.episodes), [], 0
        stride = -(-max(self.lengths[episode] for episode in shown) // _MOST_STEPS)
        try:
            for episode, length in enumerate(self.lengths):
                env.reset(seed=self.seed if episode == 0 else None)
                total, totals = 0.0, [0.0]
                frames = [env.render()] if episode in shown else None
                for played, action in enumerate(self.actions[step : step + length], start=1):
                    _, reward, _, _, _ = env.step(action)
                    total += float(reward)
                    if frames is not None and (played % stride == 0 or played == length):
                        totals.append(total)
                        frames.append(env.render())
                step += length
                if not np.isclose(total, self.returns[episode], rtol=1e-4, atol=1e-4):
                    logger.warning(
                        "no replay.mp4: played again, episode %d of %s earned %g instead of %g, so %s",
                        episode + 1,
                        self.family.env_id,
                        total,
                        self.returns[episode],
                        "the environment does not repeat itself from its seed"
                        if self.whole
                        else "its chances depend on episodes that were not kept",
                    )
                    return None
                if frames is not None:
                    panels.append((episode, [np.asarray(frame) for frame in frames], totals))
        except (gymnasium.error.Error, NotImplementedError) as error:
            # Many environments find only now that they have no way, or no library, to draw.
            logger.warning("no replay.mp4: %s cannot be drawn (%s)", self.family.env_id, error)
            return None
        finally:
            env.close()
        return panels

    def _pictures(self, panels, places):
        """One picture for each of `places`, indices into the frames of the longest panel."""
        title = f"{self.family.env_id}   " + ", ".join(f"{name} = {_short(v)}" for name, v in self.task.items())
        oracle = self.family.oracle_return(self.task)
        picture, drawn = None, None
        for place in places:
            if place != drawn:
                now = [
                    (episode, frames[min(place, len(frames) - 1)], totals[min(place, len(frames) - 1)])
                    for episode, frames, totals in panels
                ]
                progress = place / max(places[-1], 1)
                picture, drawn = compose(title, now, oracle, len(self.returns), progress, self.note), place
            yield picture


def _short(value):
    """A task's value as people read it: three digits of a number are enough to recognise it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_short, value))}]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def encode_mp4(pictures, count, frames_per_second):
    """Encode `count` RGB pictures (uint8, even height and width) as an MP4 that a browser plays at once; in memory."""
    import av

    content = io.BytesIO()
    # The index goes to the front, so that playing can begin before the file is whole. Room for it is kept free:
    # "faststart" would rewrite a real file instead. It takes about 20 bytes a picture.
    options = {"moov_size": str(4096 + 64 * count)}
    with av.open(content, "w", format="mp4", options=options) as container:
        _encode(container, pictures, frames_per_second)
    return content.getvalue()


def _encode(container, pictures, frames_per_second):
    import av

    stream = container.add_stream("libx264", rate=frames_per_second)
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": "18", "preset": "medium", "threads": "1"}
    for number, picture in enumerate(pictures):
        if number == 0:
            stream.height, stream.width = picture.shape[:2]
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)
