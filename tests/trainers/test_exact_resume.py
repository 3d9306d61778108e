"""A run that was killed with SIGKILL and resumed ends with the same bits as an uninterrupted one."""

import itertools

import pytest

STEPS = 12  # checkpoints at 4, 8 and 12


def run_with_kills(runner, folder, kills, in_substep, **job):
    """Start, be killed at each of `kills` (optimizer steps), resume each time; the result of the last part."""
    resume = True if job["trainer"] == "icrl" else "last whole"
    for kill in kills:
        runner.killed(output_dir=folder, resume=resume, kill_at_step=kill, kill_in_substep=in_substep, **job)
    return runner.result(output_dir=folder, resume=resume, **job)


@pytest.mark.parametrize(
    ("trainer", "dropout", "workers", "accumulation", "kills"),
    [
        ("icrl", 0.2, 0, 1, [3, 6, 11]),
        ("icrl", 0.2, 2, 2, [9]),
        ("icrl", 0.0, 0, 2, [5]),
        ("plain", 0.2, 0, 2, [6, 10]),
        ("plain", 0.2, 2, 1, [7]),
    ],
)
def test_killed_and_resumed_ends_with_the_same_weights(
    runner, tmp_path, trainer, dropout, workers, accumulation, kills
):
    job = {"trainer": trainer, "dropout": dropout, "workers": workers, "accumulation": accumulation, "steps": STEPS}
    result = run_with_kills(runner, tmp_path / "run", kills, accumulation > 1, **job)
    assert result["step"] == STEPS
    assert result["weights"] == runner.uninterrupted(**job)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainer", "dropout", "workers", "accumulation"), itertools.product(["icrl", "plain"], [0.0, 0.2], [0, 2], [1, 3])
)
def test_every_kill_point_in_every_setting(runner, tmp_path, trainer, dropout, workers, accumulation):
    job = {"trainer": trainer, "dropout": dropout, "workers": workers, "accumulation": accumulation, "steps": STEPS}
    expected = runner.uninterrupted(**job)
    for kill, in_substep in itertools.product(range(1, STEPS), {False, accumulation > 1}):
        result = run_with_kills(runner, tmp_path / f"{kill}-{in_substep}", [kill], in_substep, **job)
        assert result["weights"] == expected, f"killed at step {kill}, in substep: {in_substep}"


def test_plain_trainer_with_its_default_shuffling_resumes_exactly(runner, tmp_path):
    job = {"trainer": "plain", "arguments": {"train_sampling_strategy": "random", "num_train_epochs": 1}}
    result = run_with_kills(runner, tmp_path / "run", [7], False, **job)
    assert result["weights"] == runner.uninterrupted(**job)


def test_a_lora_run_resumes_exactly(runner, tmp_path):
    job = {"trainer": "icrl", "lora": True}
    result = run_with_kills(runner, tmp_path / "run", [6], False, **job)
    assert result["weights"] == runner.uninterrupted(**job)


def test_the_number_of_workers_may_change_on_resuming(runner, tmp_path):
    runner.killed(output_dir=tmp_path / "run", kill_at_step=6, workers=0)
    resumed = runner.result(output_dir=tmp_path / "run", resume=True, workers=2)
    assert resumed["weights"] == runner.uninterrupted()


def test_resuming_with_no_checkpoint_yet_starts_from_the_beginning(runner, tmp_path):
    runner.killed(output_dir=tmp_path / "run", resume=True, kill_at_step=2)
    assert runner.result(output_dir=tmp_path / "run", resume=True)["weights"] == runner.uninterrupted()


def test_resuming_a_finished_run_changes_nothing(runner, tmp_path):
    first = runner.result(output_dir=tmp_path / "run")
    again = runner.result(output_dir=tmp_path / "run", resume=True)
    assert again["weights"] == first["weights"]
    assert again["step"] == STEPS


def test_resuming_from_a_named_older_checkpoint_repeats_what_followed(runner, tmp_path):
    first = runner.result(output_dir=tmp_path / "run", arguments={"save_total_limit": 5})
    older = str(tmp_path / "run" / "checkpoint-4")
    again = runner.result(output_dir=tmp_path / "run", resume=older, arguments={"save_total_limit": 5})
    assert again["weights"] == first["weights"]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["checkpoint-12", "checkpoint-4", "checkpoint-8"]


def test_the_evaluation_schedule_does_not_change_the_weights(runner, tmp_path):
    evaluated = runner.result(
        output_dir=tmp_path / "run", eval_windows=True, arguments={"eval_strategy": "steps", "eval_steps": 3}
    )
    assert [entry["step"] for entry in evaluated["log"] if "eval_loss" in entry] == [3, 6, 9, 12]
    assert evaluated["weights"] == runner.uninterrupted()


def test_another_seed_gives_other_weights(runner):
    assert runner.uninterrupted(arguments={"seed": 1}) != runner.uninterrupted()
