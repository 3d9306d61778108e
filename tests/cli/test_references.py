"""Which source a recipe's models are compared with, and on what."""

import numpy as np
import pytest

from hf_icrl.cli.recipe import Recipe
from hf_icrl.cli.references import source_references
from hf_icrl.sources import make_source
from hf_icrl.sources.reference import source_reference
from hf_icrl.tasks import task_family

BANDIT = """
environment: {family: bernoulli_bandit, kwargs: {num_arms: 5, horizon: 20}}
collect: {source: ucb1, params: {c: 0.5}, histories_per_task: 1, episodes: 3}
evaluate: {episodes: 2, seed: 4}
"""
WORDS = """
environment: {family: dark_room, kwargs: {size: 5, horizon: 5, word_length: 2, words: train, terminate_on_goal: true}}
collect: {source: q_learning, histories_per_task: 1, episodes: 30}
evaluate: {episodes: 2}
"""


def recipe(text, *overrides):
    return Recipe.from_text(text, origin="test", overrides=overrides)


@pytest.fixture(scope="module")
def bandits():
    return {"num_3": (family := task_family("bernoulli_bandit", num_arms=3, horizon=20), family.sample(6))}


def test_a_bandits_source_plays_as_long_as_the_model(bandits, capsys):
    got = source_references(recipe(BANDIT), bandits)["num_3"]
    expected = source_reference(make_source("ucb1", c=0.5), *bandits["num_3"], episodes=2, seed=4, repeats=5)
    assert (got.name, got.regret_curve.shape) == ("ucb1", (6, 40))
    np.testing.assert_array_equal(got.regret_curve, expected.regret_curve)
    # The same again costs nothing.
    assert source_references(recipe(BANDIT), bandits)["num_3"] is got
    assert source_references(recipe(BANDIT, "--evaluate.seed", "5"), bandits)["num_3"] is not got
    assert capsys.readouterr().out == ""


def test_a_source_on_words_learns_for_a_whole_history_of_the_dataset(capsys):
    family = task_family("dark_room", size=5, horizon=5, word_length=2, words="all", terminate_on_goal=True)
    sets = {"all_test": (family, family.tasks()[:4])}
    got = source_references(recipe(WORDS), sets)["all_test"]
    expected = source_reference(make_source("q_learning"), *sets["all_test"], episodes=30)
    np.testing.assert_array_equal(got.returns, expected.returns)
    # What takes long is announced: 4000 tasks, 50 episodes of 5 steps.
    many = {"all_test": (family, sets["all_test"][1] * 1000)}
    source_references(recipe(WORDS, "--collect.episodes", "50", "--collect.source", "uniform"), many)
    said = capsys.readouterr().out
    assert "uniform, learns on these tasks for comparison: at most 1,000,000 environment steps" in said


def test_other_families_and_recipes_without_one_source_have_no_references(bandits):
    room = task_family("dark_room", size=3)
    assert source_references(recipe(WORDS), {"held_out": (room, room.tasks())}) == {}
    assert source_references(recipe(BANDIT.replace("collect:", "# collect:")), bandits) == {}
    mixture = BANDIT + "mixture: {parts: [{name: a}, {name: b, collect: {%s}}]}\n"
    assert source_references(recipe(mixture % "source: thompson, params: {}"), bandits) == {}
    same = source_references(recipe(mixture % "histories_per_task: 2"), bandits)
    assert same["num_3"].name == "ucb1"
