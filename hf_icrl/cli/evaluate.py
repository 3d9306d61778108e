"""Roll a model out on held-out tasks, weights frozen, and report how well it learns in context.

  hf-icrl evaluate --model runs/quickstart/model
  hf-icrl evaluate --model runs/quickstart/model --evaluate.episodes 200 --evaluate.seeds 20 --output_dir long_run

The environment, the held-out split and the settings come from the recipe.yaml in the model's folder. As that says,
the report (report.json, learning_curve.png, replay.mp4) and the model card README.md go into the model's folder; with
any other setting, --output_dir says where the other report goes, so that the model's own stays.

A recipe may list published evaluation sets of its environment, `evaluate.sets: [train, num_50]`; all are then rolled out
in one batch, the recipe's own held-out tasks with them, and each has a report in evaluations/<set>/. Beside them are
evaluation_sets.json and the pictures sets.png, regret.png (bandits) and success.png (episodes that succeed or fail). A list
may also name the recipe's own tasks: held_out, validation or train. Sets with another number of actions than the model can
act with are left out.
"""

import sys
from pathlib import Path

from hf_icrl.cli.common import add_trust_argument, family_of, say, trust_as_asked
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe
from hf_icrl.histories.info import INFO_FILENAME
from hf_icrl.model_folder import recipe_of, record_of

# The keys of the section evaluate that `evaluate` and `evaluate_sets` take as they are.
_OPTIONS = (
    "episodes",
    "seeds",
    "seed",
    "last_episodes",
    "temperature",
    "overflow",
    "refill_keep",
    "act_with_dropout",
)

TAKES_OVERRIDES = True
USAGE = "--model PATH_OR_ID [--config RECIPE] [--output_dir DIR] [--section.key VALUE ...]"


def add_arguments(parser):
    parser.add_argument("--model", required=True, metavar="PATH_OR_ID", help="a model folder or a Hub model id")
    parser.add_argument("--config", metavar="RECIPE", help="a recipe (default: the recipe.yaml of the model)")
    parser.add_argument(
        "--output_dir", metavar="DIR", help="where the report goes (default: the model's folder, if it is local)"
    )
    add_trust_argument(parser)


def run(args):
    trust_as_asked(args)
    _check_is_a_model(Path(args.model))
    if not args.output_dir and not Path(args.model).is_dir():
        raise UsageError(
            f"there is no folder {args.model}; if it is a model on the Hub, say with --output_dir where the report goes"
        )
    if not args.output_dir and (args.config or args.overrides):
        raise UsageError(
            "with other settings than the model's own recipe, say with --output_dir where the report goes, so that "
            f"the report in {args.model} is not replaced"
        )
    _check_sections(args.overrides)
    recipe = _recipe_of(args)
    if "family" not in recipe.values.get("environment", {}):
        raise UsageError(
            f"{recipe.origin} does not say where to act (it has no environment.family): give another recipe with "
            "--config, or --environment.family and what goes with it"
        )
    recipe.check()
    folder = Path(args.output_dir or args.model)
    evaluation = evaluate_model(recipe, args.model, folder, args.command)
    say(evaluation.table())
    say(f"wrote the report{'s' * isinstance(evaluation, dict)} to {folder}")


def _check_sections(overrides):
    """What the model is and how it was trained is given: an override of it would change nothing, silently."""
    given = Recipe({}, "the command line")
    given.override(overrides)
    for section in ("model", "train"):
        for key in given.values.get(section, {}):
            instead = f": say --evaluate.{key}" if key in _OPTIONS else ", so leave it out"
            raise UsageError(f"--{section}.{key} says how a model is made, and this one is trained already{instead}")


def evaluate_model(recipe, model_path, output_dir, command, note=None):
    """Evaluate as the recipe says and write the report, or those of all sets, into `output_dir`.

    The model's card is written too if `output_dir` is the model's folder. `note` is a sentence that reports and card then
    carry.

    Returns:
        [`Report`] or, if the recipe names sets, [`SetReports`].
    """
    from hf_icrl.files import check_writable
    from hf_icrl.model_cards import check_model_card_place, write_model_card

    section = recipe.evaluate
    family, tasks = family_of(recipe)
    name = section.evaluation_set
    if not tasks[name] and not section.sets:
        raise ValueError(f"the recipe has no {name} tasks (environment.{name} is 0)")
    sets = _sets_of(section, family, tasks)
    is_model_folder = Path(model_path).resolve() == output_dir.resolve()
    model = _load(model_path)
    check_writable(output_dir)
    if is_model_folder:
        check_model_card_place(output_dir)
    dataset = Path(model_path).parent / "dataset"
    options = {
        **{key: getattr(section, key) for key in _OPTIONS},
        "dataset": str(dataset) if (dataset / INFO_FILENAME).is_file() else None,
        "command": command,
        "progress": True,
    }
    run = _evaluate_sets if section.sets else _evaluate
    evaluation, report = run(recipe, model, sets, options)
    for one in evaluation.values() if section.sets else [report]:
        if note:
            one.values["note"] = note
    evaluation.save(output_dir)
    if section.sets and report is not None:
        report.save(output_dir)
    if is_model_folder:
        write_model_card(output_dir, report=report, recipe=recipe.to_dict(), dataset_info=record_of(model_path))
    return evaluation


def _sets_of(section, family, tasks):
    """What is evaluated: set name -> (family, tasks), the recipe's own evaluation set last and in full, if it has tasks."""
    sets = {}
    for name in section.sets:
        # The recipe's own tasks, unless a published set is called so.
        if name in tasks and name not in family.evaluation_sets:
            if not tasks[name]:
                raise ValueError(f"evaluate.sets names {name!r}, but the recipe has no {name} tasks")
            sets[name] = family, tasks[name][: section.tasks_per_set]
        else:
            sets[name] = family.evaluation_set(
                name,
                num=section.tasks_per_set,
                seed=section.seed,
                train=tasks["train"],
                held_out=tasks["held_out"],
            )
    if tasks[section.evaluation_set]:
        sets[section.evaluation_set] = family, tasks[section.evaluation_set]
    return sets


def _evaluate(recipe, model, sets, options):
    """`(report, report)` of the one set."""
    from hf_icrl import evaluate
    from hf_icrl.cli.references import source_references

    ((name, (family, tasks)),) = sets.items()
    _say_size(f"{len(tasks)} {name.replace('_', '-')} tasks", sets, options)
    reference = source_references(recipe, sets).get(name)
    report = evaluate(model, family, tasks, evaluation_set=name, reference=reference, **options)
    return report, report


def _evaluate_sets(recipe, model, sets, options):
    """`(reports of all sets, the one of the recipe's own evaluation set or None)`."""
    from hf_icrl import evaluate_sets
    from hf_icrl.cli.references import source_references
    from hf_icrl.rollouts.evaluation_sets import runnable_sets

    # One of those that are named must be left, not only the recipe's own.
    runnable_sets({name: sets[name] for name in recipe.evaluate.sets}, model.config)
    runnable, skipped = runnable_sets(sets, model.config)
    for name, reason in skipped.items():
        say(f"skipped {name}: {reason}")
    num_tasks = sum(len(tasks) for _, tasks in runnable.values())
    _say_size(f"{len(runnable)} evaluation sets, {num_tasks} tasks in all", runnable, options)
    references, max_rows = source_references(recipe, runnable), recipe.evaluate.max_rows
    reports = evaluate_sets(model, sets, references=references, max_rows=max_rows, **options)
    return reports, reports.get(recipe.evaluate.evaluation_set)


def _say_size(what, sets, options):
    """How much there is to do, before it is done."""
    seeds, episodes = options["seeds"], options["episodes"]
    steps = sum(len(tasks) * family.horizon for family, tasks in sets.values()) * seeds * episodes
    say(
        f"{what} x {seeds} seed{'s' * (seeds != 1)}, {episodes} episode{'s' * (episodes != 1)} in one context: at most "
        f"{steps:,} environment steps"
    )


def _check_is_a_model(folder):
    """Other folders of ours are named for what they are."""
    if not folder.is_dir() or (folder / "config.json").is_file():
        return
    if (folder / "model" / "config.json").is_file():
        raise ValueError(f"{folder} is a run folder; its model is {folder / 'model'}")
    if (folder / INFO_FILENAME).is_file():
        raise ValueError(f"{folder} holds learning histories, not a model")
    raise FileNotFoundError(
        f"{folder} holds no config.json, so nothing says what model its weights belong to; name the folder that "
        "`hf-icrl train` or `save_pretrained` wrote"
    )


def _load(model_path):
    import torch

    from hf_icrl.model_folder import load_model
    from hf_icrl.quiet import progress_bars

    with progress_bars(sys.stderr.isatty()):
        model = load_model(model_path)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _recipe_of(args):
    if args.config:
        return Recipe.load(args.config, args.overrides)
    text, origin = recipe_of(args.model)
    if text is None:
        raise UsageError(f"{origin} does not exist: say with --config which tasks to evaluate on")
    return Recipe.from_text(text, origin=origin, overrides=args.overrides)
