"""Access tokens reach neither reports, cards and recipes nor anything that is printed."""

import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hf_icrl
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.main import main
from hf_icrl.cli.recipe import Recipe
from hf_icrl.histories import read_info, write_info
from hf_icrl.model_cards import write_dataset_card, write_model_card
from hf_icrl.redaction import HIDDEN, secrets_in, without_tokens

TOKEN = "hf_" + "aBcDeFgHiJ" * 3 + "kLmN"
# Not of the Hub's form: known from the environment, or by the name of its option.
ODD = "odd-secret-0123"


@pytest.fixture(autouse=True)
def token_in_the_environment(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", ODD)


def everything_in(folder):
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file()).decode("utf-8", "replace")


@given(st.text(), st.text())
def test_tokens_are_hidden_wherever_they_stand(before, after):
    for secret in (TOKEN, ODD):
        assert secret not in without_tokens(f"{before}{secret}{after}")


@pytest.mark.parametrize(
    "text",
    [
        "hf_icrl",
        "hf_icrl.histories.info",
        "hf_hub_download_with_a_long_name",
        "a@b.c",
        "https://huggingface.co/a/b@main",
    ],
)
def test_ordinary_words_stay(text):
    assert without_tokens(text) == text


def test_user_information_of_urls_is_hidden():
    text = without_tokens("git clone https://user:pa55word@huggingface.co/a/b")
    assert text == f"git clone https://{HIDDEN}@huggingface.co/a/b"


def test_the_values_of_secret_options_are_found():
    line = [
        "push",
        "x",
        "--token",
        "first",
        "--train.hub_token=second",
        "--api-key",
        "--seed",
        "3",
        "--tokens_per",
        "9",
    ]
    assert secrets_in(line) == ["first", "second"]
    assert secrets_in(["--wandb.api_key", "third"]) == ["third"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["describe", "x", "--token", "unknowable"],
        ["describe", f"https://user:{TOKEN}@huggingface.co/a/b"],
        ["evaluate", "--model", TOKEN],
        ["collect", "--config", "quickstart", "--train.hub_token", "unknowable"],
        ["collect", "--config", "quickstart", f"--environment.kwargs.goal={TOKEN}"],
        ["collect", "--config", "quickstart", "--evaluate.evaluation_set", ODD],
        ["collect", "--config", f"{TOKEN}.yaml"],
        [TOKEN],
        ["import", TOKEN, "x"],
        ["quickstart", "--seed", TOKEN],
    ],
)
@pytest.mark.parametrize("traceback", ["", "1"])
def test_errors_do_not_repeat_a_token(arguments, traceback, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ICRL_TRACEBACK", traceback)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        code = main(arguments)
    except SystemExit as error:
        code = error.code
    printed = "".join(capsys.readouterr())
    assert code in (1, 2)
    assert printed
    for secret in (TOKEN, ODD, "unknowable"):
        assert secret not in printed


@pytest.mark.parametrize("line", [f"run_name: {TOKEN}", "hub_token: unknowable", f"report_to: [{ODD}]"])
def test_a_recipe_with_a_token_is_refused(line):
    with pytest.raises(UsageError, match="HF_TOKEN") as error:
        Recipe.from_text(f"train: {{max_steps: 1, {line}}}", "r.yaml").check()
    assert TOKEN not in str(error.value)
    assert "unknowable" not in str(error.value)


def test_reports_and_cards_hold_no_token(samples, tmp_path):
    folder = shutil.copytree(samples.root / "model", tmp_path / "model")
    (folder / "README.md").unlink()
    model = hf_icrl.AlgorithmDistillationModel.from_pretrained(folder)
    family = hf_icrl.task_family("dark_room", size=3, horizon=4)
    command = f"hf-icrl push {folder} --token {TOKEN} {ODD}"
    data = f"https://user:{TOKEN}@huggingface.co/datasets/a/b"
    given = {"command": command, "dataset": data, "episodes": 1, "seeds": 1}
    report = hf_icrl.evaluate(model, family, family.tasks()[:2], evaluation_set="train", **given)
    report.save(folder)
    sets = {"one_train": (family, family.tasks()[:2]), "two_train": (family, family.tasks()[2:4])}
    hf_icrl.evaluate_sets(model, sets, **given).save(folder)
    info = read_info(samples.root / "dataset") | {"command": command}
    write_model_card(folder, report=report, dataset_info=info, model_id=data)
    data_folder = tmp_path / "data"
    data_folder.mkdir()
    write_info(data_folder, info)
    write_dataset_card(data_folder, info)
    written = everything_in(tmp_path)
    assert written.count(HIDDEN) >= 6
    assert TOKEN not in written
    assert ODD not in written


def test_the_command_line_writes_no_token(samples, tmp_path, capsys):
    folder = shutil.copytree(samples.root / "model", tmp_path / "model")
    # What the command was is written into the report; here one of its arguments is a path with a token in it.
    out = tmp_path / "out"
    recipe = tmp_path / ODD / "recipe.yaml"
    recipe.parent.mkdir()
    shutil.copy(folder / "recipe.yaml", recipe)
    assert main(["evaluate", "--model", str(folder), "--config", str(recipe), "--output_dir", str(out)]) == 0
    printed, written = "".join(capsys.readouterr()), everything_in(out)
    assert f"{HIDDEN}/recipe.yaml" in written
    assert ODD not in written + printed
