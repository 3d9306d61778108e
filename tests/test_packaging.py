"""What setup.cfg lists is what there is."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAPPED = ("trainers", "dataset_builders", "model_cards")


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def names(text):
    return [re.split(r"[\[<>=! ]", line)[0] for line in text.split()]


def test_every_package_folder_is_listed():
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "hf_icrl").rglob("__init__.py")}
    for top in MAPPED:
        found |= {"hf_icrl." + ".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / top).rglob("__init__.py")}
    assert set(setup_cfg()["options"]["packages"].split()) == found


def test_base_install_is_the_stack_plus_at_most_six():
    stack = {"torch", "transformers", "datasets", "peft", "trl", "accelerate", "gymnasium", "huggingface_hub"}
    required = set(names(setup_cfg()["options"]["install_requires"]))
    assert stack <= required
    assert len(required - stack) <= 6


def test_every_requirement_is_pinned_in_the_constraints_at_or_above_its_lower_bound():
    from packaging.requirements import Requirement

    pins = dict(
        line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().split("\n") if "==" in line
    )
    config = setup_cfg()
    lines = config["options"]["install_requires"].split() + config["options.extras_require"]["test"].split()
    assert len(lines) > 10
    for line in lines:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[requirement.name.lower()]), line
