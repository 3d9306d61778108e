"""Advantage actor-critic (A2C), the learners of all tasks stacked in one network."""

from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Discrete

from hf_icrl.checks import checked_choice, checked_int, checked_number
from hf_icrl.counter_random import stream_keys, uniforms
from hf_icrl.sources.actor_critic import advantages, log_policy, loss_gradient, sample
from hf_icrl.sources.base import Source
from hf_icrl.sources.network_inputs import first_layer
from hf_icrl.sources.stacked_networks import ACTIVATIONS, StackedNetworks

# What is added to the logits of an action that a task does not have; finite, so that 0 * it is 0.
_NEVER = np.float32(-1e30)


@dataclass
class A2C(Source):
    """Synchronous advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783), one learner per `num_envs` histories.

    Each learner acts in `num_envs` copies of its task's environment, and each copy's life is one history: they are
    recorded in parallel, so a history of T steps belongs to a learner that has seen `num_envs * T` steps.

    The defaults are the constants published for the A3C histories of DarkRoom of an open reproduction of algorithm
    distillation (A3C + Decision Transformer). Measured on 57 goals of the 9 x 9 room with `terminate_on_goal`, in which
    random actions reach the goal in 0.12 of the episodes: the share of the last tenth of the histories that does.

    - published, 4000 episodes, on average 404 k steps per learner: 0.98, on every goal above 0.95;
    - `learning_rate=1e-3`, 1000 episodes, 80 k steps: 0.99, the worst goal 0.99;
    - quick, `learning_rate=3e-3`, 300 episodes, 25 k steps: 0.99, the worst goal 0.97.

    The learners of one call stand in one stack, so many of them at once cost little more than one (per core, 29 learners
    make 8 times as many steps a second as one): give `collect` as large a `histories_per_shard` as memory allows.

    Args:
        num_envs (`int`, *optional*, defaults to 10): environments of a learner, which is also `streams`.
        rollout (`int`, *optional*, defaults to 10): steps in each environment between two updates.
        hidden_size (`int`, *optional*, defaults to 128), num_layers (`int`, *optional*, defaults to 1): the hidden
            layers, which actor and critic share; on top each has one linear layer.
        activation (`str`, *optional*, defaults to `"relu"`): after each hidden layer, `"relu"` or `"tanh"`.
        learning_rate (`float`, *optional*, defaults to 1e-4), adam_beta1 (`float`, *optional*, defaults to 0.9),
            adam_beta2 (`float`, *optional*, defaults to 0.999), adam_eps (`float`, *optional*, defaults to 1e-6): Adam.
        max_grad_norm (`float`, *optional*, defaults to 0.5): the norm at which a learner's gradient is clipped.
        entropy_coef (`float`, *optional*, defaults to 0.01), value_coef (`float`, *optional*, defaults to 0.99): weights
            in the joint loss of the entropy bonus and of the mean squared error of the values.
        discount (`float`, *optional*, defaults to 0.99): in [0, 1].
        gae_lambda (`float`, *optional*, defaults to 1.0): in [0, 1]. With 1 the value target is the longest n-step
            return inside the roll-out.

    Raises:
        ValueError: a parameter has a bad value; on `generate`, if the actions are not `Discrete` or the observations
            none of `Discrete`, `MultiDiscrete` and `Box`.
    """

    num_envs: int = 10
    rollout: int = 10
    hidden_size: int = 128
    num_layers: int = 1
    activation: str = "relu"
    learning_rate: float = 1e-4
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_eps: float = 1e-6
    max_grad_norm: float = 0.5
    entropy_coef: float = 0.01
    value_coef: float = 0.99
    discount: float = 0.99
    gae_lambda: float = 1.0

    name = "a2c"
    offers = ("log_probs",)

    def __post_init__(self):
        for name in ("num_envs", "rollout", "hidden_size", "num_layers"):
            setattr(self, name, checked_int(getattr(self, name), name, 1))
        self.activation = checked_choice(self.activation, "activation", ACTIVATIONS)
        for name in ("learning_rate", "adam_eps", "max_grad_norm", "entropy_coef", "value_coef"):
            setattr(self, name, checked_number(getattr(self, name), name, 0.0, 1e9))
        for name in ("learning_rate", "adam_eps", "max_grad_norm"):
            if getattr(self, name) == 0:
                raise ValueError(f"{name} is 0; it must be above 0")
        for name in ("adam_beta1", "adam_beta2", "discount", "gae_lambda"):
            setattr(self, name, checked_number(getattr(self, name), name, 0.0, 1.0))
        for name in ("adam_beta1", "adam_beta2"):
            if getattr(self, name) == 1:
                raise ValueError(f"{name} is 1; it must be below 1, or Adam never moves")

    @property
    def streams(self):
        """Histories of one learner: `num_envs`."""
        return self.num_envs

    def describe(self):
        target = "n-step returns" if self.gae_lambda == 1 else f"returns of GAE with lambda {self.gae_lambda:g}"
        layers = f"{self.num_layers} shared hidden layer{'s' * (self.num_layers > 1)} of {self.hidden_size}"
        return (
            f"Advantage actor-critic (A2C) from scratch; each learner acts in {self.num_envs} environments at once, "
            f"whose lives are {self.num_envs} histories, and updates after every {self.rollout} steps in each (values "
            f"learn {target} with discount {self.discount:g}; {layers} {self.activation} units; entropy coefficient "
            f"{self.entropy_coef:g}, value coefficient {self.value_coef:g}; Adam with learning rate "
            f"{self.learning_rate:g}, gradient norm at most {self.max_grad_norm:g}); actions are sampled from its policy."
        )

    def begin(self, family, tasks, history_ids, seed):
        envs = family.make_vec(tasks[:1])
        observation_space, action_space = envs.single_observation_space, envs.single_action_space
        envs.close()
        if not isinstance(action_space, Discrete) or action_space.start != 0:
            raise ValueError(
                f"a2c chooses among Discrete actions from 0 on, but {family!r} has {action_space}; use the source "
                '"stable_baselines3"'
            )
        return _Learners(self, first_layer(observation_space), family, tasks, history_ids, seed)


class _Learners:
    """L learners with E environments each. `alive` are the learners that still have histories to make."""

    def __init__(self, source, first, family, tasks, history_ids, seed):
        self.source = source
        self.first = first
        self.num_actions = family.num_actions
        ids = np.asarray(history_ids)
        self.slots = np.arange(len(ids)).reshape(-1, source.num_envs)
        self.keys = stream_keys(seed, "a2c/actions", ids).reshape(self.slots.shape)
        self.network = StackedNetworks(
            stream_keys(seed, "a2c/weights", ids[:: source.num_envs] // source.num_envs),
            first,
            source.hidden_size,
            source.num_layers,
            self.num_actions + 1,
            source.activation,
        )
        self.everyone = True
        available = family.available_actions(tasks)
        if available is None:
            available = np.ones((len(ids), self.num_actions), dtype=bool)
        self.idle_actions = available.argmax(axis=1)
        self.last = (self.num_actions - 1 - available[:, ::-1].argmax(axis=1)).reshape(self.slots.shape)
        self.penalty = None if available.all() else np.where(available, np.float32(0), _NEVER)
        if self.penalty is not None:
            self.penalty = self.penalty.reshape(*self.slots.shape, -1)
        self._make_room()

    def _make_room(self):
        """Room for one roll-out: arrays (L, T, E, ...)."""
        source = self.source
        learners, envs = self.slots.shape
        shape = (learners, source.rollout, envs)
        self.inputs = np.empty((*shape, *self.first.shape), dtype=self.first.dtype)
        self.hidden = [np.empty((*shape, source.hidden_size), np.float32) for _ in range(source.num_layers)]
        self.outputs = np.empty((*shape, self.num_actions + 1), dtype=np.float32)
        self.actions = np.empty(shape, dtype=np.int64)
        self.rewards = np.empty(shape, dtype=np.float32)
        self.terminated, self.truncated = np.empty(shape, dtype=bool), np.empty(shape, dtype=bool)
        self.next_values = np.zeros(shape, dtype=np.float32)

    def act(self, observations, clock):
        self.at = clock.time % self.source.rollout
        if self.at == 0:
            self._retire(clock)
        at, inputs = self.at, self._encode(observations)
        # The parameters stay as they are until the update, which needs no other forward pass than this one.
        hidden, outputs = self.network.forward(inputs)
        self.inputs[:, at] = inputs
        for kept, values in zip(self.hidden, hidden, strict=True):
            kept[:, at] = values
        if self.penalty is not None:
            outputs[..., :-1] += self.penalty
        self.outputs[:, at] = outputs
        probabilities, logs = log_policy(outputs[..., :-1])
        actions = sample(probabilities, uniforms(self.keys, clock.time), self.last)
        self.actions[:, at] = actions
        chosen = np.take_along_axis(logs, actions[..., None], axis=2)[..., 0]
        if self.everyone:
            return actions.ravel(), {"log_probs": chosen.ravel()}
        all_actions, log_probs = self.idle_actions.copy(), np.zeros(len(observations), dtype=np.float32)
        all_actions[self.slots], log_probs[self.slots] = actions, chosen
        return all_actions, {"log_probs": log_probs}

    def learn(self, transition):
        at = self.at
        self.rewards[:, at] = transition.rewards[self.slots]
        self.terminated[:, at] = transition.terminated[self.slots]
        self.truncated[:, at] = truncated = transition.truncated[self.slots]
        full = at == self.source.rollout - 1
        if full or truncated.any():
            which = self.network.learners if full else np.flatnonzero(truncated.any(axis=1))
            inputs = self._encode(transition.next_observations)[which]
            outputs = self.network.forward(inputs, which)[1]
            self.next_values[which, at] = outputs[..., -1]
        if full:
            self._update()

    def _update(self):
        source, network = self.source, self.network
        values = self.outputs[..., -1]
        ended = self.terminated | self.truncated
        self.next_values[:, :-1] = np.where(ended[:, :-1], self.next_values[:, :-1], values[:, 1:])
        advantage = advantages(
            self.rewards, values, self.next_values, self.terminated, ended, source.discount, source.gae_lambda
        )
        outputs, inputs, *hidden = (_samples(a) for a in (self.outputs, self.inputs, *self.hidden))
        gradient = loss_gradient(
            outputs[..., :-1],
            outputs[..., -1],
            _samples(self.actions),
            _samples(advantage),
            source.entropy_coef,
            source.value_coef,
        )
        network.backward(inputs, hidden, gradient)
        network.clip(source.max_grad_norm)
        network.adam(source.learning_rate, source.adam_beta1, source.adam_beta2, source.adam_eps)

    def _encode(self, observations):
        return self.first.encode(observations)[self.slots]

    def _retire(self, clock):
        """Learners whose histories are all complete need not go on beside the others."""
        alive = (clock.episode[self.slots] < clock.num_episodes).any(axis=1)
        if alive.all() or not alive.any():
            return
        self.everyone = False
        self.network.keep(alive)
        for name in ("slots", "keys", "last", "penalty"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else value[alive])
        self._make_room()


def _samples(array):
    """(L, T, E, ...) as (L, T * E, ...)."""
    return array.reshape(len(array), -1, *array.shape[3:])
