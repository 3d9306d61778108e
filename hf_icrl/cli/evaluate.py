"""Roll a model out on held-out tasks, weights frozen, and report how well it learns in context.

  hf-icrl evaluate --model runs/quickstart/model
  hf-icrl evaluate --model runs/quickstart/model --evaluate.episodes 200 --evaluate.seeds 20 --output_dir long_run

The environment, the held-out split and the settings come from the recipe.yaml in the model's folder. As that says,
the report (report.json, learning_curve.png, replay.mp4) and the model card README.md go into the model's folder; with
any other setting, --output_dir says where the other report goes, so that the model's own stays.
"""

import sys
from pathlib import Path

from hf_icrl.cli.common import family_of, say
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe
from hf_icrl.histories.info import INFO_FILENAME
from hf_icrl.model_folder import recipe_of, record_of

TAKES_OVERRIDES = True
USAGE = "--model PATH_OR_ID [--config RECIPE] [--output_dir DIR] [--section.key VALUE ...]"


def add_arguments(parser):
    parser.add_argument("--model", required=True, metavar="PATH_OR_ID", help="a model folder or a Hub model id")
    parser.add_argument("--config", metavar="RECIPE", help="a recipe (default: the recipe.yaml of the model)")
    parser.add_argument(
        "--output_dir", metavar="DIR", help="where the report goes (default: the model's folder, if it is local)"
    )


def run(args):
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
    recipe = _recipe_of(args)
    if "family" not in recipe.values.get("environment", {}):
        raise UsageError(
            f"{recipe.origin} does not say where to act (it has no environment.family): give another recipe with "
            "--config, or --environment.family and what goes with it"
        )
    recipe.check()
    report = evaluate_model(recipe, args.model, Path(args.output_dir or args.model), args.command)
    say(report.table())
    say(f"wrote the report to {args.output_dir or args.model}")


def evaluate_model(recipe, model_path, output_dir, command, note=None):
    """Evaluate as the recipe says and write the report into `output_dir`; returns the `Report`.

    The model's card is written too if `output_dir` is the model's folder. `note` is a sentence that report and card
    then carry.
    """
    from hf_icrl import evaluate
    from hf_icrl.files import check_writable
    from hf_icrl.model_cards import check_model_card_place, write_model_card

    section = recipe.evaluate
    family, tasks = family_of(recipe)
    name = section.evaluation_set
    if name not in tasks:
        raise UsageError(f"evaluate.evaluation_set is {name!r}; it must be one of {', '.join(tasks)}")
    if not tasks[name]:
        raise ValueError(f"the recipe has no {name} tasks (environment.{name} is 0)")
    is_model_folder = Path(model_path).resolve() == output_dir.resolve()
    model = _load(model_path)
    check_writable(output_dir)
    if is_model_folder:
        check_model_card_place(output_dir)
    steps = len(tasks[name]) * section.seeds * section.episodes * family.horizon
    say(
        f"{len(tasks[name])} {name.replace('_', '-')} tasks x {section.seeds} "
        f"seed{'s' * (section.seeds != 1)}, {section.episodes} episode{'s' * (section.episodes != 1)} in one context: at most {steps:,} environment steps"
    )
    dataset = Path(model_path).parent / "dataset"
    report = evaluate(
        model,
        family,
        tasks[name],
        episodes=section.episodes,
        seeds=section.seeds,
        seed=section.seed,
        last_episodes=section.last_episodes,
        temperature=section.temperature,
        overflow=section.overflow,
        refill_keep=section.refill_keep,
        evaluation_set=name,
        dataset=str(dataset) if (dataset / INFO_FILENAME).is_file() else None,
        command=command,
        progress=True,
    )
    if note:
        report.values["note"] = note
    report.save(output_dir)
    if is_model_folder:
        write_model_card(output_dir, report=report, recipe=recipe.to_dict(), dataset_info=record_of(model_path))
    return report


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
    from safetensors import SafetensorError
    from transformers import AutoModel

    from hf_icrl.quiet import progress_bars

    try:
        with progress_bars(sys.stderr.isatty()):
            return AutoModel.from_pretrained(str(model_path))
    except SafetensorError as error:
        raise ValueError(
            f"the weights in {model_path} are torn or no safetensors ({error}); fetch or train the model again"
        ) from error


def _recipe_of(args):
    if args.config:
        return Recipe.load(args.config, args.overrides)
    text, origin = recipe_of(args.model)
    if text is None:
        raise UsageError(f"{origin} does not exist: say with --config which tasks to evaluate on")
    return Recipe.from_text(text, origin=origin, overrides=args.overrides)
