"""The whole sentence in small, through the public surface: a tiny model learns to learn on rooms it has never seen."""

import pytest
from transformers import AutoModel

import hf_icrl
from hf_icrl.tasks import validation_split

# In a 7 x 7 room; a random policy scores 0, one that knows the goal 1. Seeds other than the one below reached 0.957.
LAST_EPISODES_AT_LEAST = 0.8
FIRST_EPISODE_AT_MOST = 0.5


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(family, its split, report of the held-out tasks) of one run: collect, train, save, load, evaluate."""
    folder = tmp_path_factory.mktemp("learning")
    family = hf_icrl.task_family("dark_room", size=7, horizon=14)
    train, held_out = family.split(seed=0, held_out=0.25)
    collection = hf_icrl.collect(
        family,
        "noise_curriculum",
        source_params={"noise": "trips", "schedule": "stepped", "decay_fraction": [0.2, 0.8]},
        output_dir=folder / "dataset",
        histories_per_task=100,
        episodes=20,
        held_out=0.25,
        validation=2,
        seed=3,
        progress=False,
    )
    config = hf_icrl.AlgorithmDistillationConfig(
        observation_space=collection.info["observation_space"],
        action_space=collection.info["action_space"],
        observation_embedding="row_col",
        observation_grid=[7, 7],
        context_length=140,
        temperature=0.6,
        trunk_config={
            "model_type": "llama",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
    )
    arguments = hf_icrl.ICRLConfig(
        output_dir=str(folder / "checkpoints"),
        max_steps=400,
        per_device_train_batch_size=16,
        learning_rate=3e-3,
        adam_beta2=0.99,
        save_strategy="no",
        use_cpu=True,
        seed=3,
    )
    windows = hf_icrl.HistoryWindows(
        collection.dataset, length=140, num_windows=arguments.num_windows_for_max_steps(), seed=3
    )
    trainer = hf_icrl.ICRLTrainer(
        model_init=lambda: hf_icrl.AlgorithmDistillationModel(config), args=arguments, train_dataset=windows
    )
    trainer.train()
    trainer.save_model(str(folder / "model"))
    model = AutoModel.from_pretrained(folder / "model")
    report = hf_icrl.evaluate(model, family, held_out, episodes=40, seeds=4, seed=3)
    return family, train, held_out, collection, report


def test_the_frozen_model_gets_better_in_context_on_held_out_tasks(trained):
    *_, report = trained
    assert report["normalized_return"]["mean"] >= LAST_EPISODES_AT_LEAST
    assert report["first_episode_return"] <= FIRST_EPISODE_AT_MOST * report["last_episodes_return"]


def test_a_random_policy_does_not_reach_the_threshold(trained):
    import numpy as np

    family, _, held_out, _, report = trained
    envs = family.make_vec(held_out * 50)
    envs.reset(seed=0)
    random = np.random.default_rng(0)
    total = np.zeros(len(held_out) * 50)
    for _ in range(family.horizon):
        total += envs.step(random.integers(0, 5, len(total)))[1]
    oracle = np.array([family.oracle_return(task) for task in held_out] * 50)
    assert total.mean() / oracle.mean() < LAST_EPISODES_AT_LEAST / 2
    assert report["normalized_return"]["worst"] > 0


def test_no_held_out_or_validation_task_is_among_the_histories(trained):
    _, train, held_out, collection, _ = trained
    tasks = {tuple(task["goal"]) for task in collection.dataset["task"]}
    _, validation = validation_split(train, 2, seed=0)
    assert not tasks & {tuple(task["goal"]) for task in held_out + validation}
    assert len(tasks) == len(train) - 2
