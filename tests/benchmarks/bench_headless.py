"""The table of Headless-AD: methods x evaluation sets, over training seeds, from the small recipes.

    python tests/benchmarks/bench_headless.py --output_dir runs/headless
    python tests/benchmarks/bench_headless.py --families bernoulli --methods headless "AD, 50" --train_seeds 0 \
        --steps 500 --output_dir runs/headless_short --data_dir runs/headless_short

    python tests/benchmarks/bench_headless.py --families bernoulli --small --output_dir runs/headless_small

`--small` compares methods in minutes a model: 2 layers of width 64, 1000 steps of 16 windows, for all of them alike; its
results are `headless_<family>_small.json`.

Each family has its methods (`METHODS`): Headless-AD, its ablations, and algorithm distillation for each number of actions.
Every model is trained, then acts on the recipe's validation tasks at each of `--temperatures`; with the best of these,
and with nothing else chosen, it acts on the evaluation sets. So nothing is chosen on them, the checkpoint included: it is
the last one.

Everything goes on where it was interrupted, so the same command can be given again, or in parts (`--families`,
`--methods`, `--train_seeds`; several at once, too, such as one on each core): after each model its method is written into
`headless_<family>.json`, beside the others that are there, and the picture is drawn. A cell is the mean over training
seeds with Student's 95 % interval. Bandits: regret, 1 = the source of the histories (Thompson sampling or LinUCB),
0 = random. Words: the share of the last episodes that reach the goal.
"""

import argparse
import hashlib
import json
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_icrl.cli.collect import collect_histories
from hf_icrl.cli.common import RunFolder, family_of
from hf_icrl.cli.evaluate import evaluate_model
from hf_icrl.cli.recipe import Recipe
from hf_icrl.cli.train import train_model
from hf_icrl.files import atomic_file
from hf_icrl.quiet import progress_bars
from hf_icrl.rollouts import Report
from hf_icrl.rollouts.metrics import random_regrets, seeds_interval
from hf_icrl.rollouts.set_reports import SETS_FILE

DATA = Path(__file__).parent / "data"
# An equal, small budget for all methods.
SMALL = (
    "--train.max_steps 1000 --train.per_device_train_batch_size 16 --model.trunk_config.num_hidden_layers 2 "
    "--model.trunk_config.hidden_size 64 --model.trunk_config.intermediate_size 172"
)
TEMPERATURES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.85, 1.0)


@dataclass
class Method:
    """A recipe with overrides."""

    recipe: str
    overrides: str = ""


def ablations(recipe, masks):
    """Headless-AD and what it is without each of its parts; `masks`: whether some tasks lack actions."""
    methods = {
        "headless": Method(recipe),
        "headless, mse": Method(recipe, "--model.action_loss mse"),
        "headless, normal embeddings": Method(recipe, "--model.action_embedding normal"),
        "headless, no prompt": Method(recipe, "--model.action_prompt false --model.prompt_capacity null"),
    }
    if masks:
        methods["headless, zero mask"] = Method(recipe, "--model.loss_mask zero")
    return methods


def per_size(recipe, sizes):
    """Algorithm distillation for each number of arms: it can act on no other."""
    larger = '--environment.kwargs.num_arms {k} --evaluate.sets "[num_{k}]"'
    return {"AD, 20": Method(recipe), **{f"AD, {k}": Method(recipe, larger.format(k=k)) for k in sizes}}


def per_words(recipe, words):
    return Method(recipe, f'--environment.kwargs.words {words} --evaluate.sets "[{words}_train, {words}_test]"')


# Family -> name of a method -> what it is.
METHODS = {
    "bernoulli": ablations("headless_ad_bernoulli", masks=True) | per_size("ad_bernoulli", (25, 50, 100)),
    "contextual": ablations("headless_ad_contextual", masks=True) | per_size("ad_contextual", (50, 100)),
    "words": ablations("headless_ad_words", masks=False)
    | {
        "headless, several sets": Method("headless_ad_words_sets"),
        "headless, noise curriculum": Method("headless_ad_words_noise"),
        "headless, visual": Method("headless_ad_words_visual"),
        "headless, words by displacement": Method("headless_ad_words_displacement"),
        "AD": Method("ad_words"),
        "AD, permuted": Method("ad_words_permuted"),
        "AD, test words": per_words("ad_words", "test"),
        "AD, all words": per_words("ad_words", "all"),
    },
}
# Colours of Okabe and Ito (2008), which colour-blind readers can tell apart; they come round again, hatched.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
HATCHES = (None, "///", "...")


def load(method, args, *more):
    small = SMALL if args.small else ""
    steps = "" if args.steps is None else f"--train.max_steps {args.steps}"
    given = [word for text in (method.overrides, small, args.overrides, steps) for word in shlex.split(text)]
    return Recipe.load(method.recipe, [*given, *more])


def stem(family, args):
    return f"headless_{family}{'_small' * args.small}"


def digest(recipe):
    """Of what makes a model and of how it is evaluated, so that seeds of a recipe that was changed since are not averaged
    with those of before."""
    values = recipe.to_dict()
    for section in ("model", "evaluate"):
        values[section].pop("temperature", None)  # chosen on validation tasks, whatever the recipe says
    return short_hash(values)


def short_hash(values):
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def run(family, name, method, args):
    """Collect, train, choose the temperature and evaluate; yields (training seed, what was found) of each model."""
    recipe = load(method, args)
    histories = {k: v for k, v in recipe.to_dict().items() if k in ("environment", "collect", "mixture")}
    dataset = args.output_dir / f"dataset-{family}-{short_hash(histories)}"
    collect_histories(recipe, dataset, None)
    place = args.output_dir / family / name.replace(", ", "-").replace(" ", "_")
    for seed in args.train_seeds:
        folder = RunFolder(place / f"seed-{seed}")
        seconds = train(load(method, args, "--train.seed", str(seed)), dataset, folder)
        temperature, tried = choose_temperature(recipe, folder, args.temperatures)
        chosen = load(method, args, "--evaluate.temperature", str(temperature))
        # How it was evaluated names the place, so that figures of another protocol are never taken for these.
        output = folder.root / f"evaluation-{short_hash(chosen.to_dict()['evaluate'])}"
        if not (output / SETS_FILE).is_file():
            evaluate_model(chosen, folder.model, output, None)
        sets = {which: figures(Report.from_file(output / "evaluations" / which)) for which in recipe.evaluate.sets}
        yield seed, {"temperature": temperature, "validation": tried, "train seconds": seconds, "sets": sets}


def train(recipe, dataset, folder):
    """Train, and return the seconds that it took, those before interruptions not counted."""
    clock, start = folder.root / "train_seconds.json", time.perf_counter()
    train_model(recipe, dataset, folder, None)
    if not clock.is_file():
        clock.write_text(json.dumps(time.perf_counter() - start))
    return json.loads(clock.read_text())


def choose_temperature(recipe, folder, temperatures):
    """The temperature at which the model does best on the validation tasks, and what it reached at each."""
    import torch
    from transformers import AutoModel

    from hf_icrl import evaluate

    path = folder.root / f"temperatures-{short_hash(recipe.to_dict()['evaluate'])}.json"
    tried = json.loads(path.read_text()) if path.is_file() else {}
    family, tasks = family_of(recipe)
    model, section = None, recipe.evaluate
    for temperature in temperatures:
        if str(temperature) in tried:
            continue
        if model is None:
            with progress_bars(False):
                model = AutoModel.from_pretrained(str(folder.model))
            model.to("cuda" if torch.cuda.is_available() else "cpu")
        report = evaluate(
            model,
            family,
            tasks["validation"],
            episodes=section.episodes,
            # As many rollouts as a set has, so that few validation tasks do not make the choice a matter of chance.
            seeds=-(-section.tasks_per_set // len(tasks["validation"])),
            last_episodes=section.last_episodes,
            seed=section.seed,
            temperature=temperature,
            evaluation_set="validation",
        )
        # Of the mean return; of a bandit's expected regret, which varies less.
        tried[str(temperature)] = report.last_return if report.get("regret") is None else -report["regret"]["mean"]
        path.write_text(json.dumps(tried))
    best = max(temperatures, key=lambda temperature: tried[str(temperature)])
    return best, {str(temperature): tried[str(temperature)] for temperature in temperatures}


def figures(report):
    """What is kept of one report."""
    words = report.get("success") is not None
    kept = ("distinct_actions", "available_actions", "entropy", "tried_share", "success", "success_curve")
    normalized = report.get("regret_normalized")
    curve = report.get("regret_curve")
    return {
        "score": report["success"] if words else normalized and normalized["mean"],
        "tasks interval": None if words or normalized is None else normalized["ci95"],
        "against source": normalized and normalized["mean"],
        "regret": None if curve is None else report["regret"]["mean"],
        # Every tenth pull is enough for a picture.
        "regret curve": None if curve is None else np.round(curve[9::10], 3).tolist(),
        "source": float(np.mean(report["source_return" if words else "source_regret"])),
        "random": float(np.mean(report["random_return"] if words else random_regrets_of(report))),
        **{name: report.get(name) for name in kept},
    }


def random_regrets_of(report):
    return random_regrets(report["oracle_return"], report["random_return"], report["episodes"])


def table(results, sets):
    """Markdown: a row for each method, a column for each set."""
    rows = [["method", *sets], ["---"] * (1 + len(sets))]
    for name, method in results.items():
        rows.append([name, *(cell(method["cells"].get(which)) for which in sets)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(told):
    if told is None or told["mean"] is None:
        return "-"
    interval = "" if told["ci95"] is None else " [{:.2f}, {:.2f}]".format(*told["ci95"])
    return f"{told['mean']:.3f}{interval}"


def plot(family, results, sets, path):
    """Bars in groups, one group for each set, with the interval over training seeds."""
    from hf_icrl.plots import INK, MUTED, figure_png, new_figure

    inches = max(10.5, 1.3 * len(sets) + 3.6)
    figure, axes = new_figure(inches, 4.8)
    figure.subplots_adjust(left=0.75 / inches, right=1 - 2.85 / inches, top=0.88, bottom=0.13)
    width = 0.86 / len(results)
    for number, (name, method) in enumerate(results.items()):
        colour, hatch = COLOURS[number % len(COLOURS)], HATCHES[number // len(COLOURS) % len(HATCHES)]
        told = [(at, method["cells"][which]) for at, which in enumerate(sets) if which in method["cells"]]
        told = [(at, value) for at, value in told if value["mean"] is not None]
        places = [at + (number - (len(results) - 1) / 2) * width for at, _ in told]
        means = [value["mean"] for _, value in told]
        axes.bar(places, means, 0.92 * width, color=colour, hatch=hatch, edgecolor="white", linewidth=0.3, label=name)
        errors = [(x, m, v["ci95"][1] - m) for x, m, (_, v) in zip(places, means, told, strict=True) if v["ci95"]]
        if errors:
            x, y, error = zip(*errors, strict=True)
            axes.errorbar(x, y, yerr=error, fmt="none", ecolor=INK, elinewidth=0.9, capsize=1.5)
    marks = marks_of(family, results, sets)
    for at, (low, high) in enumerate(marks):
        for value, style in ((low, (0, (1.5, 2))), (high, (0, (6, 3)))):
            axes.plot([at - 0.46, at + 0.46], [value, value], color=MUTED, linewidth=1.1, linestyle=style, zorder=3)
    cells = [method["cells"][which] for method in results.values() for which in method["cells"]]
    tops = [cell["ci95"][1] if cell["ci95"] else cell["mean"] for cell in cells if cell["mean"] is not None]
    axes.set_ylim(-0.1, max(1.1, 1.04 * max(tops, default=0)))
    axes.set_xticks(range(len(sets)), ["\n".join(which.rsplit("_", 1)) for which in sets], fontsize=9)
    what = "success, last episodes" if family == "words" else "normalised regret"
    axes.set_ylabel(what, color=INK, fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5), labelcolor=INK)
    left, seeds = 0.75 / inches, max(len(method["runs"]) for method in results.values())
    intervals = (
        f"  ·  bars: mean and 95 % interval over {seeds} training seeds" if seeds > 1 else "  ·  one training seed"
    )
    figure.text(left, 0.95, f"Headless-AD, {family}", fontsize=13, fontweight="bold", color=INK)
    figure.text(left, 0.91, f"dashed: the source  ·  dotted: random actions{intervals}", fontsize=9.5, color=MUTED)
    with atomic_file(path, "wb") as file:
        file.write(figure_png(figure))


def marks_of(family, results, sets):
    """(random, source) of each set on the scale of the cells."""
    marks = []
    for which in sets:
        found = next(
            m["runs"][seed]["sets"][which] for m in results.values() for seed in m["runs"] if which in m["cells"]
        )
        marks.append((found["random"], found["source"]) if family == "words" else (0.0, 1.0))
    return marks


def add_cells(method):
    """Fill in the means over training seeds."""
    runs = method["runs"].values()
    names = dict.fromkeys(which for r in runs for which in r["sets"])
    method["cells"] = {
        which: seeds_interval([r["sets"][which]["score"] for r in runs if which in r["sets"]]) for which in names
    }
    seconds = seeds_interval([r["train seconds"] for r in runs])
    method["train seconds"] = seconds["mean"]


def stored(family, args):
    """The methods in the family's file: name -> what was found; empty where there is none yet."""
    path = args.data_dir / f"{stem(family, args)}.json"
    found = json.loads(path.read_text())["methods"] if path.is_file() else {}
    return {name: found[name] for name in METHODS[family] if name in found}


def publish(family, name, found, args):
    """Write what was found of one method beside the others, read anew: other processes may add to the file, too."""
    results = stored(family, args) | {name: found}
    results = {known: results[known] for known in METHODS[family] if known in results}
    args.data_dir.mkdir(parents=True, exist_ok=True)
    content = {"family": family, "methods": results}
    with atomic_file(args.data_dir / f"{stem(family, args)}.json") as file:
        file.write(json.dumps(content, indent=1, allow_nan=False) + "\n")
    plot(family, results, sets_of(results), args.data_dir / f"{stem(family, args)}.png")


def sets_of(results):
    """All sets, in the order of the first method's recipe."""
    return list(dict.fromkeys(which for method in results.values() for which in method["cells"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--methods", nargs="+", help="names of METHODS (default: all of each family)")
    parser.add_argument("--train_seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--temperatures", type=float, nargs="+", default=TEMPERATURES)
    parser.add_argument("--small", action="store_true", help="2 layers of width 64, 1000 steps of 16 windows")
    parser.add_argument("--steps", type=int, help="train.max_steps, instead of the recipes'")
    parser.add_argument("--overrides", default="", help='of every recipe, such as "--collect.num_proc 4"')
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--data_dir", type=Path, default=DATA, help="where the results and pictures go")
    args = parser.parse_args()
    known = {name for family in args.families for name in METHODS[family]}
    unknown = set(args.methods or ()) - known
    if unknown:
        parser.error(f"no method {sorted(unknown)}; there are {', '.join(sorted(known))}")
    for family in args.families:
        for name, method in METHODS[family].items():
            if args.methods and name not in args.methods:
                continue
            how = {
                "recipe": method.recipe,
                "overrides": method.overrides,
                "more": args.overrides,
                "steps": args.steps,
                "small": args.small,
            }
            how |= {"temperatures": list(args.temperatures), "digest": digest(load(method, args))}
            found = stored(family, args).get(name, {})
            # Runs of other settings are no further seeds of these.
            found = found if found.get("how") == how else {"how": how, "runs": {}}
            found["command"] = shlex.join(["python", *sys.argv])
            for seed, what in run(family, name, method, args):
                found["runs"][str(seed)] = what
                add_cells(found)
                publish(family, name, found, args)
        results = stored(family, args)
        print(f"\n{family}\n\n{table(results, sets_of(results))}\n", flush=True)


if __name__ == "__main__":
    main()
