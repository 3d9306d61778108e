"""The `datasets` builder of learning histories."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hf_icrl
from hf_icrl.dataset_builders import LearningHistories
from hf_icrl.histories import HistoryWindows, validate_histories

SMALL = {
    "env_kwargs": {"size": 4, "horizon": 8},
    "histories_per_task": 3,
    "episodes": 5,
    "histories_per_shard": 7,
}


def build(cache_dir, num_proc=None, config_name="dark_room_q_learning", **overrides):
    builder = LearningHistories(cache_dir=str(cache_dir), config_name=config_name, **{**SMALL, **overrides})
    builder.download_and_prepare(num_proc=num_proc)
    return builder


def test_both_splits_hold_what_collect_writes(tmp_path):
    builder = build(tmp_path / "cache", num_proc=2)
    for split in ("train", "held_out"):
        collection = hf_icrl.collect(
            "dark_room", "q_learning", output_dir=tmp_path / split, tasks=split, progress=False, **SMALL
        )
        dataset = builder.as_dataset(split=split)
        assert dataset.features == collection.dataset.features
        assert dataset.to_list() == collection.dataset.to_list()
        validate_histories(dataset)
    assert HistoryWindows(builder.as_dataset(split="train"), length=20, num_windows=3)[0]["labels"].shape == (20,)
    assert builder.info.description.startswith("9x9 DarkRoom, tabular Q-learning")


def test_streaming_gives_the_same_rows(tmp_path):
    builder = build(tmp_path / "cache")
    assert list(builder.as_streaming_dataset(split="train")) == builder.as_dataset(split="train").to_list()


# What makes each of them small enough for a test.
FEW = {
    "dark_room_a2c": {"env_kwargs": {"size": 9, "horizon": 8}, "histories_per_task": 10, "histories_per_shard": 290},
    "key_to_door_noise_curriculum": {"held_out": 3, "population": {"num": 12}},
    "bernoulli_bandit_thompson": {"env_kwargs": {}, "population": {"num": 12}},
    "contextual_bandit_lin_ucb": {"env_kwargs": {}, "population": {"num": 12}},
}


@pytest.mark.parametrize("config_name", [config.name for config in LearningHistories.BUILDER_CONFIGS])
def test_named_configs_are_whole(tmp_path, config_name):
    builder = LearningHistories(cache_dir=str(tmp_path), config_name=config_name)
    plan = builder.plans["train"]
    assert config_name == f"{plan.family.name}_{plan.source.name}"
    assert builder.plans["held_out"].num_histories > 0
    small = build(tmp_path, config_name=config_name, **FEW.get(config_name, {}))
    for split in ("train", "held_out"):
        dataset = small.as_dataset(split=split)
        assert set(dataset["source"]) == {plan.source.name}
        assert dataset.num_rows == small.plans[split].num_histories * len(small.plans[split].keep)
        validate_histories(dataset)


def test_every_argument_is_in_the_cache_key(tmp_path):
    changes = [
        {},
        {"config_name": "dark_room_noise_curriculum"},
        {"seed": 1},
        {"split_seed": 1},
        {"held_out": 0.4},
        {"validation": 1},
        {"source_params": {"discount": 0.5}},
        {"env_kwargs": {"size": 5}},
        {"episodes": 6},
        {"histories_per_task": 4},
    ]
    base = {"cache_dir": str(tmp_path), "config_name": "dark_room_q_learning"}
    folders = {LearningHistories(**{**base, **SMALL, **change}).cache_dir for change in changes}
    assert len(folders) == len(changes)
    assert LearningHistories(**base, **SMALL).cache_dir in folders


def test_bad_arguments_are_refused_at_once(tmp_path):
    with pytest.raises(ValueError, match="seed is 'z'"):
        LearningHistories(cache_dir=str(tmp_path), seed="z")
    with pytest.raises(ValueError, match="did you mean 'q_learning'"):
        LearningHistories(cache_dir=str(tmp_path), source="q_lerning")


CODE = """
import sys
from hf_icrl.dataset_builders import LearningHistories
builder = LearningHistories(cache_dir=sys.argv[1], config_name="dark_room_noise_curriculum", episodes=2,
                            histories_per_task=1, env_kwargs={"size": 4})
builder.download_and_prepare()
print(builder.cache_dir)
print(builder.as_dataset(split="train")["actions"][:])
"""


def test_edited_code_gets_fresh_data(tmp_path):
    """The builder is run from a copy of the package, before and after an edit of a source algorithm."""
    package = Path(hf_icrl.__file__).parent
    shutil.copytree(package, tmp_path / "hf_icrl", ignore=shutil.ignore_patterns("__pycache__"))
    builders = Path(sys.modules["hf_icrl.dataset_builders"].__file__).parent
    if not (tmp_path / "hf_icrl" / "dataset_builders").is_dir():
        shutil.copytree(builders, tmp_path / "hf_icrl" / "dataset_builders")

    def run():
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        command = [sys.executable, "-c", CODE, str(tmp_path / "cache")]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return result.stdout.splitlines()

    first = run()
    drawing = tmp_path / "hf_icrl" / "envs" / "drawing.py"
    drawing.write_text(drawing.read_text().replace("GOLD = (250, 190, 70)", "GOLD = (0, 255, 0)"))
    assert "(0, 255, 0)" in drawing.read_text()
    assert run() == first, "a colour decides no bit of a history"
    source = tmp_path / "hf_icrl" / "sources" / "noise_curriculum.py"
    text = source.read_text()
    edited = text.replace("actions.astype(np.int64, copy=False)", "0 * actions.astype(np.int64, copy=False)")
    assert edited != text
    source.write_text(edited)
    after = run()
    assert after[0] != first[0]
    assert set(after[1]) <= set("[0, ]") != set(first[1])
