"""What a rollout returns, that rows are independent, and that it can be continued, saved and begun from a history."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from hf_icrl import rollout, task_family
from hf_icrl.rollouts import load_state


def assert_same_episodes(a, b):
    np.testing.assert_array_equal(a.lengths, b.lengths)
    np.testing.assert_array_equal(a.returns, b.returns)


def real_steps(history, name, row):
    return history[name][row, : history["lengths"][row]]


def test_returns_and_lengths_are_those_of_the_recorded_steps(model, ragged_family):
    tasks = ragged_family.tasks()[:6]
    result = rollout(model, ragged_family.make_vec(tasks), 5, seed=1, record=True)
    assert result.returns.shape == result.lengths.shape == (6, 5)
    assert len(set(result.lengths.sum(axis=1))) > 1, "the rows should need different numbers of steps"
    for i, task in enumerate(tasks):
        rewards, dones = (real_steps(result.history, name, i) for name in ("rewards", "dones"))
        cuts = np.flatnonzero(dones) + 1
        assert len(cuts) == 5
        assert cuts[-1] == result.history["lengths"][i] == result.lengths[i].sum()
        np.testing.assert_array_equal([part.sum() for part in np.split(rewards, cuts)[:-1]], result.returns[i])
        # On DarkRoom a reward is earned by moving onto the goal.
        observations, actions = (real_steps(result.history, name, i) for name in ("observations", "actions"))
        size = ragged_family.env_kwargs["size"]
        row, col = np.divmod(observations, size)
        step = np.array([[0, 0], [-1, 0], [0, 1], [1, 0], [0, -1]])[actions]
        there = np.clip(np.stack([row, col], axis=1) + step, 0, size - 1)
        np.testing.assert_array_equal((there == task["goal"]).all(axis=1), rewards > 0)


def test_a_row_depends_on_its_seed_id_and_task_only(model, ragged_family):
    tasks = ragged_family.tasks()[:6]
    together = rollout(model, ragged_family.make_vec(tasks), 4, seed=3, record=True)
    order = [4, 1, 3]
    some = rollout(model, ragged_family.make_vec([tasks[i] for i in order]), 4, seed=3, row_ids=order, record=True)
    np.testing.assert_array_equal(together.returns[order], some.returns)
    np.testing.assert_array_equal(together.lengths[order], some.lengths)
    for j, i in enumerate(order):
        for name in ("observations", "actions", "rewards", "dones"):
            np.testing.assert_array_equal(
                real_steps(together.history, name, i), real_steps(some.history, name, j), err_msg=name
            )


def test_arms_that_a_bandit_lacks_are_never_pulled(make_model):
    family = task_family("bernoulli_bandit", num_arms=6, horizon=20)
    tasks = family.sample(8, seed=1, min_arms=1, max_arms=5)
    model = make_model({"type": "Discrete", "n": 1}, {"type": "Discrete", "n": 6})
    first = rollout(model, family.make_vec(tasks), 2, record=True)
    more = rollout(model, first.state.envs, 1, state=first.state, record=True)
    for i, task in enumerate(tasks):
        pulled = {*real_steps(first.history, "actions", i), *real_steps(more.history, "actions", i)}
        assert max(pulled) < len(task["means"])
    assert max(first.history["actions"][i].max() for i in range(8)) > 1


def test_models_of_padded_spaces_act_in_smaller_ones(make_model):
    family = task_family("dark_room", size=3, horizon=5)
    spaces = {"type": "Discrete", "n": 16}, {"type": "Discrete", "n": 9}
    with pytest.raises(ValueError, match="the model was made for the observation space"):
        rollout(make_model(*spaces), family.make_vec(family.tasks()), 1)
    padded = make_model(*spaces, padded_spaces=True)
    result = rollout(padded, family.make_vec(family.tasks()), 4, record=True)
    assert set(np.unique(result.history["actions"])) == set(range(5))
    with pytest.raises(ValueError, match="the model was made for the observation space"):
        rollout(padded, task_family("dark_room", size=5).make_vec([{"goal": [0, 0]}]), 1)


def test_the_seed_decides(model, ragged_family):
    tasks = [ragged_family.tasks()[0]] * 4
    first, again, other = (rollout(model, ragged_family.make_vec(tasks), 3, seed=s, record=True) for s in (0, 0, 1))
    assert_same_episodes(first, again)
    assert not np.array_equal(first.history["actions"], other.history["actions"])
    # Rows of one task differ by their ids.
    assert not np.array_equal(first.history["observations"][0], first.history["observations"][1])


@pytest.mark.parametrize("pieces", [[3, 4], [1, 1, 5], [6, 1]])
def test_a_continued_rollout_equals_an_uninterrupted_one(model, ragged_family, pieces):
    tasks = ragged_family.tasks()[:7]
    whole = rollout(model, ragged_family.make_vec(tasks), 7, seed=5, record=True)
    envs, state, parts = ragged_family.make_vec(tasks), None, []
    for count in pieces:
        seed = {} if state is not None else {"seed": 5}
        parts.append(rollout(model, envs, count, state=state, record=True, **seed))
        state = parts[-1].state
    np.testing.assert_array_equal(np.concatenate([p.returns for p in parts], axis=1), whole.returns)
    np.testing.assert_array_equal(np.concatenate([p.lengths for p in parts], axis=1), whole.lengths)
    for i in range(len(tasks)):
        for name in ("observations", "actions", "rewards", "dones"):
            joined = np.concatenate([real_steps(p.history, name, i) for p in parts])
            np.testing.assert_array_equal(joined, real_steps(whole.history, name, i), err_msg=name)


def test_a_saved_rollout_goes_on_with_the_same_bits(model, family, tmp_path):
    tasks = family.tasks()[:5]
    whole = rollout(model, family.make_vec(tasks), 9, seed=2)
    first = rollout(model, family.make_vec(tasks), 4, seed=2)
    first.save_state(tmp_path / "state")
    second = rollout(model, family.make_vec(tasks), 5, state=load_state(tmp_path / "state", model))
    np.testing.assert_array_equal(np.concatenate([first.returns, second.returns], axis=1), whole.returns)
    # No pickle, and nothing else was written.
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["rollout_state.safetensors"]


def test_a_saved_rollout_cuts_off_the_episodes_that_it_interrupts(model, ragged_family, tmp_path):
    tasks = ragged_family.tasks()[:7]
    first = rollout(model, ragged_family.make_vec(tasks), 3, seed=4, record=True)
    ahead = first.state.ahead_dones.sum(axis=1)
    assert ahead.any(), "some row should be a whole episode ahead"
    first.save_state(tmp_path)
    longer = rollout(model, first.state.envs, 6, state=first.state, record=True)
    second = rollout(model, ragged_family.make_vec(tasks), 6, state=load_state(tmp_path, model), record=True)
    assert second.returns.shape == (7, 6)
    assert (second.lengths >= 1).all()
    # The whole episodes that a row was ahead were saved and are counted first; what comes after is new.
    for i, count in enumerate(ahead):
        np.testing.assert_array_equal(second.returns[i, :count], longer.returns[i, :count])
        np.testing.assert_array_equal(second.lengths[i, :count], longer.lengths[i, :count])
        assert second.history["dones"][i].sum() == 6


def test_a_damaged_or_foreign_state_is_refused_by_name(model, family, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no rollout_state\.safetensors"):
        load_state(tmp_path, model)
    rollout(model, family.make_vec(family.tasks()[:2]), 1).save_state(tmp_path)
    path = tmp_path / "rollout_state.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        load_state(tmp_path, model)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").rename(path)
    with pytest.raises(ValueError, match="no rollout state of hf_icrl"):
        load_state(tmp_path, model)


def as_dataset_rows(history, tasks):
    """A recorded history as rows of a learning-history dataset."""
    rows = []
    for i, task in enumerate(tasks):
        ends = np.flatnonzero(real_steps(history, "dones", i)) + 1
        for episode, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            cut = {name: history[name][i, start:end].tolist() for name in ("observations", "actions", "rewards")}
            ended = {"terminated": False, "truncated": True}
            rows.append({"history_id": 10 + i, "episode": episode, "task": task, **cut, **ended})
    return rows


@pytest.mark.parametrize("form", ["arrays", "rows", "dataset", "slice"])
def test_a_given_history_is_a_context_like_any_other(model, family, form):
    from datasets import Dataset

    tasks = family.tasks()[:5]
    # 3 episodes of 7 steps fit into the context of 24; 5 do not.
    for episodes in (3, 5):
        whole = rollout(model, family.make_vec(tasks), episodes + 4, seed=2, record=True)
        first = rollout(model, family.make_vec(tasks), episodes, seed=2, record=True)
        history = first.history
        if form != "arrays":
            history = as_dataset_rows(history, tasks)
        if form in ("dataset", "slice"):
            history = Dataset.from_list(history)
        if form == "slice":
            history = history[:]  # a dict of columns
        second = rollout(model, family.make_vec(tasks), 4, seed=2, history=history, record=True)
        # The random streams count steps, given or acted, so the same history leads to the same future.
        np.testing.assert_array_equal(second.returns, whole.returns[:, episodes:])
        np.testing.assert_array_equal(second.history["actions"], whole.history["actions"][:, episodes * 7 :])


def test_given_histories_may_differ_in_length(model, family):
    tasks = family.tasks()[:3]
    history = rollout(model, family.make_vec(tasks), 3, record=True).history
    ragged = dict(history, lengths=np.array([21, 7, 0]))
    together = rollout(model, family.make_vec(tasks), 2, history=ragged)
    for i, length in enumerate(ragged["lengths"]):
        own = {name: values[i : i + 1, :length] for name, values in history.items() if name != "lengths"}
        alone = rollout(
            model, family.make_vec(tasks[i : i + 1]), 2, row_ids=[i], **({"history": own} if length else {})
        )
        np.testing.assert_array_equal(alone.returns[0], together.returns[i])


def test_a_broken_history_is_refused(model, family):
    tasks = family.tasks()[:2]
    history = rollout(model, family.make_vec(tasks), 2, record=True).history
    rows = as_dataset_rows(history, tasks)

    def begin(given):
        rollout(model, family.make_vec(tasks), 1, history=given)

    with pytest.raises(ValueError, match="2 histories, but envs has 3 environments"):
        rollout(model, family.make_vec(family.tasks()[:3]), 1, history=rows)
    with pytest.raises(ValueError, match="episodes of history 10 are not next to each other"):
        begin([rows[0], rows[2], rows[1], rows[3]])
    with pytest.raises(ValueError, match="history 10: episode 0 follows episode 1"):
        begin([rows[1], rows[0], *rows[2:]])
    with pytest.raises(ValueError, match="history has no 'dones'"):
        begin({name: values for name, values in history.items() if name != "dones"})
    with pytest.raises(ValueError, match=r"history\['actions'\] has shape \(2, 3\)"):
        begin(dict(history, actions=history["actions"][:, :3]))
    with pytest.raises(ValueError, match="history is empty"):
        begin({name: values[:, :0] for name, values in history.items() if name != "lengths"})


def test_gymnasiums_own_vector_environment_gives_the_same_rollout(model, ragged_family):
    tasks = ragged_family.tasks()[:4]
    envs = gym.vector.SyncVectorEnv(
        [lambda task=task: ragged_family.make(task) for task in tasks], autoreset_mode=AutoresetMode.SAME_STEP
    )
    assert_same_episodes(rollout(model, envs, 3), rollout(model, ragged_family.make_vec(tasks), 3))


def test_box_spaces(make_model):
    from hf_icrl.histories import space_to_spec

    envs = gym.make_vec(
        "Pendulum-v1", 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
    )
    pendulum = make_model(space_to_spec(envs.single_observation_space), space_to_spec(envs.single_action_space))
    result = rollout(pendulum, envs, 1, record=True)
    assert result.history["actions"].shape == (3, 200, 1)
    assert (np.abs(result.history["actions"]) <= 2).all()
    np.testing.assert_allclose(result.history["rewards"].sum(axis=1), result.returns[:, 0], rtol=1e-5)


def test_environments_that_do_not_fit_are_refused(model, family, ragged_family):
    tasks = family.tasks()[:2]
    with pytest.raises(TypeError, match="scalar environment; it must be a gymnasium vector environment"):
        rollout(model, family.make(tasks[0]), 1)
    next_step = gym.vector.SyncVectorEnv([lambda task=task: family.make(task) for task in tasks])
    with pytest.raises(ValueError, match="'NextStep'; a rollout needs 'SameStep'"):
        rollout(model, next_step, 1)
    from hf_icrl import task_family

    larger = task_family("dark_room", size=5)
    with pytest.raises(ValueError, match=r"observation space \{.*16.*\}, but the environments have \{.*25.*\}"):
        rollout(model, larger.make_vec(larger.tasks()[:2]), 1)


def test_contradicting_arguments_are_refused(model, family):
    tasks = family.tasks()[:2]
    envs = family.make_vec(tasks)
    with pytest.raises(ValueError, match="num_episodes is 0"):
        rollout(model, envs, 0)
    with pytest.raises(ValueError, match=r"row_ids has shape \(3,\), but there are 2 environments"):
        rollout(model, envs, 1, row_ids=[1, 2, 3])
    state = rollout(model, envs, 1).state
    with pytest.raises(ValueError, match=r"temperature=0\.5 was given together with state="):
        rollout(model, envs, 1, state=state, temperature=0.5)
    with pytest.raises(ValueError, match="the state has 2 rows, but envs has 3"):
        rollout(model, family.make_vec(family.tasks()[:3]), 1, state=state)


def test_recording_cannot_begin_in_the_middle_of_an_episode(model, ragged_family):
    first = rollout(model, ragged_family.make_vec(ragged_family.tasks()[:7]), 2, seed=4)
    with pytest.raises(ValueError, match="did not record"):
        rollout(model, first.state.envs, 1, state=first.state, record=True)


def test_what_is_recorded_can_be_chosen(model, ragged_family):
    tasks = ragged_family.tasks()[:3]
    everything = rollout(model, ragged_family.make_vec(tasks), 2, record=True).history
    some = rollout(model, ragged_family.make_vec(tasks), 2, record=["actions"]).history
    assert set(some) == {"actions", "rewards", "dones", "lengths"}
    for name, values in some.items():
        np.testing.assert_array_equal(values, everything[name])
    assert rollout(model, ragged_family.make_vec(tasks), 1).history is None
    with pytest.raises(ValueError, match="unknown name to record 'action': did you mean 'actions'"):
        rollout(model, ragged_family.make_vec(tasks), 1, record=["action"])


def test_it_shows_itself(model, family):
    result = rollout(model, family.make_vec(family.tasks()[:2]), 3)
    first, last = result.returns[:, 0].mean(), result.returns[:, -1].mean()
    assert repr(result) == (
        f"Rollout: 2 rows x 3 episodes; mean return {first:.4g} in the first episode, {last:.4g} in the last"
    )
    html = result._repr_html_()
    assert "data:image/png;base64,iVBOR" in html
    assert repr(result) in html


def test_the_time_inside_the_episode_follows_the_environments(make_model, ragged_family, tmp_path):
    """It is that of the environment, also where a rollout goes on in new ones, which begin new episodes."""
    spaces = {"type": "Discrete", "n": 16}, {"type": "Discrete", "n": 5}
    horizon, tasks = ragged_family.horizon, ragged_family.tasks()[:4]
    model = make_model(*spaces, position_embedding="env_time", episode_length=horizon)
    times, act = [], model.act

    def spy(state, *args):
        actions = act(state, *args)
        times.append(state.last_times.copy())
        return actions

    model.act = spy
    first = rollout(model, ragged_family.make_vec(tasks), 3, seed=1, record=True)
    for row, lengths in enumerate(first.lengths):
        expected = np.concatenate([np.arange(length) for length in lengths])
        np.testing.assert_array_equal(np.stack(times)[: len(expected), row], expected)
    assert first.lengths.max() == horizon
    assert first.state.ahead_counts.any(), "some row should stand in the middle of an episode"
    first.save_state(tmp_path)
    times.clear()
    rollout(model, ragged_family.make_vec(tasks), 6, state=load_state(tmp_path, model))
    assert (times[0] == 0).all()
    assert max(np.max(step) for step in times) == horizon - 1
    short = make_model(*spaces, position_embedding="env_time", episode_length=horizon - 1)
    with pytest.raises(ValueError, match=rf"is {horizon - 1}, .* made for episodes of episode_length={horizon - 1} "):
        rollout(short, ragged_family.make_vec(tasks), 3, seed=1)
