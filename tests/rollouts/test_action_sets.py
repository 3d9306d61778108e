"""Rollouts follow the action sets that environments tell of, also where they change in the middle."""

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper

from hf_icrl import HeadlessADConfig, HeadlessADModel, rollout, task_family
from hf_icrl.envs.joint import JointVectorEnv
from hf_icrl.rollouts import load_state

ARMS = 12


class ChangingArms(VectorWrapper):
    """Bandits some arms of which come and go: slot i misses arm (i + t // every) modulo the number of its arms at step
    t; its only arm stays. `seen` holds the masks that were told, step by step."""

    def __init__(self, envs, every):
        super().__init__(envs)
        self.every, self.steps, self.seen = every, 0, []

    def reset(self, **kwargs):
        observations, infos = self.env.reset(**kwargs)
        return observations, self._tell(infos)

    def step(self, actions):
        assert self.seen[-1][np.arange(self.num_envs), actions].all(), "an arm that is not there now"
        *outcome, infos = self.env.step(actions)
        self.steps += 1
        return (*outcome, self._tell(infos))

    def _tell(self, infos):
        mask = infos["action_mask"].astype(bool)
        arms = mask.sum(axis=1)
        slots = np.flatnonzero(arms > 1)
        mask[slots, (slots + self.steps // self.every) % arms[slots]] = False
        self.seen.append(mask)
        return {**infos, "action_mask": mask.astype(np.int8)}


@pytest.fixture(scope="module")
def headless():
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(0)
        config = HeadlessADConfig(
            observation_space={"type": "Discrete", "n": 1},
            action_space={"type": "Discrete", "n": 5},
            action_dim=8,
            context_length=10,
            trunk_config={"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
            initializer_range=0.7,
        )
        return HeadlessADModel(config)


@pytest.fixture
def bandits():
    family = task_family("bernoulli_bandit", num_arms=ARMS, horizon=9)
    tasks = family.sample(7, seed=3, min_arms=1, max_arms=ARMS)
    return family.make_vec(tasks)


@pytest.mark.parametrize("kind", ["headless", "ad"])
def test_arms_that_come_and_go_are_followed(headless, make_model, bandits, kind):
    ad = make_model({"type": "Discrete", "n": 1}, {"type": "Discrete", "n": ARMS})
    model = headless if kind == "headless" else ad
    envs = ChangingArms(bandits, every=4)  # in the middle of episodes of 9 steps, and of contexts of 10
    told = []
    act = type(model).act

    class Watched:
        """The model, and what its state says of the sets each time it acts."""

        def __getattr__(self, name):
            return getattr(model, name)

        def act(self, state, *args):
            told.append(state.available_actions.copy())
            return act(model, state, *args)

    result = rollout(Watched(), envs, 4, seed=1, record=True)
    np.testing.assert_array_equal(told, envs.seen[:-1])
    assert len({mask.tobytes() for mask in told}) > 5
    actions = result.history["actions"].T  # (steps, rows)
    assert np.stack(told)[np.arange(36)[:, None], np.arange(7), actions].all()
    # An arm that was gone comes back: what is not there at one time is chosen at another.
    gone = ~np.stack(told)
    assert any(gone[:, row, arm].any() for row in range(7) for arm in set(actions[:, row]))
    # The rollout goes on where it was, in the same environments, whatever the set is now.
    rollout(Watched(), envs, 1, state=result.state)
    np.testing.assert_array_equal(told, envs.seen[:-1])
    assert len(told) == 45


def test_going_on_in_environments_with_other_actions_must_be_announced(headless, tmp_path):
    family = task_family("bernoulli_bandit", num_arms=6, horizon=9)
    means = [[0.2, 0.9, 0.5], [0.1, 0.7, 0.3, 0.4]]
    more = [[0.2, 0.9, 0.5], [0.1, 0.7, 0.3, 0.4, 0.8]]
    first = rollout(headless, family.make_vec([{"means": m} for m in means]), 2)
    first.save_state(tmp_path)
    state = load_state(tmp_path, headless)
    before, dones, begun = state.model.state_dict(), state.dones.copy(), state.episodes_begun.copy()
    larger = task_family("bernoulli_bandit", num_arms=7, horizon=9)
    for envs, message in (
        (
            family.make_vec([{"means": m} for m in more]),
            "row 1 has 5 actions in these .*, and had 4 or others before: ann",
        ),
        (
            larger.make_vec([{"means": m} for m in means]),
            "environments have 7 actions, the rollout .* began with 6: how",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            rollout(headless, envs, 1, state=state)
        for name, value in state.model.state_dict().items():
            assert torch.equal(value, before[name]) if torch.is_tensor(value) else value == before[name]
        np.testing.assert_array_equal(state.dones, dones)
        np.testing.assert_array_equal(state.episodes_begun, begun)
        assert state.envs is None
    # Announced, the context is kept, and the new arm is there.
    state.model.set_available_actions(np.arange(6) < np.array([[3], [5]]))
    result = rollout(headless, family.make_vec([{"means": m} for m in more]), 5, state=state, record=True)
    assert 4 in result.history["actions"][1]
    np.testing.assert_array_equal(state.model.steps, 9 * 7)
    # Where nothing was announced, the same environments as before go on as they are.
    state = load_state(tmp_path, headless)
    rollout(headless, family.make_vec([{"means": m} for m in means]), 1, state=state)


def test_what_was_announced_stays_where_environments_tell_nothing(headless):
    family = task_family("dark_room", size=3, horizon=6, word_length=2)
    config = HeadlessADConfig(
        observation_space={"type": "Discrete", "n": 9},
        action_space={"type": "Discrete", "n": 25},
        action_dim=8,
        context_length=10,
        trunk_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    model = HeadlessADModel(config)
    first = rollout(model, family.make_vec(family.tasks()[:2]), 2)
    first.state.model.set_available_actions(np.isin(np.arange(25), [3, 8])[None].repeat(2, axis=0))
    for envs in (first.state.envs, family.make_vec(family.tasks()[:2])):
        more = rollout(model, envs, 3, state=first.state, record=True)
        taken = more.history["actions"]
        inside = np.arange(taken.shape[1]) < more.history["lengths"][:, None]
        # What a row that was ahead had done before was another set's.
        assert np.isin(taken[:, 6:][inside[:, 6:]], [3, 8]).all()
        np.testing.assert_array_equal(first.state.model.available_actions.sum(axis=1), 2)


class ToldOnce(VectorWrapper):
    """Bandits that tell their arms when an episode begins, and only the slots in which one does."""

    def step(self, actions):
        *outcome, infos = self.env.step(actions)
        began = outcome[2] | outcome[3]
        infos = {name: value for name, value in infos.items() if "action_mask" not in name}
        if began.any():
            mask = np.zeros((self.num_envs, ARMS), np.int8)
            mask[began] = self.mask[began]
            infos |= {"action_mask": mask, "_action_mask": began}
        return (*outcome, infos)

    def reset(self, **kwargs):
        observations, infos = self.env.reset(**kwargs)
        self.mask = infos["action_mask"].copy()
        return observations, infos


@pytest.mark.parametrize("joint", [False, True])
def test_arms_that_are_told_once_are_remembered(headless, bandits, joint):
    envs = ToldOnce(bandits)
    sets = bandits.reset(seed=0)[1]["action_mask"].astype(bool)
    if joint:
        envs, sets = (
            JointVectorEnv(
                [envs, task_family("bernoulli_bandit", num_arms=3, horizon=9).make_vec([{"means": [0.1, 0.2, 0.3]}])]
            ),
            np.concatenate([sets, np.arange(ARMS)[None] < 3]),
        )
    result = rollout(headless, envs, 4, seed=1, record=True)
    assert not sets.all()
    for row, actions in enumerate(result.history["actions"]):
        assert sets[row, actions].all()
    np.testing.assert_array_equal(result.state.model.available_actions, sets)
