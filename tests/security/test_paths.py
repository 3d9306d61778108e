"""No name in a repository or a recipe leads out of its folder."""

import json
import shutil

import pytest
import yaml

from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe import Recipe
from hf_icrl.histories import load_histories, load_parts, read_info
from hf_icrl.model_cards import write_model_card
from hf_icrl.rollouts import Report
from hf_icrl.rollouts.set_reports import SetReports
from hf_icrl.trainers.checkpoints import checkpoint_fault
from hf_icrl.untrusted import inside

OUTSIDE = ["../outside", "a/../../outside", "/etc/passwd", "..", "", "a\\..\\b", "c:/x", "x\0y"]


@pytest.mark.parametrize("name", [*OUTSIDE, None, 3, ["a"]])
def test_a_name_stays_inside_its_folder(name, tmp_path):
    with pytest.raises(ValueError, match=r"^where names the file"):
        inside(tmp_path, name, "where")


@pytest.mark.parametrize("name", ["a", "a/b.txt", "...", "a..b", "./a"])
def test_other_names_are_taken_as_they_are(name, tmp_path):
    assert inside(tmp_path, name, "where") == tmp_path / name


@pytest.fixture
def copied(samples, tmp_path):
    """Name of a sample -> a copy that may be changed."""
    return lambda name: shutil.copytree(samples.root / name, tmp_path / name)


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_parts_of_a_mixture_lie_in_its_folder(copied, name):
    folder = copied("mixture")
    shutil.copytree(folder / "a", folder.parent / "outside")
    changed(folder / "history_info.json", lambda info: info["mixture"][0].update(name=name))
    for read in (read_info, load_parts):
        with pytest.raises(ValueError, match="calls a part of the mixture"):
            read(folder)


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_rows_of_a_data_set_lie_in_its_folder(copied, name):
    folder = copied("dataset")
    shutil.copy(folder / "data-00000-of-00001.arrow", folder.parent / "outside")
    changed(folder / "state.json", lambda state: state["_data_files"][0].update(filename=name))
    with pytest.raises(ValueError, match="names the file"):
        load_histories(folder)


@pytest.mark.parametrize("name", ["../base.yaml", "/etc/base.yaml", "a/../../base.yaml"])
def test_a_recipe_names_files_beside_it_only(copied, name, tmp_path):
    folder = copied("recipes")
    shutil.copy(folder / "base.yaml", tmp_path)
    mixture = yaml.safe_load((folder / "mixture.yaml").read_text())
    assert len(Recipe.load(folder / "mixture.yaml").parts()) == 3
    mixture["mixture"]["parts"][2]["recipe"] = name
    (folder / "mixture.yaml").write_text(yaml.safe_dump(mixture))
    with pytest.raises(UsageError, match="would lead out of"):
        Recipe.load(folder / "mixture.yaml").check()
    # The recipe of a model has everything written out; of what a repository names, nothing is read.
    with pytest.raises(UsageError, match="only shipped recipes"):
        Recipe.from_text((folder / "mixture.yaml").read_text(), "recipe.yaml").check()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd"])
def test_a_checkpoint_holds_its_own_files(copied, name):
    folder = copied("run") / "checkpoint-2"
    (folder.parent / "secret").write_text("x")
    assert checkpoint_fault(folder) is None
    changed(folder / "checkpoint_manifest.json", lambda m: m["files"].update({name: {"size": 1, "sha256": "0"}}))
    assert "would lead out of" in checkpoint_fault(folder)
    (folder / "checkpoint_manifest.json").unlink()
    assert checkpoint_fault(folder) is None
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))
    assert "would lead out of" in checkpoint_fault(folder)


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", ""])
def test_the_reports_of_sets_stay_in_the_folder(samples, name, tmp_path):
    report = Report.from_file(samples.root / "bandit")
    with pytest.raises(ValueError, match="its name becomes that of a folder"):
        SetReports({name: report}).save(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_the_family_of_a_report_leads_nowhere(copied, tmp_path):
    folder = copied("model")
    changed(folder / "report.json", lambda values: values.update(family="../../out", evaluation_set="held_out"))
    before = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    with pytest.raises(ValueError, match="unknown task family"):
        write_model_card(folder, report=Report.from_file(folder))
    assert {path for path in tmp_path.rglob("*") if folder not in path.parents} == before
