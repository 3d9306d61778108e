"""The README's Python runs as printed, on the smoke quickstart's folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset, load_from_disk
from tests_support import hf_icrl
from transformers import AutoModel

from hf_icrl import collect, push
from hf_icrl.cli.main import main

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with `quickstart/` in it, as after the README's first command."""
    folder = tmp_path_factory.mktemp("readme")
    assert hf_icrl("quickstart", "--smoke", cwd=folder).returncode == 0
    return folder


def test_the_python_blocks_run_one_after_the_other(folder):
    here = README[: README.index("## On the Hub")]
    blocks = re.findall(r"```python\n(.*?)```", here, re.DOTALL)
    assert len(blocks) >= 2
    # Fewer steps than printed, the same calls.
    code = "\n".join(blocks)
    for printed, short in {
        "episodes=40": "episodes=2",
        "range(200)": "range(5)",
        "max_steps=100": "max_steps=2",
    }.items():
        assert printed in code
        code = code.replace(printed, short)
    code = code.replace("length=200, num_windows=16 * 100", "length=60, num_windows=16 * 2")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "normalised return" in result.stdout
    assert {"config.json", "model.safetensors", "history_info.json"} <= {
        p.name for p in (folder / "fine-tuned").iterdir()
    }


def test_the_commands_and_the_python_about_the_hub_work(folder, hub, monkeypatch, capsys):
    section = README[README.index("## On the Hub") : README.index("## On the command line")]
    token = hub.token("you")
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.chdir(folder)
    commands = re.findall(r"^hf-icrl (push .*)$", section, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(command.split()) == 0, capsys.readouterr().err
    collect(
        family="key_to_door",
        env_kwargs={"size": 9, "horizon": 20},
        source="noise_curriculum",
        held_out=6400,
        histories_per_task=1,
        episodes=5,
        output_dir="keys",
        progress=False,
    )
    push("keys", "you/key-to-door-histories")
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for printed, short in {
        "length=200, num_windows=16 * 100": "length=60, num_windows=16 * 2",
        "max_steps=100": "max_steps=2",
    }.items():
        assert printed in code
        code = code.replace(printed, short)
    code += "\nactions = model.act(model.init_rollout(2, seed=0), [3, 77])\nprint(actions.tolist())\n"
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parent.parent)]))
    hub.run_python(code, token=token, cwd=folder, PYTHONPATH=path)
    merged = AutoModel.from_pretrained("you/key-to-door-ad")
    assert type(merged).__name__ == "AlgorithmDistillationModel"
    assert "adapter_model.safetensors" in hub.repository("you/key-to-door-lora").paths()
    assert len(load_dataset("you/dark-room-histories", split="train")) == len(load_from_disk("quickstart/dataset"))


def test_every_file_that_is_linked_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 3
    assert [link for link in links if not (Path(__file__).parent.parent / link).exists()] == []


def test_every_verb_and_no_other_is_listed():
    from hf_icrl.cli.main import VERBS

    block = README[README.index("## On the command line") :]
    block = block[block.index("```") : block.index("```", block.index("```") + 3)]
    assert re.findall(r"^hf-icrl (\w+)", block, re.MULTILINE) == list(VERBS)
