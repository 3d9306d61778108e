"""Every shipped recipe stands: its tasks, its source and its model fit each other, from histories to an action."""

from importlib.resources import files

import numpy as np
import pytest
import torch

from hf_icrl import HistoryWindows, collect
from hf_icrl.cli.collect import collect_arguments
from hf_icrl.cli.common import family_of
from hf_icrl.cli.recipe import Recipe
from hf_icrl.dataset_builders.plan import CollectionPlan
from hf_icrl.histories import space_to_spec

NAMES = sorted(p.name.removesuffix(".yaml") for p in files("hf_icrl.recipes").iterdir() if p.name.endswith(".yaml"))
SMALL = [name for name in NAMES if not name.endswith("_published")]
PUBLISHED = [name for name in NAMES if name.endswith("_published")]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_reads_and_divides_its_tasks(name):
    recipe = Recipe.load(name)
    recipe.check()
    assert Recipe.from_text(recipe.to_yaml(), name).to_dict() == recipe.to_dict()
    for _, _, part in recipe.parts():
        plan = CollectionPlan(**collect_arguments(part))
        assert plan.all_tasks["train"]
        assert plan.all_tasks["held_out"]
        assert plan.num_histories == part.collect.histories_per_task * len(plan.all_tasks["train"])


@pytest.mark.parametrize("name", SMALL)
def test_a_small_recipe_goes_from_histories_to_an_action(name, tmp_path):
    recipe = Recipe.load(name)
    _, _, part = recipe.parts()[-1]
    arguments = collect_arguments(part)
    plan = CollectionPlan(**arguments)
    family, streams = plan.family, plan.source.streams
    # As few and as short histories as one window needs, of two tasks.
    needed = -(-recipe.model["context_length"] // family.horizon) * (4 if arguments["subsample"] > 1 else 2)
    arguments |= {"histories_per_task": streams, "episodes": needed, "subsample": 1, "validation": 0}
    if arguments["population"] is None:
        arguments["held_out"] = family.tasks()[2:]
    else:
        arguments |= {"population": {**arguments["population"], "num": 4}, "held_out": 2}
    collection = collect(**arguments, output_dir=tmp_path / "dataset", progress=False)

    config_class, model_class = recipe.model_classes()
    values = recipe.model
    del values["method"]
    info = collection.info
    config = config_class(observation_space=info["observation_space"], action_space=info["action_space"], **values)
    torch.manual_seed(0)
    model = model_class(config)
    length = min(config.context_length, collection.info["num_transitions"] // collection.info["num_histories"] // 2)
    windows = HistoryWindows(collection.dataset, num_windows=2, **config.window_options | {"length": length})
    batch = {key: torch.from_numpy(np.stack([w[key] for w in windows.__getitems__([0, 1])])) for key in windows[0]}
    loss = model(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)

    acted = plan.all_tasks["held_out"][:2]
    envs, available = family.make_vec(acted), family.available_actions(acted)
    observations, _ = envs.reset(seed=0)
    state = model.init_rollout(2, available_actions=available)
    actions = model.act(state, observations)
    assert envs.action_space.contains(actions)
    assert available is None or available[np.arange(2), actions].all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_has_the_model_of_its_size(name):
    recipe = Recipe.load(name)
    recipe.training_arguments_class()
    family, tasks = family_of(recipe)
    envs = family.make_vec(tasks["train"][:1])
    spaces = {
        "observation_space": space_to_spec(envs.single_observation_space),
        "action_space": space_to_spec(envs.single_action_space),
    }
    config_class, model_class = recipe.model_classes()
    values = recipe.model
    del values["method"]
    model = model_class(config_class(**spaces, **values))
    assert model.num_parameters() > 50_000
