"""Acting of Headless-AD: with a cache, a prompt and sets that change it computes what a forward without a cache does."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-5
LAYOUTS = ["fused", "interleaved"]
ENV_TIME = {"position_embedding": "env_time", "episode_length": 64}  # no episode of these tests is longer


def random_sets(rows, actions, seed=0, share=0.5):
    """Non-empty sets of different sizes."""
    rng = np.random.default_rng(seed)
    sets = rng.random((rows, actions)) < share
    sets[np.arange(rows), rng.integers(actions, size=rows)] = True
    return sets


def step_by_step(sets, steps):
    """`{t: (rows, A)}` as what is there at each step, (steps, rows, A)."""
    return np.stack([sets[max(t for t in sets if t <= step)] for step in range(steps)])


def assert_equal_where_available(cached, expected, sets):
    # Squared distances reach 100, where the numbers of float32 lie 1e-5 apart.
    np.testing.assert_allclose(cached[sets], expected[sets], atol=TOLERANCE, rtol=1e-6)
    assert (cached[~sets] == -np.inf).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize(
    ("trunk", "config"),
    [
        ("llama", {}),
        ("gpt2", {}),
        ("qwen3", {}),
        ("llama", ENV_TIME),
        ("llama", {**ENV_TIME, "position_embedding": "trunk_and_env_time"}),
        ("llama", {"action_loss": "mse", "action_embedding": "normal", "initializer_range": 0.1}),
        ("gpt2", {"observation": "image"}),
        ("llama", {"embed_previous_observation": True, "initializer_range": 0.35}),
        ("qwen3", {"prompt_capacity": 3}),
        ("gpt2", {"prompt_capacity": 1}),
    ],
)
def test_acting_equals_an_uncached_forward_whatever_happens_to_sets_and_rows(
    make_headless, make_history, reference_logits, run_cached, trunk, config, prompt, layout
):
    """More actions than in training and than dimensions; sets lose and gain actions before and after the context is
    full; a row restarts under a new id."""
    if "prompt_capacity" in config and not prompt:
        pytest.skip("there is no prompt to bound")
    model = make_headless(trunk, token_layout=layout, action_prompt=prompt, refill_keep=3, **config)
    rows, actions, steps, again = 3, 11, 27, 7
    history = make_history(model, rows, steps)
    first = random_sets(rows, actions)
    assert len(set(first.sum(1))) == rows
    sets = {0: first, 4: first.copy(), 15: random_sets(rows, actions, seed=1), 21: np.ones((rows, actions), bool)}
    sets[4][0] = ~first[0]  # and all rows keep theirs but this one
    state = model.init_rollout(rows, seed=3, available_actions=first)
    vectors = [state.action_embeddings.copy()]

    def restart(rows):
        type(state).restart(state, rows, row_ids=[77])
        vectors.append(state.action_embeddings.copy())

    state.restart = restart
    cached = run_cached(model, state, history, {again: [1]}, {t: sets[t] for t in sets if t})
    assert (vectors[0][1] != vectors[1][1]).any()
    there = step_by_step(sets, steps)
    for row in range(rows):
        for start, stop in [(0, again), (again, steps)] if row == 1 else [(0, steps)]:
            part = {name: values[row : row + 1, start:stop] for name, values in history.items()}
            own = vectors[int(start == again)][row]
            expected = reference_logits(model, part, keep=3, sets=there[start:stop, row], vectors=own)
            assert_equal_where_available(cached[row, start:stop], expected, there[start:stop, row])
        assert there[np.arange(steps), row, history["actions"][row]].all()


def test_a_model_without_a_prompt_slides(make_headless, make_history, reference_logits, run_cached):
    model = make_headless("mistral-slide", overflow="slide", action_prompt=False)
    history = make_history(model, rows=2, steps=40)
    sets = {0: random_sets(2, 9), 13: random_sets(2, 9, seed=1)}
    state = model.init_rollout(2, available_actions=sets[0])
    cached = run_cached(model, state, history, sets={13: sets[13]})
    there = step_by_step(sets, 40)
    for row in range(2):
        part = {name: values[row : row + 1] for name, values in history.items()}
        expected = reference_logits(model, part, "slide", sets=there[:, row], vectors=state.action_embeddings[row])
        assert_equal_where_available(cached[row], expected, there[:, row])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_schedule_of_acting_restarts_histories_and_sets_equals_recomputation(
    make_headless, make_history, reference_logits, data
):
    model = make_headless(
        token_layout=data.draw(st.sampled_from(LAYOUTS)),
        action_prompt=data.draw(st.booleans(), label="prompt"),
        context_length=6,
        refill_keep=data.draw(st.integers(0, 5), label="keep"),
        temperature=data.draw(st.sampled_from([0.0, 0.3, 1.0, 1e6]), label="temperature"),
    )
    rows, actions = 3, 7
    sets = random_sets(rows, actions)
    state = model.init_rollout(rows, seed=4, available_actions=sets)
    seen = []
    model.register_forward_hook(lambda module, args, output: seen.append(output.logits[:, -1:].numpy()))
    past = [[] for _ in range(rows)]  # what each row has been through since it restarted
    for i in range(data.draw(st.integers(3, 12), label="events")):
        event = data.draw(st.sampled_from(["act", "act", "act", "restart", "observe", "change"]))
        some = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, unique=True))
        if event == "restart":
            ids = data.draw(st.sampled_from([None, [100 + i + j for j in range(len(some))]]))
            state.restart(some, row_ids=ids)
            for row in some:
                past[row] = []
        elif event == "change":
            sets = sets.copy()
            sets[some] = random_sets(len(some), actions, seed=i, share=data.draw(st.sampled_from([0.0, 0.5, 1.0])))
            state.set_available_actions(sets[some], rows=some)
        elif event == "observe":
            some = [row for row in some if not past[row]]
            history = make_history(model, max(len(some), 1), data.draw(st.integers(1, 15)), seed=i)
            if not some:
                continue
            for j, row in enumerate(some):
                history["actions"][j] = np.flatnonzero(sets[row])[history["actions"][j] % sets[row].sum()]
            model.observe(state, **history, rows=some)
            for j, row in enumerate(some):
                past[row] = [{name: value[j] for name, value in history.items()}]
        else:
            step = make_history(model, rows, 1, seed=i)
            outcome = make_history(model, rows, 1, seed=1000 + i)
            for row in range(rows):
                if past[row]:
                    for name in ("rewards", "dones"):
                        past[row][-1][name][-1] = outcome[name][row, 0]
            told = outcome["rewards"][:, 0], outcome["dones"][:, 0]
            chosen = model.act(state, step["observations"][:, 0], *told)
            assert sets[np.arange(rows), chosen].all()
            logits = seen[-1][:, 0]
            for row in range(rows):
                past[row].append({name: value[row].copy() for name, value in step.items()})
                past[row][-1]["actions"][-1] = chosen[row]
                whole = {name: np.concatenate([part[name] for part in past[row]])[None] for name in step}
                there = np.broadcast_to(sets[row], (len(whole["dones"][0]), actions))
                expected = reference_logits(
                    model, whole, keep=state.refill_keep, sets=there.copy(), vectors=state.action_embeddings[row]
                )[-1]
                assert_equal_where_available(logits[row], expected, sets[row])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sets=st.integers(1, 12).flatmap(
        lambda n: st.lists(
            st.lists(st.booleans(), min_size=n, max_size=n).filter(any).map(tuple), min_size=4, max_size=4
        )
    ),
    temperature=st.one_of(st.just(0.0), st.floats(1e-3, 1e9)),
    loss=st.sampled_from(["info_nce", "mse"]),
    seed=st.integers(0, 2**64 - 1),
)
def test_actions_that_are_not_available_are_never_chosen(make_headless, make_history, sets, temperature, loss, seed):
    model = make_headless(initializer_range=3.0, action_loss=loss)
    sets = np.array(sets)
    history = make_history(model, rows=2, steps=3)
    state = model.init_rollout(2, seed=seed, temperature=temperature, available_actions=sets[:2])
    for t in range(3):
        if t == 2:
            sets[:2] = sets[2:]
            state.set_available_actions(sets[:2])
        outcome = (history["rewards"][:, t - 1], history["dones"][:, t - 1]) if t else ()
        chosen = model.act(state, history["observations"][:, t], *outcome)
        assert sets[[0, 1], chosen].all()
        assert (state.entropies >= 0).all()
        assert (state.entropies <= np.log(sets[:2].sum(1)) + 1e-9).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_neighbours_and_actions_that_are_not_there_change_nothing(make_headless, make_history, run_cached, layout):
    model = make_headless(token_layout=layout)
    rows, steps, ids = 4, 20, np.array([5, 0, 7, 2])
    history = make_history(model, rows, steps)
    sets, more = random_sets(rows, 6), random_sets(rows, 6, seed=1)
    changes = {11: more}

    def run(chosen, padding=0):
        def pad(mask):
            return np.pad(mask[chosen], [(0, 0), (0, padding)])

        part = {name: values[chosen].copy() for name, values in history.items()}
        state = model.init_rollout(len(chosen), seed=9, row_ids=ids[chosen], available_actions=pad(sets))
        logits = run_cached(model, state, part, sets={t: pad(mask) for t, mask in changes.items()})
        return logits[..., :6], part["actions"]

    there = step_by_step({0: sets, **changes}, steps).swapaxes(0, 1)
    logits, actions = run(np.arange(rows))
    for chosen in ([2], [3, 1]):
        for padding in (0, 1, 30):
            alone, its = run(np.array(chosen), padding)
            np.testing.assert_array_equal(its, actions[chosen])
            assert_equal_where_available(alone, logits[chosen], there[chosen])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("prompt", [True, False])
@pytest.mark.parametrize("trunk", ["llama", "gpt2"])
def test_a_given_history_is_as_if_acted(make_headless, make_history, run_cached, trunk, layout, prompt):
    model = make_headless(trunk, token_layout=layout, action_prompt=prompt)
    history, sets = make_history(model, 3, 30), random_sets(3, 9)
    state = model.init_rollout(3, seed=1, available_actions=sets)
    cached = run_cached(model, state, history)
    other = model.init_rollout(3, seed=1, available_actions=sets)
    for rows, cuts in (([2, 0], (0, 5, 29)), ([1], (0, 29))):
        for start, stop in itertools.pairwise(cuts):
            model.observe(other, **{name: values[rows, start:stop] for name, values in history.items()}, rows=rows)
    logits = []
    model.register_forward_hook(lambda module, args, output: logits.append(output.logits[:, -1].numpy()))
    np.testing.assert_array_equal(model.act(other, history["observations"][:, 29]), history["actions"][:, 29])
    assert_equal_where_available(logits[-1], cached[:, 29], sets)


@pytest.mark.parametrize("vectors", ["drawn", "given"])
@pytest.mark.parametrize("sets", ["all", "some", "changed"])
def test_a_saved_rollout_goes_on_with_the_same_bits(make_headless, make_history, run_cached, tmp_path, vectors, sets):
    model = make_headless()
    history = make_history(model, rows=3, steps=40)
    given_vectors = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    state = model.init_rollout(
        3,
        seed=2**63 + 5,
        row_ids=[4, 2, 8],
        temperature=0.7,
        available_actions=random_sets(3, 5) if sets == "some" else None,
        action_embeddings=given_vectors if vectors == "given" else None,
    )
    changes = {18: random_sets(3, 5, seed=2)} if sets == "changed" else {}
    start = {name: values[:, :21].copy() for name, values in history.items()}
    run_cached(model, state, start, {9: [1]}, changes)
    state.restart([2], row_ids=[31])
    state.set_available_actions(np.ones((1, 5), bool), rows=[0])  # a prompt that is not written yet
    saved = state.state_dict()
    (tmp_path / "state.json").write_text(json.dumps(saved.pop("metadata")))
    save_file(saved, tmp_path / "state.safetensors")
    metadata = json.loads((tmp_path / "state.json").read_text())
    loaded = model.load_rollout({**load_file(tmp_path / "state.safetensors"), "metadata": metadata})
    for t in range(21, 40):
        if t == 33:
            for each in (state, loaded):
                each.restart([1], row_ids=[55])
        step = history["observations"][:, t], history["rewards"][:, t - 1], history["dones"][:, t - 1]
        np.testing.assert_array_equal(model.act(state, *step), model.act(loaded, *step))
        np.testing.assert_array_equal(state.entropies, loaded.entropies)
    mine, others = state.state_dict(), loaded.state_dict()
    assert mine.keys() == others.keys()
    for name, value in mine.items():
        if name.endswith((".keys", ".values")):
            # What lies beyond a row's own tokens is seen by nobody.
            for row, length in enumerate(state.cache.lengths):
                assert torch.equal(value[row, :, :length], others[name][row, :, :length])
            continue
        assert torch.equal(value, others[name]) if torch.is_tensor(value) else value == others[name], name


def test_a_foreign_or_torn_saved_rollout_is_refused(make_headless):
    model = make_headless()
    for arguments, name in (
        ({"available_actions": random_sets(2, 5)}, "available_actions"),
        ({"action_embeddings": np.eye(5, 8)}, "action_embeddings"),
        ({}, "action_embeddings"),
    ):
        state = model.init_rollout(2, **arguments)
        model.act(state, [1, 2])
        whole = state.state_dict()
        with pytest.raises(ValueError, match=f"no tensor '{name}'"):
            model.load_rollout({key: value for key, value in whole.items() if key != name})
    with pytest.raises(ValueError, match="num_actions=5, this model 6"):
        make_headless(actions=6).load_rollout(whole)
    with pytest.raises(ValueError, match=r"'action_embeddings' of the rollout state has shape \(2, 5, 8\)"):
        make_headless(action_dim=4).load_rollout(whole)
    with pytest.raises(ValueError, match="prompts=True, this model False"):
        make_headless(action_prompt=False).load_rollout({**whole})
