"""Resuming with what would end with other weights is refused, and every difference is named with both values."""

import shutil

import pytest
import torch
from datasets import load_from_disk

from hf_icrl import HistoryWindows, ICRLConfig, ICRLTrainer, MixtureWindows
from hf_icrl.naming import differences
from hf_icrl.trainers.run_identity import describe_run


@pytest.fixture(scope="module")
def interrupted(runner, tmp_path_factory):
    """The output folder of a run that was killed after checkpoint-4."""
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    runner.killed(output_dir=folder, kill_at_step=6)
    return folder


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"arguments": {"seed": 7}}, "seed: it has 42, now 7"),
        ({"arguments": {"learning_rate": 0.5}}, "learning_rate: it has 0.01, now 0.5"),
        ({"batch": 8}, "per_device_train_batch_size: it has 4, now 8"),
        ({"accumulation": 3}, "gradient_accumulation_steps: it has 1, now 3"),
        ({"steps": 20}, "train_dataset.num_windows: it has 48, now 80"),
        ({"steps": 20}, "max_steps: it has 12, now 20"),
        ({"dropout": 0.5}, "model.config.trunk_config.attention_dropout: it has 0.2, now 0.5"),
        ({"arguments": {"loss_weighting": "improvement"}}, "train_dataset.weighting: it has None, now improvement"),
        ({"hidden_size": 8}, "model.config.trunk_config.hidden_size: it has 16, now 8"),
    ],
)
def test_other_arguments_are_refused_by_name(runner, interrupted, change, says):
    error = runner.error(output_dir=interrupted, resume=True, **change)
    assert error.startswith("ValueError")
    assert "checkpoint-4 is of a run with other arguments" in error
    assert says in error


def test_other_data_are_refused(runner, interrupted, other_histories_folder):
    error = runner.error(output_dir=interrupted, resume=True, dataset=other_histories_folder)
    assert "train_dataset.sha256_of_three_rows" in error


def test_weighted_losses_train_other_weights_and_evaluate_unweighted(runner, tmp_path):
    arguments = {"loss_weighting": "improvement", "eval_strategy": "steps", "eval_steps": 6}
    result = runner.result(output_dir=tmp_path / "run", eval_windows=True, arguments=arguments)
    assert result["weights"] != runner.uninterrupted()
    assert [entry["step"] for entry in result["log"] if "eval_loss" in entry] == [6, 12]


def test_a_weighting_that_the_windows_do_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown loss_weighting 'improvment': did you mean 'improvement'"):
        ICRLConfig(output_dir=str(tmp_path), loss_weighting="improvment")
    arguments = ICRLConfig(output_dir=str(tmp_path), loss_weighting="improvement", use_cpu=True)
    with pytest.raises(ValueError, match=r"make it with HistoryWindows\(\.\.\., weighting='improvement'\)"):
        ICRLTrainer(model=torch.nn.Linear(1, 1), args=arguments, train_dataset=[{"x": 1}])


def test_arguments_that_do_not_touch_the_weights_may_change(runner, interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "run")
    arguments = {"save_steps": 3, "logging_steps": 1, "eval_strategy": "steps", "eval_steps": 5}
    resumed = runner.result(output_dir=tmp_path / "run", resume=True, eval_windows=True, arguments=arguments)
    assert resumed["weights"] == runner.uninterrupted()


def test_exact_resume_false_warns_and_goes_on(runner, interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "run")
    answer = runner.finished(output_dir=tmp_path / "run", resume=True, steps=16, arguments={"exact_resume": False})
    assert answer["result"]["step"] == 16
    assert "max_steps: it has 12, now 16" in answer["stderr"]


def test_checkpoints_of_an_earlier_run_are_not_mixed_up_with_a_new_one(runner, interrupted):
    before = sorted(path.name for path in interrupted.rglob("*"))
    error = runner.error(output_dir=interrupted)
    assert error.startswith("FileExistsError")
    assert "checkpoint-4" in error
    assert "resume_from_checkpoint=True" in error
    assert sorted(path.name for path in interrupted.rglob("*")) == before


def test_an_output_folder_that_cannot_be_written_is_one_error(runner, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    error = runner.error(output_dir=tmp_path / "file" / "run")
    assert "cannot write" in error
    assert (tmp_path / "file").read_text() == "not a folder"


def test_the_weights_of_a_mixture_and_every_part_of_it_decide_a_run(tmp_path, other_histories_folder):
    arguments, model = ICRLConfig(output_dir=tmp_path, use_cpu=True), torch.nn.Linear(2, 2)
    dataset = load_from_disk(str(other_histories_folder))

    def described(datasets, weights):
        windows = MixtureWindows(datasets, weights, length=8, num_windows=4)
        return describe_run(arguments, model, windows)["train_dataset"]

    run = described([dataset, dataset], [1, 3])
    assert run == described([dataset, dataset], [2, 6])
    assert run["weights"] == [0.25, 0.75]
    assert next(differences(run, described([dataset, dataset], [1, 1]))) == ("weights", [0.25, 0.75], [0.5, 0.5])
    # All but a millionth of the windows are of the first part.
    rare = [
        described([dataset, part], [1, 1e-6])["sha256_of_three_rows"]
        for part in (dataset, dataset.select(range(dataset.num_rows // 2)))
    ]
    assert rare[0] != rare[1]


def test_rows_that_change_from_reading_to_reading_are_warned_about(caplog, tmp_path):
    class RandomCrops(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"observations": torch.rand(4)}

    run = describe_run(ICRLConfig(output_dir=tmp_path, use_cpu=True), torch.nn.Linear(2, 2), RandomCrops())
    assert "make a row a pure function of its index" in caplog.text
    assert "sha256_of_three_rows" not in run["train_dataset"]


def test_how_many_actions_windows_tell_of_decides_a_run(tmp_path, other_histories_folder):
    arguments, model = ICRLConfig(output_dir=tmp_path, use_cpu=True), torch.nn.Linear(2, 2)
    dataset = load_from_disk(str(other_histories_folder))

    def described(mixture=False, **options):
        if mixture:
            windows = MixtureWindows([dataset, dataset], [1, 3], length=8, num_windows=4, **options)
        else:
            windows = HistoryWindows(dataset, length=8, num_windows=4, **options)
        return describe_run(arguments, model, windows)["train_dataset"]

    assert "num_actions" not in described()
    for mixture, own in ((False, 5), (True, [5, 5])):
        run = described(mixture, num_actions=9, own_actions=own)
        assert (run["num_actions"], run["own_actions"]) == (9, own)
        assert next(differences(run, described(mixture, num_actions=10, own_actions=own))) == ("num_actions", 9, 10)
        assert ("num_actions", None, 9) in [
            (name, a or None, b) for name, a, b in differences(described(mixture), run)
        ]
