"""`quickstart --smoke` end to end: what it writes, that it resumes, and that it never clobbers."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests_support import digest, hf_icrl

FILES = {"dataset", "model", "report.json", "learning_curve.png", "replay.mp4", "README.md", "quickstart.json"}


def test_it_writes_everything_and_ends_with_the_table_and_the_three_lines(finished):
    folder, result = finished
    assert {p.name for p in folder.iterdir()} >= FILES
    for words in ("first episode", "last 2 episodes", "oracle", "random", "normalised", "worst", "wall-clock"):
        assert words in result.stdout.lower(), words
    assert "AutoModel.from_pretrained" in result.stdout
    # Without a terminal there is no progress bar.
    assert "it/s" not in result.stdout + result.stderr
    assert json.loads((folder / "quickstart.json").read_text())["smoke"] is True


def test_the_three_lines_run_as_printed(finished):
    _, result = finished
    lines = [line.strip() for line in result.stdout.splitlines()[-3:]]
    lines[-1] = lines[-1].replace("episodes=40", "episodes=2")
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "normalised" in run.stdout.lower()


def test_dataset_and_model_load_the_hugging_face_way(finished):
    folder, _ = finished
    from datasets import load_from_disk
    from transformers import AutoModel

    import hf_icrl  # noqa: F401  (registers the Auto classes)

    dataset = load_from_disk(str(folder / "dataset"))
    assert {"history_id", "episode", "observations", "actions", "rewards"} <= set(dataset.column_names)
    model = AutoModel.from_pretrained(str(folder / "model"))
    assert type(model).__name__ == "AlgorithmDistillationModel"
    files = [p for p in (folder / "model").rglob("*") if p.is_file()]
    names = {p.name for p in files}
    assert "model.safetensors" in names
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pkl", ".pth"))]
    assert {"recipe.yaml", "history_info.json", "README.md", "report.json"} <= names
    ordinary = (folder / "quickstart.json").stat().st_mode
    assert all(p.stat().st_mode == ordinary for p in files), "as readable for others as any other file"
    validation = json.loads((folder / "model" / "evaluations" / "validation" / "report.json").read_text())
    assert validation["evaluation_set"] == "validation"


def test_run_again_it_says_so_and_changes_nothing(finished):
    folder, _ = finished
    before = digest(folder)
    result = hf_icrl("quickstart", "--smoke", "--output_dir", folder)
    assert result.returncode == 0
    assert "nothing was changed" in result.stdout
    assert digest(folder) == before


def test_other_arguments_are_refused_by_name(finished):
    folder, _ = finished
    before = digest(folder)
    result = hf_icrl("quickstart", "--smoke", "--seed", "5", "--output_dir", folder)
    assert result.returncode == 1
    assert "--seed 0, now it is 5" in result.stderr
    result = hf_icrl("quickstart", "--output_dir", folder)
    assert result.returncode == 1
    assert "--smoke True, now it is False" in result.stderr
    assert digest(folder) == before


def test_it_does_nothing_that_collect_train_evaluate_with_the_recipe_would_not(finished, tmp_path):
    folder, _ = finished
    config = ("--config", "quickstart_smoke", "--output_dir", tmp_path)
    for args in (["collect", *config], ["train", *config], ["evaluate", "--model", tmp_path / "model"]):
        result = hf_icrl(*args)
        assert result.returncode == 0, result.stderr
    ours, theirs = digest(folder), digest(tmp_path)
    same = [n for n in ours if n.endswith((".arrow", ".safetensors")) and not n.startswith("checkpoints")]
    assert len(same) >= 2
    assert {n: ours[n] for n in same} == {n: theirs[n] for n in same}
    returns = [json.loads((f / "model" / "report.json").read_text())["returns_per_seed"] for f in (folder, tmp_path)]
    assert returns[0] == returns[1]


@pytest.mark.parametrize("appears", ["dataset/collection.json", "checkpoints/checkpoint-10", "model/recipe.yaml"])
def test_killed_and_run_again_it_ends_with_the_same_data_weights_and_returns(finished, tmp_path, appears):
    folder, _ = finished
    command = [sys.executable, "-m", "hf_icrl", "quickstart", "--smoke", "--output_dir", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
    while process.poll() is None and not (tmp_path / "out" / appears).exists():
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    result = hf_icrl("quickstart", "--smoke", "--output_dir", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    ours, theirs = digest(folder), digest(tmp_path / "out")
    same = [n for n in ours if n.endswith((".arrow", ".safetensors")) and not n.startswith("checkpoints")]
    assert {n: ours[n] for n in same} == {n: theirs[n] for n in same}
    returns = [json.loads((f / "report.json").read_text())["returns_per_seed"] for f in (folder, tmp_path / "out")]
    assert returns[0] == returns[1]
    assert not [n for n in theirs if ".tmp" in n or "_partial" in n]


def test_overwrite_starts_afresh_and_keeps_what_is_not_its_own(finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    result = hf_icrl("quickstart", "--smoke", "--seed", "4", "--overwrite", "--output_dir", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "out" / "quickstart.json").read_text())["seed"] == 4
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert digest(folder)["model/model.safetensors"] != digest(tmp_path / "out")["model/model.safetensors"]


def test_a_folder_that_was_being_cleared_is_not_taken_for_finished(finished, tmp_path):
    folder, _ = finished
    out = tmp_path / "out"
    out.mkdir()
    # What a kill in the middle of --overwrite leaves: the state says so, half of the rest is gone.
    state = json.loads((folder / "quickstart.json").read_text()) | {"clearing": True, "finished": False}
    (out / "quickstart.json").write_text(json.dumps(state))
    shutil.copy(folder / "report.json", out)
    # And what a kill in the middle of writing a file leaves.
    (out / ".quickstart.json.hf_icrl-abcd1234.tmp").write_text("{")
    result = hf_icrl("quickstart", "--smoke", "--output_dir", out)
    assert result.returncode == 0, result.stderr
    assert "nothing was changed" not in result.stdout
    assert digest(out)["model/model.safetensors"] == digest(folder)["model/model.safetensors"]
    assert not (out / ".quickstart.json.hf_icrl-abcd1234.tmp").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    for flag in ([], ["--overwrite"]):
        result = hf_icrl("quickstart", "--smoke", "--output_dir", tmp_path, *flag)
        assert result.returncode == 1
        assert "was not made by quickstart" in result.stderr
    assert digest(tmp_path).keys() == {"thesis.tex"}


def test_describe_says_what_dataset_and_model_are(finished):
    folder, _ = finished
    text = hf_icrl("describe", folder / "dataset").stdout
    for words in ("learning histories", "hf_icrl/DarkRoom-v0", "noise_curriculum", "held-out"):
        assert words in text, words
    text = hf_icrl("describe", folder / "model").stdout
    for words in ("algorithm_distillation", "llama", "Discrete(n=81)", "parameters"):
        assert words in text, words
    result = hf_icrl("describe", folder)
    assert result.returncode == 1
    assert "describe one of its parts" in result.stderr


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    (tmp_path / "taken").write_text("a file")
    result = hf_icrl("quickstart", "--smoke", "--output_dir", tmp_path / "taken" / "out")
    assert result.returncode == 1
    assert "Choose a folder that you may write to" in result.stderr
    assert "Traceback" not in result.stderr
