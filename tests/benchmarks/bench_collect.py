"""Transitions per second that `collect` generates and writes to disk, and bytes per transition.

python tests/benchmarks/bench_collect.py
"""

import argparse
import tempfile
import time

import hf_icrl


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories_per_task", type=int, default=100)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--num_proc", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    for source in ("noise_curriculum", "q_learning"):
        for num_proc in args.num_proc:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                collection = hf_icrl.collect(
                    "dark_room",
                    source,
                    output_dir=f"{folder}/dataset",
                    histories_per_task=args.histories_per_task,
                    episodes=args.episodes,
                    num_proc=num_proc,
                    progress=False,
                )
                seconds = time.perf_counter() - start
            transitions, size = collection.info["num_transitions"], collection.info["num_bytes"]
            print(
                f"{source}, {num_proc} process(es): {transitions:,} transitions in {seconds:.1f} s = "
                f"{transitions / seconds:,.0f} transitions/s to disk, {size / transitions:.1f} bytes per transition"
            )


if __name__ == "__main__":
    main()
