"""`hf-icrl collect` leaves a picture and a replay of what the source did."""

from itertools import pairwise

import av
import numpy as np
import pytest

from hf_icrl import collect
from hf_icrl.cli.source_replay import write_source_replay


def collected(folder, **arguments):
    defaults = {"family": "dark_room", "source": "q_learning", "env_kwargs": {"size": 3}, "held_out": 2}
    return collect(**{**defaults, **arguments}, histories_per_task=2, episodes=6, output_dir=folder, progress=False)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"env_kwargs": {"size": 3, "start": "random"}, "source": "noise_curriculum"},
        {
            "family": "key_to_door",
            "source": "noise_curriculum",
            "env_kwargs": {"size": 3, "horizon": 8},
            "subsample": 1,
        },
        {"subsample": 2, "skip": 1},
    ],
    ids=["fixed start", "random start", "key to door", "subsampled"],
)
def test_the_replay_shows_three_episodes_of_a_history(tmp_path, arguments):
    collection = collected(tmp_path / "dataset", **arguments)
    write_source_replay(collection)
    with av.open(tmp_path / "dataset" / "replay.mp4") as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) > 10
    assert len({frame.shape for frame in frames}) == 1
    assert any((a != b).any() for a, b in pairwise(frames))
    # Written once: what is there is left alone.
    before = (tmp_path / "dataset" / "replay.mp4").stat().st_mtime_ns
    write_source_replay(collection)
    assert (tmp_path / "dataset" / "replay.mp4").stat().st_mtime_ns == before


def test_chances_that_depend_on_what_was_left_out_are_not_shown(tmp_path, caplog):
    """Random starts of a subsampled history cannot be found again: no video, and the reason is said."""
    arguments = {"env_kwargs": {"size": 5, "start": "random", "horizon": 6}, "source": "noise_curriculum"}
    collection = collected(tmp_path / "dataset", **arguments, source_params={"eps_start": 0.0}, skip=1)
    assert np.ptp(collection.returns) > 0
    write_source_replay(collection)
    assert not (tmp_path / "dataset" / "replay.mp4").exists()
    assert "depend on episodes that were not kept" in caplog.text
