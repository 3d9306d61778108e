"""Collections say which actions their tasks have, wherever tasks differ in it."""

import hashlib

import numpy as np
import pytest

import hf_icrl
from hf_icrl.dataset_builders import LearningHistories
from hf_icrl.envs.dark_room_tasks import DarkRoomFamily
from hf_icrl.histories import HistoryWindows, MixtureWindows, describe_histories, load_parts, validate_histories
from hf_icrl.model_cards import write_dataset_card
from hf_icrl.tasks import task_family

ARGUMENTS = {
    "env_kwargs": {"num_arms": 9, "horizon": 12},
    "population": {"num": 20, "min_arms": 4},
    "histories_per_task": 2,
    "episodes": 3,
    "histories_per_shard": 5,
}


def collect(folder, source="uniform", **changes):
    return hf_icrl.collect("bernoulli_bandit", source, output_dir=folder, progress=False, **{**ARGUMENTS, **changes})


def data_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("data-*"))}


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return collect(tmp_path_factory.mktemp("bandits") / "dataset")


def test_every_row_has_the_set_of_its_task(collection):
    family = task_family("bernoulli_bandit", **ARGUMENTS["env_kwargs"])
    dataset = collection.dataset
    validate_histories(dataset)
    assert np.array_equal(dataset["available_actions"], family.available_actions(dataset["task"]))
    assert len(dataset) == collection.info["num_histories"] * 3


def test_bytes_depend_on_neither_processes_nor_interruption(collection, tmp_path):
    collect(tmp_path / "two", num_proc=2)
    assert data_of(tmp_path / "two") == data_of(collection.path)
    for name in ("state.json", "data-00001-of-00007.arrow", "data-00006-of-00007.arrow"):
        (tmp_path / "two" / name).unlink()
    assert collect(tmp_path / "two").new_shards == 2
    assert data_of(tmp_path / "two") == data_of(collection.path)


def test_the_builder_has_the_column_too(collection, tmp_path):
    builder = LearningHistories(
        cache_dir=str(tmp_path),
        config_name="bernoulli_bandit_thompson",
        source="uniform",
        **ARGUMENTS,
    )
    builder.download_and_prepare()
    dataset = builder.as_dataset(split="train")
    assert dataset.features == collection.dataset.features
    assert dataset.to_list() == collection.dataset.to_list()
    assert len(builder.as_dataset(split="held_out")["available_actions"][0]) == 9


def test_description_and_card_say_how_many_actions_tasks_have(collection, tmp_path):
    sizes = np.sum(collection.dataset["available_actions"], axis=1)
    fewest, most = int(sizes.min()), int(sizes.max())
    assert collection.info["actions_per_task"] == [fewest, most]
    rows = dict(describe_histories("folder", collection.info))
    assert rows["actions of a task"] == f"{fewest} to {most} of 9"
    text = write_dataset_card(collection.path, collection.info).read_text()
    assert "| `available_actions` | one entry for each action" in text
    assert f"| actions of a task | {fewest} to {most} of 9 |" in text
    all_of_them = collect(tmp_path / "all", population={"num": 20})
    assert dict(describe_histories("folder", all_of_them.info))["actions of a task"] == "9 of 9"


def test_tasks_that_all_have_every_action_get_no_column(tmp_path):
    made = hf_icrl.collect(
        "dark_room",
        "uniform",
        env_kwargs={"size": 3, "horizon": 6},
        output_dir=tmp_path / "room",
        histories_per_task=1,
        episodes=2,
        progress=False,
    )
    assert "available_actions" not in made.dataset.features
    assert made.info["actions_per_task"] is None
    assert "actions of a task" not in dict(describe_histories("folder", made.info))
    assert "available_actions" not in write_dataset_card(made.path, made.info).read_text()
    window = HistoryWindows(made.dataset, length=5, num_windows=3, num_actions=5)[0]
    assert window["available_actions"].tolist() == [True] * 5


class TwoActions(DarkRoomFamily):
    """A family that says its tasks have actions which its demonstrator does not keep to."""

    def available_actions(self, tasks):
        return np.tile(np.arange(self.num_actions) < 2, (len(tasks), 1))


class TooMany(TwoActions):
    def available_actions(self, tasks):
        return np.ones((len(tasks), 6), bool)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (
            TwoActions,
            r"history 0 of oracle takes the action [2-4] at its step \d, but its task has 2 of 5 actions \(0, 1\)",
        ),
        (TooMany, r"available_actions of .* has the shape \(8, 6\) for 8 tasks; it must be \(8, 5\)"),
    ],
)
def test_what_does_not_fit_the_sets_of_a_family_is_named_and_not_written(tmp_path, family, message):
    with pytest.raises(ValueError, match=message):
        hf_icrl.collect(
            family(size=3, horizon=6),
            "oracle",
            output_dir=tmp_path / "room",
            held_out=0,
            histories_per_task=1,
            episodes=2,
            progress=False,
        )
    assert not list((tmp_path / "room").glob("data-*"))


def test_a_padded_mixture_keeps_the_sets_of_its_parts(tmp_path):
    part = {**ARGUMENTS, "family": "bernoulli_bandit", "source": "uniform"}
    small = {**part, "env_kwargs": {"num_arms": 5, "horizon": 12}, "population": {"num": 10, "min_arms": 2}}
    hf_icrl.collect_mixture(
        [{**part, "name": "large"}, {**small, "name": "small"}], tmp_path / "both", reconcile="pad", progress=False
    )
    parts, info = load_parts(tmp_path / "both")
    assert info["action_space"]["n"] == 9
    windows = MixtureWindows(
        [part.dataset for part in parts],
        [1, 1],
        length=8,
        num_windows=60,
        num_actions=9,
        own_actions=[part.info["action_space"]["n"] for part in parts],
    )
    assert windows.own_actions == [9, 5]
    sizes = {tuple(window["available_actions"].tolist()) for window in windows}
    known = {tuple(row + [False] * (9 - len(row))) for part in parts for row in part.dataset["available_actions"]}
    assert sizes <= known
    assert any(sum(row) < 4 for row in sizes)
    assert any(sum(row) > 5 for row in sizes)
    for window in windows:
        assert window["available_actions"][window["labels"]].all()
