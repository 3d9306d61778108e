"""Small models and histories, and the slow, obvious computation that the cache is compared with."""

import numpy as np
import pytest
import torch

from hf_icrl import (
    AlgorithmDistillationConfig,
    AlgorithmDistillationModel,
    HeadlessADConfig,
    HeadlessADModel,
)

SPACES = {
    "discrete": {"type": "Discrete", "n": 12},
    "multi": {"type": "MultiDiscrete", "nvec": [3, 4]},
    "box": {"type": "Box", "shape": [3], "low": -2.0, "high": [2.0, 2.0, 5.0]},
    "image": {"type": "Box", "dtype": "uint8", "shape": [2, 2, 3]},
}
ACTIONS = {
    "discrete": {"type": "Discrete", "n": 5},
    "box": {"type": "Box", "shape": [2], "low": [-1.0, 0.0], "high": [1.0, 10.0]},
}
TRUNKS = {
    "llama": {},
    "gpt2": {"model_type": "gpt2"},
    "qwen3": {"model_type": "qwen3"},
    "mistral": {"model_type": "mistral", "sliding_window": None},
    "mistral-slide": {"model_type": "mistral", "sliding_window": 5},
    "qwen3-slide": {"model_type": "qwen3", "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0},
}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_model():
    """`make_model(trunk="llama", observation="discrete", action="discrete", seed=0, **config)`: a small model whose
    outputs vary strongly with its inputs (initial weights are large), in eval mode."""

    def make(trunk="llama", observation="discrete", action="discrete", seed=0, **config):
        action = ACTIONS[action] if isinstance(action, str) else action
        return small_model(
            AlgorithmDistillationConfig, AlgorithmDistillationModel, trunk, observation, action, seed, config
        )

    return make


@pytest.fixture
def make_headless():
    """`make_headless(trunk="llama", observation="discrete", actions=5, seed=0, **config)`: the same of Headless-AD, with
    vectors of 8 numbers."""

    def make(trunk="llama", observation="discrete", actions=5, seed=0, **config):
        action, config = {"type": "Discrete", "n": actions}, {"action_dim": 8, **config}
        return small_model(HeadlessADConfig, HeadlessADModel, trunk, observation, action, seed, config)

    return make


def small_model(config_class, model_class, trunk, observation, action, seed, config):
    trunk_config = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
    trunk_config |= TRUNKS[trunk] if isinstance(trunk, str) else trunk
    config = config_class(
        observation_space=SPACES[observation] if isinstance(observation, str) else observation,
        action_space=action,
        trunk_config=trunk_config,
        **{"context_length": 8, "initializer_range": 0.5, **config},
    )
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        return model_class(config).eval()


@pytest.fixture
def make_history():
    """`make_history(model, rows, steps, seed=0)`: observations, actions, rewards and dones, each (rows, steps, ...)."""

    def values(space, shape, rng):
        if space.is_discrete:
            sizes = np.asarray(space.sizes).reshape(space.shape)
            return rng.integers(sizes, size=(*shape, *space.shape))
        if space.is_image:
            return rng.integers(256, size=(*shape, *space.shape), dtype=np.uint8)
        return rng.uniform(space.low, space.high, size=(*shape, *space.shape)).astype(np.float32)

    def rewards(config, shape, rng):
        if config.reward_embedding == "table":
            return rng.choice(np.asarray(config.reward_values, np.float32), size=shape)
        return rng.normal(size=shape).astype(np.float32)

    def make(model, rows, steps, seed=0):
        rng = np.random.default_rng(seed)
        shape = (rows, steps)
        return {
            "observations": values(model.observation_space, shape, rng),
            "actions": values(model.action_space, shape, rng),
            "rewards": rewards(model.config, shape, rng),
            "dones": (rng.random(shape) < 0.2).astype(np.int64),
        }

    return make


@pytest.fixture
def to_batch():
    """`to_batch(history, begins=True, times=False, predecessors=False)`: the inputs of `forward`, as tensors; `begins`:
    step 0 has no predecessor; `times`: `episode_times` too, counted step by step; `predecessors`:
    `previous_observations`, too."""

    def convert(history, begins=True, times=False, predecessors=False):
        def shift(values, none):
            first = np.full_like(values[:, :1], none)
            return torch.from_numpy(np.concatenate([first, values[:, :-1]], axis=1))

        discrete = history["actions"].dtype == np.int64
        batch = {
            "observations": torch.from_numpy(history["observations"]),
            "previous_actions": shift(history["actions"], -1 if discrete and begins else 0),
            "previous_rewards": shift(history["rewards"], 0),
            "previous_dones": shift(history["dones"], -1 if begins else 0),
        }
        if predecessors:
            batch["previous_observations"] = shift(history["observations"], 0)
        if times:
            batch["episode_times"] = torch.zeros(history["dones"].shape, dtype=torch.int64)
            for row, dones in enumerate(history["dones"]):
                for t in range(1, len(dones)):
                    batch["episode_times"][row, t] = 0 if dones[t - 1] else batch["episode_times"][row, t - 1] + 1
        return batch

    return convert


@pytest.fixture
def reference_logits(to_batch):
    """`reference_logits(model, history, overflow, keep)`: for each step of one history (1, T), the logits of an
    uncached forward over exactly the steps that design.md 4 says. With `sets`, bool (T, A), and `vectors`, (A, d), for
    models that read action sets: each step is computed under its own set."""

    @torch.no_grad()
    def compute(model, history, overflow="refill", keep=None, sets=None, vectors=None):
        config = model.config
        batch = to_batch(history, times=config.embeds_time, predecessors=config.embed_previous_observation)
        window = model.config.context_length
        keep = window // 2 if keep is None else keep
        logits = []
        for t in range(history["dones"].shape[1]):
            start = 0
            if overflow == "refill" and t >= window:
                start = (window - keep) * ((t - window) // (window - keep) + 1)
            part = {name: value[:, start : t + 1] for name, value in batch.items()}
            if sets is not None:
                part["available_actions"] = torch.from_numpy(sets[t : t + 1])
                part["action_embeddings"] = torch.from_numpy(vectors[None])
            logits.append(model(**part).logits[0, -1])
        return torch.stack(logits).numpy()

    return compute


@pytest.fixture
def run_cached():
    """`run_cached(model, state, history)`: act through a history; its actions become those that the model draws, in
    place. Gives the logits of every step, (rows, T, outputs)."""

    def run(model, state, history, restarts=None, sets=None):
        """`restarts[t]`: the rows that begin a new history at step t; `sets[t]`: bool (rows, A), the actions that there
        are from then on."""
        seen, steps = [], []
        hook = model.register_forward_hook(lambda module, args, output: seen.append(output.logits[:, -1:]))
        try:
            for t in range(history["dones"].shape[1]):
                if restarts and t in restarts:
                    state.restart(restarts[t])
                if sets and t in sets:
                    state.set_available_actions(sets[t])
                outcome = (history["rewards"][:, t - 1], history["dones"][:, t - 1]) if t else ()
                history["actions"][:, t] = model.act(state, history["observations"][:, t], *outcome)
                # The last pass of a step is the one that chooses the action; a refill comes before it.
                steps.append(seen[-1][:, 0].numpy())
        finally:
            hook.remove()
        return np.stack(steps, axis=1)

    return run


@pytest.fixture
def assert_it_trains():
    """`assert_it_trains(model, batch)`: forty steps lower the loss on the batch, and reach every parameter."""

    def check(model, batch):
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        losses = []
        for _ in range(40):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] - 0.5
        assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]

    return check


@pytest.fixture
def make_batch(make_history, to_batch):
    """`make_batch(model, rows, steps, actions)`: the inputs of Headless-AD's `forward` with sets, seeds and labels, which lie in the
    sets; -100 here and there."""

    def make(model, rows=3, steps=6, actions=7):
        rng = np.random.default_rng(5)
        history, available = make_history(model, rows, steps), rng.random((rows, actions)) < 0.6
        available[:, 2] = True
        for i in range(rows):
            history["actions"][i] = rng.choice(np.flatnonzero(available[i]), size=steps)
        labels = torch.from_numpy(history["actions"]).clone()
        labels[rng.random((rows, steps)) < 0.3] = -100
        return {
            **to_batch(history),
            "available_actions": torch.from_numpy(available),
            "action_seeds": torch.arange(rows) * 10**15,
            "labels": labels,
        }

    return make
