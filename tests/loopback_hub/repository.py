"""One repository: a history of commits over content-addressed files, branches, tags and large-file (LFS) objects."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from threading import RLock

from loopback_hub.protocol import HubError

# The first commit of every new repository holds this file, as on the real Hub; it decides what goes to LFS.
LFS_EXTENSIONS = """
    7z arrow bin ckpt gif gz h5 jpg mp4 msgpack npy npz onnx parquet pkl png pt pth safetensors tar tfevents webp zip
"""
GITATTRIBUTES = "".join(f"*.{name} filter=lfs diff=lfs merge=lfs -text\n" for name in LFS_EXTENSIONS.split())
LARGE = 10 * 1024 * 1024  # bytes; larger files go to LFS whatever their name


@dataclass(frozen=True)
class File:
    """A file by its content: `oid` is its git blob name (of the pointer, if in LFS); `sha256` is set in LFS only."""

    oid: str
    size: int
    sha256: str | None = None
    pointer_size: int | None = None

    @property
    def etag(self):
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Commit:
    id: str
    parent: "Commit | None"
    files: dict
    title: str
    message: str
    author: str
    date: str

    def history(self):
        """This commit and those before it, newest first."""
        commit = self
        while commit is not None:
            yield commit
            commit = commit.parent

    def last_change(self, path):
        """The newest commit that changed the file, or anything in the folder, at `path`."""

        def content(commit):
            return {p: f for p, f in commit.files.items() if p == path or p.startswith(path + "/")}

        return next(c for c in self.history() if c.parent is None or content(c) != content(c.parent))


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def blob_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Repository:
    """Thread-safe: a commit is applied whole, under `lock`, or not at all. Commits never change once made."""

    def __init__(self, kind, id, owner, private=False):
        self.kind, self.id, self.private = kind, id, private
        self.namespace = id.split("/")[0]
        self.created = now()
        self.lock = RLock()
        self.blobs = {}  # git oid -> bytes
        self.objects = {}  # sha256 -> bytes: LFS objects, there as soon as they are uploaded whole
        self.branches, self.tags = {}, {}  # name -> Commit
        attributes = {".gitattributes": self.add_blob(GITATTRIBUTES.encode())}
        self.branches["main"] = self._new_commit(None, attributes, "initial commit", "", owner)

    # What is in it

    def commit_at(self, revision):
        """The Commit that a branch, tag or commit id (at least 5 digits of it) names."""
        for refs in (self.branches, self.tags):
            if revision in refs:
                return refs[revision]
        with self.lock:
            tips = [*self.branches.values(), *self.tags.values()]
        commits = [c for tip in tips for c in tip.history()]
        found = next((c for c in commits if len(revision) >= 5 and c.id.startswith(revision.lower())), None)
        if found is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def content(self, file):
        return self.objects[file.sha256] if file.sha256 else self.blobs[file.oid]

    def read(self, path, revision="main"):
        """The bytes of a file, for assertions; KeyError if it is not there."""
        return self.content(self.commit_at(revision).files[path])

    def paths(self, revision="main"):
        """Sorted names of all files, without the .gitattributes that every repository begins with."""
        return sorted(set(self.commit_at(revision).files) - {".gitattributes"})

    def wants_lfs(self, path, size, sample, revision="main"):
        """Whether a file goes to LFS: named in .gitattributes, large, or binary."""
        commit = self.commit_at(revision)
        rules = self.content(commit.files[".gitattributes"]).decode() if ".gitattributes" in commit.files else ""
        patterns = [line.split()[0] for line in rules.splitlines() if "filter=lfs" in line]
        name = path.rsplit("/", 1)[-1]
        return size > LARGE or b"\0" in sample or any(fnmatch(name, p) or fnmatch(path, p) for p in patterns)

    # Changes

    def add_blob(self, content):
        """A regular file of these bytes, stored; it is in no commit yet."""
        file = File(blob_oid(content), len(content))
        self.blobs[file.oid] = content
        return file

    def add_object(self, content):
        """An LFS file of these bytes, stored; it is in no commit yet."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.objects[sha256] = content
        return self.lfs_file(sha256)

    def lfs_file(self, sha256):
        """The File of an object that was uploaded before."""
        if sha256 not in self.objects:
            raise HubError(
                400,
                "Your push was rejected because an LFS pointer pointed to a file that does not exist: "
                f"object {sha256} was not uploaded.",
            )
        size = len(self.objects[sha256])
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return File(blob_oid(pointer), size, sha256, len(pointer))

    def commit(self, branch, operations, title, message="", author="", parent=None):
        """Apply `operations`, all or nothing, to the tip of `branch` and return the new Commit.

        An operation is ("add", path, File), ("delete_file", path, None) or ("delete_folder", path, None). `parent`,
        if given, is (the start of) the id that the tip must have, else 412 and nothing happens.
        """
        with self.lock:
            if branch not in self.branches:
                raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            tip = self.branches[branch]
            if parent is not None and not tip.id.startswith(parent.lower()):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(tip.files)
            for operation, path, file in operations:
                _apply(files, operation, path.strip("/") if operation == "delete_folder" else path, file)
            _check_tree(files)
            commit = self.branches[branch] = self._new_commit(tip, files, title, message, author)
            return commit

    def write(self, files, title="Written by the test", branch="main", author="another-writer"):
        """Commit `{path: bytes}` from inside the test, with no HTTP: what another writer, or a fixture, does."""

        def stored(path, content):
            lfs = content and self.wants_lfs(path, len(content), content[:512], branch)
            return self.add_object(content) if lfs else self.add_blob(content)

        return self.commit(branch, [("add", p, stored(p, c)) for p, c in files.items()], title, author=author)

    def _new_commit(self, parent, files, title, message, author):
        # Random too, since two repositories with the same files must not share ids, or clients mix up their caches.
        seed = json.dumps([self.kind, self.id, parent and parent.id, title, secrets.token_hex(16)])
        commit_id = hashlib.sha1(seed.encode()).hexdigest()
        return Commit(commit_id, parent, files, title, message, author, now())


def _apply(files, operation, path, file):
    if operation == "add":
        parts = path.split("/")
        if any(part in ("", ".", "..", ".git") for part in parts):
            raise HubError(400, f"Invalid path in a commit: {path!r}")
        files[path] = file
    elif operation == "delete_file":
        if files.pop(path, None) is None:
            raise HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
    else:
        inside = [p for p in files if p.startswith(path + "/")]
        if not inside:
            raise HubError(404, f"A folder with this name doesn't exist: {path}", "EntryNotFound")
        for p in inside:
            del files[p]


def _check_tree(files):
    for path in files:
        for end in (i for i, letter in enumerate(path) if letter == "/"):
            if path[:end] in files:
                raise HubError(400, f"{path[:end]!r} cannot be both a file and a folder (of {path!r})")
