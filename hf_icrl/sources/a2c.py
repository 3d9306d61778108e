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
        observation_space, action_space = family.spaces(tasks[0])
        if not isinstance(action_space, Discrete) or action_space.start != 0:
            raise ValueError(
                f"a2c chooses among Discrete actions from 0 on, but {family!r} has {action_space}; use the source "
                '"stable_baselines3"'
            )
        return _Learners(self, first_layer(observation_space), family, tasks, history_ids, seed)


class _Learners:
    """L learners with E environments each."""

    def __init__(self, source, first, family, tasks, history_ids, seed):
        self.source = source
        self.first = first
        envs, num_actions = source.num_envs, family.num_actions
        learners = len(history_ids) // envs
        self.keys = stream_keys(seed, "a2c/actions", history_ids).reshape(learners, envs)
        self.network = StackedNetworks(
            stream_keys(seed, "a2c/weights", np.asarray(history_ids)[::envs] // envs),
            first,
            source.hidden_size,
            source.num_layers,
            num_actions + 1,
            source.activation,
        )
        # A learner has one task. `last` is the last action that it has, `penalty` what is added to the logits.
        available = family.available_actions(tasks[::envs])
        self.penalty, self.last = None, np.full((learners, 1), num_actions - 1)
        if available is not None:
            self.penalty = np.where(available, np.float32(0), _NEVER)[:, None]
            self.last = self.last - available[:, ::-1].argmax(axis=1)[:, None]
        shape = (learners, source.rollout, envs)
        self.rollout = {
            "inputs": np.empty((*shape, *first.shape), dtype=first.dtype),
            "outputs": np.empty((*shape, num_actions + 1), dtype=np.float32),
            "actions": np.empty(shape, dtype=np.int64),
            "rewards": np.empty(shape, dtype=np.float32),
            "terminated": np.empty(shape, dtype=bool),
            "truncated": np.empty(shape, dtype=bool),
            # What the last action of a roll-out or of an episode led to; elsewhere the value is known one step later.
            "next_values": np.zeros(shape, dtype=np.float32),
            **{f"hidden_{k}": np.empty((*shape, source.hidden_size), np.float32) for k in range(source.num_layers)},
        }

    def act(self, observations, clock):
        self.at = clock.time % self.source.rollout
        inputs = self._encode(observations)
        hidden, outputs = self.network.forward(inputs)
        if self.penalty is not None:
            outputs[..., :-1] += self.penalty
        probabilities, logs = log_policy(outputs[..., :-1])
        actions = sample(probabilities, uniforms(self.keys, clock.time), self.last)
        # The parameters stay as they are until the update, which needs no other forward pass than this one.
        hidden = {f"hidden_{k}": values for k, values in enumerate(hidden)}
        self._store(inputs=inputs, outputs=outputs, actions=actions, **hidden)
        chosen = np.take_along_axis(logs, actions[..., None], axis=2)
        return actions.ravel(), {"log_probs": chosen.ravel()}

    def learn(self, transition):
        grid = self.keys.shape
        truncated = transition.truncated.reshape(grid)
        self._store(
            rewards=transition.rewards.reshape(grid),
            terminated=transition.terminated.reshape(grid),
            truncated=truncated,
        )
        full = self.at == self.source.rollout - 1
        if full or truncated.any():
            which = self.network.learners if full else np.flatnonzero(truncated.any(axis=1))
            inputs = self._encode(transition.next_observations)[which]
            outputs = self.network.forward(inputs, which)[1]
            self.rollout["next_values"][which, self.at] = outputs[..., -1]
        if full:
            self._update()

    def select(self, rows):
        """Go on with these runs only, all of some learners: int64 `(m,)`, ascending."""
        learners = rows[:: self.source.num_envs] // self.source.num_envs
        self.network.select(learners)
        self.keys, self.last = self.keys[learners], self.last[learners]
        self.penalty = None if self.penalty is None else self.penalty[learners]
        self.rollout = {name: array[learners] for name, array in self.rollout.items()}

    def _update(self):
        source, network, rollout = self.source, self.network, self.rollout
        values, next_values = rollout["outputs"][..., -1], rollout["next_values"]
        ended = rollout["terminated"] | rollout["truncated"]
        next_values[:, :-1] = np.where(ended[:, :-1], next_values[:, :-1], values[:, 1:])
        advantage = advantages(
            rollout["rewards"], values, next_values, rollout["terminated"], ended, source.discount, source.gae_lambda
        )
        outputs = _samples(rollout["outputs"])
        gradient = loss_gradient(
            outputs[..., :-1],
            outputs[..., -1],
            _samples(rollout["actions"]),
            _samples(advantage),
            source.entropy_coef,
            source.value_coef,
        )
        hidden = [_samples(rollout[f"hidden_{k}"]) for k in range(source.num_layers)]
        network.backward(_samples(rollout["inputs"]), hidden, gradient)
        network.clip(source.max_grad_norm)
        network.adam(source.learning_rate, source.adam_beta1, source.adam_beta2, source.adam_eps)

    def _encode(self, observations):
        return self.first.encode(observations).reshape(*self.keys.shape, *self.first.shape)

    def _store(self, **values):
        for name, value in values.items():
            self.rollout[name][:, self.at] = value


def _samples(array):
    """(L, T, E, ...) as (L, T * E, ...)."""
    return array.reshape(len(array), -1, *array.shape[3:])
