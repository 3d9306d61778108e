"""The vector Key-to-Door equals the scalar one, slot by slot, and gymnasium's own vectorisation of it."""

import gymnasium as gym
import numpy as np
import pytest
from envs_support import assert_place_does_not_matter, assert_step_identical, drawn_order, key_to_door_rooms
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_icrl  # noqa: F401  (registers the environments)
from hf_icrl.envs import KeyToDoorEnv, KeyToDoorVectorEnv, true_info

ENV_ID = "hf_icrl/KeyToDoor-v0"

cases = key_to_door_rooms(25)
seeds_and_actions = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 2**70), min_size=n, max_size=n),
        st.lists(st.lists(st.integers(0, 4), min_size=n, max_size=n), min_size=1, max_size=40),
    )
)


def made(num_envs, **kwargs):
    return gym.make_vec(ENV_ID, num_envs, vectorization_mode="vector_entry_point", **kwargs)


def same_step(envs):
    return SyncVectorEnv(envs, autoreset_mode=AutoresetMode.SAME_STEP)


@settings(max_examples=120, deadline=None)
@given(cases, seeds_and_actions, st.booleans(), st.randoms(use_true_random=False))
def test_vector_is_step_identical_to_scalar_under_gymnasiums_same_step_autoreset(kwargs, plan, with_tasks, random):
    """Observations, rewards, ends and infos, autoresets included, against `SyncVectorEnv` over scalar environments."""
    seeds, actions = plan
    n, size = len(seeds), kwargs["size"]
    keys, doors = ([[random.randrange(size), random.randrange(size)] for _ in seeds] for _ in range(2))
    each = [{"key": k, "door": d} if with_tasks else {} for k, d in zip(keys, doors, strict=True)]
    scalar = same_step([lambda task=task: KeyToDoorEnv(**task, **kwargs) for task in each])
    vector = made(n, **({"key": keys, "door": doors} if with_tasks else {}), **kwargs)
    assert_step_identical(vector, scalar, seeds, np.array(actions))
    assert vector.unwrapped.key.tolist() == [env.key for env in scalar.envs]
    assert vector.unwrapped.door.tolist() == [env.door for env in scalar.envs]


@settings(max_examples=40, deadline=None)
@given(cases, seeds_and_actions, st.randoms(use_true_random=False))
def test_a_slot_does_not_depend_on_its_neighbours_or_its_place(kwargs, plan, random):
    seeds, actions = plan
    order = drawn_order(seeds, random)
    whole, part = made(len(seeds), **kwargs), made(len(order), **kwargs)
    assert_place_does_not_matter(
        whole, part, seeds, order, np.array(actions), lambda infos: true_info(infos, "has_key")
    )


def test_partial_resets_are_gymnasiums():
    kwargs = {"size": 3, "horizon": 10, "key": [0, 0], "door": [2, 2], "terminate_at_door": False}
    scalar = same_step([lambda: KeyToDoorEnv(**kwargs)] * 3)
    vector = made(3, **kwargs)
    scalar.reset(seed=[1, 2, 3])
    vector.reset(seed=[1, 2, 3])
    rng = np.random.default_rng(0)
    for mask in ([True, False, False], [False, True, True], [False, False, True]):
        for actions in rng.integers(5, size=(7, 3)):
            expected, got = scalar.step(actions), vector.step(actions)
            assert data_equivalence(got[4], expected[4], exact=True)
        mask = np.array(mask)
        seeds = [None, 20, None]
        expected, expected_infos = scalar.reset(seed=seeds, options={"reset_mask": mask.copy()})
        got, infos = vector.reset(seed=seeds, options={"reset_mask": mask.copy()})
        assert got.tolist() == expected.tolist()
        assert data_equivalence(infos, expected_infos, exact=True)


@pytest.mark.parametrize("key_in_observation", [False, True])
def test_returned_arrays_are_the_callers(key_in_observation):
    """They are not overwritten later, and writing to them changes nothing."""
    kwargs = {"key": [0, 0], "door": [0, 1], "size": 2, "horizon": 4, "key_in_observation": key_in_observation}
    first, second = made(2, **kwargs), made(2, **kwargs)

    def run(envs, after):
        arrays = []
        for t in range(20):
            if t % 7 == 0:
                mask = np.array([True, t % 2 == 0])
                observations, infos = envs.reset(seed=t, options={"reset_mask": mask})
                step = ()
            else:
                observations, *step, infos = envs.step(np.array([1 + t % 2 * 3, t % 5]))
            new = [observations, *step, infos["has_key"], infos["_has_key"]]
            arrays += [x.copy() for x in new]
            after(new)
        return arrays

    kept = []
    arrays = run(first, kept.extend)
    assert all((a == b).all() for a, b in zip(arrays, kept, strict=True))

    def spoil(new):
        for array in new:
            array[:] = 1

    assert all((a == b).all() for a, b in zip(arrays, run(second, spoil), strict=True))


def test_frames_are_the_scalar_environments_frames():
    keys, doors = [[4, 5], [0, 0]], [[4, 3], [8, 8]]
    kwargs = {"start": "center", "horizon": 8, "terminate_at_door": False, "render_mode": "rgb_array"}
    vector = made(2, key=keys, door=doors, **kwargs)
    scalars = [KeyToDoorEnv(key=k, door=d, **kwargs) for k, d in zip(keys, doors, strict=True)]
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        vector.render()
    vector.reset(seed=[1, 2])
    for env, seed in zip(scalars, [1, 2], strict=True):
        env.reset(seed=seed)
    for t in range(11):
        for frame, env in zip(vector.render(), scalars, strict=True):
            assert (frame == env.render()).all()
        actions = np.array([[2, 4, 4, 1][t % 4], t % 5])
        ended = vector.step(actions)[3]
        for env, action in zip(scalars, actions, strict=True):
            env.step(action)
            if ended[0]:
                env.reset()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 2, "key": [0, 0], "door": [[0, 0], [9, 3]]}, r"door \[9, 3\] is outside the room of size 9"),
        ({"num_envs": 3, "key": [[0, 0], [1, 3]], "door": [0, 0]}, r"key must be .* 3 of them .* shape \(2, 2\)"),
        ({"num_envs": 2, "key": [0, 0], "door": [[0.5, 0], [1, 3]]}, "integers"),
        ({"num_envs": 2, "key": [0, 0]}, "key is given but door is not"),
        ({"num_envs": 0}, "num_envs is 0"),
        ({"num_envs": 1, "start": "corner", "start_off_key": True}, "only a random start can avoid the key"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        KeyToDoorVectorEnv(**kwargs)


def test_bad_actions_and_first_resets_are_named():
    envs = made(3)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step(np.zeros(3, int))
    with pytest.raises(ValueError, match="first reset"):
        envs.reset(options={"reset_mask": np.array([True, False, True])})
    envs.reset(seed=0)
    for actions, message in [
        (np.array([0, 5, 0]), "an action is 5"),
        (np.zeros(2, int), r"shape \(3,\), got int64 of shape \(2,\)"),
        (np.zeros(3), "got float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            envs.step(actions)
