import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hf_icrl.rollouts.episodes import cut_episodes, left_aligned


@given(st.integers(1, 4), st.integers(1, 25), st.floats(0.1, 0.9), st.integers(0, 2**32))
def test_cutting_equals_walking_along_each_row(rows, steps, share, seed):
    rng = np.random.default_rng(seed)
    rewards, dones = rng.integers(-3, 4, (rows, steps)).astype(float), rng.random((rows, steps)) < share
    starts = rng.integers(0, steps, rows)
    finished = [int(dones[i, starts[i] :].sum()) for i in range(rows)]
    for count in range(1, min(finished) + 1):
        returns, lengths, ends = cut_episodes(rewards, dones, starts, count)
        for i in range(rows):
            at = starts[i]
            for episode in range(count):
                total, length = 0.0, 0
                while True:
                    total, length, at = total + rewards[i, at], length + 1, at + 1
                    if dones[i, at - 1]:
                        break
                assert (returns[i, episode], lengths[i, episode]) == (total, length)
            assert ends[i] == at


@given(st.integers(1, 4), st.integers(0, 9), st.sampled_from([(), (2,)]), st.integers(0, 2**32))
def test_left_alignment_keeps_each_rows_steps_and_pads_with_zeros(rows, steps, shape, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 100, (rows, steps, *shape))
    bounds = np.sort(rng.integers(0, steps + 1, (rows, 2)), axis=1)
    got = left_aligned(values, bounds[:, 0], bounds[:, 1])
    counts = bounds[:, 1] - bounds[:, 0]
    assert got.shape == (rows, counts.max(), *shape)
    for i, (start, end) in enumerate(bounds):
        np.testing.assert_array_equal(got[i, : end - start], values[i, start:end])
        assert not got[i, end - start :].any()
