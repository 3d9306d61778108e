"""Checkpoints: what is saved is what acts, with and without hf_icrl, with adapters, and from a bare decoder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModel, GPT2Config, GPT2Model, Trainer, TrainingArguments

import hf_icrl
from hf_icrl import AlgorithmDistillationModel

ROOT = Path(hf_icrl.__file__).resolve().parent.parent


def run_python(code, tmp_path, with_hf_icrl):
    """Run code in a fresh process outside the checkout; gives the last line that it printed, as JSON."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "hf_home"), "HF_HUB_OFFLINE": "1"}
    if with_hf_icrl:
        environment["PYTHONPATH"] = str(ROOT)
    else:
        # An installed hf_icrl must be out of reach too.
        code = "import sys; sys.modules['hf_icrl'] = None\n" + code
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("layout", ["fused", "interleaved"])
@pytest.mark.parametrize("trunk", ["llama", "gpt2", "qwen3", "mistral"])
def test_a_loaded_model_is_the_saved_one(make_model, make_history, to_batch, tmp_path, trunk, layout):
    model = make_model(trunk, token_layout=layout)
    model.save_pretrained(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors", "modeling_algorithm_distillation.py"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    batch = to_batch(make_history(model, rows=2, steps=8))
    for loader in (AutoModel, AlgorithmDistillationModel):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is AlgorithmDistillationModel
        assert not loaded.training
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
        loaded_config, config = loaded.config.to_dict(), model.config.to_dict()
        assert loaded_config.pop("_name_or_path") == str(tmp_path)
        # Loading makes the default dtype explicit.
        assert loaded_config["trunk_config"].pop("dtype") == "float32"
        del config["_name_or_path"], config["trunk_config"]["dtype"]
        assert loaded_config == config


@pytest.mark.parametrize("observation", ["discrete", "multi", "box", "image"])
@pytest.mark.parametrize("action", ["discrete", "box", "unbounded"])
def test_models_of_every_kind_of_space_load(make_model, make_history, tmp_path, observation, action):
    if action == "unbounded":
        action = {"type": "Box", "shape": [2], "low": float("-inf"), "high": float("inf")}
    extra = {"observation_mean": [0.5] * 3, "observation_std": [2.0] * 3} if observation == "box" else {}
    model = make_model(observation=observation, action=action, **extra)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    history = make_history(make_model(observation=observation, action="discrete"), rows=2, steps=8)
    first = history["observations"][:, 0]
    actions = [m.act(m.init_rollout(2, seed=1), first) for m in (model, loaded)]
    assert (actions[0] == actions[1]).all()


def test_arguments_of_loading_override_the_config_and_misspelt_ones_are_refused(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    model = AutoModel.from_pretrained(tmp_path, temperature=0.25, refill_keep=2, dtype=torch.bfloat16)
    assert (model.config.temperature, model.init_rollout(1).refill_keep) == (0.25, 2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    with pytest.raises(TypeError, match="temprature"):
        AutoModel.from_pretrained(tmp_path, temprature=0.25)
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        AutoConfig.from_pretrained(tmp_path, temprature=0.25)


def test_a_checkpoint_without_its_config_is_refused(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        AlgorithmDistillationModel.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"config\.json"):
        AutoModel.from_pretrained(tmp_path)


def test_a_checkpoint_acts_where_hf_icrl_was_never_heard_of(make_model, make_history, run_cached, tmp_path):
    model = make_model(token_layout="interleaved")
    model.save_pretrained(tmp_path / "model")
    history = make_history(model, rows=2, steps=20)
    run_cached(model, model.init_rollout(2, seed=5), history)
    np.savez(tmp_path / "history.npz", **history)
    actions = run_python(
        """
import json, sys
import numpy as np
from transformers import AutoModel
model = AutoModel.from_pretrained("model", trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules."), type(model).__module__
history = np.load("history.npz")
state, actions = model.init_rollout(2, seed=5), []
for t in range(20):
    outcome = (history["rewards"][:, t - 1], history["dones"][:, t - 1]) if t else ()
    actions.append(model.act(state, history["observations"][:, t], *outcome))
model.save_pretrained("again")
print(json.dumps(np.stack(actions, 1).tolist()))
""",
        tmp_path,
        with_hf_icrl=False,
    )
    np.testing.assert_array_equal(actions, history["actions"])
    # Saved from there, it is still whole.
    again = {path.name for path in (tmp_path / "again").iterdir()}
    assert again == {path.name for path in (tmp_path / "model").iterdir()}


@pytest.mark.parametrize(
    "imports",
    [
        # AutoConfig alone must not need the model's registry.
        "import hf_icrl; from transformers import AutoConfig",
        "from transformers import AutoConfig, AutoModel, Trainer; import hf_icrl",
        # Trainer imports AutoConfig from the middle of its own import of PreTrainedModel.
        "import hf_icrl; from transformers import Trainer; from transformers import AutoConfig",
        "import hf_icrl.models.modeling_algorithm_distillation; from transformers import AutoConfig",
    ],
)
def test_auto_classes_know_the_model_in_any_import_order(make_model, tmp_path, imports):
    make_model().save_pretrained(tmp_path / "model")
    modules = run_python(
        f"""
import json
{imports}
config = AutoConfig.from_pretrained("model", trust_remote_code=False)
from transformers import AutoModel
model = AutoModel.from_pretrained("model", trust_remote_code=False)
print(json.dumps([type(config).__module__, type(model).__module__]))
""",
        tmp_path,
        with_hf_icrl=True,
    )
    assert modules == [
        "hf_icrl.models.configuration_algorithm_distillation",
        "hf_icrl.models.modeling_algorithm_distillation",
    ]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_lora_trains_and_reloads(make_model, make_history, to_batch, tmp_path, checkpointing):
    base = make_model().train()
    base.save_pretrained(tmp_path / "base")
    if checkpointing:
        base.gradient_checkpointing_enable()
        base.enable_input_require_grads()
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["embedding", "head"])
    model = get_peft_model(base, lora)
    history = make_history(model, rows=2, steps=8)
    batch = {**to_batch(history), "labels": torch.from_numpy(history["actions"])}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = model(**batch).loss
    before.backward()
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    trained = {name.split(".")[-3] for name, p in model.named_parameters() if p.requires_grad and "lora" in name}
    assert trained == {"lora_A", "lora_B"}
    optimizer.step()
    assert model(**batch).loss < before
    actions = model.act(model.init_rollout(3), [1, 2, 3])
    model.save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
    torch.testing.assert_close(loaded(**batch).logits, model.eval()(**batch).logits)
    np.testing.assert_array_equal(loaded.act(loaded.init_rollout(3), [1, 2, 3]), actions)


def test_a_bare_decoder_loads_as_the_trunk(make_model, tmp_path):
    decoder = GPT2Model(GPT2Config(vocab_size=7, n_embd=32, n_layer=2, n_head=2, n_positions=64))
    decoder.save_pretrained(tmp_path)
    config = make_model({**decoder.config.to_diff_dict()}).config
    model = AlgorithmDistillationModel.from_pretrained(tmp_path, config=config)
    ours = model.trunk.state_dict()
    for name, value in decoder.state_dict().items():
        if name != "wte.weight":
            assert torch.equal(ours[name], value), name


def test_plain_trainer_gives_the_same_weights_with_and_without_gradient_accumulation(
    make_model, make_history, to_batch, tmp_path
):
    weights = []
    for batch_size, accumulation in ((4, 1), (1, 4)):
        model = make_model(initializer_range=0.1)
        history = make_history(model, rows=16, steps=8)
        history["labels"] = history["actions"].copy()
        # Rows with different numbers of supervised steps are where a mean of means would differ.
        for row in range(16):
            history["labels"][row, : row % 7] = -100
        columns = {**to_batch(history), "labels": torch.from_numpy(history["labels"])}
        rows = [{name: value[i] for name, value in columns.items()} for i in range(16)]
        arguments = TrainingArguments(
            output_dir=str(tmp_path / str(accumulation)),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
            max_steps=4,
            learning_rate=1e-2,
            # Plain gradient descent: Adam divides tiny differences by tiny numbers.
            optim="sgd",
            train_sampling_strategy="sequential",
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
        )
        Trainer(model=model, args=arguments, train_dataset=rows).train()
        weights.append(model.state_dict())
    start = make_model(initializer_range=0.1).state_dict()
    assert any(not torch.equal(weights[0][name], start[name]) for name in start)
    for name in weights[0]:
        torch.testing.assert_close(weights[1][name], weights[0][name], atol=1e-6, rtol=1e-5)
