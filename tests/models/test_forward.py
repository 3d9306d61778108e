"""The forward pass: what it sees, what it is trained on, and what it refuses."""

import numpy as np
import pytest
import torch
from transformers.utils.generic import find_labels

LAYOUTS = ["fused", "interleaved"]
TRUNKS = ["llama", "gpt2", "qwen3", "mistral"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("trunk", [*TRUNKS, "mistral-slide"])
@torch.no_grad()
def test_the_future_changes_nothing_in_the_past_bitwise(make_model, make_history, to_batch, trunk, layout):
    model = make_model(trunk, token_layout=layout, overflow="slide" if "slide" in trunk else "refill")
    batch = to_batch(make_history(model, rows=2, steps=8, seed=0))
    other = to_batch(make_history(model, rows=2, steps=8, seed=1))
    logits = model(**batch).logits
    for t in range(8):
        changed = {name: torch.cat([batch[name][:, : t + 1], other[name][:, t + 1 :]], dim=1) for name in batch}
        assert torch.equal(model(**changed).logits[:, : t + 1], logits[:, : t + 1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("observation", ["discrete", "multi", "box"])
@pytest.mark.parametrize("action", ["discrete", "box"])
@torch.no_grad()
def test_every_input_up_to_a_step_matters_to_its_prediction(
    make_model, make_history, to_batch, layout, observation, action
):
    model = make_model(observation=observation, action=action, token_layout=layout)
    batch = to_batch(make_history(model, rows=1, steps=5))
    logits = model(**batch).logits
    other = to_batch(make_history(model, rows=1, steps=5, seed=7))
    for name, value in batch.items():
        for t in range(5):
            if name != "observations" and t == 0:
                continue
            changed = value.clone()
            changed[:, t] = other[name][:, t] if name != "previous_dones" else 1 - value[:, t]
            if torch.equal(changed, value):
                changed[:, t] = (value[:, t] + 1) % 3
            difference = (model(**{**batch, name: changed}).logits - logits).abs().amax(dim=(0, 2))
            assert (difference[t:] > 1e-6).all(), (name, t)
            assert (difference[:t] == 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("action", ["discrete", "box"])
@torch.no_grad()
def test_none_is_none_whatever_the_values(make_model, make_history, to_batch, layout, action):
    model = make_model(action=action, token_layout=layout)
    batch = to_batch(make_history(model, rows=2, steps=4))
    changed = {name: value.clone() for name, value in batch.items()}
    changed["previous_actions"][:, 0] = 3
    changed["previous_rewards"][:, 0] = 9.0
    assert torch.equal(model(**changed).logits, model(**batch).logits)
    changed["previous_dones"][:, 0] = 0
    assert not torch.equal(model(**changed).logits, model(**batch).logits)


@torch.no_grad()
def test_row_and_column_tables_are_those_of_the_grid(make_model):
    by_index = make_model(observation={"type": "Discrete", "n": 12}, observation_grid=[3, 4])
    by_pair = make_model(observation={"type": "MultiDiscrete", "nvec": [3, 4]})
    by_pair.load_state_dict(by_index.state_dict())
    index = torch.arange(12)
    pair = torch.stack([index // 4, index % 4], dim=-1)
    rest = {
        "previous_actions": torch.zeros(12, 1, dtype=torch.int64),
        "previous_rewards": torch.zeros(12, 1),
        "previous_dones": torch.zeros(12, 1, dtype=torch.int64),
    }
    a = by_index(observations=index[:, None], **rest).logits
    assert torch.equal(a, by_pair(observations=pair[:, None], **rest).logits)
    assert len(torch.unique(a[:, 0], dim=0)) == 12


@torch.no_grad()
def test_normalisation_of_observations_and_rewards(make_model, make_history, to_batch):
    space = {"type": "Box", "shape": [2]}
    plain = make_model(observation=space)
    scaled = make_model(
        observation=space, observation_mean=[3.0, -1.0], observation_std=[2.0, 0.5], reward_mean=1.0, reward_std=4.0
    )
    batch = to_batch(
        {
            "observations": np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32),
            "actions": np.ones((2, 5), np.int64),
            "rewards": np.random.default_rng(1).normal(size=(2, 5)).astype(np.float32),
            "dones": np.zeros((2, 5), np.int64),
        }
    )
    raw = dict(batch)
    raw["observations"] = batch["observations"] * torch.tensor([2.0, 0.5]) + torch.tensor([3.0, -1.0])
    raw["previous_rewards"] = batch["previous_rewards"] * 4.0 + 1.0
    torch.testing.assert_close(scaled(**raw).logits, plain(**batch).logits, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_images_are_scaled_to_one_and_may_be_flat(make_model, make_history, to_batch):
    """The windows of a dataset hold images flattened, an environment shows them with their shape."""
    images = make_model(observation="image")
    numbers = make_model(observation={"type": "Box", "shape": [2, 2, 3]})
    batch = to_batch(make_history(images, rows=2, steps=5))
    logits = images(**batch).logits
    pixels = batch.pop("observations")
    assert pixels.dtype == torch.uint8
    assert torch.equal(images(observations=pixels.flatten(2), **batch).logits, logits)
    scaled = numbers(observations=pixels.float() / 255, **batch).logits
    torch.testing.assert_close(scaled, logits, atol=1e-5, rtol=1e-5)
    own = make_model(observation="image", observation_mean=[100.0] * 12, observation_std=[20.0] * 12)
    scaled = numbers(observations=(pixels.float() - 100) / 20, **batch).logits
    torch.testing.assert_close(own(observations=pixels, **batch).logits, scaled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_loss_is_the_mean_cross_entropy_of_supervised_steps(make_model, make_history, to_batch, layout):
    model = make_model(token_layout=layout)
    history = make_history(model, rows=3, steps=6)
    labels = torch.from_numpy(history["actions"]).clone()
    labels[0, :2] = -100
    labels[2] = -100
    output = model(**to_batch(history), labels=labels)
    log_probability = output.logits.log_softmax(-1)
    items = [-log_probability[b, t, labels[b, t]] for b in range(3) for t in range(6) if labels[b, t] != -100]
    torch.testing.assert_close(output.loss, torch.stack(items).mean())
    torch.testing.assert_close(
        model(**to_batch(history), labels=labels, num_items_in_batch=torch.tensor(40)).loss,
        torch.stack(items).sum() / 40,
    )
    nothing = model(**to_batch(history), labels=torch.full_like(labels, -100)).loss
    assert nothing.item() == 0
    nothing.backward()


@pytest.mark.parametrize("head", ["gaussian", "deterministic"])
def test_the_loss_of_box_actions(make_model, make_history, to_batch, head):
    model = make_model(action="box", action_head=head)
    history = make_history(model, rows=2, steps=4)
    labels = torch.from_numpy(history["actions"]).clone()
    labels[0, 1] = -100
    output = model(**to_batch(history), labels=labels)
    # Bounds [-1, 1] and [0, 10] become -1 and 1.
    target = (labels - torch.tensor([0.0, 5.0])) / torch.tensor([1.0, 5.0])
    if head == "gaussian":
        mean, log_std = output.logits.split(2, dim=-1)
        expected = -torch.distributions.Normal(mean, log_std.clamp(-5, 2).exp()).log_prob(target)
    else:
        expected = (output.logits - target) ** 2
    expected = expected[labels[..., 0] != -100].mean()
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.head.parameters())


@pytest.mark.parametrize(
    ("action", "config"),
    [
        ("discrete", {}),
        ("discrete", {"label_smoothing": 0.2}),
        ("box", {"action_head": "gaussian"}),
        ("box", {"action_head": "deterministic"}),
    ],
)
def test_weights_multiply_the_loss_of_each_step(make_model, make_history, to_batch, action, config):
    model = make_model(action=action, **config)
    history = make_history(model, rows=2, steps=4)
    batch = to_batch(history)
    labels = torch.from_numpy(history["actions"]).clone()
    labels[1, 3] = -100

    def loss(weights=None, labels=labels, **kwargs):
        return model(**batch, labels=labels, loss_weights=weights, **kwargs).loss

    weights = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loss(torch.ones(2, 4)), loss())
    single = torch.zeros(2, 4)
    for b in range(2):
        for t in range(4):
            if (b, t) != (1, 3):
                alone = torch.full_like(labels, -100)
                alone[b, t] = labels[b, t]
                single[b, t] = loss(labels=alone)
    # All steps have as many supervised numbers, so the mean over numbers is that over steps.
    torch.testing.assert_close(loss(weights), (weights * single).sum() / 7)
    numbers = 7 * labels[0, 0].numel()
    torch.testing.assert_close(loss(weights, num_items_in_batch=50), (weights * single).sum() / 7 * numbers / 50)
    loss(weights).backward()


def test_weights_that_would_not_be_read_are_refused(make_model, make_history, to_batch):
    model = make_model()
    history = make_history(model, rows=2, steps=4)
    with pytest.raises(ValueError, match="loss_weights were given without labels"):
        model(**to_batch(history), loss_weights=torch.ones(2, 4))
    with pytest.raises(ValueError, match=r"loss_weights have shape \(4,\), expected one a step: \(2, 4\)"):
        model(**to_batch(history), labels=torch.from_numpy(history["actions"]), loss_weights=torch.ones(4))


def test_the_trainer_asks_for_labels_alone(make_model):
    """It evaluates a loss only where every argument with "label" in its name is given, weighted or not."""
    assert find_labels(type(make_model())) == ["labels"]


def test_label_smoothing_spreads_a_share_over_all_actions(make_model, make_history, to_batch):
    model = make_model(label_smoothing=0.3)
    history = make_history(model, rows=2, steps=4)
    labels = torch.from_numpy(history["actions"]).clone()
    labels[0, 1] = -100
    output = model(**to_batch(history), labels=labels)
    target = 0.7 * torch.nn.functional.one_hot(labels.clamp(min=0), 5) + 0.3 / 5
    losses = -(target * output.logits.log_softmax(-1)).sum(-1)[labels != -100]
    torch.testing.assert_close(output.loss, losses.mean())


@pytest.mark.parametrize("observation", ["discrete", "multi", "box"])
@pytest.mark.parametrize("action", ["discrete", "box"])
def test_training_reaches_every_parameter_and_lowers_the_loss(
    make_model, make_history, to_batch, assert_it_trains, observation, action
):
    model = make_model(observation=observation, action=action, initializer_range=0.1).train()
    history = make_history(model, rows=4, steps=8)
    batch = {**to_batch(history), "labels": torch.from_numpy(history["actions"])}
    assert_it_trains(model, batch)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_config_with_a_dtype_makes_a_model_of_it(make_model, make_history, to_batch, dtype):
    model = make_model(dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    output = model(**to_batch(make_history(model, rows=1, steps=3)))
    assert output.logits.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_padding_is_not_seen(make_model, make_history, to_batch, layout):
    model = make_model(token_layout=layout)
    batch = to_batch(make_history(model, rows=1, steps=8), begins=False)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]])
    positions = torch.tensor([[0, 0, 0, 0, 1, 2, 3, 4]])
    padded = model(**batch, attention_mask=mask, position_ids=positions).logits[:, 3:]
    alone = model(**{name: value[:, 3:] for name, value in batch.items()}).logits
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_library_own_cache_works_too(make_model, make_history, to_batch):
    model = make_model(token_layout="interleaved")
    batch = to_batch(make_history(model, rows=2, steps=8))
    whole = model(**batch)
    assert whole.past_key_values is None
    first = model(**{name: value[:, :5] for name, value in batch.items()}, use_cache=True)
    rest = model(
        **{name: value[:, 5:] for name, value in batch.items()}, past_key_values=first.past_key_values, use_cache=True
    )
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], dim=1), whole.logits, atol=1e-5, rtol=0)
    as_tuple = model(**batch, return_dict=False)
    assert torch.equal(as_tuple[0], whole.logits)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observations", 12, r"observations have the value 12, .* Discrete\(12\)"),
        ("observations", -1, "observations have the value -1"),
        ("previous_actions", 5, r"previous_actions have the value 5, .* Discrete\(5\)"),
        ("labels", 5, "labels have the value 5"),
        ("labels", -1, "labels have the value -1"),
    ],
)
def test_values_outside_the_spaces_are_refused(make_model, make_history, to_batch, name, value, message):
    model = make_model()
    history = make_history(model, rows=2, steps=4)
    batch = {**to_batch(history), "labels": torch.from_numpy(history["actions"])}
    batch[name][1, 2] = value
    with pytest.raises(ValueError, match=message):
        model(**batch)
