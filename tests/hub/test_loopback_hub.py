"""The loopback Hub, driven by the unmodified client as its users will drive it."""

import pytest


@pytest.fixture
def folder(tmp_path):
    """A folder with a file that goes into the commit and two that go to LFS."""
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "tiny"}')
    (folder / "model.safetensors").write_bytes(b"weights" * 30_000)
    (folder / "deep" / "rows.parquet").write_bytes(b"rows" * 10_000)
    return folder


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_uploaded_in_one_commit_and_comes_back_as_it_was(hub, folder, tmp_path):
    api = hub.api("alice")
    api.create_repo("alice/m")
    info = api.upload_folder(repo_id="alice/m", folder_path=folder, commit_message="All of it")
    assert [c.title for c in api.list_repo_commits("alice/m")] == ["All of it", "initial commit"]
    assert len(hub.log.find("PUT", "^/lfs/", status=200)) == 2
    api.snapshot_download("alice/m", local_dir=tmp_path / "copy", revision=info.oid)
    copy = {path: data for path, data in contents(tmp_path / "copy").items() if not path.startswith(".")}
    assert copy == contents(folder)
