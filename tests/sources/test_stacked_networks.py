"""The stacked networks and their loss against torch: one plain module per learner, autograd, torch's clipping and Adam."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_icrl.counter_random import stream_keys
from hf_icrl.sources.actor_critic import advantages, loss_gradient, sample
from hf_icrl.sources.network_inputs import first_layer
from hf_icrl.sources.stacked_networks import StackedNetworks

ENTROPY, VALUE, CLIP, RATE, EPS = 0.03, 0.7, 0.4, 1e-2, 1e-6
NUM_ACTIONS = 4

# Observation space -> how a plain network is shown an observation.
SPACES = {
    "discrete": (Discrete(7), lambda x: np.eye(7)[x]),
    "discrete_from_3": (Discrete(7, start=3), lambda x: np.eye(7)[x - 3]),
    "multi_discrete": (
        MultiDiscrete([3, 4, 2]),
        lambda x: np.concatenate([np.eye(k)[x[:, i]] for i, k in enumerate([3, 4, 2])], axis=1),
    ),
    "box": (Box(-2, 2, (2, 3)), lambda x: x.reshape(len(x), -1)),
    "image": (Box(0, 255, (4, 4, 3), np.uint8), lambda x: x.reshape(len(x), -1) / 255),
}


def plain_network(networks, learner, num_layers, activation):
    """The learner's parameters in a torch module."""
    modules = []
    for weights, biases in networks.layers:
        linear = torch.nn.Linear(*weights.shape[1:])
        linear.weight.data = torch.from_numpy(weights[learner].T.copy())
        linear.bias.data = torch.from_numpy(biases[learner, 0].copy())
        modules += [linear, torch.nn.ReLU() if activation == "relu" else torch.nn.Tanh()]
    assert len(modules) == 2 * (num_layers + 1)
    return torch.nn.Sequential(*modules[:-1])


@pytest.mark.parametrize(("num_layers", "activation"), [(1, "relu"), (1, "tanh"), (3, "relu"), (2, "tanh")])
@pytest.mark.parametrize("space", SPACES)
def test_gradients_clipping_and_adam_are_torchs(space, num_layers, activation):
    space, shown = SPACES[space]
    learners, n = 3, 20
    rng = np.random.default_rng(0)
    space.seed(0)
    first = first_layer(space)
    networks = StackedNetworks(stream_keys(0, "test", range(3)), first, 96, num_layers, NUM_ACTIONS + 1, activation)
    plain = [plain_network(networks, learner, num_layers, activation) for learner in range(learners)]
    optimizers = [torch.optim.Adam(net.parameters(), lr=RATE, eps=EPS) for net in plain]
    clipped = []
    for _ in range(4):
        observations = np.stack([space.sample() for _ in range(learners * n)])
        actions = rng.integers(NUM_ACTIONS, size=(learners, n))
        # Advantages of very different sizes, so that one learner's gradient is clipped and another's is not.
        advantage = (rng.normal(size=(learners, n)) * [[0.01], [1], [20]]).astype(np.float32)
        inputs = first.encode(observations).reshape(learners, n, -1)
        hidden, outputs = networks.forward(inputs)
        gradient = loss_gradient(outputs[..., :-1], outputs[..., -1], actions, advantage, ENTROPY, VALUE)
        networks.backward(inputs, hidden, gradient)
        networks.clip(CLIP)
        clipped.append(np.sqrt(np.square(networks.gradient).sum(axis=1)) > 0.99 * CLIP)
        for i, (net, optimizer) in enumerate(zip(plain, optimizers, strict=True)):
            batch = torch.from_numpy(shown(observations.reshape(learners, n, *space.shape)[i])).float()
            out = net(batch)
            assert outputs[i] == pytest.approx(out.detach().numpy(), abs=2e-5)
            policy = torch.distributions.Categorical(logits=out[:, :-1])
            target = torch.from_numpy(advantage[i] + outputs[i, :, -1])
            actor = -(policy.log_prob(torch.from_numpy(actions[i])) * torch.from_numpy(advantage[i])).mean()
            loss = actor - ENTROPY * policy.entropy().mean() + VALUE * ((out[:, -1] - target) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            optimizer.step()
            for (weights, biases), linear in zip(networks.gradients, net[::2], strict=True):
                assert weights[i] == pytest.approx(linear.weight.grad.numpy().T, abs=2e-5)
                assert biases[i, 0] == pytest.approx(linear.bias.grad.numpy(), abs=2e-5)
        networks.adam(RATE, 0.9, 0.999, EPS)
        for i, net in enumerate(plain):
            # Where a gradient is nearly zero, Adam makes its rounding as large as a whole step: few, and bounded.
            for (weights, biases), linear in zip(networks.layers, net[::2], strict=True):
                for mine, theirs in ((weights[i], linear.weight.T), (biases[i, 0], linear.bias)):
                    difference = np.abs(mine - theirs.detach().numpy())
                    assert np.quantile(difference, 0.98) < 1e-4
                    assert difference.max() < 10 * RATE
                linear.weight.data = torch.from_numpy(weights[i].T.copy())
                linear.bias.data = torch.from_numpy(biases[i, 0].copy())
    assert np.array(clipped).any()
    assert not np.array(clipped).all()


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 7), st.floats(0, 1), st.floats(0, 1))
def test_targets_are_those_of_a_plain_recursion(seed, envs, steps, discount, gae_lambda):
    rng = np.random.default_rng(seed)
    rewards, values, boot = rng.normal(size=(3, 2, steps, envs)).astype(np.float32)
    terminated = rng.random((2, steps, envs)) < 0.2
    truncated = (rng.random((2, steps, envs)) < 0.2) & ~terminated
    ended = terminated | truncated
    following = boot.copy()
    following[:, :-1] = np.where(ended[:, :-1], boot[:, :-1], values[:, 1:])
    mine = advantages(rewards, values, following, terminated, ended, discount, gae_lambda)
    for i in range(2):
        for e in range(envs):
            for t in range(steps):
                total, weight = 0.0, 1.0
                for k in range(t, steps):
                    after = 0.0 if terminated[i, k, e] else following[i, k, e]
                    total += weight * (rewards[i, k, e] + discount * after - values[i, k, e])
                    weight *= discount * gae_lambda
                    if ended[i, k, e]:
                        break
                assert mine[i, t, e] == pytest.approx(total, abs=1e-4)


def test_with_lambda_one_the_target_is_the_longest_return_and_only_a_true_end_bootstraps_nothing():
    """Three environments that earn 1 a step for 3 steps and are all worth 10 afterwards, but end differently."""
    rewards = np.ones((1, 3, 3), np.float32)
    values = np.full((1, 3, 3), 2, np.float32)
    following = np.full((1, 3, 3), 2, np.float32)
    following[:, 2] = 10
    terminated, ended = np.zeros((2, 1, 3, 3), bool)
    terminated[0, 2, 0] = ended[0, 2, :2] = True  # the first terminates, the second is truncated, the third goes on
    targets = values + advantages(rewards, values, following, terminated, ended, 0.5, 1.0)
    end = np.array([0, 10, 10])
    assert targets[0, 2] == pytest.approx(1 + 0.5 * end)
    assert targets[0, 1] == pytest.approx(1 + 0.5 * (1 + 0.5 * end))
    assert targets[0, 0] == pytest.approx(1.75 + 0.125 * end)


@settings(max_examples=50)
@given(st.integers(0, 2**32))
def test_sampling_inverts_the_distribution_and_never_takes_what_has_no_probability(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(6, 0.3), size=50).astype(np.float32)
    probabilities[rng.random((50, 6)) < 0.3] = 0
    probabilities = probabilities[probabilities.sum(axis=1) > 0]
    draws = rng.choice([0.0, 1 - 2**-53, 0.5], size=len(probabilities))
    last = 5 - (probabilities[:, ::-1] > 0).argmax(axis=1)
    actions = sample(probabilities, draws, last)
    rows = np.arange(len(actions))
    assert (probabilities[rows, actions] > 0).all()
    assert (actions[draws == 0] == (probabilities > 0).argmax(axis=1)[draws == 0]).all()
    assert (actions[draws > 0.9] == last[draws > 0.9]).all()


def test_spaces_without_a_first_layer_are_refused():
    with pytest.raises(ValueError, match=r"Discrete, MultiDiscrete or Box, but the environment has Dict"):
        first_layer(Dict({"a": Discrete(2)}))
