"""Two CPU processes under torchrun: they are two, they agree, and they resume exactly after one was killed."""

import re

from hf_icrl import task_family
from hf_icrl.rollouts import Report

FAMILY = {"size": 3, "horizon": 4}
TASKS = task_family("dark_room", **FAMILY).tasks()
SMALL = {"eval_episodes": 3, "eval_seeds": 2, "eval_strategy": "steps", "eval_steps": 4}
JOB = {"workers": 0, "accumulation": 2, "steps": 8}


def test_two_processes_train_and_resume_exactly(runner, tmp_path):
    evaluation = {"family": FAMILY, "eval_tasks": TASKS[:2], "report_tasks": TASKS[2:4], "arguments": SMALL}
    code, results, output = runner.torchrun(tmp_path / "whole", 2, tmp_path, **JOB, **evaluation)
    assert code == 0, output
    assert [result.get("world_size") for result in results] == [2, 2], output
    assert "find_unused_parameters" not in output
    (weights,) = {result["weights"] for result in results}
    scores = [[e["eval_normalized_return"] for e in r["log"] if "eval_normalized_return" in e] for r in results]
    assert len(scores[0]) == 2
    assert scores[0] == scores[1]
    assert Report.from_file(tmp_path / "whole")["tasks"] == TASKS[2:4]

    # Evaluation touches no random stream of training, so a run without it has the same weights.
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
