"""The dataset card: metadata by which the rows are found, and code that runs as printed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard

from hf_icrl import collect, collect_mixture
from hf_icrl.histories import read_info
from hf_icrl.model_cards import write_dataset_card
from hf_icrl.sources import _SOURCES

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return collect(
        "dark_room",
        "noise_curriculum",
        env_kwargs={"size": 4, "horizon": 6},
        output_dir=tmp_path_factory.mktemp("run") / "dataset",
        histories_per_task=2,
        episodes=3,
        validation=2,
        command="hf-icrl collect --config mine.yaml",
        progress=False,
    )


@pytest.fixture(scope="module")
def card(collection):
    return write_dataset_card(collection.path, collection.info)


def test_the_metadata_leads_to_the_rows_and_to_nothing_else(collection, card, tmp_path):
    data = DatasetCard.load(card).data
    assert data.license == "apache-2.0"
    assert data.task_categories == ["reinforcement-learning"]
    assert data.size_categories == ["n<1K"]
    # What `load_dataset` and the viewer see on the Hub; here datasets refuses folders that hold its own state.json.
    copy = shutil.copytree(collection.path, tmp_path / "copy", ignore=shutil.ignore_patterns("state.json"))
    rows = load_dataset(str(copy), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.num_rows == collection.dataset.num_rows
    assert rows[0] == collection.dataset[0]


def test_it_says_how_the_data_were_made_and_which_tasks_were_kept_back(collection, card):
    text = card.read_text()
    info = collection.info
    assert info["source"]["description"] in text
    assert "hf-icrl collect --config mine.yaml" in text
    assert f"{info['num_histories']:,} **learning histories** of 3 episodes" in text
    for name in ("train", "validation", "held_out"):
        assert f"| {name.replace('_', '-')} | {len(info['tasks'][name])} |" in text
    for task in info["tasks"]["held_out"]:
        assert f"`{json.dumps(task)}`" in text
    # This source imitates learning, and the card nowhere says that anything learned.
    assert "What a demonstrator did while its noise decayed" in text
    assert "What a learner did" not in text


def test_the_first_sentence_depends_on_the_source(collection, tmp_path):
    for name, words in (
        ("q_learning", "What a learner did while it learned: "),
        ("thompson", "What Thompson sampling did while it found out which arm pays the most: "),
        ("uniform", "Nothing improves in them"),
        ("oracle", "imitates the expert"),
        ("mine", "What the source `mine` did: "),
    ):
        info = {**collection.info, "source": {"name": name, "params": {}, "description": "From scratch."}}
        assert words in write_dataset_card(tmp_path, info).read_text()


def test_every_source_has_an_opening_of_its_own(collection, tmp_path):
    for name in _SOURCES:
        source = {"name": name, "params": {"algorithm": "PPO"}, "description": "From scratch."}
        text = write_dataset_card(tmp_path, {**collection.info, "source": source}).read_text()
        assert f"What the source `{name}` did" not in text


def test_a_bandit_is_told_by_steps_and_imported_data_by_what_is_known(tmp_path):
    made = collect(
        "bernoulli_bandit",
        "thompson",
        env_kwargs={"num_arms": 3, "horizon": 20},
        population={"num": 5},
        output_dir=tmp_path / "bandit",
        histories_per_task=1,
        episodes=1,
        columns=["optimal_actions"],
        progress=False,
    )
    text = write_dataset_card(made.path, made.info).read_text()
    assert "4 **learning histories** of one episode each, 80 transitions" in text
    assert "first to last step" in text
    assert "(mean of the last 2 steps)" in text
    assert "| `optimal_actions` |" in text
    assert "| `log_probs` |" not in text
    imported = {**made.info, "seed": None, "episodes": 7, "env_kwargs": {}, "env_id": "mine/Room-v0"}
    imported["source"] = {"name": "parquet", "params": {}, "description": "Imported."}
    text = write_dataset_card(made.path, imported).read_text()
    assert "Data recorded elsewhere, from parquet files: 4 **learning histories** of up to 7 episodes" in text
    assert "transitions of `mine/Room-v0`. If their order shows how somebody learned" in text


def test_the_code_runs_as_printed(collection, card):
    (code,) = re.findall(r"^```python\n(.*?)^```", card.read_text(), flags=re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "'labels': (18,)" in done.stdout


def test_a_hub_id_is_loaded_from_the_hub(collection, tmp_path):
    path = write_dataset_card(tmp_path, collection.info, dataset_id="alice/histories")
    assert 'load_dataset("alice/histories", split="train")' in path.read_text()
    # No data files, no word about where they are.
    assert "configs" not in DatasetCard.load(path).data.to_dict()


def test_parquet_folders_are_found_too(collection, tmp_path):
    (tmp_path / "data").mkdir()
    collection.dataset.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    (tmp_path / "history_info.json").write_text(json.dumps(collection.info))
    write_dataset_card(tmp_path, collection.info)
    rows = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.num_rows == collection.dataset.num_rows


def test_an_incomplete_info_is_refused(collection, tmp_path):
    info = {key: value for key, value in collection.info.items() if key != "source"}
    with pytest.raises(ValueError, match="has no 'source'"):
        write_dataset_card(tmp_path, info)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "# my project\n",
        "---\ntags:\n- hf-icrl\n---\nmine",
        "---\nlibrary_name: hf-icrl\n---\na model",
        "---\n: [\n---\n",
    ],
)
def test_the_readme_of_somebody_else_is_not_replaced(collection, tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md was not written by hf-icrl, .* move it away"):
        write_dataset_card(tmp_path, collection.info)
    assert path.read_text() == text


def test_our_own_card_is_replaced(collection, tmp_path):
    write_dataset_card(tmp_path, collection.info)
    assert "alice/histories" in write_dataset_card(tmp_path, collection.info, dataset_id="alice/histories").read_text()


def code_output(card):
    (code,) = re.findall(r"^```python\n(.*?)^```", card.read_text(), flags=re.MULTILINE | re.DOTALL)
    env = {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_where_the_rows_say_which_actions_there_are_the_windows_do(tmp_path):
    parts = [
        {
            "name": f"arms_{arms}",
            "family": "bernoulli_bandit",
            "env_kwargs": {"num_arms": arms, "horizon": 8},
            "source": "thompson",
            "population": {"num": 5, "min_arms": 2},
            "histories_per_task": 1,
            "episodes": 1,
        }
        for arms in (3, 5)
    ]
    made = collect(output_dir=tmp_path / "one", progress=False, **{k: v for k, v in parts[0].items() if k != "name"})
    card = write_dataset_card(made.path, made.info)
    assert "num_windows=1000, seed=0, num_actions=3)" in card.read_text()
    assert "'available_actions': (3,)" in code_output(card)
    collect_mixture(parts, tmp_path / "both", reconcile="pad", progress=False)
    card = write_dataset_card(tmp_path / "both", read_info(tmp_path / "both"))
    assert "seed=0, num_actions=5, own_actions=[3, 5]" in card.read_text()
    assert "'available_actions': (5,)" in code_output(card)
