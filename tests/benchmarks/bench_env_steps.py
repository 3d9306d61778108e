"""Transitions per second of DarkRoom on one core: scalar, and vector at several numbers of slots.

    python tests/benchmarks/bench_env_steps.py [--seconds 2]

Actions are drawn beforehand, so the figure is the environment's own. Autoresets (every 20 steps, all slots at once)
are included.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym
import numpy as np

import hf_icrl  # noqa: F401  (registers the environments)

ENV_ID = "hf_icrl/DarkRoom-v0"


def scalar_rate(seconds, **kwargs):
    env = gym.make(ENV_ID, goal=[2, 7], disable_env_checker=True, **kwargs).unwrapped
    actions = np.random.default_rng(0).integers(5, size=1000).tolist()
    env.reset(seed=0)
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        steps += len(actions)
    return steps / (time.perf_counter() - begin)


def vector_rate(seconds, slots, **kwargs):
    rng = np.random.default_rng(0)
    envs = gym.make_vec(
        ENV_ID, slots, vectorization_mode="vector_entry_point", goal=rng.integers(9, size=(slots, 2)), **kwargs
    )
    actions = rng.integers(5, size=(100, slots))
    envs.reset(seed=0)
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for row in actions:
            envs.step(row)
        steps += actions.size
    return steps / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="measuring time of each figure")
    seconds = parser.parse_args().seconds
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{'scalar':44} {scalar_rate(seconds) / 1e6:8.2f} M transitions/s")
    for slots in (64, 1024, 4096, 16384):
        print(f"{f'vector, {slots} slots':44} {vector_rate(seconds, slots) / 1e6:8.2f} M transitions/s")
    for kwargs in ({"observation": "row_col"}, {"terminate_on_goal": True, "start": "random"}):
        name = f"vector, 4096 slots, {', '.join(f'{k}={v}' for k, v in kwargs.items())}"
        print(f"{name:44} {vector_rate(seconds, 4096, **kwargs) / 1e6:8.2f} M transitions/s")


if __name__ == "__main__":
    main()
