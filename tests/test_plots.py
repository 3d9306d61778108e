"""Small pictures for notebooks."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from hf_icrl.plots import BLUE, image_html, simple_curve_png


@pytest.mark.parametrize("rows", [1, 5, 100])
def test_the_curve_shows_the_mean_return_of_each_episode(rows):
    returns = np.random.default_rng(0).normal(size=(rows, 12)) + np.sin(np.arange(12))
    png = simple_curve_png(returns)
    assert png == simple_curve_png(returns)
    picture = imread(io.BytesIO(png))
    assert picture.shape[:2] == (520, 1120)
    line = np.abs(picture[..., :3] - to_rgb(BLUE)).max(axis=-1) < 0.1
    columns = np.flatnonzero(line.any(axis=0))
    height = [-np.flatnonzero(line[:, column]).mean() for column in columns]
    episode = (columns - columns[0]) / (columns[-1] - columns[0]) * 11
    assert np.corrcoef(height, np.interp(episode, np.arange(12), returns.mean(axis=0)))[0, 1] > 0.98


def test_one_episode_is_a_dot():
    picture = imread(io.BytesIO(simple_curve_png(np.array([[1.0], [3.0]]))))
    assert (np.abs(picture[..., :3] - to_rgb(BLUE)).max(axis=-1) < 0.1).any()


def test_the_image_is_inline():
    html = image_html(b"\x89PNG")
    assert base64.b64decode(re.fullmatch(r'<img .*base64,(.*)"/>', html).group(1)) == b"\x89PNG"
