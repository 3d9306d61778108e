"""Any gymnasium environment as a task family: against gymnasium itself, and through histories into a model."""

import json
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_icrl
from hf_icrl.envs import true_next_observations
from hf_icrl.envs.gymnasium_env import GymnasiumEnv, GymnasiumVectorEnv
from hf_icrl.envs.gymnasium_spaces import shown_actions, shown_observations
from hf_icrl.histories.spaces import space_to_spec
from hf_icrl.splits import task_key
from hf_icrl.tasks import task_family

ENV_ID = "hf_icrl/Gymnasium-v0"
# Environment -> (family arguments, what varies, the change made by hand on gymnasium's own environment).
KNOWN = {
    "CartPole-v1": ({}, {"length": [0.3, 0.8], "gravity": [7.0, 12.0]}),
    "FrozenLake-v1": ({"horizon": 12}, {"is_slippery": {"choices": [True, False]}, "map_name": {"choices": ["4x4"]}}),
    "Acrobot-v1": ({"horizon": 15}, {"LINK_LENGTH_1": [0.5, 1.5]}),
    "Pendulum-v1": ({"horizon": 10}, {"g": [5.0, 10.0], "m": [0.5, 2.0]}),
}


class Dictionary(gym.Env):
    """Observes a dict, numbers actions from 3, and says who it is."""

    def __init__(self, size=2):
        self.observation_space = spaces.Dict(
            {"place": spaces.Discrete(3, start=5), "speed": spaces.Box(-1, 1, (size,))}
        )
        self.action_space = spaces.Discrete(4, start=3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return {"place": 5 + action % 3, "speed": np.zeros(2, np.float32)}, action, True, True, {}


class Unlimited(Dictionary):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Sequence(spaces.Discrete(2))


for name, entry_point in {"Dictionary-v0": Dictionary, "Unlimited-v0": Unlimited}.items():
    gym.register(f"hf_icrl_tests/{name}", entry_point=entry_point)


def known(env, num=2, seed=0):
    arguments, vary = KNOWN[env]
    family = task_family("gymnasium", env=env, **arguments)
    return family, family.sample(num, seed=seed, vary=vary)


def by_hand(env, horizon, task):
    """What the task means, on gymnasium's own environment."""
    if env == "FrozenLake-v1":
        return gym.make(env, max_episode_steps=horizon, **task)
    if env == "Pendulum-v1":
        made = gym.make(env, max_episode_steps=horizon, g=task["g"])
        made.unwrapped.m = task["m"]
        return made
    made = gym.make(env, max_episode_steps=horizon)
    for key, value in task.items():
        setattr(made.unwrapped, key, value)
    if env == "CartPole-v1":
        made.unwrapped.polemass_length = 0.1 * task["length"]
    return made


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(KNOWN)),
    st.lists(st.integers(0, 2**70), min_size=1, max_size=3),
    st.integers(0, 100),
    st.integers(1, 60),
    st.data(),
)
def test_scalar_and_vector_do_what_gymnasium_does_with_the_changed_values(env, seeds, draw, steps, data):
    """Step by step and bit by bit, same-step autoresets included; a slot's neighbours change nothing."""
    family, tasks = known(env, seed=draw)
    tasks = [tasks[i % 2] for i in range(len(seeds))]
    vector = family.make_vec(tasks)
    shown, _ = vector.reset(seed=seeds)
    originals = [by_hand(env, family.horizon, task) for task in tasks]
    scalars = [family.make(task) for task in tasks]
    now = [made.reset(seed=seed)[0] for made, seed in zip(originals, seeds, strict=True)]
    for scalar, seed in zip(scalars, seeds, strict=True):
        scalar.reset(seed=seed)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for _ in range(steps):
        assert np.array_equal(shown, np.stack(now))
        if family.num_actions is None:
            actions = rng.uniform(-2, 2, (len(seeds), 1)).astype(np.float32)
        else:
            actions = rng.integers(family.num_actions, size=len(seeds))
        shown, rewards, terminated, truncated, infos = vector.step(actions)
        assert rewards.dtype == np.float32
        true_next = true_next_observations(shown, infos)
        for i, original in enumerate(originals):
            expected = original.step(actions[i])
            scalar = scalars[i].step(actions[i])
            assert np.array_equal(true_next[i], expected[0])
            assert np.array_equal(scalar[0], expected[0])
            assert rewards[i] == np.float32(expected[1]) == np.float32(scalar[1])
            ends = (expected[2], expected[3] and not expected[2])
            assert (terminated[i], truncated[i]) == ends == scalar[2:4]
            now[i] = original.reset()[0] if any(ends) else expected[0]
            if any(ends):
                assert np.array_equal(scalars[i].reset()[0], now[i])
    vector.close()


def test_what_cartpole_derives_from_its_values_follows_them():
    """One step of the published equations of motion with a long heavy pole, against the environment."""
    task = {"length": 1.1, "masspole": 0.7, "masscart": 2.0, "gravity": 5.0, "force_mag": 20.0}
    env = task_family("gymnasium", env="CartPole-v1").make(task)
    (x, x_dot, theta, theta_dot), _ = env.reset(seed=4)
    total, moment = 2.7, 0.7 * 1.1
    sin, cos = np.sin(float(theta)), np.cos(float(theta))
    temp = (20.0 + moment * float(theta_dot) ** 2 * sin) / total
    angular = (5.0 * sin - cos * temp) / (1.1 * (4 / 3 - 0.7 * cos**2 / total))
    linear = temp - moment * angular * cos / total
    expected = [x + 0.02 * x_dot, x_dot + 0.02 * linear, theta + 0.02 * theta_dot, theta_dot + 0.02 * angular]
    assert env.step(1)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("env", sorted(KNOWN))
def test_the_environment_passes_gymnasiums_own_checks(env):
    family, (task, _) = known(env)
    with warnings.catch_warnings(action="ignore"):  # CartPole's observations have no bounds, which it warns about
        check_env(family.make(task).unwrapped, skip_render_check=True)
    vector = family.make_vec([task])
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    space_to_spec(vector.single_observation_space)
    space_to_spec(vector.single_action_space)


@pytest.mark.parametrize("env", sorted(KNOWN))
def test_a_family_and_its_environments_are_rebuilt_from_json(env):
    family, tasks = known(env)
    text = json.dumps({"kwargs": family.env_kwargs, "tasks": tasks})
    again = task_family(family.env_id, **json.loads(text)["kwargs"])
    assert again.env_kwargs == family.env_kwargs
    for task in json.loads(text)["tasks"]:
        a = gym.make(ENV_ID, **family.env_kwargs, **task)
        b = again.make(task)
        assert np.array_equal(a.reset(seed=1)[0], b.reset(seed=1)[0])
    assert family.oracle_return(tasks[0]) is None
    assert family.random_return(tasks[0]) is None


@pytest.mark.parametrize("env", sorted(KNOWN))
def test_histories_of_it_train_a_model(env, tmp_path):
    """The whole way: collect, windows, loss; Pendulum's actions are numbers."""
    family, tasks = known(env)
    ppo = {"kwargs": {"n_steps": 10, "batch_size": 10, "n_epochs": 1}}
    source, params = {
        "CartPole-v1": ("stable_baselines3", ppo),
        "FrozenLake-v1": ("q_learning", {}),
        "Acrobot-v1": ("uniform", {}),
        "Pendulum-v1": ("stable_baselines3", ppo),
    }[env]
    collection = hf_icrl.collect(
        family,
        source,
        source_params=params,
        output_dir=tmp_path / "dataset",
        population={"tasks": tasks},
        held_out=[tasks[1]],
        histories_per_task=2,
        episodes=3,
        progress=False,
    )
    assert collection.info["tasks"] == {"train": tasks[:1], "validation": [], "held_out": tasks[1:]}
    assert collection.dataset[0]["task"] == tasks[0]
    windows = hf_icrl.HistoryWindows(collection.dataset, length=8, num_windows=4, seed=0)
    config = hf_icrl.AlgorithmDistillationConfig(
        observation_space=collection.info["observation_space"],
        action_space=collection.info["action_space"],
        context_length=8,
        trunk_config={"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2},
    )
    model = hf_icrl.AlgorithmDistillationModel(config)
    batch = {key: torch.stack([torch.from_numpy(w[key]) for w in windows]) for key in windows[0]}
    output = model(**batch)
    output.loss.backward()
    assert torch.isfinite(output.loss)
    result = hf_icrl.rollout(model, family.make_vec(tasks), num_episodes=1)
    assert np.isfinite(result.returns).all()


values = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(-5, 5)).map(lambda p: spaces.Discrete(p[0], start=p[1])),
    st.lists(st.tuples(st.integers(1, 5), st.integers(-3, 3)), min_size=1, max_size=3).map(
        lambda ps: spaces.MultiDiscrete([n for n, _ in ps], start=[s for _, s in ps])
    ),
    st.just(spaces.MultiDiscrete([[2, 3], [4, 5]])),
    st.sampled_from([spaces.MultiBinary(3), spaces.MultiBinary((2, 2))]),
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8]).flatmap(
        lambda dtype: st.sampled_from([(), (2,), (2, 3)]).map(lambda shape: spaces.Box(0, 9, shape, dtype))
    ),
)


@settings(max_examples=100, deadline=None)
@given(values, st.integers(0, 2**32 - 1))
def test_values_are_shown_in_a_space_that_histories_hold_and_actions_lead_back(space, seed):
    space.seed(seed)
    value = space.sample()
    shown_space, show = shown_observations(space)
    assert shown_space.contains(show(value))
    action_space, own = shown_actions(space)
    assert action_space == shown_space
    space_to_spec(shown_space)
    back = own(show(value))
    assert space.contains(back)
    # Sampled floats of float64 are not all float32 numbers; everything else comes back as it was.
    assert np.allclose(back, value, rtol=1e-6, atol=0)
    if space.dtype != np.float64:
        assert np.array_equal(back, value)


@settings(max_examples=30, deadline=None)
@given(st.recursive(values, lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda s: spaces.Tuple(s))))
def test_tuples_are_flattened_into_one_box(space):
    shown_space, show = shown_observations(space)
    assert shown_space.contains(show(space.sample()))
    space_to_spec(shown_space)


def test_a_dict_is_flattened_and_actions_are_renumbered_from_0():
    env = GymnasiumEnv("hf_icrl_tests/Dictionary-v0", horizon=1)
    assert env.action_space == spaces.Discrete(4)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    observation, reward, terminated, truncated, _ = env.step(2)
    assert reward == 5
    assert observation.tolist() == [0, 0, 1, 0, 0]  # place 5 + 5 % 3 = 7 is the third, then the speed
    # It terminated on the last step of its time limit.
    assert (terminated, truncated) == (True, False)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**40))
def test_samples_are_different_reproducible_and_one_is_the_beginning_of_a_longer_one(few, more, seed):
    family = task_family("gymnasium", env="CartPole-v1")
    vary = {"length": [0.3, 0.8], "force_mag": [5, 12], "kinematics_integrator": {"choices": ["euler", "semi"]}}
    tasks = family.sample(few + more, seed=seed, vary=vary)
    assert family.sample(few, seed=seed, vary=vary) == tasks[:few]
    assert len({task_key(task) for task in tasks}) == few + more
    for task in tasks:
        assert 0.3 <= task["length"] <= 0.8
        assert type(task["force_mag"]) is int
        assert 5 <= task["force_mag"] <= 12
        assert task["kinematics_integrator"] in ("euler", "semi")
    train, held_out = family.split(seed=seed, held_out=0.2, population={"num": few + more, "seed": seed, "vary": vary})
    assert sorted(map(task_key, train + held_out)) == sorted(map(task_key, tasks))


def test_a_finite_law_gives_all_its_tasks_and_its_values_are_uniform():
    family = task_family("gymnasium", env="CartPole-v1")
    tasks = family.sample(8, vary={"force_mag": [5, 12]})
    assert sorted(task["force_mag"] for task in tasks) == list(range(5, 13))
    lengths = [task["length"] for task in family.sample(2000, vary={"length": [0.0, 1.0]})]
    # The standard error of the mean of 2000 uniform numbers is 0.0065, of their standard deviation 0.0029.
    assert np.mean(lengths) == pytest.approx(0.5, abs=0.03)
    assert np.std(lengths) == pytest.approx(12**-0.5, abs=0.015)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "CartPol-v1"}, "unknown gymnasium environment 'CartPol-v1': did you mean 'CartPole-v1'"),
        ({}, "the task family 'gymnasium' needs the argument 'env'"),
        ({"env": 3}, "env is 3; it must be a gymnasium id"),
        ({"env": "no_such_module:Env-v0"}, "'no_such_module:Env-v0' names Python code that would be run"),
        ({"env": "CartPole-v1", "horizon": 0}, "horizon is 0"),
        ({"env": "CartPole-v1", "kwargs": {"lenght": 1}}, r"gymnasium.make\('CartPole-v1', lenght=1\) failed"),
        ({"env": "CartPole-v1", "kwargs": {"render_mode": "human"}}, "'render_mode', which is no argument"),
        ({"env": "CartPole-v1", "kwargs": [1]}, r"kwargs is \[1\]; it must be a dict"),
        ({"env": "hf_icrl_tests/Dictionary-v0"}, "has no time limit of its own"),
        ({"env": "CartPole-v1", "horizn": 3}, "unknown gymnasium argument 'horizn': did you mean 'horizon'"),
    ],
)
def test_bad_families_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        task_family("gymnasium", **arguments)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({}, "at least one entry"),
        ({"lenght": 0.4}, "CartPole-v1 has no value 'lenght' that a task could set: did you mean 'length'"),
        ({"length": "long"}, "the task sets 'length' to 'long'; it must be a value like 0.5"),
        ({"length": True}, "a value like 0.5"),
        ({"length": float("nan")}, "a value like 0.5"),
        ({"total_mass": 2.0}, "no value 'total_mass'"),
        ({"step": 2.0}, "no value 'step'"),
        ({"sutton_barto_reward": True}, "'sutton_barto_reward', which kwargs fixes to False"),
        ({"horizon": 3}, "no value 'horizon'"),
    ],
)
def test_bad_tasks_are_refused(task, message):
    family = task_family("gymnasium", env="CartPole-v1", kwargs={"sutton_barto_reward": False})
    with pytest.raises(ValueError, match=message):
        family.make(task)
    if task and "horizon" not in task:
        with pytest.raises(ValueError, match=message):
            GymnasiumEnv(**family.env_kwargs, **task)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "does not know which of its values should vary"),
        ({"vary": {"lenght": [0.1, 0.2]}}, "did you mean 'length'"),
        ({"vary": {"length": [0.2, 0.1]}}, r"vary\['length'\] is \[0.2, 0.1\]; it must be a range"),
        ({"vary": {"length": [0.1, 0.2, 0.3]}}, "it must be a range"),
        ({"vary": {"length": {"choices": []}}}, "it must be a range"),
        ({"vary": {}}, "vary is {}; it must be a dict"),
        ({"num": 9, "vary": {"force_mag": [5, 12]}}, "makes only 8 different tasks"),
        ({"num": 3, "tasks": [{"length": 0.4}]}, "beside num or vary"),
        ({"tasks": []}, r"tasks is \[\]"),
        ({"tasks": [{"length": 0.4}, {"length": 0.4}]}, "is listed twice"),
        ({"tasks": [{"length": 0.4}, {"gravity": 9.0}]}, "have the same entries"),
    ],
)
def test_bad_samples_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        task_family("gymnasium", env="CartPole-v1").sample(**arguments)


def test_what_the_environment_itself_refuses_is_named():
    family = task_family("gymnasium", env="FrozenLake-v1")
    with pytest.raises(ValueError, match=r"gymnasium.make\('FrozenLake-v1', map_name='9x9'\) failed: KeyError"):
        family.make({"map_name": "9x9"})
    with pytest.raises(ValueError, match=r"is Discrete\(64\), that of the first one is Discrete\(16\)"):
        family.make_vec([{"map_name": "4x4"}, {"map_name": "8x8"}])
    with pytest.raises(ValueError, match="length has 3 values for 2 environments"):
        GymnasiumVectorEnv(2, "CartPole-v1", length=[0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"Sequence.* has no form of fixed size"):
        GymnasiumEnv("hf_icrl_tests/Unlimited-v0", horizon=3)
    with pytest.raises(ValueError, match=r"Dict.* has no place in a learning history"):
        shown_actions(spaces.Dict({"a": spaces.Discrete(2)}))


def test_masked_resets_and_drawing_are_gymnasiums_own():
    vector = gym.make_vec(ENV_ID, 2, env="CartPole-v1", length=np.array([0.3, 0.6]), gravity=9.0)
    plain = gym.make_vec(ENV_ID, 2, env="CartPole-v1", length=np.array([0.3, 0.6]), gravity=9.0)
    vector.reset(seed=[1, 2])
    plain.reset(seed=[1, 2])
    options = {"reset_mask": np.array([False, True])}
    observations, _ = vector.reset(seed=[None, 7], options=options)
    assert list(options) == ["reset_mask"]
    assert observations[1].tolist() == plain.reset(seed=[1, 7])[0][1].tolist()
    assert vector.step(np.array([1, 1]))[0].tolist() == plain.step(np.array([1, 1]))[0].tolist()
    with pytest.raises(ValueError, match="selects no environment"):
        vector.reset(options={"reset_mask": np.zeros(2, bool)})
    lake = task_family("gymnasium", env="FrozenLake-v1").make({"is_slippery": False}, render_mode="ansi")
    lake.reset(seed=0)
    assert "FFF" in lake.render()


def test_a_report_on_an_environment_that_cannot_be_drawn_here_has_no_replay(tmp_path, monkeypatch, caplog):
    """CartPole draws with pygame, which finds out only when it is asked for a picture."""
    monkeypatch.setitem(sys.modules, "pygame", None)
    family, tasks = known("CartPole-v1")
    specs = family.make_vec(tasks)
    config = hf_icrl.AlgorithmDistillationConfig(
        observation_space=space_to_spec(specs.single_observation_space),
        action_space=space_to_spec(specs.single_action_space),
        context_length=8,
        trunk_config={"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2},
    )
    report = hf_icrl.evaluate(
        hf_icrl.AlgorithmDistillationModel(config), family, tasks, episodes=2, seeds=1, last_episodes=1, progress=False
    )
    report.save(tmp_path)
    assert report["normalized_return"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning_curve.png", "report.json"]
    assert "no replay.mp4: hf_icrl/Gymnasium-v0 cannot be drawn (pygame is not installed" in caplog.text


def test_a_model_card_prints_the_arguments_that_make_the_family():
    from hf_icrl.model_cards import usage_snippet

    family, tasks = known("Acrobot-v1")
    code = usage_snippet("some/model", family.name, family.env_kwargs, tasks)
    line = next(line for line in code.splitlines() if line.startswith("family = "))
    assert line == 'family = hf_icrl.task_family("gymnasium", env="Acrobot-v1", horizon=15)'
    assert eval(line.removeprefix("family = ")).env_kwargs == family.env_kwargs
