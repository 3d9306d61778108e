"""What acting refuses, in words, leaving the state as it was."""

import numpy as np
import pytest
import torch


@pytest.mark.parametrize(
    ("observations", "rewards", "dones", "message"),
    [
        ([1, 12], [0, 0], [0, 0], r"observations\[1\] is 12, which is outside .* Discrete\(12\), integers 0 to 11"),
        ([-1, 2], [0, 0], [0, 0], r"observations\[0\] is -1"),
        ([1.5, 2], [0, 0], [0, 0], "pass integers"),
        ([1, 2, 3], [0, 0], [0, 0], r"shape \(3,\), expected \(2,\)"),
        ([1, 2], None, None, "row 0 has acted before"),
        ([1, 2], [0, 0], None, "both rewards and dones"),
        ([1, 2], [0, np.nan], [0, 0], "finite"),
        ([1, 2], [0], [0, 0], r"rewards have shape \(1,\), expected \(2,\)"),
        ([1, 2], [0, 0], [0, 2], "true or false"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(make_model, observations, rewards, dones, message):
    model = make_model()
    state = model.init_rollout(2)
    model.act(state, [1, 2])
    before = state.state_dict()
    with pytest.raises(ValueError, match=message):
        model.act(state, observations, rewards, dones)
    for name, value in state.state_dict().items():
        assert torch.equal(value, before[name]) if torch.is_tensor(value) else value == before[name]


def test_box_observations_outside_the_space_are_refused(make_model):
    model = make_model(observation="box")
    with pytest.raises(ValueError, match=r"observations\[0, 2\] is 5.5, which is outside"):
        model.act(model.init_rollout(1), [[0.0, 0.0, 5.5]])
    with pytest.raises(ValueError, match="is nan"):
        model.act(model.init_rollout(1), [[0.0, np.nan, 0.0]])


def test_rewards_of_rows_that_begin_are_not_read(make_model):
    model = make_model()
    results = []
    for reward, done in ((np.nan, 7), (0.0, 0)):
        state = model.init_rollout(2)
        model.act(state, [1, 2])
        state.restart([1])
        results.append(model.act(state, [3, 4], [1.0, reward], [0, done]))
    np.testing.assert_array_equal(*results)


def test_a_history_cannot_follow_an_action_whose_outcome_is_unknown(make_model, make_history):
    model = make_model()
    state = model.init_rollout(2)
    model.act(state, [1, 2])
    with pytest.raises(ValueError, match="row 0 has acted"):
        model.observe(state, **make_history(model, 2, 3))
    state.restart([0])
    model.observe(state, **make_history(model, 1, 3), rows=[0])
    np.testing.assert_array_equal(state.steps, [3, 1])
    assert np.isfinite(model.act(state, [1, 2], [0.0, 0.0], [0, 0])).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2, "seed": -1}, "seed=-1"),
        ({"batch_size": 2, "row_ids": [1]}, "row_ids must be 2 integers"),
        ({"batch_size": 2, "temperature": -0.5}, "temperature=-0.5"),
        ({"batch_size": 2, "refill_keep": 8}, "refill_keep=8 must be at least 0 and less than context_length=8"),
        ({"batch_size": 2, "overflow": "slide"}, "needs a trunk in which every layer has sliding-window attention"),
        ({"batch_size": 2, "overflow": "drop"}, "'refill' or 'slide'"),
    ],
)
def test_bad_rollout_arguments_are_refused(make_model, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_model().init_rollout(**arguments)


@pytest.mark.parametrize("rows", [[2], [-3], [0, 0], [0.5], np.array([True])])
def test_restarting_rows_that_do_not_exist_is_refused(make_model, rows):
    with pytest.raises(ValueError, match="rows"):
        make_model().init_rollout(2).restart(rows)
