import pytest


@pytest.fixture
def folder(tmp_path):
    """A folder with a file that goes into the commit and two that go to LFS."""
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "tiny", "architectures": ["Tiny"]}')
    (folder / "model.safetensors").write_bytes(b"weights" * 30_000)
    (folder / "deep" / "picture.png").write_bytes(b"picture" * 6_000)
    return folder
