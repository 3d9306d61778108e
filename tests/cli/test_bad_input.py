"""Bad input through the real command line: one clear sentence, and what was there stays as it was."""

import shutil
import subprocess
import sys

import pytest
from datasets import Dataset
from tests_support import digest, hf_icrl

from hf_icrl.files import locked

CONFIG = ("--config", "quickstart_smoke")


def refused(*args, code=1):
    result = hf_icrl(*args)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


def test_a_window_longer_than_any_history(finished, tmp_path):
    folder, _ = finished
    dataset = ("--dataset", folder / "dataset", "--output_dir", tmp_path)
    # The smoke histories have ten episodes of twenty steps.
    text = refused("train", *CONFIG, *dataset, "--model.context_length", "300")
    assert "300" in text
    assert "200" in text
    assert not (tmp_path / "model").exists()


def test_a_dataset_of_another_schema(tmp_path):
    Dataset.from_dict({"text": ["not a history"]}).save_to_disk(str(tmp_path / "dataset"))
    before = digest(tmp_path)
    text = refused("train", *CONFIG, "--output_dir", tmp_path)
    assert "history_info.json does not exist, so this folder holds no finished learning histories" in text
    assert before.items() <= digest(tmp_path).items()


def test_histories_of_other_tasks_than_the_recipe_says(finished, tmp_path):
    folder, _ = finished
    arguments = ("--dataset", folder / "dataset", "--output_dir", tmp_path)
    text = refused("train", *CONFIG, *arguments, "--environment.split_seed", "7")
    assert "was collected with train tasks = " in text
    text = refused("train", *CONFIG, *arguments, "--environment.kwargs.horizon", "30")
    assert "was collected with environment.kwargs.horizon = 20" in text
    assert "says 30" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--environment.held_out=[{goal: [9, 0]}]", "goal [9, 0] is outside the room of size 9"),
        ("--environment.held_out=80", "held_out asks for 80 of 80 tasks"),
        ("--environment.validation=64", "the validation split asks for 64 of 64 tasks"),
        ("--collect.params.noise=unifrom", "uniform"),
        ("--collect.episodes=0", "episodes is 0"),
    ],
)
def test_tasks_and_sources_that_cannot_be(tmp_path, override, message):
    assert message in refused("collect", *CONFIG, "--output_dir", tmp_path / "out", override)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_without_its_config(finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder / "model", tmp_path / "model")
    (tmp_path / "model" / "config.json").unlink()
    before = digest(tmp_path)
    (tmp_path / "model" / "history_info.json").unlink()
    before = digest(tmp_path)
    assert "holds no config.json" in refused("evaluate", "--model", tmp_path / "model")
    assert f"its model is {folder}/model" in refused("evaluate", "--model", folder)
    assert "holds learning histories, not a model" in refused("evaluate", "--model", folder / "dataset")
    assert digest(tmp_path) == before


def test_torn_weights(finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder / "model", tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "are torn or no safetensors" in refused("evaluate", "--model", tmp_path / "model")


def test_histories_of_another_source_than_the_recipe_says(finished, tmp_path):
    folder, _ = finished
    arguments = ("--dataset", folder / "dataset", "--output_dir", tmp_path / "out")
    text = refused("train", *CONFIG, *arguments, "--collect.source", "q_learning")
    assert "was collected with collect.source = 'noise_curriculum'" in text
    assert "(or add --collect.episodes 10)" in refused("train", *CONFIG, *arguments, "--collect.episodes", "9")
    assert not (tmp_path / "out").exists()


def test_two_trainings_in_one_folder(finished, tmp_path):
    folder, _ = finished
    (tmp_path / "checkpoints").mkdir()
    with locked(tmp_path / "checkpoints", "training in"):
        text = refused("train", *CONFIG, "--dataset", folder / "dataset", "--output_dir", tmp_path)
    assert f"another process is training in {tmp_path}/checkpoints" in text
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_mistake_in_a_later_section_shows_before_anything_is_done(tmp_path):
    text = refused("collect", *CONFIG, "--output_dir", tmp_path / "out", "--train.max_steps", "ten", code=2)
    assert "train.max_steps is 'ten'; it must be of type int" in text
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_ours(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    assert "a model of type 'gpt2'" in refused("describe", tmp_path)


def test_a_model_whose_recipe_does_not_say_where_to_act(finished, tmp_path):
    folder, _ = finished
    (tmp_path / "imported.yaml").write_text("evaluate: {episodes: 1}")
    options = ("--config", tmp_path / "imported.yaml", "--output_dir", tmp_path / "out")
    text = refused("evaluate", "--model", folder / "model", *options, code=2)
    assert "imported.yaml does not say where to act (it has no environment.family): give another recipe" in text


def test_a_reader_that_has_read_enough_is_no_mistake(finished):
    folder, _ = finished
    command = [sys.executable, "-m", "hf_icrl", "describe", str(folder / "dataset")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_a_model_for_another_space(finished, tmp_path):
    folder, _ = finished
    assert "say with --output_dir" in refused("evaluate", "--model", folder / "model", "--evaluate.seeds", "3", code=2)
    text = refused(
        "evaluate", "--model", folder / "model", "--output_dir", tmp_path / "out", "--environment.kwargs.size", "11"
    )
    assert "121" in text
    assert "81" in text


def test_a_finished_model_of_another_recipe_is_not_replaced(finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "run")
    before = digest(tmp_path)
    text = refused("train", *CONFIG, "--output_dir", tmp_path / "run", "--train.max_steps", "30")
    assert "was made with train.max_steps = 20, now it is 30" in text
    assert digest(tmp_path) == before
