"""Headless-AD without acting: vectors of actions, prompt, loss, symmetries, and what is refused."""

import numpy as np
import pytest
import torch

from hf_icrl import HeadlessADConfig
from hf_icrl.models.action_codes import ActionCodes

LAYOUTS = ["fused", "interleaved"]


# ---- Vectors ----


@pytest.mark.parametrize("actions", [1, 5, 8])
def test_vectors_are_orthonormal(actions):
    vectors = ActionCodes("orthonormal", 8).draw(3, np.arange(50), actions)
    assert (vectors.dtype, vectors.shape) == (np.float32, (50, actions, 8))
    products = vectors @ vectors.swapaxes(1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(actions), products.shape), atol=1e-5)


def test_vectors_lie_in_all_directions_alike():
    """Haar measure: each coordinate has mean 0 and variance 1/d, also of the last vector, which the others confine."""
    vectors = ActionCodes("orthonormal", 4).draw(0, np.arange(20_000), 4)
    # Standard errors: of a mean sqrt(1/4 / 20000) = 0.0035; of a mean square sqrt(Var(x^2) / 20000), where x^2 is
    # Beta(1/2, 3/2) with variance 1/16, 0.0018.
    assert np.abs(vectors.mean(0)).max() < 5 * 0.0035
    assert np.abs(np.square(vectors).mean(0) - 0.25).max() < 5 * 0.0018


def test_more_actions_than_dimensions_have_nearly_orthogonal_vectors():
    dim, actions = 16, 40
    vectors = ActionCodes("orthonormal", dim).draw(0, np.arange(400), actions)
    assert vectors.shape == (400, actions, dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, atol=1e-5)
    products = vectors @ vectors.swapaxes(1, 2)
    for start in range(0, actions, dim):  # one set after the other is orthonormal
        block = products[:, start : start + dim, start : start + dim]
        np.testing.assert_allclose(block, np.broadcast_to(np.eye(block.shape[1]), block.shape), atol=1e-5)
    between = products[:, :dim, dim:]
    # 16 * 24 products in each of 400 independent draws; within a draw they are nearly uncorrelated, so the standard
    # errors are about 0.25 / sqrt(153600) = 0.0006 of the mean, and the same over sqrt(2) of the deviation.
    assert abs(between.mean()) < 0.005
    assert between.std() == pytest.approx(1 / np.sqrt(dim), abs=0.005)
    # No two actions of a draw are the same.
    assert (products - np.eye(actions)).max() < 0.999


def test_normal_vectors():
    vectors = ActionCodes("normal", 8).draw(0, np.arange(2_000), 12)
    # 192 000 numbers: standard errors 0.0023 of the mean and 0.0016 of the deviation.
    assert abs(vectors.mean()) < 0.012
    assert vectors.std() == pytest.approx(1, abs=0.01)
    assert np.linalg.norm(vectors, axis=-1).std() > 0.5


@pytest.mark.parametrize("kind", ["orthonormal", "normal"])
def test_vectors_depend_on_seed_and_id_alone_and_a_larger_catalogue_begins_with_a_smaller(kind):
    codes = ActionCodes(kind, 8)
    ids = np.array([4, 0, 2**63 - 1, 4])
    vectors = codes.draw(2**64 - 1, ids, 20)
    np.testing.assert_array_equal(vectors[0], vectors[3])
    for i in range(3):
        np.testing.assert_array_equal(codes.draw(2**64 - 1, ids[i : i + 1], 20)[0], vectors[i])
        for other in (codes.draw(2**64 - 2, ids[i : i + 1], 20)[0], vectors[(i + 1) % 3]):
            assert np.abs(other - vectors[i]).max() > 0.1
    for actions in (1, 3, 8, 9, 16, 19):
        np.testing.assert_allclose(codes.draw(2**64 - 1, ids, actions), vectors[:, :actions], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_have_vectors_of_their_own_or_share_those_of_the_first(make_headless, make_batch, layout):
    models = {draw: make_headless(token_layout=layout, action_draw=draw) for draw in ("sequence", "batch")}
    batch = make_batch(models["batch"])
    seeds = batch.pop("action_seeds")
    codes = models["batch"].codes
    own, first = codes.draw(0, seeds.numpy(), 7), codes.draw(0, np.repeat(seeds.numpy()[:1], 3), 7)
    assert np.abs(own[1] - own[0]).max() > 0.1
    for draw, vectors in (("sequence", own), ("batch", first)):
        logits = models[draw](**batch, action_seeds=seeds).logits
        given = models[draw](**batch, action_embeddings=torch.from_numpy(vectors)).logits
        assert torch.equal(logits, given)


# ---- Loss ----


def written_out(model, output, vectors, available, labels, zero=False, tau=1.0):
    """Mean InfoNCE, one supervised step at a time, from the definition: its inputs are the logits' inner products."""
    losses = []
    for row, step in (labels != -100).nonzero().tolist():
        similarity = output.logits[row, step].double()
        terms = [
            torch.exp(similarity[a] / tau) if available[row, a] else torch.tensor(float(zero), dtype=torch.float64)
            for a in range(available.shape[1])
        ]
        losses.append(-torch.log(terms[labels[row, step]] / sum(terms)))
    return torch.stack(losses)


@pytest.mark.parametrize("mask", ["exclude", "zero"])
@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_the_loss_is_info_nce(make_headless, make_batch, mask, tau):
    model = make_headless(loss_mask=mask, train_temperature=tau)
    batch = make_batch(model)
    labels, available = batch["labels"], batch["available_actions"]
    vectors = torch.from_numpy(model.codes.draw(0, batch["action_seeds"].numpy(), 7))
    predictions = []
    model.head.projection.register_forward_hook(lambda module, args, output: predictions.append(output))
    output = model(**batch)
    similarity = torch.einsum("btd,bad->bta", predictions[0], vectors)
    here = available[:, None].expand_as(similarity)
    torch.testing.assert_close(output.logits[here], similarity[here], atol=1e-5, rtol=1e-5)
    assert (output.logits[~here] == -torch.inf).all()
    losses = written_out(model, output, vectors, available, labels, mask == "zero", tau)
    torch.testing.assert_close(output.loss.double(), losses.mean(), rtol=1e-5, atol=1e-6)
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0))
    weighted = model(**batch, loss_weights=weights, num_items_in_batch=torch.tensor(40)).loss
    expected = (losses * weights[labels != -100]).sum() / 40
    torch.testing.assert_close(weighted.double(), expected, rtol=1e-5, atol=1e-6)
    nothing = model(**{**batch, "labels": torch.full_like(labels, -100)}).loss
    assert nothing.item() == 0
    nothing.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_published_mask_counts_actions_that_are_not_there(make_headless, make_batch):
    losses = [make_headless(loss_mask=mask)(**make_batch(make_headless())).loss.item() for mask in ("exclude", "zero")]
    assert losses[1] > losses[0] + 1e-3


@pytest.mark.parametrize("kind", ["orthonormal", "normal"])
def test_squared_error(make_headless, make_batch, kind):
    model = make_headless(action_loss="mse", action_embedding=kind)
    batch = make_batch(model)
    labels = batch["labels"]
    vectors = torch.from_numpy(model.codes.draw(0, batch["action_seeds"].numpy(), 7))
    predictions = []
    model.head.projection.register_forward_hook(lambda module, args, output: predictions.append(output))
    output = model(**batch)
    distance = (predictions[0][:, :, None] - vectors[:, None]).square().sum(-1)
    here = batch["available_actions"][:, None].expand_as(distance)
    torch.testing.assert_close(output.logits[here], -distance[here], atol=1e-4, rtol=1e-5)
    expected = [distance[b, t, labels[b, t]] / 8 for b, t in (labels != -100).nonzero().tolist()]
    torch.testing.assert_close(output.loss, torch.stack(expected).mean())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("config", [{}, {"action_prompt": False}, {"action_loss": "mse"}, {"loss_mask": "zero"}])
def test_it_trains(make_headless, make_batch, assert_it_trains, layout, config):
    model = make_headless(token_layout=layout, initializer_range=0.1, **config)
    batch = make_batch(model)
    if config.get("action_loss") == "mse":
        # Losses of at most a few tenths: a mean over the numbers of a vector of length 1.
        batch["loss_weights"] = torch.full(batch["labels"].shape, 100.0)
    assert_it_trains(model, batch)


# ---- What the model sees ----


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding_at_the_end_and_the_future_change_nothing(make_headless, make_batch, layout):
    model = make_headless(token_layout=layout)
    batch = make_batch(model)
    del batch["labels"]
    logits = model(**batch).logits
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] + [0] * 5])
    other = make_batch(model)
    for name in ("observations", "previous_actions", "previous_rewards"):
        other[name][mask == 0] = other[name][0, 1]
    del other["labels"]
    masked = model(**other, attention_mask=mask).logits
    for row, length in enumerate(mask.sum(1)):
        torch.testing.assert_close(masked[row, :length], logits[row, :length], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="attention_mask has 5 steps, the inputs have 6"):
        model(**other, attention_mask=mask[:, :5])


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_positions_count_steps_and_not_the_prompt(make_headless, make_batch, layout):
    """A trunk with a table of positions has one vector for the prompt and one for each token of the context."""
    model = make_headless("gpt2", token_layout=layout, context_length=6)
    assert model.config.trunk_config.max_position_embeddings == 1 + 6 * model.config.tokens_per_step
    batch = make_batch(model)
    implicit = model(**batch).logits
    told = model(**batch, position_ids=torch.arange(6)[None]).logits
    torch.testing.assert_close(told, implicit, atol=1e-6, rtol=0)
    model.trunk.wpe.weight[0, :4] += 1.0
    assert (model(**batch).logits - implicit).abs().nan_to_num(0).amax(-1).gt(1e-3).all()


@torch.no_grad()
def test_the_prompt_tells_of_actions_that_were_never_tried(make_headless, make_batch):
    for prompt in (True, False):
        model = make_headless(action_prompt=prompt)
        batch = make_batch(model)
        vectors = torch.from_numpy(model.codes.draw(0, batch.pop("action_seeds").numpy(), 7))
        taken = set(batch["previous_actions"][0, 1:].tolist())
        untried = next(a for a in range(7) if batch["available_actions"][0, a] and a not in taken)
        others = [a for a in range(7) if batch["available_actions"][0, a] and a != untried]
        before = model(**batch, action_embeddings=vectors).logits[0][:, others]
        vectors[0, untried] = torch.flip(vectors[0, untried], [0])
        after = model(**batch, action_embeddings=vectors).logits[0][:, others]
        assert ((after - before).abs().max() > 1e-3) == prompt


def permuted(batch, order):
    """The same batch with its actions numbered otherwise: new action j is the old action `order[j]`."""
    number = torch.argsort(order)
    other = dict(batch)
    other["previous_actions"] = torch.where(batch["previous_dones"] < 0, 0, number[batch["previous_actions"]])
    other["available_actions"] = batch["available_actions"][:, order]
    other["action_embeddings"] = batch["action_embeddings"][:, order]
    return other


@torch.no_grad()
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("trunk", ["llama", "gpt2"])
def test_numbering_the_actions_otherwise_numbers_the_logits_otherwise(make_headless, make_batch, trunk, layout):
    """Exactly without a prompt, with one layer, and wherever the available actions keep their order among themselves;
    in deeper models the tokens of the prompt, which see those before them, carry the order on."""
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])

    def difference(model, order):
        batch = make_batch(model)
        del batch["labels"]
        vectors = model.codes.draw(0, batch.pop("action_seeds").numpy(), 7)
        batch["action_embeddings"] = torch.from_numpy(vectors)
        logits, other = model(**batch).logits[..., order], model(**permuted(batch, order)).logits
        here = logits > -torch.inf
        assert torch.equal(here, other > -torch.inf)
        return (logits - other)[here].abs().max()

    assert difference(make_headless(trunk, token_layout=layout, action_prompt=False), order) < 1e-5
    deep = make_headless(trunk, token_layout=layout)
    one = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "model_type": trunk}
    assert difference(make_headless({**one, "initializer_range": 0.2}, token_layout=layout), order) < 1e-5
    assert difference(deep, order) > 1e-3
    available = make_batch(deep)["available_actions"]
    shared = available[:1].expand_as(available)
    keeping = torch.cat([(~shared[0]).nonzero()[:, 0], shared[0].nonzero()[:, 0]])

    batch = make_batch(deep)
    vectors = torch.from_numpy(deep.codes.draw(0, batch.pop("action_seeds").numpy(), 7))
    batch |= {"available_actions": shared, "action_embeddings": vectors}
    batch["previous_actions"] = torch.where(batch["previous_dones"] < 0, 0, batch["previous_actions"])
    del batch["labels"]
    logits, other = deep(**batch).logits[..., keeping], deep(**permuted(batch, keeping)).logits
    here = logits > -torch.inf
    torch.testing.assert_close(other[here], logits[here], atol=1e-5, rtol=0)


# ---- Bad input ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action_seeds": None}, "neither of action_seeds and action_embeddings were given"),
        ({"action_embeddings": torch.zeros(3, 7, 8)}, "both of action_seeds and action_embeddings were given"),
        (
            {"action_seeds": torch.arange(2)},
            r"action_seeds are of type int64 and shape \(2,\), expected one integer a",
        ),
        ({"action_seeds": torch.rand(3)}, "action_seeds are of type float32"),
        (
            {"action_seeds": None, "action_embeddings": torch.zeros(3, 7, 9)},
            r"action_embeddings have shape \(3, 7, 9\), expected \(3, actions, action_dim=8\)",
        ),
        (
            {"action_seeds": None, "action_embeddings": torch.zeros(3, 6, 8)},
            r"available_actions have shape \(3, 7\), but action_embeddings are for \(3, 6\)",
        ),
        ({"available_actions": torch.ones(3, 7)}, "available_actions are of type torch.float32"),
        ({"available_actions": torch.ones(7, dtype=torch.bool)}, r"shape \(7,\), expected bool \(3, actions\)"),
        ({"available_actions": torch.ones(3, 0, dtype=torch.bool)}, r"shape \(3, 0\), expected bool \(3, actions\)"),
        ({"available_actions": torch.zeros(3, 7, dtype=torch.bool)}, "row 0 has no available action"),
        ({"labels": torch.full((3, 6), 7)}, "labels have the value 7, but there are 7 actions, 0 to 6"),
        ({"previous_actions": torch.full((3, 6), -2)}, "previous_actions have the value -2, but there are 7"),
    ],
)
def test_bad_input_is_refused(make_headless, make_batch, change, message):
    model = make_headless()
    with pytest.raises(ValueError, match=message):
        model(**{**make_batch(model), **change})


def test_a_label_that_is_not_available_is_refused(make_headless, make_batch):
    model = make_headless()
    batch = make_batch(model)
    batch["labels"][:] = -100
    gone = int((~batch["available_actions"][1]).nonzero()[0])
    batch["labels"][1, 4] = gone
    with pytest.raises(ValueError, match=f"the label of row 1 at step 4 is {gone}, which is not available there"):
        model(**batch)
    # An action that was taken may be gone since.
    batch["previous_actions"][1, 4], batch["labels"][1, 4] = gone, -100
    assert torch.isfinite(model(**batch).loss)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"action_space": {"type": "Box", "shape": [2]}}, "chooses among Discrete actions: use AlgorithmDist"),
        ({"action_dim": 0}, "action_dim=0"),
        ({"train_temperature": 0.0}, "train_temperature=0.0"),
        ({"label_smoothing": 0.1}, "label_smoothing=0.1, but the contrastive loss"),
        (
            {
                "trunk_config": {"model_type": "mistral", "sliding_window": 8},
                "overflow": "slide",
                "context_length": 8,
            },
            "would let the prompt of the actions slide out",
        ),
        (
            {"trunk_config": {"model_type": "mistral", "sliding_window": 900}, "context_length": 8},
            "sliding window of 900 tokens would hide the prompt",
        ),
        (
            {"trunk_config": {"model_type": "gpt2", "max_position_embeddings": 8}, "context_length": 8},
            "max_position_embeddings = 8 is less than the 9 tokens",
        ),
    ],
)
def test_configs_that_cannot_be_are_refused(config, message):
    spaces = {"observation_space": {"type": "Discrete", "n": 3}, "action_space": {"type": "Discrete", "n": 5}}
    with pytest.raises(ValueError, match=message):
        HeadlessADConfig(**{**spaces, **config})


def test_similarities_are_float32_under_autocast(make_headless, make_batch):
    model = make_headless()
    batch = make_batch(model)
    exact = model(**batch).logits
    with torch.autocast("cpu", torch.bfloat16):
        predictions = model(**batch).logits
    assert predictions.dtype == torch.float32
    # Rounded to 8 bits they would fall on a grid; these do not.
    seen = torch.isfinite(predictions)
    assert (predictions[seen] != predictions[seen].bfloat16().float()).float().mean() > 0.9
    torch.testing.assert_close(predictions, exact, atol=0.5, rtol=0.1)


def test_a_scale_that_grows_with_the_set(make_headless, make_batch):
    """Similarities times ln n, n actions being available (or two, where there is one), whatever is beside them."""
    plain = make_headless(actions=7)
    scaled = make_headless(actions=7, logit_scale="log_actions")
    scaled.load_state_dict(plain.state_dict())
    batch = make_batch(plain)
    batch["available_actions"][0] = torch.arange(7) == 2  # one alone
    batch["previous_actions"][0] = 2
    batch["labels"][0] = 2
    numbers = batch["available_actions"].sum(1).clamp(min=2)
    expected = plain(**batch).logits * numbers.log()[:, None, None]
    torch.testing.assert_close(scaled(**batch).logits, expected)
    del batch["available_actions"]
    torch.testing.assert_close(scaled(**batch).logits, plain(**batch).logits * np.log(7))


@pytest.mark.parametrize("wrong", [{"loss_mask": "zero"}, {"train_temperature": 5.0}])
def test_what_the_squared_error_does_not_read_is_refused(wrong):
    spaces = {"observation_space": {"type": "Discrete", "n": 1}, "action_space": {"type": "Discrete", "n": 5}}
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* with action_loss='mse', which does not read it"):
        HeadlessADConfig(**spaces, action_loss="mse", **wrong)


def test_flash_attention_would_separate_the_prompt_of_a_single_row(make_headless, make_batch):
    model = make_headless()
    batch = make_batch(model, rows=1)
    model.trunk.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match=r"'flash_attention_2' takes positions that do not count up .*'sdpa'"):
        model(**batch)
