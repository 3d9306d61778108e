"""Acting of Headless-AD, cached with its prompt, against recomputing the whole window: bandits of 300 pulls.

    python tests/benchmarks/bench_act_headless.py [--rows 100] [--sizes small published] [--threads 2]

Two windows of more than 650 tokens at the last pull: `interleaved`, three tokens a pull and tasks of 4 to 20 arms
(prompts of different lengths, so that rows are out of step), and `fused`, one token a pull and tasks of 350 arms. Sizes
are those of the recipes `headless_ad_bernoulli` and `headless_ad_bernoulli_published`.

A whole rollout is acted with the cache; a step's time is the mean over its last 20 pulls, and what begins the rollout
(vectors, prompt) is in the whole. Recomputed: an uncached forward over the prompt and all pulls so far, at every 60th
pull, and between them interpolated for the whole rollout; at each of these the actions that it draws with the
same random numbers are compared with those that were taken.
"""

import argparse
import time

import numpy as np
import torch

from hf_icrl import HeadlessADConfig, HeadlessADModel, task_family

PULLS = 300
SIZES = {
    "small": (64, {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4}),
    "published": (
        128,
        {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 4, "num_attention_heads": 64},
    ),
}
WINDOWS = {"interleaved": (20, 4), "fused": (350, 350)}  # arms at most and at least


def make_model(size, layout):
    action_dim, trunk = SIZES[size]
    torch.manual_seed(0)
    config = HeadlessADConfig(
        observation_space={"type": "Discrete", "n": 1},
        action_space={"type": "Discrete", "n": 20},
        action_dim=action_dim,
        context_length=PULLS,
        token_layout=layout,
        trunk_config=trunk,
        # Large enough that what was pulled matters to what is pulled next.
        initializer_range=0.1,
    )
    return HeadlessADModel(config).eval()


def cached(model, envs, sets):
    """Act all pulls: the state, what happened (rows, pulls), and seconds of the beginning and of every step."""
    observations, _ = envs.reset(seed=0)
    history = {name: [] for name in ("observations", "actions", "rewards", "dones")}
    start = time.perf_counter()
    state = model.init_rollout(envs.num_envs, seed=0, available_actions=sets)
    seconds = [time.perf_counter() - start]
    outcome = ()
    for _ in range(PULLS):
        start = time.perf_counter()
        actions = model.act(state, observations, *outcome)
        seconds.append(time.perf_counter() - start)
        history["observations"].append(observations)
        observations, rewards, terminations, truncations, _ = envs.step(actions)
        outcome = rewards, terminations | truncations
        for name, values in zip(("actions", "rewards", "dones"), (actions, *outcome), strict=True):
            history[name].append(values)
    return state, {name: np.stack(values, axis=1) for name, values in history.items()}, np.array(seconds)


@torch.no_grad()
def recomputed(model, state, history, pull):
    """Seconds of choosing the action of this pull (from 0) from the whole window, and the share of equal actions."""

    def previous(values, none):
        first = np.full_like(values[:, :1], none)
        return torch.from_numpy(np.concatenate([first, values[:, :pull]], axis=1))

    start = time.perf_counter()
    output = model(
        observations=torch.from_numpy(history["observations"][:, : pull + 1]),
        previous_actions=previous(history["actions"], 0),
        previous_rewards=previous(history["rewards"].astype(np.float32), 0),
        previous_dones=previous(history["dones"].astype(np.int64), -1),
        available_actions=torch.from_numpy(state.available_actions.copy()),
        action_embeddings=torch.from_numpy(state.action_embeddings),
    )
    logits = output.logits[:, -1].numpy()
    draws = np.full(state.batch_size, pull)
    actions, _ = model.head.draw(logits, state.temperature, 0, state.row_ids, draws, state.available_actions)
    return time.perf_counter() - start, np.mean(actions == history["actions"][:, pull])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--layouts", nargs="+", choices=WINDOWS, default=list(WINDOWS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.rows} tasks, {PULLS} pulls, {args.threads} threads")
    for size in args.sizes:
        for layout in args.layouts:
            most, fewest = WINDOWS[layout]
            family = task_family("bernoulli_bandit", num_arms=most, horizon=PULLS)
            tasks = family.sample(args.rows, seed=0, min_arms=fewest, max_arms=most)
            sets = family.available_actions(tasks)
            model = make_model(size, layout)
            state, history, seconds = cached(model, family.make_vec(tasks), sets)
            pulls = np.array([0, *range(59, PULLS, 60)])
            times, equal = zip(*(recomputed(model, state, history, pull) for pull in pulls), strict=True)
            tokens = sets.sum(axis=1) + PULLS * model.config.tokens_per_step
            step, whole = seconds[-20:].mean(), seconds.sum()
            whole_recomputed = np.interp(np.arange(PULLS), pulls, times).sum()
            distinct = np.mean([len(set(row)) for row in history["actions"]])
            print(
                f"  {size}, {layout}, {fewest} to {most} arms, {tokens.min()} to {tokens.max()} tokens: at pull {PULLS} "
                f"cached {1e3 * step:.1f} ms, recomputed {1e3 * times[-1]:.0f} ms: {times[-1] / step:.0f} times; whole "
                f"rollout {whole:.1f} s ({args.rows * PULLS / whole:,.0f} pulls/s), recomputed {whole_recomputed:.0f} s: "
                f"{whole_recomputed / whole:.0f} times; actions equal in {100 * np.mean(equal):.1f} % of "
                f"{args.rows * len(pulls)} ({distinct:.1f} distinct a task)"
            )


if __name__ == "__main__":
    main()
