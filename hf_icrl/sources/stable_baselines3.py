"""Any algorithm of Stable-Baselines3 as a source: what its learners did while they learned."""

import copy
import inspect
import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hf_icrl.checks import checked_int
from hf_icrl.naming import check_names, nearest
from hf_icrl.seeding import derived_seed
from hf_icrl.sources.base import Source
from hf_icrl.sources.recording import Recorder
from hf_icrl.sources.steps import HistoryBatch

# What an algorithm's constructor takes and a source decides: learners are seeded per history, silent, and on the CPU.
_OURS = {"self", "policy", "env", "seed", "verbose", "device", "tensorboard_log", "_init_setup_model"}


@dataclass
class StableBaselines3(Source):
    """PPO, A2C, DQN, SAC, TD3, DDPG (or one of sb3-contrib): `num_envs` histories are one learner's parallel streams.

    Learners run one after the other on one thread. A history depends on its seed and its number (for `num_envs` above 1:
    those of its learner) alone; Python's, NumPy's and torch's global generators, which Stable-Baselines3 draws from, are
    put back afterwards. Schedules (DQN's exploration, say) run over the most steps that the episodes can have.

    CCCAD's histories are 100 streams of one PPO for each task: on DarkRoom (horizon 20) `num_envs=100, kwargs={"n_steps":
    80, "batch_size": 40, "n_epochs": 20, "learning_rate": 3e-4}` with 52 episodes; on Key-to-Door (horizon 50)
    `"n_steps": 50, "batch_size": 100, "n_epochs": 10` with 20 episodes, and observations of the last 8 steps stacked,
    which is not done here. Its next observation after an episode's end is that of the reset; here it is the true one.

    Args:
        algorithm (`str`, *optional*, defaults to `"PPO"`): a class of `stable_baselines3` or `sb3_contrib`.
        policy (`str`, *optional*, defaults to `"MlpPolicy"`): `"CnnPolicy"` for images.
        num_envs (`int`, *optional*, defaults to 1): streams of a learner.
        kwargs (`dict`, *optional*): arguments of the algorithm's class, JSON values. `policy_kwargs["activation_fn"]` is a
            name out of `torch.nn`, `train_freq` may be a list, and `action_noise` is the standard deviation of Gaussian
            noise on actions scaled to [-1, 1].

    Raises:
        ValueError: Stable-Baselines3 is not installed, an unknown algorithm or argument (the nearest is named); on
            `generate`, if the algorithm cannot serve the environment's spaces or would not learn before the end.
    """

    algorithm: str = "PPO"
    policy: str = "MlpPolicy"
    num_envs: int = 1
    kwargs: dict[str, Any] = field(default_factory=dict)

    name = "stable_baselines3"
    uses_torch = True
    side_by_side = False

    def __post_init__(self):
        self.num_envs = checked_int(self.num_envs, "num_envs", 1)
        parameters = inspect.signature(_algorithm(self.algorithm).__init__).parameters
        if not isinstance(self.kwargs, dict):
            raise ValueError(f"kwargs is {self.kwargs!r}; it must be a dict of arguments of {self.algorithm}")
        check_names(self.kwargs, set(parameters) - _OURS, f"{self.algorithm} argument")
        self._converted_kwargs(num_actions=1)

    @property
    def streams(self):
        return self.num_envs

    def describe(self):
        import stable_baselines3

        streams = (
            f"each of its {self.num_envs} parallel environments is a history" if self.num_envs > 1 else "one history"
        )
        arguments = "".join(f", {name}={value!r}" for name, value in self.kwargs.items())
        return (
            f"{self.algorithm} of Stable-Baselines3 {stable_baselines3.__version__} ({self.policy}{arguments}), each "
            f"learner from scratch on one task: {streams}."
        )

    def run(self, family, tasks, history_ids, num_episodes, seed, columns, keep):
        available = family.available_actions(tasks)
        if available is not None and not available.all():
            raise ValueError(
                f"some tasks of {family!r} lack actions, which {self.algorithm} of Stable-Baselines3 cannot know; use a "
                "source that draws among available actions, or tasks that have all of them"
            )
        batches = []
        for first in range(0, len(tasks), self.num_envs):
            some = slice(first, first + self.num_envs)
            recorder = Recorder(family, tasks[some], history_ids[some], num_episodes, seed, columns, keep)
            with _seeded(derived_seed(seed, "stable_baselines3", int(history_ids[first]))) as number:
                self._learn(recorder, number)
            batches.append(recorder.batch())
        return _joined(batches)

    def _learn(self, recorder, seed):
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
        from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

        class StopWhenRecorded(BaseCallback):
            def _on_step(self):
                return not recorder.finished

        algorithm = _algorithm(self.algorithm)
        env = _vec_env(recorder, seed)
        steps = recorder.clock.num_episodes * recorder.family.horizon
        kwargs = self._converted_kwargs(num_actions=int(np.prod(env.action_space.shape)))
        if issubclass(algorithm, OffPolicyAlgorithm):
            # The default buffer is of a million steps, and allocated at once; one that never fills is as good.
            kwargs["buffer_size"] = min(kwargs.get("buffer_size", 10**6), (steps + 1) * env.num_envs)
        try:
            learner = algorithm(self.policy, env, seed=None, verbose=0, device="cpu", **kwargs)
        except (AssertionError, ValueError, TypeError) as error:
            raise ValueError(f"{self.algorithm} refuses {recorder.family!r} or its arguments: {error}") from error
        if isinstance(learner, OnPolicyAlgorithm) and learner.n_steps >= steps:
            raise ValueError(
                f"{self.algorithm} learns for the first time after n_steps={learner.n_steps} steps of each stream, but "
                f"{recorder.clock.num_episodes} episodes have at most {steps}: set a smaller kwargs['n_steps'], or use "
                "more episodes"
            )
        if isinstance(learner, OffPolicyAlgorithm) and learner.learning_starts >= steps * env.num_envs:
            raise ValueError(
                f"{self.algorithm} begins to learn after learning_starts={learner.learning_starts} steps, but "
                f"{recorder.clock.num_episodes} episodes have at most {steps * env.num_envs}: set a smaller "
                "kwargs['learning_starts'], or use more episodes"
            )
        # Its own logger would make a folder beside the temporary files, even if it logs nothing.
        learner.set_logger(Logger(folder=None, output_formats=[]))
        learner.learn(steps * env.num_envs, callback=StopWhenRecorded())

    def _converted_kwargs(self, num_actions):
        """The algorithm's arguments, made of their JSON forms."""
        kwargs = copy.deepcopy(self.kwargs)
        if isinstance(kwargs.get("train_freq"), list):
            kwargs["train_freq"] = tuple(kwargs["train_freq"])
        if kwargs.get("action_noise") is not None:
            from stable_baselines3.common.noise import NormalActionNoise

            sigma = kwargs["action_noise"]
            if isinstance(sigma, bool) or not isinstance(sigma, (int, float)) or sigma < 0:
                raise ValueError(f"kwargs['action_noise'] is {sigma!r}; it must be a standard deviation >= 0")
            kwargs["action_noise"] = NormalActionNoise(np.zeros(num_actions), np.full(num_actions, float(sigma)))
        activation = (kwargs.get("policy_kwargs") or {}).get("activation_fn")
        if activation is not None:
            from torch import nn

            found = getattr(nn, activation, None) if isinstance(activation, str) else None
            if not (isinstance(found, type) and issubclass(found, nn.Module)):
                raise ValueError(f"activation_fn is {activation!r}: {nearest(activation, dir(nn))}")
            kwargs["policy_kwargs"]["activation_fn"] = found
        return kwargs


def _algorithm(name):
    """The algorithm's class."""
    try:
        import stable_baselines3
        from stable_baselines3.common.base_class import BaseAlgorithm
    except ImportError as error:
        raise ValueError(
            f'the source "stable_baselines3" needs Stable-Baselines3: pip install "hf-icrl[sb3]" ({error})'
        ) from error
    modules = [stable_baselines3]
    try:
        import sb3_contrib

        modules.append(sb3_contrib)
    except ImportError:
        pass
    found = {
        key: value
        for module in modules
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseAlgorithm)
    }
    if name not in found:
        raise ValueError(f"unknown algorithm {name!r} of Stable-Baselines3: {nearest(name, found)}")
    return found[name]


@contextmanager
def _seeded(seed):
    """Seed the global generators (torch's on the CPU), one torch thread; everything is as before afterwards."""
    import torch

    generator, threads = torch.random.default_generator, torch.get_num_threads()
    states = random.getstate(), np.random.get_state(), generator.get_state()  # noqa: NPY002
    try:
        torch.set_num_threads(1)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        # Not torch.manual_seed, which would seed the accelerators, too: their state is not ours to keep.
        generator.manual_seed(seed)
        yield seed
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        generator.set_state(states[2])
        torch.set_num_threads(threads)


def _vec_env(recorder, seed):
    """The recorder's environments in the form that Stable-Baselines3 drives; every step is recorded on the way."""
    from stable_baselines3.common.vec_env import VecEnv

    class RecordedVecEnv(VecEnv):
        def __init__(self):
            envs = recorder.envs
            # A copy: warm-up actions are drawn from the space's own generator.
            actions = copy.deepcopy(envs.single_action_space)
            actions.seed(seed)
            super().__init__(envs.num_envs, envs.single_observation_space, actions)

        def reset(self):
            return recorder.observations

        def step_async(self, actions):
            self._actions = actions

        def step_wait(self):
            step = recorder.step(self._actions, {})
            ended = step.terminated | step.truncated
            infos = [{} for _ in range(self.num_envs)]
            for i in np.flatnonzero(ended):
                infos[i]["terminal_observation"] = step.next_observations[i]
                infos[i]["TimeLimit.truncated"] = bool(step.truncated[i])
            # Learners add to the rewards in place.
            return recorder.observations, step.rewards.copy(), ended, infos

        def close(self):
            recorder.envs.close()

        def get_attr(self, attr_name, indices=None):
            if attr_name != "render_mode":
                raise AttributeError(attr_name)
            return [None] * self.num_envs

        def set_attr(self, attr_name, value, indices=None):
            raise AttributeError(f"{attr_name} of a recorded environment cannot be set: its history would not show it")

        def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
            raise AttributeError(f"{method_name} of a recorded environment cannot be called")

        def env_is_wrapped(self, wrapper_class, indices=None):
            return [False] * self.num_envs

    return RecordedVecEnv()


def _joined(batches):
    """One `HistoryBatch` of several, zero beyond each run's length."""
    longest = max(batch.rewards.shape[1] for batch in batches)

    def join(arrays):
        padded = [np.pad(a, [(0, 0), (0, longest - a.shape[1])] + [(0, 0)] * (a.ndim - 2)) for a in arrays]
        return np.concatenate(padded)

    per_step = ("observations", "actions", "rewards", "terminated", "truncated", "next_observations")
    return HistoryBatch(
        history_ids=np.concatenate([batch.history_ids for batch in batches]),
        tasks=[task for batch in batches for task in batch.tasks],
        **{name: join([getattr(batch, name) for batch in batches]) for name in per_step},
        lengths=np.concatenate([batch.lengths for batch in batches]),
        optional={name: join([batch.optional[name] for batch in batches]) for name in batches[0].optional},
    )
