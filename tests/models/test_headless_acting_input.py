"""What acting with action sets refuses, in words, leaving the state as it was."""

import numpy as np
import pytest
import torch

SETS = np.array([[True, True, False, True], [False, True, False, False]])


def assert_same(state, before):
    after = state.state_dict()
    assert after.keys() == before.keys()
    for name, value in after.items():
        same = torch.equal(value, before[name]) if torch.is_tensor(value) else value == before[name]
        # NaN is what entropies are before the first action.
        assert same or (name == "entropies" and torch.isnan(value).all()), name


@pytest.fixture(params=[True, False], ids=["prompt", "no-prompt"])
def begun(request, make_headless):
    """A model and a state, two rows of which have acted, and what the state was."""
    model = make_headless(action_prompt=request.param)
    state = model.init_rollout(2, available_actions=SETS)
    model.act(state, [1, 2])
    return model, state, state.state_dict()


@pytest.mark.parametrize(
    ("mask", "rows", "message"),
    [
        (
            np.ones((2, 5), bool),
            None,
            "available_actions has 5 actions, but there are 4: it is a mask, not a list of actions. Name all that there",
        ),
        (np.ones((2, 3), bool), None, "available_actions has 3 actions, but there are 4"),
        (np.array([[1, 0, 0, 0], [0, 0, 0, 0]]), None, "row 1 has no available action"),
        (np.ones((2, 4), bool), [0], r"available_actions has shape \(2, 4\), expected \(1, 4\)"),
        (np.ones(4, bool), None, r"available_actions has shape \(4,\)"),
        (np.full((2, 4), 2), None, "must hold true or false, got 2"),
        (np.ones((1, 4), bool), [2], "must be integers below the batch size 2"),
        (np.ones((2, 4), bool), [0, 0], "names a row twice"),
    ],
)
def test_sets_that_cannot_be(begun, mask, rows, message):
    model, state, before = begun
    with pytest.raises(ValueError, match=message):
        state.set_available_actions(mask, rows)
    assert_same(state, before)
    model.act(state, [1, 2], [0, 0], [0, 0])


def test_sets_do_not_change_behind_the_back_of_the_prompt(begun):
    _, state, _ = begun
    with pytest.raises(ValueError, match="read-only"):
        state.available_actions[0] = True
    with pytest.raises(AttributeError, match=r"must be announced: state\.set_available_actions"):
        state.available_actions = ~SETS
    mask = SETS.copy()
    state.set_available_actions(mask)
    mask[:] = True
    np.testing.assert_array_equal(state.available_actions, SETS)


def test_given_histories_keep_to_the_set(begun, make_history):
    model, state, _ = begun
    state.restart([0, 1])
    before = state.state_dict()
    history = make_history(model, 2, 5)
    history["actions"][:] = 1
    history["actions"][1, 3] = 2
    message = r"the action 2 at step 3 is not available to row 1, which has the actions \[1\]: tell it what it had"
    with pytest.raises(ValueError, match=message):
        model.observe(state, **history)
    with pytest.raises(ValueError, match=message):
        model.observe(state, **{name: values[[1, 0]] for name, values in history.items()}, rows=[1, 0])
    history["actions"][1, 3] = 4
    with pytest.raises(ValueError, match=r"actions\[1, 3\] is 4, which is outside the space .* Discrete\(4\)"):
        model.observe(state, **history)
    assert_same(state, before)
    # As told: what it had then, the history, and what it has now.
    state.set_available_actions(np.ones((2, 4), bool))
    history["actions"][1, 3] = 2
    model.observe(state, **history)
    state.set_available_actions(SETS)
    assert SETS[[0, 1], model.act(state, [1, 2])].all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"available_actions": np.ones((3, 4), bool)}, r"available_actions has shape \(3, 4\), expected \(2, 4\)"),
        ({"available_actions": np.ones((2, 0), bool)}, "available_actions has 0 actions, but there are 5"),
        ({"available_actions": np.zeros((2, 4), bool)}, "row 0 has no available action"),
        ({"available_actions": np.ones(4, bool)}, r"available_actions has shape \(4,\)"),
        ({"action_embeddings": np.ones((5, 7))}, r"action_embeddings have shape \(5, 7\), expected \(5, 8\)"),
        ({"action_embeddings": np.ones(8)}, r"action_embeddings have shape \(8,\), expected \(5, 8\)"),
        ({"action_embeddings": np.ones((3, 5, 8))}, r"have shape \(3, 5, 8\), expected .* or \(2, 5, 8\)"),
        ({"action_embeddings": np.full((5, 8), np.nan)}, "action_embeddings must be finite"),
        (
            {"action_embeddings": np.ones((6, 8)), "available_actions": np.ones((2, 4), bool)},
            r"action_embeddings have shape \(6, 8\), expected \(4, 8\)",
        ),
        ({"overflow": "slide"}, "would let the prompt of the actions slide out"),
    ],
)
def test_rollouts_that_cannot_begin(make_headless, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_headless().init_rollout(2, **arguments)


@pytest.mark.parametrize("shape", [(6, 8), (2, 6, 8)])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy, np.ndarray.tolist])
def test_given_vectors_may_be_of_every_row_or_of_all(make_headless, shape, convert):
    model, vectors = make_headless(), np.random.default_rng(0).normal(size=shape).astype(np.float32)
    state = model.init_rollout(2, action_embeddings=convert(vectors))
    np.testing.assert_array_equal(state.action_embeddings, np.broadcast_to(vectors, (2, 6, 8)))
    state.restart([0, 1], row_ids=[5, 6])  # given vectors stay
    np.testing.assert_array_equal(state.action_embeddings[1], vectors.reshape(-1, 6, 8)[-1])
    assert model.act(state, [1, 2]).max() < 6


def test_a_step_that_is_refused_late_can_be_given_again(make_headless, monkeypatch):
    """A row begins anew while another one's prompt is rewritten, then the pass or the weights fail: nothing is lost."""
    model = make_headless(reward_embedding="table", reward_values=[-1.0, 1.0], observation="box")
    observations = np.random.default_rng(0).uniform(-1, 1, size=(9, 2, *model.observation_space.shape))

    def run(fails):
        state, actions = model.init_rollout(2, seed=4, available_actions=SETS), []
        for t, shown in enumerate(observations):
            outcome = ([-1.0, 1.0], [0, 0]) if t else ()
            if t == 5:
                state.restart([0])
                state.set_available_actions(~SETS[1:], rows=[1])
            if t in (5, 7) and fails:
                before = state.cache.lengths.copy()
                with monkeypatch.context() as patch, pytest.raises(fails):
                    if fails is MemoryError:
                        patch.setattr(model.trunk, "forward", refuse)
                    else:
                        patch.setattr(model.head.projection.bias, "data", model.head.projection.bias * torch.nan)
                    model.act(state, shown, *outcome)
                if t == 7:
                    np.testing.assert_array_equal(state.cache.lengths, before)
            actions.append(model.act(state, shown, *outcome))
        return np.stack(actions)

    def refuse(*args, **kwargs):
        raise MemoryError

    expected = run(None)
    np.testing.assert_array_equal(run(MemoryError), expected)
    np.testing.assert_array_equal(run(ValueError), expected)


@pytest.mark.parametrize("temperature", [1e-310, 1e-5, 1.0])
def test_masked_actions_are_not_drawn_at_any_temperature(make_headless, temperature):
    model = make_headless()
    state = model.init_rollout(2, available_actions=SETS, temperature=temperature)
    assert SETS[[0, 1], model.act(state, [1, 2])].all()
    model.head.projection.bias.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="the logit nan, which is not finite: its weights are broken"):
        model.act(state, [1, 2], [0, 0], [0, 0])
