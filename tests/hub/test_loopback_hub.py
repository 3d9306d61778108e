"""The loopback Hub, driven by the unmodified client as its users drive the real one."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    RepoFolder,
    hf_hub_url,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session


def contents(folder):
    """Path -> bytes of all files below a folder, but for what the client writes into a `.cache` of its own."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {path: data for path, data in files.items() if not path.startswith((".cache/", ".gitattributes"))}


def refused(status, call, *args, kind=HfHubHTTPError, **kwargs):
    """The error of a call that the Hub answered with this status and the client raised as exactly this class."""
    with pytest.raises(kind) as caught:
        call(*args, **kwargs)
    assert (type(caught.value), caught.value.response.status_code) == (kind, status)
    return caught.value


def post_commit(hub, repo_id, *lines):
    """A commit as no client of good will sends it."""
    header = {"key": "header", "value": {"summary": "By hand"}}
    return get_session().post(
        f"{hub.url}/api/models/{repo_id}/commit/main",
        content="\n".join(map(json.dumps, [header, *lines])),
        headers={"Authorization": f"Bearer {hub.token('alice')}"},
    )


# Uploads and commits


def test_a_folder_is_uploaded_in_one_commit_and_comes_back_as_it_was(hub, folder, tmp_path):
    api = hub.api("alice")
    api.create_repo("alice/m")
    info = api.upload_folder(repo_id="alice/m", folder_path=folder, commit_message="All of it")
    assert [c.title for c in api.list_repo_commits("alice/m")] == ["All of it", "initial commit"]
    assert len(hub.log.find("PUT", "^/lfs/", status=200)) == 2
    api.snapshot_download("alice/m", local_dir=tmp_path / "copy", revision=info.oid)
    assert contents(tmp_path / "copy") == contents(folder)


def test_an_upload_of_what_is_there_already_sends_no_object_and_makes_no_commit(hub, folder):
    api = hub.api("alice")
    api.create_repo("alice/m")
    first = api.upload_folder(repo_id="alice/m", folder_path=folder)
    seen = len(hub.log)
    assert api.upload_folder(repo_id="alice/m", folder_path=folder).oid == first.oid
    assert not [e for e in hub.log[seen:] if e.method == "PUT" or "/commit/" in e.path]


def test_adding_deleting_and_copying_are_one_commit(hub, folder):
    api = hub.api("alice")
    api.create_repo("alice/m")
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    operations = [
        CommitOperationCopy("model.safetensors", "copy.safetensors"),
        CommitOperationDelete("deep/"),
        CommitOperationDelete("config.json"),
        CommitOperationAdd("notes/new.txt", b"new"),
    ]
    api.create_commit("alice/m", operations, commit_message="Tidied")
    repository = hub.repository("alice/m")
    assert repository.paths() == ["copy.safetensors", "model.safetensors", "notes/new.txt"]
    assert repository.read("copy.safetensors") == repository.read("model.safetensors")
    assert len(api.list_repo_commits("alice/m")) == 3


def test_a_commit_that_fails_in_part_changes_nothing(hub):
    api = hub.api("alice")
    api.create_repo("alice/m")
    tip = api.model_info("alice/m").sha
    operations = [CommitOperationAdd("a.txt", b"a"), CommitOperationDelete("no_such_file")]
    refused(404, api.create_commit, "alice/m", operations, commit_message="Half", kind=RemoteEntryNotFoundError)
    file = {"key": "file", "value": {"path": "a.txt", "content": "YQ==", "encoding": "base64"}}
    never_sent = {"key": "lfsFile", "value": {"path": "b.bin", "oid": "0" * 64, "algo": "sha256", "size": 1}}
    below_a_file = {"key": "file", "value": {"path": "a.txt/b", "content": "YQ==", "encoding": "base64"}}
    for second in (never_sent, below_a_file, {"key": "unheard-of", "value": {}}, {"value": {}}):
        assert post_commit(hub, "alice/m", file, second).status_code == 400
    assert api.model_info("alice/m").sha == tip
    assert hub.repository("alice/m").paths() == []


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/absolute", "a//b", ".git/config", "", "."])
def test_no_path_leaves_the_repository(hub, path):
    hub.api("alice").create_repo("alice/m")
    file = {"key": "file", "value": {"path": path, "content": "YQ==", "encoding": "base64"}}
    assert post_commit(hub, "alice/m", file).status_code == 400
    assert hub.repository("alice/m").paths() == []


def test_a_commit_on_a_stale_parent_is_refused_and_the_other_writers_file_stays(hub):
    api = hub.api("alice")
    api.create_repo("lab/m")
    parent = api.model_info("lab/m").sha
    api.upload_file(path_or_fileobj=b"first", path_in_repo="a.txt", repo_id="lab/m", parent_commit=parent)
    again = {"path_in_repo": "a.txt", "repo_id": "lab/m", "parent_commit": parent}
    error = refused(412, api.upload_file, path_or_fileobj=b"second", **again)
    assert "A commit has happened since" in str(error)
    assert hub.repository("lab/m").read("a.txt") == b"first"
    fresh = api.model_info("lab/m").sha
    api.upload_file(path_or_fileobj=b"second", **{**again, "parent_commit": fresh[:7]})
    assert hub.repository("lab/m").read("a.txt") == b"second"


def test_of_many_writers_at_once_each_is_in_the_history_and_one_a_parent_wins(hub):
    api = hub.api("alice")
    api.create_repo("alice/m")
    parent = api.model_info("alice/m").sha

    def write(i, parent=None):
        add = [CommitOperationAdd(f"{i}.txt", str(i).encode())]
        try:
            return api.create_commit("alice/m", add, commit_message=str(i), parent_commit=parent).oid
        except HfHubHTTPError as error:
            return error.response.status_code

    with ThreadPoolExecutor(8) as pool:
        raced = list(pool.map(lambda i: write(i, parent), range(8)))
        free = list(pool.map(write, range(8, 16)))
    assert raced.count(412) == 7
    assert len({c.commit_id for c in api.list_repo_commits("alice/m")} & {*raced, *free}) == 9
    assert len(hub.repository("alice/m").paths()) == 9


def test_a_card_with_broken_metadata_is_refused_before_anything_is_uploaded(hub, folder):
    api = hub.api("alice")
    api.create_repo("alice/m")
    (folder / "README.md").write_text("---\ntags: [unclosed\n---\n# Card\n")
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        api.upload_folder(repo_id="alice/m", folder_path=folder)
    assert not hub.log.find("PUT")
    assert hub.repository("alice/m").paths() == []


# What is listed


def test_files_are_described_with_sizes_hashes_and_last_commits(hub, folder):
    api = hub.api("alice")
    api.create_repo("alice/m")
    made = api.upload_folder(repo_id="alice/m", folder_path=folder)
    last = api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="alice/m")
    tree = {e.path: e for e in api.list_repo_tree("alice/m", recursive=True, expand=True)}
    assert set(tree) == {".gitattributes", "config.json", "model.safetensors", "deep", "deep/picture.png"}
    assert isinstance(tree["deep"], RepoFolder)
    assert (tree["config.json"].size, tree["config.json"].last_commit.oid) == (2, last.oid)
    assert (tree["deep"].last_commit.oid, tree["model.safetensors"].lfs.size) == (made.oid, 210_000)
    infos = api.get_paths_info("alice/m", ["config.json", "deep", "missing"], expand=True)
    assert [(i.path, i.last_commit.oid) for i in infos] == [("config.json", last.oid), ("deep", made.oid)]
    assert (
        api.model_info("alice/m", files_metadata=True).siblings[-1].lfs.sha256 == tree["model.safetensors"].lfs.sha256
    )
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("alice/m", "nowhere"))


def test_listings_come_in_pages(hub):
    api = hub.api("alice")
    api.create_repo("alice/m")
    repository = hub.repository("alice/m")
    for i in range(7):
        repository.write({f"{i}.txt": b""})
    hub.page_size = 3
    assert len(list(api.list_repo_tree("alice/m"))) == 8
    assert len(api.list_repo_commits("alice/m")) == 8
    assert len(hub.log.find("GET", "/tree/")) == len(hub.log.find("GET", "/commits/")) == 3


def test_repositories_are_found_by_author_name_and_tag_and_private_ones_by_their_owners_alone(hub):
    api = hub.api("alice")
    card = (
        b"---\ntags: [icrl]\nlicense: mit\nlibrary_name: hf-icrl\npipeline_tag: reinforcement-learning\n---\n# Card\n"
    )
    for name, private in (("alice/rooms", False), ("alice/hidden", True), ("lab/rooms", False)):
        api.create_repo(name, private=private)
        hub.repository(name).write({"README.md": card})
    api.create_repo("alice/rooms", repo_type="dataset")

    def names(user, **query):
        return sorted(m.id for m in hub.api(user).list_models(**query))

    assert names("alice") == ["alice/hidden", "alice/rooms", "lab/rooms"]
    assert names("bob", filter="icrl") == names(None, search="rooms") == ["alice/rooms", "lab/rooms"]
    assert names("bob", author="alice") == ["alice/rooms"]
    assert names("bob", filter="no-such-tag") == []
    assert [d.id for d in api.list_datasets(author="alice")] == ["alice/rooms"]
    info = api.model_info("alice/rooms")
    assert (info.library_name, info.pipeline_tag, info.card_data.license) == (
        "hf-icrl",
        "reinforcement-learning",
        "mit",
    )


# Branches, tags, revisions


def test_branches_and_tags_keep_what_they_name(hub, tmp_path):
    api = hub.api("alice")
    api.create_repo("alice/m")

    def upload(content, **kwargs):
        return api.upload_file(path_or_fileobj=content, path_in_repo="a.txt", repo_id="alice/m", **kwargs).oid

    def read(revision):
        return Path(api.hf_hub_download("alice/m", "a.txt", revision=revision, cache_dir=tmp_path)).read_bytes()

    first = upload(b"one")
    api.create_tag("alice/m", tag="v1.0", tag_message="First")
    api.create_branch("alice/m", branch="try/out")
    second, branched = upload(b"two"), upload(b"three", revision="try/out")
    assert [read(r) for r in ("v1.0", first, first[:8], "main", "try/out")] == [b"one"] * 3 + [b"two", b"three"]
    refs = api.list_repo_refs("alice/m")
    assert {b.name: b.target_commit for b in refs.branches} == {"main": second, "try/out": branched}
    assert {t.name: t.target_commit for t in refs.tags} == {"v1.0": first}
    refused(409, api.create_tag, "alice/m", tag="v1.0")
    refused(409, api.create_branch, "alice/m", branch="try/out")
    api.create_tag("alice/m", tag="v1.0", exist_ok=True)
    api.delete_branch("alice/m", branch="try/out")
    api.delete_tag("alice/m", tag="v1.0")
    for revision in ("v1.0", "try/out", "0" * 40):
        refused(404, api.model_info, "alice/m", revision=revision, kind=RevisionNotFoundError)
    refused(404, upload, b"four", revision="no-such-branch", kind=RevisionNotFoundError)
    refused(403, api.delete_branch, "alice/m", branch="main")


# Who may do what


def test_a_private_repository_is_there_for_its_owner_and_members_only(hub, tmp_path):
    for name in ("alice/m", "lab/m"):
        hub.api("alice").create_repo(name, private=True)
        hub.repository(name).write({"a.txt": b"a"})

    def calls(user, name):
        api = hub.api(user)
        yield api.model_info, (name,)
        yield api.list_repo_refs, (name,)
        yield lambda: api.snapshot_download(name, cache_dir=tmp_path / str(user)), ()

    for name in ("alice/m", "lab/m"):
        for call, args in calls("alice", name):
            call(*args)
        for call, args in calls(None, name):
            refused(401, call, *args, kind=RepositoryNotFoundError)
        for call, args in calls("carol", name):
            refused(404, call, *args, kind=RepositoryNotFoundError)
    refused(404, hub.api("bob").model_info, "alice/m", kind=RepositoryNotFoundError)
    refused(404, hub.api("alice").model_info, "alice/missing", kind=RepositoryNotFoundError)
    assert hub.api("bob").model_info("lab/m").private
    hub.api("alice").update_repo_settings("alice/m", visibility="public")
    assert not hub.api().model_info("alice/m").private


def test_writing_needs_a_write_token_of_one_who_may(hub, folder):
    hub.api("alice").create_repo("lab/m")
    upload = {"repo_id": "lab/m", "folder_path": folder}
    refused(403, hub.api("alice", role="read").upload_folder, **upload)
    refused(403, hub.api("bob").upload_folder, **upload)
    refused(401, hub.api().upload_folder, **upload, kind=RepositoryNotFoundError)
    refused(403, hub.api("bob").delete_repo, "lab/m")
    refused(403, hub.api("bob").create_tag, "lab/m", tag="v1")
    refused(403, hub.api("bob").update_repo_settings, "lab/m", private=True)
    for name in ("alice/other", "lab/other", "nobody/other"):
        refused(403, hub.api("bob").create_repo, name)
    assert hub.repository("lab/m").paths() == []
    assert not hub.log.find("PUT", "^/lfs/")


def test_an_unknown_token_is_called_invalid_and_not_the_repository_missing(hub):
    hub.api("alice").create_repo("alice/m")
    api = HfApi(endpoint=hub.url, token="hf_unknown")
    error = refused(401, api.model_info, "alice/m")
    assert "Invalid credentials in Authorization header" in str(error)
    refused(401, api.whoami)
    assert [o["name"] for o in hub.api("alice").whoami()["orgs"]] == ["lab"]


def test_a_repository_is_created_once_and_gone_when_deleted(hub):
    api = hub.api("alice")
    assert api.create_repo("alice/m").repo_id == "alice/m"
    assert "already created" in str(refused(409, api.create_repo, "alice/m"))
    hub.repository("alice/m").write({"a.txt": b"kept"})
    assert api.create_repo("alice/m", exist_ok=True) == f"{hub.url}/alice/m"
    assert hub.repository("alice/m").read("a.txt") == b"kept"
    assert hub.api("bob").create_repo("alice/m", exist_ok=True).repo_id == "alice/m"
    assert api.create_repo("unowned").repo_id == "alice/unowned"
    api.delete_repo("alice/m")
    assert not api.repo_exists("alice/m")
    refused(404, api.delete_repo, "alice/m", kind=RepositoryNotFoundError)


# Downloads


@pytest.mark.parametrize("name", ["a.txt", "a.bin"])
@pytest.mark.parametrize(
    ("asked", "status", "got"),
    [
        (None, 200, slice(None)),
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=90-", 206, slice(90, None)),
        ("bytes=-7", 206, slice(93, None)),
        ("bytes=50-1000", 206, slice(50, None)),
        ("bytes=-1000", 206, slice(None)),
        ("bytes=100-", 416, None),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_a_part_of_a_file_is_served_whether_in_lfs_or_not(hub, name, asked, status, got):
    content = bytes(range(100)).replace(b"\0", b"z")
    hub.api("alice").create_repo("alice/m")
    hub.repository("alice/m").write({name: content})
    url = hf_hub_url("alice/m", name, endpoint=hub.url)
    response = get_session().get(url, headers={"Range": asked} if asked else {})
    assert response.status_code == status
    assert len(response.history) == (name == "a.bin")
    if status == 416:
        assert response.headers["Content-Range"] == "bytes */100"
    else:
        assert response.content == content[got]
    if status == 206:
        start = got.start or 0
        assert response.headers["Content-Range"] == f"bytes {start}-{start + len(response.content) - 1}/100"


def test_a_token_never_reaches_the_storage_service(hub, folder, tmp_path):
    api = hub.api("alice")
    api.create_repo("alice/m", private=True)
    api.upload_folder(repo_id="alice/m", folder_path=folder)
    api.snapshot_download("alice/m", cache_dir=tmp_path / "cache")
    storage = hub.log.find(None, "^/(cdn|lfs)/")
    assert [(e.method, e.authorized) for e in storage] == [("PUT", False)] * 2 + [("GET", False)] * 2
    assert all(e.user == "alice" for e in hub.log if e not in storage)
    # The signature is what opens it, to this object only.
    address = hub.signer.download(hub.repository("alice/m"), "0" * 64, "model.safetensors")
    sha256 = storage[-1].path.split("/")[5]
    assert get_session().get(address.replace("0" * 64, sha256)).status_code == 403


def test_what_is_not_spoken_is_said(hub):
    api = hub.api("alice")
    api.create_repo("alice/m")
    add = [CommitOperationAdd("a.txt", b"a")]
    refused(501, api.create_commit, "alice/m", add, commit_message="PR", create_pr=True)
    refused(501, api.move_repo, "alice/m", "alice/n")


# Processes of their own


def test_a_process_started_for_the_hub_knows_its_token_and_its_own_cache_only(hub, folder, tmp_path):
    hub.api("alice").create_repo("alice/m", private=True)
    hub.api("alice").upload_folder(repo_id="alice/m", folder_path=folder)
    code = """
        from huggingface_hub import hf_hub_download
        print(hf_hub_download("alice/m", "model.safetensors"))
    """
    path = Path(hub.run_python(code, token=hub.token("alice"), home=tmp_path / "home").stdout.strip())
    assert path.is_relative_to(tmp_path / "home")
    assert path.read_bytes() == (folder / "model.safetensors").read_bytes()
    anonymous = hub.run_python(code, check=False)
    assert anonymous.returncode == 1
    assert "RepositoryNotFoundError" in anonymous.stderr
