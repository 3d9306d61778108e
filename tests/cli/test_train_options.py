"""What the model and the loss of a recipe ask of the training windows, `hf-icrl train` gives them."""

import json
import shutil

import pytest
from datasets import load_from_disk
from tests_support import hf_icrl

from hf_icrl import collect
from hf_icrl.cli.collect import collect_arguments
from hf_icrl.cli.common import RunFolder
from hf_icrl.cli.recipe import Recipe
from hf_icrl.cli.train import train_model

CONFIG = ("--config", "quickstart_smoke")
OPTIONS = (
    "--model.position_embedding=env_time",
    "--model.reward_embedding=table",
    "--model.reward_values=[0, 1]",
    "--model.label_smoothing=0.1",
    "--train.loss_weighting=improvement",
    "--train.max_steps=5",
)


def test_times_and_weights_reach_the_model(finished, tmp_path):
    folder, _ = finished
    arguments = ("train", *CONFIG, "--dataset", folder / "dataset", "--output_dir", tmp_path, *OPTIONS)
    refused = hf_icrl(*arguments)
    assert refused.returncode == 1
    assert "position_embedding='env_time' has one vector for each time" in refused.stderr
    done = hf_icrl(*arguments, "--model.episode_length=20")
    # The validation tasks are rolled out at the end, in episodes of 20 steps.
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["position_embedding"], config["episode_length"], config["reward_values"]) == (
        "env_time",
        20,
        [0, 1],
    )


LARGE = """
environment: {family: bernoulli_bandit, kwargs: {num_arms: 6, horizon: 20}, population: {num: 12, min_arms: 2}, held_out: 2, validation: 1}
collect: {source: thompson, histories_per_task: 1, episodes: 1}
model:
  method: headless_ad
  context_length: 20
  trunk_config: {hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
train: {max_steps: 2, per_device_train_batch_size: 2, eval_episodes: 1, eval_seeds: 1, save_steps: 2}
"""


def test_models_that_read_action_sets_are_given_them(tmp_path):
    """Those of each part of a padded mixture, in the larger action space."""
    (tmp_path / "large.yaml").write_text(LARGE)
    (tmp_path / "small.yaml").write_text(LARGE.replace("num_arms: 6", "num_arms: 4"))
    for verb in ("collect", "train"):
        recipes = ("--config", "large.yaml", "small.yaml", "--mixture.reconcile", "pad")
        done = hf_icrl(verb, *recipes, "--output_dir", "run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    manifest = tmp_path / "run" / "checkpoints" / "checkpoint-2" / "checkpoint_manifest.json"
    windows = json.loads(manifest.read_text())["run"]["train_dataset"]
    assert (windows["num_actions"], windows["own_actions"]) == (6, [6, 4])


def without_action_sets(recipe, folder):
    """The histories of a recipe as versions before the column `available_actions` wrote them."""
    made = collect(**collect_arguments(recipe), output_dir=folder / "new", progress=False)
    load_from_disk(made.path).remove_columns("available_actions").save_to_disk(folder / "old")
    shutil.copy(made.path / "history_info.json", folder / "old")
    return folder / "old"


def test_histories_that_do_not_say_which_actions_are_lacking_are_refused(tmp_path):
    recipe = Recipe.from_text(LARGE, "large.yaml")
    old = without_action_sets(recipe, tmp_path)
    with pytest.raises(ValueError, match=r"no column 'available_actions', .* has \d of 6\. .*; collect them again"):
        train_model(recipe, old, RunFolder(tmp_path / "run"), None)
    assert not (tmp_path / "run" / "model").exists()
    # A model that reads no action sets learns nothing wrong from them.
    plain = Recipe.from_text(LARGE, "large.yaml", ["--model.method", "algorithm_distillation"])
    train_model(plain, old, RunFolder(tmp_path / "run"), None)
    assert (tmp_path / "run" / "model" / "config.json").is_file()


def test_histories_of_tasks_that_have_all_actions_need_no_column(tmp_path):
    recipe = Recipe.from_text(LARGE.replace("min_arms: 2", "min_arms: 6"), "equal.yaml")
    train_model(recipe, without_action_sets(recipe, tmp_path), RunFolder(tmp_path / "run"), None)
    assert (tmp_path / "run" / "model" / "config.json").is_file()
