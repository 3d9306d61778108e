"""What `hf-icrl quickstart` reaches, for several training seeds: returns, wall-clock, peak memory.

    python tests/benchmarks/bench_quickstart.py --seeds 0 1 2 --output_dir /tmp/quickstart

Each run is a process of its own, as a user would start it. Prints one row a seed and what the row must reach.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from hf_icrl.rollouts import Report


def run(seed, folder):
    """Run one quickstart; returns (seconds, peak resident memory in MiB of its largest process)."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "hf_icrl", "quickstart", "--seed", str(seed), "--output_dir", str(folder)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"quickstart failed with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def figures(report):
    """The figures of the issue: normalised return over the last five and over episodes 36 to 40, and the ratio."""
    returns = np.array(report["returns_per_seed"])
    oracle, random = np.array(report["oracle_return"]), np.array(report["random_return"])
    normalized = (returns - random[:, None]) / (oracle - random)[:, None]
    per_task = normalized[:, :, -5:].mean(axis=(0, 2))
    return {
        "last 5, mean": per_task.mean(),
        "last 5, worst": per_task.min(),
        "36-40, mean": normalized[:, :, 35:40].mean(),
        "first / last": returns[:, :, 0].mean() / returns[:, :, -5:].mean(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output_dir", type=Path, required=True)
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        folder = args.output_dir / f"seed-{seed}"
        if folder.exists():
            raise SystemExit(f"{folder} exists; name a new --output_dir, so that whole runs are timed")
        seconds, memory = run(seed, folder)
        rows.append((seed, figures(Report.from_file(folder / "report.json")), seconds, memory))
    print(
        f"\n{'seed':>4}  {'last 5, mean':>12}  {'worst goal':>10}  {'36-40':>6}  {'first/last':>10}  {'s':>6}  {'MiB':>6}"
    )
    for seed, values, seconds, memory in rows:
        a, b, c, d = values.values()
        print(f"{seed:>4}  {a:>12.3f}  {b:>10.3f}  {c:>6.3f}  {d:>10.3f}  {seconds:>6.1f}  {memory:>6.0f}")
    print(f"must  {'>= 0.950':>12}  {'>= 0.750':>10}  {'>= .80':>6}  {'< 0.250':>10}  {'<= 300':>6}")


if __name__ == "__main__":
    main()
