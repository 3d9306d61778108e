"""Train a sequence model on windows of learning histories.

  hf-icrl train --config quickstart --output_dir runs/quickstart
  hf-icrl train --config my_recipe.yaml --dataset my_histories --train.learning_rate 1e-3
  torchrun --standalone --nproc_per_node 2 -m hf_icrl train --config quickstart --output_dir runs/quickstart

Reads DIR/dataset, writes DIR/checkpoints while it trains and DIR/model when it is done. Interrupted, it goes on from
the newest whole checkpoint and ends with the same bits as an uninterrupted run.
"""

from hf_icrl.cli.common import RECIPE_FILE, add_recipe_arguments, family_of, is_main_process, load_recipe, minutes, say
from hf_icrl.cli.errors import UsageError
from hf_icrl.naming import differences

TAKES_OVERRIDES = True
USAGE = "--config RECIPE [--output_dir DIR] [--dataset DIR] [--section.key VALUE ...]"


def add_arguments(parser):
    add_recipe_arguments(parser)
    parser.add_argument("--dataset", metavar="DIR", help="the learning histories (default: OUTPUT_DIR/dataset)")


def run(args):
    recipe, folder = load_recipe(args)
    train_model(recipe, args.dataset or folder.dataset, folder, args.command)


def train_model(recipe, dataset_dir, folder, command):
    """Train what the recipe says on the histories in `dataset_dir`; returns nothing, writes `folder.model`.

    A finished `folder.model` of the same recipe is left as it is; of another recipe, it is an error.
    """
    from hf_icrl import HistoryWindows, ICRLTrainer
    from hf_icrl.cli.progress import speak_plainly
    from hf_icrl.files import check_writable
    from hf_icrl.histories import load_histories

    config_class, model_class = recipe.model_classes()
    arguments_class = recipe.training_arguments_class()
    if _already_trained(recipe, folder.model):
        say(f"{folder.model} is trained already; nothing to do")
        return
    check_writable(folder.checkpoints)

    dataset, info = load_histories(dataset_dir)
    family, tasks = family_of(recipe)
    _check_same_tasks(recipe, family, tasks, dataset_dir, info)

    section = recipe.train
    values = recipe.model
    del values["method"]
    config = config_class(observation_space=info["observation_space"], action_space=info["action_space"], **values)
    length = section.pop("window_length", None) or config.context_length
    if "max_steps" not in section:
        raise UsageError(f"{recipe.origin}: train.max_steps is missing: it says how many optimiser steps to train")
    arguments = arguments_class(output_dir=str(folder.checkpoints), **section)
    windows = HistoryWindows(
        dataset, length=length, num_windows=arguments.num_windows_for_max_steps(), seed=arguments.seed
    )
    trainer = ICRLTrainer(
        model_init=lambda: model_class(config),
        args=arguments,
        train_dataset=windows,
        eval_family=family if tasks["validation"] else None,
        eval_tasks=tasks["validation"] or None,
    )
    speak_plainly(trainer)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    say(
        f"training {model_class.__name__} ({parameters:,} parameters) for {arguments.max_steps} steps on windows of "
        f"{length} steps from {len(dataset):,} episodes"
    )
    output = trainer.train(resume_from_checkpoint=True)
    say(f"trained in {minutes(output.metrics['train_runtime'])}, loss {output.metrics['train_loss']:.3f}")
    if tasks["validation"]:
        metrics = trainer.evaluate()
        say(
            f"on {len(tasks['validation'])} validation tasks: normalised return "
            f"{metrics['eval_normalized_return']:.3f}, worst task {metrics['eval_worst_task_return']:.3f}"
        )
    if is_main_process():
        _publish(trainer, recipe, info, folder.model)


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
    old = Recipe.from_text(path.read_text(encoding="utf-8"), origin=str(path)).to_dict()
    check_same_recipe(old, recipe.to_dict(), ("environment", "collect", "model", "train"), path)
    return True


def check_same_recipe(old, new, sections, where):
    """Raise `ValueError` naming the first value in which two recipes (plain dicts) differ."""
    for section in sections:
        for key, a, b in differences(old.get(section, {}), new.get(section, {}), f"{section}."):
            raise ValueError(
                f"{where} was made with {key} = {a!r}, now it is {b!r}; use the same value to go on, or another "
                "--output_dir to start afresh"
            )


def _check_same_tasks(recipe, family, tasks, dataset_dir, info):
    """The histories must come from the recipe's environment and split, or held-out tasks could leak into training."""
    expected = {"family": family.name, "env_id": family.env_id, "env_kwargs": family.env_kwargs}
    found = {name: info.get(name) for name in expected}
    for name in ("train", "validation", "held_out"):
        expected[f"{name} tasks"], found[f"{name} tasks"] = tasks[name], info.get("tasks", {}).get(name)
    for name, value in expected.items():
        if found[name] != value:
            raise ValueError(
                f"{dataset_dir} was collected with {name} {_short(found[name])}, the recipe {recipe.origin} says "
                f"{_short(value)}; collect again with this recipe or train with the recipe of the histories"
            )


def _short(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(value)} entries)"


def _publish(trainer, recipe, info, model_dir):
    """The finished model, whole or not at all: weights, config, code, the recipe, and what it was trained on."""
    from hf_icrl.files import atomic_folder
    from hf_icrl.histories import write_info

    with atomic_folder(model_dir) as temporary:
        trainer.save_model(str(temporary))
        (temporary / RECIPE_FILE).write_text(recipe.to_yaml(), encoding="utf-8")
        write_info(temporary, info)
    say(f"saved {model_dir}")
