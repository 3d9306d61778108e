"""The Key-to-Door family: enumeration, published splits, exact scores, and the demonstrator."""

import json
import random

import numpy as np
import pytest
from envs_support import key_to_door_rooms
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.envs import grid
from hf_icrl.envs.key_to_door import following_cells, outcome
from hf_icrl.tasks import task_family, task_key

room_kwargs = key_to_door_rooms(14)


def test_a_family_has_every_ordered_pair_of_different_cells():
    tasks = task_family("key_to_door").tasks()
    assert len(tasks) == len({task_key(task) for task in tasks}) == 81 * 80
    assert tasks[0] == {"key": [0, 0], "door": [0, 1]}
    assert tasks[-1] == {"key": [8, 8], "door": [8, 7]}
    assert all(task["key"] != task["door"] for task in tasks)
    assert len(task_family("key_to_door", size=3).tasks()) == 72


@given(room_kwargs)
def test_kwargs_and_tasks_survive_json_and_rebuild_the_family(kwargs):
    family = task_family("key_to_door", **kwargs)
    again = task_family(family.name, **json.loads(json.dumps(family.env_kwargs)))
    assert again.env_kwargs == family.env_kwargs
    assert again.tasks() == json.loads(json.dumps(family.tasks()))


def test_the_family_makes_the_environments_of_its_tasks():
    family = task_family("hf_icrl/KeyToDoor-v0", size=4, key_in_observation=True)
    tasks = family.tasks()[5:8]
    envs, env = family.make_vec(tasks), family.make(tasks[1])
    assert envs.unwrapped.key.tolist() == [task["key"] for task in tasks]
    assert envs.unwrapped.door.tolist() == [task["door"] for task in tasks]
    assert envs.reset(seed=4)[0][1] == env.reset(seed=5)[0]
    assert envs.single_observation_space == env.observation_space


# --- published splits -----------------------------------------------------------------------------------------------


def test_the_split_of_ad_eps_is_1000_and_50_pairs_that_share_no_row_and_no_column():
    train, held_out = task_family("key_to_door").split(held_out="ad_eps")
    assert (len(train), len(held_out)) == (1000, 50)
    assert len({task_key(task) for task in train + held_out}) == 1050
    for task in train + held_out:
        assert task["key"][0] != task["door"][0]
        assert task["key"][1] != task["door"][1]
    # Made here by another route: shuffle the indexes in place, keep those that may stay.
    order = np.arange(6561)
    np.random.RandomState(42).shuffle(order)
    digits = np.stack([order // 729, order // 81 % 9, order // 9 % 9, order % 9], axis=1)
    digits = digits[(digits[:, 0] != digits[:, 2]) & (digits[:, 1] != digits[:, 3])]
    assert len(digits) == 5184
    assert task_family("key_to_door").task_array(train + held_out).tolist() == digits[:1050].tolist()
    assert task_family("key_to_door").split(seed=7, held_out="ad_eps") == (train, held_out)


def test_the_split_of_cccad_is_all_pairs_6233_and_328():
    family = task_family("key_to_door", start="center", terminate_at_door=False)
    train, held_out = family.split(held_out="cccad")
    assert (len(train), len(held_out)) == (6233, 328)
    assert len({task_key(task) for task in train + held_out}) == 9**4
    assert sum(task["key"] == task["door"] for task in train + held_out) == 81
    order = list(range(9**4))
    random.Random(0).shuffle(order)
    expected = [[i // 729, i // 81 % 9, i // 9 % 9, i % 9] for i in order[6233:]]
    assert family.task_array(held_out).tolist() == expected
    family.check_task(next(task for task in train if task["key"] == task["door"]))


def test_published_splits_are_of_the_published_room():
    for name in ("ad_eps", "cccad"):
        with pytest.raises(ValueError, match=f"'{name}' is of the room of size 9, but size is 5"):
            task_family("key_to_door", size=5).split(held_out=name)
    with pytest.raises(ValueError, match="did you mean 'cccad'"):
        task_family("key_to_door").split(held_out="ccad")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ([1, 2], "is a dict such as"),
        ({"key": [1, 2]}, "without 'door'"),
        ({"key": [1, 2], "dor": [2, 2]}, "did you mean 'door'"),
        ({"key": [1, 2], "door": [9, 2]}, r"door \[9, 2\] is outside the room of size 9"),
    ],
)
def test_bad_tasks_are_named(task, message):
    with pytest.raises(ValueError, match=message):
        task_family("key_to_door").check_task(task)


# --- scores ---------------------------------------------------------------------------------------------------------


def value(kwargs, task, backup):
    """The expected return by backward induction over cell, key and door through the environment's own transitions."""
    size = kwargs["size"]
    state = np.arange(4 * size * size)[:, None]
    cell, has_key, opened = state % (size * size), state // (size * size) % 2 == 1, state // (size * size) >= 2
    key, door = (task[name][0] * size + task[name][1] for name in ("key", "door"))
    cell, has_key, opened, earns, terminated, _ = outcome(
        cell,
        np.arange(5)[None, :],
        has_key,
        opened,
        key,
        door,
        0,
        following_cells(size),
        kwargs["horizon"],
        kwargs["terminate_at_door"],
    )
    following = (opened * 2 + has_key) * size * size + cell
    values = np.zeros(4 * size * size)
    for _ in range(kwargs["horizon"]):
        values = backup(earns + np.where(terminated, 0.0, values[following]), axis=1)
    start = grid.start_cell(kwargs["start"], size)
    if start is not None:
        return values[start[0] * size + start[1]]
    starts = values[: size * size]
    return np.delete(starts, key).mean() if kwargs["start_off_key"] else starts.mean()


@settings(max_examples=150, deadline=None)
@given(room_kwargs, st.randoms(use_true_random=False))
def test_scores_are_those_of_dynamic_programming_over_the_environments_transitions(kwargs, draw):
    family = task_family("key_to_door", **kwargs)
    size = kwargs["size"]
    # Keys at the door and on the start included.
    task = {name: [draw.randrange(size), draw.randrange(size)] for name in ("key", "door")}
    assert family.oracle_return(task) == pytest.approx(value(kwargs, task, np.max), abs=1e-12)
    assert family.random_return(task) == pytest.approx(value(kwargs, task, np.mean), abs=1e-12)


def test_scores_agree_with_the_published_reference():
    """AD-eps, 40 steps, starts off the key: optimum 2.00, random 0.20."""
    family = task_family("key_to_door", horizon=40, start_off_key=True)
    tasks = family.tasks()
    assert all(family.oracle_return(task) == 2.0 for task in tasks)
    assert np.mean([family.random_return(task) for task in tasks]) == pytest.approx(0.20, abs=0.005)


def test_the_optimum_of_the_published_rooms_is_2():
    for kwargs in ({}, {"size": 3, "horizon": 20}, {"start": "center", "terminate_at_door": False}):
        family = task_family("key_to_door", **kwargs)
        assert {family.oracle_return(task) for task in family.tasks()} == {2.0}
    family = task_family("key_to_door", start="center", terminate_at_door=False)
    assert {family.oracle_return(task) for task in family.split(held_out="cccad")[1]} == {2.0}


# --- the demonstrator -----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(room_kwargs, st.integers(0, 2**31))
def test_the_demonstrator_earns_the_oracle_return_from_wherever_it_starts(kwargs, seed):
    """Every task at once, keys at the door included: each first episode takes no more steps than the shortest way."""
    size = kwargs["size"]
    family = task_family("key_to_door", **kwargs)
    tasks = [*family.tasks(), *({"key": list(divmod(i, size)), "door": list(divmod(i, size))} for i in range(size**2))]
    array = family.task_array(tasks)
    envs = family.make_vec(tasks)
    observations, infos = envs.reset(seed=seed)
    if kwargs["observation"] == "index":
        start = np.stack(np.divmod(observations % size**2, size), axis=1)
    else:
        start = observations[:, :2]
    to_key = np.maximum(np.abs(start - array[:, :2]).sum(axis=1), 1)
    to_door = to_key + np.maximum(np.abs(array[:, :2] - array[:, 2:]).sum(axis=1), 1)
    rewards = []
    for _ in range(kwargs["horizon"]):
        actions = family.demonstrator(observations, array, infos)
        assert actions.dtype == np.int64
        observations, reward, _, _, infos = envs.step(actions)
        rewards.append(reward)
    at = np.arange(1, kwargs["horizon"] + 1)[:, None]
    first_episode = at <= to_door
    assert ((np.array(rewards) > 0)[first_episode] == ((at == to_key) | (at == to_door))[first_episode]).all()


def test_after_the_door_the_demonstrator_stays():
    family = task_family("key_to_door", start="center", terminate_at_door=False)
    array = family.task_array([{"key": [2, 2], "door": [3, 7]}])
    assert family.demonstrator(np.array([3 * 9 + 7]), array, {"has_key": np.array([True])}).tolist() == [grid.STAY]
    assert family.demonstrator(np.array([3 * 9 + 7]), array, {"has_key": np.array([False])}).tolist() == [grid.UP]
    assert family.targets(np.repeat(array, 2, axis=0), {"has_key": np.array([False, True])}).tolist() == [
        [2, 2],
        [3, 7],
    ]
    assert family.possible_targets().tolist() == [[r, c] for r in range(9) for c in range(9)]
