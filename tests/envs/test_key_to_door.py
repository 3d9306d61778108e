"""The scalar Key-to-Door, through `gymnasium.make`."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_icrl  # noqa: F401  (registers the environments)
from hf_icrl.envs import KeyToDoorEnv

ENV_ID = "hf_icrl/KeyToDoor-v0"


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"key": (2, 7), "door": (0, 0)},
        {"start_off_key": True, "horizon": 40},
        {"start": "center", "terminate_at_door": False, "observation": "row_col"},
        {"size": 3, "start": [2, 1], "key_in_observation": True, "horizon": 20},
        {"observation": "row_col", "key_in_observation": True, "render_mode": "rgb_array"},
    ],
)
def test_gymnasiums_checker_passes_without_a_warning(kwargs):
    env = gym.make(ENV_ID, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check="render_mode" not in kwargs)


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(2, 5),
    horizon=st.integers(1, 30),
    terminate=st.booleans(),
    same=st.booleans(),
    seed=st.integers(0, 2**40),
    actions=st.lists(st.integers(0, 4), min_size=30, max_size=30),
)
def test_an_episode_follows_the_rules(size, horizon, terminate, same, seed, actions):
    """Against a model that works with coordinates, a table of moves and a list of what is still to be found."""
    task = {"key": [1, 0], "door": [1, 0]} if same else {}
    env = KeyToDoorEnv(size=size, horizon=horizon, terminate_at_door=terminate, observation="row_col", **task)
    place, info = env.reset(seed=seed)
    assert info == {"has_key": False}
    moves = {0: (0, 0), 1: (-1, 0), 2: (0, 1), 3: (1, 0), 4: (0, -1)}
    to_find = [env.key, env.door]
    for t, action in enumerate(actions[:horizon]):
        place = np.clip(place + moves[action], 0, size - 1)
        observation, reward, terminated, truncated, info = env.step(action)
        found = bool(to_find) and place.tolist() == to_find[0]
        to_find = to_find[found:]
        assert observation.tolist() == place.tolist()
        assert reward == float(found)
        assert info == {"has_key": len(to_find) < 2}
        assert terminated == (found and not to_find and terminate)
        assert truncated == (t + 1 == horizon and not terminated)
        if terminated or truncated:
            with pytest.raises(gym.error.ResetNeeded, match="reset"):
                env.step(0)
            break


def played(env, actions):
    """Rewards, ends and key flags of one episode from reset(seed=0)."""
    env.reset(seed=0)
    steps = [env.step(action) for action in actions]
    return [s[1] for s in steps], [s[2] for s in steps], [s[4]["has_key"] for s in steps]


def test_the_door_pays_once_and_ends_the_episode_or_not():
    env = KeyToDoorEnv(key=[4, 5], door=[4, 3], start="center", terminate_at_door=False)
    # Past the door without the key, to the key, back to the door, away and to both again.
    rewards, terminated, has_key = played(env, [4, 2, 2, 4, 4, 2, 2, 4, 4])
    assert rewards == [0, 0, 1, 0, 1, 0, 0, 0, 0]
    assert has_key == [False, False] + [True] * 7
    assert not any(terminated)
    rewards, terminated, _ = played(KeyToDoorEnv(key=[4, 5], door=[4, 3], start="center"), [4, 2, 2, 4, 4])
    assert (rewards, terminated) == ([0, 0, 1, 0, 1], [False] * 4 + [True])


def test_a_start_on_the_key_takes_it_only_when_a_step_ends_there():
    task = {"key": [4, 4], "door": [4, 3], "start": "center"}
    assert played(KeyToDoorEnv(**task), [0, 4])[0] == [1, 1]
    assert played(KeyToDoorEnv(**task), [4, 2, 4])[0] == [0, 1, 1]


def test_a_key_at_the_door_takes_a_step_for_each():
    task = {"key": [4, 5], "door": [4, 5], "start": "center"}
    rewards, terminated, _ = played(KeyToDoorEnv(**task), [2, 0])
    assert (rewards, terminated) == ([1, 1], [False, True])


@pytest.mark.parametrize(("observation", "without", "with_key"), [("index", 41, 81 + 41), ("row_col", [4, 5], None)])
def test_the_key_is_seen_only_when_asked_for(observation, without, with_key):
    kwargs = {"key": [4, 5], "door": [0, 0], "start": [4, 5], "observation": observation}
    env = KeyToDoorEnv(**kwargs)
    assert np.array(env.reset(seed=0)[0]).tolist() == without
    assert np.array(env.step(0)[0]).tolist() == without
    env = KeyToDoorEnv(**kwargs, key_in_observation=True)
    first, second = env.reset(seed=0)[0], env.step(0)[0]
    assert np.array(first).tolist() == (without if observation == "index" else [4, 5, 0])
    assert np.array(second).tolist() == (with_key if observation == "index" else [4, 5, 1])
    assert first in env.observation_space
    assert second in env.observation_space


def test_without_a_task_a_seed_draws_one_of_all_pairs_and_it_stays():
    env = KeyToDoorEnv(size=2)
    tasks = []
    for seed in range(300):
        env.reset(seed=seed)
        tasks.append((*env.key, *env.door))
        env.reset()
        assert (*env.key, *env.door) == tasks[-1]
    env.reset(seed=17)
    assert (*env.key, *env.door) == tasks[17]
    cells = [(r, c) for r in range(2) for c in range(2)]
    counts = [tasks.count((*key, *door)) for key in cells for door in cells if key != door]
    assert sum(counts) == 300  # never both in one cell
    # Binomial(300, 1/12): mean 25, standard deviation 4.8.
    assert min(counts) > 25 - 5 * 4.8
    assert max(counts) < 25 + 5 * 4.8


@pytest.mark.parametrize("off_key", [False, True])
def test_random_starts_are_uniform_over_the_cells_they_may_be_in(off_key):
    env = KeyToDoorEnv(size=3, key=[1, 2], door=[0, 0], start_off_key=off_key)
    env.reset(seed=3)
    starts = [int(env.reset()[0]) for _ in range(1800)]
    counts = np.bincount(starts, minlength=9)
    allowed = np.ones(9, dtype=bool)
    allowed[5] = not off_key
    assert (counts[~allowed] == 0).all()
    # 200 or 225 are expected in each cell, with a standard deviation below 14.
    assert np.abs(counts[allowed] - 1800 / allowed.sum()).max() < 5 * 14
    env.reset(seed=3)
    assert [int(env.reset()[0]) for _ in range(1800)] == starts


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"key": (9, 0), "door": (0, 0)}, r"key \[9, 0\] is outside the room of size 9"),
        ({"key": (0, 0), "door": (0, -1)}, r"door \[0, -1\] is outside the room of size 9"),
        ({"key": (1, 2)}, "key is given but door is not"),
        ({"door": (1, 2)}, "door is given but key is not"),
        ({"start": "center", "start_off_key": True}, "start_off_key is true and start is 'center'"),
        ({"start": "rnadom"}, "did you mean 'random'"),
        ({"size": 1}, "size is 1"),
        ({"horizon": 0}, "horizon is 0"),
        ({"terminate_at_door": "no"}, "terminate_at_door is 'no'"),
        ({"key_in_observation": 1}, "key_in_observation is 1"),
        ({"observation": "rowcol"}, "did you mean 'row_col'"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        KeyToDoorEnv(**kwargs)


def test_pictures_show_key_door_agent_and_what_changes():
    env = gym.make(ENV_ID, key=(4, 6), door=(2, 6), start="center", terminate_at_door=False, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape[0] == first.shape[1] >= 200
    assert first.shape[0] % 2 == 0  # h264 wants even sides
    cell = first.shape[0] // 10  # nine cells and half a cell of wall on either side

    def region(frame, row, col):
        """The middle half of a cell."""
        low, high = 0.75, 1.25
        return frame[
            int((row + low) * cell) : int((row + high) * cell), int((col + low) * cell) : int((col + high) * cell)
        ]

    def golden(frame, row, col):
        red, _, blue = region(frame, row, col).reshape(-1, 3).astype(int).T
        return ((red > 220) & (blue < 120)).any()

    assert golden(first, 4, 6)
    assert not golden(first, 4, 4)
    red, green, blue = region(first, 2, 6).reshape(-1, 3).mean(axis=0)
    assert red > green > blue  # the door is brown
    for action in (2, 2, 4):
        env.step(action)
    later = env.render()
    assert golden(later, 4, 5)  # the agent carries the key
    assert not golden(later, 4, 6)  # which lies there no more
    for action in (2, 1, 1, 4):
        env.step(action)
    assert region(env.render(), 2, 6).mean() > region(later, 2, 6).mean() + 50  # the door stands open
    env.reset()
    assert (env.render() == first).all()
