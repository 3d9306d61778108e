"""What a recipe reaches over several training seeds, and how its variants compare.

    python tests/benchmarks/bench_recipe.py dark_room --train_seeds 0 1 2 --output_dir runs/dark_room \
        --json tests/benchmarks/data/dark_room.json --plot tests/benchmarks/data/dark_room.png
    python tests/benchmarks/bench_recipe.py quickstart --output_dir runs/pace \
        --variant "fast pace" "--collect.params.decay_fraction [0.05,0.4]" \
        --variant "slow pace" "--collect.params.decay_fraction [0.8,1.0]"

Every variant is the recipe with overrides. Variants whose histories are the same share them. Each verb goes on where it
was interrupted, so the same command can be given again. `--also NAME OVERRIDES` rolls every model out a second time, in
another environment. Figures are normalised returns (0 = random, 1 = oracle) on the held-out tasks; an interval is
Student's t interval of the mean over the training seeds, 95 %.
"""

import argparse
import hashlib
import json
import shlex
import time
from pathlib import Path

import numpy as np

from hf_icrl.cli.collect import collect_histories
from hf_icrl.cli.common import RunFolder
from hf_icrl.cli.evaluate import evaluate_model
from hf_icrl.cli.recipe import Recipe
from hf_icrl.cli.train import train_model
from hf_icrl.rollouts import Report
from hf_icrl.rollouts.metrics import seeds_interval

# A variant has its colour, a further evaluation of it its line style; both come round again.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))


def run(args, name, overrides):
    """Collect, train and evaluate one variant; yields (seed, evaluation name, Report, seconds of training)."""
    recipe = Recipe.load(args.recipe, shlex.split(overrides))
    histories = {k: v for k, v in recipe.to_dict().items() if k in ("environment", "collect", "mixture")}
    key = json.dumps(histories, sort_keys=True)
    dataset = args.output_dir / f"dataset-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    collect_histories(recipe, dataset, None)
    for seed in args.train_seeds:
        recipe = Recipe.load(args.recipe, [*shlex.split(overrides), "--train.seed", str(seed)])
        folder = RunFolder(args.output_dir / name.replace(" ", "_").replace("/", "_") / f"seed-{seed}")
        clock = folder.root / "train_seconds.json"
        start = time.perf_counter()
        train_model(recipe, dataset, folder, None)
        if not clock.is_file():
            clock.write_text(json.dumps(time.perf_counter() - start))
        for also, more in [(None, ""), *args.also]:
            place = folder.model if also is None else folder.root / f"also-{also.replace(' ', '_')}"
            if not (place / "report.json").is_file():
                evaluation = Recipe.load(args.recipe, [*shlex.split(overrides), *shlex.split(more)])
                evaluate_model(evaluation, folder.model, place, None)
            yield seed, also, Report.from_file(place), json.loads(clock.read_text())


def figures(report):
    """Normalised returns of one report: mean, worst task, and episodes 36 to 40 where there are so many."""
    returns = np.array(report["returns_per_seed"])
    oracle, random = np.array(report["oracle_return"]), np.array(report["random_return"])
    normalized = (returns - random[:, None]) / (oracle - random)[:, None]
    final = normalized[:, :, -report["last_episodes"] :].mean(axis=(0, 2))
    early = normalized[:, :, 35:40].mean() if returns.shape[2] >= 40 else None
    return {
        "mean": float(final.mean()),
        "worst": float(final.min()),
        "episodes 36-40": None if early is None else float(early),
        "episodes to 90 %": report["episodes_to_90"]["median"],
        "curve": normalized.mean(axis=(0, 1)).round(4).tolist(),
    }


def interval(values):
    """`0.98 [0.97, 0.99]` over training seeds."""
    told = seeds_interval(values)
    if told["mean"] is None:
        return "-"
    return f"{told['mean']:.3f}" + ("" if told["ci95"] is None else " [{:.3f}, {:.3f}]".format(*told["ci95"]))


def table(results):
    """One row for each variant and evaluation."""
    names = ("mean", "worst", "episodes 36-40", "episodes to 90 %")
    rows = [("variant", *names, "training")]
    for label, runs in results.items():
        cells = [interval([r[name] for r in runs.values()]) for name in names]
        seconds = np.mean([r["train seconds"] for r in runs.values()])
        rows.append((label, *cells, f"{seconds:.0f} s"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)


def plot(results, variants, path, title):
    """Mean normalised return against episodes, a line for each result, with the range over training seeds."""
    from hf_icrl.plots import INK, MUTED, figure_png, new_figure

    figure, axes = new_figure(9.6, 4.6)
    figure.subplots_adjust(left=0.07, right=0.7, top=0.87, bottom=0.13)
    seen = dict.fromkeys(variants, 0)
    for label, runs in results.items():
        variant = next(name for name in variants if label == name or label.startswith(f"{name}, "))
        colour, style = COLOURS[variants.index(variant) % len(COLOURS)], STYLES[seen[variant] % len(STYLES)]
        seen[variant] += 1
        curves = np.array([r["curve"] for r in runs.values()])
        number = np.arange(1, curves.shape[1] + 1)
        axes.plot(number, curves.mean(axis=0), color=colour, linestyle=style, linewidth=2.0, label=label)
        if len(curves) > 1:
            axes.fill_between(number, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.axhline(1.0, color=MUTED, linewidth=1.0, linestyle=(0, (6, 3)))
    axes.set_ylim(min(-0.05, axes.get_ylim()[0]), 1.06)
    axes.set_xlim(left=1)
    axes.set_xlabel("episode in the same context", color=INK, fontsize=11)
    axes.set_ylabel("normalised return, held-out tasks", color=INK, fontsize=11)
    axes.legend(frameon=False, fontsize=9.5, loc="center left", bbox_to_anchor=(1.01, 0.5), labelcolor=INK)
    figure.text(0.07, 0.92, title, fontsize=13, fontweight="bold", color=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(figure_png(figure))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--train_seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--variant", nargs=2, action="append", default=[], metavar=("NAME", "OVERRIDES"))
    parser.add_argument("--also", nargs=2, action="append", default=[], metavar=("NAME", "OVERRIDES"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--title", default="Learning in context on held-out tasks")
    args = parser.parse_args()
    results = {}
    variants = args.variant or [("as shipped", "")]
    for name, overrides in variants:
        for seed, also, report, seconds in run(args, name, overrides):
            label = name if also is None else f"{name}, {also}"
            results.setdefault(label, {})[seed] = {**figures(report), "train seconds": seconds}
    print("\n" + table(results))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"recipe": args.recipe, "variants": dict(args.variant), "also": dict(args.also), "results": results}
        args.json.write_text(json.dumps(content, indent=1) + "\n")
    if args.plot:
        plot(results, [name for name, _ in variants], args.plot, args.title)


if __name__ == "__main__":
    main()
