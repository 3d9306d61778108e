"""Train a sequence model on windows of learning histories.

  hf-icrl train --config quickstart --output_dir runs/quickstart
  hf-icrl train --config my_recipe.yaml --dataset my_histories --train.learning_rate 1e-3
  hf-icrl train --config one.yaml two.yaml --weights 2 1 --output_dir runs/both
  torchrun --standalone --nproc_per_node 2 -m hf_icrl train --config quickstart --output_dir runs/quickstart

Reads DIR/dataset, writes DIR/checkpoints while it trains and DIR/model when it is done. Interrupted, it goes on from
the newest whole checkpoint and ends with the same bits as an uninterrupted run. Several recipes are the mixture that
`hf-icrl collect` made of them; model, training and evaluation are those of the first. For imported histories
(--dataset) give a recipe without the sections collect and mixture; its section environment, if any, says where to act.
"""

import os
import shutil
from contextlib import nullcontext
from pathlib import Path

from hf_icrl.cli.common import add_recipe_arguments, family_of, load_recipe, minutes, say
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.same import check_same_histories, check_same_recipe
from hf_icrl.model_folder import RECIPE_FILE

TAKES_OVERRIDES = True
RESUMES = True
USAGE = (
    "--config RECIPE [RECIPE ...] [--weights W ...] [--output_dir DIR] [--dataset DIR_OR_ID] [--section.key VALUE ...]"
)


def add_arguments(parser):
    add_recipe_arguments(parser, several=True)
    parser.add_argument(
        "--dataset",
        metavar="DIR_OR_ID",
        help="the learning histories, here or on the Hub (default: OUTPUT_DIR/dataset)",
    )
    parser.add_argument(
        "--dataset_config", metavar="NAME", help="which of several histories in one repository of the Hub"
    )


def run(args):
    recipe, folder = load_recipe(args)
    train_model(recipe, args.dataset or folder.dataset, folder, args.command, args.dataset_config)


def train_model(recipe, dataset, folder, command, config_name=None):
    """Train what the recipe says on the histories `dataset`, a folder or a Hub id (see `load_parts`); returns nothing, writes `folder.model`.

    A finished `folder.model` of the same recipe and histories is left as it is; of others, it is an error.
    """
    from hf_icrl.files import locked
    from hf_icrl.histories import load_parts

    parts, info = load_parts(dataset, config_name)
    check_same_histories(recipe, parts, dataset)
    # Only imported data may be of an environment that no recipe names; then nothing is rolled out.
    family, tasks = family_of(recipe) if "environment" in recipe.values else (None, {"validation": []})
    if _already_trained(recipe, folder.model):
        say(f"{folder.model} is trained already; nothing to do")
        return
    trainer = _make_trainer(recipe, parts, (str(dataset), info), family, tasks["validation"], folder)
    with locked(folder.checkpoints, "training in") if trainer.is_world_process_zero() else nullcontext():
        _train(trainer)
        _publish(trainer, recipe, info, folder.model, command, None if Path(dataset).exists() else str(dataset))


def _make_trainer(recipe, parts, trained_on, family, validation, folder):
    from hf_icrl import ICRLTrainer
    from hf_icrl.files import check_writable

    config_class, model_class = recipe.model_classes()
    section, values = recipe.train, recipe.model
    del values["method"]
    info = trained_on[1]
    # Models of a padded mixture act in the environments of all its parts.
    values.setdefault("padded_spaces", info.get("reconcile") == "pad")
    config = config_class(observation_space=info["observation_space"], action_space=info["action_space"], **values)
    if "max_steps" not in section:
        raise UsageError(f"{recipe.origin}: train.max_steps is missing: it says how many optimiser steps to train")
    if config.reads_action_sets:
        _check_action_sets(parts)
    arguments = recipe.training_arguments_class()(output_dir=str(folder.checkpoints), **section)
    windows = _windows(
        parts,
        num_windows=arguments.num_windows_for_max_steps(),
        seed=arguments.seed,
        weighting=None if arguments.loss_weighting == "none" else arguments.loss_weighting,
        **config.window_options,
    )
    check_writable(folder.checkpoints)
    return ICRLTrainer(
        model_init=lambda: model_class(config),
        args=arguments,
        train_dataset=windows,
        eval_family=family if validation else None,
        eval_tasks=validation or None,
        trained_on=trained_on,
    )


def _check_action_sets(parts):
    """Histories that were collected before there was a column for it do not say which actions their tasks lack.

    Raises:
        ValueError: there is no such column, and a task does lack some.
    """
    from hf_icrl.histories.schema import ACTION_SETS
    from hf_icrl.tasks import task_family

    for part in parts:
        # Of imported data nobody knows better.
        if ACTION_SETS in part.dataset.column_names or part.info["family"] is None:
            continue
        family, tasks = task_family(part.info["family"], **part.info["env_kwargs"]), part.info["tasks"]["train"]
        sets = family.available_actions(tasks)
        if sets is None or sets.all():
            continue
        lacking = int((~sets).any(axis=1).argmax())
        raise ValueError(
            f"the histories{f' of the part {part.name!r}' if part.name else ''} have no column {ACTION_SETS!r}, but tasks of "
            f"{family.name!r} lack actions: the task {lacking} has {int(sets[lacking].sum())} of {sets.shape[1]}. A model that "
            "reads action sets would take the others for there: they are of an earlier version; collect them again"
        )


def _windows(parts, num_actions, **options):
    from hf_icrl import HistoryWindows, MixtureWindows

    own = None
    if num_actions is not None:
        options["num_actions"] = num_actions
        own = [part.info["action_space"]["n"] for part in parts]
    if len(parts) == 1:
        return HistoryWindows(parts[0].dataset, own_actions=own and own[0], **options)
    datasets, weights = [part.dataset for part in parts], [part.weight for part in parts]
    return MixtureWindows(datasets, weights, own_actions=own, **options)


def _train(trainer):
    from hf_icrl.cli.progress import speak_plainly

    progress = speak_plainly(trainer)
    model, windows = trainer.model, trainer.train_dataset
    say(
        f"training {type(model).__name__} ({sum(p.numel() for p in model.parameters()):,} parameters) for "
        f"{trainer.args.max_steps} steps on {len(windows):,} windows of {windows.length} environment steps"
    )
    output = trainer.train(resume_from_checkpoint=True)
    if progress.first_step < trainer.args.max_steps:
        say(f"trained in {minutes(output.metrics['train_runtime'])}, mean loss {output.metrics['train_loss']:.3f}")


def _already_trained(recipe, model_dir):
    from hf_icrl.cli.recipe import Recipe

    path = model_dir / RECIPE_FILE
    if not path.is_file():
        if model_dir.exists() and any(model_dir.iterdir()):
            raise ValueError(
                f"{model_dir} holds files but no {RECIPE_FILE}, so it was not made by hf-icrl train; choose another "
                "--output_dir or move it away"
            )
        return False
    old = Recipe.load(path).to_dict()
    check_same_recipe(old, recipe.to_dict(), ("environment", "collect", "mixture", "model", "train"), path)
    return True


def _publish(trainer, recipe, info, model_dir, command, dataset_id):
    """The finished model, whole or not at all: weights, config, code, recipe, card, and what it was trained on.

    Every process takes part, because gathering sharded weights needs them all; the first one writes.
    """
    from hf_icrl.files import sync_folder
    from hf_icrl.model_cards import write_model_card

    writes = trainer.is_world_process_zero()
    staging = model_dir.with_name(f"_partial-{model_dir.name}")
    if writes:
        shutil.rmtree(staging, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(staging))
    report = trainer.in_context_report(trainer.eval_tasks, "validation") if trainer.eval_tasks else None
    if not writes:
        return
    (staging / RECIPE_FILE).write_text(recipe.to_yaml(), encoding="utf-8")
    if report is not None:
        report.values.update(model=str(model_dir), command=command)
        report.save(staging / "evaluations" / "validation")
        say(f"on the validation tasks: {_summary(report)}")
    write_model_card(
        staging, recipe=recipe.to_dict(), dataset_info=info, model_id=str(model_dir), dataset_id=dataset_id
    )
    sync_folder(staging)
    os.replace(staging, model_dir)  # model_dir is not there, or an empty folder
    say(f"saved {model_dir}")


def _summary(report):
    normalized = report["normalized_return"]
    if normalized is None:
        return f"return {report['last_episodes_return']:.2f} over the last {report['last_episodes']} episodes"
    return f"normalised return {normalized['mean']:.3f}, worst task {normalized['worst']:.3f}"
