"""What goes wrong on the way to the loopback Hub, and what the unmodified client makes of it."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError


@pytest.fixture
def api(hub):
    api = hub.api("alice")
    api.create_repo("alice/m")
    return api


def uploaded(hub):
    """Path -> bytes of what is in alice/m."""
    repository = hub.repository("alice/m")
    return {path: repository.read(path) for path in repository.paths()}


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# Uploads


@pytest.mark.parametrize("reset", [True, False])
def test_an_upload_cut_in_the_middle_is_sent_again_by_the_client(hub, api, folder, reset):
    fault = hub.faults.cut_upload(after=100_000, reset=reset)
    (folder / "deep" / "picture.png").unlink()
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert fault.happened == 1
    assert [e.status for e in hub.log.find("PUT")] == [None, 200]
    assert uploaded(hub) == files(folder)


def test_a_client_killed_in_mid_upload_leaves_the_repository_as_it_was_and_the_next_sends_the_rest(hub, api, folder):
    tip = api.model_info("alice/m").sha
    fault = hub.faults.stall_upload(after=100_000)
    code = (
        f"""from huggingface_hub import upload_folder; upload_folder(repo_id="alice/m", folder_path={str(folder)!r})"""
    )
    environment = hub.environment(hub.token("alice"))
    client = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
    # The picture is smaller than that: it arrives, and the weights hang half way.
    assert fault.reached.wait(60)
    deadline = time.monotonic() + 60
    while not (hub.log.find("PUT", status=200) and max(e.received for e in hub.log) >= 100_000):
        assert time.monotonic() < deadline, list(hub.log)
        time.sleep(0.01)
    client.kill()
    client.communicate()
    fault.release.set()
    assert api.model_info("alice/m").sha == tip

    seen = len(hub.log)
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert [e.received for e in hub.log[seen:] if e.method == "PUT"] == [210_000]
    assert uploaded(hub) == files(folder)


def test_an_object_that_arrives_changed_is_refused(hub, api):
    content = b"weights" * 100
    hub.repository("alice/m").write({"other.bin": b"other"})
    sha256 = next(iter(hub.repository("alice/m").objects))
    response = httpx2.put(hub.signer.upload(hub.repository("alice/m"), sha256), content=content)
    assert response.status_code == 400
    assert sha256 in response.json()["error"]
    assert list(hub.repository("alice/m").objects.values()) == [b"other"]


def test_an_upload_that_is_refused_commits_nothing_and_can_be_repeated(hub, api, folder):
    hub.faults.fail(400, "^/lfs/", method="PUT", times=2)
    with pytest.raises(RuntimeError, match="Error while uploading"):
        api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert uploaded(hub) == {}
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert uploaded(hub) == files(folder)


# Commits


def test_another_writer_just_before_the_commit_makes_it_fail_and_loses_nothing(hub, api):
    parent = api.model_info("alice/m").sha
    hub.faults.call(lambda: hub.repository("alice/m").write({"a.txt": b"theirs"}))
    add = [CommitOperationAdd("a.txt", b"ours"), CommitOperationAdd("b.bin", b"ours")]
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        api.create_commit("alice/m", add, commit_message="Ours", parent_commit=parent)
    assert caught.value.response.status_code == 412
    assert uploaded(hub) == {"a.txt": b"theirs"}


def test_another_writer_may_use_the_real_client_too(hub, api):
    api.create_repo("lab/m")
    hub.faults.call(lambda: api.upload_file(path_or_fileobj=b"1", path_in_repo="theirs.txt", repo_id="lab/m"))
    api.upload_file(path_or_fileobj=b"2", path_in_repo="ours.txt", repo_id="lab/m")
    assert hub.repository("lab/m").paths() == ["ours.txt", "theirs.txt"]


def test_a_lost_reply_is_an_error_though_the_commit_was_made_and_repeating_it_is_harmless(hub, api, folder):
    hub.faults.lose_reply()
    with pytest.raises(httpx2.RemoteProtocolError):
        api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert uploaded(hub) == files(folder)
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert len(api.list_repo_commits("alice/m")) == 2


def test_a_commit_answered_by_an_error_is_not_retried_and_not_made(hub, api, folder):
    hub.faults.fail(503, "/commit/", method="POST", message="Closed for tea")
    with pytest.raises(HfHubHTTPError, match="Closed for tea"):
        api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert uploaded(hub) == {}
    assert len(hub.log.find("POST", "/commit/")) == 1


# Retrying


@pytest.mark.parametrize("status", [429, 503])
def test_the_client_waits_as_long_as_it_is_told_to_and_then_goes_on(hub, api, folder, status):
    fault = hub.faults.fail(status, "/preupload/", method="POST", retry_after=1)
    start = time.monotonic()
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert time.monotonic() - start >= 2  # a second more than told
    assert fault.happened == 1
    assert [e.status for e in hub.log.find("POST", "/preupload/")] == [status, 200]
    assert uploaded(hub) == files(folder)


# Downloads


def test_a_download_cut_in_the_middle_goes_on_at_the_last_whole_ten_mebibytes(hub, api, tmp_path):
    """What the client has read of its current piece of 10 MiB it forgets; a smaller file it begins again."""
    content = bytes(range(256)) * 48 * 1024
    hub.repository("alice/m").write({"large.bin": content, "small.bin": content[: 1 << 20]})
    for name, after in (("large.bin", 11 << 20), ("small.bin", 1 << 19)):
        hub.faults.cut_download(after=after, pattern=f"^/cdn/.*/{name}")
        path = api.hf_hub_download("alice/m", name, local_dir=tmp_path / "copy")
        assert Path(path).read_bytes() == hub.repository("alice/m").read(name)
    requests = [(e.status, e.headers.get("range"), e.sent) for e in hub.log.find("GET", "^/cdn/")]
    assert requests == [
        (200, None, 11 << 20),
        (206, f"bytes={10 << 20}-", 2 << 20),
        (200, None, 1 << 19),
        (200, None, 1 << 20),
    ]


def test_a_download_whose_connection_is_reset_fails_and_leaves_no_half_file(hub, api, folder, tmp_path):
    hub.repository("alice/m").write(files(folder))
    hub.faults.cut_download(after=100_000, reset=True)
    with pytest.raises(httpx2.ReadError):
        api.snapshot_download("alice/m", cache_dir=tmp_path / "cache", allow_patterns="*.safetensors")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.stat().st_size > 10_000]
    copy = api.snapshot_download("alice/m", cache_dir=tmp_path / "cache")
    assert {k: v for k, v in files(Path(copy)).items() if k != ".gitattributes"} == files(folder)


def test_a_trickling_download_arrives_whole(hub, api, folder, tmp_path):
    hub.repository("alice/m").write(files(folder))
    fault = hub.faults.trickle(chunk=30_000, pause=0.02)
    api.snapshot_download("alice/m", local_dir=tmp_path / "copy", allow_patterns="*.safetensors")
    assert fault.happened == 1
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == b"weights" * 30_000


def test_a_hub_too_slow_to_answer_is_asked_again_patiently_unless_the_file_is_cached(hub, api, tmp_path):
    hub.repository("alice/m").write({"a.txt": b"a"})
    asked = {"repo_id": "alice/m", "filename": "a.txt", "cache_dir": tmp_path / "cache", "etag_timeout": 0.2}
    hub.faults.delay(1, "/resolve/", method="HEAD")
    path = api.hf_hub_download(**asked)
    assert len(hub.log.find("HEAD")) == 2
    hub.faults.delay(1, "/resolve/", method="HEAD")
    assert api.hf_hub_download(**asked) == path
    assert len(hub.log.find("HEAD")) == 3


def test_a_hub_that_only_fails_is_an_error_unless_the_file_is_cached(hub, api, tmp_path):
    hub.repository("alice/m").write({"a.txt": b"a", "b.txt": b"b"})
    path = api.hf_hub_download("alice/m", "a.txt", cache_dir=tmp_path)
    # 501 is not among what the client repeats for.
    fault = hub.faults.fail(501, "/resolve/", method="HEAD", times=2)
    assert api.hf_hub_download("alice/m", "a.txt", cache_dir=tmp_path) == path
    with pytest.raises(LocalEntryNotFoundError):
        api.hf_hub_download("alice/m", "b.txt", cache_dir=tmp_path)
    assert fault.happened == 2


def test_faults_meet_the_requests_they_were_planned_for(hub, api):
    hub.repository("alice/m").write({"a.txt": b"a"})
    fault = hub.faults.fail(418, "/tree/", skip=1, times=2)
    statuses = [httpx2.get(f"{hub.url}/api/models/alice/m/tree/main").status_code for _ in range(5)]
    assert statuses == [200, 418, 418, 200, 200]
    assert fault.happened == 2
    assert api.model_info("alice/m").id == "alice/m"


def test_a_mistake_in_what_a_test_planned_reaches_it_with_its_cause(hub, api):
    hub.faults.call(lambda: hub.repository("alice/no_such"))
    with pytest.raises(HfHubHTTPError, match=r"The loopback Hub failed: KeyError: .*alice/no_such") as caught:
        api.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id="alice/m")
    assert caught.value.response.status_code == 500
    assert uploaded(hub) == {}
