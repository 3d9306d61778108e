"""That a model saves, loads and begins as any transformers model does; the first part of `ModelChecks`."""

import json
import logging
import re

import numpy as np
import pytest
import torch
from accelerate import infer_auto_device_map
from safetensors.torch import load_file, save_file
from tiny_configs import TRUNKS, tiny_config
from torch import nn
from transformers import AutoConfig, AutoModel

of_every_layout = pytest.mark.parametrize("layout", ["fused", "interleaved"])
# Every trunk, and both layouts, but not all pairs: neither knows of the other.
PAIRS = [
    ("llama", "fused"),
    ("llama", "interleaved"),
    ("gpt2", "interleaved"),
    ("qwen3", "fused"),
    ("mistral", "fused"),
]
assert {trunk for trunk, _ in PAIRS} == TRUNKS.keys()
of_every_trunk_and_layout = pytest.mark.parametrize(("trunk", "layout"), PAIRS)


def random_sets(rows, actions, seed=0, share=0.5):
    """Action sets, bool (rows, actions), none of them empty."""
    rng = np.random.default_rng(seed)
    sets = rng.random((rows, actions)) < share
    sets[np.arange(rows), rng.integers(actions, size=rows)] = True
    return sets


class LoadingChecks:
    """Fixtures that make a model and its inputs from its tiny config, and the checks of what is on the disk."""

    model_type = None

    @pytest.fixture
    def build(self):
        """`build(trunk="llama", seed=0, **changes)`: a model of the tiny config, in eval mode."""

        def build(trunk="llama", seed=0, **changes):
            with torch.random.fork_rng(devices=[]):
                torch.random.default_generator.manual_seed(seed)
                return AutoModel.from_config(tiny_config(self.model_type, trunk, **changes)).eval()

        return build

    @pytest.fixture
    def make_batch(self, make_history, to_batch):
        """`make_batch(model, rows=2, steps=8, seed=0)`: all inputs of `forward`, with labels."""

        def make(model, rows=2, steps=8, seed=0):
            config, history = model.config, make_history(model, rows, steps, seed)
            batch = to_batch(history, times=config.embeds_time, predecessors=config.embed_previous_observation)
            batch["labels"] = torch.from_numpy(history["actions"]).clone()
            if config.reads_action_sets:
                available = random_sets(rows, model.action_space.sizes[0], seed)
                np.put_along_axis(available, history["actions"], True, axis=1)
                batch["available_actions"] = torch.from_numpy(available)
                batch["action_seeds"] = torch.arange(rows) + 1000 * seed
            return batch

        return make

    @pytest.fixture
    def act(self, make_history):
        """`act(model, steps=12)`: the actions of a rollout in which the environments do not care, (3, steps, ...)."""

        def act(model, steps=12):
            history, state, actions = make_history(model, 3, steps, seed=3), model.init_rollout(3, seed=2), []
            for t in range(steps):
                outcome = (history["rewards"][:, t - 1], history["dones"][:, t - 1]) if t else ()
                actions.append(model.act(state, history["observations"][:, t], *outcome))
            return np.stack(actions, axis=1)

        return act

    # ---- Saving and loading ----

    @of_every_trunk_and_layout
    def test_a_loaded_model_is_the_saved_one(self, build, make_batch, act, tmp_path, trunk, layout):
        model = build(trunk, token_layout=layout)
        model.save_pretrained(tmp_path)
        files = {path.name for path in tmp_path.iterdir()}
        assert {"config.json", "model.safetensors"} < files
        assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors", ".py"}  # no pickle
        batch = make_batch(model)
        expected, actions = model(**batch), act(model)
        for loader in (AutoModel, type(model)):
            loaded = loader.from_pretrained(tmp_path)
            assert type(loaded) is type(model)
            assert not loaded.training
            output = loaded(**batch)
            assert torch.equal(output.logits, expected.logits)
            assert torch.equal(output.loss, expected.loss)
            np.testing.assert_array_equal(act(loaded), actions)
            loaded_config, config = loaded.config.to_dict(), model.config.to_dict()
            assert loaded_config.pop("_name_or_path") == str(tmp_path)
            # Loading makes the default dtype explicit.
            assert loaded_config["trunk_config"].pop("dtype") == "float32"
            del config["_name_or_path"], config["trunk_config"]["dtype"]
            assert loaded_config == config
        assert type(AutoConfig.from_pretrained(tmp_path)) is type(model.config)
        saved = json.loads((tmp_path / "config.json").read_text())
        assert set(saved["auto_map"]) == {"AutoConfig", "AutoModel"}
        assert saved["format_version"] == type(model.config).newest_format_version

    def test_shards_hold_every_weight_and_load(self, build, make_batch, tmp_path):
        model = build()
        model.save_pretrained(tmp_path, max_shard_size="20KB")
        places = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
        assert places.keys() == model.state_dict().keys()
        assert len(set(places.values())) > 3
        for shard in set(places.values()):
            assert load_file(tmp_path / shard).keys() == {name for name in places if places[name] == shard}
        batch = make_batch(model)
        assert torch.equal(AutoModel.from_pretrained(tmp_path)(**batch).logits, model(**batch).logits)
        (tmp_path / shard).unlink()
        with pytest.raises(OSError, match=shard):
            AutoModel.from_pretrained(tmp_path)

    @of_every_trunk_and_layout
    @torch.no_grad()
    def test_a_dtype_is_that_of_all_weights_and_close_to_float32(
        self, build, make_batch, act, tmp_path, trunk, layout
    ):
        # Initial weights of the usual size: large ones enlarge roundings.
        ordinary = {"initializer_range": 0.02, "trunk_config": {"initializer_range": 0.02}}
        model = build(trunk, token_layout=layout, **ordinary)
        model.save_pretrained(tmp_path / "float32")
        batch = make_batch(model)
        exact = model(**batch).logits
        loaded = AutoModel.from_pretrained(tmp_path / "float32", dtype=torch.bfloat16)
        loaded.save_pretrained(tmp_path / "bfloat16")
        again = AutoModel.from_pretrained(tmp_path / "bfloat16", dtype="auto")
        for model in (loaded, again):
            assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
            output = model(**batch)
            assert output.loss.dtype == torch.float32
            torch.testing.assert_close(output.logits.float(), exact, atol=0.1, rtol=0.05)
        np.testing.assert_array_equal(act(loaded), act(again))
        state = loaded.init_rollout(1)
        loaded.act(state, batch["observations"][:1, 0])
        assert state.cache.layers[0].keys.dtype == torch.bfloat16
        back = AutoModel.from_pretrained(tmp_path / "bfloat16", dtype="float32")
        assert {parameter.dtype for parameter in back.parameters()} == {torch.float32}

    @pytest.mark.parametrize("device_map", ["cpu", "auto", {"": "cpu"}])
    def test_a_device_map_is_followed(self, build, make_batch, act, tmp_path, device_map):
        model = build()
        model.save_pretrained(tmp_path)
        loaded = AutoModel.from_pretrained(tmp_path, device_map=device_map)
        batch = {name: value.to(loaded.device) for name, value in make_batch(model).items()}
        torch.testing.assert_close(loaded(**batch).logits.cpu(), model(**make_batch(model)).logits)
        np.testing.assert_array_equal(act(loaded), act(model))

    @pytest.mark.parametrize("offloaded", ["embedding", "trunk", "head"])
    def test_weights_may_lie_on_the_disk(self, build, make_batch, act, tmp_path, offloaded):
        """accelerate puts a module's weights in place only while that module is called."""
        model = build()
        model.save_pretrained(tmp_path / "model")
        parts = {name: "disk" if name == offloaded else "cpu" for name, _ in model.named_children()}
        loaded = AutoModel.from_pretrained(tmp_path / "model", device_map=parts, offload_folder=tmp_path / "offload")
        assert next(loaded.get_submodule(offloaded).parameters()).device.type == "meta"
        batch = make_batch(model)
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
        np.testing.assert_array_equal(act(loaded), act(model))

    def test_an_automatic_device_map_splits_neither_the_embedding_nor_a_layer(self, build):
        """Their parts are added up, which they can only be on one device."""
        model, split = build(), 0
        for size in range(1000, 160_000, 1000):
            devices = infer_auto_device_map(
                model, max_memory={0: size, "cpu": "1GB"}, no_split_module_classes=model._no_split_modules
            )
            assert not [name for name in devices if re.match(r"embedding\.|trunk\.layers\.\d+\.", name)]
            split += len(set(devices.values())) > 1
        assert split > 10

    # ---- Initial weights ----

    def test_every_weight_is_initialised_as_the_config_says(self, build):
        model = build(initializer_range=0.1)
        for module in model.modules():
            module._is_hf_initialized = False
        for parameter in model.parameters():
            parameter._is_hf_initialized = False
            nn.init.constant_(parameter, torch.nan)
        model.init_weights()
        assert not [name for name, p in model.named_parameters() if not p.isfinite().all()]
        looked_at = 0
        for name, module in model.named_modules():
            if name.startswith("trunk") or not isinstance(module, nn.Linear | nn.Embedding | nn.Conv2d):
                continue
            if module.weight.numel() >= 100:  # five standard errors of a standard deviation
                assert module.weight.std().item() == pytest.approx(0.1, rel=5 / (2 * module.weight.numel()) ** 0.5)
                looked_at += 1
            if getattr(module, "bias", None) is not None:
                assert not module.bias.any()
        assert looked_at >= 2
        one, same, other = (list(build(seed=seed).parameters()) for seed in (0, 0, 1))
        assert all(torch.equal(p, q) for p, q in zip(one, same, strict=True))
        assert any(not torch.equal(p, q) for p, q in zip(one, other, strict=True))

    def test_weights_that_a_file_lacks_begin_afresh_and_are_reported(self, build, tmp_path, caplog, monkeypatch):
        model = build()
        model.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        lacking = {name for name in weights if not name.startswith("trunk")} | {next(iter(weights))}
        kept = {name: value for name, value in weights.items() if name not in lacking}
        save_file({**kept, "stranger": torch.ones(1)}, tmp_path / "model.safetensors", {"format": "pt"})
        monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)

        def load(seed):
            # Memory that nothing was written to is then full of NaN.
            torch.use_deterministic_algorithms(True)
            try:
                with torch.random.fork_rng(devices=[]), caplog.at_level(logging.WARNING):
                    torch.random.default_generator.manual_seed(seed)
                    return AutoModel.from_pretrained(tmp_path, output_loading_info=True)
            finally:
                torch.use_deterministic_algorithms(False)

        (loaded, info), (same, _), (other, _) = load(0), load(0), load(1)
        assert set(info["missing_keys"]) == lacking
        assert set(info["unexpected_keys"]) == {"stranger"}
        assert all(name in caplog.text for name in (*(name.split(".")[-2] for name in lacking), "stranger", "MISSING"))
        for name, value in loaded.state_dict().items():
            assert value.isfinite().all(), name
            assert torch.equal(value, same.state_dict()[name]), name
            if name in kept:
                assert torch.equal(value, weights[name]), name
        differing = {
            name for name, value in other.state_dict().items() if not torch.equal(value, loaded.state_dict()[name])
        }
        assert differing
        assert differing <= lacking
