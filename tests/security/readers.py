"""Everything of ours that reads a file: which file, how it is mutated, and how it is read."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hf_icrl
from hf_icrl.cli.common import family_of
from hf_icrl.cli.describe import _dataset_rows, _model_rows
from hf_icrl.cli.import_ import _space
from hf_icrl.cli.quickstart import State
from hf_icrl.cli.recipe import Recipe
from hf_icrl.dataset_builders import Collection, import_minari, import_parquet
from hf_icrl.dataset_builders.mixing import _check_begun
from hf_icrl.dataset_builders.shards import read_request
from hf_icrl.histories import load_parts, read_info, validate_histories
from hf_icrl.model_cards import check_model_card_place, write_dataset_card, write_model_card
from hf_icrl.model_folder import count_parameters, load_config, load_model, recipe_of, record_of
from hf_icrl.rollouts import Report, load_state
from hf_icrl.rollouts.which_tasks import _origins
from hf_icrl.trainers.checkpoints import checkpoint_fault, last_whole_checkpoint, read_manifest
from hf_icrl.trainers.run_identity import check_same_run


@dataclass(frozen=True)
class Reader:
    """One file in one folder of the samples, and what reads it.

    Attributes:
        name: of the reader.
        path: the file that is mutated, in the samples.
        kind: of the file, see `security.formats`: how its values are mutated, beside its bytes.
        read: function of (the sample's folder, the samples).
        cost: about how much longer it takes than the fastest: it gets so many fewer inputs.
        foreign: another library (transformers, Minari) says some of what is wrong itself.
    """

    name: str
    path: str
    kind: str
    read: Callable
    cost: int = 1
    foreign: bool = False


def describe_data(folder, samples):
    for _, value in _dataset_rows(folder):
        str(value)


def rows(folder, samples):
    for part in load_parts(folder)[0]:
        validate_histories(part.dataset)
        windows = hf_icrl.HistoryWindows(part.dataset, length=2, num_windows=4)
        windows.__getitems__([0, 1, 2, 3])


def dataset_card(folder, samples):
    target = folder.parent / "written"
    target.mkdir(exist_ok=True)
    for path in target.iterdir():
        path.unlink()
    shutil.copy(folder / "dataset_info.json", target)
    write_dataset_card(target, read_info(folder))


def report(folder, samples):
    found = Report.from_file(folder)
    found.table()
    found.title()


def report_pictures(folder, samples):
    found = Report.from_file(folder)
    found.curve()
    found._repr_html_()


def model_card(folder, samples):
    found = Report.from_file(folder) if (folder / "report.json").is_file() else None
    write_model_card(folder, report=found, recipe=None)


def recipe(folder, samples):
    found = Recipe.load(next(folder.glob("*.yaml")) if folder.name != "recipes" else folder / "mixture.yaml")
    found.check()
    found.to_yaml()


def recipe_tasks(folder, samples):
    found = Recipe.from_text(*recipe_of(folder))
    found.check()
    family_of(found)


def origins(folder, samples):
    (folder / "history_info.json").unlink(missing_ok=True)
    _origins(str(folder))


def origins_of_record(folder, samples):
    (folder / "config.json").write_text("{}")
    for origin in _origins(str(folder)):
        origin.tasks["train"], origin.tasks["held_out"]
    record_of(folder)


def overrides(folder, samples):
    words = (folder / "overrides.json").read_text(encoding="utf-8", errors="surrogateescape")
    try:
        words = json.loads(words)
    except (ValueError, RecursionError):
        words = words.split()
    words = [str(word) for word in words] if isinstance(words, list) else [str(words)]
    Recipe.from_text("evaluate: {episodes: 2}", "r.yaml", overrides=words).check()


def space_option(folder, samples):
    text = (folder / "space.yaml").read_text(encoding="utf-8", errors="surrogateescape")
    hf_icrl.histories.spec_to_space(_space("action_space", text))


def state(folder, samples):
    load_state(folder, samples.model)


def checkpoint(folder, samples):
    fault = checkpoint_fault(folder)
    last_whole_checkpoint(folder.parent)
    assert fault is None or isinstance(fault, str)
    manifest = read_manifest(folder)
    if manifest is not None and fault is None:
        check_same_run(manifest["run"], samples.run, "the checkpoint", exact=True)


def plain_checkpoint(folder, samples):
    (folder / "checkpoint_manifest.json").unlink(missing_ok=True)
    fault = checkpoint_fault(folder)
    assert fault is None or isinstance(fault, str)


def quickstart(folder, samples):
    State.open(folder, samples.recipe, seed=0, smoke=True, overwrite=False)


def parquet(folder, samples):
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        import_parquet(folder, Path(out) / "out", progress=False)


def minari(folder, samples):
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        import_minari(folder, Path(out) / "out", progress=False)


READERS = [
    Reader("history_info.json", "dataset/history_info.json", "json", lambda f, s: read_info(f)),
    Reader("history_info.json, described", "dataset/history_info.json", "json", describe_data, cost=2),
    Reader("history_info.json of a mixture", "mixture/history_info.json", "json", lambda f, s: read_info(f)),
    Reader("history_info.json of a mixture, described", "mixture/history_info.json", "json", describe_data, cost=3),
    Reader("history_info.json, collection", "dataset/history_info.json", "json", lambda f, s: str(Collection(f))),
    Reader("history_info.json, card", "dataset/history_info.json", "json", dataset_card, cost=4),
    Reader("history_info.json, tasks", "dataset/history_info.json", "json", origins_of_record, cost=2),
    Reader("collection.json", "dataset/collection.json", "json", lambda f, s: read_request(f)),
    Reader("collection.json of a mixture", "mixture/collection.json", "json", lambda f, s: _check_begun(f, s.mixture)),
    Reader("state.json", "dataset/state.json", "json", rows, cost=2),
    Reader("dataset_info.json", "dataset/dataset_info.json", "json", rows, cost=2),
    Reader("dataset_info.json, card", "dataset/dataset_info.json", "json", dataset_card, cost=6),
    Reader("rows (Arrow)", "dataset/data-00000-of-00001.arrow", "arrow", rows, cost=4),
    Reader("report.json", "model/report.json", "json", report),
    Reader("report.json of a bandit", "bandit/report.json", "json", report),
    Reader("report.json, pictures", "bandit/report.json", "json", report_pictures, cost=40),
    Reader("report.json, card", "model/report.json", "json", model_card, cost=7),
    Reader("evaluation_sets.json, card", "model/evaluation_sets.json", "json", model_card, cost=9),
    Reader("config.json, card", "model/config.json", "json", model_card, cost=10),
    Reader("README.md", "model/README.md", "bytes", lambda f, s: check_model_card_place(f), cost=2),
    Reader("config.json", "model/config.json", "json", lambda f, s: load_config(f), cost=8, foreign=True),
    Reader("config.json, described", "model/config.json", "json", lambda f, s: _model_rows(f), cost=16, foreign=True),
    Reader("config.json, model", "model/config.json", "json", lambda f, s: load_model(f), cost=60, foreign=True),
    Reader("model.safetensors", "model/model.safetensors", "safetensors", lambda f, s: count_parameters(f), cost=2),
    Reader(
        "model.safetensors, model",
        "model/model.safetensors",
        "safetensors",
        lambda f, s: load_model(f),
        cost=60,
        foreign=True,
    ),
    Reader("recipe.yaml", "model/recipe.yaml", "yaml", recipe_tasks, cost=8),
    Reader("recipe.yaml, tasks of the model", "model/recipe.yaml", "yaml", origins, cost=6),
    Reader("recipe of a mixture", "recipes/mixture.yaml", "yaml", recipe, cost=24),
    Reader("overrides", "overrides/overrides.json", "json", overrides, cost=4),
    Reader("--action_space", "space/space.yaml", "yaml", space_option),
    Reader("rollout_state.safetensors", "state/rollout_state.safetensors", "safetensors", state, cost=6),
    Reader("checkpoint_manifest.json", "run/checkpoint-2/checkpoint_manifest.json", "json", checkpoint, cost=4),
    Reader("trainer_state.json", "run/checkpoint-2/trainer_state.json", "json", plain_checkpoint, cost=2),
    Reader("quickstart.json", "quickstart/quickstart.json", "json", quickstart, cost=4),
    Reader("parquet, a row a transition", "steps/steps.parquet", "parquet", parquet, cost=40),
    Reader("parquet, a row an episode", "episodes/episodes.parquet", "parquet", parquet, cost=40),
    Reader("Minari", "minari/some/sample-v0/data/metadata.json", "json", minari, cost=60, foreign=True),
]
