"""Several vector environments side by side as one, so that one batch of a model acts in all of them at once."""

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from hf_icrl.envs.vector import reset_mask, slot_seeds, told_info

_FINAL = ("final_obs", "_final_obs", "final_info", "_final_info")


class JointVectorEnv(VectorEnv):
    """The slots of all parts, one after another; each goes bit for bit as in its own part.

    Discrete actions may differ in number. The joint action space is then the largest one, and in any case the info
    `action_mask`, int8 `(num_envs, largest)`, says which actions each slot has: those that its part's own `action_mask`
    allows (the last that it told of), or all of its part's. Other infos are those of the parts; where a part does not give
    one that another does, its slots have NaN (0 or `None`, if it is no float), and the mask `_name` beside it is false.

    Autoreset is same-step, as that of the parts must be.

    Args:
        parts (`list[gymnasium.vector.VectorEnv]`): at least one; closing this environment closes them.

    Attributes:
        parts: as given.
        slices (`list[slice]`): which slots belong to each part.

    Raises:
        ValueError: no parts, one that resets itself in another mode, observation spaces that differ, or action spaces
            that differ in more than the number of discrete actions.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, parts):
        self.parts = list(parts)
        _check_parts(self.parts)
        ends = np.cumsum([part.num_envs for part in self.parts]).tolist()
        self.slices = [slice(end - part.num_envs, end) for end, part in zip(ends, self.parts, strict=True)]
        self.num_envs = ends[-1]
        self.render_mode = None
        self.single_observation_space = self.parts[0].single_observation_space
        self.single_action_space = self.parts[0].single_action_space
        self._discrete = isinstance(self.single_action_space, gym.spaces.Discrete)
        if self._discrete:
            self.single_action_space = gym.spaces.Discrete(max(int(part.single_action_space.n) for part in self.parts))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._newest = [None] * len(self.parts)  # what each part showed last: (observations, infos)
        self._told = [None] * len(self.parts)  # the actions that each part's slots have, int8 (slots, its actions)
        self._mask = None

    def reset(self, *, seed=None, options=None):
        """Begin an episode in every slot, or in those that `options["reset_mask"]` (bool, `(num_envs,)`) selects.

        Args:
            seed (`int` or list of `int | None`, *optional*): an int seeds slot i with `seed + i`, a list gives every
                slot its own.
            options (`dict`, *optional*): may hold `"reset_mask"`; further entries go to every part.
        """
        seeds, mask = slot_seeds(seed, self.num_envs), reset_mask(options, self.num_envs)
        rest = {name: value for name, value in (options or {}).items() if name != "reset_mask"}
        if self._mask is None and not mask.all():
            raise ValueError("the first reset must be of all environments; leave options['reset_mask'] out")
        for number, (part, own) in enumerate(zip(self.parts, self.slices, strict=True)):
            if mask[own].all():
                self._told[number] = None
                self._newest[number] = part.reset(seed=seeds[own], options=rest or None)
            elif mask[own].any():
                self._newest[number] = part.reset(seed=seeds[own], options={**rest, "reset_mask": mask[own]})
            else:
                observations, infos = self._newest[number]
                self._newest[number] = observations, {k: v for k, v in infos.items() if k not in _FINAL}
        return self._joined()

    def step(self, actions):
        """One step of every slot; see `gymnasium.vector.VectorEnv.step`.

        Args:
            actions (`np.ndarray`, shape `(num_envs, ...)`): one action for each slot.

        Raises:
            ValueError: actions of another kind or shape, or one that its slot does not have. No part has then moved.
        """
        if self._mask is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        actions = self._checked_actions(actions)
        steps = [part.step(actions[own]) for part, own in zip(self.parts, self.slices, strict=True)]
        self._newest = [(step[0], step[4]) for step in steps]
        observations, infos = self._joined()
        return (observations, *(np.concatenate([step[i] for step in steps]) for i in (1, 2, 3)), infos)

    def close_extras(self, **kwargs):
        """Close the parts."""
        for part in self.parts:
            part.close(**kwargs)

    def _checked_actions(self, actions):
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise ValueError(
                f"actions must be of shape {self.action_space.shape}, one for each environment, got {actions.shape}"
            )
        if not self._discrete:
            return actions
        if actions.dtype.kind not in "iu":
            raise ValueError(f"actions must be integers, got {actions.dtype}")
        inside = (actions >= 0) & (actions < self._mask.shape[1])
        allowed = inside & (self._mask[np.arange(self.num_envs), np.where(inside, actions, 0)] != 0)
        if not allowed.all():
            slot = int(np.flatnonzero(~allowed)[0])
            has = np.flatnonzero(self._mask[slot])
            which = f"0 to {len(has) - 1}" if has[-1] == len(has) - 1 else ", ".join(map(str, has))
            raise ValueError(
                f"slot {slot} was given action {actions[slot]}, but its environment has {len(has)} actions now: {which}"
            )
        return actions

    def _joined(self):
        """The observations and infos of all parts, as they are now."""
        infos = [infos for _, infos in self._newest]
        if self._discrete:
            infos = [self._with_mask(number, one) for number, one in enumerate(infos)]
        joined = _join([part.num_envs for part in self.parts], infos)
        self._mask = joined["action_mask"].copy() if self._discrete else True
        return np.concatenate([observations for observations, _ in self._newest]), joined

    def _with_mask(self, number, infos):
        """The part's infos with an `action_mask` of the joint width, in those of ended episodes, too."""
        part, before = self.parts[number], self._told[number]
        if before is None:
            before = np.ones((part.num_envs, int(part.single_action_space.n)), np.int8)
        self._told[number] = told_info(infos, "action_mask", before)
        infos = {**infos, **self._wide_mask(self._told[number], np.ones(part.num_envs, bool))}
        if "final_info" in infos:
            final, ended = infos["final_info"], infos["_final_info"]
            infos["final_info"] = {**final, **self._wide_mask(told_info(final, "action_mask", before), ended)}
        return infos

    def _wide_mask(self, mask, slots):
        """The entries `action_mask` and `_action_mask` for the slots (bool) that have infos; zeros for the others."""
        wide = np.zeros((len(mask), self.single_action_space.n), np.int8)
        wide[:, : mask.shape[1]] = mask
        wide[~slots] = 0
        return {"action_mask": wide, "_action_mask": slots.copy()}


def _check_parts(parts):
    if not parts:
        raise ValueError("there are no vector environments to join; give at least one")
    first = parts[0]
    for number, part in enumerate(parts):
        mode = (part.metadata or {}).get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.SAME_STEP.value):
            raise ValueError(
                f"part {number} resets itself in mode {getattr(mode, 'value', mode)!r}; all must do so in mode "
                f"{AutoresetMode.SAME_STEP.value!r}"
            )
        if part.single_observation_space != first.single_observation_space:
            raise ValueError(
                f"part 0 has the observation space {first.single_observation_space} and part {number} "
                f"{part.single_observation_space}: only environments that show the same can stand side by side"
            )
        spaces = first.single_action_space, part.single_action_space
        discrete = all(isinstance(space, gym.spaces.Discrete) and space.start == 0 for space in spaces)
        if not discrete and spaces[0] != spaces[1]:
            raise ValueError(
                f"part 0 has the action space {spaces[0]} and part {number} {spaces[1]}: they may differ in the number "
                "of discrete actions, and in nothing else"
            )


def _join(sizes, infos):
    """Infos of parts with `sizes` slots each as those of all slots."""
    joined = {}
    for name in dict.fromkeys(name for one in infos for name in one):
        given = [one.get(name) for one in infos]
        if any(isinstance(value, dict) for value in given):
            joined[name] = _join(sizes, [value or {} for value in given])
            continue
        like = next(value for value in given if value is not None)
        joined[name] = np.concatenate(
            [_absent(size, like) if v is None else v for size, v in zip(sizes, given, strict=True)]
        )
    return joined


def _absent(size, like):
    """What stands for an info that a part of `size` slots does not give."""
    shape = (size, *like.shape[1:])
    if like.dtype.kind in "fO":
        return np.full(shape, np.nan if like.dtype.kind == "f" else None, like.dtype)
    return np.zeros(shape, like.dtype)
