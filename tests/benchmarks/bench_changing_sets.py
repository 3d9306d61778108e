"""A model whose arms change in mid-rollout: what it has seen stays in its context, and it must make do or find the new.

    python tests/benchmarks/bench_changing_sets.py MODEL [--tasks 100] [--seeds 5] [--temperature 0.7]

Bernoulli bandits of 20 arms, means uniform in [0, 0.8), 300 pulls. After pull 150 (a) the 5 best arms are removed, or (b)
10 arms are added, of which one, at a random place, has the mean 0.95, better than all, and the others are like the old;
(c) nothing changes. Every pull is charged the expected regret against the best arm that is there then.

The model is told by `info["action_mask"]`, as by any environment. References, on the same bandits: Thompson sampling with
a uniform prior that keeps its counts of the arms that stay (new arms begin at the prior), Thompson sampling that forgets
everything at the change, and uniformly random pulls (exact). Intervals are a bootstrap over tasks, 95 %.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import numpy as np
from gymnasium.vector import VectorWrapper
from transformers import AutoModel

import hf_icrl
from hf_icrl.files import atomic_file
from hf_icrl.plots import INK, MUTED, figure_png, new_figure
from hf_icrl.rollouts.metrics import bootstrap_interval
from hf_icrl.seeding import generator

DATA = Path(__file__).parent / "data"
ARMS, ADDED, REMOVED = 20, 10, 5
PULLS, CHANGE, WINDOW = 300, 150, 25
SPREAD, BEST = 0.8, 0.95
CONDITIONS = {
    "removed": ("best 5 of 20 arms removed", "#D55E00"),
    "added": ("10 arms added, one the best", "#009E73"),
    "unchanged": ("no change", "#0072B2"),
}
STYLES = {"model": "solid", "thompson": (0, (5, 2)), "thompson, forgetting": (0, (1.5, 1.5)), "random": (0, (1, 4))}
THOMPSON_RUNS = 20


class ChangingArms(VectorWrapper):
    """Arms come and go: `before` and `after`, bool (num_envs, arms), say which are there up to pull CHANGE and then."""

    def __init__(self, envs, before, after):
        super().__init__(envs)
        self._before, self._after = before, after

    def reset(self, *, seed=None, options=None):
        self._pulls = 0
        observations, infos = self.env.reset(seed=seed, options=options)
        return observations, infos | {"action_mask": self._mask()}

    def step(self, actions):
        mask = self._mask()
        gone = np.flatnonzero(mask[np.arange(self.num_envs), actions] == 0)
        if len(gone):
            raise ValueError(f"row {gone[0]} pulls the arm {actions[gone[0]]}, which is not there")
        *outcome, infos = self.env.step(actions)
        self._pulls += 1
        return *outcome, infos | {"action_mask": self._mask()}

    def _mask(self):
        return (self._before if self._pulls < CHANGE else self._after).astype(np.int8)


def bandits(condition, num_tasks):
    """Means (tasks, arms), and which arms are there before and after the change, bool of the same shape."""
    random = generator(0, "bench_changing_sets")  # the same 20 arms in all conditions
    means = SPREAD * random.random((num_tasks, ARMS + ADDED))
    means[np.arange(num_tasks), random.integers(ARMS, ARMS + ADDED, num_tasks)] = BEST
    if condition != "added":
        means = means[:, :ARMS]
    before = np.broadcast_to(np.arange(means.shape[1]) < ARMS, means.shape)
    after = np.ones(means.shape, bool)
    if condition == "removed":
        np.put_along_axis(after, np.argsort(-means, axis=1)[:, :REMOVED], False, axis=1)
    return means, before, after


def regrets(means, before, after, actions):
    """Expected regret of every pull, (rows, pulls), against the best arm that is there; rows are tasks, seed by seed."""
    tasks = np.arange(len(actions)) % len(means)
    best = [np.where(before if t < CHANGE else after, means, 0).max(axis=1) for t in range(PULLS)]
    return np.stack(best, axis=1)[tasks] - means[tasks[:, None], actions]


def model_actions(model, means, before, after, seeds, temperature):
    family = hf_icrl.task_family("bernoulli_bandit", num_arms=means.shape[1], horizon=PULLS)
    envs = family.make_vec([{"means": row} for row in means.tolist()] * seeds)
    envs = ChangingArms(envs, np.tile(before, (seeds, 1)), np.tile(after, (seeds, 1)))
    result = hf_icrl.rollout(model, envs, 1, seed=0, temperature=temperature, record=["actions"], progress=True)
    return result.history["actions"]


def thompson_actions(means, before, after, forgets):
    random = generator(1, "bench_changing_sets")
    rows = np.arange(THOMPSON_RUNS * len(means))
    means, before, after = (np.tile(values, (THOMPSON_RUNS, 1)) for values in (means, before, after))
    paid, failed = np.ones((2, *means.shape))
    actions = np.zeros((len(rows), PULLS), np.int64)
    for t in range(PULLS):
        if t == CHANGE and forgets:
            paid[:], failed[:] = 1, 1
        drawn = np.where(before if t < CHANGE else after, random.beta(paid, failed), -1)
        chosen = actions[:, t] = drawn.argmax(axis=1)
        earned = random.random(len(rows)) < means[rows, chosen]
        paid[rows, chosen] += earned
        failed[rows, chosen] += ~earned
    return actions


def random_regrets(means, before, after):
    masks = (before if t < CHANGE else after for t in range(PULLS))
    return np.stack(
        [np.where(m, means, 0).max(axis=1) - (means * m).sum(axis=1) / m.sum(axis=1) for m in masks], axis=1
    )


def summary(values, num_tasks):
    """Regret per pull in windows: `{"mean": [...], "ci95": [[low, high], ...]}`, from regrets (rows, pulls)."""
    by_task = values.reshape(-1, num_tasks, PULLS // WINDOW, WINDOW).mean(axis=(0, 3))
    intervals = [bootstrap_interval(column) for column in by_task.T]
    return {"mean": by_task.mean(axis=0).round(4).tolist(), "ci95": np.round(intervals, 4).tolist()}


def measure(model, args):
    found = {}
    for condition in CONDITIONS:
        arms = bandits(condition, args.tasks)
        actions = {
            "model": model_actions(model, *arms, args.seeds, args.temperature),
            "thompson": thompson_actions(*arms, forgets=False),
            "thompson, forgetting": thompson_actions(*arms, forgets=True),
        }
        values = {name: regrets(*arms, chosen) for name, chosen in actions.items()} | {"random": random_regrets(*arms)}
        found[condition] = {name: summary(value, args.tasks) for name, value in values.items()}
    return found


def table(found):
    ends = range(WINDOW, PULLS + 1, WINDOW)
    lines = [f"{'expected regret a pull, pulls up to':34}" + "".join(f"{end:8d}" for end in ends)]
    for condition, methods in found.items():
        lines.append(f"{CONDITIONS[condition][0]} (after pull {CHANGE})")
        lines += [f"  {name:32}" + "".join(f"{v:8.3f}" for v in one["mean"]) for name, one in methods.items()]
    return "\n".join(lines)


def picture(found, path):
    figure, axes = new_figure(10.4, 4.8)
    figure.subplots_adjust(left=0.08, right=0.66, top=0.9, bottom=0.13)
    middles = np.arange(WINDOW / 2, PULLS, WINDOW)
    for condition, methods in found.items():
        label, colour = CONDITIONS[condition]
        for name, style in STYLES.items():
            one = methods[name]
            look = {"color": colour, "linestyle": style, "linewidth": 2.2 if name == "model" else 1.3}
            axes.plot(middles, one["mean"], label=f"{name}: {label}", **look)
            if name == "model":
                axes.fill_between(middles, *np.transpose(one["ci95"]), color=colour, alpha=0.15, linewidth=0)
    axes.axvline(CHANGE, color=MUTED, linewidth=1.0, linestyle=(0, (2, 3)))
    axes.set_xlim(0, PULLS)
    axes.set_ylim(0)
    axes.set_xlabel("pull", color=INK, fontsize=10)
    axes.set_ylabel(f"expected regret of a pull, mean of {WINDOW}", color=INK, fontsize=10)
    axes.set_title(f"Arms that change after pull {CHANGE}", loc="left", color=INK, fontsize=12, fontweight="bold")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
    path.write_bytes(figure_png(figure))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the folder of a model that reads action sets (headless_ad), trained on bandits")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5, help="rollouts of the model on each task")
    parser.add_argument("--temperature", type=float, help="default: the model's own")
    parser.add_argument(
        "--json", type=Path, default=DATA / "headless_changing_sets.json", help="a .png goes beside it"
    )
    args = parser.parse_args()
    model = AutoModel.from_pretrained(args.model).eval()
    found = measure(model, args)
    temperature = model.config.temperature if args.temperature is None else args.temperature
    how = {"tasks": args.tasks, "seeds": args.seeds, "temperature": temperature, "change": CHANGE, "window": WINDOW}
    content = {"command": shlex.join(["python", *sys.argv]), **how, "regret per pull": found}
    with atomic_file(args.json) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False) + "\n")
    picture(found, args.json.with_suffix(".png"))
    print(table(found))


if __name__ == "__main__":
    main()
