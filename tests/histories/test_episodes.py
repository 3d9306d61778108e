"""Cutting padded histories into episode rows."""

import dataclasses

import numpy as np
import pytest
from datasets import Dataset
from datasets.table import InMemoryTable
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.histories import episodes_table, history_features, validate_histories
from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family

DISCRETE = {"type": "Discrete", "n": 100}
FEATURES = history_features(DISCRETE, {"type": "Discrete", "n": 5}, {"goal": [0, 0]})
NAMES = {"env_id": "test/Env-v0", "source": "by_hand", "split": "train"}


def rows_step_by_step(batch):
    """What the cut must give, by a plain loop over steps."""
    for i, (history_id, task, length) in enumerate(zip(batch.history_ids, batch.tasks, batch.lengths, strict=True)):
        episode, start = 0, 0
        for t in range(length):
            if batch.terminated[i, t] or batch.truncated[i, t] or t == length - 1:
                steps = slice(start, t + 1)
                yield {
                    "history_id": history_id,
                    "episode": episode,
                    "task": task,
                    **NAMES,
                    "observations": batch.observations[i, steps].tolist(),
                    "actions": batch.actions[i, steps].tolist(),
                    "rewards": batch.rewards[i, steps].tolist(),
                    "terminated": batch.terminated[i, t],
                    "truncated": batch.truncated[i, t],
                    "final_observation": batch.next_observations[i, t].tolist(),
                }
                episode, start = episode + 1, t + 1


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=6), min_size=1, max_size=5),
    observation=st.sampled_from(["Discrete", "MultiDiscrete", "Box"]),
    action=st.sampled_from(["Discrete", "MultiDiscrete", "Box"]),
    unfinished=st.booleans(),
)
def test_the_cut_is_that_of_a_loop_over_steps(by_hand, lengths, observation, action, unfinished):
    batch = by_hand.batch(lengths, observation, action, unfinished=unfinished)
    dataset = by_hand.dataset(batch, observation, action)
    expected = [row | {"env_id": "test/Env-v0"} for row in rows_step_by_step(batch)]
    assert dataset.data.table.to_pylist() == expected
    index = validate_histories(dataset)
    assert index.lengths.tolist() == batch.lengths.tolist()
    assert np.diff(index.rows).tolist() == [len(episodes) for episodes in lengths]


@pytest.mark.parametrize("source", ["noise_curriculum", "q_learning"])
def test_histories_of_real_sources_are_cut_and_valid(source):
    family = task_family("dark_room", size=5, terminate_on_goal=True)
    optional = ("optimal_actions", "time") if source == "noise_curriculum" else ()
    ids = [3, 4, 9]
    batch = make_source(source).generate(family, family.tasks()[:3], ids, num_episodes=12, seed=0, columns=optional)
    features = history_features(DISCRETE, {"type": "Discrete", "n": 5}, {"goal": [0, 0]}, optional)
    table = episodes_table(batch, features, **NAMES)
    dataset = Dataset(InMemoryTable(table))
    assert dataset.features == features
    expected = list(rows_step_by_step(batch))
    assert table.select(list(expected[0])).to_pylist() == expected
    assert validate_histories(dataset).rows.tolist() == [0, 12, 24, 36]
    assert len({len(row) for row in dataset["rewards"]}) > 1, "the goal was never reached: the test proves little"
    for name in optional:
        assert [len(row) for row in dataset[name]] == [len(row) for row in dataset["actions"]]


def test_rows_survive_parquet(by_hand, tmp_path):
    for kind in ("Discrete", "MultiDiscrete", "Box"):
        dataset = by_hand.dataset(by_hand.batch([[3, 2], [4]], kind, kind), kind, kind)
        dataset.to_parquet(tmp_path / f"{kind}.parquet")
        again = Dataset.from_parquet(str(tmp_path / f"{kind}.parquet"), cache_dir=str(tmp_path / "cache"))
        assert again.features == dataset.features
        assert again.to_list() == dataset.to_list()
        validate_histories(again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": np.array([5, 9])}, r"lengths \[5, 9\] do not fit 2 histories of 1 to 5 steps"),
        ({"lengths": np.array([5, 0])}, "lengths"),
        ({"history_ids": np.array([1, 1])}, r"ascending ids .* got \[1, 1\]"),
        ({"actions": np.zeros((2, 4), int)}, r"actions has the shape \(2, 4\)"),
        ({"actions": np.zeros((2, 5, 3), int)}, r"actions has the shape \(2, 5, 3\); the features say 1 numbers"),
        ({"actions": np.zeros((2, 5))}, "actions is of type float64; the features say int64"),
        ({"optional": {"feedback": np.zeros((2, 5))}}, "optional column 'feedback' that the features lack"),
        ({"tasks": [{"goal": [0, 0]}, {"gaol": [0, 0]}]}, "'gaol'"),
        ({"tasks": [{"goal": [0, 0]}, {"goal": [0.5, 0]}]}, "does not fit the type"),
    ],
)
def test_a_batch_that_contradicts_itself_is_refused(by_hand, change, message):
    batch = dataclasses.replace(by_hand.batch([[5], [3, 2]]), **change)
    with pytest.raises(ValueError, match=message):
        episodes_table(batch, FEATURES, **NAMES)


def test_a_declared_optional_column_must_come(by_hand):
    features = history_features(DISCRETE, DISCRETE, {"goal": [0, 0]}, optional=["log_probs"])
    with pytest.raises(ValueError, match=r"\['log_probs'\], which the batch lacks"):
        episodes_table(by_hand.batch([[5]]), features, **NAMES)
