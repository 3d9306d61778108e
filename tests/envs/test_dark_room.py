"""The scalar DarkRoom, through `gymnasium.make`."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_icrl  # noqa: F401  (registers the environments)
from hf_icrl.envs import DarkRoomEnv

ENV_ID = "hf_icrl/DarkRoom-v0"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"goal": (2, 7)},
        {},
        {"size": 5, "goal": [0, 0], "start": "random", "horizon": 7},
        {"start": "corner", "observation": "row_col", "terminate_on_goal": True},
        {"size": 3, "start": [2, 1], "observation": "row_col", "render_mode": "rgb_array"},
        {"observation": "one_hot", "permuted": True},
        {"observation": "image", "size": 5, "observation_size": 13, "start": "random"},
        {"observation": "row_col", "observation_size": 13, "action_permutation": [4, 0, 1, 2, 3]},
        {"word_length": 3, "words": "sliced", "permuted": True, "render_mode": "rgb_array"},
    ],
)
def test_gymnasiums_checker_passes_without_a_warning(kwargs):
    env = gym.make(ENV_ID, **kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check="render_mode" not in kwargs)


@pytest.mark.parametrize(
    ("action", "cell"), [(0, (4, 4)), (1, (3, 4)), (2, (4, 5)), (3, (5, 4)), (4, (4, 3))], ids=str
)
def test_actions_are_stay_up_right_down_left(action, cell):
    env = DarkRoomEnv(goal=[0, 0])
    assert env.reset(seed=0) == (40, {})
    observation, *_ = env.step(action)
    assert observation == cell[0] * 9 + cell[1]
    assert observation in env.observation_space


@pytest.mark.parametrize(
    ("start", "actions"), [([0, 0], (1, 4)), ([2, 2], (2, 3)), ([0, 2], (1, 2)), ([2, 0], (3, 4))]
)
def test_walls_clip(start, actions):
    env = DarkRoomEnv(size=3, goal=[1, 1], start=start, observation="row_col")
    env.reset(seed=0)
    for action in actions:
        assert env.step(action)[0].tolist() == start


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(2, 12),
    horizon=st.integers(1, 30),
    terminate=st.booleans(),
    seed=st.integers(0, 2**40),
    actions=st.lists(st.integers(0, 4), min_size=30, max_size=30),
)
def test_an_episode_follows_the_rules(size, horizon, terminate, seed, actions):
    """Against a model that works with coordinates and a table of moves."""
    env = DarkRoomEnv(size=size, start="random", horizon=horizon, terminate_on_goal=terminate, observation="row_col")
    place = env.reset(seed=seed)[0]
    moves = {0: (0, 0), 1: (-1, 0), 2: (0, 1), 3: (1, 0), 4: (0, -1)}
    for t, action in enumerate(actions[:horizon]):
        place = np.clip(place + moves[action], 0, size - 1)
        observation, reward, terminated, truncated, info = env.step(action)
        reached = place.tolist() == env.goal
        assert observation.tolist() == place.tolist()
        assert reward == float(reached)
        assert terminated == (reached and terminate)
        assert truncated == (t + 1 == horizon and not terminated)
        assert info == {}
        if terminated or truncated:
            with pytest.raises(gym.error.ResetNeeded, match="reset"):
                env.step(0)
            break


@pytest.mark.parametrize("size", [3, 5, 9, 10, 13, 17])
def test_rooms_of_the_published_sizes_have_their_starts(size):
    for start, cell in [("center", size // 2 * (size + 1)), ("corner", 0)]:
        env = DarkRoomEnv(size=size, start=start)
        assert env.reset(seed=0)[0] == cell
        assert env.observation_space.n == size * size


def test_the_four_observations_show_the_same_cell_and_never_the_goal():
    for size, shared in [(4, None), (4, 4), (4, 6)]:
        side = shared or size
        for state in range(size * size):
            row, col = divmod(state, size)
            seen = {}
            for kind in ("index", "row_col", "one_hot", "image"):
                frames = []
                for goal in ([0, 0], [3, 2]):
                    env = DarkRoomEnv(
                        size=size, goal=goal, start=[row, col], observation=kind, observation_size=shared
                    )
                    frames.append(env.reset(seed=0)[0])
                    assert frames[-1] in env.observation_space
                assert np.array_equal(*frames)
                seen[kind] = frames[0]
            assert seen["index"] == row * side + col
            assert seen["row_col"].tolist() == [row, col]
            assert seen["one_hot"].dtype == np.float32
            assert seen["one_hot"].tolist() == [float(i == row * side + col) for i in range(side * side)]
            expected = np.zeros((side, side, 3), dtype=np.uint8)
            expected[:size, :size] = 255
            expected[row, col] = [255, 0, 0]
            assert seen["image"].dtype == np.uint8
            assert (seen["image"] == expected).all()


def test_rooms_of_different_sizes_can_share_an_observation_space():
    for kind in ("index", "row_col", "one_hot", "image"):
        spaces = [DarkRoomEnv(size=s, observation=kind, observation_size=13).observation_space for s in (5, 9, 13)]
        assert spaces[0] == spaces[1] == spaces[2] == DarkRoomEnv(size=13, observation=kind).observation_space


def test_a_smaller_room_keeps_its_walls_in_a_larger_observation():
    env = DarkRoomEnv(size=3, goal=[0, 0], observation="row_col", observation_size=9)
    assert env.reset(seed=0)[0].tolist() == [1, 1]
    for action in (2, 2, 3, 3, 3):
        place = env.step(action)[0]
    assert place.tolist() == [2, 2]


def test_an_action_makes_the_move_that_its_permutation_names():
    permutation = [3, 0, 4, 1, 2]
    for action, move in enumerate(permutation):
        permuted = DarkRoomEnv(goal=[0, 0], action_permutation=permutation)
        plain = DarkRoomEnv(goal=[0, 0])
        permuted.reset(seed=0)
        plain.reset(seed=0)
        assert permuted.step(action)[0] == plain.step(move)[0]


def test_without_a_permutation_a_seed_draws_one_and_it_stays():
    env = DarkRoomEnv(permuted=True)
    drawn = []
    for seed in range(1500):
        env.reset(seed=seed)
        drawn.append(tuple(env.action_permutation))
        if seed % 100 == 0:
            env.reset()
            assert tuple(env.action_permutation) == drawn[-1]
    env.reset(seed=17)
    assert tuple(env.action_permutation) == drawn[17]
    # 1500 draws of 120: one is missed with probability < 120 * (119/120)**1500 < 5e-4.
    assert len(set(drawn)) == 120
    plain = DarkRoomEnv()
    plain.reset(seed=17)
    assert env.goal == plain.goal  # drawing the order leaves the seed's other draws as they are
    assert plain.action_permutation is None


def test_without_a_goal_a_seed_draws_one_and_it_stays():
    env = DarkRoomEnv(size=5)
    goals = []
    for seed in range(300):
        env.reset(seed=seed)
        goals.append(tuple(env.goal))
        env.reset()
        assert tuple(env.goal) == goals[-1]
    env.reset(seed=17)
    assert tuple(env.goal) == goals[17]
    # 300 draws from 24 goals: one is missed with probability 24 * (23/24)**300 < 1e-4, the start is never drawn.
    assert set(goals) == {(r, c) for r in range(5) for c in range(5)} - {(2, 2)}


def test_random_starts_cover_the_room_and_repeat_with_the_seed():
    env = DarkRoomEnv(size=4, goal=[0, 0], start="random")

    def starts(seed):
        return [env.reset(seed=seed)[0], *(env.reset()[0] for _ in range(199))]

    first = starts(3)
    assert set(first) == set(range(16))
    assert starts(3) == first
    assert starts(4) != first


def test_never_seeded_environments_differ():
    assert len({tuple(DarkRoomEnv(size=50, start="random").reset()[0] for _ in range(20)) for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"goal": (9, 0)}, r"goal \[9, 0\] is outside the room of size 9"),
        ({"goal": (0, -1)}, r"goal \[0, -1\] is outside the room of size 9"),
        ({"goal": (1.5, 2)}, "pair of integers"),
        ({"goal": 7}, "pair of integers"),
        ({"goal": (1, 2, 3)}, "pair of integers"),
        ({"size": 4, "start": [4, 4]}, r"start \[4, 4\] is outside the room of size 4"),
        ({"start": "centre"}, "did you mean 'center'"),
        ({"size": 1}, "size is 1"),
        ({"size": 9.0}, "size is 9.0"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": True}, "horizon is True"),
        ({"terminate_on_goal": "no"}, "terminate_on_goal is 'no'"),
        ({"observation": "rowcol"}, "did you mean 'row_col'"),
        ({"observation": "one-hot"}, "did you mean 'one_hot'"),
        ({"observation_size": 8}, "observation_size is 8, but the room has size 9"),
        ({"observation_size": 9.5}, "observation_size is 9.5"),
        ({"permuted": 1}, "permuted is 1"),
        ({"action_permutation": [0, 1, 2, 3, 3]}, r"action_permutation is \[0, 1, 2, 3, 3\]; it must hold each of"),
        ({"action_permutation": [0, 1, 2, 3]}, r"a list of five integers, got int64 of shape \(4,\)"),
        ({"action_permutation": "cycle"}, "a list of five integers"),
        ({"render_mode": "human"}, "render_mode is 'human'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DarkRoomEnv(**kwargs)


def test_a_goal_on_the_start_is_allowed_for_one_environment():
    env = DarkRoomEnv(goal=[4, 4])
    env.reset(seed=0)
    assert env.step(0)[1] == 1.0


def test_pictures_show_room_goal_agent_and_trail():
    env = gym.make(ENV_ID, goal=(0, 8), render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape[0] == first.shape[1] >= 200
    assert first.shape[0] % 2 == 0  # h264 wants even sides
    cell = first.shape[0] // 10  # nine cells and half a cell of wall on either side

    def at(frame, row, col):
        return frame[int((row + 1) * cell), int((col + 1) * cell)].astype(int)

    red, _, blue = at(first, 0, 8)
    assert red > blue + 80  # the goal is golden
    assert at(first, 4, 4).min() > 200  # the agent is bright
    assert at(first, 4, 6).max() < 100  # the floor is dark
    env.step(2)
    env.step(2)
    later = env.render()
    assert at(later, 4, 6).min() > 200
    red, _, blue = at(later, 4, 5)
    assert blue > red + 50  # the trail is blue
    env.step(1)
    env.step(1)
    cell_of_newest, cell_of_oldest = at(env.render(), 3, 6), at(env.render(), 4, 5)
    assert cell_of_newest[2] > cell_of_oldest[2] + 10  # it fades with age
    env.reset()
    assert (env.render() == first).all()


@pytest.mark.parametrize("size", [2, 17, 70])
def test_pictures_of_any_size_are_large_enough_and_even(size):
    env = DarkRoomEnv(size=size, goal=[0, 0], start=[1, 1], render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert frame.shape[0] >= 200
    assert frame.shape[0] % 2 == 0
