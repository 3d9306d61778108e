"""Times inside an episode, rewards and observations as vectors: what each option tells the model and what it refuses."""

import numpy as np
import pytest
import torch

LAYOUTS = ["fused", "interleaved"]
ENV_TIME = {"position_embedding": "env_time", "episode_length": 64}
TABLE = {"reward_embedding": "table", "reward_values": [-1.0, 0.0, 2.5]}


def reached(model, batch, other):
    """reached[name][t]: whether changing this input at step t changes the logits of each step, bool (steps,)."""
    logits = model(**batch).logits
    result = {}
    for name, value in batch.items():
        for t in range(value.shape[1]):
            changed = value.clone()
            changed[:, t] = other[name][:, t]
            if torch.equal(changed, value):
                continue
            result[name, t] = (model(**{**batch, name: changed}).logits - logits).abs().amax(dim=(0, 2)) > 1e-6
    return result


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("trunk", ["llama", "gpt2", "qwen3", "mistral", "mistral-slide"])
@torch.no_grad()
def test_without_positions_each_step_still_sees_all_before_it_and_nothing_after(
    make_model, make_history, to_batch, trunk, layout, attention
):
    """Equal positions are what transformers takes for packed sequences, in which a token would see only itself."""
    slide = trunk == "mistral-slide"
    model = make_model(trunk, token_layout=layout, overflow="slide" if slide else "refill", **ENV_TIME)
    model.set_attn_implementation(attention)
    batch = to_batch(make_history(model, rows=1, steps=5), times=True)
    other = to_batch(make_history(model, rows=1, steps=5, seed=7), times=True)
    seen = reached(model, batch, other)
    assert {name for name, _ in seen} == set(batch)
    window = 5 // model.config.tokens_per_step if slide else 5
    for (name, t), where in seen.items():
        assert not where[:t].any(), (name, t)
        assert where[t : t + window].all(), (name, t)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("trunk", ["llama", "gpt2", "qwen3", "mistral"])
@torch.no_grad()
def test_the_time_inside_the_episode_is_the_only_position(make_model, make_history, to_batch, trunk, layout):
    """The logits of the last step do not depend on the order of the steps before it, and those of a trunk with
    positions of its own do."""
    order = torch.tensor([3, 1, 0, 2, 4])
    differences = {}
    for name, positions in (("env_time", ENV_TIME), ("trunk", {})):
        # One layer: in deeper ones each step has mixed with those before it.
        small = {
            "model_type": trunk,
            "num_hidden_layers": 1,
            **({"sliding_window": None} if trunk == "mistral" else {}),
        }
        model = make_model(small, token_layout=layout, **positions)
        batch = to_batch(make_history(model, rows=2, steps=5), times=name == "env_time")
        shuffled = {key: value[:, order] for key, value in batch.items()}
        differences[name] = (model(**shuffled).logits - model(**batch).logits)[:, -1].abs().max().item()
    assert differences["env_time"] < 1e-5
    assert differences["trunk"] > 1e-3


def test_times_are_needed_where_they_are_embedded_and_refused_where_not(make_model, make_history, to_batch):
    timed, plain = make_model(**ENV_TIME), make_model()
    batch = to_batch(make_history(plain, rows=2, steps=4), times=True)
    times = batch.pop("episode_times")
    with pytest.raises(ValueError, match=r"needs episode_times, .* HistoryWindows\(\.\.\., times=True\)"):
        timed(**batch)
    with pytest.raises(ValueError, match="episode_times were given, but position_embedding is 'trunk'"):
        plain(**batch, episode_times=times)
    with pytest.raises(ValueError, match="position_ids were given"):
        timed(**batch, episode_times=times, position_ids=torch.arange(4)[None])
    for wrong in (64, -1):
        times[1, 2] = wrong
        with pytest.raises(ValueError, match=f"inside an episode is {wrong}, .* episode_length=64 steps, .* 0 to 63"):
            timed(**batch, episode_times=times)


def test_flash_attention_would_separate_equal_positions(make_model, make_history, to_batch):
    model = make_model(**ENV_TIME)
    model.trunk.config._attn_implementation = "flash_attention_2"
    with pytest.raises(
        ValueError, match=r"'flash_attention_2' takes positions that do not .* makes all positions equal: use .*'sdpa'"
    ):
        model(**to_batch(make_history(model, rows=1, steps=2), times=True))


def test_an_episode_longer_than_the_times_is_refused_before_anything_changes(make_model, make_history):
    model = make_model(position_embedding="env_time", episode_length=3)
    state = model.init_rollout(2)
    model.act(state, [1, 2])
    model.act(state, [1, 2], [0.0, 0.0], [0, 1])
    model.act(state, [1, 2], [0.0, 0.0], [0, 0])
    before = state.state_dict()
    with pytest.raises(ValueError, match=r"time inside an episode is 3, .* episode_length=3"):
        model.act(state, [1, 2], [0.0, 0.0], [0, 0])
    for name, value in state.state_dict().items():
        assert torch.equal(value, before[name]) if torch.is_tensor(value) else value == before[name]
    # An episode that ends in time is fine, and so is a restart.
    state.restart([1])
    model.act(state, [1, 2], [0.0, 0.0], [1, 0])
    np.testing.assert_array_equal(state.last_times, [0, 0])
    history = make_history(model, rows=2, steps=5)
    history["dones"][:] = [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    with pytest.raises(ValueError, match="time inside an episode is 3"):
        model.observe(model.init_rollout(2), **history)
    fresh = model.init_rollout(1)
    model.observe(fresh, **{name: value[:1] for name, value in history.items()})
    np.testing.assert_array_equal(fresh.last_times, [1])


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_each_reward_of_the_table_has_a_vector_of_its_own(make_model, make_history, to_batch, layout):
    model = make_model(token_layout=layout, **TABLE)
    assert model.embedding.reward.table.weight.shape == (3, 32)
    batch = to_batch(make_history(model, rows=3, steps=4))
    logits = []
    for value in TABLE["reward_values"]:
        batch["previous_rewards"][:, 2] = value
        logits.append(model(**batch).logits[:, 2])
    assert min((a - b).abs().max() for a, b in zip(logits, logits[1:] + logits[:1], strict=True)) > 1e-2
    batch["previous_rewards"][:, 2] = 2.5 + 1e-6
    assert torch.equal(model(**batch).logits[:, 2], logits[2])
    # At a history's beginning there is no reward, whatever the number.
    batch["previous_rewards"][:, 0] = 77.0
    assert torch.equal(model(**batch).logits[:, 2], logits[2])


def test_a_reward_that_is_not_in_the_table_is_named(make_model, make_history, to_batch):
    model = make_model(**TABLE)
    history = make_history(model, rows=2, steps=4)
    batch = to_batch(history)
    batch["previous_rewards"][1, 2] = 0.25
    with pytest.raises(ValueError, match=r"the reward 0\.25 is none of reward_values=\[-1.0, 0.0, 2.5\]"):
        model(**batch)
    state = model.init_rollout(2)
    model.act(state, [1, 2])
    with pytest.raises(ValueError, match=r"the reward 1 is none of reward_values"):
        model.act(state, [1, 2], [0.0, 1.0], [0, 0])
    state.restart([1])
    model.act(state, [1, 2], [0.0, 1.0], [0, 0])  # the row begins: its reward is not read
    history["rewards"][0, 3] = 0.25
    with pytest.raises(ValueError, match=r"the reward 0\.25"):
        model.observe(model.init_rollout(2), **history)


COORDINATES = ["linear", "fourier"]


@pytest.mark.parametrize("embedding", COORDINATES)
@torch.no_grad()
def test_coordinates_of_a_grid_are_those_of_the_pair(make_model, embedding):
    by_index = make_model(
        observation={"type": "Discrete", "n": 12}, observation_grid=[3, 4], observation_embedding=embedding
    )
    by_pair = make_model(observation={"type": "MultiDiscrete", "nvec": [3, 4]}, observation_embedding=embedding)
    by_pair.load_state_dict(by_index.state_dict())
    index = torch.arange(12)[None]
    pair = torch.stack([index // 4, index % 4], dim=-1)
    vectors = by_index.embedding.observation(index)
    assert vectors.shape == (1, 12, 32)
    assert torch.equal(vectors, by_pair.embedding.observation(pair))
    assert torch.pdist(vectors[0]).min() > 1e-2


@torch.no_grad()
def test_linear_coordinates_lie_between_minus_one_and_one_or_as_told(make_model):
    space = {"type": "MultiDiscrete", "nvec": [13, 13]}
    corners = torch.tensor([[[0, 0], [6, 6], [12, 12]]])
    model = make_model(observation=space, observation_embedding="linear")
    scaled = torch.tensor([[-12 / 13] * 2, [0.0] * 2, [12 / 13] * 2])
    torch.testing.assert_close(model.embedding.observation(corners)[0], model.embedding.observation.projection(scaled))
    told = make_model(
        observation=space, observation_embedding="linear", observation_mean=[0.0, 2.0], observation_std=[10.0, 5.0]
    )
    scaled = torch.tensor([[0.0, -0.4], [0.6, 0.8], [1.2, 2.0]])
    torch.testing.assert_close(told.embedding.observation(corners)[0], told.embedding.observation.projection(scaled))


@torch.no_grad()
def test_fourier_coordinates_are_apart_up_to_64_and_repeat_then(make_model):
    model = make_model(observation={"type": "MultiDiscrete", "nvec": [200]}, observation_embedding="fourier")
    vectors = model.embedding.observation(torch.arange(128)[None, :, None])[0]
    assert torch.pdist(vectors[:64]).min() > 1e-2
    torch.testing.assert_close(vectors[64:], vectors[:64], atol=1e-3, rtol=0)


@pytest.mark.parametrize("embedding", ["table", "linear", "fourier"])
def test_only_tables_know_nothing_of_coordinates_beyond_those_of_training(embedding, make_model):
    """A direction ("left of the middle", a function of the column) is learnt on rooms of up to 9 columns and asked for
    in columns 9 and 10: an embedding that has trained them with their neighbours is right, a table is at chance."""
    columns = torch.arange(11)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(3)
        model = make_model(
            observation={"type": "MultiDiscrete", "nvec": [11]},
            observation_embedding="row_col" if embedding == "table" else embedding,
            initializer_range=0.02,
        )
        part, head = model.embedding.observation, torch.nn.Linear(32, 1)
        target = columns / 10 - 0.5
        optimizer = torch.optim.AdamW([*part.parameters(), *head.parameters()], lr=1e-2, weight_decay=1e-2)
        for _ in range(400):
            loss = (head(part(columns[None, :9, None]))[0, :, 0] - target[:9]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 1e-3
        error = (head(part(columns[None, 9:, None]))[0, :, 0] - target[9:]).abs().max().item()
    if embedding == "table":
        assert error > 0.2
    else:
        assert error < 0.15


@pytest.mark.parametrize(
    ("shape", "channels"),
    [([2, 2, 3], 3), ([9, 9, 3], 3), ([7, 5], 1), ([3, 9, 9], 3), ([36, 40, 3], 3), ([4, 84, 84], 4)],
)
def test_a_convolutional_encoder_takes_images_of_any_size_and_flat(
    make_model, make_history, to_batch, shape, channels
):
    model = make_model(observation={"type": "Box", "dtype": "uint8", "shape": shape}, observation_embedding="conv")
    history = make_history(model, rows=2, steps=3)
    batch = to_batch(history)
    loss = model(**batch, labels=torch.from_numpy(history["actions"])).loss
    loss.backward()
    assert not [name for name, parameter in model.embedding.named_parameters() if parameter.grad is None]
    with torch.no_grad():
        logits = model(**batch).logits
        flat = {**batch, "observations": batch["observations"].flatten(2)}
        assert torch.equal(model(**flat).logits, logits)
        first = model.embedding.observation.layers[0]
        assert first.in_channels == channels
        assert first.kernel_size == ((8, 8) if max(shape) >= 36 else (3, 3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("observation", "config"),
    [
        ("multi", {**ENV_TIME, **TABLE, "observation_embedding": "fourier"}),
        ("image", {"observation_embedding": "conv"}),
        ("multi", {"observation_embedding": "linear"}),
    ],
)
def test_the_options_train_save_load_and_act(
    make_model, make_history, to_batch, run_cached, assert_it_trains, tmp_path, observation, config, layout
):
    model = make_model(observation=observation, token_layout=layout, initializer_range=0.1, **config).train()
    history = make_history(model, rows=4, steps=8)
    batch = to_batch(history, times=model.config.embeds_time)
    batch["labels"] = torch.from_numpy(history["actions"])
    assert_it_trains(model, batch)
    model.eval().save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    acted = [run_cached(m, m.init_rollout(4), {**history}) for m in (model, loaded)]
    np.testing.assert_array_equal(*acted)


def test_half_precision_takes_every_option(make_model, make_history, to_batch):
    for observation, embedding in (("multi", "fourier"), ("multi", "linear"), ("image", "conv")):
        model = make_model(
            observation=observation, observation_embedding=embedding, dtype="bfloat16", **ENV_TIME, **TABLE
        )
        batch = to_batch(make_history(model, rows=2, steps=4), times=True)
        logits = model(**batch).logits
        assert logits.dtype == torch.bfloat16
        assert logits.isfinite().all()
