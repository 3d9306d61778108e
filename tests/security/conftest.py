"""The samples, made once a session."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from security.samples import make

from hf_icrl.trainers.checkpoints import read_manifest


@dataclass
class Samples:
    """A folder of samples, and what some readers compare them with."""

    root: Path
    model: Any
    recipe: Any
    run: dict
    mixture: dict


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root / "minari"))
        model, recipe = make(root)
    (root / "overrides").mkdir()
    (root / "overrides" / "overrides.json").write_text(json.dumps(["--evaluate.seeds", "3", "--collect.params.a=b"]))
    (root / "space").mkdir()
    (root / "space" / "space.yaml").write_text(yaml.safe_dump(SPACE))
    run = read_manifest(root / "run" / "checkpoint-2")["run"]
    begun = {"reconcile": "refuse", "parts": [{"name": "a", "weight": 1.0}, {"name": "b", "weight": 1.0}]}
    return Samples(root, model, recipe, run, begun)


SPACE = {"type": "Box", "shape": [2], "low": [0.0, 0.0], "high": [1.0, 1.0]}
