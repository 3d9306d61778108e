"""What ICRLTrainer adds to a run: in-context evaluation, the report and the card, models without pickles."""

import json
from pathlib import Path

import pytest
from transformers import AutoModel, TrainingArguments

from hf_icrl import ICRLConfig, ICRLTrainer, task_family
from hf_icrl.rollouts import Report

FAMILY = {"size": 3, "horizon": 4}
TASKS = task_family("dark_room", **FAMILY).tasks()
SMALL = {"eval_episodes": 3, "eval_seeds": 2, "eval_last_episodes": 2}
METRICS = {
    "eval_normalized_return",
    "eval_worst_task_return",
    "eval_return",
    "eval_first_episode_return",
    "eval_rollout_seconds",
}
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle"}


@pytest.fixture(scope="module")
def reported(runner, tmp_path_factory):
    """(result, output folder) of a run with evaluation tasks, report tasks and best-model selection."""
    folder = tmp_path_factory.mktemp("reported") / "run"
    arguments = {
        **SMALL,
        "eval_strategy": "steps",
        "eval_steps": 4,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_normalized_return",
        "save_total_limit": 1,
    }
    result = runner.result(
        output_dir=folder, family=FAMILY, eval_tasks=TASKS[:2], report_tasks=TASKS[2:5], arguments=arguments
    )
    return result, folder


def test_in_context_metrics_are_logged_without_an_eval_dataset(reported):
    result, _ = reported
    evaluations = [entry for entry in result["log"] if "eval_normalized_return" in entry]
    assert [entry["step"] for entry in evaluations] == [4, 8, 12]
    for entry in evaluations:
        assert set(entry) >= METRICS
        assert entry["eval_worst_task_return"] <= entry["eval_normalized_return"]


def test_in_context_evaluation_chooses_the_best_checkpoint(reported):
    result, folder = reported
    scores = {e["step"]: e["eval_normalized_return"] for e in result["log"] if "eval_normalized_return" in e}
    best = max(scores, key=lambda step: (scores[step], -step))
    assert result["best"] == str(folder / f"checkpoint-{best}")
    state = json.loads((folder / f"checkpoint-{best}" / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == result["best"]
    assert state["best_metric"] == scores[best]


def test_in_context_metrics_join_those_of_an_eval_dataset(runner, tmp_path):
    result = runner.result(
        output_dir=tmp_path / "run",
        family=FAMILY,
        eval_tasks=TASKS[:2],
        eval_windows=True,
        arguments={**SMALL, "eval_strategy": "epoch"},
    )
    (entry,) = [entry for entry in result["log"] if "eval_loss" in entry]
    assert set(entry) >= METRICS
    # Rolling out touches no random stream that training uses.
    assert result["weights"] == runner.uninterrupted()


def test_the_end_of_training_writes_report_card_and_model(reported):
    _, folder = reported
    report = Report.from_file(folder)
    assert report["tasks"] == TASKS[2:5]
    assert report["evaluation_set"] == "held_out"
    assert (report["episodes"], report["seeds"], report["last_episodes"]) == (3, 2, 2)
    assert (folder / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "replay.mp4").stat().st_size > 0
    assert "library_name: hf-icrl" in (folder / "README.md").read_text()
    assert type(AutoModel.from_pretrained(folder)).__name__ == "AlgorithmDistillationModel"


def test_what_is_published_holds_no_pickle(reported):
    _, folder = reported
    published = [path for path in folder.rglob("*") if path.is_file() and "checkpoint-" not in str(path)]
    assert folder / "model.safetensors" in published
    assert not [path for path in published if path.suffix in PICKLES]
    assert not list(folder.glob("_partial*"))
    # Checkpoints keep transformers' formats, so that plain Trainer resumes from them.
    assert any((path / "training_args.bin").is_file() for path in folder.glob("checkpoint-*"))


def test_save_model_replaces_the_weights_of_another_model_whole(runner, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"of an earlier, larger model")
    (folder / "notes.txt").write_text("mine")
    runner.result(output_dir=folder, call="save_model")
    ordinary = (folder / "notes.txt").stat().st_mode
    assert {path.name: path.stat().st_mode for path in folder.iterdir() if path.stat().st_mode != ordinary} == {}
    names = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "notes.txt"} <= names
    assert "model-00002-of-00002.safetensors" not in names
    assert not {name for name in names if Path(name).suffix in PICKLES}


def test_a_full_disk_in_save_model_leaves_the_old_model(runner, tmp_path):
    runner.result(output_dir=tmp_path, call="save_model")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    error = runner.error(output_dir=tmp_path, call="save_model", largest_file=1000, arguments={"seed": 5})
    assert "run the same command again" in error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_evaluate_works_before_training(runner, tmp_path):
    result = runner.result(output_dir=tmp_path, call="evaluate", family=FAMILY, eval_tasks=TASKS, arguments=SMALL)
    assert set(result["log"][0]) >= METRICS


def test_tasks_need_their_family(runner, tmp_path):
    assert "2 tasks were given but no eval_family" in runner.error(output_dir=tmp_path, eval_tasks=TASKS[:2])


def test_a_model_is_not_reported_on_the_tasks_it_was_chosen_on(runner, tmp_path):
    error = runner.error(
        output_dir=tmp_path,
        family=FAMILY,
        eval_tasks=TASKS[:2],
        report_tasks=TASKS[1:3],
        arguments={"metric_for_best_model": "eval_normalized_return"},
    )
    assert str(TASKS[1]) in error
    assert "report_tasks, which nothing may be chosen on" in error


def test_plain_training_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"args is a TrainingArguments; give an hf_icrl\.ICRLConfig"):
        ICRLTrainer(args=TrainingArguments(output_dir=tmp_path, use_cpu=True))


def test_evaluation_without_tasks_or_dataset_says_what_is_missing(runner, tmp_path):
    assert "requires an eval_dataset" in runner.error(output_dir=tmp_path, call="evaluate")


def test_an_icrl_config_is_what_the_defaults_promise(tmp_path):
    config = ICRLConfig(output_dir=tmp_path, max_steps=10, gradient_accumulation_steps=3, use_cpu=True)
    assert config.train_sampling_strategy == "sequential"
    assert config.num_train_epochs == 1
    assert config.dataloader_num_workers == 0
    assert config.dataloader_pin_memory is False
    assert config.ddp_find_unused_parameters is False
    assert config.num_windows_for_max_steps() == 10 * 3 * config.per_device_train_batch_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"eval_episodes": 0}, "eval_episodes is 0; it must be at least 1"),
        ({"eval_seeds": -1}, "eval_seeds is -1"),
        ({"ignore_data_skip": True}, "exact_resume=True cannot be kept"),
        ({"push_to_hub": True, "hub_strategy": "checkpoint"}, "hub_strategy is 'checkpoint'"),
    ],
)
def test_arguments_that_cannot_be_kept_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        ICRLConfig(output_dir=tmp_path, use_cpu=True, **arguments)


def test_windows_for_a_run_of_unknown_length_cannot_be_counted(tmp_path):
    with pytest.raises(ValueError, match="max_steps is -1"):
        ICRLConfig(output_dir=tmp_path, use_cpu=True).num_windows_for_max_steps()
