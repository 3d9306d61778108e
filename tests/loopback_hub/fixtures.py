"""The environment in which Hugging Face libraries are imported by tests, and the `hub` fixture."""

import atexit
import os
import random
import shutil
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from loopback_hub.hub import LoopbackHub


def _free_port():
    """A port outside the range from which systems pick ports for outgoing connections, so that it stays free while
    no Hub listens on it."""
    for port in random.SystemRandom().sample(range(20000, 32000), 100):
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000 on 127.0.0.1")


def point_to_loopback():
    """Make this process, and those it starts, know no other Hub than the one of the `hub` fixture.

    To be called before anything of Hugging Face is imported, which is when these variables are read. Where no test
    uses the fixture, connections are refused: no test depends on the network, on the developer's login or on what
    lies in the developer's cache.
    """
    assert "huggingface_hub" not in sys.modules, "huggingface_hub was imported before the tests set its environment"
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_DATASETS_OFFLINE",
    ):
        os.environ.pop(name, None)
    home = tempfile.mkdtemp(prefix="hf_icrl_tests_home_")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{_free_port()}",
        "HF_HOME": home,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


@pytest.fixture
def hub():
    """A fresh Hub with users alice and bob and organisation lab, where alice may write and bob may read.

    It listens where HF_ENDPOINT points, so that `push_to_hub`, `from_pretrained` and `load_dataset` find it in this
    process too; give them `token=hub.token("alice")` or set HF_TOKEN with monkeypatch.
    """
    from huggingface_hub import HfFileSystem
    from huggingface_hub.utils import close_session

    # Shared by the whole process: listings of another test's repositories, connections to another test's server.
    HfFileSystem.clear_instance_cache()
    close_session()
    with LoopbackHub(int(os.environ["HF_ENDPOINT"].rpartition(":")[2])) as hub:
        hub.organisation("lab", alice="write", bob="read")
        yield hub
        _forget(hub)


def _forget(hub):
    """Remove what this process cached of that Hub. Libraries fall back on their cache where they get no answer, so a
    later test would find a repository of the same name that its own Hub does not have."""
    home = Path(os.environ["HF_HOME"])
    for namespace in {id.split("/")[0] for _, id in hub.store.repositories} | set(hub.store.users):
        for cached in (*home.glob(f"hub/*--{namespace}--*"), *home.glob(f"datasets/{namespace}___*")):
            shutil.rmtree(cached, ignore_errors=True)
