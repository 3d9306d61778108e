"""Windows per second of `HistoryWindows`, from memory-mapped histories in several shards, on one core.

python tests/benchmarks/bench_windows.py
"""

import argparse
import tempfile
import time

import torch

import hf_icrl
from hf_icrl.histories import HistoryWindows


def measure(windows, batch_size, seconds):
    """Windows per second of `__getitems__` on a core of one's own: the fastest of many runs of about 50 ms each.

    Like `timeit`, this takes the fastest run, since what slows the others down is what else the machine does.
    Returns it with the mean over all runs.
    """
    rates, index, until = [], 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < 0.05:
            windows.__getitems__(list(range(index, index + batch_size)))  # as a DataLoader asks
            index = (index + batch_size) % (len(windows) - batch_size)
            count += batch_size
        rates.append(count / (time.perf_counter() - start))
    return max(rates), sum(rates) / len(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--histories_per_task", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0, help="per figure")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for title, env_kwargs in (
        ("episodes of 20 steps", {}),
        ("episodes of 1 to 20 steps", {"terminate_on_goal": True, "start": "random"}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            collection = hf_icrl.collect(
                "dark_room",
                "noise_curriculum",
                env_kwargs=env_kwargs,
                output_dir=f"{folder}/dataset",
                histories_per_task=args.histories_per_task,
                episodes=100,
                progress=False,
            )
            dataset = collection.dataset
            windows = HistoryWindows(dataset, length=args.length, num_windows=10**6)
            chunks = len(dataset.data.to_batches())
            print(
                f"{title}: {collection.info['num_transitions']:,} steps in {chunks} chunks, windows of {args.length}"
            )
            for batch_size in (32, 64, 256, 512):
                best, mean = measure(windows, batch_size, args.seconds)
                print(f"  batch {batch_size:>4}: {best:>9,.0f} windows/s (mean of the runs {mean:,.0f})")


if __name__ == "__main__":
    main()
