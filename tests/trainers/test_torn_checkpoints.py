"""A torn newest checkpoint is passed over by name, under ICRLTrainer and under plain Trainer."""

import logging
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_icrl.trainers import checkpoint_fault, last_whole_checkpoint

TORN = {
    "missing optimizer": lambda folder: (folder / "optimizer.pt").unlink(),
    "missing scheduler": lambda folder: (folder / "scheduler.pt").unlink(),
    "missing random state": lambda folder: (folder / "rng_state.pth").unlink(),
    "missing trainer state": lambda folder: (folder / "trainer_state.json").unlink(),
    "missing weights": lambda folder: (folder / "model.safetensors").unlink(),
    "half the weights": lambda folder: halve(folder / "model.safetensors"),
    "half the optimizer": lambda folder: halve(folder / "optimizer.pt"),
    "half the random state": lambda folder: halve(folder / "rng_state.pth"),
    "half the trainer state": lambda folder: halve(folder / "trainer_state.json"),
    "nothing at all": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
}


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture(scope="module", params=["icrl", "plain"])
def finished_run(request, runner, tmp_path_factory):
    """(trainer, output_dir with checkpoints 4, 8 and 12)."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    runner.result(output_dir=folder, trainer=request.param, arguments={"save_total_limit": 5})
    return request.param, folder


@pytest.fixture
def copied_run(finished_run, tmp_path):
    trainer, folder = finished_run
    shutil.copytree(folder, tmp_path / "run")
    return trainer, tmp_path / "run"


def test_whole_checkpoints_have_no_fault(finished_run):
    _, folder = finished_run
    assert {path.name: checkpoint_fault(path) for path in folder.iterdir()} == {
        "checkpoint-4": None,
        "checkpoint-8": None,
        "checkpoint-12": None,
    }
    assert last_whole_checkpoint(folder) == str(folder / "checkpoint-12")


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN.keys())
def test_a_torn_newest_checkpoint_is_passed_over_by_name(copied_run, caplog, tear):
    _, folder = copied_run
    tear(folder / "checkpoint-12")
    with caplog.at_level(logging.WARNING):
        assert last_whole_checkpoint(folder) == str(folder / "checkpoint-8")
    assert str(folder / "checkpoint-12") in caplog.text
    assert str(folder / "checkpoint-8") not in caplog.text


def test_two_torn_checkpoints_are_both_named(copied_run, caplog):
    _, folder = copied_run
    halve(folder / "checkpoint-12" / "model.safetensors")
    (folder / "checkpoint-8" / "optimizer.pt").unlink()
    assert last_whole_checkpoint(folder) == str(folder / "checkpoint-4")
    assert "checkpoint-12: model.safetensors" in caplog.text
    assert "checkpoint-8: optimizer.pt is missing" in caplog.text


@pytest.mark.parametrize("tear", ["missing optimizer", "missing random state", "half the weights"])
def test_training_resumes_exactly_from_the_whole_one_before(copied_run, runner, tear):
    trainer, folder = copied_run
    TORN[tear](folder / "checkpoint-12")
    answer = runner.finished(
        output_dir=folder,
        trainer=trainer,
        resume=True if trainer == "icrl" else "last whole",
        arguments={"save_total_limit": 5},
    )
    assert f"passed over the checkpoint {folder / 'checkpoint-12'}" in answer["stderr"]
    assert answer["result"]["weights"] == runner.uninterrupted(trainer=trainer)
    assert checkpoint_fault(folder / "checkpoint-12") is None  # it has been written again


def test_a_torn_checkpoint_asked_for_by_name_is_refused(copied_run, runner):
    _, folder = copied_run
    (folder / "checkpoint-12" / "optimizer.pt").unlink()
    # Only ICRLTrainer looks; it refuses those of plain Trainer too.
    error = runner.error(output_dir=folder, resume=str(folder / "checkpoint-12"))
    assert "optimizer.pt is missing" in error
    assert "checkpoint-12" in error


def test_a_checkpoint_that_is_not_there_is_refused(runner, tmp_path):
    error = runner.error(output_dir=tmp_path / "run", resume=str(tmp_path / "checkpoint-3"))
    assert "checkpoint-3: there is no such folder" in error


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_any_file_is_found_and_the_file_is_named(finished_run, tmp_path_factory, data):
    """With a manifest: cut anywhere, a flipped byte anywhere, removed. Without: cut or removed state files."""
    trainer, folder = finished_run
    checkpoint = tmp_path_factory.mktemp("damaged") / "checkpoint-12"
    shutil.copytree(folder / "checkpoint-12", checkpoint)
    names = sorted(path.name for path in checkpoint.iterdir())
    damages = ["cut", "flip", "remove"]
    if trainer == "plain":
        names = ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
        damages = ["cut", "remove"]
    path: Path = checkpoint / data.draw(st.sampled_from(names))
    content = path.read_bytes()
    # Without a manifest a checkpoint is judged like one of plain Trainer, and some of its values guard nothing.
    damage = "cut" if path.name == "checkpoint_manifest.json" else data.draw(st.sampled_from(damages))
    at = data.draw(st.integers(0, len(content) - 2))  # the last byte of a JSON file is a line end
    if damage == "cut":
        path.write_bytes(content[:at])
    elif damage == "flip":
        path.write_bytes(content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :])
    else:
        path.unlink()
    fault = checkpoint_fault(checkpoint)
    shutil.rmtree(checkpoint)
    assert fault is not None
    assert path.name in fault


def test_a_manifest_of_a_later_format_says_to_update(copied_run):
    trainer, folder = copied_run
    manifest = folder / "checkpoint-12" / "checkpoint_manifest.json"
    if trainer == "icrl":
        text = manifest.read_text()
        manifest.write_text(text.replace('"format": 1', '"format": 2', 1))
        assert "format 2, this version reads 1; update hf_icrl" in checkpoint_fault(folder / "checkpoint-12")
    else:
        assert not manifest.exists()  # plain Trainer writes none, and its checkpoints are judged by their files


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path):
    assert last_whole_checkpoint(tmp_path) is None
    assert last_whole_checkpoint(tmp_path / "nowhere") is None


def test_every_process_needs_its_random_state(copied_run):
    trainer, folder = copied_run
    checkpoint = folder / "checkpoint-12"
    if trainer == "plain":
        assert checkpoint_fault(checkpoint, world_size=2) == "rng_state_0.pth is missing"
    else:
        # The manifest knows that there was one process; two are another run (see test_refusals.py).
        assert checkpoint_fault(checkpoint, world_size=2) is None
