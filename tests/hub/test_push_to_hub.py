"""The ways to the Hub that everybody knows: of a model, of a dataset, of the trainers, of adapters; and back again."""

import numpy as np
import pytest
import torch
from datasets import Dataset, load_dataset
from huggingface_hub import ModelCard
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModel, Trainer, TrainingArguments

from hf_icrl import (
    AlgorithmDistillationConfig,
    AlgorithmDistillationModel,
    HistoryWindows,
    ICRLConfig,
    ICRLTrainer,
    task_family,
)
from hf_icrl.histories import episodes_table, history_features
from hf_icrl.sources import make_source

REPO = "alice/agent"
FAMILY = task_family("dark_room", size=3, horizon=4)
PICKLES = (".bin", ".pt", ".pth", ".pkl")


def histories(family=FAMILY, seed=0):
    tasks = family.tasks()
    batch = make_source("noise_curriculum").generate(family, tasks, list(range(len(tasks))), 6, seed=seed)
    envs = family.make_vec(tasks[:1])
    features = history_features(envs.single_observation_space, envs.single_action_space, tasks[0])
    return Dataset(episodes_table(batch, features, env_id=family.env_id, source="noise_curriculum", split="train"))


def make_model():
    config = AlgorithmDistillationConfig(
        observation_space={"type": "Discrete", "n": 9},
        action_space={"type": "Discrete", "n": 5},
        context_length=8,
        trunk_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AlgorithmDistillationModel(config)


def windows(dataset, number=8):
    return HistoryWindows(dataset, length=8, num_windows=number, seed=0)


@pytest.fixture
def alice(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token("alice"))
    return hub


def without_hf_icrl(hub, code, home):
    """Run code where hf_icrl cannot be imported."""
    done = hub.run_python("import sys; sys.modules['hf_icrl'] = None\n" + code, home=home)
    return done.stdout.strip().splitlines()[-1]


ACT = """
from transformers import AutoModel
model = AutoModel.from_pretrained({repo!r}, trust_remote_code=True, {more})
assert type(model).__module__.startswith("transformers_modules.")
state = model.init_rollout(3, seed=5)
actions = model.act(state, [0, 4, 8])
again = model.act(state, [1, 4, 7], [0.0, 1.0, 0.0], [False, False, True])
print([*actions.tolist(), *again.tolist()])
"""


def actions_of(model):
    state = model.init_rollout(3, seed=5)
    first = model.act(state, [0, 4, 8])
    return [*first.tolist(), *model.act(state, [1, 4, 7], [0.0, 1.0, 0.0], [False, False, True]).tolist()]


def test_a_model_pushes_itself_and_loads_everywhere(alice, tmp_path):
    model = make_model()
    model.push_to_hub(REPO)
    loaded = AutoModel.from_pretrained(REPO)
    assert type(loaded) is AlgorithmDistillationModel
    assert AutoConfig.from_pretrained(REPO).context_length == 8
    assert actions_of(loaded) == actions_of(model)
    assert without_hf_icrl(alice, ACT.format(repo=REPO, more=""), tmp_path) == str(actions_of(model))
    assert not [name for name in alice.repository(REPO).paths() if name.endswith(PICKLES)]


def test_shards_and_dtypes_travel(alice):
    model = make_model()
    model.push_to_hub(REPO, max_shard_size="4KB")
    names = alice.repository(REPO).paths()
    assert "model.safetensors.index.json" in names
    assert len([name for name in names if name.endswith(".safetensors")]) > 1
    assert actions_of(AutoModel.from_pretrained(REPO, device_map="cpu")) == actions_of(model)
    half = AutoModel.from_pretrained(REPO, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_a_revision_is_pinned_code_included(alice, tmp_path):
    model = make_model()
    commit = model.push_to_hub(REPO).oid
    expected = actions_of(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(-parameter)
    model.push_to_hub(REPO)
    # Later the code was changed to something that does not even run.
    alice.repository(REPO).write({"modeling_icrl.py": b"raise RuntimeError('this is not the code of that commit')"})
    more = f"revision={commit!r}"
    assert without_hf_icrl(alice, ACT.format(repo=REPO, more=more), tmp_path) == str(expected)
    assert actions_of(AutoModel.from_pretrained(REPO, revision=commit)) == expected
    assert actions_of(AutoModel.from_pretrained(REPO)) == actions_of(model)


def test_a_dataset_pushes_itself_and_windows_are_cut_of_what_comes_back(alice):
    dataset = histories()
    dataset.push_to_hub("alice/histories", "rooms")
    again = load_dataset("alice/histories", "rooms", split="train")
    assert again.features == dataset.features
    for a, b in zip(windows(dataset).__getitems__(range(8)), windows(again).__getitems__(range(8)), strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)
    streamed = load_dataset("alice/histories", "rooms", split="train", streaming=True)
    assert list(streamed) == list(dataset)
    # A stream has no places to draw windows from: the error says what to do.
    with pytest.raises(TypeError, match=r"a stream has no rows to choose.*load_dataset\(\.\.\., streaming=False\)"):
        windows(streamed)
    part = Dataset.from_generator(lambda: iter(streamed.take(12)), features=dataset.features)
    assert len(windows(part)) == 8


def test_plain_trainer_fine_tunes_what_it_loads_and_pushes_it(alice, tmp_path):
    make_model().push_to_hub(REPO)
    histories(seed=1).push_to_hub("alice/others")
    model = AutoModel.from_pretrained(REPO)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "run"),
        max_steps=2,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        use_cpu=True,
        push_to_hub=True,
        hub_model_id="alice/fine-tuned",
        hub_strategy="end",
        report_to=[],
    )
    trainer = Trainer(model, arguments, train_dataset=windows(load_dataset("alice/others", split="train")))
    trainer.train()
    trainer.push_to_hub()
    tuned = AutoModel.from_pretrained("alice/fine-tuned")
    assert actions_of(tuned) == actions_of(model.eval())
    assert without_hf_icrl(alice, ACT.format(repo="alice/fine-tuned", more=""), tmp_path) == str(actions_of(model))


def test_icrl_trainer_pushes_once_with_report_and_card_and_without_pickles(alice, tmp_path):
    _, held_out = FAMILY.split()
    arguments = ICRLConfig(
        output_dir=str(tmp_path / "run"),
        max_steps=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        save_steps=1,
        push_to_hub=True,
        hub_model_id="alice/trained",
        hub_private_repo=True,
        eval_episodes=3,
        eval_seeds=1,
        eval_last_episodes=1,
        report_to=[],
    )
    trainer = ICRLTrainer(
        make_model(), arguments, train_dataset=windows(histories()), eval_family=FAMILY, report_tasks=held_out
    )
    trainer.train()
    repository = alice.repository("alice/trained")
    names = set(repository.paths())
    assert {"model.safetensors", "config.json", "README.md", "report.json", "learning_curve.png", "replay.mp4"} < names
    assert "modeling_algorithm_distillation.py" in names
    assert not [name for name in names if name.endswith(PICKLES) or name.startswith("checkpoint-")]
    assert len(alice.log.find("POST", "/commit/")) == 1
    text = repository.read("README.md").decode()
    assert 'AutoModel.from_pretrained("alice/trained")' in text
    assert "pipeline_tag: reinforcement-learning" in text
    with pytest.raises(OSError, match="alice/trained"):
        AutoModel.from_pretrained("alice/trained", token=alice.token("bob"))
    assert actions_of(AutoModel.from_pretrained("alice/trained")) == actions_of(trainer.model.eval())
    with pytest.raises(ValueError, match="blocking=False"):
        trainer.push_to_hub(blocking=False)


def test_an_adapter_is_trained_saved_loaded_merged_and_pushed(alice, tmp_path):
    make_model().push_to_hub(REPO)
    base = AutoModel.from_pretrained(REPO)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["head"])
    model = get_peft_model(base, lora)
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "run"),
        max_steps=2,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
    )
    Trainer(model, arguments, train_dataset=windows(histories(seed=1))).train()
    model.eval()
    expected = actions_of(model)
    model.push_to_hub("alice/adapter")
    names = set(alice.repository("alice/adapter").paths())
    assert {"adapter_config.json", "adapter_model.safetensors"} < names
    assert "model.safetensors" not in names
    # The same through our trainer, with a card that names the base.
    arguments = ICRLConfig(
        output_dir=str(tmp_path / "ours"),
        max_steps=1,
        use_cpu=True,
        save_strategy="no",
        push_to_hub=True,
        hub_model_id="alice/ours",
        report_to=[],
    )
    trainer = ICRLTrainer(model, arguments, train_dataset=windows(histories(seed=1)))
    trainer.push_to_hub()
    names = set(alice.repository("alice/ours").paths())
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= names
    assert not [name for name in names if name.endswith(PICKLES) or name == "model.safetensors"]
    assert ModelCard(alice.repository("alice/ours").read("README.md").decode()).data.base_model == REPO
    assert actions_of(AutoModel.from_pretrained("alice/ours")) == expected
    again = PeftModel.from_pretrained(AutoModel.from_pretrained(REPO), "alice/adapter")
    assert actions_of(again) == expected
    # transformers finds the base by what the adapter says.
    assert actions_of(AutoModel.from_pretrained("alice/adapter")) == expected
    again.merge_and_unload().push_to_hub("alice/merged")
    merged = AutoModel.from_pretrained("alice/merged")
    assert type(merged) is AlgorithmDistillationModel
    assert actions_of(merged) == expected
    assert without_hf_icrl(alice, ACT.format(repo="alice/merged", more=""), tmp_path) == str(expected)
