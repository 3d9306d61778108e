"""Several recipes on the command line: collected, trained, evaluated and described as one mixture."""

import pytest
import yaml
from tests_support import hf_icrl

from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe
from hf_icrl.histories import read_info

ONE = """
environment: {family: dark_room, kwargs: {size: 4, horizon: 6}, held_out: 3, validation: 1}
collect: {source: noise_curriculum, histories_per_task: 1, episodes: 3}
model:
  method: algorithm_distillation
  context_length: 12
  trunk_config: {hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
train: {max_steps: 2, per_device_train_batch_size: 2, eval_episodes: 2, eval_seeds: 1}
evaluate: {episodes: 2, seeds: 1}
"""
TWO = ONE.replace("noise_curriculum", "q_learning").replace("size: 4, ", "size: 4, start: corner, ")


def run(folder, verb, *args, weights=(2, 1)):
    recipes = ("--config", "one.yaml", "two.yaml", "--weights", *weights, "--output_dir", "run")
    return hf_icrl(verb, *recipes, "--collect.episodes", 4, *args, cwd=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixture")
    (folder / "one.yaml").write_text(ONE)
    (folder / "two.yaml").write_text(TWO)
    for verb in ("collect", "train"):
        done = run(folder, verb)
        assert done.returncode == 0, done.stderr
    return folder


def test_what_is_said_on_the_command_line_goes_for_every_part(folder):
    parts = read_info(folder / "run" / "dataset")["mixture"]
    assert [(part["name"], part["weight"], part["episodes"]) for part in parts] == [("one", 2.0, 4), ("two", 1.0, 4)]
    assert [part["env_kwargs"]["start"] for part in parts] == ["center", "corner"]


def test_the_command_line_says_what_becomes_of_spaces_that_differ(folder, tmp_path):
    recipes = ("--config", folder / "one.yaml", tmp_path / "words.yaml", "--output_dir", tmp_path / "run")
    (tmp_path / "words.yaml").write_text(ONE.replace("horizon: 6", "horizon: 6, word_length: 2"))
    done = hf_icrl("collect", *recipes, cwd=tmp_path)
    assert (done.returncode, "say reconcile: pad" in done.stderr) == (1, True)
    done = hf_icrl("collect", *recipes, "--mixture.reconcile", "pad", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_info(tmp_path / "run" / "dataset")["action_space"]["n"] == 25


def test_the_recipe_beside_the_model_needs_no_other_file(folder, tmp_path):
    path = folder / "run" / "model" / "recipe.yaml"
    recipe = Recipe.load(path)
    assert [(name, weight, part.environment.kwargs) for name, weight, part in recipe.parts()] == [
        ("one", 2.0, {"size": 4, "horizon": 6}),
        ("two", 1.0, {"size": 4, "start": "corner", "horizon": 6}),
    ]
    assert Recipe.from_text(recipe.to_yaml(), origin="again").to_dict() == recipe.to_dict()
    again = hf_icrl("train", "--config", path, "--output_dir", folder / "run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "trained already" in again.stdout
    done = hf_icrl("evaluate", "--model", folder / "run" / "model", "--output_dir", tmp_path / "report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_other_weights_are_refused_even_when_the_histories_are_gone(folder):
    done = run(folder, "train", weights=(1, 1))
    assert done.returncode == 1
    assert (
        "[('one', 2.0), ('two', 1.0)], the recipe one.yaml + two.yaml says [('one', 1.0), ('two', 1.0)]" in done.stderr
    )
    other = run(folder, "collect", "--output_dir", "other", weights=(1, 1))
    assert other.returncode == 0, other.stderr
    done = run(folder, "train", "--dataset", "other/dataset", weights=(1, 1))
    assert done.returncode == 1
    assert "mixture.parts.one.weight = 2.0, now it is 1.0" in done.stderr


def test_a_model_of_padded_parts_acts_in_each_of_them(folder, tmp_path):
    parts = [{"name": "all"}, {"name": "few", "environment": {"kwargs": {"words": "train"}}}]
    recipe = yaml.safe_load(ONE) | {"mixture": {"reconcile": "pad", "parts": parts}}
    recipe["environment"]["kwargs"]["word_length"] = 2
    (tmp_path / "padded.yaml").write_text(yaml.safe_dump(recipe))
    for verb in ("collect", "train"):
        done = hf_icrl(verb, "--config", "padded.yaml", "--output_dir", "run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    model = ("--model", "run/model", "--output_dir", "few", "--environment.kwargs.words", "train")
    done = hf_icrl("evaluate", *model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_describe_shows_every_part(folder):
    said = hf_icrl("describe", folder / "run" / "dataset").stdout
    assert "one: 67% of the training windows" in said
    assert "two: 33% of the training windows" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config", "one.yaml", "two.yaml", "--weights", "1"), "--weights has 1 numbers for 2 recipes"),
        (("--config", "one.yaml", "--weights", "1"), "--weights is for several recipes"),
        (("--config", "one.yaml", "both.yaml"), "the recipe both.yaml is a mixture itself"),
    ],
)
def test_wrong_usage_is_named(folder, arguments, message):
    text = yaml.safe_load(ONE) | {"mixture": {"parts": [{"name": "a"}, {"name": "b", "collect": {"seed": 1}}]}}
    (folder / "both.yaml").write_text(yaml.safe_dump(text))
    done = hf_icrl("collect", *arguments, "--output_dir", "never", cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "never").exists()


def test_a_part_takes_what_it_does_not_say_from_the_recipe_or_from_none():
    text = ONE + "mixture: {parts: [{name: a, environment: {kwargs: {size: 5}}}, {name: b, recipe: null}]}"
    with pytest.raises(UsageError, match=r"\(b\): environment.family is missing"):
        Recipe.from_text(text, origin="r.yaml").check()
    (_, _, shared), _ = Recipe.from_text(text, origin="r.yaml").parts()
    assert shared.environment.kwargs == {"size": 5, "horizon": 6}
