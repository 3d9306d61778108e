"""Pictures of the replay video: one panel per episode, with captions."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_PANEL = 360  # the side of a panel in pixels, at least
_MARGIN, _GAP, _TITLE, _CAPTION, _BAR = 24, 20, 52, 76, 6
_PAPER, _INK, _MUTED, _ACCENT, _RAIL = (255, 255, 255), (31, 41, 51), (107, 119, 133), (0, 114, 178), (230, 233, 237)


def compose(title, panels, oracle, num_episodes, progress, note):
    """One picture.

    Args:
        title (`str`): the environment and the task.
        panels (list of `(episode index, frame, return so far)`): frames are uint8 (H, W, 3) of any size.
        oracle (`float` or `None`): the best possible return of the task.
        num_episodes (`int`): how many episodes were played in all.
        progress (`float`): how much of the longest episode has been played, 0 to 1.
        note (`str`): what stands in the corner if there are several panels.

    Returns:
        `np.ndarray` uint8 of shape (height, width, 3), height and width even (yuv420p needs that).
    """
    frames = [_fitted(frame) for _, frame, _ in panels]
    height = max(frame.height for frame in frames)
    # A caption must fit under a panel, however narrow the environment's picture is.
    widths = [max(frame.width, _PANEL) for frame in frames]
    size = (
        _even(2 * _MARGIN + sum(widths) + _GAP * (len(panels) - 1)),
        _even(_TITLE + height + _CAPTION + _BAR + _MARGIN),
    )
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    room = size[0] - 2 * _MARGIN
    note = note if len(panels) > 1 else ""
    draw.text((_MARGIN + room, _TITLE / 2 + 4), note, _MUTED, _font(14), "rm")
    room -= draw.textlength(note, _font(14)) + _GAP
    draw.text((_MARGIN, _TITLE / 2 + 4), _shortened(draw, title, room), _INK, _font(17, True), "lm")
    left = _MARGIN
    for (episode, _, total), frame, width in zip(panels, frames, widths, strict=True):
        picture.paste(frame, (left + (width - frame.width) // 2, _TITLE + (height - frame.height) // 2))
        _caption(draw, left, _TITLE + height + 14, width, episode, total, oracle, num_episodes)
        left += width + _GAP
    top, right = size[1] - _MARGIN + 4, size[0] - _MARGIN
    draw.rounded_rectangle((_MARGIN, top, right, top + _BAR), _BAR // 2, _RAIL)
    end = _MARGIN + (right - _MARGIN) * progress
    if end - _MARGIN >= _BAR:
        draw.rounded_rectangle((_MARGIN, top, end, top + _BAR), _BAR // 2, _ACCENT)
    return np.asarray(picture)


def _caption(draw, left, top, width, episode, total, oracle, num_episodes):
    draw.text((left, top), f"Episode {episode + 1}", _INK, _font(20, True), "lt")
    if episode + 1 == num_episodes > 1:
        beside = left + draw.textlength(f"Episode {episode + 1}", _font(20, True)) + 8
        draw.text((beside, top + 4), "(last)", _MUTED, _font(14), "lt")
    text = f"return {total:g}" if float(total).is_integer() else f"return {total:.2f}"
    draw.text((left, top + 30), text, _ACCENT, _font(17, True), "lt")
    if oracle is not None:
        best = f"oracle {oracle:g}" if float(oracle).is_integer() else f"oracle {oracle:.2f}"
        draw.text((left + width, top + 32), best, _MUTED, _font(14), "rt")


def _fitted(frame):
    """The frame as an image whose height is at least the panel's, enlarged in whole steps so that pixels stay sharp."""
    image = Image.fromarray(np.ascontiguousarray(frame[..., :3], dtype=np.uint8))
    if image.height < _PANEL and _PANEL // image.height > 1:
        scale = _PANEL // image.height
        return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    if image.height != _PANEL:
        width = max(1, round(image.width * _PANEL / image.height))
        return image.resize((width, _PANEL), Image.Resampling.LANCZOS)
    return image


def _shortened(draw, text, width):
    while draw.textlength(text, _font(17, True)) > width and len(text) > 4:
        text = text[:-4] + "..."
    return text


@lru_cache
def _font(size, bold=False):
    # The font that matplotlib brings along: the same on every machine, and it knows more than ASCII.
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _even(number):
    return number + number % 2
