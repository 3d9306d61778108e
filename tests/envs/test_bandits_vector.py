"""The vector bandits equal the scalar ones, slot by slot, and gymnasium's own vectorisation of them."""

import gymnasium as gym
import numpy as np
import pytest
from envs_support import assert_place_does_not_matter, assert_step_identical, drawn_order
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import hf_icrl  # noqa: F401  (registers the environments)
from hf_icrl.tasks import task_family

ENTRIES = {"Bernoulli": "means", "Contextual": "arms", "Linear": "theta"}


def scalar(kind, **kwargs):
    return gym.make(f"hf_icrl/{kind}Bandit-v0", disable_env_checker=True, **kwargs).unwrapped


def made(kind, num_envs, **kwargs):
    return gym.make_vec(
        f"hf_icrl/{kind}Bandit-v0", num_envs, vectorization_mode="vector_entry_point", **kwargs
    ).unwrapped


@st.composite
def plans(draw):
    """`(kind, kwargs, tasks or None, seeds, actions)`; actions `(steps, n)` are arms that the tasks have."""
    kind = draw(st.sampled_from(sorted(ENTRIES)))
    kwargs = {"num_arms": draw(st.integers(1, 7)), "horizon": draw(st.integers(1, 9))}
    if kind == "Bernoulli":
        kwargs |= {"observation": draw(st.sampled_from(["none", "random"])), "dimension": draw(st.integers(1, 4))}
    else:
        kwargs |= {"dimension": draw(st.integers(1, 4)), "noise": draw(st.sampled_from([0.0, 0.3, 2.0]))}
    seeds = draw(st.lists(st.integers(0, 2**70), min_size=1, max_size=5))
    usable, tasks = np.full(len(seeds), kwargs["num_arms"]), None
    if draw(st.booleans()):
        family = task_family(f"{kind.lower()}_bandit", **kwargs)
        arms = {} if kind == "Linear" else {"min_arms": 1}
        tasks = family.sample(len(seeds), seed=draw(st.integers(0, 100)), **arms)
        if kind != "Linear":
            usable = family.available_actions(tasks).sum(axis=1)
    steps = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return kind, kwargs, tasks, seeds, (rng.random((steps, len(seeds))) * usable).astype(np.int64)


def of_tasks(kind, kwargs, tasks, num_envs):
    """The vector environment on `tasks`, or on those that seeds draw."""
    if tasks is None:
        return made(kind, num_envs, **kwargs)
    return task_family(f"{kind.lower()}_bandit", **kwargs).make_vec(tasks).unwrapped


@settings(max_examples=120, deadline=None)
@given(plans())
def test_vector_is_step_identical_to_scalar_under_gymnasiums_same_step_autoreset(plan):
    """Observations, rewards, ends and infos, autoresets included, against `SyncVectorEnv` over scalar environments."""
    kind, kwargs, tasks, seeds, actions = plan
    n, entry = len(seeds), ENTRIES[kind]
    scalars = SyncVectorEnv(
        [lambda i=i: scalar(kind, **kwargs, **(tasks[i] if tasks else {})) for i in range(n)],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    vector = of_tasks(kind, kwargs, tasks, n)
    assert_step_identical(vector, scalars, seeds, actions)
    for values, env in zip(getattr(vector, entry), scalars.envs, strict=True):
        task = getattr(env, entry)
        assert values[: len(task)].tolist() == task
        assert np.isnan(values[len(task) :]).all()


@settings(max_examples=40, deadline=None)
@given(plans(), st.randoms(use_true_random=False))
def test_a_slot_does_not_depend_on_its_neighbours_or_its_place(plan, random):
    kind, kwargs, tasks, seeds, actions = plan
    order = drawn_order(seeds, random)
    whole = of_tasks(kind, kwargs, tasks, len(seeds))
    part = of_tasks(kind, kwargs, tasks and [tasks[i] for i in order], len(order))
    assert_place_does_not_matter(whole, part, seeds, order, actions, lambda infos: infos["regret"])


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [("Bernoulli", {}), ("Bernoulli", {"observation": "random"}), ("Contextual", {}), ("Linear", {})],
)
def test_thousands_of_slots_are_few_slots_many_times(kind, kwargs):
    """Numbers are drawn ahead for as many steps as fit, and in pieces, both of which depend on the number of slots."""
    slots, picked = 5000, [0, 1, 2047, 2048, 4096, 4999]
    large, small = made(kind, slots, horizon=3, **kwargs), made(kind, len(picked), horizon=3, **kwargs)
    assert large.reset(seed=7)[0][picked].tolist() == small.reset(seed=[7 + i for i in picked])[0].tolist()
    actions = np.random.default_rng(0).integers(large.num_arms, size=(8, slots))
    for row in actions:
        expected, got = large.step(row), small.step(row[picked])
        assert got[0].tolist() == expected[0][picked].tolist()
        assert got[1].tolist() == expected[1][picked].tolist()
        assert got[4]["regret"].tolist() == expected[4]["regret"][picked].tolist()


def test_no_two_slots_share_contexts_or_noise():
    """Headless-AD's histories all had one sequence of contexts and one of noise, because all were seeded alike."""
    envs = made("Contextual", 100, arms=[[1.0, 0.0]] * 20, horizon=200, noise=1.0)
    observations, _ = envs.reset(seed=0)
    contexts, noise = [], []
    for _ in range(200):
        contexts.append(observations[:, 0] * 2**0.5)
        observations, rewards, *_ = envs.step(np.zeros(100, int))
        noise.append(rewards - contexts[-1] / 2**0.5)
    streams = np.concatenate([contexts, noise], axis=1)
    products = streams.T @ streams / 200
    # Products of independent streams have a standard deviation of 1 / sqrt(200) = 0.071; seven of them are allowed.
    assert np.abs(products[np.triu_indices(200, 1)]).max() < 0.5
    assert np.diag(products).min() > 0.5


@pytest.mark.parametrize("kind", sorted(ENTRIES))
def test_reset_mask_resets_only_those_slots(kind):
    masked, plain, fresh = made(kind, 3, horizon=10), made(kind, 3, horizon=10), scalar(kind, horizon=10)
    masked.reset(seed=[1, 2, 3])
    plain.reset(seed=[1, 2, 3])
    for _ in range(4):
        masked.step(np.array([1, 2, 3]))
        before, *_, before_infos = plain.step(np.array([1, 2, 3]))
    after, infos = masked.reset(seed=[None, 20, None], options={"reset_mask": np.array([False, True, False])})
    assert after[[0, 2]].tolist() == before[[0, 2]].tolist()
    assert infos["regret"].tolist() == [before_infos["regret"][0], 0.0, before_infos["regret"][2]]
    assert after[1].tolist() == fresh.reset(seed=20)[0].tolist()
    for t in range(12):
        got, expected, one = masked.step(np.array([1, 2, 3])), plain.step(np.array([1, 2, 3])), fresh.step(2)
        # Slots 0 and 2 are at their tenth step when slot 1 is at its sixth.
        assert got[3].tolist() == [t == 5, t == 9, t == 5]
        assert got[1].tolist() == [expected[1][0], one[1], expected[1][2]]
        shown = fresh.reset()[0] if one[3] else one[0]
        assert got[0].tolist() == [expected[0][0].tolist(), shown.tolist(), expected[0][2].tolist()]


@pytest.mark.parametrize("kind", sorted(ENTRIES))
def test_an_unseeded_reset_goes_on_with_each_slots_stream(kind):
    vector, one = made(kind, 3), scalar(kind)
    vector.reset(seed=[7, 8, 9])
    one.reset(seed=8)
    for _ in range(4):
        assert vector.step(np.array([0, 1, 2]))[1][1] == one.step(1)[1]
        assert vector.reset()[0][1].tolist() == one.reset()[0].tolist()


def test_an_integer_seed_counts_up_over_the_slots_and_none_is_drawn_anew():
    a, b = made("Contextual", 3), made("Contextual", 3)
    assert a.reset(seed=5)[0].tolist() == b.reset(seed=[5, 6, 7])[0].tolist()
    assert made("Contextual", 3).reset()[0].tolist() != made("Contextual", 3).reset()[0].tolist()


@pytest.mark.parametrize("kind", sorted(ENTRIES))
def test_returned_arrays_are_not_overwritten_later(kind):
    envs = made(kind, 2, horizon=3)

    def parts(observations, *rest):
        return [observations, *rest[:-1], rest[-1]["regret"], rest[-1]["action_mask"]]

    kept = parts(*envs.reset(seed=0)) + [x for _ in range(7) for x in parts(*envs.step(np.array([1, 3])))]
    copies = [x.copy() for x in kept]
    for x in kept:
        assert x.flags.writeable
    for _ in range(7):
        envs.step(np.array([2, 4]))
    assert all((a == b).all() for a, b in zip(kept, copies, strict=True))
    # Nor does writing to them change what comes next.
    twin = made(kind, 2, horizon=3)
    twin.reset(seed=0)
    for _ in range(14):
        twin.step(np.array([2, 4]))
    for x in parts(*envs.step(np.array([0, 0]))):
        x[...] = 0
    twin.step(np.array([0, 0]))
    assert data_equivalence(envs.step(np.array([1, 1]))[4], twin.step(np.array([1, 1]))[4], exact=True)


@pytest.mark.parametrize(
    ("kind", "kwargs"), [("Bernoulli", {}), ("Contextual", {"dimension": 3}), ("Linear", {"dimension": 7})]
)
def test_frames_are_the_scalar_environments_frames(kind, kwargs):
    kwargs = {"num_arms": 5, "horizon": 3, "render_mode": "rgb_array", **kwargs}
    family = task_family(f"{kind.lower()}_bandit", **{k: v for k, v in kwargs.items() if k != "render_mode"})
    tasks = family.sample(3, seed=1, **({} if kind == "Linear" else {"min_arms": 2}))
    envs = family.make_vec(tasks, render_mode="rgb_array")
    scalars = [scalar(kind, **kwargs, **task) for task in tasks]
    envs.reset(seed=4)
    for i, env in enumerate(scalars):
        env.reset(seed=4 + i)
    for actions in [(0, 1, 0), (1, 1, 1), (0, 0, 1), (1, 0, 1)]:
        frames = envs.render()
        assert isinstance(frames, tuple)
        assert all((frame == env.render()).all() for frame, env in zip(frames, scalars, strict=True))
        _, _, _, truncated, _ = envs.step(np.array(actions))
        for env, action, ended in zip(scalars, actions, truncated, strict=True):
            env.step(action)
            if ended:
                env.reset()


def test_one_task_serves_all_slots():
    envs = made("Bernoulli", 3, num_arms=4, means=[0.25, 0.75])
    assert np.isnan(envs.means[:, 2:]).all()
    assert envs.means[:, :2].tolist() == [[0.25, 0.75]] * 3
    assert made("Contextual", 3, num_arms=4, arms=[[1.0, 2.0]]).arms[:, 0].tolist() == [[1.0, 2.0]] * 3
    assert made("Linear", 3, theta=[1.0, 2.0]).theta.tolist() == [[1.0, 2.0]] * 3


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("Bernoulli", {"means": [[0.5, 0.1], [0.2, 1.5]]}, "a mean is 1.5"),
        ("Bernoulli", {"means": [0.5, 1.5]}, "each is a probability"),
        ("Bernoulli", {"means": [[0.5, 0.1]] * 3}, r"\(2, 2\) with one task .* got float64 of shape \(3, 2\)"),
        ("Bernoulli", {"means": [[0.5, 0.1], [0.2]]}, "got lists of different lengths"),
        ("Bernoulli", {"means": [[0.5, 0.1], [NAN, 0.2]]}, r"means\[1\] is \[nan, 0.2\]"),
        ("Bernoulli", {"means": [[NAN, NAN], [0.2, 0.2]]}, r"means\[0\] is \[nan, nan\].*at least one arm"),
        pytest.param(
            "Bernoulli",
            {"render_mode": "ansi"},
            "render_mode is 'ansi'",
            marks=pytest.mark.filterwarnings("ignore:.*not in the possible render_modes"),
        ),
        ("Contextual", {"arms": [[[1.0, NAN], [1.0, 1.0]]] * 2}, r"arms\[0\] is"),
        ("Contextual", {"arms": [[[np.inf, 1.0], [1.0, 1.0]]] * 2}, r"arms\[0\] is"),
        ("Contextual", {"arms": [["a", "b"]]}, "arms is .*must hold numbers"),
        ("Contextual", {"arms": [[1.0, 2.0, 3.0]]}, r"arms has shape \(1, 3\)"),
        ("Linear", {"theta": [[1.0, 2.0], [NAN, 0.0]]}, "must be finite"),
        ("Linear", {"theta": [[1.0, 2.0]] * 3}, r"got float64 of shape \(3, 2\)"),
    ],
)
def test_bad_arguments_are_named(kind, kwargs, message):
    with pytest.raises(ValueError, match=message):
        made(kind, 2, num_arms=2, **kwargs)


def test_bad_actions_seeds_and_masks_are_named():
    envs = made("Bernoulli", 2, num_arms=3, means=[[0.5, 0.5, 0.5], [0.5, 0.5, NAN]])
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        envs.step(np.zeros(2, int))
    with pytest.raises(ValueError, match="first reset"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match="3 seeds for 2 environments"):
        envs.reset(seed=[1, 2, 3])
    envs.reset(seed=0)
    for actions, message in [
        ([2, 2], "action is 2, but this task has 2 arms"),
        ([3, 0], "action is 3, but this task has 3 arms"),
        ([-1, 0], "action is -1, but this task has 3 arms"),
        ([0, 0, 0], r"shape \(2,\), got int64 of shape \(3,\)"),
        ([0.0, 1.0], "got float64"),
    ]:
        with pytest.raises(ValueError, match=message):
            envs.step(np.array(actions))
