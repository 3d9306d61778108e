"""Word actions: the catalogue, the published action sets, and playing them."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.envs import DarkRoomEnv, words
from hf_icrl.tasks import task_family

MOVES = {0: (0, 0), 1: (-1, 0), 2: (0, 1), 3: (1, 0), 4: (0, -1)}
CELLS = [{"goal": [r, c]} for r in range(9) for c in range(9)]


def ids(words_, seed=0, split="random", length=3, size=9):
    return words.word_ids(length, words_, seed, split, size).tolist()


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_the_catalogue_is_lexicographic_with_the_first_move_most_significant(length):
    assert words.catalogue(length).tolist() == [list(word) for word in product(range(5), repeat=length)]


def test_125_words_have_25_displacements():
    moves = words.catalogue(3)
    net = words.net_displacement(moves)
    expected = [np.sum([MOVES[move] for move in word], axis=0).tolist() for word in moves.tolist()]
    assert net.tolist() == expected
    assert len({tuple(d) for d in expected}) == 25
    assert np.bincount(np.abs(net).sum(axis=1)).tolist() == [13, 48, 36, 28]


def test_the_published_split_draws_the_goals_before_the_words():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rng.permutation(81)
        order = rng.permutation(125).tolist()
        assert ids("train", seed) == order[:50]
        assert ids("test", seed) == order[50:]
        assert ids("sliced", seed) == order[50:100]
        assert ids("all", seed) == order
    assert ids("train", 0, size=5) != ids("train", 0)


def test_the_split_by_displacement_holds_out_two_cells():
    moved = np.abs(words.net_displacement(words.catalogue(3))).sum(axis=1)
    train, test = ids("train", split="displacement"), ids("test", split="displacement")
    assert (len(train), len(test)) == (89, 36)
    assert set(moved[train]) == {0, 1, 3}
    assert set(moved[test]) == {2}
    assert ids("all", split="displacement") == train + test
    with pytest.raises(ValueError, match="89 train and 36 test words"):
        ids("sliced", split="displacement")


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(2, 9),
    length=st.integers(1, 3),
    horizon=st.integers(1, 8),
    terminate=st.booleans(),
    seed=st.integers(0, 2**40),
    places=st.lists(st.integers(0, 5**3 - 1), min_size=8, max_size=8),
)
def test_a_word_plays_all_its_moves_and_is_rewarded_on_any_of_them(size, length, horizon, terminate, seed, places):
    """Against a model that works with coordinates and a table of moves."""
    env = DarkRoomEnv(
        size=size,
        start="random",
        horizon=horizon,
        terminate_on_goal=terminate,
        observation="row_col",
        word_length=length,
    )
    catalogue = list(product(range(5), repeat=length))
    order = ids("all", length=length, size=size)
    assert env.action_space.n == 5**length
    place = env.reset(seed=seed)[0]
    for t, number in enumerate(places[:horizon]):
        action = number % 5**length
        passed = []
        for move in catalogue[order[action]]:
            place = np.clip(place + MOVES[move], 0, size - 1)
            passed.append(place.tolist())
        observation, reward, terminated, truncated, _ = env.step(action)
        assert observation.tolist() == place.tolist()
        assert reward == float(env.goal in passed)
        assert terminated == (env.goal in passed and terminate)
        assert truncated == (t + 1 == horizon and not terminated)
        if terminated or truncated:
            with pytest.raises(gym.error.ResetNeeded):
                env.step(0)
            break


def test_passing_the_goal_pays_and_the_observation_is_the_words_end():
    # Words 1 2 3: up, right, down, from the centre past (3, 4) and (3, 5) to (4, 5).
    kwargs = {"word_length": 3, "words": [25 + 2 * 5 + 3], "observation": "row_col", "terminate_on_goal": True}
    for goal in ([3, 4], [3, 5], [4, 5]):
        env = DarkRoomEnv(goal=goal, **kwargs)
        env.reset(seed=0)
        observation, reward, terminated, *_ = env.step(0)
        assert (observation.tolist(), reward, terminated) == ([4, 5], 1.0, True)
    env = DarkRoomEnv(goal=[4, 4], **kwargs)  # where the word begins does not count
    env.reset(seed=0)
    assert env.step(0)[1] == 0.0


def test_a_list_of_words_is_the_action_set_in_its_order():
    family = task_family("dark_room", word_length=2, words=[7, 0, 24], observation="row_col")
    assert family.num_actions == 3
    ends = []
    for action in range(3):
        env = family.make({"goal": [0, 0]})
        env.reset(seed=0)
        ends.append(env.step(action)[0].tolist())
    assert ends == [[3, 5], [4, 4], [4, 2]]


def test_each_task_has_its_own_order_of_the_words():
    family = task_family("dark_room", word_length=3, words="train", permuted=True)
    plain = task_family("dark_room", word_length=3, words="train")
    orders = [words.word_order(seed, 50) for seed in range(40)]
    assert len({tuple(order) for order in orders}) == 40
    for seed, order in enumerate(orders[:5]):
        assert sorted(order) == list(range(50))
        permuted, fixed = family.make({"goal": [0, 0], "word_order": seed}), plain.make({"goal": [0, 0]})
        for action in range(50):
            permuted.reset(seed=0)
            fixed.reset(seed=0)
            assert permuted.step(action)[0] == fixed.step(int(order[action]))[0]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"word_length": 6}, "word_length is 6; it must be at most 5"),
        ({"word_length": 0}, "word_length is 0"),
        ({"word_length": 3, "words": "tets"}, "did you mean 'test'"),
        ({"word_length": 3, "words": 7}, "words is 7; it must be one of"),
        ({"word_length": 3, "words": [0, 125]}, r"words is \[0, 125\]; .* each from 0 to 124"),
        ({"word_length": 3, "words": [3, 3]}, "none twice"),
        ({"word_length": 3, "words": []}, "at least one word"),
        ({"words": "train"}, "words is 'train', but word_length is 1"),
        ({"words": [0, 1]}, r"words is \[0, 1\], but word_length is 1"),
        ({"word_length": 3, "words_split": "net"}, "unknown words_split 'net'"),
        ({"word_length": 3, "words_split": "displacement", "words": "sliced"}, 'take words="test"'),
        ({"word_length": 3, "words_seed": -1}, "words_seed is -1"),
        ({"word_length": 3, "action_permutation": [0, 1, 2, 3, 4]}, "the order of the actions is word_order here"),
        ({"word_length": 3, "word_order": -1}, "word_order is -1"),
        ({"word_length": 3, "word_order": 1.5}, "word_order must be an integer, got float64"),
        ({"word_order": 3}, "the order of the actions is action_permutation here"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DarkRoomEnv(**kwargs)


# --- scores, by exact dynamic programming -----------------------------------------------------------------------------


@pytest.mark.parametrize(("words_", "count"), [("train", 50), ("sliced", 50), ("test", 75), ("all", 125)])
def test_success_on_every_action_set_is_the_published_one(words_, count):
    """Over all 81 goals and 20 steps, three splits as published: random policy 0.25 to 0.27 (rounded; 0.24 to 0.28 over
    20 splits), optimum 1.0 in 1.84 to 2.07 steps on average."""
    for seed in range(3):
        family = task_family("dark_room", word_length=3, words=words_, words_seed=seed, terminate_on_goal=True)
        assert family.num_actions == count
        assert 0.245 <= np.mean([family.random_return(task) for task in CELLS]) < 0.275
        assert {family.oracle_return(task) for task in CELLS} == {1.0}
        steps = steps_of_the_demonstrator(family, CELLS)
        assert 1.835 <= steps.mean() < 2.075


def steps_of_the_demonstrator(family, tasks):
    """How many words the demonstrator needs on each task, by playing."""
    envs = family.make_vec(tasks)
    goals = family.task_array(tasks)
    observations, infos = envs.reset(seed=0)
    steps = np.zeros(len(tasks))
    for t in range(1, family.horizon + 1):
        observations, _, terminated, *_ = envs.step(family.demonstrator(observations, goals, infos))
        steps[terminated & (steps == 0)] = t
    assert steps.min() > 0
    return steps


def test_the_demonstrators_steps_are_the_shortest():
    """Against a breadth-first search from the start over the words' ends, cell by cell."""
    family = task_family("dark_room", word_length=3, words="sliced", words_seed=4, terminate_on_goal=True)
    catalogue = list(product(range(5), repeat=3))
    shortest, here = {}, {(4, 4)}
    for t in range(1, 20):
        following = set()
        for cell, word in product(here, ids("sliced", 4)):
            for move in catalogue[word]:
                cell = tuple(np.clip(np.add(cell, MOVES[move]), 0, 8).tolist())
                shortest.setdefault(cell, t)
            following.add(cell)
        here = following
        if len(shortest) == 81:
            break
    expected = [shortest[tuple(task["goal"])] for task in CELLS]
    assert steps_of_the_demonstrator(family, CELLS).tolist() == expected


@pytest.mark.parametrize(
    "kwargs",
    [
        {"words": "train", "words_seed": 1},
        {"words": "test", "permuted": True},
        {"words_split": "displacement", "words": "train", "terminate_on_goal": True, "permuted": True},
        {"words": "sliced", "start": "random", "size": 6, "observation": "image", "observation_size": 8},
    ],
    ids=str,
)
def test_the_demonstrator_earns_the_oracles_return_and_random_actions_the_random_one(kwargs):
    family = task_family("dark_room", word_length=3, **kwargs)
    tasks = family.sample(40, seed=3) if kwargs.get("permuted") else family.tasks()
    repeats = 60
    many = tasks * repeats
    envs, array = family.make_vec(many), family.task_array(many)
    rng = np.random.default_rng(0)
    scores = {}
    for name in ("oracle", "random"):
        observations, infos = envs.reset(seed=0)
        total, running = np.zeros(len(many)), np.ones(len(many))
        for _ in range(family.horizon):
            if name == "oracle":
                actions = family.demonstrator(observations, array, infos)
            else:
                actions = rng.integers(family.num_actions, size=len(many))
            observations, rewards, terminated, truncated, infos = envs.step(actions)
            total += rewards * running
            running *= ~(terminated | truncated)
        scores[name] = total
    oracle = np.array([family.oracle_return(task) for task in tasks])
    by_task = scores["oracle"].reshape(repeats, len(tasks))
    if family.env_kwargs["start"] == "random":
        error = by_task.std(axis=0) / np.sqrt(repeats)
        assert (np.abs(by_task.mean(axis=0) - oracle) < 5 * error + 0.01).all()
    else:
        assert (by_task == oracle).all()
    expected = np.mean([family.random_return(task) for task in tasks])
    error = scores["random"].std() / np.sqrt(len(many))
    assert abs(scores["random"].mean() - expected) < 5 * error


@pytest.mark.parametrize("permuted", [False, True])
def test_a_walk_ends_its_words_on_the_target_and_stays_there(permuted):
    family = task_family("dark_room", word_length=3, words="test", permuted=permuted)
    tasks = family.tasks()
    targets = np.roll(family.possible_targets(), 7, axis=0)  # not where the task's goal is
    envs, array = family.make_vec(tasks), family.task_array(tasks)
    observations, _ = envs.reset(seed=0)
    arrived = []
    for _ in range(8):
        observations, *_ = envs.step(family.walk(observations, array, targets))
        arrived.append(family.arrived(observations, targets))
    assert arrived[-1].all()
    assert (np.diff(np.array(arrived).astype(int), axis=0) >= 0).all()


# --- tasks with their own order ---------------------------------------------------------------------------------------


def test_tasks_with_their_own_orders_are_drawn_without_end():
    family = task_family("dark_room", word_length=3, words="train", permuted=True)
    drawn = family.sample(500, seed=1)
    assert drawn == family.sample(500, seed=1) != family.sample(500, seed=2)
    assert len({task["word_order"] for task in drawn}) == 500
    # 500 draws of 80 goals: 80 * (79/80)**500 = 0.15 are missed on average, more than 3 with probability < 1e-4.
    assert len({tuple(task["goal"]) for task in drawn}) >= 77
    train, held_out = family.split(held_out=0.2, population={"num": 200, "seed": 4})
    assert (len(train), len(held_out)) == (160, 40)
    assert [(*task["goal"], task["word_order"]) for task in family.tasks()] == [
        (r, c, 9 * r + c) for r in range(9) for c in range(9) if (r, c) != (4, 4)
    ]
    envs = family.make_vec(drawn[:3])
    assert envs.unwrapped.word_order.tolist() == [task["word_order"] for task in drawn[:3]]
    for task in ({"goal": [1, 1]}, {"word_order": 3}, {"goal": [1, 1], "word_order": None}):
        with pytest.raises(ValueError, match=r'such as {"goal": \[2, 7\], "word_order": 17}'):
            family.check_task(task)


def test_pictures_show_every_cell_that_a_word_passed():
    env = DarkRoomEnv(goal=[0, 0], word_length=3, words=[2 * 25 + 2 * 5 + 1], render_mode="rgb_array")
    env.reset(seed=0)
    env.step(0)
    frame = env.render()
    cell = frame.shape[0] // 10
    for row, col in [(4, 4), (4, 5), (4, 6)]:
        red, _, blue = frame[(row + 1) * cell, (col + 1) * cell].astype(int)
        assert blue > red + 50  # the trail is blue
    assert frame[4 * cell, 7 * cell].min() > 200  # the agent


def test_actions_are_grouped_into_train_and_test_words_where_there_are_both():
    def family(words_, **kwargs):
        return task_family("dark_room", word_length=3, words=words_, words_seed=2, **kwargs)

    tasks = [{"goal": [0, 1]}, {"goal": [5, 5]}]
    groups = family("all").action_groups(tasks)
    assert groups["train"].tolist() == [[True] * 50 + [False] * 75] * 2
    np.testing.assert_array_equal(groups["test"], ~groups["train"])
    assert family("train").action_groups(tasks) == family("test").action_groups(tasks) == {}
    assert task_family("dark_room").action_groups(tasks) == {}
    listed = family([ids("test", 2)[3], ids("train", 2)[0], ids("test", 2)[9]]).action_groups(tasks)
    assert listed["train"].tolist() == [[False, True, False]] * 2
    # With orders of their own: where a task's actions lead from the centre, from which three moves meet no wall.
    family = family("all", permuted=True, words_split="displacement", size=9)
    tasks = [{"goal": [0, 0], "word_order": 3}, {"goal": [0, 0], "word_order": 8}]
    groups = family.action_groups(tasks)
    for task, is_test in zip(tasks, groups["test"], strict=True):
        ends = []
        for action in range(125):
            env = family.make(task)
            env.reset(seed=0)
            row, col = divmod(int(env.step(action)[0]), 9)
            ends.append(abs(row - 4) + abs(col - 4))
        # Test words of this split are those that lead two cells away.
        assert is_test.tolist() == [end == 2 for end in ends]
    assert groups["test"][0].tolist() != groups["test"][1].tolist()
