"""Which actions a task has: the column `available_actions`, and what windows give of it."""

import pickle

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, List, Value, concatenate_datasets
from datasets.table import InMemoryTable
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import default_data_collator

from hf_icrl.histories import HistoryWindows, MixtureWindows, history_features, validate_histories

KEYS = ["observations", "previous_actions", "previous_rewards", "previous_dones", "labels"]
episode_lengths = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=6)


def sets_for(batch, size=5, seed=0):
    """A random set for each history that has all actions it takes: bool (n, size)."""
    sets = np.random.default_rng(seed).random((len(batch.lengths), size)) < 0.4
    for row, actions, length in zip(sets, batch.actions, batch.lengths, strict=True):
        row[actions[:length]] = True
    return sets


def history_of(batch, window):
    """Which history a window is of: observations are numbered through all of them."""
    return int(np.searchsorted(np.cumsum(batch.lengths), int(window["observations"][0]), side="right"))


def replaced(dataset, **columns):
    return Dataset.from_dict(dataset.to_dict() | columns, features=dataset.features)


@settings(max_examples=60, deadline=None)
@given(
    lengths=episode_lengths,
    size=st.integers(5, 19),
    larger=st.integers(0, 9),
    chunks=st.lists(st.integers(1, 40), max_size=4),
    seed=st.integers(0, 2**40),
    indices=st.lists(st.integers(0, 99), min_size=1, max_size=30),
)
def test_a_window_has_the_actions_of_its_task_and_a_seed_of_its_own(
    by_hand, lengths, size, larger, chunks, seed, indices
):
    batch = by_hand.batch(lengths)
    sets = sets_for(batch, size, seed)
    dataset = by_hand.dataset(batch, chunks=chunks, available_actions=sets)
    options = {"length": int(batch.lengths.min()), "num_windows": 100, "seed": seed}
    windows = HistoryWindows(dataset, num_actions=size + larger, **options)
    plain = HistoryWindows(dataset, **options)
    for index, window in zip(indices, windows.__getitems__(indices), strict=True):
        assert list(window) == [*KEYS, "available_actions", "action_seeds"]
        assert (window["available_actions"].dtype, window["available_actions"].shape) == (bool, (size + larger,))
        assert np.array_equal(window["available_actions"][:size], sets[history_of(batch, window)])
        assert not window["available_actions"][size:].any()
        assert window["available_actions"][window["labels"]].all()
        assert window["action_seeds"].dtype == np.int64
        assert window["action_seeds"] >= 0
        for key, value in windows[index].items():  # alone as in a batch
            assert np.array_equal(value, window[key])
        for key, value in plain[index].items():  # and nothing else has changed
            assert np.array_equal(value, window[key])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**40), index=st.integers(0, 10**9), size=st.integers(5, 12))
def test_seeds_depend_on_seed_and_index_alone(by_hand, seed, index, size):
    batch, other = by_hand.batch([[9, 3], [12]]), by_hand.batch([[4, 4, 4, 4]], seed=1)
    indices = [index, index + 1, 3, index]
    options = {"num_windows": 10**9 + 2, "seed": seed}
    one = HistoryWindows(by_hand.dataset(batch), length=4, num_actions=size, **options)
    two = HistoryWindows(
        by_hand.dataset(other, available_actions=sets_for(other)), length=9, num_actions=99, times=True, **options
    )
    seeds = [window["action_seeds"] for window in one.__getitems__(indices)]
    assert seeds == [window["action_seeds"] for window in two.__getitems__(indices)]
    assert seeds[0] == seeds[3] != seeds[1]
    elsewhere = HistoryWindows(
        by_hand.dataset(batch), length=4, num_actions=size, num_windows=10**9 + 2, seed=seed + 1
    )
    assert elsewhere[index]["action_seeds"] != seeds[0]


def test_seeds_of_a_run_are_all_different_and_fill_their_range(by_hand):
    windows = HistoryWindows(by_hand.dataset(by_hand.batch([[9]])), length=2, num_windows=20_000, num_actions=5)
    seeds = np.array([window["action_seeds"] for window in windows.__getitems__(range(20_000))])
    assert len(set(seeds.tolist())) == 20_000
    # Every one of the 63 bits is set in half of them; the standard error is 0.0035.
    shares = ((seeds[:, None] >> np.arange(63)) & 1).mean(axis=0)
    assert np.abs(shares - 0.5).max() < 0.02
    starts = [int(window["observations"][0]) for window in windows.__getitems__(range(20_000))]
    assert abs(np.corrcoef(seeds, starts)[0, 1]) < 0.03


def test_data_without_the_column_have_all_of_their_own_actions(by_hand):
    dataset = by_hand.dataset(by_hand.batch([[5, 5]]))
    options = {"length": 3, "num_windows": 4}
    assert HistoryWindows(dataset, num_actions=5, **options)[0]["available_actions"].tolist() == [True] * 5
    padded = HistoryWindows(dataset, num_actions=7, own_actions=5, **options)
    assert [window["available_actions"].tolist() for window in padded] == [[True] * 5 + [False] * 2] * 4
    first, second = padded.__getitems__([0, 1])
    first["available_actions"][:] = False  # what a collator may do
    assert second["available_actions"].any()
    assert padded[0]["available_actions"].any()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    own=st.lists(st.integers(5, 20), min_size=2, max_size=3),
    columns=st.lists(st.booleans(), min_size=3, max_size=3),
    indices=st.lists(st.integers(0, 199), min_size=1, max_size=30),
)
def test_a_padded_mixture_knows_the_actions_of_each_part(by_hand, seed, own, columns, indices):
    batches = [by_hand.batch([[6, 4], [3, 3, 4]], seed=part) for part in range(len(own))]
    sets = [
        sets_for(batch, size, seed) if told else None for batch, size, told in zip(batches, own, columns, strict=False)
    ]
    datasets = [by_hand.dataset(batch, available_actions=s) for batch, s in zip(batches, sets, strict=True)]
    windows = MixtureWindows(
        datasets,
        [1.0] * len(own),
        length=5,
        num_windows=200,
        seed=seed,
        num_actions=max(own),
        own_actions=own,
    )
    assert (windows.num_actions, windows.own_actions) == (max(own), own)
    for index, window in zip(indices, windows.__getitems__(indices), strict=True):
        part = next(
            number
            for number, part in enumerate(windows.parts)
            if part[index]["action_seeds"] == window["action_seeds"]
        )
        told = sets[part]
        history = history_of(batches[part], window)
        expected = np.ones(own[part], bool) if told is None else told[history]
        assert window["available_actions"].tolist() == [*expected.tolist(), *[False] * (max(own) - own[part])]
        assert all(np.array_equal(value, windows[index][key]) for key, value in window.items())


@pytest.mark.parametrize("collate", [None, default_data_collator])
def test_collators_stack_both(by_hand, collate):
    batch = by_hand.batch([[7] * 20, [5] * 30])
    dataset = by_hand.dataset(batch, available_actions=sets_for(batch, 9))
    windows = HistoryWindows(dataset, length=30, num_windows=64, num_actions=9)
    alone = windows.__getitems__(range(64))
    batches = list(DataLoader(windows, batch_size=16, collate_fn=collate))
    for name, dtype in (("available_actions", torch.bool), ("action_seeds", torch.int64)):
        stacked = torch.cat([one[name] for one in batches])
        assert stacked.dtype == dtype
        assert np.array_equal(stacked.numpy(), np.stack([window[name] for window in alone]))


def test_pickling_keeps_the_sets(by_hand):
    batch = by_hand.batch([[7] * 20, [5] * 30])
    dataset = by_hand.dataset(batch, available_actions=sets_for(batch))
    windows = HistoryWindows(dataset, length=30, num_windows=64, num_actions=6, own_actions=5, seed=3)
    again = pickle.loads(pickle.dumps(windows))
    assert (again.num_actions, again.own_actions) == (6, 5)
    for window, other in zip(windows, again, strict=True):
        assert list(window) == list(other)
        assert all(np.array_equal(window[key], other[key]) for key in window)


def test_sets_are_read_where_slices_begin(by_hand):
    batch = by_hand.batch([[3, 5, 2], [4, 4, 1], [6, 2, 1]])
    sets = sets_for(batch, 11)
    table = by_hand.dataset(batch, available_actions=sets).data.table
    windows = HistoryWindows(Dataset(InMemoryTable(table.slice(3, 6))), length=4, num_windows=50, num_actions=11)
    assert {history_of(batch, window) for window in windows} == {1, 2}
    for window in windows:
        assert np.array_equal(window["available_actions"], sets[history_of(batch, window)])


# ---- What is wrong with a column ----


@pytest.fixture
def told(by_hand):
    """Rows 0 and 1 are a history, 2 is one, 3 to 5 are one; 5 actions."""
    batch = by_hand.batch([[3, 2], [4], [1, 5, 2]])
    return by_hand.dataset(batch, chunks=[4], available_actions=np.ones((3, 5), bool))


def test_rows_of_unequal_length_are_named(told):
    sets = told.to_dict()["available_actions"]
    sets[2] = sets[2] + [True]
    with pytest.raises(ValueError, match="row 2 has 6 entries of available_actions, the rows before have 5"):
        validate_histories(replaced(told, available_actions=sets))
    half = told.data.table.slice(0, 3)
    other = replaced(told, available_actions=[[True] * 7] * 6).data.table.slice(3, 3)
    cut = concatenate_datasets([Dataset(InMemoryTable(half)), Dataset(InMemoryTable(other))])
    with pytest.raises(ValueError, match="row 3 has 7 entries of available_actions, the rows before have 5"):
        validate_histories(cut)


@pytest.mark.parametrize(("row", "history", "episode"), [(1, 0, 1), (4, 2, 1), (5, 2, 2)])
def test_a_set_that_changes_inside_a_history_is_named(told, row, history, episode):
    sets = told.to_dict()["available_actions"]
    sets[row][4] = False
    with pytest.raises(
        ValueError,
        match=rf"history {history}, episode {episode} \(row {row}\) has 4 of 5 actions .*the episode before has 5 of 5",
    ):
        validate_histories(replaced(told, available_actions=sets))


def test_sets_may_change_between_histories(told):
    actions = told["actions"][2]
    sets = [[True] * 5] * 2 + [[a in actions for a in range(5)]] + [[True] * 5] * 3
    validate_histories(replaced(told, available_actions=sets))


@settings(max_examples=40, deadline=None)
@given(lengths=episode_lengths, data=st.data(), chunks=st.lists(st.integers(1, 40), max_size=3))
def test_an_action_that_is_not_available_is_named(by_hand, lengths, data, chunks):
    batch = by_hand.batch(lengths)
    sets = sets_for(batch)
    good = by_hand.dataset(batch, chunks=chunks, available_actions=sets)
    history = data.draw(st.integers(0, len(lengths) - 1))
    step = data.draw(st.integers(0, int(batch.lengths[history]) - 1))
    lost = int(batch.actions[history, step])
    sets[history, lost] = False
    first = int(np.flatnonzero(batch.actions[history] == lost)[0])
    with pytest.raises(
        ValueError, match=rf"history {history} of by_hand takes the action {lost} at its step {first},"
    ):
        by_hand.dataset(batch, available_actions=sets)
    values = good.to_dict()["available_actions"]
    rows = [sets[i].tolist() for i in np.array(good["history_id"])]
    assert sum(a != b for a, b in zip(values, rows, strict=True)) == len(lengths[history])
    episode = int(np.searchsorted(np.cumsum(lengths[history]), first, side="right"))
    at = first - sum(lengths[history][:episode])
    wrong = good.data.table.drop_columns("available_actions")
    wrong = wrong.append_column(good.data.schema.field("available_actions"), [rows])
    with pytest.raises(
        ValueError,
        match=rf"history {history}, episode {episode} \(row \d+\) takes the action {lost} at its step {at}, but",
    ):
        HistoryWindows(Dataset(InMemoryTable(wrong)), length=1, num_windows=1, num_actions=5)


def test_an_empty_set_and_actions_beyond_the_column_are_named(told):
    with pytest.raises(ValueError, match=r"takes the action \d at its step 0, but .* 0 of 5 actions \(none\)"):
        validate_histories(replaced(told, available_actions=[[False] * 5] * 6))
    with pytest.raises(ValueError, match=r"takes the action \d at its step 0, but .* 0 of 0 actions \(none\)"):
        validate_histories(replaced(told, available_actions=[[]] * 6))
    with pytest.raises(ValueError, match=r"takes the action [1-4] at its step \d, but .* 1 of 1 actions \(0\)"):
        validate_histories(replaced(told, available_actions=[[True]] * 6))


def test_a_column_of_another_length_than_the_space_is_refused(told):
    options = {"length": 2, "num_windows": 1}
    with pytest.raises(ValueError, match=r"column 'available_actions' has 5 entries a row, .* has 6 actions"):
        HistoryWindows(told, num_actions=9, own_actions=6, **options)
    with pytest.raises(ValueError, match="the data have 5 actions, but num_actions is 4"):
        HistoryWindows(told, num_actions=4, **options)
    without = told.remove_columns("available_actions")
    with pytest.raises(ValueError, match="the data have 6 actions, but num_actions is 5"):
        HistoryWindows(without, num_actions=5, own_actions=6, **options)
    with pytest.raises(ValueError, match=r"own_actions is \[5\]; give a number for each of the 2 data sets"):
        MixtureWindows([told, told], [1, 1], num_actions=5, own_actions=[5], **options)
    for name in ("num_actions", "own_actions"):
        with pytest.raises(ValueError, match=f"{name} is 0"):
            HistoryWindows(told, **{name: 0}, **options)


def test_only_discrete_actions_have_sets(by_hand, told):
    boxes = by_hand.dataset(by_hand.batch([[4]], "Box", "Box"), "Box", "Box")
    with pytest.raises(
        ValueError, match=r"num_actions is 5, but the actions of the data are of the type list<.*float"
    ):
        HistoryWindows(boxes, length=2, num_windows=1, num_actions=5)
    column = Dataset.from_dict(
        boxes.to_dict() | {"available_actions": [[True]]},
        features=Features(boxes.features | {"available_actions": List(Value("bool"))}),
    )
    with pytest.raises(ValueError, match=r"only Discrete actions .* can be available or not"):
        validate_histories(column)
    box = {"type": "Box", "shape": [1], "low": [0.0], "high": [1.0]}
    with pytest.raises(ValueError, match=r"'available_actions' needs Discrete actions, but the action space is Box\("):
        history_features(box, box, {"goal": 1}, optional=["available_actions"])
    numbers = Dataset.from_dict(
        told.to_dict() | {"available_actions": [[1] * 5] * 6},
        features=Features(told.features | {"available_actions": List(Value("int64"))}),
    )
    with pytest.raises(ValueError, match=r"column 'available_actions' has the type list<.*int64.*list<bool>"):
        validate_histories(numbers)


def test_nulls_in_the_column_are_refused(told):
    for values in ([None] * 6, [[None] * 5] * 6):
        with pytest.raises(ValueError, match="column 'available_actions' has null values in rows"):
            validate_histories(replaced(told, available_actions=values))


def test_sets_given_and_sets_declared_must_agree(by_hand):
    batch = by_hand.batch([[4], [3]])
    for sets, message in (
        (np.ones((3, 5), bool), r"shape \(3, 5\); it must be bool, with a row for each of the 2 histories"),
        (np.ones((2, 5)), "is of type float64"),
    ):
        with pytest.raises(ValueError, match=message):
            by_hand.dataset(batch, available_actions=sets)
