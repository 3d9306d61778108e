"""Killed at any moment of writing, sealing, renaming or rotating a checkpoint, a run loses nothing."""

import pytest

from hf_icrl.trainers import checkpoint_fault


def killed_at_every(events, runner, tmp_path, trainer):
    """For each file event of an uninterrupted run: be killed there, resume, and compare the final weights."""
    resume = {"icrl": True, "plain": "last whole"}[trainer]
    for event in events:
        folder = tmp_path / f"killed-at-{event}"
        job = {"output_dir": folder, "trainer": trainer, "resume": resume}
        runner.killed(**job, kill_at_file_event=event)
        result = runner.result(**job)
        assert result["weights"] == runner.uninterrupted(trainer=trainer), f"killed at file event {event}"
        if trainer == "icrl":
            # Killed in the very last deletion, the run is finished and the oldest checkpoint stays; never a torn one.
            left = {path.name: checkpoint_fault(path) for path in folder.iterdir()}
            assert left.pop("checkpoint-4", None) is None
            assert left == {"checkpoint-8": None, "checkpoint-12": None}, f"killed at file event {event}"


def count_events(runner, tmp_path, trainer):
    """File events of a whole run: writing three checkpoints, sealing, renaming, deleting the first."""
    resume = {"icrl": True, "plain": "last whole"}[trainer]
    return runner.result(output_dir=tmp_path / "counted", trainer=trainer, resume=resume)["file_events"]


@pytest.mark.parametrize(("trainer", "points"), [("icrl", 5), ("plain", 3)])
def test_killed_at_file_events_spread_over_the_run(runner, tmp_path, trainer, points):
    total = count_events(runner, tmp_path, trainer)
    killed_at_every([total * (i + 1) // (points + 1) for i in range(points)], runner, tmp_path, trainer)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["icrl", "plain"])
def test_killed_at_every_file_event(runner, tmp_path, trainer):
    killed_at_every(range(1, count_events(runner, tmp_path, trainer) + 1), runner, tmp_path, trainer)


def test_a_partial_folder_is_no_checkpoint_and_goes_away(runner, tmp_path):
    folder = tmp_path / "run"
    partial = folder / "_partial-checkpoint-8" / "checkpoint-8"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(b"half")
    assert runner.result(output_dir=folder, resume=True)["weights"] == runner.uninterrupted()
    assert {path.name for path in folder.iterdir()} == {"checkpoint-8", "checkpoint-12"}


def test_a_full_disk_is_one_clear_error_and_leaves_the_checkpoints_alone(runner, tmp_path):
    folder = tmp_path / "run"
    runner.result(output_dir=folder, steps=12, arguments={"save_total_limit": 5})
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "-12" not in str(path)}
    older = str(folder / "checkpoint-8")
    sizes = {path.name: path.stat().st_size for path in (folder / "checkpoint-8").iterdir()}
    for name in ("model.safetensors", "optimizer.pt"):
        error = runner.error(output_dir=folder, resume=older, largest_file=sizes[name] - 100)
        assert error.startswith("OSError"), error
        assert "checkpoint-12" in error
        assert "run the same command again" in error
        assert {path.name for path in folder.iterdir()} == {"checkpoint-4", "checkpoint-8", "checkpoint-12"}
        for path, content in before.items():
            assert path.read_bytes() == content
    assert runner.result(output_dir=folder, resume=True)["weights"] == runner.uninterrupted()
