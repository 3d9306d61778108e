"""transformers and datasets, unmodified and in this process, with the loopback Hub as their Hub."""

import pytest
import torch
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub.errors import HfHubHTTPError
from transformers import AutoModel, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments


@pytest.fixture
def model():
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=4, pad_token_id=None, bos_token_id=None, eos_token_id=None, **sizes)
    )


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_model_is_pushed_and_loaded_at_each_of_its_revisions(hub, model):
    token = hub.token("alice")
    first = model.push_to_hub("alice/m", private=True, token=token)
    pushed = LlamaForCausalLM(model.config)
    pushed.load_state_dict(model.state_dict())
    torch.nn.init.zeros_(model.lm_head.weight)
    model.push_to_hub("alice/m", token=token)
    assert equal(AutoModelForCausalLM.from_pretrained("alice/m", token=token), model)
    assert equal(AutoModelForCausalLM.from_pretrained("alice/m", revision=first.oid, token=token), pushed)
    with pytest.raises(OSError, match="alice/m is not a local folder"):
        AutoModel.from_pretrained("alice/m")


def test_a_trainer_pushes_while_and_after_it_trains(hub, model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token("alice"))
    rows = [{"input_ids": [0, 1, 2, 3], "labels": [0, 1, 2, 3]}] * 4
    arguments = TrainingArguments(
        output_dir=tmp_path / "run",
        push_to_hub=True,
        hub_model_id="lab/trained",
        hub_always_push=True,
        save_steps=2,
        max_steps=2,
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train()
    trainer.push_to_hub()
    assert {"config.json", "model.safetensors", "README.md"} <= set(hub.repository("lab/trained").paths())
    assert equal(AutoModelForCausalLM.from_pretrained("lab/trained"), trainer.model)
    titles = [c.title for c in hub.api("alice").list_repo_commits("lab/trained")]
    assert any("Training in progress" in title for title in titles)


def test_a_dataset_is_pushed_in_shards_and_loaded_whole_and_as_a_stream(hub):
    token = hub.token("alice")
    rows = Dataset.from_dict({"x": list(range(300)), "y": [[i, i + 0.5] for i in range(300)]})
    rows.push_to_hub("alice/rows", "one", split="train", private=True, token=token, num_shards=3)
    rows.select(range(5)).push_to_hub("alice/rows", "two", split="held_out", token=token)
    assert [p for p in hub.repository("alice/rows", "datasets").paths() if p.startswith("two/")] == [
        "two/held_out-00000-of-00001.parquet"
    ]
    with pytest.raises(DatasetNotFoundError):  # asked first: later the libraries would fall back on their caches
        load_dataset("alice/rows", "one")
    assert load_dataset("alice/rows", "one", split="train", token=token)[:] == rows[:]
    seen = len(hub.log)
    assert list(load_dataset("alice/rows", "one", split="train", token=token, streaming=True)) == list(rows)
    assert {e.status for e in hub.log[seen:] if e.path.startswith("/cdn/")} == {206}
    assert load_dataset("alice/rows", "two", split="held_out", token=token).num_rows == 5


def test_a_push_with_another_writer_in_between_fails_and_both_are_kept_when_it_is_repeated(hub):
    """datasets 5.2 means to repeat after a 412, but looks for it in an exception that huggingface_hub 2.4 no longer
    raises; the error reaches the user."""
    token = hub.token("alice")
    rows = Dataset.from_dict({"x": [1, 2, 3]})
    rows.push_to_hub("alice/rows", split="train", token=token)
    repository = hub.repository("alice/rows", "datasets")
    hub.faults.call(lambda: repository.write({"NOTES.md": b"theirs"}))
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        rows.push_to_hub("alice/rows", split="held_out", token=token)
    rows.push_to_hub("alice/rows", split="held_out", token=token)
    assert repository.read("NOTES.md") == b"theirs"
    assert set(load_dataset("alice/rows", token=token)) == {"train", "held_out"}
