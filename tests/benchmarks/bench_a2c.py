"""A2C on 9 x 9 DarkRoom, 57 tasks: environment steps per second to disk, what is learned, and the ratio to SB3.

python tests/benchmarks/bench_a2c.py
python tests/benchmarks/bench_a2c.py --learning_rate 1e-4 --episodes 4000 --num_proc 2   # published constants
"""

import argparse
import os
import resource
import tempfile
import time

import gymnasium as gym
import numpy as np

import hf_icrl

ROOM = {"size": 9, "start": "center", "horizon": 20, "terminate_on_goal": True}
NUM_ENVS = 10


def cpu_seconds():
    """Of this process and those that it has ended; on a busy machine the fairer measure."""
    return sum(os.times()[:4])


def collect(num_proc, args, output_dir):
    """`(collection, seconds, CPU seconds)`."""
    start, cpu = time.perf_counter(), cpu_seconds()
    collection = hf_icrl.collect(
        "dark_room",
        "a2c",
        output_dir=output_dir,
        env_kwargs=ROOM,
        source_params={"num_envs": NUM_ENVS, "learning_rate": args.learning_rate},
        held_out=23,
        histories_per_task=NUM_ENVS,
        episodes=args.episodes,
        # Two shards, one for each process: the more learners in a shard, the less a step of one of them costs.
        histories_per_shard=29 * NUM_ENVS,
        num_proc=num_proc,
        progress=False,
    )
    return collection, time.perf_counter() - start, cpu_seconds() - cpu


def success_per_task(collection):
    """Mean return over the last tenth of the episodes, `(tasks,)`."""
    episodes = collection.info["episodes"]
    table = collection.dataset.data
    total, count = np.zeros((2, len(collection.info["tasks"]["train"])))
    for batch in table.to_batches():
        offsets = batch["rewards"].offsets.to_numpy()
        returns = np.add.reduceat(batch["rewards"].values.to_numpy()[: offsets[-1]], offsets[:-1])
        late = batch["episode"].to_numpy() >= episodes - max(1, episodes // 10)
        task = batch["history_id"].to_numpy() // NUM_ENVS % len(total)
        total += np.bincount(task[late], returns[late], len(total))
        count += np.bincount(task[late], minlength=len(total))
    return total / count


def stable_baselines3(args):
    """`(steps per second, steps per CPU second)` of SB3's A2C, same constants, a task at a time, nothing written."""
    import torch
    from stable_baselines3 import A2C
    from stable_baselines3.common.vec_env import DummyVecEnv

    torch.set_num_threads(1)  # the fastest for such small networks
    goals = [[0, 0], [2, 7]]
    models = []
    for goal in goals:
        envs = DummyVecEnv([lambda goal=goal: gym.make("hf_icrl/DarkRoom-v0", **ROOM, goal=goal)] * NUM_ENVS)
        models.append(
            A2C(
                "MlpPolicy",
                envs,
                learning_rate=args.learning_rate,
                n_steps=10,
                ent_coef=0.01,
                vf_coef=0.99,
                use_rms_prop=False,
                policy_kwargs={"net_arch": [128]},
                device="cpu",
            )
        )
        models[-1].learn(500)
    start, cpu = time.perf_counter(), cpu_seconds()
    for model in models:
        model.learn(args.sb3_steps)
    steps = len(models) * args.sb3_steps
    return steps / (time.perf_counter() - start), steps / (cpu_seconds() - cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--num_proc", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sb3_steps", type=int, default=10_000)
    args = parser.parse_args()
    print(f"load average before the start: {os.getloadavg()[0]:.1f}")
    speeds = {}
    for num_proc in args.num_proc:
        with tempfile.TemporaryDirectory() as folder:
            collection, seconds, cpu = collect(num_proc, args, f"{folder}/dataset")
            steps, size = collection.info["num_transitions"], collection.info["num_bytes"]
            speeds[num_proc] = steps / seconds, steps / cpu
            print(
                f"a2c, {num_proc} process(es): {steps:,} environment steps in {seconds:.1f} s = {steps / seconds:,.0f} "
                f"steps/s ({steps / cpu:,.0f} per CPU second), learned from and on disk, {size / steps:.1f} bytes each"
            )
            curve, success = collection.returns, success_per_task(collection)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"peak memory of the largest process: {peak / 2**20:.1f} GiB")
    print(f"learning rate {args.learning_rate:g}, {steps / len(success):,.0f} environment steps per task")
    tenths = " ".join(f"{part.mean():.3f}" for part in np.array_split(curve, 10))
    print(f"share of episodes that reach the goal, by tenth of the histories: {tenths} (random actions: 0.12)")
    print(f"last tenth: {success.mean():.3f} over {len(success)} tasks, worst {success.min():.3f}, ", end="")
    print(f"above 0.95 on {(success > 0.95).sum()}, below 0.12 on {(success < 0.12).sum()}")
    sb3 = stable_baselines3(args)
    print(f"stable-baselines3 A2C, one process: {sb3[0]:,.0f} steps/s ({sb3[1]:,.0f} per CPU second)")
    for num_proc, ours in speeds.items():
        print(
            f"ours with {num_proc} process(es): {ours[0] / sb3[0]:.0f} times as many per second, "
            f"{ours[1] / sb3[1]:.0f} times as many per CPU second"
        )


if __name__ == "__main__":
    main()
