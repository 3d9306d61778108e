"""The model card: metadata that the Hub reads, figures that are the report's, code that runs as printed."""

import os
import re
import subprocess
import sys

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel, evaluate, task_family
from hf_icrl.model_cards import write_model_card
from hf_icrl.rollouts import Report

RECIPE = {
    "environment": {"family": "dark_room", "kwargs": {"size": 4, "horizon": 6}},
    "train": {"learning_rate": 1e-3},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder in which the command ran, the report): the model lies in `run/model` with report and pictures."""
    folder = tmp_path_factory.mktemp("card")
    family = task_family("dark_room", size=4, horizon=6)
    config = AlgorithmDistillationConfig(
        observation_space={"type": "Discrete", "n": 16},
        action_space={"type": "Discrete", "n": 5},
        context_length=20,
        trunk_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    before = os.getcwd(), torch.get_num_threads()
    os.chdir(folder)
    torch.set_num_threads(1)
    AlgorithmDistillationModel(config).save_pretrained("run/model")
    held_out = family.split()[1]
    report = evaluate("run/model", family, held_out, seeds=2, episodes=6, command="hf-icrl evaluate --model run/model")
    report.save("run/model")
    write_model_card("run/model", report=report, recipe=RECIPE)
    os.chdir(before[0])
    torch.set_num_threads(before[1])
    return folder, report


def code_blocks(path, language="python"):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_hub_reads_the_metadata_and_the_results(run):
    folder, report = run
    data = ModelCard.load(folder / "run" / "model" / "README.md").data
    assert (data.library_name, data.pipeline_tag, data.license) == ("hf-icrl", "reinforcement-learning", "apache-2.0")
    assert "algorithm-distillation" in data.tags
    assert data.datasets is None
    assert data.base_model is None
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values["normalized_return"] == pytest.approx(report["normalized_return"]["mean"], abs=1e-4)
    assert values["normalized_return_worst_task"] == pytest.approx(report["normalized_return"]["worst"], abs=1e-4)
    assert data.eval_results[0].dataset_type == "hf_icrl/DarkRoom-v0"
    entries = yaml.safe_load((folder / "run" / "model" / ".eval_results" / "dark_room.yaml").read_text())
    (entry,) = parse_eval_result_entries(entries)
    assert entry.task_id == "dark_room"
    assert entry.value == pytest.approx(report["normalized_return"]["mean"], abs=1e-4)
    assert "3 held-out tasks, 2 seeds" in entry.notes


def test_every_figure_of_the_table_and_the_command_are_in_the_text(run):
    folder, report = run
    text = (folder / "run" / "model" / "README.md").read_text()
    for name, value, _ in report.rows():
        assert f"| {name} | {value} |" in text
    assert "![Learning curve" in text
    assert "(learning_curve.png)" in text
    assert "(replay.mp4)" in text
    assert code_blocks(folder / "run" / "model" / "README.md", "bash") == ["hf-icrl evaluate --model run/model\n"]
    (recipe,) = code_blocks(folder / "run" / "model" / "README.md", "yaml")
    assert yaml.safe_load(recipe) == RECIPE
    model = AlgorithmDistillationModel.from_pretrained(folder / "run" / "model")
    assert f"| parameters | {sum(p.numel() for p in model.parameters()):,} |" in text
    assert "context | 20 environment steps" in text


def test_the_code_runs_as_printed_where_the_command_ran(run):
    folder, _ = run
    blocks = code_blocks(folder / "run" / "model" / "README.md")
    assert len(blocks) == 2
    checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": checkout, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Rollout: 3 rows x 6 episodes; mean return" in done.stdout


def test_names_for_the_hub_can_be_given(run, tmp_path):
    _, report = run
    values = {**report.values, "dataset": "alice/dark-room-histories"}
    path = write_model_card(tmp_path, report=Report(values), base_model="alice/base", model_id="alice/agent")
    data = ModelCard.load(path).data
    assert data.datasets == ["alice/dark-room-histories"]
    assert data.base_model == "alice/base"
    assert 'AutoModel.from_pretrained("alice/agent")' in path.read_text()
    # Pictures that are not there are not shown.
    assert "learning_curve.png" not in path.read_text()


def test_a_folder_is_no_hub_dataset(run, tmp_path, monkeypatch):
    _, report = run
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart" / "dataset").mkdir(parents=True)
    path = write_model_card(tmp_path, report=Report({**report.values, "dataset": "quickstart/dataset"}))
    assert ModelCard.load(path).data.datasets is None


def test_without_a_report_the_card_says_so(run, tmp_path):
    folder, _ = run
    path = write_model_card(tmp_path, recipe=RECIPE, model_id=str(folder / "run" / "model"))
    card = ModelCard.load(path)
    assert card.data.eval_results is None
    assert "has not been evaluated" in card.text
    assert 'task_family("dark_room", size=4, horizon=6)' in card.text
    assert not (tmp_path / ".eval_results").exists()
    bare = ModelCard.load(write_model_card(tmp_path / "bare"))
    assert bare.data.library_name == "hf-icrl"


def test_only_held_out_results_are_offered_to_leaderboards(run, tmp_path):
    _, report = run
    write_model_card(tmp_path, report=Report({**report.values, "evaluation_set": "validation"}))
    assert not (tmp_path / ".eval_results").exists()


WITHOUT_SCALE = {"normalized_return": None, "oracle_return": [None] * 3, "random_return": [None] * 3}


@pytest.mark.parametrize("later", [None, {"evaluation_set": "validation"}, {"note": "a smoke run"}, WITHOUT_SCALE, {}])
def test_results_of_an_earlier_card_never_contradict_the_folder(run, tmp_path, later):
    _, report = run
    write_model_card(tmp_path, report=report)
    ours = tmp_path / ".eval_results" / "dark_room.yaml"
    ours.with_name("earlier_family.yaml").write_text(ours.read_text())
    foreign = ours.with_name("mine.yaml")
    foreign.write_text("- dataset:\n    id: alice/benchmark\n    task_id: a\n  value: 1\n")
    write_model_card(tmp_path, report=None if later is None else Report({**report.values, **later}))
    expected = {foreign, ours} if later == {} else {foreign}
    assert set(foreign.parent.iterdir()) == expected


def test_a_report_with_a_note_is_shown_but_offered_to_no_leaderboard(run, tmp_path):
    _, report = run
    path = write_model_card(tmp_path, report=Report({**report.values, "note": "smoke run: it learned nothing"}))
    assert "> smoke run: it learned nothing" in path.read_text()
    assert "| normalised return |" in path.read_text()
    assert ModelCard.load(path).data.eval_results is None
    assert "model-index" not in path.read_text()
    assert not (tmp_path / ".eval_results").exists()


@pytest.mark.parametrize("text", ["# my project\n", "---\nlibrary_name: peft\n---\n", "---\n- a\n---\n", "", "---\n"])
def test_the_readme_of_somebody_else_is_not_replaced(run, tmp_path, text):
    _, report = run
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md was not written by hf-icrl, .* move it away"):
        write_model_card(tmp_path, report=report)
    assert path.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]


def test_the_card_says_when_no_learner_made_the_data(tmp_path):
    info = {
        **dict.fromkeys(("num_histories", "num_transitions", "episodes"), 7),
        "family": "dark_room",
        "env_id": "hf_icrl/DarkRoom-v0",
        "env_kwargs": {"start": "corner"},
        "tasks": {"train": [{"goal": [0, 1]}], "held_out": [{"goal": [1, 1]}]},
        "source": {"name": "noise_curriculum", "description": "Noise."},
    }
    text = write_model_card(tmp_path, dataset_info=info).read_text()
    assert "They come from a demonstrator whose noise decays, not from a learner." in text
    # Code is quoted in one way throughout.
    assert 'task_family("dark_room", start="corner")' in text
    assert 'tasks = [{"goal": [1, 1]}]' in text
    info["source"] = {"name": "q_learning", "description": "Q-learning."}
    assert "demonstrator" not in write_model_card(tmp_path, dataset_info=info).read_text()


def test_a_family_without_scale_is_shown(run, tmp_path):
    _, report = run
    path = write_model_card(tmp_path, report=Report({**report.values, **WITHOUT_SCALE}))
    (result,) = ModelCard.load(path).data.eval_results
    assert result.metric_type == "mean_reward"
    assert result.metric_value == pytest.approx(report["last_episodes_return"], abs=1e-4)
