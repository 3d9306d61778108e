"""Checkpoints of every format that was ever released go on doing what they did; newer ones are refused with words."""

import json
import re
import shutil

import numpy as np
import pytest
from make_checkpoint import FOLDER, play
from tiny_configs import registered_types, tiny_config
from transformers import AutoConfig, AutoModel

import hf_icrl

FROZEN = sorted(path.name for path in FOLDER.iterdir())
NEWEST = {name: type(tiny_config(name)).newest_format_version for name in registered_types()}


def test_every_model_has_a_frozen_checkpoint_of_every_format():
    assert {f"{name}-v{version}" for name in NEWEST for version in range(1, NEWEST[name] + 1)} <= set(FROZEN)


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_checkpoint_does_what_it_did(name, tmp_path):
    folder = FOLDER / name
    saved, expected = (json.loads((folder / file).read_text()) for file in ("config.json", "expected.json"))
    assert name.startswith(saved["model_type"])
    assert name.endswith(f"-v{saved.get('format_version', 1)}")
    actions, logits = np.asarray(expected["actions"]), np.asarray(expected["logits"], np.float64)
    minus_infinity = np.isnan(logits)
    logits[minus_infinity] = -np.inf

    model, info = AutoModel.from_pretrained(folder, trust_remote_code=False, output_loading_info=True)
    assert not any(info.values()), info
    model.save_pretrained(tmp_path)
    for loaded in (model, AutoModel.from_pretrained(tmp_path)):
        now_actions, now_logits = play(loaded, expected)
        if actions.dtype == np.int64:
            np.testing.assert_array_equal(now_actions, actions)
        else:  # numbers that were computed, as the logits
            np.testing.assert_allclose(now_actions, actions, atol=1e-5, rtol=0)
        np.testing.assert_allclose(now_logits, logits, atol=1e-5, rtol=0)
    assert json.loads((tmp_path / "config.json").read_text())["format_version"] == NEWEST[saved["model_type"]]


@pytest.fixture
def changed(tmp_path):
    """`changed(name, **entries)`: a copy of a frozen checkpoint whose config.json has other entries."""

    def change(name, **entries):
        shutil.copytree(FOLDER / name, tmp_path / "model")
        path = tmp_path / "model" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
        return tmp_path / "model"

    return change


@pytest.mark.parametrize("model_type", NEWEST)
@pytest.mark.parametrize("further", [{}, {"a_new_entry": 1, "trunk_config": {"model_type": "not_yet_invented"}}])
def test_a_newer_format_is_refused_before_anything_else_of_it_is_read(changed, model_type, further):
    newest = NEWEST[model_type]
    folder = changed(f"{model_type}-v1", format_version=newest + 1, hf_icrl_version="9.8.7", **further)
    message = (
        rf"format version {newest + 1} \(it was made by hf_icrl 9\.8\.7\), but this version of hf_icrl reads those up to "
        rf"{newest}: upgrade it \(pip install --upgrade hf-icrl\)\. Or load .* with trust_remote_code=True"
    )
    for load in (AutoConfig.from_pretrained, AutoModel.from_pretrained, type(tiny_config(model_type)).from_pretrained):
        with pytest.raises(ValueError, match=message):
            load(folder)


@pytest.mark.parametrize("odd", ["2", 0, -1, 1.0, True, None])
def test_a_version_that_is_none_is_refused(changed, odd):
    folder = changed("hf_icrl_algorithm_distillation-v1", format_version=odd)
    with pytest.raises(ValueError, match=re.escape(f"the config file says format_version={odd!r}")):
        AutoConfig.from_pretrained(folder)


def test_the_version_is_not_for_the_user_to_say():
    config = {"observation_space": {"type": "Discrete", "n": 3}, "action_space": {"type": "Discrete", "n": 2}}
    message = "format_version=7, but this code writes 1: leave it out"
    with pytest.raises(ValueError, match=message):
        hf_icrl.AlgorithmDistillationConfig(**config, format_version=7)
    with pytest.raises(ValueError, match=message):
        AutoConfig.from_pretrained(FOLDER / "hf_icrl_algorithm_distillation-v1", format_version=7)
