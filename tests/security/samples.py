"""One valid sample of everything that we read, made by what writes it."""

from itertools import pairwise

import gymnasium as gym
import minari
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from minari.data_collector.episode_buffer import EpisodeBuffer

import hf_icrl
from hf_icrl.cli.quickstart import State
from hf_icrl.cli.recipe import Recipe
from hf_icrl.dataset_builders import collect_mixture
from hf_icrl.model_cards import write_dataset_card, write_model_card

ROOM = {"size": 3, "horizon": 4}
RECIPE = """\
environment: {family: dark_room, kwargs: {size: 3, horizon: 4}, held_out: 2, validation: 1}
collect: {source: noise_curriculum, histories_per_task: 1, episodes: 3, params: {noise: uniform}, columns: [time]}
model: {method: algorithm_distillation, context_length: 8, trunk_config: {model_type: llama, hidden_size: 8}}
train: {max_steps: 2, learning_rate: 1e-3}
evaluate: {episodes: 2, seeds: 1, sets: [held_out], temperature: 0.5}
"""
MIXTURE = """\
environment: {family: dark_room, kwargs: {size: 3}}
collect: {source: noise_curriculum, histories_per_task: 1, episodes: 3}
mixture:
  reconcile: pad
  parts:
  - {name: a, weight: 2.0, environment: {kwargs: {size: 4}}}
  - {name: b, recipe: quickstart, collect: {episodes: 2}}
  - {name: c, recipe: base.yaml}
"""


def make(root):
    """Write all samples below `root`, a `Path`; returns `(the model that acts, the recipe of the quickstart)`."""
    family = hf_icrl.task_family("dark_room", **ROOM)
    tasks = family.tasks()
    data = {"source": "noise_curriculum", "histories_per_task": 1, "episodes": 3, "progress": False}
    made = hf_icrl.collect("dark_room", env_kwargs=ROOM, output_dir=root / "dataset", **data)
    write_dataset_card(made.path, made.info)
    data = {"family": "dark_room", "source": "noise_curriculum", "histories_per_task": 1, "episodes": 3}
    parts = [{"name": name, "env_kwargs": {**ROOM, "horizon": h}, **data} for name, h in (("a", 4), ("b", 5))]
    collect_mixture(parts, root / "mixture", progress=False)

    model = tiny_model(family, tasks[0])
    model.save_pretrained(root / "model")
    report = hf_icrl.evaluate(model, family, tasks[:2], episodes=2, seeds=1)
    report.values["command"] = "hf-icrl evaluate"
    report.save(root / "model")
    bandit = hf_icrl.task_family("bernoulli_bandit", num_arms=4)
    agent = tiny_model(bandit, bandit.sample(1)[0])
    bandits = {name: (bandit, bandit.sample(2, seed=seed)) for seed, name in enumerate(("some", "others"))}
    reports = hf_icrl.evaluate_sets(agent, bandits, episodes=1, seeds=1)
    reports.save(root / "model")
    reports["some"].save(root / "bandit")
    (root / "model" / "recipe.yaml").write_text(RECIPE)
    write_model_card(root / "model", report=report, recipe=yaml.safe_load(RECIPE), dataset_info=made.info)
    (root / "recipes").mkdir()
    (root / "recipes" / "base.yaml").write_text(RECIPE)
    (root / "recipes" / "mixture.yaml").write_text(MIXTURE)

    result = hf_icrl.rollout(model, family.make_vec(tasks[:2]), 2)
    (root / "state").mkdir()
    result.save_state(root / "state")
    (root / "quickstart").mkdir()
    recipe = Recipe.load("quickstart_smoke")
    State.open(root / "quickstart", recipe, seed=0, smoke=True, overwrite=False)
    train(root, tiny_model(family, tasks[0]), made)
    foreign(root, made)
    return model, recipe


def tiny_model(family, task):
    envs = family.make_vec([task])
    config = hf_icrl.AlgorithmDistillationConfig(
        observation_space=hf_icrl.histories.space_to_spec(envs.single_observation_space),
        action_space=hf_icrl.histories.space_to_spec(envs.single_action_space),
        context_length=8,
        trunk_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    return hf_icrl.AlgorithmDistillationModel(config)


def train(root, model, made):
    """Two steps, with a checkpoint."""
    arguments = hf_icrl.ICRLConfig(
        str(root / "run"), max_steps=2, save_steps=2, per_device_train_batch_size=2, use_cpu=True, report_to="none"
    )
    windows = hf_icrl.HistoryWindows(made.dataset, length=8, num_windows=4)
    hf_icrl.ICRLTrainer(model, arguments, train_dataset=windows).train()


def foreign(root, made):
    """Parquet files of a row a transition and a row an episode, and a Minari dataset."""
    rng = np.random.default_rng(0)
    rows = [
        {"history_id": h, "episode": e, "observations": int(rng.integers(5)), "actions": int(rng.integers(3))}
        | {"rewards": 1.0, "terminated": t == 2, "next_observations": int(rng.integers(5)), "task": h}
        for h in range(2)
        for e in range(2)
        for t in range(3)
    ]
    for before, after in pairwise(rows):
        if not before["terminated"]:
            before["next_observations"] = after["observations"]
    (root / "steps").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), root / "steps" / "steps.parquet")
    (root / "episodes").mkdir()
    pq.write_table(made.dataset.data.table, root / "episodes" / "episodes.parquet")

    env = gym.make("CartPole-v1", max_episode_steps=4)
    observation, _ = env.reset(seed=0)
    episode = {"observations": [observation], "actions": [], "rewards": [], "terminations": [], "truncations": []}
    for _ in range(4):
        observation, reward, terminated, truncated, _ = env.step(0)
        found = (observation, 0, float(reward), terminated, truncated)
        for name, value in zip(episode, found, strict=True):
            episode[name].append(value)
    minari.create_dataset_from_buffers(
        dataset_id="some/sample-v0", buffer=[EpisodeBuffer(id=0, **episode)], env=env, data_format="arrow"
    )
