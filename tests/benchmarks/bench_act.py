"""Milliseconds per step of acting, cached (`model.act`) against recomputing the whole context, in the same process.

    python tests/benchmarks/bench_act.py [--rows 32] [--contexts 100 300 1000]

Cached: the mean over a whole context's worth of steps at a full context, so that its share of refills is counted;
beside it the slowest step, which is a refill. Recomputed: an uncached forward over the `context` newest steps, what
an agent without a cache does at every step (the fastest of a few).
"""

import argparse
import time

import numpy as np
import torch

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel


def cached(model, rows, context):
    """Mean and slowest milliseconds of a step, and the mean with rows out of step."""
    rng = np.random.default_rng(0)
    observations, rewards, dones = rng.integers(81, size=rows), rng.random(rows), np.zeros(rows)
    figures = []
    for ragged in (False, True):
        state = model.init_rollout(rows)
        shape = (rows, context)
        history = {
            "observations": rng.integers(81, size=shape),
            "actions": rng.integers(5, size=shape),
            "rewards": rng.random(shape),
            "dones": np.zeros(shape),
        }
        if ragged:
            # Each row has taken in a different number of steps.
            for row in range(rows):
                part = {name: values[row : row + 1, row * context // rows :] for name, values in history.items()}
                model.observe(state, **part, rows=[row])
        else:
            model.observe(state, **history)
        times = []
        for _ in range(context):
            start = time.perf_counter()
            model.act(state, observations, rewards, dones)
            times.append(time.perf_counter() - start)
        figures += [1e3 * np.mean(times), 1e3 * np.max(times)]
    return figures[0], figures[1], figures[2]


@torch.no_grad()
def recomputed(model, rows, context, repeats):
    """Milliseconds of an uncached forward over the whole context, the fastest of a few."""
    shape = (rows, context)
    batch = {
        "observations": torch.randint(81, shape),
        "previous_actions": torch.randint(5, shape),
        "previous_rewards": torch.rand(shape),
        "previous_dones": torch.zeros(shape, dtype=torch.int64),
    }
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model(**batch)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--contexts", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--repeats", type=int, default=4, help="of the recomputed forward")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.rows} rows, 4 layers of width 64, one token a step, {args.threads} threads")
    for context in args.contexts:
        config = AlgorithmDistillationConfig(
            observation_space={"type": "Discrete", "n": 81},
            action_space={"type": "Discrete", "n": 5},
            observation_grid=[9, 9],
            context_length=context,
        )
        model = AlgorithmDistillationModel(config).eval()
        whole = recomputed(model, args.rows, context, args.repeats)
        mean, slowest, ragged = cached(model, args.rows, context)
        print(
            f"  context {context:>4}: cached {mean:>6.2f} ms/step ({1e3 * args.rows / mean:>7,.0f} steps/s; slowest "
            f"{slowest:.0f} ms, rows out of step {ragged:.2f} ms), recomputed {whole:>7.1f} ms/step "
            f"({1e3 * args.rows / whole:>5,.0f} steps/s): {whole / mean:.0f} times"
        )


if __name__ == "__main__":
    main()
