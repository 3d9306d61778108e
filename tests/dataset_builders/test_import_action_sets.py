"""Parquet files may say which actions a task has; what contradicts itself is named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hf_icrl
from hf_icrl.dataset_builders import import_parquet
from hf_icrl.histories import validate_histories

# Two histories of two episodes of two steps; the second one lacks the last action.
STEPS = {
    "observations": [0] * 8,
    "next_observations": [0] * 8,
    "actions": [3, 0, 0, 1, 2, 2, 0, 1],
    "rewards": [0.0, 1.0] * 4,
    "history_id": [0] * 4 + [1] * 4,
    "terminated": [False, True] * 4,
    "allowed": [[True] * 4] * 4 + [[True, True, True, False]] * 4,
}
MAPPING = {"available_actions": "allowed"}


def imported(tmp_path, columns, mapping=MAPPING, **options):
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    options = {"observation_space": {"type": "Discrete", "n": 1}, "progress": False} | options
    return import_parquet(tmp_path / "in.parquet", tmp_path / "out", columns=mapping, **options)


def episodes():
    """The same data, a row an episode."""
    pairs = {name: np.reshape(STEPS[name], (4, 2)).tolist() for name in ("observations", "actions", "rewards")}
    once = {name: STEPS[name][::2] for name in ("history_id", "allowed")}
    return {**pairs, **once, "terminated": [True] * 4, "final_observation": [0] * 4}


@pytest.mark.parametrize("columns", [STEPS, episodes()], ids=["a row a step", "a row an episode"])
def test_sets_come_with_the_histories_and_say_how_many_actions_there_are(columns, tmp_path):
    made = imported(tmp_path, columns)
    validate_histories(made.dataset)
    assert made.dataset["available_actions"][:] == STEPS["allowed"][::2]
    assert made.info["action_space"] == {"type": "Discrete", "n": 4}
    assert made.info["actions_per_task"] == [3, 4]
    windows = hf_icrl.HistoryWindows(made.dataset, length=4, num_windows=20, num_actions=4)
    found = {tuple(window["available_actions"].tolist()): window["labels"].tolist() for window in windows}
    assert found == {(True,) * 4: [3, 0, 0, 1], (True, True, True, False): [2, 2, 0, 1]}


def test_columns_of_flags_are_put_side_by_side(tmp_path):
    flags = {f"a{i}": [row[i] for row in STEPS["allowed"]] for i in range(4)}
    made = imported(tmp_path, STEPS | flags, {"available_actions": list(flags)})
    assert made.dataset["available_actions"][:] == STEPS["allowed"][::2]


def test_our_own_histories_keep_them_on_a_way_through_parquet(tmp_path):
    family = hf_icrl.task_family("bernoulli_bandit", num_arms=5, horizon=6)
    made = hf_icrl.collect(
        family,
        "thompson",
        histories_per_task=1,
        episodes=1,
        population={"num": 6, "min_arms": 2},
        output_dir=tmp_path / "made",
        progress=False,
    )
    made.dataset.to_parquet(tmp_path / "made.parquet")
    spaces = {name: made.info[name] for name in ("observation_space", "action_space")}
    back = import_parquet(tmp_path / "made.parquet", tmp_path / "back", progress=False, **spaces)
    assert back.dataset["available_actions"][:] == made.dataset["available_actions"][:]


LESS = [True, True, False, False]


@pytest.mark.parametrize(
    ("allowed", "space", "message"),
    [
        (
            [[True] * 3 + [False]] * 8,
            4,
            r"the episode that begins at row 0 .* takes the action 3 at its step 0, but .* 3 of 4",
        ),
        ([[True] * 4] * 5 + [LESS] * 3, 4, r"available_actions change at step 1 of the episode that begins at row 4"),
        ([[True] * 4] * 2 + [LESS] * 6, 4, r"row 2 .* has 2 of 4 actions .* but .* row 0 .* has 4 of 4 actions"),
        ([[True] * 4] * 8, 5, r"has 4 entries of available_actions, but the action space is .*'n': 5"),
        ([[True] * 4] * 7 + [[True] * 3], 4, r"the column 'allowed' has values of 3 to 4 numbers"),
        ([True] * 8, 4, r"the column 'allowed' for available_actions must have a list of true or false"),
        ([[0, 1, 2, 3]] * 8, 4, r"must have a list of true or false in each row"),
    ],
)
def test_sets_that_contradict_themselves_are_refused(allowed, space, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        imported(tmp_path, STEPS | {"allowed": allowed}, action_space={"type": "Discrete", "n": space})
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]
