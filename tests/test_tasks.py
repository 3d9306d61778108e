"""Task families: enumeration, splits, exact scores, the demonstrator, and making environments."""

import json

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.tasks import task_family, task_key, validation_split

# Computed once; a change here means that published splits no longer hold.
PINNED_HELD_OUT = [
    [0, 5],
    [1, 1],
    [2, 3],
    [2, 4],
    [3, 3],
    [4, 2],
    [5, 1],
    [5, 6],
    [5, 8],
    [6, 0],
    [7, 0],
    [7, 3],
    [8, 1],
    [8, 4],
    [8, 5],
    [8, 8],
]

ALL_GOALS = [{"goal": [r, c]} for r in range(9) for c in range(9)]

room_kwargs = st.fixed_dictionaries(
    {
        "size": st.integers(2, 6),
        "start": st.sampled_from(["center", "corner", "random", [1, 0]]),
        "horizon": st.integers(1, 12),
        "terminate_on_goal": st.booleans(),
        "observation": st.sampled_from(["index", "row_col"]),
    }
)


def test_a_family_has_every_cell_but_the_fixed_start():
    family = task_family("dark_room")
    assert len(family.tasks()) == 80
    assert family.tasks()[0] == {"goal": [0, 0]}
    assert {"goal": [4, 4]} not in family.tasks()
    assert len(task_family("dark_room", start="random").tasks()) == 81
    assert {"goal": [0, 0]} not in task_family("dark_room", start="corner").tasks()


def test_the_environment_id_names_the_family_too():
    a, b = task_family("dark_room", size=5), task_family("hf_icrl/DarkRoom-v0", size=5)
    assert a.name == b.name == "dark_room"
    assert a.env_id == b.env_id == "hf_icrl/DarkRoom-v0"
    assert a.env_kwargs == b.env_kwargs


more_kwargs = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"observation_size": st.integers(6, 9), "permuted": st.booleans()}),
    st.just({"permuted": True, "goal": [1, 1]}),
    st.fixed_dictionaries(
        {
            "word_length": st.just(2),
            "words": st.sampled_from(["train", "sliced", "all", [3, 1]]),
            "words_seed": st.integers(0, 9),
            "words_split": st.just("random"),
            "permuted": st.booleans(),
        }
    ),
)


@given(st.builds(lambda a, b: {**a, **b}, room_kwargs, more_kwargs))
def test_kwargs_and_tasks_survive_json_and_rebuild_the_family(kwargs):
    family = task_family("dark_room", **kwargs)
    again = task_family(family.name, **json.loads(json.dumps(family.env_kwargs)))
    assert again.env_kwargs == family.env_kwargs
    assert again.num_actions == family.num_actions
    assert again.tasks() == json.loads(json.dumps(family.tasks()))


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("darkroom", {}, "did you mean 'dark_room'"),
        ("dark_room", {"sise": 9}, "unknown dark_room argument 'sise': did you mean 'size'"),
        ("dark_room", {"goal": [1, 2]}, "needs permuted=True and word_length=1"),
        ("dark_room", {"size": 4, "start": [4, 0]}, "outside the room of size 4"),
    ],
)
def test_unknown_names_and_bad_arguments_are_named(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        task_family(name, **kwargs)


# --- splits ---------------------------------------------------------------------------------------------------------


@given(
    st.integers(2, 9),
    st.integers(0, 2**40),
    st.one_of(st.floats(0, 0.9), st.integers(0, 2)),
    st.sampled_from(["center", "random"]),
)
def test_a_split_is_disjoint_complete_and_ordered(size, seed, held_out, start):
    family = task_family("dark_room", size=size, start=start)
    total = len(family.tasks())
    if isinstance(held_out, float) and round(held_out * total) == total:
        return
    train, held = family.split(seed=seed, held_out=held_out)
    assert len(held) == (held_out if isinstance(held_out, int) else round(held_out * total))
    keys = [task_key(task) for task in family.tasks()]
    assert sorted([*map(task_key, train), *map(task_key, held)]) == sorted(keys)
    assert [k for k in keys if k in set(map(task_key, train))] == [task_key(t) for t in train]
    assert (train, held) == task_family("dark_room", size=size, start=start).split(seed=seed, held_out=held_out)


def test_the_default_split_is_this_one_everywhere_and_for_ever():
    train, held_out = task_family("dark_room").split()
    assert len(train) == 64
    assert [task["goal"] for task in held_out] == PINNED_HELD_OUT


def test_seeds_give_different_splits_and_larger_ones_contain_smaller_ones():
    family = task_family("dark_room")
    splits = [family.split(seed=seed)[1] for seed in range(20)]
    assert len({json.dumps(s) for s in splits}) == 20
    counts = np.zeros(81)
    for seed in range(400):
        for task in family.split(seed=seed)[1]:
            counts[task["goal"][0] * 9 + task["goal"][1]] += 1
    # Every goal is held out in about a fifth of the splits: binomial(400, 0.2) has a standard deviation of 8.
    assert np.delete(counts, 40).min() > 80 - 5 * 8
    assert counts.max() < 80 + 5 * 8
    small, large = family.split(held_out=5)[1], family.split(held_out=30)[1]
    assert all(task in large for task in small)


def test_held_out_tasks_can_be_listed():
    family = task_family("dark_room", size=3)
    train, held_out = family.split(held_out=[{"goal": (2, 2)}, {"goal": [0, 1]}])
    assert held_out == [{"goal": [0, 1]}, {"goal": [2, 2]}]
    assert len(train) == 6


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (80, "asks for 80 of 80 tasks"),
        (-1, "asks for -1 of 80"),
        (1.0, r"held_out is 1.0; a fraction must be in \[0, 1\)"),
        (float("nan"), "held_out is nan"),
        (0.999, "asks for 80 of 80"),
        ("some", "unknown published split 'some' of 'dark_room'"),
        (True, "held_out is True"),
        ([{"goal": [4, 4]}], "no task of"),
        ([{"goal": [9, 4]}], "outside the room of size 9"),
        (ALL_GOALS[:40] + ALL_GOALS[41:], "all 80 tasks"),
    ],
)
def test_impossible_splits_are_refused(held_out, message):
    with pytest.raises(ValueError, match=message):
        task_family("dark_room").split(held_out=held_out)


@given(st.integers(0, 63), st.integers(0, 2**40))
def test_validation_tasks_come_out_of_the_train_tasks(num, seed):
    train, held_out = task_family("dark_room").split()
    rest, validation = validation_split(train, num, seed=seed)
    assert len(validation) == num
    assert sorted(map(task_key, rest + validation)) == sorted(map(task_key, train))
    assert not {*map(task_key, validation)} & {*map(task_key, held_out)}
    assert (rest, validation) == validation_split(train, num, seed=seed)


def test_a_validation_split_leaves_something_to_train_on():
    train, _ = task_family("dark_room").split()
    for num, message in [(64, "asks for 64 of 64"), (-1, "asks for -1"), (0.5, "0.5")]:
        with pytest.raises(ValueError, match=message):
            validation_split(train, num)


def test_task_keys_ignore_key_order_and_sequence_type():
    assert task_key({"a": 1, "goal": (2, 7)}) == task_key({"goal": np.array([2, 7]), "a": np.int64(1)})
    assert task_key({"goal": [2, 7]}) != task_key({"goal": [7, 2]})
    with pytest.raises(TypeError, match="set"):
        task_key({"goal": {1, 2}})


# --- scores ---------------------------------------------------------------------------------------------------------


def test_scores_agree_with_the_published_reference():
    """Over all 81 goals: optimum 16.54, random 0.25; terminating, over 80 goals: optimum 1, random 0.12."""
    family = task_family("dark_room")
    assert np.mean([family.oracle_return(task) for task in ALL_GOALS]) == pytest.approx(16.54, abs=0.005)
    assert np.mean([family.random_return(task) for task in ALL_GOALS]) == pytest.approx(0.25, abs=0.005)
    ending = task_family("dark_room", terminate_on_goal=True)
    assert {ending.oracle_return(task) for task in ending.tasks()} == {1.0}
    assert np.mean([ending.random_return(task) for task in ending.tasks()]) == pytest.approx(0.12, abs=0.005)


@given(room_kwargs, st.data())
def test_oracle_is_the_closed_form(kwargs, data):
    family = task_family("dark_room", **kwargs)
    task = data.draw(st.sampled_from(family.tasks()))
    size, horizon, goal = kwargs["size"], kwargs["horizon"], task["goal"]
    cells = [(r, c) for r in range(size) for c in range(size)]
    starts = {"center": [(size // 2, size // 2)], "corner": [(0, 0)], "random": cells}.get(
        str(kwargs["start"]), [(1, 0)]
    )
    returns = []
    for start in starts:
        # Standing on the goal already pays from the first step on, like a distance of one.
        distance = max(abs(start[0] - goal[0]) + abs(start[1] - goal[1]), 1)
        steps_on_goal = max(horizon - distance + 1, 0)
        returns.append(min(steps_on_goal, 1) if kwargs["terminate_on_goal"] else steps_on_goal)
    assert family.oracle_return(task) == pytest.approx(np.mean(returns))


@settings(max_examples=10, deadline=None)
@given(room_kwargs, st.data())
def test_demonstrator_and_random_agents_earn_what_the_family_says(kwargs, data):
    """By playing: the demonstrator earns exactly the oracle's return, random actions the random one's on average."""
    family = task_family("dark_room", **kwargs)
    task = data.draw(st.sampled_from(family.tasks()))
    n = 4000
    envs = family.make_vec([task] * n)
    goals = family.task_array([task] * n)
    rng = np.random.default_rng(0)
    for policy, expected in [
        (lambda observations: family.demonstrator(observations, goals, {}), family.oracle_return(task)),
        (lambda observations: rng.integers(5, size=n), family.random_return(task)),
    ]:
        observations, _ = envs.reset(seed=0)
        returns, running = np.zeros(n), np.ones(n)
        for _ in range(family.horizon):
            observations, rewards, terminated, truncated, _ = envs.step(policy(observations))
            returns += rewards * running
            running *= ~(terminated | truncated)
        error = max(returns.std() / np.sqrt(n), 1e-12)
        assert abs(returns.mean() - expected) < max(5 * error, 0.01)


def test_the_demonstrator_walks_vertically_first():
    family = task_family("dark_room", observation="row_col")
    observations = np.array([[4, 4], [7, 7], [2, 3], [2, 8], [2, 7]])
    goals = np.array([[2, 7]] * 5)
    assert family.demonstrator(observations, goals, {}).tolist() == [1, 1, 2, 4, 0]
    assert family.arrived(observations, goals).tolist() == [False] * 4 + [True]


# --- environments ---------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(room_kwargs)
def test_make_and_make_vec_build_the_tasks_environments(kwargs):
    family = task_family("dark_room", **kwargs)
    tasks = family.tasks()
    envs = family.make_vec(tasks, render_mode="rgb_array")
    assert envs.num_envs == len(tasks)
    assert envs.unwrapped.goal.tolist() == [task["goal"] for task in tasks]
    assert envs.render_mode == "rgb_array"
    env = family.make(tasks[-1])
    assert env.unwrapped.goal == tasks[-1]["goal"]
    for made in (envs.unwrapped, env.unwrapped):
        assert {name: getattr(made, name) for name in kwargs} == kwargs
    assert env.observation_space == envs.single_observation_space


def test_a_recorded_row_rebuilds_its_environment_with_gymnasium_alone():
    family = task_family("dark_room", size=5, start="corner")
    record = json.loads(json.dumps({"id": family.env_id, "kwargs": family.env_kwargs, "task": family.tasks()[3]}))
    env = gym.make(record["id"], **record["kwargs"], **record["task"])
    assert env.unwrapped.goal == family.tasks()[3]["goal"]
    assert env.reset(seed=0)[0] == 0


def test_overrides_replace_shared_arguments():
    family = task_family("dark_room")
    assert family.make_vec(family.tasks()[:2], horizon=7).unwrapped.horizon == 7
    with pytest.raises(ValueError, match="unknown environment argument 'horizn': did you mean 'horizon'"):
        family.make_vec(family.tasks()[:2], horizn=7)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"goal": [9, 0]}, r"goal \[9, 0\] is outside the room of size 9"),
        ({"gaol": [1, 0]}, "did you mean 'goal'"),
        ({}, "a dict such as"),
        ([1, 2], "a dict such as"),
    ],
)
def test_tasks_of_another_kind_are_refused_everywhere(task, message):
    family = task_family("dark_room")
    for call in (family.make, family.oracle_return, family.random_return, lambda t: family.make_vec([t])):
        with pytest.raises(ValueError, match=message):
            call(task)
    with pytest.raises(ValueError, match="no tasks"):
        family.make_vec([])


def test_an_unknown_entry_of_a_population_is_named():
    with pytest.raises(ValueError, match="unknown bernoulli_bandit population entry 'nm': did you mean 'num'"):
        task_family("bernoulli_bandit").split(population={"nm": 10})
