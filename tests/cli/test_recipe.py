"""Recipes: overrides, errors that name the nearest key, and a lossless round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe

TEXT = """
environment: {family: dark_room, kwargs: {size: 9}}
collect: {source: noise_curriculum, histories_per_task: 2, episodes: 3, params: {noise: uniform}}
model: {method: algorithm_distillation, context_length: 20, trunk_config: {model_type: llama, hidden_size: 8}}
train: {max_steps: 2, learning_rate: 1e-3}
evaluate: {episodes: 4}
"""


def load(*overrides):
    return Recipe.from_text(TEXT, origin="r.yaml", overrides=overrides)


def test_flags_override_nested_values_and_keep_the_others():
    recipe = load(
        "--model.trunk_config.hidden_size", "16", "--collect.params.noise=held", "--evaluate.temperature", "null"
    )
    assert recipe.model["trunk_config"] == {"model_type": "llama", "hidden_size": 16}
    assert recipe.collect.params == {"noise": "held"}
    assert recipe.evaluate.temperature is None
    assert recipe.evaluate.episodes == 4


@pytest.mark.parametrize("temperature", [0, 1, 0.5, None])
def test_whole_numbers_are_floats(temperature):
    recipe = load(f"--evaluate.temperature={'null' if temperature is None else temperature}")
    assert recipe.evaluate.temperature == temperature


def test_scientific_notation_is_a_number():
    assert load().train["learning_rate"] == 0.001
    assert load("--train.learning_rate", "3E-4").train["learning_rate"] == 3e-4
    assert load("--evaluate.temperature=-1e2").values["evaluate"]["temperature"] == -100.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--train.learning_rat", "1"], r"unknown key train\.learning_rat: did you mean 'learning_rate'"),
        (["--model.contxt_length", "1"], r"unknown key model\.contxt_length: did you mean 'context_length'"),
        (["--evaluate.episods", "1"], r"unknown key evaluate\.episods: did you mean 'episodes'"),
        (["--colect.seed", "1"], r"unknown argument --colect\.seed: did you mean 'collect\.'"),
        (["--seed", "1"], r"unknown argument --seed"),
        (["--evaluate.seeds"], r"--evaluate\.seeds needs a value"),
        (["--evaluate.seeds", "--evaluate.seed"], r"--evaluate\.seeds needs a value"),
        (["evaluate.seeds", "3"], r"unexpected argument 'evaluate\.seeds'"),
        (["--evaluate.seeds", "true"], r"evaluate\.seeds is True; it must be of type int"),
        (["--train.learning_rate", "fast"], r"train\.learning_rate is 'fast'; it must be of type float"),
        (["--evaluate.seeds", "ten"], r"evaluate\.seeds is 'ten'; it must be of type int"),
        (["--model.method", "algoritm_distillation"], r"did you mean 'algorithm_distillation'"),
        (["--train.output_dir", "x"], r"train\.output_dir cannot be set in a recipe; use --output_dir"),
    ],
)
def test_mistakes_are_named_with_the_nearest_valid_key(overrides, message):
    with pytest.raises(UsageError, match=message):
        load(*overrides).check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("collct: {}", "unknown section 'collct': did you mean 'collect'"),
        ("- a list", "a recipe is a mapping"),
        ("train: 3", "section 'train' is 3"),
        ("train: {a: [}", "is not valid YAML"),
    ],
)
def test_a_malformed_recipe_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        Recipe.from_text(text, origin="r.yaml")


def test_an_unknown_recipe_names_the_shipped_ones():
    with pytest.raises(UsageError, match="did you mean 'quickstart'"):
        Recipe.load("quickstrt")
    with pytest.raises(UsageError, match=r"nowhere\.yaml does not exist"):
        Recipe.load("nowhere.yaml")


@pytest.mark.parametrize("name", ["quickstart", "quickstart_smoke"])
def test_every_shipped_recipe_passes_its_checks_and_survives_a_round_trip(name):
    recipe = Recipe.load(name)
    recipe.check()
    assert Recipe.from_text(recipe.to_yaml(), origin=name).to_dict() == recipe.to_dict()


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=10)
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), scalars | st.lists(scalars, max_size=3), max_size=4))
def test_any_values_survive_the_yaml_round_trip(values):
    recipe = load()
    recipe.values["train"] = values
    assert Recipe.from_text(recipe.to_yaml(), origin="again").train == values
