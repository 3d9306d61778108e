"""Transitions per second that `collect` generates and writes to disk, learning included, and bytes per transition.

Beside them stands one learner at a time: a Python loop over the environment, with a table or arrays of its own. The
last column is the normalised return of the source over the last tenth of its histories (0 = random, 1 = oracle). On a
machine that others use, too, look at the second figure: transitions per second of processor time, of all processes.

python tests/benchmarks/bench_collect.py
"""

import argparse
import os
import resource
import tempfile
import time

import numpy as np

import hf_icrl

WORDS = {"word_length": 3, "words": "train", "terminate_on_goal": True}
# Name -> the arguments of `collect`; episodes as published.
CASES = {
    "dark_room, noise_curriculum": {"family": "dark_room", "source": "noise_curriculum", "episodes": 200},
    "dark_room, q_learning": {"family": "dark_room", "source": "q_learning", "episodes": 200},
    "dark_room words, q_learning": {
        "family": "dark_room",
        "env_kwargs": WORDS,
        "source": "q_learning",
        "episodes": 200,
    },
    "dark_room ends at goal, a2c": {
        "family": "dark_room",
        "env_kwargs": {"terminate_on_goal": True},
        "held_out": "a3c_dt",
        "source": "a2c",
        "source_params": {"learning_rate": 3e-3},
        "episodes": 300,
        "histories_per_task": 40,
    },
    "key_to_door, noise_curriculum": {
        "family": "key_to_door",
        "env_kwargs": {"start_off_key": True, "horizon": 40},
        "held_out": "ad_eps",
        "source": "noise_curriculum",
        "source_params": {"eps_end": 0.75},
        "episodes": 100,
        "histories_per_task": 4,
    },
    # 500 bandits to learn on, of 4 to 20 arms, for 300 pulls.
    "bernoulli_bandit, thompson": {
        "family": "bernoulli_bandit",
        "source": "thompson",
        "episodes": 1,
        "population": {"num": 625, "min_arms": 4, "max_arms": 20},
    },
    "bernoulli_bandit, ucb1": {
        "family": "bernoulli_bandit",
        "source": "ucb1",
        "episodes": 1,
        "population": {"num": 625, "min_arms": 4, "max_arms": 20},
    },
    "linear_bandit, lin_ucb": {
        "family": "linear_bandit",
        "source": "lin_ucb",
        "source_params": {"alpha": 1.0},
        "episodes": 1,
        "population": {"num": 625},
    },
    "contextual_bandit, lin_ucb": {
        "family": "contextual_bandit",
        "source": "lin_ucb",
        "episodes": 1,
        "population": {"num": 625, "min_arms": 4, "max_arms": 20},
    },
}


def q_learning_one_at_a_time(env_kwargs, histories, episodes=200):
    """Transitions per second of a plain tabular Q-learner in a scalar environment; nothing is recorded."""
    family = hf_icrl.task_family("dark_room", **env_kwargs)
    steps, start = 0, time.perf_counter()
    for history in range(histories):
        rng = np.random.default_rng(history)
        env = family.make(family.tasks()[history % len(family.tasks())])
        q = rng.random((env.observation_space.n, family.num_actions))
        env.reset(seed=history)
        for episode in range(episodes):
            eps = max(0.0, 1 - episode / (0.9 * episodes))
            state, _ = env.reset()
            terminated = truncated = False
            while not (terminated or truncated):
                action = rng.integers(family.num_actions) if rng.random() < eps else q[state].argmax()
                following, reward, terminated, truncated, _ = env.step(action)
                target = reward + 0.6238 * q[following].max() * (not terminated)
                q[state, action] += 0.9933 * (target - q[state, action])
                state = following
                steps += 1
    return steps / (time.perf_counter() - start)


def collected(case, histories_per_task, num_proc, folder):
    """(info, seconds of wall clock, seconds of processor time of all processes)."""
    before = _processor_time()
    start = time.perf_counter()
    case = {"histories_per_task": histories_per_task, **case}
    collection = hf_icrl.collect(**case, output_dir=folder, num_proc=num_proc, progress=False)
    return collection.info, time.perf_counter() - start, _processor_time() - before


def _processor_time():
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories_per_task", type=int, default=150)
    parser.add_argument("--num_proc", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many is shown")
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES))
    args = parser.parse_args()
    print(f"load at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(
        f"{'environment, source':<30}{'processes':>10}{'transitions':>13}{'per s':>12}{'per CPU s':>12}{'bytes each':>12}{'at the end':>12}"
    )
    for name in args.only:
        for num_proc in args.num_proc:
            runs = []
            for _ in range(args.repeat):
                with tempfile.TemporaryDirectory() as folder:
                    runs.append(collected(CASES[name], args.histories_per_task, num_proc, f"{folder}/dataset"))
            steps = runs[0][0]["num_transitions"]
            wall, processor = min(run[1] for run in runs), min(run[2] for run in runs)
            size = runs[0][0]["num_bytes"] / steps
            print(
                f"{name:<30}{num_proc:>10}{steps:>13,}{steps / wall:>12,.0f}{steps / processor:>12,.0f}{size:>12.1f}"
                f"{runs[0][0]['curve']['final_normalized']:>12.3f}"
            )
    for name, env_kwargs in (("dark_room", {}), ("dark_room words", WORDS)):
        speed = max(q_learning_one_at_a_time(env_kwargs, histories=2) for _ in range(args.repeat))
        print(f"{name + ', q_learning':<30}{'loop':>10}{'':>13}{speed:>12,.0f}")
    print(f"load at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
