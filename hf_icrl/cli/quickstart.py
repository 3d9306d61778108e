"""From nothing to an agent that improves in context, on a laptop CPU, offline.

  hf-icrl quickstart
  hf-icrl quickstart --output_dir my_first_agent --seed 1

Collects learning histories on the train tasks of DarkRoom, trains Algorithm Distillation on them and rolls the frozen
model out on held-out tasks: the shipped recipe `quickstart`, step by step what `collect`, `train` and `evaluate` do
with it. Writes dataset/, model/, report.json, learning_curve.png, replay.mp4 and README.md (the model card).
Interrupted, it goes on where it was; in a finished folder it changes nothing unless --overwrite is given.
"""

import shutil
import time
from pathlib import Path

from hf_icrl.cli.common import RunFolder, minutes, say
from hf_icrl.cli.errors import UsageError

# What is shown at the top of the folder is also in model/, so that model/ alone is a whole Hub repository.
ARTEFACTS = ("report.json", "learning_curve.png", "replay.mp4", "README.md")
STATE_FILE = "quickstart.json"
_STATE = {
    "version": (str, None),
    "seed": int,
    "smoke": bool,
    "finished": bool,
    "clearing": bool,
    "seconds": {str: float},
    "recipe": {str: dict, "environment": {"family": str}},
}
SMOKE_NOTE = "A smoke run: seconds of training to see that every step works. Its figures mean nothing."

RESUMES = True
USAGE = "[--output_dir DIR] [--seed N] [--smoke] [--overwrite]"


def add_arguments(parser):
    parser.add_argument(
        "--output_dir", default="quickstart", metavar="DIR", help="where to write (default: quickstart)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the histories, the training and the rollouts"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="seconds instead of minutes, to see that everything works; learns nothing"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="start afresh, replacing what an earlier quickstart wrote here"
    )


def run(args):
    from hf_icrl.cli.collect import collect_histories
    from hf_icrl.cli.evaluate import evaluate_model
    from hf_icrl.cli.recipe import Recipe
    from hf_icrl.cli.train import train_model
    from hf_icrl.files import atomic_file, check_writable

    if not 0 <= args.seed < 2**32:  # what NumPy and torch both take
        raise UsageError(f"--seed is {args.seed}; it must be from 0 to {2**32 - 1}")
    folder = RunFolder(args.output_dir)
    # Before anything heavy is imported, so that one sees at once that something happens.
    say(f"quickstart{' (smoke: seconds, learns nothing)' if args.smoke else ''}, seed {args.seed}, in {folder.root}")
    recipe = Recipe.load("quickstart_smoke" if args.smoke else "quickstart")
    recipe.override([f"--{section}.seed={args.seed}" for section in ("collect", "train", "evaluate")])
    recipe.check()
    check_writable(folder.root)
    state = State.open(folder.root, recipe, seed=args.seed, smoke=args.smoke, overwrite=args.overwrite)
    if state.finished:
        say(f"{folder.root} holds a finished quickstart; nothing was changed (start afresh with --overwrite)\n")
        _show(folder, state)
        return

    environment = recipe.environment
    say(f"\n[1/3] learning histories on the train tasks of {environment.family}")
    with state.timed("collect"):
        collect_histories(recipe, folder.dataset, args.command)
    say("\n[2/3] training")
    with state.timed("train"):
        train_model(recipe, folder.dataset, folder, args.command)
    say(f"\n[3/3] rolling out on {recipe.evaluate.evaluation_set.replace('_', '-')} tasks, weights frozen")
    with state.timed("evaluate"):
        if not all((folder.model / name).is_file() for name in ARTEFACTS):  # else only the copies below are missing
            evaluate_model(recipe, folder.model, folder.model, args.command, note=SMOKE_NOTE if args.smoke else None)
    for name in ARTEFACTS:
        with atomic_file(folder.root / name, "wb") as file:
            file.write((folder.model / name).read_bytes())
    state.finish()
    say()
    _show(folder, state)


class State:
    """`quickstart.json`: with which arguments the folder was begun, how long each step took, whether it is done."""

    def __init__(self, path, values):
        self.path = path
        self.values = values

    @classmethod
    def open(cls, root, recipe, *, seed, smoke, overwrite):
        """Begin or continue in `root`; refuses a folder of other arguments or one that is not ours."""
        from hf_icrl import __version__
        from hf_icrl.cli.same import check_same_recipe
        from hf_icrl.files import read_json, remove_temporaries
        from hf_icrl.shapes import check_shape

        root = Path(root)
        path = root / STATE_FILE
        remove_temporaries(root)  # of a run that was killed in mid-write
        if path.is_file():
            state = cls(path, read_json(path, dict))
            check_shape(state.values, _STATE, str(path))
            if not overwrite and not state.values["clearing"]:
                for name, new in (("--smoke", smoke), ("--seed", seed), ("version", __version__)):
                    old = state.values[name.lstrip("-")]
                    if old != new:
                        raise ValueError(
                            f"{root} was begun with {name} {old}, now it is {new}; use another --output_dir, or start "
                            "afresh here with --overwrite"
                        )
                check_same_recipe(state.values["recipe"], recipe.to_dict(), state.values["recipe"], root)
                return state
            # Said before the first file goes, so that a kill in the middle leaves no folder that claims to be whole.
            state.values.update(clearing=True, finished=False)
            state.write()
            _clear(root)
        elif any(root.iterdir()):
            raise ValueError(
                f"{root} is not empty and was not made by quickstart; choose an empty --output_dir so that nothing "
                "of yours is overwritten"
            )
        values = {
            "version": __version__,
            "seed": seed,
            "smoke": smoke,
            "finished": False,
            "clearing": False,
            "seconds": {},
            "recipe": recipe.to_dict(),
        }
        state = cls(path, values)
        state.write()
        return state

    @property
    def finished(self):
        return self.values["finished"]

    def timed(self, name):
        """Context manager: adds the seconds of a step, also of an interrupted one, to what it took before."""
        return _Timed(self, name)

    def finish(self):
        self.values["finished"] = True
        self.write()

    def write(self):
        from hf_icrl.files import write_json

        write_json(self.path, self.values)


class _Timed:
    def __init__(self, state, name):
        self.state = state
        self.name = name

    def __enter__(self):
        self.start = time.monotonic()

    def __exit__(self, *error):
        seconds = self.state.values["seconds"]
        seconds[self.name] = round(seconds.get(self.name, 0.0) + time.monotonic() - self.start, 1)
        # With the disk full, the error that is already under way is the one to show.
        if error[0] is None or not issubclass(error[0], OSError):
            self.state.write()


def _clear(root):
    """Remove what quickstart writes, and nothing else; the state file stays."""
    for name in ("dataset", "checkpoints", "model"):
        shutil.rmtree(root / name, ignore_errors=True)
    for name in ARTEFACTS:
        (root / name).unlink(missing_ok=True)


def _show(folder, state):
    from hf_icrl.rollouts import Report

    report = Report.from_file(folder.root / "report.json")
    seconds = state.values["seconds"]
    say(report.table())
    steps = ", ".join(f"{name} {minutes(value)}" for name, value in seconds.items())
    say(f"\nwall-clock: {minutes(sum(seconds.values()))} ({steps})")
    say(f"see {folder.root}/learning_curve.png, {folder.root}/replay.mp4 and {folder.root}/README.md")
    environment = state.values["recipe"]["environment"]
    say("\nLoad and use the model:\n")
    say("  import hf_icrl; from transformers import AutoModel")
    say(f'  model = AutoModel.from_pretrained("{folder.model}")')
    say(f'  print(hf_icrl.evaluate(model, "{environment["family"]}", episodes=40, seeds=1))')
