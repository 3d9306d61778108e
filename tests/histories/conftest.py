"""Small learning histories, made by hand or by a real source, for every test of this folder."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from datasets.table import InMemoryTable

from hf_icrl.histories import episodes_table, history_features
from hf_icrl.sources import HistoryBatch

OBSERVATIONS = {
    "Discrete": {"type": "Discrete", "n": 10**6},
    "MultiDiscrete": {"type": "MultiDiscrete", "nvec": [10**6, 7]},
    "Box": {"type": "Box", "shape": [3], "low": [-1.0] * 3, "high": [float("inf")] * 3},
}
ACTIONS = {
    "Discrete": {"type": "Discrete", "n": 5},
    "MultiDiscrete": {"type": "MultiDiscrete", "nvec": [3, 4]},
    "Box": {"type": "Box", "shape": [2], "low": [-1.0] * 2, "high": [1.0] * 2},
}


def make_batch(episode_lengths, observation="Discrete", action="Discrete", seed=0, unfinished=False):
    """A `HistoryBatch` whose i-th history has episodes of `episode_lengths[i]` steps.

    Observations are numbered through all histories (their first component is the number of the step), so that a
    window tells where it comes from. `unfinished`: the last episode of each history neither terminated nor truncated.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([sum(episodes) for episodes in episode_lengths])
    n, steps = len(lengths), max(lengths)
    first = np.cumsum(lengths) - lengths
    number = first[:, None] + np.arange(steps)
    observations = {
        "Discrete": number,
        "MultiDiscrete": np.stack([number, number % 7], -1),
        "Box": np.stack([number, number / 2, -number], -1).astype(np.float32),
    }[observation]
    actions = {
        "Discrete": rng.integers(0, 5, (n, steps)),
        "MultiDiscrete": rng.integers(0, 3, (n, steps, 2)),
        "Box": rng.standard_normal((n, steps, 2)).astype(np.float32),
    }[action]
    ends = np.zeros((n, steps), bool)
    for i, episodes in enumerate(episode_lengths):
        ends[i, np.cumsum(episodes) - 1] = True
        if unfinished:
            ends[i, lengths[i] - 1] = False
    terminated = ends & (rng.random((n, steps)) < 0.5)
    return HistoryBatch(
        history_ids=np.arange(n),
        tasks=[{"goal": [i, 2 * i]} for i in range(n)],
        observations=observations,
        actions=actions,
        rewards=rng.random((n, steps), dtype=np.float32),
        terminated=terminated,
        truncated=ends & ~terminated,
        next_observations=observations + np.ones(1, observations.dtype),
        lengths=lengths,
    )


def make_dataset(batch, observation="Discrete", action="Discrete", chunks=(), available_actions=None):
    """The dataset of a batch, cut into chunks at the rows `chunks`."""
    optional = () if available_actions is None else ("available_actions",)
    features = history_features(OBSERVATIONS[observation], ACTIONS[action], {"goal": [0, 0]}, optional)
    table = episodes_table(
        batch,
        features,
        env_id="test/Env-v0",
        source="by_hand",
        split="train",
        available_actions=available_actions,
    )
    rows = sorted({0, len(table), *(min(c, len(table)) for c in chunks)})
    pieces = [table.slice(a, b - a) for a, b in pairwise(rows)]
    # Written and read again, so that the chunks really lie apart in memory; the sliced ones are tested elsewhere.
    return Dataset(InMemoryTable(pa.concat_tables([_copied(piece) for piece in pieces])))


def _copied(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


@pytest.fixture(scope="session")
def by_hand():
    return SimpleNamespace(batch=make_batch, dataset=make_dataset, observations=OBSERVATIONS, actions=ACTIONS)
