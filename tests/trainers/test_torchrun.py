"""Two CPU processes under torchrun: they are two, they agree, and they resume exactly after one was killed."""

import re

JOB = {"workers": 0, "accumulation": 2, "steps": 8}


def test_two_processes_train_and_resume_exactly(runner, tmp_path):
    code, results, output = runner.torchrun(tmp_path / "whole", 2, tmp_path, **JOB)
    assert code == 0, output
    assert [result.get("world_size") for result in results] == [2, 2], output
    (weights,) = {result["weights"] for result in results}

    folder = tmp_path / "killed"
    code, _, output = runner.torchrun(folder, 2, tmp_path, kill_at_step=6, kill_rank=1, **JOB)
    assert code != 0
    assert "SIGKILL" in output or "Signal 9" in output, output
    assert [path.name for path in folder.glob("checkpoint-*")] == ["checkpoint-4"]
    assert {path.name for path in (folder / "checkpoint-4").glob("rng_state*")} == {
        "rng_state_0.pth",
        "rng_state_1.pth",
    }

    # One process cannot go on with what two began.
    error = runner.error(output_dir=folder, resume=True, **JOB)
    assert re.search(r"world_size: it has 2, now 1", error)

    code, results, output = runner.torchrun(folder, 2, tmp_path, resume=True, **JOB)
    assert code == 0, output
    assert [result.get("world_size") for result in results] == [2, 2], output
    assert {result["weights"] for result in results} == {weights}
