"""The card of a model that acts with any number of actions: its evaluation sets, and code that runs as printed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hf_icrl import HeadlessADConfig, HeadlessADModel, evaluate_sets, task_family
from hf_icrl.model_cards import write_model_card
from hf_icrl.sources import make_source
from hf_icrl.sources.reference import source_reference

CHECKOUT = Path(__file__).resolve().parents[2]


def tiny(observation_space, num_actions):
    torch.manual_seed(0)
    trunk = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    action_space = {"type": "Discrete", "n": num_actions}
    return HeadlessADModel(
        HeadlessADConfig(
            observation_space=observation_space, action_space=action_space, context_length=20, trunk_config=trunk
        )
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, reports): a bandit model in `model`, evaluated on three sets against its source."""
    folder = tmp_path_factory.mktemp("card")
    family = task_family("bernoulli_bandit", num_arms=6, horizon=20)
    train, held_out = family.split(held_out=3, population={"num": 12, "min_arms": 3})
    sets = {name: family.evaluation_set(name, num=4, train=train, held_out=held_out) for name in ("train", "num_9")}
    sets["held_out"] = family, held_out
    references = {
        name: source_reference(make_source("thompson"), its_family, tasks, episodes=1, seed=0)
        for name, (its_family, tasks) in sets.items()
    }
    model = tiny({"type": "Discrete", "n": 1}, 6)
    model.save_pretrained(folder / "model")
    reports = evaluate_sets(model, sets, episodes=1, seeds=2, last_episodes=1, references=references, command="mine")
    reports.save(folder / "model")
    reports["held_out"].save(folder / "model")
    write_model_card(folder / "model", report=reports["held_out"], model_id="model")
    return folder, reports


def code_of(card):
    return "\n".join(re.findall(r"^```python\n(.*?)^```", card.read_text(), flags=re.MULTILINE | re.DOTALL))


def run_code(code, folder):
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(CHECKOUT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_every_set_has_its_row_and_every_picture_is_shown(run):
    folder, reports = run
    text = (folder / "model" / "README.md").read_text()
    assert "# Headless-AD on BernoulliBandit" in text
    assert "arxiv:2312.13327" in text
    head = "| set | tasks | actions | normalised regret | 95 % interval | regret | thompson | random |"
    assert head in text
    for name, report in reports.items():
        score, regret = report["regret_normalized"], report["regret"]["mean"]
        row = re.search(rf"^\| {name} \| (.*) \|$", text, flags=re.MULTILINE)[1].split(" | ")
        mean = sum(report["source_regret"]) / len(report["tasks"])
        chance = (sum(report["oracle_return"]) - sum(report["random_return"])) / len(report["tasks"])
        assert row[0] == str(len(report["tasks"]))
        assert float(row[1]) == pytest.approx(report["available_actions"], abs=1e-3)
        assert float(row[2]) == pytest.approx(score["mean"], abs=6e-4)
        if score["ci95"] is None:
            assert row[3] == "-"
        else:
            assert [float(end) for end in row[3].split(" to ")] == pytest.approx(score["ci95"], abs=6e-4)
        assert [float(value) for value in row[4:]] == pytest.approx([regret, mean, chance], abs=6e-3)
    assert "Normalised regret is 0 for random and 1 for thompson" in text
    assert "on a scale where uniformly random pulls are 0 and thompson is 1." in text
    for picture in ("sets.png", "regret.png"):
        assert f"]({picture})" in text
    assert "success.png" not in text
    assert "any number of Discrete ones, each known by a random vector of 64 numbers" in text


def test_the_code_runs_as_printed_and_says_which_actions_there_are(run):
    folder, _ = run
    code = code_of(folder / "model" / "README.md")
    assert "available = family.available_actions(tasks)" in code
    assert "init_rollout(len(tasks), seed=0, available_actions=available)" in code
    done = run_code(code + "\nprint(state.available_actions[:, -1].any(), state.available_actions.sum())", folder)
    assert done.returncode == 0, done.stderr
    assert "Rollout: 3 rows x 1 episode" in done.stdout
    assert done.stdout.rpartition("False ")[1], done.stdout


def test_where_all_tasks_have_all_actions_the_code_makes_the_sets(tmp_path):
    model = tiny({"type": "Discrete", "n": 9}, 4)
    model.save_pretrained(tmp_path / "model")
    words = {"size": 3, "horizon": 4, "terminate_on_goal": True, "word_length": 2, "words": "train"}
    recipe = {"environment": {"family": "dark_room", "kwargs": words}}
    code = code_of(write_model_card(tmp_path / "model", recipe=recipe, model_id="model"))
    assert "available = np.ones((len(tasks), family.num_actions), bool)" in code
    done = run_code(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_without_evaluation_sets_or_with_those_of_an_earlier_version_there_is_no_table(run, tmp_path):
    folder, reports = run
    assert "## Evaluation sets" not in write_model_card(tmp_path, report=reports["held_out"]).read_text()
    summary = json.loads((folder / "model" / "evaluation_sets.json").read_text())
    summary.pop("score")
    (tmp_path / "evaluation_sets.json").write_text(json.dumps(summary))
    assert "## Evaluation sets" not in write_model_card(tmp_path, report=reports["held_out"]).read_text()


def test_sets_that_were_left_out_and_sets_without_a_scale_are_told(run, tmp_path):
    folder, reports = run
    summary = json.loads((folder / "model" / "evaluation_sets.json").read_text())
    summary["skipped"] = {"num_50": "it has 50 actions, and this model acts with exactly 6"}
    summary["score"] = {"name": "return", "is_0_and_1": None}
    for one in summary["sets"].values():
        one.update(regret=None, source=None, available_actions=None, random_return=None)
        one["score"]["ci95"] = None
        del one["regret"]
    (tmp_path / "evaluation_sets.json").write_text(json.dumps(summary))
    text = write_model_card(tmp_path, report=reports["held_out"]).read_text()
    assert "Left out: `num_50`, since it has 50 actions" in text
    assert "| set | tasks | actions | return | 95 % interval | random |" in text
    assert re.search(r"^\| held_out \| 3 \| - \| [\d.-]+ \| - \| - \|$", text, flags=re.MULTILINE)
    assert " is 0 for " not in text
