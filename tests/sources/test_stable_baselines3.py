"""Learners of Stable-Baselines3 as sources: what is recorded is true, reproducible, and leaves no trace behind."""

import random
import sys
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from tests_support import digest

import hf_icrl
from hf_icrl.sources import make_source
from hf_icrl.sources.recording import environment_seeds
from hf_icrl.tasks import task_family

# One learner of each kind on an environment that it can act in, all small enough for a test.
QUICK = {
    "PPO": {"n_steps": 16, "batch_size": 16, "n_epochs": 2},
    "A2C": {},
    "DQN": {"learning_starts": 10, "policy_kwargs": {"net_arch": [16]}},
    "SAC": {"learning_starts": 10, "batch_size": 16, "policy_kwargs": {"net_arch": [16]}},
    "TD3": {"learning_starts": 10, "batch_size": 16, "action_noise": 0.1, "policy_kwargs": {"net_arch": [16]}},
    "DDPG": {
        "learning_starts": 10,
        "batch_size": 16,
        "train_freq": [1, "episode"],
        "policy_kwargs": {"net_arch": [16]},
    },
}


def quick(algorithm, **more):
    return make_source("stable_baselines3", algorithm=algorithm, kwargs=QUICK[algorithm], **more)


def environment(algorithm):
    """(family, four tasks): CartPole, whose episodes terminate, or Pendulum, whose actions are numbers."""
    if algorithm in ("SAC", "TD3", "DDPG"):
        family = task_family("gymnasium", env="Pendulum-v1", horizon=25)
        return family, family.sample(4, vary={"g": [5.0, 10.0]})
    family = task_family("gymnasium", env="CartPole-v1", horizon=25)
    return family, family.sample(4, vary={"length": [0.3, 0.8]})


def arrays(batch):
    names = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
    return {name: getattr(batch, name) for name in names} | batch.optional


def assert_same(batch, i, other, j):
    length = batch.lengths[i]
    assert other.lengths[j] == length
    for name, value in arrays(batch).items():
        assert value[i, :length].tobytes() == arrays(other)[name][j, :length].tobytes(), name


@pytest.mark.parametrize("algorithm", sorted(QUICK))
def test_a_history_is_what_the_scalar_environment_does_with_these_actions(algorithm):
    """Replayed from its seed through all its episodes, observation by observation, bit by bit."""
    family, tasks = environment(algorithm)
    batch = quick(algorithm).generate(family, tasks[:2], [5, 9], 4, seed=3)
    seeds = environment_seeds(3, [5, 9])
    ends = []
    for i, (task, seed) in enumerate(zip(tasks, seeds, strict=False)):
        env = gym.make(family.env_id, **family.env_kwargs, **task)
        observation, _ = env.reset(seed=seed)
        for t in range(batch.lengths[i]):
            assert observation.tobytes() == batch.observations[i, t].tobytes()
            assert batch.actions[i, t] in env.action_space
            observation, reward, terminated, truncated, _ = env.step(batch.actions[i, t])
            assert observation.tobytes() == batch.next_observations[i, t].tobytes()
            assert np.float32(reward) == batch.rewards[i, t]
            assert (terminated, truncated) == (batch.terminated[i, t], batch.truncated[i, t])
            if terminated or truncated:
                ends.append((terminated, truncated))
                observation, _ = env.reset()
    assert len(ends) == 8
    # CartPole falls within 25 steps now and then, Pendulum never ends: both ends are tested.
    assert (True in {terminated for terminated, _ in ends}) == (family.num_actions is not None)


@pytest.mark.parametrize("algorithm", sorted(QUICK))
def test_a_history_depends_on_seed_and_id_alone(algorithm):
    family, tasks = environment(algorithm)
    source = quick(algorithm)
    together = source.generate(family, tasks[:3], [0, 4, 7], 3, seed=1, columns=["time"])
    np.random.seed(5)  # noqa: NPY002  (a caller's own state must not matter)
    torch.manual_seed(6)
    alone = source.generate(family, [tasks[1]], [4], 3, seed=1, columns=["time"])
    assert_same(alone, 0, together, 1)
    other = source.generate(family, [tasks[1]], [4], 3, seed=2)
    assert other.observations.tobytes() != alone.observations.tobytes()


def test_streams_of_one_learner_are_a_group_of_histories():
    family, tasks = environment("PPO")
    source = quick("PPO", num_envs=3)
    assert source.streams == 3
    both = [tasks[0]] * 3 + [tasks[1]] * 3
    together = source.generate(family, both, np.arange(6), 3, seed=1)
    alone = source.generate(family, both[3:], np.arange(3, 6), 3, seed=1)
    for i in range(3):
        assert_same(alone, i, together, 3 + i)
    ends = together.terminated | together.truncated
    assert ends.sum(axis=1).tolist() == [3] * 6
    first_actions = {tuple(actions[:12]) for actions in together.actions.tolist()}
    assert len(first_actions) == 6
    with pytest.raises(ValueError, match="4 are asked for: ask for a multiple of 3"):
        source.generate(family, [tasks[0]] * 4, np.arange(4), 3, seed=1)


def test_the_global_generators_and_threads_are_as_before():
    family, tasks = environment("DQN")
    threads = torch.get_num_threads()
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002
    torch.manual_seed(3)
    quick("DQN").generate(family, tasks[:1], [0], 3, seed=0)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    family, tasks = environment("A2C")
    quick("A2C").generate(family, tasks[:1], [0], 3, seed=0)
    assert list(Path(tmp_path).iterdir()) == []


def test_files_are_the_same_whatever_the_number_of_processes(tmp_path):
    family, tasks = environment("A2C")
    folders = [tmp_path / "one", tmp_path / "two"]
    for num_proc, folder in enumerate(folders, start=1):
        hf_icrl.collect(
            family,
            quick("A2C"),
            output_dir=folder,
            population={"tasks": tasks},
            held_out=1,
            histories_per_task=1,
            episodes=3,
            histories_per_shard=1,
            num_proc=num_proc,
            progress=False,
        )
    assert digest(folders[0]) == digest(folders[1])


def test_ppo_learns():
    """Eight streams of one learner in a 3 x 3 room that pays on every step at the goal: twice the random return."""
    family = task_family("dark_room", size=3)
    task = {"goal": [0, 1]}
    kwargs = {"n_steps": 40, "batch_size": 80, "n_epochs": 10, "learning_rate": 3e-3}
    source = make_source("stable_baselines3", num_envs=8, kwargs=kwargs)
    returns = source.generate(family, [task] * 8, np.arange(8), 30, seed=0).rewards.reshape(8, 30, 20).sum(axis=2)
    assert returns[:, -5:].mean() > 2 * family.random_return(task)
    assert returns[:, -5:].mean() > returns[:, :5].mean() + 3


def test_only_the_kept_episodes_are_recorded():
    family, tasks = environment("A2C")
    whole = quick("A2C").generate(family, tasks[:1], [0], 6, seed=0, columns=["time"])
    part = quick("A2C").generate(family, tasks[:1], [0], 6, seed=0, columns=["time"], keep=range(1, 5, 2))
    episode = np.cumsum(whole.optional["time"][0] == 0) - 1
    for name, value in arrays(part).items():
        assert value[0].tobytes() == arrays(whole)[name][0, (episode == 1) | (episode == 3)].tobytes()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"algorithm": "POP"}, "unknown algorithm 'POP' of Stable-Baselines3: did you mean 'PPO'"),
        ({"kwargs": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"kwargs": {"seed": 1}}, "unknown PPO argument 'seed'"),
        ({"num_envs": 0}, "num_envs is 0"),
        ({"kwargs": {"policy_kwargs": {"activation_fn": "Rleu"}}}, "activation_fn is 'Rleu': did you mean 'R"),
        ({"algorithm": "SAC", "kwargs": {"action_noise": -1}}, "action_noise'] is -1"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("]", r"\]")):
        make_source("stable_baselines3", **params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"algorithm": "SAC"}, "SAC refuses task_family"),
        ({"policy": "MlpPolice"}, "Policy MlpPolice unknown"),
        ({}, r"PPO learns for the first time after n_steps=2048 steps of each stream, but 3 episodes have at most 75"),
        ({"algorithm": "DQN"}, "DQN begins to learn after learning_starts=100 steps"),
    ],
)
def test_what_cannot_be_run_is_refused(params, message):
    family, tasks = environment("PPO")
    with pytest.raises(ValueError, match=message):
        make_source("stable_baselines3", **params).generate(family, tasks[:1], [0], 3, seed=0)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ValueError, match=r'pip install "hf-icrl\[sb3\]"'):
        make_source("stable_baselines3")


def test_the_activation_may_be_named_and_the_description_says_what_ran():
    source = make_source("stable_baselines3", algorithm="A2C", kwargs={"policy_kwargs": {"activation_fn": "ReLU"}})
    family, tasks = environment("A2C")
    assert source.generate(family, tasks[:1], [0], 2, seed=0).lengths[0] > 2
    assert "A2C of Stable-Baselines3 2." in source.describe()
    assert "ReLU" in source.describe()
    assert source.params["kwargs"] == {"policy_kwargs": {"activation_fn": "ReLU"}}
