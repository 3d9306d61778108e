"""What holds for every source: independence of histories, records that are true, and errors that help."""

import json

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family

SOURCES = [
    ("noise_curriculum", {"random_actions": [1, 2, 4]}),
    ("noise_curriculum", {"noise": "held", "schedule": "cosine", "decay_fraction": [0.1, 0.8]}),
    ("noise_curriculum", {"noise": "goal", "schedule": "stepped", "decay_fraction": [0.0, 1.0]}),
    ("noise_curriculum", {"noise": "trips", "eps_start": 0.9, "eps_end": 0.2}),
    ("q_learning", {}),
    ("a2c", {"num_envs": 1, "rollout": 3, "learning_rate": 0.01}),
]
each_source = pytest.mark.parametrize(("name", "params"), SOURCES, ids=lambda v: str(v) if isinstance(v, str) else "")

families = st.builds(
    lambda **kwargs: task_family("dark_room", **kwargs),
    size=st.integers(2, 5),
    start=st.sampled_from(["center", "random", "corner"]),
    horizon=st.integers(1, 7),
    terminate_on_goal=st.booleans(),
)

ARRAYS = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")


def arrays(batch):
    """Everything that was recorded step by step; batches are as wide as their longest history."""
    return {**{name: getattr(batch, name) for name in ARRAYS}, **batch.optional}


@each_source
@settings(max_examples=25, deadline=None)
@given(
    family=families,
    seed=st.integers(0, 2**40),
    ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
    episodes=st.integers(1, 5),
    random=st.randoms(use_true_random=False),
)
def test_a_history_depends_on_seed_id_and_task_alone(name, params, family, seed, ids, episodes, random):
    tasks = [random.choice(family.tasks()) for _ in ids]
    whole = make_source(name, **params).generate(family, tasks, ids, episodes, seed)
    part = random.sample(range(len(ids)), random.randint(1, len(ids)))
    again = make_source(name, **params).generate(family, [tasks[i] for i in part], np.array(ids)[part], episodes, seed)
    assert again.history_ids.tolist() == [ids[i] for i in part]
    assert again.tasks == [tasks[i] for i in part]
    assert again.lengths.tolist() == whole.lengths[part].tolist()
    for key, value in arrays(again).items():
        expected = arrays(whole)[key]
        assert value.dtype == expected.dtype
        for mine, theirs, length in zip(value, expected[part], again.lengths, strict=True):
            assert mine[:length].tobytes() == theirs[:length].tobytes(), key


@each_source
@settings(max_examples=25, deadline=None)
@given(family=families, seed=st.integers(0, 2**40), episodes=st.integers(1, 5))
def test_a_history_is_what_the_environment_says(name, params, family, seed, episodes):
    """Replay every recorded action in the scalar environment, from the recorded first observation of each episode."""
    tasks = family.tasks()[:5]
    batch = make_source(name, **params).generate(family, tasks, np.arange(len(tasks)), episodes, seed)
    assert batch.lengths.max() <= episodes * family.horizon
    assert batch.observations.shape == batch.actions.shape == batch.rewards.shape == (len(tasks), batch.lengths.max())
    assert batch.rewards.dtype == np.float32
    assert batch.actions.dtype == np.int64
    for i, task in enumerate(tasks):
        length = batch.lengths[i]
        ended = batch.terminated[i] | batch.truncated[i]
        assert ended.sum() == episodes
        assert ended[length - 1]
        assert not (batch.terminated[i] & batch.truncated[i]).any()
        assert all(not value[i, length:].any() for value in arrays(batch).values())
        env = None
        for t in range(length):
            observation = batch.observations[i, t]
            if t == 0 or ended[t - 1]:
                size = family.env_kwargs["size"]
                kwargs = {**family.env_kwargs, "start": [int(observation) // size, int(observation) % size]}
                env = gym.make(family.env_id, **kwargs, **task, disable_env_checker=True)
                assert env.reset(seed=0)[0] == observation
            else:
                assert observation == batch.next_observations[i, t - 1]
            following, reward, terminated, truncated, _ = env.step(batch.actions[i, t])
            assert following == batch.next_observations[i, t]
            assert reward == batch.rewards[i, t]
            assert (terminated, truncated) == (batch.terminated[i, t], batch.truncated[i, t])


@each_source
def test_seeds_and_ids_give_different_histories(name, params):
    family = task_family("dark_room", start="random")
    source = make_source(name, **params)
    tasks = [family.tasks()[3]] * 8
    runs = [source.generate(family, tasks, np.arange(8) + 100 * k, 10, seed) for k, seed in [(0, 0), (1, 0), (0, 1)]]
    histories = np.concatenate([np.concatenate([run.actions, run.observations], axis=1) for run in runs])
    assert len(np.unique(histories, axis=0)) == 24
    # Random starts, too, are drawn per history: the environment's randomness is not shared.
    assert len(np.unique(np.concatenate([run.observations[:, ::20] for run in runs]), axis=0)) == 24


@each_source
def test_parameters_survive_json_and_rebuild_the_source(name, params):
    source = make_source(name, **params)
    again = make_source(source.name, **json.loads(json.dumps(source.params)))
    assert again.params == source.params
    assert set(params) < set(source.params)
    assert source.describe() == again.describe()


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("noise_curiculum", {}, "unknown source 'noise_curiculum': did you mean 'noise_curriculum'"),
        ("noise_curriculum", {"eps_strat": 1}, "did you mean 'eps_start'"),
        ("noise_curriculum", {"name": "x"}, "unknown noise_curriculum parameter 'name'"),
        ("noise_curriculum", {"noise": "unifrom"}, "did you mean 'uniform'"),
        ("noise_curriculum", {"schedule": "linaer"}, "did you mean 'linear'"),
        ("noise_curriculum", {"eps_start": 1.5}, "eps_start is 1.5; it must be a number from 0.0 to 1.0"),
        ("noise_curriculum", {"eps_end": "0.5"}, "eps_end is '0.5'"),
        ("noise_curriculum", {"decay_fraction": [0.6, 0.1]}, r"decay_fraction is \[0.6, 0.1\]"),
        ("noise_curriculum", {"decay_fraction": 0.5}, "must be a pair"),
        ("noise_curriculum", {"decay_fraction": [0.1, float("nan")]}, "decay_fraction"),
        ("noise_curriculum", {"hold": [0, 3]}, r"hold is \[0, 3\]"),
        ("noise_curriculum", {"hold": [1.5, 3]}, "hold is"),
        ("noise_curriculum", {"random_actions": []}, "random_actions is empty"),
        ("noise_curriculum", {"random_actions": [1.5]}, "an entry of random_actions is 1.5"),
        ("q_learning", {"learning_rate": 0}, "learning_rate is 0"),
        ("q_learning", {"discount": 1.1}, "discount is 1.1"),
        ("q_learning", {"initial_q": [1, 0]}, "initial_q"),
    ],
)
def test_bad_parameters_are_named(name, params, message):
    with pytest.raises(ValueError, match=message):
        make_source(name, **params)


def test_bad_requests_are_named():
    family = task_family("dark_room")
    source, tasks = make_source("q_learning"), family.tasks()[:2]
    with pytest.raises(ValueError, match=r"2 tasks and history_ids of shape \(3,\)"):
        source.generate(family, tasks, [0, 1, 2], 1, 0)
    with pytest.raises(ValueError, match="history id is -1"):
        source.generate(family, tasks, [0, -1], 1, 0)
    with pytest.raises(ValueError, match="num_episodes is 0"):
        source.generate(family, tasks, [0, 1], 0, 0)
    contexts = task_family("contextual_bandit", num_arms=2)
    with pytest.raises(ValueError, match=r"Discrete observations, .*contextual_bandit.* has Box\("):
        source.generate(contexts, contexts.sample(2), [0, 1], 1, 0)
    with pytest.raises(ValueError, match="random_actions lists 7"):
        make_source("noise_curriculum", random_actions=[1, 7]).generate(family, tasks, [0, 1], 1, 0)
