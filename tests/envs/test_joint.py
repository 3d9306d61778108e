"""Vector environments side by side: each slot goes as in its own part, whatever stands beside it."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.envs.joint import JointVectorEnv
from hf_icrl.envs.vector import true_info, true_next_observations
from hf_icrl.tasks import task_family

_FINAL = ("final_obs", "_final_obs", "final_info", "_final_info")


@st.composite
def bandit_parts(draw):
    """(family, tasks) of each part; tasks have fewer arms than their family, and horizons differ."""
    parts = []
    for number in range(draw(st.integers(1, 3))):
        family = task_family("bernoulli_bandit", num_arms=draw(st.integers(2, 6)), horizon=draw(st.integers(1, 4)))
        num = draw(st.integers(1, 3))
        parts.append((family, family.sample(num, seed=number, law="uniform", min_arms=1)))
    return parts


@st.composite
def word_parts(draw):
    """Rooms that differ in which words there are and in how many, whose episodes end at different times."""
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        words = draw(st.lists(st.integers(0, 24), min_size=1, max_size=6, unique=True))
        horizon, permuted = draw(st.integers(2, 4)), draw(st.booleans())
        family = task_family(
            "dark_room", size=3, horizon=horizon, terminate_on_goal=True, permuted=permuted, word_length=2, words=words
        )
        parts.append((family, family.sample(draw(st.integers(1, 3)), seed=1)))
    return parts


def same(joint, alone, own):
    """Is `alone` what the joint environment shows of the slots `own`, but for the mask?"""
    for name in set(alone) - {*_FINAL, "action_mask", "_action_mask"}:
        np.testing.assert_array_equal(joint[name][own], alone[name])
    ended = alone.get("_final_obs")
    if ended is None:
        assert "_final_obs" not in joint or not joint["_final_obs"][own].any()
        return
    assert joint["_final_obs"][own].tolist() == joint["_final_info"][own].tolist() == ended.tolist()
    for one, other in zip(joint["final_obs"][own], alone["final_obs"], strict=True):
        np.testing.assert_array_equal(one, other)
    for name in set(alone["final_info"]) - {"action_mask", "_action_mask"}:
        np.testing.assert_array_equal(joint["final_info"][name][own], alone["final_info"][name])


@settings(max_examples=60, deadline=None)
@given(bandit_parts() | word_parts(), st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_each_slot_goes_bit_for_bit_as_in_its_own_part(parts, seed, random):
    joint = JointVectorEnv([family.make_vec(tasks) for family, tasks in parts])
    alone = [family.make_vec(tasks) for family, tasks in parts]
    largest = max(family.num_actions for family, _ in parts)
    assert joint.num_envs == sum(len(tasks) for _, tasks in parts)
    assert joint.single_action_space == gym.spaces.Discrete(largest)
    seeds = [random.randrange(2**40) for _ in range(joint.num_envs)] if random.random() < 0.5 else seed
    slot_seeds = seeds if isinstance(seeds, list) else [seeds + i for i in range(joint.num_envs)]
    observations, infos = joint.reset(seed=seeds)
    for env, own in zip(alone, joint.slices, strict=True):
        alone_observations, alone_infos = env.reset(seed=slot_seeds[own])
        np.testing.assert_array_equal(observations[own], alone_observations)
        same(infos, alone_infos, own)
    for step in range(9):
        if step == 5:  # begin again in some of the slots
            chosen = np.array([random.random() < 0.5 for _ in range(joint.num_envs)])
            chosen[random.randrange(joint.num_envs)] = True
            observations, infos = joint.reset(options={"reset_mask": chosen})
            for env, own in zip(alone, joint.slices, strict=True):
                if chosen[own].any():
                    alone_observations, alone_infos = env.reset(options={"reset_mask": chosen[own]})
                    np.testing.assert_array_equal(observations[own], alone_observations)
                    same(infos, alone_infos, own)
        mask = infos["action_mask"]
        for (family, tasks), own in zip(parts, joint.slices, strict=True):
            usable = family.available_actions(tasks)
            usable = np.ones((len(tasks), family.num_actions), bool) if usable is None else usable
            np.testing.assert_array_equal(mask[own], np.pad(usable, [(0, 0), (0, largest - family.num_actions)]))
        actions = np.array([random.choice(np.flatnonzero(row).tolist()) for row in mask])
        observations, rewards, terminated, truncated, infos = joint.step(actions)
        np.testing.assert_array_equal(true_info(infos, "action_mask"), mask)
        true = true_next_observations(observations, infos)
        for env, own in zip(alone, joint.slices, strict=True):
            expected = env.step(actions[own])
            for one, other in zip((observations, rewards, terminated, truncated), expected, strict=False):
                assert one[own].dtype == other.dtype
                np.testing.assert_array_equal(one[own], other)
            same(infos, expected[4], own)
            np.testing.assert_array_equal(true[own], true_next_observations(expected[0], expected[4]))


def bandits(*num_arms, horizon=3):
    families = [task_family("bernoulli_bandit", num_arms=n, horizon=horizon) for n in num_arms]
    return JointVectorEnv([family.make_vec(family.sample(2, min_arms=2)) for family in families])


def test_an_action_that_a_slot_lacks_is_named_and_no_part_moves():
    family = task_family("bernoulli_bandit", num_arms=5, horizon=3)
    tasks = [{"means": [0.2, 0.7, 0.1]}, {"means": [0.5] * 5}]
    larger = task_family("bernoulli_bandit", num_arms=7, horizon=3)
    joint = JointVectorEnv([larger.make_vec([{"means": [0.5] * 7}]), family.make_vec(tasks)])
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        joint.step(np.zeros(3, int))
    with pytest.raises(ValueError, match="first reset must be of all"):
        joint.reset(options={"reset_mask": np.array([True, False, False])})
    joint.reset(seed=0)
    for actions, message in [
        ([6, 3, 0], "slot 1 was given action 3, but its environment has 3 actions now: 0 to 2"),
        ([6, 2, 5], "slot 2 was given action 5, but its environment has 5 actions now"),
        ([7, 0, 0], "slot 0 was given action 7, but its environment has 7 actions"),
        ([0, -1, 0], "slot 1 was given action -1"),
        ([0, 0], r"of shape \(3,\), one for each environment, got \(2,\)"),
        ([0.0, 0.0, 0.0], "must be integers, got float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            joint.step(np.array(actions))
    # After three good steps every episode ends: no part has counted a step that was refused.
    ends = [joint.step(np.array([6, 2, 4]))[3].tolist() for _ in range(3)]
    assert ends == [[False] * 3, [False] * 3, [True] * 3]


def test_parts_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="no vector environments to join"):
        JointVectorEnv([])
    room, larger = task_family("dark_room", size=3), task_family("dark_room", size=4)
    with pytest.raises(ValueError, match=r"observation space Discrete\(9\) and part 1 Discrete\(16\)"):
        JointVectorEnv([f.make_vec(f.tasks()[:1]) for f in (room, larger)])
    with pytest.raises(ValueError, match="part 1 resets itself in mode"):
        JointVectorEnv([room.make_vec(room.tasks()[:1]), gym.make_vec("CartPole-v1", num_envs=1)])
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    cars, pendulum = (
        gym.make_vec(name, num_envs=1, vectorization_mode="sync", vector_kwargs=same_step)
        for name in ("MountainCar-v0", "MountainCarContinuous-v0")
    )
    with pytest.raises(ValueError, match="they may differ in the number of discrete actions, and in nothing else"):
        JointVectorEnv([cars, pendulum])


def test_infos_that_only_some_give_are_marked_and_continuous_actions_pass():
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    joint = JointVectorEnv(
        [
            gym.make_vec("Pendulum-v1", num_envs=n, vectorization_mode="sync", vector_kwargs=same_step, g=g)
            for n, g in ((1, 9.0), (2, 10.0))
        ]
    )
    _, infos = joint.reset(seed=3)
    assert "action_mask" not in infos
    assert joint.step(np.zeros((3, 1), np.float32))[1].shape == (3,)
    # One part tells its regret, the other, which looks the same, does not.
    bandit = task_family("bernoulli_bandit", num_arms=2, horizon=1)
    silent = gym.make_vec("CartPole-v1", num_envs=1, vectorization_mode="sync", vector_kwargs=same_step)
    silent.single_observation_space = gym.spaces.Discrete(1)
    silent.reset = lambda **_: (np.zeros(1, np.int64), {})
    joint = JointVectorEnv([silent, bandit.make_vec(bandit.sample(1))])
    _, infos = joint.reset(seed=0)
    assert np.isnan(infos["regret"][0])
    assert infos["regret"][1] == 0.0
    assert infos["_regret"].tolist() == [False, True]


def test_closing_it_closes_the_parts():
    joint = bandits(3, 4)
    joint.close()
    assert all(part.closed for part in joint.parts)
