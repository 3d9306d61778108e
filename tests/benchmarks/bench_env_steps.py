"""Transitions per second of every family's environment on one core: vector, scalar, and their ratio.

    python tests/benchmarks/bench_env_steps.py [--seconds 3] [--slots 4096] [--only key_to_door]

Actions are drawn beforehand, so a figure is the environment's own; autoresets are included. The scalar figures are a
Python loop over the same environment, as `gymnasium.make` gives it and without gymnasium's wrappers (`unwrapped`),
which is faster. The ratio is to the former, in brackets to the latter. The three take turns, an episode or more each,
and the fastest turn of each counts, in seconds of the processor: what slows the others down is what else the machine
does.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from hf_icrl.tasks import task_family

MILLION = 1e6
RATIO = 100  # what those with a target should reach against the scalar loop, too

# Title, family, environment arguments, and the transitions/s that it should reach at 4096 slots, if any is stated.
CASES = [
    ("DarkRoom", "dark_room", {}, 10 * MILLION),
    ("DarkRoom, random start, ends on the goal", "dark_room", {"start": "random", "terminate_on_goal": True}, None),
    ("DarkRoom, row and column", "dark_room", {"observation": "row_col"}, None),
    ("DarkRoom, permuted actions", "dark_room", {"permuted": True}, None),
    ("DarkRoom, words of 3", "dark_room", {"word_length": 3, "terminate_on_goal": True}, None),
    ("DarkRoom, images", "dark_room", {"observation": "image"}, None),
    ("Key-to-Door", "key_to_door", {}, 10 * MILLION),
    ("Key-to-Door, AD-eps", "key_to_door", {"horizon": 40, "start_off_key": True}, None),
    (
        "Key-to-Door, CCCAD",
        "key_to_door",
        {"start": "center", "terminate_at_door": False, "observation": "row_col"},
        None,
    ),
    ("Bernoulli bandit, 20 arms", "bernoulli_bandit", {}, 10 * MILLION),
    ("Contextual bandit, 20 arms", "contextual_bandit", {"num_arms": 20}, 4 * MILLION),
    ("Linear bandit", "linear_bandit", {}, None),
]


def vector_loop(family, tasks):
    """A function that steps all slots for an episode or more and returns transitions per second."""
    envs = family.make_vec(tasks)
    actions = np.random.default_rng(0).integers(family.num_actions, size=(max(100, family.horizon), len(tasks)))
    envs.reset(seed=0)

    def run():
        begin = time.process_time()
        for row in actions:
            envs.step(row)
        return actions.size / (time.process_time() - begin)

    return run


def scalar_loop(env, family):
    """The same of one scalar environment."""
    actions = np.random.default_rng(0).integers(family.num_actions, size=10 * family.horizon).tolist()
    env.reset(seed=0)

    def run():
        begin = time.process_time()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions) / (time.process_time() - begin)

    return run


def measure(family, slots, seconds):
    """Transitions per second: vector, scalar by `gymnasium.make`, scalar without wrappers."""
    tasks = family.sample(80)
    loops = [
        vector_loop(family, [tasks[i % len(tasks)] for i in range(slots)]),
        scalar_loop(family.make(tasks[0]), family),
        scalar_loop(family.make(tasks[0]).unwrapped, family),
    ]
    best, until = [0.0, 0.0, 0.0], time.process_time() + seconds
    while time.process_time() < until:
        best = [max(rate, loop()) for rate, loop in zip(best, loops, strict=True)]
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="measuring time of each line")
    parser.add_argument("--slots", type=int, default=4096, help="slots of the vector environments")
    parser.add_argument("--only", help="only this family")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"{args.slots} slots, one core; M = million transitions/s, k = thousand transitions/s")
    print(f"{'':42}{'vector':>9}{'target':>9}{'make':>9}{'bare':>9}{'ratio':>8}{'(bare)':>8}")
    for title, name, env_kwargs, target in CASES:
        if args.only not in (None, name):
            continue
        vector, made, bare = measure(task_family(name, **env_kwargs), args.slots, args.seconds)
        aim = "-" if target is None else f"{target / MILLION:.0f} M"
        missed = target is not None and (vector < target or vector < RATIO * made)
        print(
            f"{title:42}{vector / MILLION:7.2f} M{aim:>9}{made / 1e3:7.0f} k{bare / 1e3:7.0f} k{vector / made:8.0f}"
            f"{f'({vector / bare:.0f})':>8}{'  below its target' if missed else ''}",
            flush=True,
        )


if __name__ == "__main__":
    main()
