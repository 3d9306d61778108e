"""A published data set in full: AD-eps on DarkRoom, 65 tasks x 20,000 episodes x 20 steps = 26 M transitions.

Prints how long it takes to collect to disk, the peak memory of every process, the size, and how long it takes to open.

python tests/benchmarks/bench_published_size.py [--output_dir FOLDER]
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hf_icrl

OPEN = """
import sys, time
from hf_icrl.histories import HistoryWindows, load_histories
import datasets
start = time.perf_counter()
dataset, _ = load_histories(sys.argv[1])
opened = time.perf_counter() - start
row = dataset[0]
first = time.perf_counter() - start
windows = HistoryWindows(dataset, length=80, num_windows=10**6)
ready = time.perf_counter() - start
windows.__getitems__(range(512))
print(f"opened in {opened:.2f} s, with the first row {first:.2f} s, with windows over it {ready:.2f} s, "
      f"with 512 windows of 80 steps {time.perf_counter() - start:.2f} s")
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20_000)
    parser.add_argument("--num_proc", type=int, default=2)
    parser.add_argument("--output_dir", help="keep the data there; by default they are removed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.output_dir or temporary) / "dataset"
        load, start = os.getloadavg()[0], time.perf_counter()
        collection = hf_icrl.collect(
            "dark_room",
            "noise_curriculum",
            output_dir=folder,
            source_params={"eps_end": 0.5, "decay_fraction": [0.45, 0.45]},
            histories_per_task=1,
            episodes=args.episodes,
            held_out="ad_eps",
            num_proc=args.num_proc,
        )
        seconds = time.perf_counter() - start
        info = collection.info
        peak = {
            who: resource.getrusage(getattr(resource, f"RUSAGE_{who}")).ru_maxrss / 1024
            for who in ("SELF", "CHILDREN")
        }
        print(f"load before: {load:.1f} on {os.cpu_count()} cores; {len(info['tasks']['train'])} tasks")
        print(
            f"{info['num_transitions']:,} transitions in {seconds:.0f} s = {info['num_transitions'] / seconds:,.0f} a "
            f"second, {info['num_bytes'] / 1e6:,.0f} MB, {info['num_bytes'] / info['num_transitions']:.1f} bytes each"
        )
        print(f"peak memory: {peak['SELF']:.0f} MiB in this process, {peak['CHILDREN']:.0f} MiB in the largest worker")
        subprocess.run([sys.executable, "-c", OPEN, str(folder)], check=True)


if __name__ == "__main__":
    main()
