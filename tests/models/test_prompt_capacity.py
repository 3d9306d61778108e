"""Headless-AD with more actions than in training: a bound on the attention that the prompt draws."""

import numpy as np
import pytest
import torch

from hf_icrl import HeadlessADConfig
from hf_icrl.models.action_codes import ActionCodes


def test_a_prompt_up_to_its_capacity_counts_in_full(make_headless, make_batch):
    unbounded, bounded = make_headless(), make_headless(prompt_capacity=7)
    batch = make_batch(unbounded)
    for a, b in zip(unbounded(**batch).to_tuple(), bounded(**batch).to_tuple(), strict=True):
        assert torch.equal(a, b)
    assert not torch.allclose(make_headless(prompt_capacity=2)(**batch).logits, unbounded(**batch).logits, atol=1e-3)


@pytest.mark.parametrize("times", [2, 5])
def test_beyond_its_capacity_a_prompt_draws_as_much_attention_as_one_of_that_size(make_headless, make_batch, times):
    """The same actions `times` over: in a trunk of one layer each copy's tokens are alike, so that nothing may change."""
    model = make_headless({"num_hidden_layers": 1}, prompt_capacity=4)
    batch = make_batch(model, actions=4)
    del batch["available_actions"], batch["action_seeds"]
    vectors = torch.from_numpy(ActionCodes("orthonormal", model.config.action_dim).draw(1, np.arange(3), 4))
    once = model(**batch, action_embeddings=vectors).logits
    more = model(**batch, action_embeddings=vectors.repeat(1, times, 1)).logits
    torch.testing.assert_close(more, once.repeat(1, 1, times), atol=1e-5, rtol=1e-5)
    model.config.prompt_capacity = None
    drowned = model(**batch, action_embeddings=vectors.repeat(1, times, 1)).logits
    assert not torch.allclose(drowned, once.repeat(1, 1, times), atol=1e-3)


def test_a_bounded_prompt_trains_is_the_same_under_eager_attention_and_refuses_what_cannot_weigh(
    make_headless, make_batch
):
    model = make_headless(prompt_capacity=2)
    batch = make_batch(model)
    batch["attention_mask"] = torch.ones_like(batch["labels"])
    batch["attention_mask"][0, 4:] = 0
    output = model(**batch)
    output.loss.backward()
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "no_" not in name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(model(**batch).loss, output.loss, atol=0.1, rtol=0.1)
    model.set_attn_implementation("eager")
    seen = batch["attention_mask"].bool()
    torch.testing.assert_close(model(**batch).logits[seen], output.logits[seen], atol=1e-5, rtol=1e-5)
    model.set_attn_implementation("flex_attention")
    with pytest.raises(ValueError, match="'flex_attention' takes no additive mask, which prompt_capacity=2 needs"):
        model(**batch)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"prompt_capacity": 0}, "prompt_capacity=0; it must be at least 1, or None"),
        ({"prompt_capacity": 5, "action_prompt": False}, "prompt_capacity=5 was given with action_prompt=False"),
    ],
)
def test_capacities_that_cannot_be_are_refused(config, message):
    spaces = {"observation_space": {"type": "Discrete", "n": 3}, "action_space": {"type": "Discrete", "n": 4}}
    with pytest.raises(ValueError, match=message):
        HeadlessADConfig(**spaces, context_length=4, **config)
