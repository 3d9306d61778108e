"""Acting with a cache gives what a forward pass without one gives."""

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hf_icrl.models.action_heads import GaussianHead

ENV_TIME = {"position_embedding": "env_time", "episode_length": 64}  # no episode of these tests is longer

TOLERANCE = 1e-5
BOTH = {**ENV_TIME, "position_embedding": "trunk_and_env_time"}
# One embedding more makes logits larger, and so their rounding.
TRANSITION = {"embed_previous_observation": True, "initializer_range": 0.35}
POSITIONS = [
    pytest.param({}, id="trunk"),
    pytest.param(ENV_TIME, id="env_time"),
    pytest.param(BOTH, id="both"),
    pytest.param(TRANSITION, id="transition"),
]


def one_row(history, row, start=0, stop=None):
    return {name: values[row : row + 1, start:stop] for name, values in history.items()}


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("layout", ["fused", "interleaved"])
@pytest.mark.parametrize("trunk", ["llama", "gpt2", "qwen3", "mistral"])
def test_refill_equals_uncached_forward_over_three_contexts(
    make_model, make_history, reference_logits, run_cached, trunk, layout, positions
):
    model = make_model(trunk, token_layout=layout, refill_keep=3, **positions)
    history = make_history(model, rows=2, steps=3 * model.config.context_length + 2)
    cached = run_cached(model, model.init_rollout(2), history)
    for row in range(2):
        expected = reference_logits(model, one_row(history, row), keep=3)
        np.testing.assert_allclose(cached[row], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_only_available_actions_are_drawn_and_by_their_odds(make_model, make_history, temperature):
    model = make_model()
    number = model.action_space.sizes[0]
    rows = 4000
    history = make_history(model, rows=1, steps=1)
    shown = np.repeat(history["observations"][:, 0], rows)
    mask = np.zeros((rows, number), bool)
    mask[:, [0, number - 2]] = True
    mask[0] = [False] * (number - 1) + [True]

    def act(mask=None):
        state = model.init_rollout(rows, seed=5, temperature=temperature, available_actions=mask)
        return model.act(state, shown)

    drawn = act(mask)
    assert drawn[0] == number - 1
    assert set(drawn[1:]) <= {0, number - 2}
    np.testing.assert_array_equal(act(np.ones((rows, number), np.int8)), act())
    if temperature:
        free = act()
        odds = np.mean(free == 0) / np.mean((free == 0) | (free == number - 2))
        # Two shares of at least 400 draws each: the standard error of their difference is at most 0.035.
        assert np.mean((free == 0) | (free == number - 2)) > 0.1
        assert np.mean(drawn[1:] == 0) == pytest.approx(odds, abs=0.15)


@pytest.mark.parametrize(
    ("action", "available", "message"),
    [
        ("discrete", [[True]], "available_actions has 1 actions, but there are 5"),
        ("discrete", None, "row 0 has no available action"),
        ("box", [[True]], "available actions are of Discrete spaces"),
    ],
)
def test_availability_that_cannot_be_is_refused(make_model, make_history, action, available, message):
    model = make_model(action=action)
    if available is None:
        available = np.zeros((1, model.action_space.sizes[0]))
    with pytest.raises(ValueError, match=message):
        model.init_rollout(1, available_actions=available)
    state = model.init_rollout(1)
    with pytest.raises(ValueError, match=message):
        state.set_available_actions(available)
    assert state.available_actions is None


@pytest.mark.parametrize("keep", [0, 1, 4, 7])
def test_refill_keeps_as_many_steps_as_told(make_model, make_history, reference_logits, run_cached, keep):
    model = make_model()
    history = make_history(model, rows=1, steps=25)
    cached = run_cached(model, model.init_rollout(1, refill_keep=keep), history)
    np.testing.assert_allclose(cached[0], reference_logits(model, history, keep=keep), atol=TOLERANCE, rtol=0)
    other = reference_logits(model, history, keep=(keep + 3) % 8)
    assert np.abs(cached[0] - other).max() > 1e-2


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("layout", ["fused", "interleaved"])
@pytest.mark.parametrize("trunk", ["mistral-slide", "qwen3-slide"])
def test_slide_equals_uncached_forward_over_the_whole_history(
    make_model, make_history, reference_logits, run_cached, trunk, layout, positions
):
    model = make_model(trunk, token_layout=layout, overflow="slide", **positions)
    # Longer than the ring of slots, so that it wraps.
    history = make_history(model, rows=2, steps=60)
    state = model.init_rollout(2)
    assert state.cache.num_slots < 60 * model.config.tokens_per_step
    cached = run_cached(model, state, history)
    for row in range(2):
        expected = reference_logits(model, one_row(history, row), "slide")
        np.testing.assert_allclose(cached[row], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("overflow", ["refill", "slide"])
@pytest.mark.parametrize("layout", ["fused", "interleaved"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_rows_restarted_at_different_times_are_as_if_alone(
    make_model, make_history, reference_logits, run_cached, overflow, layout, attention, positions
):
    trunk = "mistral-slide" if overflow == "slide" else "llama"
    model = make_model(trunk, token_layout=layout, overflow=overflow, **positions)
    model.set_attn_implementation(attention)
    steps, restarts = 27, {3: [1], 11: np.array([False, False, True]), 12: [1]}
    history = make_history(model, rows=3, steps=steps)
    cached = run_cached(model, model.init_rollout(3), history, restarts)
    for row, parts in enumerate([[(0, steps)], [(0, 3), (3, 12), (12, steps)], [(0, 11), (11, steps)]]):
        for start, stop in parts:
            expected = reference_logits(model, one_row(history, row, start, stop), overflow)
            np.testing.assert_allclose(cached[row, start:stop], expected, atol=TOLERANCE, rtol=0)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_schedule_of_restarts_and_given_histories_equals_recomputation(
    make_model, make_history, reference_logits, data
):
    slide = data.draw(st.booleans(), label="slide")
    model = make_model(
        "mistral-slide" if slide else "llama",
        token_layout=data.draw(st.sampled_from(["fused", "interleaved"])),
        overflow="slide" if slide else "refill",
        context_length=6,
        **data.draw(st.sampled_from([{}, {**ENV_TIME, "episode_length": 300}])),
        refill_keep=data.draw(st.integers(0, 5), label="keep"),
    )
    rows = 3
    state = model.init_rollout(rows)
    seen = []
    model.register_forward_hook(lambda module, args, output: seen.append(output.logits[:, -1].numpy()))
    past = [[] for _ in range(rows)]  # what each row has been through since it restarted
    told = [True] * rows  # whether the outcome of the row's last action is known to the state
    for i in range(data.draw(st.integers(3, 14), label="events")):
        event = data.draw(st.sampled_from(["act", "act", "act", "restart", "observe"]))
        some = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, unique=True))
        if event == "restart":
            state.restart(some)
            for row in some:
                past[row], told[row] = [], True
        elif event == "observe":
            some = [row for row in some if told[row]]
            given_steps = data.draw(st.integers(1, 20))
            if not some:
                continue
            history = make_history(model, len(some), given_steps, seed=i)
            model.observe(state, **history, rows=some)
            for j, row in enumerate(some):
                past[row].append({name: value[j] for name, value in history.items()})
        else:
            step = make_history(model, rows, 1, seed=i)
            last = make_history(model, rows, 1, seed=1000 + i)
            outcome = () if all(told) else (last["rewards"][:, 0].copy(), last["dones"][:, 0].copy())
            for row in range(rows):
                if outcome and past[row]:
                    if told[row]:  # what is known already is said again
                        outcome[0][row], outcome[1][row] = past[row][-1]["rewards"][-1], past[row][-1]["dones"][-1]
                    else:
                        past[row][-1]["rewards"][-1], past[row][-1]["dones"][-1] = outcome[0][row], outcome[1][row]
            actions = model.act(state, step["observations"][:, 0], *outcome)
            logits = seen[-1]
            for row in range(rows):
                past[row].append({name: value[row].copy() for name, value in step.items()})
                past[row][-1]["actions"][-1] = actions[row]
                told[row] = False
                whole = {name: np.concatenate([part[name] for part in past[row]])[None] for name in step}
                expected = reference_logits(model, whole, state.overflow, state.refill_keep)[-1]
                np.testing.assert_allclose(logits[row], expected, atol=TOLERANCE, rtol=0)


def play(model, state, observations, rewards, dones):
    """Act along (rows, T) of environment outputs that do not depend on the actions."""
    actions = [model.act(state, observations[:, 0])]
    for t in range(1, observations.shape[1]):
        actions.append(model.act(state, observations[:, t], rewards[:, t - 1], dones[:, t - 1]))
    return np.stack(actions, axis=1)


def test_a_row_depends_on_its_id_and_not_on_its_place_or_its_neighbours(make_model, make_history):
    model = make_model()
    history = make_history(model, rows=6, steps=20)
    parts = history["observations"], history["rewards"], history["dones"]
    ids = np.array([5, 0, 7, 2, 9, 4])
    together = play(model, model.init_rollout(6, seed=3, row_ids=ids), *parts)
    order = np.array([4, 2, 0, 5, 1, 3])
    permuted = play(model, model.init_rollout(6, seed=3, row_ids=ids[order]), *(part[order] for part in parts))
    np.testing.assert_array_equal(permuted, together[order])
    alone = play(model, model.init_rollout(1, seed=3, row_ids=[7]), *(part[2:3] for part in parts))
    np.testing.assert_array_equal(alone[0], together[2])
    assert (play(model, model.init_rollout(6, seed=4, row_ids=ids), *parts) != together).any()


def test_equal_rows_draw_different_actions_and_never_the_same_numbers_again(make_model):
    model = make_model()
    state = model.init_rollout(400)
    zeros = np.zeros(400, int)
    first = model.act(state, zeros)
    assert len(set(first.tolist())) > 1
    state.restart(np.arange(400))
    assert (model.act(state, zeros) != first).any()
    # With new ids that start their stream, a restarted row is a fresh row.
    state.restart(np.arange(400), row_ids=np.arange(400))
    np.testing.assert_array_equal(model.act(state, zeros), first)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_actions_are_drawn_with_the_probabilities_of_the_logits(make_model, temperature):
    model = make_model(initializer_range=0.1)
    rows = 20_000
    state = model.init_rollout(rows, temperature=temperature, seed=11)
    actions = model.act(state, np.zeros(rows, int))
    with torch.no_grad():
        logits = model(
            torch.zeros(1, 1, dtype=torch.int64),
            torch.full((1, 1), -1),
            torch.zeros(1, 1),
            torch.full((1, 1), -1),
        ).logits[0, 0]
    probability = torch.softmax(logits / temperature, 0).numpy()
    share = np.bincount(actions, minlength=5) / rows
    # Five standard deviations.
    assert (np.abs(share - probability) < 5 * np.sqrt(probability * (1 - probability) / rows) + 1e-9).all()


def test_temperature_zero_takes_the_most_probable_action(make_model):
    model = make_model(temperature=0)
    actions = model.act(model.init_rollout(50), np.zeros(50, int))
    assert len(set(actions.tolist())) == 1


def test_gaussian_actions_have_the_mean_and_spread_of_the_logits(make_model):
    model = make_model(action={"type": "Box", "shape": [2]}, initializer_range=0.1)
    assert isinstance(model.head, GaussianHead)
    rows = 20_000
    actions = model.act(model.init_rollout(rows), np.zeros(rows, int))
    logits = []
    model.register_forward_hook(lambda module, args, output: logits.append(output.logits[0, -1]))
    mean = model.act(model.init_rollout(1, temperature=0), np.zeros(1, int))[0]
    np.testing.assert_allclose(mean, logits[0][:2], rtol=1e-6)
    std = logits[0][2:].exp().numpy()
    assert actions.dtype == np.float32
    assert actions.shape == (rows, 2)
    np.testing.assert_allclose(actions.mean(0), mean, atol=5 * std.max() / np.sqrt(rows))
    np.testing.assert_allclose(actions.std(0), std, rtol=0.05)
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.05


@pytest.mark.parametrize("head", ["gaussian", "deterministic"])
def test_box_actions_stay_within_their_bounds(make_model, make_history, head):
    model = make_model(observation="box", action="box", action_head=head, initializer_range=3.0)
    history = make_history(model, rows=50, steps=4)
    actions = play(model, model.init_rollout(50), history["observations"], history["rewards"], history["dones"])
    low, high = model.action_space.low, model.action_space.high
    assert ((actions >= low) & (actions <= high)).all()
    assert np.ptp(actions[..., 1]) > 1


@pytest.mark.parametrize(
    ("observation", "action", "config"),
    [
        ("multi", "discrete", {}),
        ("box", "box", {}),
        ("image", "box", {}),
        ("image", "discrete", {"observation_embedding": "conv"}),
        ("multi", "discrete", {"observation_embedding": "fourier"}),
        ("discrete", "discrete", {"reward_embedding": "table", "reward_values": [0.0, 0.5, 1.0]}),
    ],
)
def test_other_spaces_and_embeddings_cache_exactly_too(
    make_model, make_history, reference_logits, run_cached, observation, action, config
):
    model = make_model(observation=observation, action=action, **config)
    history = make_history(model, rows=1, steps=20)
    cached = run_cached(model, model.init_rollout(1), history)
    np.testing.assert_allclose(cached[0], reference_logits(model, history), atol=TOLERANCE, rtol=0)


def test_tensors_lists_and_arrays_are_the_same(make_model):
    model = make_model()
    results = []
    for convert in (np.asarray, torch.tensor, list):
        state = model.init_rollout(3)
        model.act(state, convert([1, 2, 3]))
        results.append(model.act(state, convert([4, 5, 6]), convert([0.0, 1.0, 0.5]), convert([False, True, False])))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    assert results[0].dtype == np.int64


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("trunk", ["llama", "mistral-slide"])
def test_observing_a_history_equals_acting_it(make_model, make_history, run_cached, trunk, positions):
    model = make_model(trunk, overflow="slide" if "slide" in trunk else "refill", **positions)
    history = make_history(model, rows=2, steps=50)
    acted = model.init_rollout(2)
    cached = run_cached(model, acted, history)
    observed = model.init_rollout(2)
    for start, stop in ((0, 5), (5, 31), (31, 49)):
        model.observe(observed, **{name: values[:, start:stop] for name, values in history.items()})
    logits = []
    model.register_forward_hook(lambda module, args, output: logits.append(output.logits[:, -1]))
    # The last reward and done were given with the history.
    model.act(observed, history["observations"][:, 49])
    np.testing.assert_allclose(logits[-1], cached[:, 49], atol=TOLERANCE, rtol=0)
    np.testing.assert_array_equal(observed.steps, acted.steps)
    np.testing.assert_array_equal(observed.draws, acted.draws)
    with pytest.raises(ValueError, match="row 0 has acted before"):
        model.act(observed, history["observations"][:, 49])


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("trunk", ["llama", "mistral-slide"])
def test_a_saved_rollout_goes_on_with_the_same_bits(make_model, make_history, run_cached, tmp_path, trunk, positions):
    model = make_model(trunk, overflow="slide" if "slide" in trunk else "refill", **positions)
    history = make_history(model, rows=3, steps=40)
    state = model.init_rollout(3, seed=2**63 + 5, row_ids=[4, 2, 8], temperature=0.7)
    run_cached(model, state, {name: values[:, :21] for name, values in history.items()}, restarts={9: [1]})
    saved = state.state_dict()
    (tmp_path / "state.json").write_text(json.dumps(saved.pop("metadata")))
    save_file(saved, tmp_path / "state.safetensors")
    whole = {
        **load_file(tmp_path / "state.safetensors"),
        "metadata": json.loads((tmp_path / "state.json").read_text()),
    }
    loaded = model.load_rollout(whole)
    for t in range(21, 40):
        step = history["observations"][:, t], history["rewards"][:, t - 1], history["dones"][:, t - 1]
        np.testing.assert_array_equal(model.act(state, *step), model.act(loaded, *step))
    for name, value in state.state_dict().items():
        other = loaded.state_dict()[name]
        assert torch.equal(value, other) if torch.is_tensor(value) else value == other


def test_a_foreign_or_torn_saved_rollout_is_refused(make_model):
    model = make_model()
    state = model.init_rollout(2)
    model.act(state, [1, 2])
    whole = state.state_dict()
    with pytest.raises(ValueError, match="context_length=8, this model 9"):
        make_model(context_length=9).load_rollout(whole)
    with pytest.raises(ValueError, match="episode_length=None, this model 64"):
        make_model(**ENV_TIME).load_rollout(whole)
    with pytest.raises(ValueError, match=r"no tensor 'steps'"):
        model.load_rollout({name: value for name, value in whole.items() if name != "steps"})
    with pytest.raises(ValueError, match="no cache for layer 1"):
        model.load_rollout({name: value for name, value in whole.items() if name != "cache.1.keys"})
    with pytest.raises(ValueError, match="has shape"):
        model.load_rollout({**whole, "steps": torch.zeros(3, dtype=torch.int64)})
    with pytest.raises(ValueError, match="no rollout state"):
        model.load_rollout({"steps": whole["steps"]})


def test_a_copied_state_is_independent(make_model):
    model = make_model()
    state = model.init_rollout(2)
    model.act(state, [0, 1])
    fork = copy.deepcopy(state)
    step = [3, 4], [1.0, 0.0], [0, 1]
    a = model.act(state, *step)
    model.act(state, *step)
    np.testing.assert_array_equal(model.act(fork, *step), a)


def test_acting_knows_no_dropout_and_no_gradient_and_leaves_the_training_mode(make_model):
    model = make_model("gpt2", action="box").train()
    model.trunk.h[0].eval()
    runs = []
    for _ in range(2):
        state = model.init_rollout(2, temperature=0)
        model.act(state, [1, 2])
        runs.append(model.act(state, [3, 4], [0.0, 1.0], [0, 0]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert model.training
    assert model.trunk.h[1].training
    assert not model.trunk.h[0].training
    assert not state.cache.layers[0].keys.requires_grad
