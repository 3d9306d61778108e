"""Any gymnasium environment as an environment of ours: its tasks are values that differ, its spaces fit histories."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from hf_icrl.checks import checked_int
from hf_icrl.envs.gymnasium_spaces import shown_actions, shown_observations
from hf_icrl.envs.gymnasium_variation import build, checked_recipe
from hf_icrl.envs.vector import reset_mask, slot_seeds


class GymnasiumEnv(gym.Env):
    """Another gymnasium environment, with some of its values changed by the task.

    A task entry is passed to the environment's constructor if it is one of its parameters (`g` of Pendulum, `map_name`
    and `is_slippery` of FrozenLake), else it is set as an attribute of the built environment, which must have it (`length`
    and `gravity` of CartPole, `LINK_LENGTH_1` of Acrobot). What CartPole derives from its attributes when it is built
    follows them. Spaces stay those of the built environment, whatever an attribute is set to.

    Observations are shown as learning histories hold them (see `hf_icrl.envs.gymnasium_spaces`). An episode that
    terminates on the very step of its time limit counts as terminated only.

    Args:
        env (`str`): a registered id, such as `"CartPole-v1"`, or `"module:Id-v0"`. (Not `id`, which
            `gymnasium.make` keeps for itself.)
        kwargs (`dict`, *optional*): arguments of its constructor that all tasks share, JSON values.
        horizon (`int`, *optional*): steps after which an episode is truncated, by default the time limit that the
            environment is registered with.
        render_mode (`str`, *optional*): one of the environment's own.
        task: the values that differ, see above.

    Attributes:
        inner: what `gymnasium.make` gave for `env`.

    Raises:
        ValueError: an unknown id or task entry (the nearest valid one is named), a bad value, a space that histories
            cannot hold, or an environment without time limit when no `horizon` is given.
    """

    # What gymnasium.make lets through; the environment itself then says which of them it has.
    metadata = {"render_modes": ["human", "rgb_array", "ansi"]}

    def __init__(self, env, kwargs=None, horizon=None, render_mode=None, **task):
        recipe = checked_recipe(env, kwargs, horizon)
        self.horizon = recipe["horizon"]
        self.inner = build(**recipe, render_mode=render_mode, task=task)
        self.metadata = self.inner.metadata
        self.render_mode = self.inner.render_mode
        self.observation_space, self._shown = shown_observations(self.inner.observation_space)
        self.action_space, self._own = shown_actions(self.inner.action_space)

    def reset(self, *, seed=None, options=None):
        """Begin an episode; `options` goes to the environment. Returns `(observation, info)`."""
        super().reset(seed=seed)
        observation, info = self.inner.reset(seed=seed, options=options)
        return self._shown(observation), info

    def step(self, action):
        """One step: `(observation, reward (float), terminated, truncated, info)`, the two ends never both true."""
        observation, reward, terminated, truncated, info = self.inner.step(self._own(action))
        terminated = bool(terminated)
        return self._shown(observation), float(reward), terminated, bool(truncated) and not terminated, info

    def render(self):
        """What the environment itself draws."""
        return self.inner.render()

    def close(self):
        self.inner.close()


class GymnasiumVectorEnv(SyncVectorEnv):
    """`num_envs` of them in lock-step, one after the other; slot i equals `GymnasiumEnv` with the i-th values.

    Autoreset is *same-step* (see `hf_icrl.envs.true_next_observations`). Slot i depends on its own seed alone.

    Args:
        num_envs (`int`): number of slots, >= 1.
        env, kwargs, horizon, render_mode: as in `GymnasiumEnv`.
        tasks: by name, `num_envs` values (a list or an array), or one number or string for all slots.

    Raises:
        ValueError: as `GymnasiumEnv`, or the slots have different spaces, or not one value each.
    """

    def __init__(self, num_envs, env, kwargs=None, horizon=None, render_mode=None, **tasks):
        num_envs = checked_int(num_envs, "num_envs", 1)
        columns = {name: _one_for_each(name, values, num_envs) for name, values in tasks.items()}
        slots = []
        for i in range(num_envs):
            task = {name: values[i] for name, values in columns.items()}
            slots.append(GymnasiumEnv(env, kwargs=kwargs, horizon=horizon, render_mode=render_mode, **task))
            for name in ("observation_space", "action_space"):
                first, this = getattr(slots[0], name), getattr(slots[i], name)
                if first != this:
                    raise ValueError(
                        f"the {name} of task {task} is {this}, that of the first one is {first}; the tasks of one family "
                        "must have the same spaces: leave out what changes them"
                    )
        self.horizon = slots[0].horizon
        super().__init__([lambda slot=slot: slot for slot in slots], autoreset_mode=AutoresetMode.SAME_STEP)

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those of `options["reset_mask"]`; seeds as in `DarkRoomVectorEnv`."""
        reset_mask(options, self.num_envs)  # checks it
        # gymnasium takes the mask out of the options that it is given.
        return super().reset(seed=slot_seeds(seed, self.num_envs), options=None if options is None else dict(options))

    def step(self, actions):
        """One step of every slot; rewards are float32 `(num_envs,)`, as histories hold them."""
        observations, rewards, terminated, truncated, infos = super().step(actions)
        return observations, rewards.astype(np.float32), terminated, truncated, infos


def _one_for_each(name, values, num_envs):
    if isinstance(values, (np.ndarray, np.generic)):
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        return [values] * num_envs
    if len(values) != num_envs:
        raise ValueError(f"{name} has {len(values)} values for {num_envs} environments; give one for each")
    return list(values)
