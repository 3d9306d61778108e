"""Learning histories on the Hub: pushed by one commit, opened by `load_dataset`, streamed, trained on, rebuilt."""

import os
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset, load_dataset_builder
from huggingface_hub import DatasetCard, ModelCard

from hf_icrl import HistoryWindows, collect, collect_mixture, push, task_family
from hf_icrl.cli.main import main
from hf_icrl.histories import load_histories, load_parts, validate_histories
from hf_icrl.model_cards import write_dataset_card
from hf_icrl.pushing import PushConflict

REPO = "alice/rooms"
ROOM = {"family": "dark_room", "env_kwargs": {"size": 3, "horizon": 4}}


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """Histories in a folder, as `hf-icrl collect` leaves them."""
    folder = tmp_path_factory.mktemp("rooms") / "dataset"
    collection = collect(
        **ROOM, source="noise_curriculum", histories_per_task=2, episodes=5, output_dir=folder, progress=False
    )
    collection.save_picture()
    write_dataset_card(folder, collection.info)
    return folder


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A mixture whose parts have different task columns."""
    folder = tmp_path_factory.mktemp("mixture") / "dataset"
    same = {"source": "noise_curriculum", "histories_per_task": 1, "episodes": 3}
    parts = [
        {"name": "rooms", "weight": 2, **ROOM, **same},
        {"name": "doors", **same, "family": "dark_room", "env_kwargs": {"size": 3, "horizon": 4, "start": "random"}},
    ]
    collect_mixture(parts, folder, progress=False)
    return folder


@pytest.fixture
def alice(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token("alice"))
    return hub


def run_card(hub, text, home):
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()]))
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return hub.run_python("\n".join(blocks), home=home, PYTHONPATH=path).stdout


def test_what_load_dataset_gives_is_what_was_collected(alice, rooms, tmp_path):
    push(rooms, REPO)
    local, info = load_histories(rooms)
    remote = load_dataset(REPO, split="train")
    assert remote.features == local.features
    assert remote[:] == local[:]
    validate_histories(remote)
    assert len(alice.log.find("POST", "/commit/")) == 1

    # Straight into windows, the same ones as from the folder.
    here, there = (HistoryWindows(rows, length=6, num_windows=8, seed=3) for rows in (local, remote))
    for a, b in zip(here.__getitems__(range(8)), there.__getitems__(range(8)), strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)

    streamed = list(load_dataset(REPO, split="train", streaming=True))
    assert streamed == list(local)

    dataset, again = load_histories(REPO)
    assert again == info
    assert dataset[:] == local[:]
    out = run_card(alice, alice.repository(REPO, "datasets").read("README.md").decode(), tmp_path)
    assert f"num_rows: {len(local)}" in out


def test_its_tasks_can_be_rebuilt_from_the_repository_alone(alice, rooms):
    push(rooms, REPO)
    _, info = load_histories(REPO)
    family = task_family(info["family"], **info["env_kwargs"])
    assert family.split(seed=0)[1] == info["tasks"]["held_out"]


def test_the_card_says_what_the_viewer_and_load_dataset_need(alice, rooms):
    push(rooms, REPO)
    repository = alice.repository(REPO, "datasets")
    card = DatasetCard(repository.read("README.md").decode())
    assert card.data.license == "apache-2.0"
    assert card.data.configs == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
    ]
    rows = pq.read_table(_saved(repository, "data/train-00000-of-00001.parquet", rooms.parent))
    told = card.data.dataset_info
    assert told["splits"][0]["num_examples"] == len(rows)
    assert told["download_size"] == len(repository.read("data/train-00000-of-00001.parquet"))
    assert card.data.size_categories == ["n<1K"]
    assert f'load_dataset("{REPO}", split="train")' in card.text
    assert "load_from_disk" not in card.text
    assert repository.read("learning_curve.png") == (rooms / "learning_curve.png").read_bytes()
    assert set(repository.paths()) == {
        "README.md",
        "data/train-00000-of-00001.parquet",
        "history_info.json",
        "learning_curve.png",
    }
    # Without the data being read.
    assert load_dataset_builder(REPO).info.splits["train"].num_examples == len(rows)
    # Plain types alone, which every reader of parquet knows.
    assert not [field for field in rows.schema if "extension" in str(field.type)]


def test_parts_of_a_mixture_are_configurations(alice, mixture, tmp_path):
    push(mixture, REPO)
    local, info = load_parts(mixture)
    remote, again = load_parts(REPO)
    assert again == info
    for a, b in zip(local, remote, strict=True):
        assert (a.name, a.weight, a.info) == (b.name, b.weight, b.info)
        assert b.dataset[:] == a.dataset[:]
        assert load_dataset(REPO, a.name, split="train")[:] == a.dataset[:]
    run_card(alice, alice.repository(REPO, "datasets").read("README.md").decode(), tmp_path)
    with pytest.raises(ValueError, match="is a mixture, whose parts have names already"):
        push(mixture, REPO, config_name="more")


def test_several_histories_in_one_repository_each_with_its_name(alice, rooms, tmp_path, capsys):
    small = tmp_path / "small"
    collect(**ROOM, source="uniform", histories_per_task=1, episodes=2, output_dir=small, progress=False)
    assert main(["push", str(rooms), "--repo_id", REPO, "--config_name", "curriculum"]) == 0
    assert main(["push", str(small), "--repo_id", REPO, "--config_name", "uniform"]) == 0
    for name, folder in (("curriculum", rooms), ("uniform", small)):
        local, info = load_histories(folder)
        assert load_dataset(REPO, name, split="train")[:] == local[:]
        assert load_histories(REPO, name)[1] == info
    repository = alice.repository(REPO, "datasets")
    text = repository.read("README.md").decode()
    assert "2 configurations" in text
    assert [config["config_name"] for config in DatasetCard(text).data.configs] == ["curriculum", "uniform"]
    assert f'load_dataset("{REPO}", "uniform", split="train")' in repository.read("uniform/README.md").decode()

    # Somebody's own words stay when one of them is pushed again.
    repository.write({"README.md": (text + "\nMy own words.\n").encode()})
    push(rooms, REPO, config_name="curriculum")
    text = repository.read("README.md").decode()
    assert "My own words." in text
    assert text.count("hf_icrl: configurations") == 1
    assert load_histories(REPO, "uniform")[1] == load_histories(small)[1]

    with pytest.raises(ValueError, match="holds learning histories with the names curriculum, uniform: give these"):
        push(rooms, REPO)
    push(rooms, "alice/plain")
    with pytest.raises(ValueError, match="alice/plain holds learning histories without a name"):
        push(rooms, "alice/plain", config_name="more")
    with pytest.raises(ValueError, match=r"config_name is '\.\./up'"):
        push(rooms, REPO, config_name="../up")


def test_a_commit_of_somebody_else_in_between_is_noticed(alice, rooms):
    push(rooms, REPO, config_name="one")
    repository = alice.repository(REPO, "datasets")
    alice.faults.call(lambda: repository.write({"two/history_info.json": b"{}"}))
    with pytest.raises(PushConflict, match="somebody else changed alice/rooms"):
        push(rooms, REPO, config_name="three")
    assert not [name for name in repository.paths() if name.startswith("three/")]


def test_training_reads_histories_of_the_hub_and_says_so(alice, rooms, tmp_path, capsys):
    push(rooms, REPO)
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE)
    arguments = ["train", "--config", str(recipe), "--dataset", REPO, "--output_dir", str(tmp_path / "run")]
    assert main(arguments) == 0, capsys.readouterr().err
    model = tmp_path / "run" / "model"
    assert ModelCard.load(model / "README.md").data.datasets == [REPO]
    assert main(["evaluate", "--model", str(model)]) == 0
    text = (model / "README.md").read_text()
    assert ModelCard(text).data.datasets == [REPO]
    # What it was trained on stands beside the weights: its train tasks are refused as held-out ones.
    assert (model / "history_info.json").is_file()


RECIPE = """
environment: {family: dark_room, kwargs: {size: 3, horizon: 4}}
collect: {source: noise_curriculum, histories_per_task: 2, episodes: 5}
model:
  method: algorithm_distillation
  context_length: 8
  trunk_config: {hidden_size: 16, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
train: {max_steps: 2, per_device_train_batch_size: 2, use_cpu: true}
evaluate: {episodes: 2, seeds: 1, last_episodes: 1}
"""


def test_collect_publishes_what_it_collected(alice, tmp_path, capsys):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE)
    arguments = ["collect", "--config", str(recipe), "--output_dir", str(tmp_path / "run"), "--push_to_hub", REPO]
    assert main(arguments) == 0
    assert f"/{REPO} (commit " in capsys.readouterr().out
    assert load_histories(REPO)[0][:] == load_histories(tmp_path / "run" / "dataset")[0][:]


def test_describe_reads_the_hub(alice, rooms, capsys):
    push(rooms, REPO)
    assert main(["describe", REPO]) == 0
    out = capsys.readouterr().out
    assert "hf_icrl/DarkRoom-v0(" in out
    assert "size=3" in out
    assert "observations: list<" in out


@pytest.mark.parametrize(
    ("place", "config_name", "message"),
    [
        ("alice/nothing", None, "alice/nothing is neither a folder here nor learning histories that can be fetched"),
        ("alice/other", None, "there is no history_info.json in alice/other, so these are no learning histories"),
        ("alice/other", "one", "there is no one/history_info.json in alice/other.*called 'one'"),
    ],
)
def test_what_is_not_there_is_said(alice, place, config_name, message):
    alice.api("alice").create_repo("alice/other", repo_type="dataset")
    with pytest.raises(ValueError, match=message):
        load_histories(place, config_name)


def test_a_private_dataset_opens_with_the_token_alone(alice, rooms):
    push(rooms, "alice/hidden", private=True)
    with pytest.raises(ValueError, match="nor learning histories that can be fetched"):
        load_histories("alice/hidden", token=alice.token("bob"))
    assert len(load_histories("alice/hidden")[0]) == len(load_histories(rooms)[0])


def _saved(repository, name, folder):
    path = folder / "downloaded.parquet"
    path.write_bytes(repository.read(name))
    return path
