"""The scalar bandits, through `gymnasium.make`."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import hf_icrl  # noqa: F401  (registers the environments)

MEANS = [0.1, 0.8, 0.5]
ARMS = [[1.0, 0.0], [0.0, -2.0], [0.5, 0.5]]


def made(kind, **kwargs):
    return gym.make(f"hf_icrl/{kind}Bandit-v0", disable_env_checker=True, **kwargs).unwrapped


def pulls(env, arm, count, seed=0):
    """Observations before `count` pulls of one arm, float64, and their rewards and regrets."""
    observations, rewards, regrets = [], [], []
    observation, _ = env.reset(seed=seed)
    for _ in range(count):
        observations.append(observation)
        observation, reward, _, _, infos = env.step(arm)
        rewards.append(reward)
        regrets.append(infos["regret"])
    return np.array(observations, dtype=np.float64), np.array(rewards), np.array(regrets)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("Bernoulli", {}),
        ("Bernoulli", {"num_arms": 3, "means": MEANS, "horizon": 5}),
        ("Bernoulli", {"observation": "random", "dimension": 3}),
        ("Contextual", {}),
        ("Contextual", {"num_arms": 3, "arms": ARMS, "horizon": 5, "noise": 0.0}),
        ("Contextual", {"num_arms": 4, "dimension": 5}),
        ("Linear", {}),
        ("Linear", {"num_arms": 4, "dimension": 3, "theta": [1.0, 2.0, 3.0], "arm_seed": 5}),
        ("Contextual", {"render_mode": "rgb_array"}),
    ],
)
def test_gymnasiums_checker_passes_without_a_warning(kind, kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A normal context has no bounds, which the checker finds suspicious.
        warnings.filterwarnings("ignore", message=".*A Box observation space m.*value is -?infinity")
        check_env(made(kind, **kwargs), skip_render_check="render_mode" not in kwargs)


def test_bernoulli_arms_pay_their_means_and_regret_is_expected():
    env = made("Bernoulli", means=MEANS, horizon=10_000)
    for arm, mean in enumerate(MEANS):
        observations, rewards, regrets = pulls(env, arm, 10_000, seed=arm)
        assert (observations == 0).all()
        assert set(rewards) == {0.0, 1.0}
        # A mean of 10 000 draws has a standard deviation of at most 0.005; five of them are allowed.
        assert abs(rewards.mean() - mean) < 0.025
        assert regrets == pytest.approx(0.8 - mean)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_a_bernoulli_bandit_can_show_what_a_contextual_one_shows(dimension):
    """Vectors of the law and the space of contexts, which tell nothing: rewards are those without them."""
    count = 6000
    env = made("Bernoulli", means=MEANS, horizon=count, observation="random", dimension=dimension)
    assert env.observation_space == made("Contextual", dimension=dimension).observation_space
    vectors, rewards, regrets = pulls(env, 1, count)
    _, unseen_rewards, unseen_regrets = pulls(made("Bernoulli", means=MEANS, horizon=count), 1, count)
    assert rewards.tolist() == unseen_rewards.tolist()
    assert regrets.tolist() == unseen_regrets.tolist()
    assert vectors.astype(np.float32).tolist() == vectors.tolist()
    # In units of their deviation, the vectors are N(0, I): means and correlations have a standard error of 0.0129, the
    # variances of 0.0183, the share within one deviation (0.6827) of 0.0060; five of them are allowed.
    vectors *= dimension**0.5
    assert np.abs(vectors.mean(axis=0)).max() < 0.065
    assert np.abs(vectors.T @ vectors / count - np.eye(dimension)).max() < 0.092
    assert np.abs((np.abs(vectors) < 1).mean(axis=0) - 0.6827).max() < 0.030
    # Nothing to do with the reward of the pull after them, nor with that before them, nor with each other.
    won = (rewards - 0.8) / 0.4
    for other in (won[1:, None], won[:-1, None], vectors[:-1]):
        assert np.abs(vectors[1:].T @ other / count).max() < 0.065
    assert env.reset()[0].tolist() != env.reset()[0].tolist()


def test_arms_that_pay_always_or_never():
    env = made("Bernoulli", means=[0, 1])
    assert set(pulls(env, 0, 200)[1]) == {0.0}
    assert set(pulls(env, 1, 200)[1]) == {1.0}


def test_contexts_are_normal_and_rewards_linear_in_them():
    count = 6000
    env = made("Contextual", arms=ARMS, horizon=count, noise=0.5)
    contexts, rewards, regrets = pulls(env, 1, count)
    assert env.reset()[0].dtype == np.float32
    # N(0, I / 2): variances have a standard error of 0.5 * sqrt(2 / count) = 0.0091, the other figures less.
    assert np.abs(contexts.mean(axis=0)).max() < 0.046
    assert np.abs(np.cov(contexts.T) - np.eye(2) / 2).max() < 0.046
    values = contexts @ np.array(ARMS).T
    residual = rewards - values[:, 1]
    # The noise: mean 0 (standard error 0.0065), deviation 0.5 (0.0046), nothing to do with contexts (0.0065 / 0.7).
    assert abs(residual.mean()) < 0.033
    assert abs(residual.std() - 0.5) < 0.023
    assert np.abs(residual @ contexts / count).max() < 0.025
    assert np.abs((residual**2) @ contexts / count).max() < 0.025
    assert regrets == pytest.approx(values.max(axis=1) - values[:, 1])
    # Contexts of neighbouring times are independent.
    assert np.abs(contexts[1:].T @ contexts[:-1] / count).max() < 0.033


def test_linear_arms_are_dpts_and_pay_normal_rewards():
    env = made("Linear", theta=[1.0, -0.5], horizon=5000)
    # The first two arms of DPT's code, RandomState(1234).normal(size=(10, 2)) / sqrt(2).
    assert env.arms[:2] == pytest.approx(np.array([[0.33335500, -0.84214699], [1.01307681, -0.22107828]]), abs=1e-8)
    observations, rewards, regrets = pulls(env, 0, 5000)
    value = 0.33335500 + 0.5 * 0.84214699
    assert (observations == 0).all()
    # Standard errors: 0.3 / sqrt(5000) = 0.0042 and 0.003.
    assert abs(rewards.mean() - value) < 0.021
    assert abs(rewards.std() - 0.3) < 0.015
    assert regrets == pytest.approx((env.arms @ [1.0, -0.5]).max() - value, abs=1e-7)


@pytest.mark.parametrize(
    ("kind", "kwargs"), [("Bernoulli", {"means": MEANS}), ("Contextual", {"arms": ARMS}), ("Linear", {})]
)
def test_an_episode_is_truncated_at_the_horizon_and_the_next_goes_on(kind, kwargs):
    env = made(kind, horizon=3, **kwargs)
    first, infos = env.reset(seed=1)
    usable = 10 if kind == "Linear" else 3
    assert infos["regret"] == 0.0
    assert infos["action_mask"].dtype == np.int8
    assert infos["action_mask"].tolist() == [1] * usable + [0] * (env.action_space.n - usable)
    rewards = []
    for _ in range(2):
        for t in range(3):
            observation, reward, terminated, truncated, infos = env.step(0)
            assert (terminated, truncated) == (False, t == 2)
            assert observation in env.observation_space
            rewards.append(reward)
        with pytest.raises(gym.error.ResetNeeded, match="reset"):
            env.step(0)
        if kind == "Contextual":
            assert observation.tolist() != env.reset()[0].tolist()
        else:
            env.reset()
    if kind != "Bernoulli":
        assert len(set(rewards)) == 6  # no episode repeats another's noise
    assert np.array_equal(env.reset(seed=1)[0], first)
    assert env.step(0)[1] == rewards[0]


def test_without_a_task_a_seed_draws_one_and_it_stays():
    for kind, entry in [("Bernoulli", "means"), ("Contextual", "arms"), ("Linear", "theta")]:
        env = made(kind)
        assert getattr(env, entry) is None
        env.reset(seed=5)
        task = getattr(env, entry)
        env.reset()
        assert getattr(env, entry) == task
        env.reset(seed=6)
        assert getattr(env, entry) != task
        env.reset(seed=5)
        assert getattr(env, entry) == task
        # With its task spelt out, the same seed gives the same rewards.
        twin = made(kind, **{entry: task})
        twin.reset(seed=5)
        assert [twin.step(1)[1] for _ in range(20)] == [env.step(1)[1] for _ in range(20)]


def test_drawn_tasks_have_their_law():
    env = made("Bernoulli", num_arms=50)
    means = []
    for seed in range(40):
        env.reset(seed=seed)
        means += env.means
    # 2000 uniform numbers: the mean has a standard error of 0.0065, the variance 1/12 of 0.0017.
    assert abs(np.mean(means) - 0.5) < 0.033
    assert abs(np.var(means) - 1 / 12) < 0.0085
    env = made("Contextual", num_arms=50, dimension=4)
    arms = []
    for seed in range(40):
        env.reset(seed=seed)
        arms += env.arms
    # 2000 vectors N(0, I / 4): each entry of the covariance has a standard error of at most 0.0079.
    assert np.abs(np.cov(np.array(arms).T) - np.eye(4) / 4).max() < 0.04


def test_never_seeded_environments_differ():
    def rewards():
        env = made("Linear", theta=[1.0, 1.0])
        env.reset()
        return tuple(env.step(0)[1] for _ in range(3))

    assert len({rewards() for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("kind", "kwargs", "message"),
    [
        ("Bernoulli", {"means": [0.5, 1.2]}, r"means is \[0.5, 1.2\]; each is a probability"),
        ("Bernoulli", {"means": [0.5, float("nan")]}, "must be finite"),
        ("Bernoulli", {"means": []}, r"means has shape \(0,\).*at least 1"),
        ("Bernoulli", {"means": [0.5] * 3, "num_arms": 2}, r"means has shape \(3,\); it must be \(2,\)"),
        ("Bernoulli", {"means": "high"}, "must hold numbers"),
        ("Bernoulli", {"means": [True, False]}, "must hold numbers"),
        ("Bernoulli", {"num_arms": 0}, "num_arms is 0"),
        ("Bernoulli", {"horizon": 1.5}, "horizon is 1.5"),
        ("Bernoulli", {"observation": "randm"}, "observation.*did you mean 'random'"),
        ("Bernoulli", {"observation": "random", "dimension": 0}, "dimension is 0"),
        pytest.param(
            "Bernoulli",
            {"render_mode": "ansi"},
            "render_mode is 'ansi'",
            marks=pytest.mark.filterwarnings("ignore:.*not in the possible render_modes"),
        ),
        ("Contextual", {"arms": [0.5, 1.2]}, r"arms has shape \(2,\); it must be \(20, 2\)"),
        ("Contextual", {"arms": [[0.5, 1.2, 3.0]]}, r"arms has shape \(1, 3\)"),
        ("Contextual", {"arms": [[0.5, 1.2], [1.0]]}, "must hold numbers in an array of shape"),
        ("Contextual", {"dimension": 0}, "dimension is 0"),
        ("Contextual", {"noise": -1.0}, "noise is -1.0"),
        ("Linear", {"theta": [1.0]}, r"theta has shape \(1,\); it must be \(2,\)"),
        ("Linear", {"arm_seed": 2**32}, "arm_seed is 4294967296"),
        ("Linear", {"noise": "loud"}, "noise is 'loud'"),
    ],
)
def test_bad_arguments_are_named(kind, kwargs, message):
    with pytest.raises(ValueError, match=message):
        made(kind, **kwargs)


def test_bad_actions_and_missing_resets_are_named():
    env = made("Bernoulli", means=MEANS)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(0)
    env.reset(seed=0)
    for arm in (-1, 3):
        with pytest.raises(ValueError, match=f"action is {arm}, but this task has 3 arms"):
            env.step(arm)
    env = made("Linear")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action is 10, but this task has 10 arms"):
        env.step(10)


def columns(frame, arms, rows):
    """The pixels in the middle of each arm's column, at some rows: `(rows, arms, 3)`."""
    return frame[rows][:, [int(24 + (a + 0.5) * 432 / arms) for a in range(arms)]].astype(int)


def test_pictures_show_means_pulls_and_the_last_pull():
    env = made("Bernoulli", means=[0.25, 1.0, 0.5], render_mode="rgb_array")
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.render()
    env.reset(seed=0)
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape == (360, 480, 3)
    # At 0.75, 0.4 and 0.1 of the panel's height: which bars reach there?
    height = columns(first, 3, [226 - int(202 * level) for level in (0.75, 0.4, 0.1)])
    assert (height.max(axis=2) > 100).tolist() == [[False, True, False], [False, True, True], [True, True, True]]
    red, _, blue = height[2, 1]
    assert red > blue + 80  # the best arm is golden
    red, _, blue = height[2, 0]
    assert blue > red + 50  # the others are blue
    assert columns(first, 3, [330]).max() < 100  # nothing was pulled
    for arm in (0, 0, 2):
        env.step(arm)
    later = env.render()
    # The whole and half of a panel of 86 rows.
    pulled = columns(later, 3, [336 - 80, 336 - 45, 336 - 40]).max(axis=2) > 150
    assert pulled.tolist() == [[True, False, False], [True, False, False], [True, False, True]]
    assert later[30, 24 + 3 + 288 :].astype(int).sum() > first[30, 24 + 3 + 288 :].astype(int).sum()  # lit
    assert (later[30, :300] == first[30, :300]).all()
    env.reset()
    assert (env.render() == first).all()


def test_pictures_show_values_below_zero_and_any_number_of_arms():
    env = made("Contextual", num_arms=2, arms=[[2.0, 0.0], [-2.0, 0.0]], render_mode="rgb_array")
    for seed in range(6):
        sign = np.sign(env.reset(seed=seed)[0][0])
        frame = env.render()
        env.step(0)
        assert not (env.render() == frame).all()
        # Just above the middle stands the bar of the arm that is worth more than nothing, golden.
        red, _, blue = columns(frame, 2, [125 - 3])[0, 0 if sign > 0 else 1]
        assert red > blue + 80
        red, _, blue = columns(frame, 2, [125 + 3])[0, 1 if sign > 0 else 0]
        assert blue > red + 50
    for arms in (1, 100, 700):
        env = made("Linear", num_arms=arms, render_mode="rgb_array")
        env.reset(seed=0)
        env.step(0)
        assert env.render().max() > 150
    for kind, kwargs in [("Contextual", {"arms": [[0.0, 0.0]]}), ("Linear", {"theta": [0.0, 0.0]})]:
        env = made(kind, render_mode="rgb_array", **kwargs)
        env.reset(seed=0)
        assert env.render().shape == (360, 480, 3)
