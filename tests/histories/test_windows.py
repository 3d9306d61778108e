"""Windows of learning histories: what they hold, which are drawn, and who can read them."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, concatenate_datasets, load_from_disk
from datasets.table import InMemoryTable
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from hf_icrl.histories import HistoryWindows
from hf_icrl.histories.weighting import improvement_weights

KEYS = ["observations", "previous_actions", "previous_rewards", "previous_dones", "labels"]
episode_lengths = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=6)
spaces = st.sampled_from(["Discrete", "MultiDiscrete", "Box"])


EXTRA = {"times": True, "predecessors": True, "weighting": "improvement"}
EXTRA_KEYS = ["episode_times", "previous_observations", "loss_weights"]


def weights_by_hand(batch, history):
    """The weight of each step of one history, from the definition."""
    ends = (batch.terminated | batch.truncated)[history, : batch.lengths[history]]
    episode_of = np.cumsum(ends) - ends
    returns = [batch.rewards[history, : len(ends)][episode_of == e].sum() for e in range(episode_of[-1] + 1)]
    advantages = [0.0] + [returns[e] - np.mean(returns[:e]) for e in range(1, len(returns))]
    spread = np.std(returns) if len(returns) > 1 else 1
    weights = np.array([min(max(math.exp(a / spread), 0.25), 4) for a in advantages])[episode_of]
    return weights / weights.mean()


def expected(batch, window, length):
    """The window that holds the same first observation, built step by step from the padded arrays."""
    number = int(window["observations"].reshape(length, -1)[0, 0])
    ends = np.cumsum(batch.lengths)
    history = int(np.searchsorted(ends, number, side="right"))
    start = number - (ends[history] - batch.lengths[history])
    assert start + length <= batch.lengths[history], "the window leaves its history"
    rows = {key: [] for key in window}
    ends = batch.terminated[history] | batch.truncated[history]
    if "loss_weights" in window:
        rows["loss_weights"] = weights_by_hand(batch, history)[start : start + length]
    for t in range(start, start + length):
        if "episode_times" in window:
            time = 0
            while time < t and not ends[t - time - 1]:
                time += 1
            rows["episode_times"].append(time)
        if "previous_observations" in window:
            before = batch.observations[history, t - 1]
            rows["previous_observations"].append(before if t else np.zeros_like(before))
        action = batch.actions[history, t]
        rows["observations"].append(batch.observations[history, t])
        rows["labels"].append(action)
        if t == 0:
            rows["previous_actions"].append(np.full_like(action, -1 if action.dtype.kind == "i" else 0))
            rows["previous_rewards"].append(0.0)
            rows["previous_dones"].append(-1)
        else:
            rows["previous_actions"].append(batch.actions[history, t - 1])
            rows["previous_rewards"].append(batch.rewards[history, t - 1])
            rows["previous_dones"].append(int(ends[t - 1]))
    return rows


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    lengths=episode_lengths,
    observation=spaces,
    action=spaces,
    chunks=st.lists(st.integers(1, 60), max_size=4),
    unfinished=st.booleans(),
    extra=st.sampled_from([{}, EXTRA]),
)
def test_windows_hold_what_a_step_by_step_reading_gives(
    by_hand, data, lengths, observation, action, chunks, unfinished, extra
):
    batch = by_hand.batch(lengths, observation, action, unfinished=unfinished)
    length = data.draw(st.integers(1, int(batch.lengths.min())))
    dataset = by_hand.dataset(batch, observation, action, chunks)
    windows = HistoryWindows(dataset, length=length, num_windows=40, seed=1, **extra)
    for window in windows.__getitems__(list(range(40))):
        assert list(window) == KEYS + (EXTRA_KEYS if extra else [])
        for key, rows in expected(batch, window, length).items():
            if key == "loss_weights":
                np.testing.assert_allclose(window[key], rows, rtol=1e-4, err_msg=key)
            else:
                np.testing.assert_array_equal(window[key], np.array(rows), err_msg=key)


@given(
    returns=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=30),
    data=st.data(),
    scale=st.sampled_from([0.01, 1.0, 50.0]),
)
def test_weights_by_improvement_keep_the_mean_and_know_no_scale(returns, data, scale):
    lengths = np.array(data.draw(st.lists(st.integers(1, 20), min_size=len(returns), max_size=len(returns))))
    returns = np.array(returns)
    weights = improvement_weights(returns, lengths)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights @ lengths / lengths.sum(), 1, rtol=1e-4)
    assert weights.max() / weights.min() <= 16 * (1 + 1e-4)
    # The spread is measured in units of itself, so rewards may be in any unit.
    if np.ptp(returns) > 1e-2 * np.abs(returns).max():
        np.testing.assert_allclose(improvement_weights(scale * returns, lengths), weights, rtol=1e-4)


def test_weights_by_improvement_of_a_known_history():
    returns = np.array([1.0, 1.0, 3.0, 1.0])
    # Baselines 1, 1, 1, 5/3, so advantages 0, 0, 2, -2/3; the standard deviation is sqrt(3) / 2.
    expected = np.array([1.0, 1.0, 4.0, np.exp(-2 / 3 / (np.sqrt(3) / 2))])
    lengths = np.array([5, 5, 1, 2])
    expected *= 13 / (expected * lengths).sum()
    np.testing.assert_allclose(improvement_weights(returns, lengths), expected, rtol=1e-6)
    assert (improvement_weights(np.full(7, 0.1), np.arange(1, 8)) == 1).all()
    with pytest.raises(ValueError, match="unknown weighting 'improvment': did you mean 'improvement'"):
        HistoryWindows(None, length=1, num_windows=1, weighting="improvment")


@settings(max_examples=40, deadline=None)
@given(lengths=episode_lengths, chunks=st.lists(st.integers(1, 60), max_size=4), seed=st.integers(0, 2**40))
def test_a_window_depends_on_seed_and_index_alone(by_hand, lengths, chunks, seed):
    batch = by_hand.batch(lengths)
    length = int(batch.lengths.min())
    whole = HistoryWindows(by_hand.dataset(batch), length=length, num_windows=30, seed=seed)
    cut = HistoryWindows(by_hand.dataset(batch, chunks=chunks), length=length, num_windows=1000, seed=seed)
    together = whole.__getitems__([7, 3, 29, 3])
    for index, window in zip([7, 3, 29, 3], together, strict=True):
        for other in (whole[index], cut[index]):
            assert all(np.array_equal(window[key], other[key]) for key in KEYS)


def test_windows_have_the_types_that_models_take(by_hand):
    for kind, dtype in (("Discrete", np.int64), ("MultiDiscrete", np.int64), ("Box", np.float32)):
        dataset = by_hand.dataset(by_hand.batch([[5, 5]], kind, kind), kind, kind)
        window = HistoryWindows(dataset, length=6, num_windows=1)[0]
        shape = {"Discrete": ((6,), (6,)), "MultiDiscrete": ((6, 2), (6, 2)), "Box": ((6, 3), (6, 2))}[kind]
        assert (window["observations"].shape, window["labels"].shape) == shape
        assert window["previous_actions"].shape == window["labels"].shape
        assert {window[key].dtype for key in ("observations", "previous_actions", "labels")} == {np.dtype(dtype)}
        assert (window["previous_rewards"].dtype, window["previous_dones"].dtype) == (np.float32, np.int64)


def test_rows_do_not_share_memory(by_hand):
    windows = HistoryWindows(by_hand.dataset(by_hand.batch([[50]])), length=20, num_windows=8)
    first, *_ = rows = windows.__getitems__(list(range(8)))
    before = [{key: row[key].copy() for key in KEYS} for row in rows]
    first["labels"].fill(-100)  # what a collator may do
    assert np.array_equal(first["previous_actions"], before[0]["previous_actions"])
    assert all(
        np.array_equal(row[key], old[key]) for row, old in zip(rows[1:], before[1:], strict=True) for key in KEYS
    )
    assert np.array_equal(windows[0]["labels"], before[0]["labels"])


def test_every_start_of_every_long_enough_history_is_equally_likely(by_hand):
    # 12 + 1 + 5 starts; the history of 7 steps is too short.
    batch = by_hand.batch([[4, 4, 4, 7], [8], [3, 4], [6, 6]])
    with pytest.warns(UserWarning, match="1 of 4 histories are shorter than a window of 8 steps"):
        windows = HistoryWindows(by_hand.dataset(batch), length=8, num_windows=36_000, seed=3)
    starts = np.array([int(w["observations"][0]) for w in windows.__getitems__(range(36_000))])
    values, counts = np.unique(starts, return_counts=True)
    assert values.tolist() == [*range(12), 19, *range(34, 39)]
    # Chi-square with 17 degrees of freedom: above 41 once in a thousand seeds.
    assert ((counts - 2000) ** 2 / 2000).sum() < 41


def test_seeds_give_unrelated_windows(by_hand):
    dataset = by_hand.dataset(by_hand.batch([[1000]]))
    a, b = (
        [int(w["observations"][0]) for w in HistoryWindows(dataset, length=2, num_windows=2000, seed=s)]
        for s in (0, 1)
    )
    assert np.mean(np.equal(a, b)) < 0.01
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.1
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.1


def test_indices_count_from_both_ends_and_not_beyond(by_hand):
    windows = HistoryWindows(by_hand.dataset(by_hand.batch([[50]])), length=3, num_windows=5)
    assert len(windows) == 5
    assert np.array_equal(windows[-1]["labels"], windows[4]["labels"])
    for index in (5, -6):
        with pytest.raises(IndexError, match="there are 5 windows"):
            windows[index]
    assert windows.__getitems__([]) == []


def test_a_window_longer_than_every_history_is_refused_with_both_lengths(by_hand):
    dataset = by_hand.dataset(by_hand.batch([[4, 4], [9]]))
    with pytest.raises(ValueError, match=r"window of 10 steps is longer than every history: the longest has 9 steps"):
        HistoryWindows(dataset, length=10, num_windows=1)


@pytest.mark.parametrize(("name", "value"), [("length", 0), ("length", 2.0), ("num_windows", -1), ("length", True)])
def test_sizes_must_be_positive_integers(by_hand, name, value):
    dataset = by_hand.dataset(by_hand.batch([[4]]))
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        HistoryWindows(dataset, **{"length": 2, "num_windows": 1, name: value})


def test_a_dataset_with_indices_mapping_is_refused(by_hand):
    shuffled = by_hand.dataset(by_hand.batch([[4, 4], [9]])).shuffle(seed=0)
    with pytest.raises(ValueError, match="flatten_indices"):
        HistoryWindows(shuffled, length=2, num_windows=1)


def test_slices_of_tables_are_read_where_they_begin(by_hand):
    batch = by_hand.batch([[3, 5, 2], [4, 4, 1], [6, 2]])
    table = by_hand.dataset(batch).data.table
    middle = Dataset(InMemoryTable(table.slice(3, 3)))
    windows = HistoryWindows(middle, length=4, num_windows=50, times=True)
    assert {int(w["observations"][0]) for w in windows} == set(range(10, 16))
    for window in windows:
        for key, rows in expected(batch, window, 4).items():
            np.testing.assert_array_equal(window[key], np.array(rows), err_msg=key)


def test_chunks_that_lie_far_apart_in_memory(by_hand, tmp_path):
    """A memory-mapped file and a small object on the heap are terabytes of addresses apart."""
    batch = by_hand.batch([[61_000, 4]], "Box", "Box")
    dataset = by_hand.dataset(batch, "Box", "Box")
    dataset.save_to_disk(tmp_path / "data")
    mapped = load_from_disk(tmp_path / "data").select([0])
    last = dataset.data.table.slice(1)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, last.schema) as writer:
        writer.write_table(last)
    heap = Dataset(InMemoryTable(pa.ipc.open_stream(sink.getvalue().to_pybytes()).read_all()))
    length = 60_000
    windows = HistoryWindows(concatenate_datasets([mapped, heap]), length=length, num_windows=600)
    starts = set()
    for i in range(0, 600, 10):
        for window in windows.__getitems__(range(i, i + 10)):
            start = int(window["observations"][0, 0])
            starts.add(start)
            steps = slice(start, start + length)
            np.testing.assert_array_equal(window["observations"], batch.observations[0, steps])
            np.testing.assert_array_equal(window["labels"], batch.actions[0, steps])
            np.testing.assert_array_equal(window["previous_rewards"][1:], batch.rewards[0, steps][:-1])
            ends = np.flatnonzero(window["previous_dones"] == 1)
            np.testing.assert_array_equal(ends, [61_000 - start] if start > 1000 else [])
    assert min(starts) < 1000 < max(starts)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_loader_workers_give_the_same_batches(by_hand, tmp_path, start_method):
    by_hand.dataset(by_hand.batch([[7] * 20, [5] * 30])).save_to_disk(tmp_path / "data")
    windows = HistoryWindows(load_from_disk(tmp_path / "data"), length=30, num_windows=64)
    alone = list(DataLoader(windows, batch_size=16))
    loader = DataLoader(windows, batch_size=16, num_workers=2, multiprocessing_context=start_method)
    for ours, theirs in zip(loader, alone, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in KEYS)


def test_pickling_keeps_the_windows_and_not_the_data(by_hand, tmp_path):
    by_hand.dataset(by_hand.batch([[50] * 2000])).save_to_disk(tmp_path / "data")
    windows = HistoryWindows(load_from_disk(tmp_path / "data"), length=30, num_windows=64, seed=5, **EXTRA)
    keys = list(windows[9])
    assert keys == [*KEYS, *EXTRA_KEYS]
    pickled = pickle.dumps(windows)
    assert len(pickled) < 20_000  # the data are 2 MB
    again = pickle.loads(pickled)
    assert len(again) == 64
    assert all(np.array_equal(again[9][key], windows[9][key]) for key in keys)


class _Probe(torch.nn.Module):
    """A policy over the window's inputs, just enough for `Trainer`."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(64, 5)
        self.seen = []

    def forward(self, observations, previous_actions, previous_rewards, previous_dones, labels=None):
        self.seen.append({"observations": observations, "labels": labels})
        logits = self.table(observations % 64) + previous_rewards[..., None] + previous_dones[..., None]
        logits = logits + (previous_actions + 1)[..., None]
        return {"loss": torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


def test_plain_trainer_reads_windows_in_order_without_a_collator(by_hand, tmp_path):
    windows = HistoryWindows(by_hand.dataset(by_hand.batch([[7] * 20])), length=30, num_windows=12)
    model = _Probe()
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_train_epochs=1,
        use_cpu=True,
        train_sampling_strategy="sequential",
        save_strategy="no",
        disable_tqdm=True,
    )
    result = Trainer(model=model, args=arguments, train_dataset=windows).train()
    assert result.global_step == 3
    for key in ("observations", "labels"):
        seen = torch.cat([batch[key] for batch in model.seen])
        assert torch.equal(seen, torch.from_numpy(np.stack([window[key] for window in windows])))


MEMORY_SCRIPT = """
import sys
import numpy as np, pyarrow as pa
from datasets import load_from_disk
from hf_icrl.histories import HistoryWindows

def own_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

dataset = load_from_disk(sys.argv[1])
HistoryWindows(dataset.select(range(100)), length=128, num_windows=256).__getitems__(range(256))  # warm up
before = own_memory()
windows = HistoryWindows(dataset, length=128, num_windows=10**6)
for i in range(0, 40_000, 256):
    windows.__getitems__(range(i, i + 256))
print(own_memory() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_the_data(by_hand, tmp_path):
    """100 MB of histories are read with less than 10 MB of memory of one's own (the page cache is the system's)."""
    dataset = by_hand.dataset(by_hand.batch([[20] * 100] * 100))
    large = concatenate_datasets(
        [dataset.remove_columns("history_id").add_column("history_id", ids) for ids in _ids(dataset, 20)]
    ).cast(dataset.features)
    large.save_to_disk(tmp_path / "large")
    size = sum(path.stat().st_size for path in (tmp_path / "large").glob("*.arrow"))
    assert size > 90e6
    run = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path / "large")], capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 10


def _ids(dataset, copies):
    ids = np.array(dataset["history_id"])
    return [(ids + copy * (ids.max() + 1)) for copy in range(copies)]
