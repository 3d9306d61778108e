"""A2C as a source: histories independent of their neighbours, true to a plain learner, and that it learns."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.counter_random import stream_keys
from hf_icrl.envs.dark_room_tasks import DarkRoomFamily
from hf_icrl.sources import make_source
from hf_icrl.sources.network_inputs import first_layer
from hf_icrl.sources.stacked_networks import StackedNetworks
from hf_icrl.tasks import task_family

ARRAYS = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")


def histories(family, tasks, learners, episodes, seed=0, **params):
    """The histories of the `learners` (their numbers), learner k on `tasks[k]`."""
    source = make_source("a2c", **params)
    ids = [learner * source.streams + stream for learner in learners for stream in range(source.streams)]
    of = [tasks[learner % len(tasks)] for learner in learners for _ in range(source.streams)]
    return source.generate(family, of, ids, episodes, seed, columns=("log_probs", "time"))


def returns(batch, episodes):
    """Return of each episode, `(n, episodes)`."""
    of_episode = np.cumsum(batch.terminated | batch.truncated, axis=1) - (batch.terminated | batch.truncated)
    total = np.zeros((len(batch.tasks), episodes))
    for i, length in enumerate(batch.lengths):
        total[i] = np.bincount(of_episode[i, :length], batch.rewards[i, :length], episodes)
    return total


class LimitedRoom(DarkRoomFamily):
    """DarkRooms in which each task lacks some actions."""

    def available_actions(self, tasks):
        goals = self.task_array(tasks)
        return (np.arange(5) + goals.sum(axis=1)[:, None]) % 3 > 0


@settings(max_examples=12)
@given(
    family=st.one_of(
        st.builds(
            lambda **kwargs: task_family("dark_room", **kwargs),
            size=st.integers(2, 6),
            start=st.sampled_from(["center", "random"]),
            horizon=st.integers(1, 9),
            terminate_on_goal=st.booleans(),
            observation=st.sampled_from(["index", "row_col"]),
        ),
        st.just(LimitedRoom(5)),
    ),
    seed=st.integers(0, 2**40),
    params=st.fixed_dictionaries(
        {
            "num_envs": st.sampled_from([1, 3, 10]),
            "rollout": st.sampled_from([1, 4, 10]),
            "hidden_size": st.sampled_from([1, 33, 128]),
            "num_layers": st.integers(1, 3),
            "activation": st.sampled_from(["relu", "tanh"]),
            "learning_rate": st.just(0.01),
        }
    ),
    few=st.sets(st.integers(0, 5), min_size=1, max_size=5),
)
def test_a_history_is_the_same_bits_whatever_learners_stand_beside_it(family, seed, params, few):
    tasks, episodes = family.tasks(), 8
    whole = histories(family, tasks, range(6), episodes, seed, **params)
    part = histories(family, tasks, sorted(few), episodes, seed, **params)
    for row, history_id in enumerate(part.history_ids):
        length = whole.lengths[history_id]
        assert part.lengths[row] == length
        for name in ARRAYS:
            mine, theirs = getattr(part, name)[row, :length], getattr(whole, name)[history_id, :length]
            assert mine.tobytes() == theirs.tobytes(), name
        mine, theirs = part.optional["log_probs"][row, :length], whole.optional["log_probs"][history_id, :length]
        assert mine.tobytes() == theirs.tobytes()


def test_neighbours_change_no_bit_of_long_lives_either():
    """Learning over many updates, in which learners retire one by one as they are done."""
    family = task_family("dark_room", size=7, terminate_on_goal=True)
    whole = histories(family, family.tasks(), range(13), 60, learning_rate=0.003)
    part = histories(family, family.tasks(), [2, 4, 11], 60, learning_rate=0.003)
    assert len({int(whole.lengths[10 * k : 10 * k + 10].max()) for k in range(13)}) > 5
    for row, history_id in enumerate(part.history_ids):
        length = whole.lengths[history_id]
        assert part.lengths[row] == length
        assert part.actions[row, :length].tobytes() == whole.actions[history_id, :length].tobytes()
        assert (
            part.optional["log_probs"][row] == whole.optional["log_probs"][history_id][: part.actions.shape[1]]
        ).all()


def test_nor_do_they_with_observations_that_are_numbers():
    family = task_family("gymnasium", env="CartPole-v1")
    tasks = family.sample(5, seed=0, vary={"length": [0.3, 0.8]})
    whole = histories(family, tasks, range(5), 8, learning_rate=0.01)
    part = histories(family, tasks, [1, 3], 8, learning_rate=0.01)
    for row, history_id in enumerate(part.history_ids):
        length = whole.lengths[history_id]
        assert part.lengths[row] == length
        assert part.observations[row, :length].tobytes() == whole.observations[history_id, :length].tobytes()
        mine, theirs = part.optional["log_probs"][row, :length], whole.optional["log_probs"][history_id, :length]
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("gae_lambda", [1.0, 0.9])
@pytest.mark.parametrize("terminate", [True, False])
def test_recorded_log_probs_are_those_of_a_plain_learner_in_torch(terminate, gae_lambda):
    """A learner written out in torch, fed with the recorded steps, has the recorded policy at every step.

    Episodes of 7 steps in roll-outs of 5 are truncated inside and at the ends of roll-outs; a large value coefficient
    and learning rate make the policy depend on what is bootstrapped.
    """
    params = {"num_envs": 4, "rollout": 5, "hidden_size": 16, "learning_rate": 0.01, "entropy_coef": 0.02}
    family = task_family("dark_room", size=3, horizon=7, start="random", terminate_on_goal=terminate)
    learner, episodes, seed = 3, 150 if terminate else 40, 11
    batch = histories(family, family.tasks(), [learner], episodes, seed, gae_lambda=gae_lambda, **params)
    space = family.make_vec(family.tasks()[:1]).single_observation_space
    start = StackedNetworks(stream_keys(seed, "a2c/weights", [learner]), first_layer(space), 16, 1, 6, "relu")
    net = torch.nn.Sequential(torch.nn.Linear(9, 16), torch.nn.ReLU(), torch.nn.Linear(16, 6))
    for (weights, biases), linear in zip(start.layers, net[::2], strict=True):
        linear.weight.data = torch.from_numpy(weights[0].T.copy())
        linear.bias.data = torch.from_numpy(biases[0, 0].copy())
    adam = torch.optim.Adam(net.parameters(), lr=0.01, eps=1e-6)
    hot = torch.eye(9)
    # All four histories must still be recorded, or the learner has seen steps that nobody wrote down.
    for first in range(0, batch.lengths.min() - 4, 5):
        steps = range(first, first + 5)
        observations, actions = (torch.from_numpy(a[:, steps]) for a in (batch.observations, batch.actions))
        out = net(hot[observations])
        policy = torch.distributions.Categorical(logits=out[..., :-1])
        log_probs = policy.log_prob(actions)
        assert batch.optional["log_probs"][:, steps] == pytest.approx(log_probs.detach().numpy(), abs=2e-3), first
        values = out[..., -1]
        with torch.no_grad():
            following = net(hot[torch.from_numpy(batch.next_observations[:, steps])])[..., -1]
            advantage = torch.zeros(4, 5)
            for e in range(4):
                running = 0.0
                for t in reversed(range(5)):
                    terminated, truncated = batch.terminated[e, steps[t]], batch.truncated[e, steps[t]]
                    after = 0.0 if terminated else following[e, t]
                    running = 0.0 if terminated or truncated else running
                    error = batch.rewards[e, steps[t]] + 0.99 * after - values[e, t]
                    running = advantage[e, t] = error + 0.99 * gae_lambda * running
            target = advantage + values
        loss = -(log_probs * advantage).mean() + 0.99 * ((values - target) ** 2).mean()
        adam.zero_grad()
        (loss - 0.02 * policy.entropy().mean()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        adam.step()
    assert batch.lengths.min() > 50
    # It is no test if the policy has not moved: it began nearly uniform.
    assert (policy.probs.max(dim=-1).values > 0.4).any()


def test_actions_are_drawn_from_the_recorded_policy():
    """In the first roll-out the policies of a learner's 4000 streams are one: frequencies are the recorded chances."""
    family = task_family("dark_room", horizon=1)
    batch = histories(family, family.tasks(), [0], 1, num_envs=4000)
    chances = np.full(5, np.nan)
    chances[batch.actions[:, 0]] = np.exp(batch.optional["log_probs"][:, 0])
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    assert np.ptp(chances) > 0.005
    # Standard deviation of a share of one fifth among 4000: 0.0063.
    assert np.bincount(batch.actions[:, 0]) / 4000 == pytest.approx(chances, abs=0.028)


def test_actions_that_a_task_lacks_are_never_taken_and_have_no_share_of_the_policy():
    family = LimitedRoom(5, horizon=1)
    batch = histories(family, family.tasks(), range(3), 1, num_envs=500)
    available = family.available_actions(batch.tasks)
    assert available[np.arange(1500), batch.actions[:, 0]].all()
    for first in (0, 500, 1000):
        of_learner = slice(first, first + 500)
        actions, places = np.unique(batch.actions[of_learner, 0], return_index=True)
        assert len(actions) == available[first].sum()
        assert np.exp(batch.optional["log_probs"][of_learner, 0][places]).sum() == pytest.approx(1, abs=1e-5)


def test_it_learns_every_goal_of_a_small_room():
    family = task_family("dark_room", size=5, terminate_on_goal=True)
    batch = histories(family, family.tasks(), range(24), 200, learning_rate=0.003)
    success = returns(batch, 200).reshape(24, 10, 200).mean(axis=1)
    random = np.mean([family.random_return(task) for task in family.tasks()])
    # Before the first update, 240 episodes: a standard error of 0.03.
    assert success[:, 0].mean() == pytest.approx(random, abs=0.12)
    assert success[:, -20:].mean() > 0.98
    assert success[:, -20:].mean(axis=1).min() > 0.9


def test_learners_differ_and_so_do_the_streams_of_one():
    family = task_family("dark_room")
    tasks = [family.tasks()[3]]
    runs = [histories(family, tasks, learners, 3, seed) for learners, seed in [([0, 1], 0), ([2, 3], 0), ([0, 1], 1)]]
    assert len(np.unique(np.concatenate([run.actions for run in runs]), axis=0)) == 60
    first_policies = np.concatenate([run.optional["log_probs"][::10, 0] for run in runs])
    assert len(np.unique(first_policies)) == 6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0; it must be an integer of at least 1"),
        ({"rollout": 2.5}, "rollout is 2.5; it must be an integer"),
        ({"activation": "rely"}, "did you mean 'relu'"),
        ({"learning_rate": 0}, "learning_rate is 0; it must be above 0"),
        ({"max_grad_norm": -1}, "max_grad_norm is -1"),
        ({"discount": 1.1}, "discount is 1.1; it must be a number from 0.0 to 1.0"),
        ({"adam_beta2": 1}, "adam_beta2 is 1; it must be below 1"),
        ({"learningrate": 1}, "did you mean 'learning_rate'"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        make_source("a2c", **params)


def test_histories_come_by_whole_learners():
    family = task_family("dark_room")
    task, source = family.tasks()[0], make_source("a2c", num_envs=4)
    with pytest.raises(ValueError, match="ask for a multiple of 4"):
        source.generate(family, [task] * 6, range(6), 1, 0)
    with pytest.raises(ValueError, match="from a multiple of 4 on"):
        source.generate(family, [task] * 4, range(2, 6), 1, 0)
    with pytest.raises(ValueError, match="must have one task"):
        source.generate(family, family.tasks()[:4], range(4), 1, 0)


def test_continuous_actions_are_refused_by_name():
    from gymnasium.spaces import Box

    class Continuous(DarkRoomFamily):
        def make_vec(self, tasks, **overrides):
            envs = super().make_vec(tasks, **overrides)
            envs.single_action_space = Box(-1, 1, (1,))
            return envs

    family = Continuous()
    with pytest.raises(ValueError, match=r"Discrete actions from 0 on, but .* has Box.*stable_baselines3"):
        make_source("a2c", num_envs=1).generate(family, family.tasks()[:1], [0], 1, 0)


def test_parameters_survive_json_and_are_in_the_description():
    source = make_source("a2c", num_envs=7, rollout=5, learning_rate=1e-3, gae_lambda=0.95)
    again = make_source("a2c", **json.loads(json.dumps(source.params)))
    assert again == source
    assert again.streams == 7
    words = ["A2C", "7 environments", "every 5 steps", "GAE with lambda 0.95", "128 relu", "0.001", "0.01", "0.99"]
    assert all(word in again.describe() for word in words), again.describe()
