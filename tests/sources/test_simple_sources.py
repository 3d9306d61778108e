"""The two sources that never learn: uniformly random actions and the oracle."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family

families = st.one_of(
    st.builds(
        lambda **kwargs: task_family("dark_room", **kwargs),
        size=st.integers(2, 5),
        start=st.sampled_from(["center", "random", "corner"]),
        horizon=st.integers(1, 7),
        terminate_on_goal=st.booleans(),
    ),
    st.builds(
        lambda **kwargs: task_family("bernoulli_bandit", **kwargs),
        num_arms=st.integers(1, 6),
        horizon=st.integers(1, 5),
    ),
)


def some_tasks(family, count, random):
    """Tasks, with repetitions; those of bandits have different numbers of arms."""
    pool = family.sample(20, 0, min_arms=1) if family.name == "bernoulli_bandit" else family.tasks()
    return [random.choice(pool) for _ in range(count)]


@pytest.mark.parametrize(("name", "columns"), [("uniform", ("log_probs", "optimal_actions")), ("oracle", ())])
@settings(max_examples=25, deadline=None)
@given(
    family=families,
    seed=st.integers(0, 2**40),
    ids=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
    episodes=st.integers(1, 4),
    random=st.randoms(use_true_random=False),
)
def test_a_history_depends_on_seed_id_and_task_alone(name, columns, family, seed, ids, episodes, random):
    tasks, source = some_tasks(family, len(ids), random), make_source(name)
    whole = source.generate(family, tasks, ids, episodes, seed, columns)
    part = random.sample(range(len(ids)), random.randint(1, len(ids)))
    mine = source.generate(family, [tasks[i] for i in part], np.array(ids)[part], episodes, seed, columns)
    assert mine.lengths.tolist() == whole.lengths[part].tolist()
    assert mine.actions.dtype == np.int64
    for row, (i, length) in enumerate(zip(part, mine.lengths, strict=True)):
        for a, b in [(mine.actions, whole.actions), (mine.observations, whole.observations)]:
            assert a[row, :length].tobytes() == b[i, :length].tobytes()
        for column in columns:
            assert mine.optional[column][row, :length].tobytes() == whole.optional[column][i, :length].tobytes()


def test_the_oracle_earns_the_oracle_return():
    family = task_family("dark_room", start="corner")
    tasks = family.tasks()
    batch = make_source("oracle").generate(family, tasks, np.arange(len(tasks)), 3, 0, ("optimal_actions",))
    returns = batch.rewards.reshape(len(tasks), 3, family.horizon).sum(axis=2)
    assert (returns == np.array([[family.oracle_return(task)] for task in tasks])).all()
    assert (batch.actions == batch.optional["optimal_actions"]).all()


def test_uniform_actions_earn_the_random_return():
    family = task_family("dark_room")
    tasks = family.tasks()
    episodes = 200
    batch = make_source("uniform").generate(family, tasks, np.arange(len(tasks)), episodes, 0)
    returns = batch.rewards.reshape(len(tasks), episodes, family.horizon).sum(axis=2)
    expected = np.mean([family.random_return(task) for task in tasks])
    # 16000 independent episodes; five standard errors.
    assert returns.mean() == pytest.approx(expected, abs=float(5 * returns.std() / returns.size**0.5))


def test_uniform_actions_are_uniform_over_the_arms_that_a_task_has():
    family = task_family("bernoulli_bandit", num_arms=7, horizon=300)
    tasks = [{"means": [0.5] * arms} for arms in (1, 2, 5, 7)]
    batch = make_source("uniform").generate(family, tasks, np.arange(4), 20, 0, ("log_probs",))
    for actions, log_probs, task in zip(batch.actions, batch.optional["log_probs"], tasks, strict=True):
        arms = len(task["means"])
        shares = np.bincount(actions, minlength=7) / len(actions)
        # 6000 draws: a share has a standard error of at most 0.5 / sqrt(6000).
        assert shares == pytest.approx([1 / arms] * arms + [0] * (7 - arms), abs=5 * 0.5 / 6000**0.5)
        assert (log_probs == np.float32(-np.log(arms))).all()


def test_uniform_actions_within_the_bounds_of_a_box():
    family = task_family("gymnasium", env="Pendulum-v1", horizon=100)
    tasks = family.sample(tasks=[{"g": 10.0}]) * 40
    batch = make_source("uniform").generate(family, tasks, np.arange(40), 1, 0, ("log_probs",))
    assert batch.actions.dtype == np.float32
    assert batch.actions.shape == (40, 100, 1)
    drawn = np.sort(batch.actions.ravel())
    # Kolmogorov-Smirnov with 4000 draws: a distance above 2.23 / sqrt(4000) has a probability of 1e-4.
    assert np.abs((drawn + 2) / 4 - np.linspace(0, 1, len(drawn))).max() < 2.23 / 4000**0.5
    assert np.abs(np.corrcoef(batch.actions[..., 0])[np.triu_indices(40, 1)]).max() < 0.5  # five standard errors
    assert (batch.optional["log_probs"] == np.float32(-np.log(4))).all()
    half = make_source("uniform").generate(family, tasks[:20], np.arange(20, 40), 1, 0)
    assert (half.actions == batch.actions[20:]).all()


class Dials(gym.Env):
    """Two dials to turn, of 2 and 5 positions; or two numbers without bounds."""

    def __init__(self, bounded=True):
        self.observation_space = gym.spaces.Discrete(2)
        self.action_space = gym.spaces.MultiDiscrete([2, 5])
        if not bounded:
            self.action_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        assert self.action_space.contains(action)
        return 0, 0.0, False, False, {}


@pytest.fixture
def dials():
    gym.register("HfIcrlTestDials-v0", entry_point=Dials, max_episode_steps=50)
    yield "HfIcrlTestDials-v0"
    del gym.registry["HfIcrlTestDials-v0"]


def test_uniform_actions_of_several_numbers(dials):
    family = task_family("gymnasium", env=dials, horizon=50)
    tasks = family.sample(tasks=[{"bounded": True}]) * 40
    batch = make_source("uniform").generate(family, tasks, np.arange(40), 1, 0, ("log_probs",))
    assert batch.actions.shape == (40, 50, 2)
    shares = np.bincount(batch.actions[..., 0].ravel() * 5 + batch.actions[..., 1].ravel()) / 2000
    assert shares == pytest.approx([0.1] * 10, abs=5 * 0.3 / 2000**0.5)  # five standard errors
    assert (batch.optional["log_probs"] == np.float32(-np.log(10))).all()


def test_what_cannot_be_served_is_named(dials):
    family = task_family("gymnasium", env=dials, horizon=50)
    tasks = family.sample(tasks=[{"bounded": False}])
    with pytest.raises(ValueError, match=r"uniform needs actions with finite bounds, .* Box\(-inf, inf"):
        make_source("uniform").generate(family, tasks, [0], 1, 0)
    with pytest.raises(ValueError, match="has no demonstrator"):
        make_source("oracle").generate(family, tasks, [0], 1, 0)
    with pytest.raises(ValueError, match="unknown oracle parameter 'eps'"):
        make_source("oracle", eps=0.1)
    assert make_source("uniform").params == make_source("oracle").params == {}
    assert "uniformly" in make_source("uniform").describe()
    assert "optimal" in make_source("oracle").describe()
