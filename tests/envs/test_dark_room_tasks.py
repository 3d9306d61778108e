"""The DarkRoom family beyond its goals: permuted actions, published splits, other observations and sizes."""

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family, task_key

PUBLISHED_SIZES = [3, 5, 9, 10, 13, 17]


def goals(tasks):
    return [tuple(task["goal"]) for task in tasks]


def played(family, tasks, policy):
    """Return of one episode on each task: `policy(observations, infos)` acts."""
    envs = family.make_vec(tasks)
    observations, infos = envs.reset(seed=0)
    total, running = np.zeros(len(tasks)), np.ones(len(tasks))
    for _ in range(family.horizon):
        observations, rewards, terminated, truncated, infos = envs.step(policy(observations, infos))
        total += rewards * running
        running *= ~(terminated | truncated)
    return total


# --- permuted actions -------------------------------------------------------------------------------------------------


def test_permuted_tasks_are_all_goals_times_all_permutations():
    family = task_family("dark_room", permuted=True)
    tasks = family.tasks()
    assert len(tasks) == 80 * 120
    assert len(set(map(task_key, tasks))) == len(tasks)
    assert [tuple(task["action_permutation"]) for task in tasks[:120]] == list(permutations(range(5)))
    assert {tuple(task["goal"]) for task in tasks[:120]} == {(0, 0)}
    train, held_out = family.split(held_out=0.25)
    assert (len(train), len(held_out)) == (7200, 2400)
    assert len(family.sample(50, seed=3)) == 50


def test_with_one_goal_for_all_the_permutations_are_the_tasks():
    """CCCAD's permuted room: start (0, 0), goal (8, 8), 120 tasks."""
    family = task_family("dark_room", permuted=True, start="corner", goal=[8, 8])
    assert [tuple(task["action_permutation"]) for task in family.tasks()] == list(permutations(range(5)))
    assert set(family.tasks()[0]) == {"action_permutation"}
    assert {family.oracle_return(task) for task in family.tasks()} == {20 + 1 - 16}
    again = task_family(family.name, **json.loads(json.dumps(family.env_kwargs)))
    assert again.tasks() == family.tasks()
    assert family.make(family.tasks()[7]).unwrapped.goal == [8, 8]
    assert played(family, family.tasks(), demonstrator(family, family.tasks())).tolist() == [5.0] * 120
    with pytest.raises(ValueError, match="did you mean 'action_permutation'"):
        family.check_task({"action_permutations": [0, 1, 2, 3, 4]})
    with pytest.raises(ValueError, match=r'such as ."action_permutation": '):
        family.check_task({})
    for kwargs in ({}, {"permuted": True, "word_length": 3}):
        with pytest.raises(ValueError, match="needs permuted=True and word_length=1"):
            task_family("dark_room", goal=[8, 8], **kwargs)


def demonstrator(family, tasks):
    array = family.task_array(tasks)
    return lambda observations, infos: family.demonstrator(observations, array, infos)


@settings(max_examples=30, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "size": st.integers(2, 6),
            "start": st.sampled_from(["center", "corner", [1, 0]]),
            "horizon": st.integers(1, 12),
            "terminate_on_goal": st.booleans(),
            "observation": st.sampled_from(["index", "row_col", "one_hot", "image"]),
            "observation_size": st.sampled_from([None, 7]),
            "permuted": st.booleans(),
        }
    ),
    st.integers(0, 100),
)
def test_the_demonstrator_earns_the_oracles_return_whatever_the_order_and_the_observation(kwargs, seed):
    family = task_family("dark_room", **kwargs)
    tasks = family.sample(3, seed)
    oracle = [family.oracle_return(task) for task in tasks]
    assert played(family, tasks, demonstrator(family, tasks)).tolist() == oracle
    plain = task_family("dark_room", **{**kwargs, "permuted": False})
    for task in tasks:
        goal = {"goal": task["goal"]}
        assert family.oracle_return(task) == plain.oracle_return(goal)
        assert family.random_return(task) == plain.random_return(goal)


def test_noise_leads_permuted_and_word_agents_astray_and_back():
    """All forms of the noise curriculum run on both; without noise left, the histories end at the oracle's return."""
    for kwargs in ({"permuted": True}, {"word_length": 2, "permuted": True, "size": 5}):
        family = task_family("dark_room", **kwargs)
        tasks = family.sample(8, seed=0)
        oracle = np.array([family.oracle_return(task) for task in tasks])
        for noise in ("uniform", "held", "goal", "trips"):
            batch = make_source("noise_curriculum", noise=noise, decay_fraction=[0.5, 0.5]).generate(
                family, tasks, np.arange(8), num_episodes=20, seed=1
            )
            by_episode = batch.rewards.reshape(8, 20, 20).sum(axis=2)
            assert (by_episode[:, -5:] == oracle[:, None]).all()
            assert by_episode[:, :2].mean() < 0.6 * oracle.mean()


# --- published splits -------------------------------------------------------------------------------------------------


def check_division(train, held_out, num_train, num_held_out):
    assert (len(train), len(held_out)) == (num_train, num_held_out)
    assert len({*goals(train), *goals(held_out)}) == num_train + num_held_out
    assert goals(train) == sorted(goals(train))
    assert goals(held_out) == sorted(goals(held_out))


def test_headless_ad_divides_the_goals_that_its_seed_draws_before_the_words():
    family = task_family("dark_room", word_length=3, terminate_on_goal=True)
    for seed in range(1, 6):
        train, held_out = family.split(seed=seed, held_out="headless_ad")
        check_division(train, held_out, 68, 13)
        drawn = np.random.default_rng(seed).permutation(81)
        assert set(goals(train)) == {divmod(cell, 9) for cell in drawn[:68].tolist()}
    permuted = task_family("dark_room", word_length=3, permuted=True)
    train, held_out = permuted.split(seed=5, held_out="headless_ad")
    assert goals(train) == goals(family.split(seed=5, held_out="headless_ad")[0])
    assert len({task["word_order"] for task in train + held_out}) == 81
    permuted.make_vec(train + held_out).reset(seed=0)


def test_headless_ads_permuted_tasks_have_its_goals_and_each_its_own_order():
    family = task_family("dark_room", word_length=3, words="train", permuted=True)
    train, held_out = family.split(seed=5, held_out="headless_ad_permuted")
    assert (len(train), len(held_out)) == (10_000, 100)
    assert family.split(seed=5, held_out="headless_ad_permuted") == (train, held_out)
    assert family.split(seed=6, held_out="headless_ad_permuted")[0] != train
    of_goals = task_family("dark_room").split(seed=5, held_out="headless_ad")
    # 10 000 draws miss none of 68 goals; a goal has 147 of them, standard deviation 12, six of which are allowed.
    assert set(goals(train)) == set(goals(of_goals[0]))
    counts = [goals(train).count(goal) for goal in goals(of_goals[0])]
    assert 75 < min(counts) < max(counts) < 220
    assert set(goals(held_out)) <= set(goals(of_goals[1]))
    assert len({task["word_order"] for task in train + held_out}) == 10_100
    orders = family.task_array(train[:200])[:, 2:]
    assert len({tuple(order) for order in orders.tolist()}) == 200
    for kwargs, message in [
        ({"word_length": 3}, "permuted=True and word_length=3"),
        ({"permuted": True}, "word_length=3"),
    ]:
        with pytest.raises(ValueError, match=message):
            task_family("dark_room", **kwargs).split(held_out="headless_ad_permuted")


def test_ad_eps_and_cccad_and_dpt_are_these_splits():
    family = task_family("dark_room")
    train, held_out = family.split(held_out="ad_eps")
    check_division(train, held_out, 65, 16)
    assert set(goals(held_out)) == {divmod(c, 9) for c in np.random.RandomState(42).permutation(81)[65:].tolist()}
    assert family.split(seed=7, held_out="ad_eps") == (train, held_out)
    train, held_out = family.split(held_out="cccad")
    check_division(train, held_out, 73, 8)
    assert set(goals(held_out)) == {(4, 2), (5, 6), (6, 8), (7, 2), (3, 6), (0, 5), (5, 8), (5, 4)}
    dpt = task_family("dark_room", size=10, start="corner", horizon=100)
    train, held_out = dpt.split(held_out="dpt")
    check_division(train, held_out, 80, 20)
    for task in train + held_out:
        distance = sum(task["goal"])
        assert dpt.oracle_return(task) == (100 - distance + 1 if distance else 100)


def test_a3c_dt_has_57_train_goals_none_of_them_the_start():
    family = task_family("dark_room", terminate_on_goal=True)
    train, held_out = family.split(seed=3, held_out="a3c_dt")
    check_division(train, held_out, 57, 23)
    assert (4, 4) not in goals(train) + goals(held_out)
    assert (train, held_out) == family.split(seed=3, held_out=23)


def test_the_start_as_a_published_goal_is_an_ordinary_task():
    family = task_family("dark_room")
    train, held_out = family.split(held_out="cccad")
    assert [4, 4] in [task["goal"] for task in train]
    # CCCAD's closed form: clip(horizon + 1 - distance, 0, horizon).
    for task in train + held_out:
        distance = abs(task["goal"][0] - 4) + abs(task["goal"][1] - 4)
        assert family.oracle_return(task) == min(max(20 + 1 - distance, 0), 20)
    batch = make_source("noise_curriculum", noise="goal").generate(family, [{"goal": [4, 4]}], [0], 3, seed=0)
    assert batch.lengths.tolist() == [60]


@pytest.mark.parametrize(
    ("kwargs", "name", "message"),
    [
        ({"size": 5}, "ad_eps", "published for rooms of size 9, but size is 5"),
        ({}, "dpt", "published for rooms of size 10, but size is 9"),
        ({"start": "random"}, "a3c_dt", "divides 80 goals, but start='random' leaves 81"),
        ({"permuted": True}, "cccad", "tasks also differ in their moves"),
        ({}, "cccda", "did you mean 'cccad'"),
    ],
)
def test_published_splits_of_other_rooms_are_refused(kwargs, name, message):
    with pytest.raises(ValueError, match=message):
        task_family("dark_room", **kwargs).split(held_out=name)
    with pytest.raises(ValueError, match="leave population out"):
        task_family("dark_room").split(held_out="cccad", population={"num": 10})


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", PUBLISHED_SIZES)
def test_every_published_size_has_its_tasks_and_exact_scores(size):
    for start, count in [("center", size**2 - 1), ("corner", size**2 - 1), ("random", size**2)]:
        family = task_family("dark_room", size=size, start=start, observation="row_col", observation_size=17)
        assert len(family.tasks()) == count
        assert family.make_vec(family.tasks()).single_observation_space.nvec.tolist() == [17, 17]
    family = task_family("dark_room", size=size, horizon=4 * size)
    tasks = family.tasks()
    assert played(family, tasks, demonstrator(family, tasks)).tolist() == [family.oracle_return(t) for t in tasks]
