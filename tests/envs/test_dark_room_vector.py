"""The vector DarkRoom equals the scalar one, slot by slot, and gymnasium's own vectorisation of it."""

import gymnasium as gym
import numpy as np
import pytest
from envs_support import assert_place_does_not_matter, assert_step_identical, drawn_order
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_icrl  # noqa: F401  (registers the environments)
from hf_icrl.envs import DarkRoomEnv, DarkRoomVectorEnv, true_next_observations

ENV_ID = "hf_icrl/DarkRoom-v0"

cases = st.fixed_dictionaries(
    {
        "size": st.integers(2, 10),
        "start": st.sampled_from(["center", "corner", "random", [1, 0]]),
        "horizon": st.integers(1, 12),
        "terminate_on_goal": st.booleans(),
        "observation": st.sampled_from(["index", "row_col", "one_hot", "image"]),
        "observation_size": st.sampled_from([None, 11]),
        "permuted": st.booleans(),
    }
).flatmap(
    lambda kwargs: st.one_of(
        st.just({**kwargs, "word_length": 1}),
        st.fixed_dictionaries(
            {
                "word_length": st.just(2),
                "words": st.sampled_from(["train", "test", "sliced", "all", [7, 3, 11, 24, 0]]),
                "words_seed": st.integers(0, 9),
            }
        ).map(lambda more: {**kwargs, **more}),
    )
)
seeds_and_actions = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 2**70), min_size=n, max_size=n),
        st.lists(st.lists(st.integers(0, 599), min_size=n, max_size=n), min_size=1, max_size=40),
    )
)


def possible(actions, envs):
    """The drawn actions as actions of these environments."""
    return np.array(actions) % envs.single_action_space.n


def made(num_envs, **kwargs):
    return gym.make_vec(ENV_ID, num_envs, vectorization_mode="vector_entry_point", **kwargs)


@settings(max_examples=80, deadline=None)
@given(cases, seeds_and_actions, st.booleans(), st.randoms(use_true_random=False))
def test_vector_is_step_identical_to_scalar_under_gymnasiums_same_step_autoreset(kwargs, plan, with_tasks, random):
    """Observations, rewards, ends and infos, autoresets included, against `SyncVectorEnv` over scalar environments."""
    seeds, actions = plan
    n, size = len(seeds), kwargs["size"]
    tasks = [{} for _ in seeds]
    for task in tasks if with_tasks else []:
        task["goal"] = [random.randrange(size), random.randrange(size)]
        if kwargs["permuted"] and kwargs["word_length"] == 1:
            task["action_permutation"] = random.sample(range(5), 5)
        elif kwargs["permuted"]:
            task["word_order"] = random.randrange(2**40)
    scalar = SyncVectorEnv(
        [lambda task=task: DarkRoomEnv(**task, **kwargs) for task in tasks], autoreset_mode=AutoresetMode.SAME_STEP
    )
    vector = made(n, **{name: np.array([task[name] for task in tasks]) for name in tasks[0]}, **kwargs)
    assert_step_identical(vector, scalar, seeds, possible(actions, vector))
    for name in ("goal", "action_permutation", "word_order"):
        got = getattr(vector.unwrapped, name)
        assert (n * [None] if got is None else got.tolist()) == [getattr(env, name) for env in scalar.envs]


@settings(max_examples=30, deadline=None)
@given(cases, seeds_and_actions, st.randoms(use_true_random=False))
def test_a_slot_does_not_depend_on_its_neighbours_or_its_place(kwargs, plan, random):
    seeds, actions = plan
    order = drawn_order(seeds, random)
    whole, part = made(len(seeds), **kwargs), made(len(order), **kwargs)
    assert_place_does_not_matter(whole, part, seeds, order, possible(actions, whole))


@settings(max_examples=30, deadline=None)
@given(cases, seeds_and_actions)
def test_true_next_observations_are_those_before_the_autoreset(kwargs, plan):
    seeds, actions = plan
    vector = made(len(seeds), **kwargs)
    vector.reset(seed=seeds)
    scalars = [DarkRoomEnv(**kwargs) for _ in seeds]
    for env, seed in zip(scalars, seeds, strict=True):
        env.reset(seed=seed)
    for row in possible(actions, vector):
        observations, _, terminated, truncated, infos = vector.step(row)
        true = true_next_observations(observations, infos)
        for i, env in enumerate(scalars):
            assert true[i].tolist() == env.step(row[i])[0].tolist()
            if terminated[i] or truncated[i]:
                assert observations[i].tolist() == env.reset()[0].tolist()


def test_an_integer_seed_counts_up_over_the_slots():
    a, b = made(4, start="random"), made(4, start="random")
    assert a.reset(seed=5)[0].tolist() == b.reset(seed=[5, 6, 7, 8])[0].tolist()
    assert a.unwrapped.goal.tolist() == b.unwrapped.goal.tolist()


def test_an_unseeded_reset_goes_on_with_each_slots_stream():
    vector, scalar = made(3, start="random", size=30), DarkRoomEnv(start="random", size=30)
    vector.reset(seed=[7, 8, 9])
    scalar.reset(seed=8)
    for _ in range(5):
        assert vector.reset()[0][1] == scalar.reset()[0]


def test_reset_mask_resets_only_those_slots():
    kwargs = {"size": 30, "start": "random", "horizon": 10, "goal": [0, 0]}
    masked, plain = made(3, **kwargs), made(3, **kwargs)
    masked.reset(seed=[1, 2, 3])
    plain.reset(seed=[1, 2, 3])
    for _ in range(4):
        masked.step(np.array([1, 2, 3]))
        before = plain.step(np.array([1, 2, 3]))[0]
    mask = np.array([False, True, False])
    options = {"reset_mask": mask}
    after, _ = masked.reset(seed=[None, 20, None], options=options)
    assert options == {"reset_mask": mask}  # the caller's dict is the caller's
    assert after[[0, 2]].tolist() == before[[0, 2]].tolist()
    fresh = DarkRoomEnv(**kwargs)
    assert after[1] == fresh.reset(seed=20)[0]
    for t in range(6):
        observations, _, _, truncated, _ = masked.step(np.array([1, 2, 3]))
        assert observations[1] == fresh.step(2)[0]
        # Slots 0 and 2 are at their tenth step when slot 1 is at its sixth.
        assert truncated.tolist() == [t == 5, False, t == 5]


def test_returned_arrays_are_not_overwritten_later():
    envs = made(2, goal=[[0, 0], [8, 8]], horizon=3)
    kept = [envs.reset(seed=0)[0]] + [x for _ in range(7) for x in envs.step(np.array([1, 3]))[:4]]
    copies = [x.copy() for x in kept]
    for _ in range(7):
        envs.step(np.array([2, 4]))
    assert all((a == b).all() for a, b in zip(kept, copies, strict=True))


def test_frames_are_the_scalar_environments_frames():
    goals = [[0, 3], [4, 4]]
    envs = made(2, size=5, goal=goals, horizon=4, render_mode="rgb_array")
    scalars = [DarkRoomEnv(size=5, goal=goal, horizon=4, render_mode="rgb_array") for goal in goals]
    envs.reset(seed=0)
    for env in scalars:
        env.reset(seed=0)
    for actions in [(1, 2), (3, 3), (0, 4), (2, 1), (2, 2)]:
        _, _, _, truncated, _ = envs.step(np.array(actions))
        for env, action, ended in zip(scalars, actions, truncated, strict=True):
            env.step(action)
            if ended:
                env.reset()
        frames = envs.render()
        assert isinstance(frames, tuple)
        assert all((frame == env.render()).all() for frame, env in zip(frames, scalars, strict=True))


def test_frames_of_words_are_the_scalar_environments_frames():
    kwargs = {"size": 5, "goal": [0, 3], "word_length": 2, "permuted": True, "horizon": 3, "render_mode": "rgb_array"}
    envs, scalar = made(2, **kwargs), DarkRoomEnv(**kwargs)
    envs.reset(seed=[8, 9])
    scalar.reset(seed=9)
    for action in (3, 17, 5, 11):
        if envs.step(np.array([0, action]))[3][1]:
            scalar.step(action)
            scalar.reset()
        else:
            scalar.step(action)
        assert (envs.render()[1] == scalar.render()).all()


def test_one_order_serves_all_slots():
    assert made(2, action_permutation=[4, 3, 2, 1, 0]).unwrapped.action_permutation.tolist() == [[4, 3, 2, 1, 0]] * 2
    assert made(2, word_length=2, word_order=7).unwrapped.word_order.tolist() == [7, 7]


def test_one_goal_serves_all_slots():
    assert made(3, goal=[1, 2]).unwrapped.goal.tolist() == [[1, 2]] * 3


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 2, "goal": [[0, 0], [9, 3]]}, r"goal \[9, 3\] is outside the room of size 9"),
        ({"num_envs": 3, "goal": [[0, 0], [1, 3]]}, r"3 of them .* shape \(2, 2\)"),
        ({"num_envs": 2, "goal": [[0.5, 0], [1, 3]]}, "integers"),
        ({"num_envs": 0}, "num_envs is 0"),
        ({"num_envs": 3, "action_permutation": [[0, 1, 2, 3, 4]] * 2}, r"3 of them .* got int64 of shape \(2, 5\)"),
        ({"num_envs": 2, "action_permutation": [[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]]}, r"is \[0, 0, 1, 2, 3\]; it must"),
        ({"num_envs": 3, "word_length": 2, "word_order": [1, 2]}, r"3 of them .* got int64 of shape \(2,\)"),
        ({"num_envs": 1, "start": "rnadom"}, "did you mean 'random'"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        DarkRoomVectorEnv(**kwargs)


def test_bad_actions_seeds_and_masks_are_named():
    envs = made(3, goal=[1, 2])
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step(np.zeros(3, int))
    with pytest.raises(ValueError, match="2 seeds for 3 environments"):
        envs.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="seed -4"):
        envs.reset(seed=[1, -4, 2])
    with pytest.raises(ValueError, match="first reset"):
        envs.reset(options={"reset_mask": np.array([True, False, True])})
    envs.reset(seed=0)
    for mask, message in [
        (np.zeros(3, bool), "selects no environment"),
        (np.ones(2, bool), r"shape \(3,\), got bool of shape \(2,\)"),
        ([True, True, False], "got list"),
    ]:
        with pytest.raises(ValueError, match=message):
            envs.reset(options={"reset_mask": mask})
    for actions, message in [
        (np.array([0, 5, 0]), "an action is 5"),
        (np.array([0, -1, 0]), "an action is -1"),
        (np.zeros(2, int), r"shape \(3,\), got int64 of shape \(2,\)"),
        (np.zeros(3), "got float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            envs.step(actions)


@settings(max_examples=40, deadline=None)
@given(cases, seeds_and_actions, st.integers(0, 40), st.randoms(use_true_random=False))
def test_selected_slots_go_on_as_if_the_others_were_there(kwargs, plan, when, random):
    seeds, actions = plan
    envs, whole = made(len(seeds), **kwargs), made(len(seeds), **kwargs)
    with pytest.raises(gym.error.ResetNeeded):
        envs.select_slots(np.array([0]))
    envs.reset(seed=seeds)
    whole.reset(seed=seeds)
    slots = np.sort(random.sample(range(len(seeds)), random.randint(1, len(seeds))))
    for step, row in enumerate(actions):
        row = possible(row, whole)
        if step == when:
            envs.select_slots(slots)
            assert envs.num_envs == len(envs.action_space.nvec) == len(slots)
        some = slots if step >= when else np.arange(len(seeds))
        mine, theirs = envs.step(row[some]), whole.step(row)
        for a, b in zip(mine[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(a, b[some])
        np.testing.assert_array_equal(
            true_next_observations(mine[0], mine[4]), true_next_observations(theirs[0], theirs[4])[some]
        )
