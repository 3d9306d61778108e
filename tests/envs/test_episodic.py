"""What every scalar environment refuses in the same way."""

import gymnasium as gym
import pytest

from hf_icrl.envs import BernoulliBanditEnv, DarkRoomEnv, KeyToDoorEnv, LinearBanditEnv

each_env = pytest.mark.parametrize("cls", [BernoulliBanditEnv, DarkRoomEnv, KeyToDoorEnv, LinearBanditEnv])


@each_env
def test_bad_actions_and_missing_resets_are_named(cls):
    env = cls(render_mode="rgb_array", horizon=2)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(0)
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.render()
    env.reset(seed=0)
    for action in (-1, int(env.action_space.n)):
        with pytest.raises(ValueError, match=rf"action is {action}\b.* from 0 to {env.action_space.n - 1}"):
            env.step(action)
    assert not env.step(0)[3]
    assert env.step(0)[3]
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(0)
    assert env.render().dtype == "uint8"  # the last picture of the episode


@each_env
def test_render_without_a_mode_warns(cls):
    env = cls()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
