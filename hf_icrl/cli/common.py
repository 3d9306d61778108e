"""What several verbs share: the run folder, the recipe flags, talking to the person in front of the terminal."""

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe
from hf_icrl.redaction import without_tokens


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


def add_recipe_arguments(parser, several=False):
    """`--config` and `--output_dir`, the same for every verb that works from a recipe, or from `several`."""
    parser.add_argument(
        "--config",
        required=True,
        metavar="RECIPE",
        nargs="+" if several else None,
        help="a recipe: a .yaml file, or the name of a shipped one" + "; several make a mixture" * several,
    )
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        help="the run's folder: dataset/, checkpoints/ and model/ lie in it (default: runs/<name of the recipe>)",
    )
    add_trust_argument(parser)
    if several:
        parser.add_argument(
            "--weights", nargs="+", type=float, metavar="W", help="of several recipes: shares of the training windows"
        )


def add_trust_argument(parser):
    """`--trust_remote_code`, for the verbs that make environments which a recipe names."""
    parser.add_argument(
        "--trust_remote_code",
        action="store_true",
        help='import the module of an environment that the recipe calls "module:Id-v0"; this runs its code',
    )


def trust_as_asked(args):
    """Let modules be imported, here and in the processes that this one starts, if `--trust_remote_code` was given."""
    if args.trust_remote_code:
        from hf_icrl.envs.gymnasium_variation import TRUST_VARIABLE

        os.environ[TRUST_VARIABLE] = "1"


def load_recipe(args):
    """(recipe, run folder) from the arguments of `add_recipe_arguments`; the whole recipe is checked."""
    trust_as_asked(args)
    configs = args.config if isinstance(args.config, list) else [args.config]
    weights = getattr(args, "weights", None)
    if weights and len(configs) == 1:
        raise UsageError(
            "--weights is for several recipes; in one with a section mixture its parts have their weights"
        )
    if weights and len(weights) != len(configs):
        raise UsageError(f"--weights has {len(weights)} numbers for {len(configs)} recipes; give one for each")
    recipe = Recipe.load(configs[0], args.overrides) if len(configs) == 1 else _mixture(configs, args)
    recipe.check()
    root = args.output_dir or Path("runs") / "-".join(Path(config).stem for config in configs)
    return recipe, RunFolder(root)


def _mixture(configs, args):
    """One recipe whose mixture has a part for each of `configs`; model and evaluation are those of the first."""
    weights = args.weights or [1.0] * len(configs)
    given = Recipe({}, "the command line")
    given.override(args.overrides)
    # What is said on the command line goes for every part.
    common = {name: given.values[name] for name in ("environment", "collect") if name in given.values}
    parts = [
        {"name": re.sub(r"\W", "_", Path(config).stem), "weight": weight, "recipe": Recipe.load(config), **common}
        for config, weight in zip(configs, weights, strict=True)
    ]
    first = Recipe.load(configs[0], args.overrides)
    mixture = given.values.get("mixture", {}) | {"parts": parts}  # such as --mixture.reconcile pad
    return Recipe(first.values | {"mixture": mixture}, " + ".join(configs))


def is_main_process():
    """Under torchrun only the first process speaks."""
    return int(os.environ.get("RANK", "0")) == 0


def say(text=""):
    """Print something at once, without access tokens, from the first process only."""
    if is_main_process():
        print(without_tokens(str(text)), flush=True)


def family_of(recipe):
    """The recipe's task family and its (train, validation, held_out) tasks."""
    from hf_icrl.tasks import family_of_section

    return family_of_section(asdict(recipe.environment))


def minutes(seconds):
    """`75.3` -> `1 min 15 s`."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"
