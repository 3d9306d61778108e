"""`hf-icrl evaluate` with `evaluate.sets`: a report each, one summary, pictures; what does not fit is said."""

import json

import pytest
import torch
import yaml
from tests_support import hf_icrl

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel, HeadlessADConfig, HeadlessADModel
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe

RECIPE = """
environment:
  family: bernoulli_bandit
  kwargs: {num_arms: 6, horizon: 10}
  population: {num: 12, min_arms: 2}
  held_out: 3
collect: {source: thompson, histories_per_task: 1, episodes: 1}
evaluate: {episodes: 1, seeds: 2, last_episodes: 1, sets: [train, num_4, num_8], tasks_per_set: 5}
"""


def model_folder(folder, config_class, model_class):
    torch.manual_seed(0)
    config = config_class(
        observation_space={"type": "Discrete", "n": 1},
        action_space={"type": "Discrete", "n": 6},
        context_length=10,
        trunk_config={"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    model_class(config).save_pretrained(folder)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


def test_every_set_has_a_report_and_the_recipes_own_is_the_models(tmp_path):
    folder = model_folder(tmp_path, HeadlessADConfig, HeadlessADModel)
    result = hf_icrl("evaluate", "--model", folder)
    assert result.returncode == 0, result.stderr
    said = "4 evaluation sets, 18 tasks in all x 2 seeds, 1 episode in one context: at most 360 environment steps"
    assert said in result.stdout
    assert f"wrote the reports to {folder}" in result.stdout
    summary = json.loads((folder / "evaluation_sets.json").read_text())
    assert {name: one["tasks"] for name, one in summary["sets"].items()} == {
        "train": 5,
        "num_4": 5,
        "num_8": 5,
        "held_out": 3,
    }
    assert summary["skipped"] == {}
    assert {one["source"] for one in summary["sets"].values()} == {"thompson"}
    for name in summary["sets"]:
        report = json.loads((folder / "evaluations" / name / "report.json").read_text())
        assert report["evaluation_set"] == name
        assert report["command"] == f"hf-icrl evaluate --model {folder}"
        assert name in result.stdout
    # The report of the held-out tasks is also that of the model, and in its card.
    assert json.loads((folder / "report.json").read_text()) == report
    assert (folder / "README.md").is_file()
    for name in ("sets.png", "regret.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert not (folder / "success.png").exists()


def test_a_model_with_a_fixed_number_of_actions_leaves_sets_out(tmp_path):
    folder = model_folder(tmp_path / "model", AlgorithmDistillationConfig, AlgorithmDistillationModel)
    out = tmp_path / "out"
    nothing_held_out = ("--output_dir", out, "--environment.held_out", "0")
    result = hf_icrl("evaluate", "--model", folder, *nothing_held_out)
    assert result.returncode == 0, result.stderr
    assert "skipped num_8: it has 8 actions, and this model acts with exactly 6" in result.stdout
    summary = json.loads((out / "evaluation_sets.json").read_text())
    assert list(summary["sets"]) == ["train", "num_4"]
    assert list(summary["skipped"]) == ["num_8"]
    # Nothing is held out, so there is no report but those of the sets.
    assert not (out / "report.json").exists()
    # What would change nothing, or leave nothing of what was asked for, is refused.
    for overrides, message in (
        (
            ("--evaluate.sets", "[num_8]"),
            "the model can act in none of the sets num_8; of 'num_8': it has 8 actions, and this model acts with exactly 6",
        ),
        (
            ("--evaluate.act_with_dropout", "true"),
            "act_with_dropout is true, but this model was trained without dropout",
        ),
        (("--model.temperature", "0.5"), "trained already: say --evaluate.temperature"),
        (("--train.max_steps=3",), "--train.max_steps says how a model is made, and this one is trained already, so"),
    ):
        result = hf_icrl("evaluate", "--model", folder, *nothing_held_out[:2], *overrides)
        assert result.returncode != 0
        assert message in result.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("[train, invers]", r"evaluate\.sets: unknown evaluation set 'invers' of .*did you mean 'inverse'"),
        ("[3]", r"evaluate\.sets: unknown evaluation set '3'"),
        ("train", r"evaluate\.sets is 'train'; it must be of type list"),
    ],
)
def test_unknown_sets_are_refused_before_anything_is_trained(override, message):
    recipe = Recipe.from_text(RECIPE, origin="r.yaml", overrides=["--evaluate.sets", override])
    with pytest.raises(UsageError, match=message):
        recipe.check()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("episodes", "0", r"evaluate\.episodes is 0; it must be an integer of at least 1"),
        ("last_episodes", "-1", r"evaluate\.last_episodes is -1; it must be an integer of at least 1"),
        ("tasks_per_set", "0", r"evaluate\.tasks_per_set is 0; it must be an integer of at least 1"),
        ("max_rows", "0", r"evaluate\.max_rows is 0; it must be an integer of at least 1"),
        ("temperature", "-0.5", r"evaluate\.temperature is -0\.5; it must be a number from 0"),
        ("evaluation_set", "heldout", r"unknown evaluate\.evaluation_set 'heldout': did you mean 'held_out'"),
    ],
)
def test_values_that_no_evaluation_can_have_are_refused_before_anything_is_trained(key, value, message):
    recipe = Recipe.from_text(RECIPE, origin="r.yaml", overrides=[f"--evaluate.{key}", value])
    with pytest.raises(UsageError, match=message):
        recipe.check()


def test_names_of_the_recipes_own_tasks_and_of_any_number_of_arms_are_known():
    Recipe.from_text(RECIPE, origin="r.yaml", overrides=["--evaluate.sets", "[held_out, validation, num_77]"]).check()
    room = yaml.safe_dump({"environment": {"family": "dark_room"}, "evaluate": {"sets": ["train", "held_out"]}})
    Recipe.from_text(room, origin="r.yaml").check()
