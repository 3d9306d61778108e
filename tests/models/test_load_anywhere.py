"""Every model loads and acts the same in virtual environments of its own: with hf_icrl, and where it is not known."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from load_and_act import act_in_a_loop
from tiny_configs import registered_types, tiny_config
from transformers import AutoModel

import hf_icrl

SCRIPT = Path(__file__).parent / "load_and_act.py"
ROOT = Path(hf_icrl.__file__).resolve().parent.parent


def make_venv(folder, libraries, *more):
    """A real virtual environment without pip, whose packages are those in the folder `libraries`, and `more` paths.

    Returns:
        `Path`: its Python.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in (libraries, *more)))
    return folder / "bin" / "python"


def link_libraries(folder):
    """Links to all packages that are installed here, but for hf_icrl (as it was installed, or as an editable link)."""
    folder.mkdir()
    for place in map(Path, sys.path):
        if place.name in ("site-packages", "dist-packages") and place.is_dir():
            for path in place.iterdir():
                if "hf_icrl" not in path.name and not (folder / path.name).exists():
                    (folder / path.name).symlink_to(path)
    return folder


def run(python, way, folder, models):
    """What load_and_act.py saw in this environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HOME": str(folder / f"home-{way}"), "HF_HUB_OFFLINE": "1"}
    output = folder / f"{way}.json"
    done = subprocess.run(
        [python, SCRIPT, way, output, *models],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,  # nobody is there to say yes
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("anywhere")


@pytest.fixture(scope="module")
def models(folder):
    """Model type -> a model that is saved in folder / "models" / its type."""
    made = {}
    for name in registered_types():
        with torch.random.fork_rng(devices=[]):
            torch.random.default_generator.manual_seed(0)
            made[name] = AutoModel.from_config(tiny_config(name, token_layout="interleaved")).eval()
        made[name].save_pretrained(folder / "models" / name)
    return made


@pytest.fixture(scope="module")
def seen(folder, models):
    """Way -> what its process saw of all models."""
    libraries = link_libraries(folder / "libraries")
    saved = [folder / "models" / name for name in models]
    pythons = {
        "imported": make_venv(folder / "with", libraries, ROOT),
        "remote": make_venv(folder / "without", libraries),
    }
    results = {way: run(python, way, folder, saved) for way, python in pythons.items()}
    assert [Path(results[way]["prefix"]).name for way in pythons] == ["with", "without"]
    return results


@pytest.mark.parametrize("way", ["imported", "remote"])
@pytest.mark.parametrize("model_type", registered_types())
def test_it_acts_in_another_process_as_here(models, seen, model_type, way):
    there = seen[way][model_type]
    assert "error" not in there, there["error"]
    here = act_in_a_loop(models[model_type])
    assert len({action for row in here for action in row}) > 2
    assert there["actions"] == here
    package = {"imported": "hf_icrl.models.", "remote": "transformers_modules."}[way]
    assert all(module.startswith(package) for module in there["modules"])


@pytest.mark.parametrize("model_type", registered_types())
def test_without_trust_nothing_of_a_checkpoint_is_run(seen, model_type):
    there = seen["remote"][model_type]
    assert "trust_remote_code=True" in there["refusal"]
    assert there["executed_without_trust"] == []


@pytest.mark.parametrize("model_type", registered_types())
def test_what_its_own_code_saves_is_what_was_loaded(models, seen, folder, model_type):
    there = seen["remote"][model_type]
    assert there["actions_again"] == there["actions"]
    assert there["made_by"] == hf_icrl.__version__
    first, again = folder / "models" / model_type, folder / "models" / model_type / "again"
    files = {path.name for path in first.iterdir() if path.is_file()}
    assert {path.name for path in again.iterdir()} == files
    for name in files - {"config.json"}:
        assert (again / name).read_bytes() == (first / name).read_bytes(), name
    configs = [json.loads((path / "config.json").read_text()) for path in (first, again)]
    assert configs[1]["trunk_config"].pop("dtype") == "float32"  # loading makes the default explicit
    assert configs[1] == configs[0]
    assert torch.equal(
        AutoModel.from_pretrained(again).head.projection.weight, models[model_type].head.projection.weight
    )
