"""Datasets that are no learning histories are told what is wrong with them."""

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, Features, List, Value, concatenate_datasets
from datasets.table import InMemoryTable
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hf_icrl.histories import HistoryWindows, validate_histories


@pytest.fixture
def good(by_hand):
    return by_hand.dataset(by_hand.batch([[3, 2], [4], [1, 5, 2]]), chunks=[2])


def replaced(dataset, **columns):
    """`dataset` with other values in some columns, of the types they had."""
    values = dataset.to_dict() | columns
    return Dataset.from_dict(values, features=dataset.features)


def test_a_foreign_dataset_is_told_which_column_is_missing():
    foreign = Dataset.from_dict({"prompt": ["a"], "completion": ["b"]})
    with pytest.raises(ValueError, match=r"no column 'history_id'; .* this one has prompt, completion: make learning"):
        HistoryWindows(foreign, length=1, num_windows=1)


@pytest.mark.parametrize(
    ("column", "feature", "found"),
    [
        ("history_id", Value("string"), "string"),
        ("episode", Value("int64"), "int64"),
        ("rewards", List(Value("float64")), "double"),
        ("observations", List(Value("int32")), "int32"),
        ("actions", List(List(Value("int64"))), "list<item: list"),
        ("final_observation", Value("float32"), "float"),
    ],
)
def test_an_odd_type_is_named_beside_the_right_one(good, column, feature, found):
    values = good.to_dict()
    if column == "actions":
        values["actions"] = [[[a] for a in row] for row in values["actions"]]
    odd = Dataset.from_dict(values, features=Features(good.features | {column: feature}))
    with pytest.raises(ValueError, match=f"column '{column}' has the type .*{found}.*learning histories have .*"):
        validate_histories(odd)


def test_only_a_dataset_will_do(good):
    with pytest.raises(TypeError, match=r"not DatasetDict: choose one split, e.g. dataset\['train'\]"):
        validate_histories(DatasetDict(train=good))
    with pytest.raises(TypeError, match="not list"):
        validate_histories([1, 2])
    with pytest.raises(ValueError, match="no rows"):
        validate_histories(Dataset(InMemoryTable(good.data.table.slice(0, 0))))


def test_extra_columns_are_welcome(good):
    assert validate_histories(good.add_column("note", ["x"] * len(good))).lengths.tolist() == [5, 4, 8]


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(6)), cut=st.integers(0, 5))
def test_rows_in_any_other_order_are_refused(by_hand, order, cut):
    assume(order != sorted(order))
    good = by_hand.dataset(by_hand.batch([[3, 2], [4], [1, 5, 2]]))
    table = good.data.table.take(pa.array(order))
    table = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    with pytest.raises(ValueError, match=r"row \d is \(history_id, episode\) = .* rows must be ordered"):
        validate_histories(Dataset(InMemoryTable(table)))


def test_a_missing_episode_and_a_history_used_twice_are_named(good):
    with pytest.raises(ValueError, match=r"row 4 is \(history_id, episode\) = \(2, 2\) after \(2, 0\)"):
        validate_histories(good.select([0, 1, 2, 3, 5]).flatten_indices())
    with pytest.raises(ValueError, match=r"row 6 is \(history_id, episode\) = \(0, 0\) after \(2, 2\).*renumber"):
        validate_histories(concatenate_datasets([good, good]))
    with pytest.raises(ValueError, match=r"row 0 is \(history_id, episode\) = \(0, 1\);"):
        validate_histories(good.select(range(1, 6)))


def test_lists_of_unequal_length_are_named(good):
    rewards = good.to_dict()["rewards"]
    rewards[3] = [*rewards[3], 0.0]
    with pytest.raises(ValueError, match="row 3 has 1 observations but 2 rewards"):
        validate_histories(replaced(good, rewards=rewards))
    with pytest.raises(ValueError, match="row 0 is an episode of 0 steps"):
        validate_histories(replaced(good, **{name: [[]] * 6 for name in ("observations", "actions", "rewards")}))


def test_an_unfinished_episode_must_be_the_last(good):
    ended = np.array(good["truncated"]) | np.array(good["terminated"])
    for row, wrong in ((1, False), (2, False), (5, False), (0, True), (3, True)):
        truncated = ended.copy()
        truncated[row] = False
        changed = replaced(good, truncated=truncated.tolist(), terminated=[False] * 6)
        if wrong:
            with pytest.raises(ValueError, match=f"row {row}\\) neither terminated nor truncated"):
                validate_histories(changed)
        else:
            validate_histories(changed)


@pytest.mark.parametrize("column", ["history_id", "terminated", "rewards", "task"])
def test_nulls_are_refused(good, column):
    values = good.to_dict()[column]
    values[4] = None
    with pytest.raises(ValueError, match=f"column '{column}' has null values in rows"):
        validate_histories(replaced(good, **{column: values}))


def test_nulls_inside_lists_are_refused(by_hand):
    dataset = by_hand.dataset(by_hand.batch([[3, 2]], "Box"), "Box")
    observations = dataset.to_dict()["observations"]
    observations[1][0] = [1.0, None, 2.0]
    with pytest.raises(ValueError, match="column 'observations' has null values"):
        validate_histories(replaced(dataset, observations=observations))
