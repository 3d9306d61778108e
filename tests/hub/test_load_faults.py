"""Loading from a Hub that falters: it succeeds, or it fails and the next try succeeds; nothing torn is ever loaded."""

from contextlib import suppress

import pytest
import torch
from datasets import load_dataset
from huggingface_hub.errors import HTTPError
from transformers import AutoModel

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel, collect, push
from hf_icrl.histories import load_histories

FAULTS = {
    "cut": lambda faults: faults.cut_download(after=1000),
    "reset": lambda faults: faults.cut_download(after=1000, reset=True),
    "trickling": lambda faults: faults.trickle(chunk=20_000, pause=0.01),
    "late": lambda faults: faults.delay(0.5, "/resolve/"),
    "busy": lambda faults: faults.fail(503, "/resolve/", times=2, retry_after=0),
    "too many requests": lambda faults: faults.fail(429, "/resolve/", times=2, retry_after=0),
}


@pytest.fixture
def alice(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token("alice"))
    return hub


def in_a_few_tries(load):
    """What `load()` gives, asked again after errors of the Hub's client, as a person would."""
    for _ in range(2):
        with suppress(OSError, ConnectionError, HTTPError):
            return load()
    return load()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_arrives_whole(alice, fault):
    config = AlgorithmDistillationConfig(
        observation_space={"type": "Discrete", "n": 16},
        action_space={"type": "Discrete", "n": 5},
        context_length=20,
        trunk_config={"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
    )
    model = AlgorithmDistillationModel(config)
    model.push_to_hub("alice/agent")
    planned = FAULTS[fault](alice.faults)
    loaded = in_a_few_tries(lambda: AutoModel.from_pretrained("alice/agent"))
    assert planned.happened
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize("fault", FAULTS)
def test_histories_arrive_whole(alice, fault, tmp_path):
    collect(
        family="dark_room",
        env_kwargs={"size": 3, "horizon": 4},
        source="noise_curriculum",
        histories_per_task=4,
        episodes=20,
        output_dir=tmp_path / "rooms",
        progress=False,
    )
    push(tmp_path / "rooms", "alice/rooms")
    planned = FAULTS[fault](alice.faults)
    dataset, info = load_histories("alice/rooms")
    assert planned.happened
    local, own = load_histories(tmp_path / "rooms")
    assert dataset[:] == local[:]
    assert info == own
    assert load_dataset("alice/rooms", split="train")[:] == local[:]
