"""Loading executes nothing that a file names, unless code was trusted: a sentinel file would tell."""

import json
import pickle
import shutil

import pytest
import torch
import yaml

import hf_icrl
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.main import main
from hf_icrl.cli.recipe import Recipe
from hf_icrl.histories import load_parts
from hf_icrl.model_cards import check_model_card_place, write_model_card
from hf_icrl.model_folder import load_config, load_model
from hf_icrl.rollouts import Report


@pytest.fixture
def sentinel(tmp_path):
    return tmp_path / "executed"


@pytest.fixture
def evil(tmp_path, sentinel, monkeypatch):
    """A module on the path whose import writes the sentinel; the name is of this test alone, since imports are kept."""
    name = f"evil_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(f"import pathlib\npathlib.Path({str(sentinel)!r}).touch()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def model_folder(samples, tmp_path):
    return shutil.copytree(samples.root / "model", tmp_path / "model")


def change(path, **values):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | values))


def remote_code(folder, evil, **values):
    """Let config.json name classes in the module `evil`, which lies beside it."""
    shutil.copy(folder.parent / f"{evil}.py", folder / f"{evil}.py")
    auto_map = {name: f"{evil}.{name[4:]}" for name in ("AutoConfig", "AutoModel")}
    change(folder / "config.json", auto_map=auto_map, **values)


def test_a_model_of_our_type_is_built_by_our_code_whatever_its_auto_map_says(model_folder, evil, sentinel):
    remote_code(model_folder, evil)
    assert type(load_config(model_folder)) is hf_icrl.AlgorithmDistillationConfig
    assert type(load_model(model_folder)) is hf_icrl.AlgorithmDistillationModel
    assert not sentinel.exists()


def test_the_code_of_an_unknown_type_is_not_executed(model_folder, evil, sentinel, tmp_path, capsys):
    remote_code(model_folder, evil, model_type="unheard_of")
    for load in (load_config, load_model, hf_icrl.evaluate):
        with pytest.raises(ValueError, match="trust_remote_code"):
            load(model_folder)
    for verb in (("describe", model_folder), ("evaluate", "--model", model_folder, "--output_dir", tmp_path / "out")):
        assert main(list(map(str, verb))) == 1
        assert "trust_remote_code" in capsys.readouterr().err
    assert not sentinel.exists()
    # The sentinel does tell: with the flag, transformers executes the file (and then finds no class in it).
    from transformers import AutoConfig

    with pytest.raises(AttributeError):
        AutoConfig.from_pretrained(str(model_folder), trust_remote_code=True)
    assert sentinel.exists()


def test_a_trunk_names_no_code(model_folder, evil, sentinel):
    trunk = json.loads((model_folder / "config.json").read_text())["trunk_config"]
    code = {"AutoConfig": f"{evil}.Config", "AutoModel": f"{evil}.Model"}
    kernel = {"attn_implementation": "somebody/some-kernel", "_attn_implementation": "somebody/some-kernel"}
    remote_code(model_folder, evil, trunk_config={**trunk, "auto_map": code, **kernel}, **kernel)
    model = load_model(model_folder)
    assert model.trunk.config._attn_implementation in ("sdpa", "eager")
    assert model.config._attn_implementation in (None, "sdpa", "eager")
    assert not sentinel.exists()


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_pickled_weights_are_not_read(model_folder, sentinel):
    (model_folder / "model.safetensors").unlink()
    torch.save({"x": Payload(str(sentinel))}, model_folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_model(model_folder)
    assert not sentinel.exists()
    pickle.loads(pickle.dumps(Payload(str(sentinel)))).close()
    assert sentinel.exists()


def evil_recipe(evil):
    recipe = yaml.safe_load(Recipe.load("quickstart_smoke").to_yaml())
    population = {"num": 8, "vary": {"length": [0.3, 0.8]}}
    environment = {"family": "gymnasium", "kwargs": {"env": f"{evil}:CartPole-v1"}, "population": population}
    return recipe | {"environment": environment | {"held_out": 2}}


def test_a_recipe_imports_no_module(evil, sentinel, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_ICRL_TRUST_REMOTE_CODE", "0")  # so that it is put back
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(evil_recipe(evil)))
    verb = ["collect", "--config", str(path), "--output_dir", str(tmp_path / "run")]
    assert main(verb) == 1
    error = capsys.readouterr().err
    assert "names Python code that would be run" in error
    assert "--trust_remote_code" in error
    assert not sentinel.exists()
    # With the flag it is imported; the recipe is then refused for its source, which wants to know the optimal policy.
    assert main([*verb, "--trust_remote_code"]) == 1
    assert "names Python code" not in capsys.readouterr().err
    assert sentinel.exists()


def test_what_lies_beside_a_model_or_data_imports_no_module(model_folder, samples, evil, sentinel, tmp_path):
    kwargs = {"family": "gymnasium", "env_kwargs": {"env": f"{evil}:CartPole-v1", "kwargs": {}, "horizon": 5}}
    # The recipe of a model.
    (model_folder / "recipe.yaml").write_text(yaml.safe_dump(evil_recipe(evil)))
    with pytest.raises(ValueError, match="names Python code"):
        hf_icrl.evaluate(model_folder, episodes=1, seeds=1)
    # The record of its data.
    shutil.copy(samples.root / "dataset" / "history_info.json", model_folder)
    change(model_folder / "history_info.json", **kwargs)
    with pytest.raises(ValueError, match="names Python code"):
        hf_icrl.evaluate(model_folder, episodes=1, seeds=1)
    # Its report, for a card.
    change(model_folder / "report.json", **kwargs)
    with pytest.raises(ValueError, match="names Python code"):
        write_model_card(model_folder, report=Report.from_file(model_folder))
    # A data set.
    data = shutil.copytree(samples.root / "dataset", tmp_path / "data")
    change(data / "history_info.json", **kwargs)
    load_parts(data)
    assert not sentinel.exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:pathlib.Path.touch", "!!python/object/new:os.system"])
def test_yaml_makes_plain_values_only(model_folder, sentinel, tag, tmp_path):
    code = f"{tag} [{sentinel}]"
    with pytest.raises(UsageError, match="not valid YAML"):
        Recipe.from_text(f"environment: {code}", "r.yaml")
    with pytest.raises(UsageError, match="not valid YAML"):
        Recipe.from_text("evaluate: {}", "r.yaml", overrides=["--evaluate.seeds", code])
    (model_folder / "recipe.yaml").write_text(f"environment: {code}\n")
    with pytest.raises(ValueError, match="not valid YAML"):
        hf_icrl.evaluate(model_folder, episodes=1, seeds=1)
    (model_folder / "README.md").write_text(f"---\nlibrary_name: {code}\n---\n")
    with pytest.raises(ValueError, match="was not written by hf-icrl"):
        check_model_card_place(model_folder)
    (model_folder / "README.md").unlink()
    (model_folder / ".eval_results" / "other.yaml").write_text(f"- dataset: {code}\n")
    write_model_card(model_folder)  # reads every file there
    assert not sentinel.exists()
