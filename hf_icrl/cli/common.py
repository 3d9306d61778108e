"""What several verbs share: the run folder, the recipe flags, talking to the person in front of the terminal."""

import os
from dataclasses import dataclass
from pathlib import Path

from hf_icrl.cli.recipe import Recipe


@dataclass
class RunFolder:
    """Where the parts of one run lie. Every verb of one recipe shares one folder."""

    root: Path

    def __post_init__(self):
        self.root = Path(self.root)

    @property
    def dataset(self):
        return self.root / "dataset"

    @property
    def checkpoints(self):
        return self.root / "checkpoints"

    @property
    def model(self):
        return self.root / "model"


def add_recipe_arguments(parser, required=True):
    """`--config` and `--output_dir`, the same for every verb that works from a recipe."""
    parser.add_argument(
        "--config", required=required, metavar="RECIPE", help="a recipe: a .yaml file, or the name of a shipped one"
    )
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        help="the run's folder: dataset/, checkpoints/ and model/ lie in it (default: runs/<name of the recipe>)",
    )


def load_recipe(args):
    """(recipe, run folder) from the arguments of `add_recipe_arguments`; the whole recipe is checked."""
    recipe = Recipe.load(args.config, args.overrides)
    recipe.check()
    root = args.output_dir or Path("runs") / Path(args.config).stem
    return recipe, RunFolder(root)


def is_main_process():
    """Under torchrun only the first process speaks."""
    return int(os.environ.get("RANK", "0")) == 0


def say(text=""):
    """Print a line at once, from the first process only."""
    if is_main_process():
        print(text, flush=True)


def family_of(recipe):
    """The recipe's task family and its (train, validation, held_out) tasks."""
    from hf_icrl.tasks import divide_tasks, task_family

    environment = recipe.environment
    family = task_family(environment.family, **environment.kwargs)
    tasks = divide_tasks(
        family,
        split_seed=environment.split_seed,
        held_out=environment.held_out,
        validation=environment.validation,
        population=environment.population,
    )
    return family, tasks


def minutes(seconds):
    """`75.3` -> `1 min 15 s`."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"
