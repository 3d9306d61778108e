"""The command line as a person meets it: real processes, exit codes, one clear sentence."""

import re
import subprocess
import sys

import pytest
from tests_support import hf_icrl


@pytest.mark.parametrize("verb", [None, "quickstart", "collect", "import", "train", "evaluate", "describe", "env"])
def test_help_is_cheap_and_shows_the_usage(verb):
    args = [verb, "--help"] if verb else ["--help"]
    code = (
        "import sys\nfrom hf_icrl.cli.main import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit as stop:\n"
        "    heavy = {'torch', 'transformers', 'datasets', 'gymnasium', 'matplotlib'} & set(sys.modules)\n"
        "    assert stop.code == 0 and not heavy, (stop.code, heavy)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: hf-icrl ")
    assert (verb or "quickstart") in result.stdout


def test_no_verb_shows_help_and_is_wrong_usage():
    result = hf_icrl()
    assert result.returncode == 2
    assert "quickstart" in result.stdout


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["quikstart"], 2, "invalid choice: 'quikstart'"),
        (["quickstart", "--sede", "1"], 2, "unrecognized arguments: --sede 1"),
        (["quickstart", "--seed", "-1"], 2, "--seed is -1; it must be from 0 to 4294967295"),
        (["collect"], 2, "--config"),
        (["collect", "--config", "quickstart", "--collect.episods", "3"], 2, "did you mean 'episodes'"),
        (["collect", "--config", "quickstart", "--environment.family", "dark_rom"], 1, "dark_room"),
        (["collect", "--config", "quickstart", "--environment.kwargs.sise", "3"], 1, "size"),
        (["describe", "no/such-thing"], 1, "no/such-thing is neither a folder here nor"),
        (["evaluate", "--model", "no/such-thing"], 2, "there is no folder no/such-thing"),
        (
            ["evaluate", "--model", "no/such-thing", "--output_dir", "o"],
            1,
            "no/such-thing is neither a folder here nor",
        ),
    ],
)
def test_a_mistake_is_one_clear_sentence_with_the_right_exit_code(args, code, message, tmp_path):
    result = hf_icrl(*args, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_env_prints_the_versions():
    import torch

    result = hf_icrl("env")
    assert result.returncode == 0
    assert re.search(rf"^torch +{re.escape(torch.__version__)}$", result.stdout, re.MULTILINE)
    assert "hf_icrl" in result.stdout
