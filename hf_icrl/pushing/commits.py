"""Publish files on the Hub: in one commit that nobody else's can get between, without pickles and without tokens."""

import os
import re
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from hf_icrl.files import is_temporary
from hf_icrl.patience import patiently
from hf_icrl.redaction import has_token, without_tokens
from hf_icrl.untrusted import MAX_JSON_BYTES

# What a folder holds for its owner alone, by name (of the file, or of a folder above it).
_PRIVATE = ("_*", ".*", "checkpoint-*", "runs", "events.out.tfevents.*", "*.lock", "*.tmp")
# Hidden, and yet for the Hub.
_PUBLIC = (".eval_results", ".gitattributes")
# Formats that run code when they are read, or may.
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.joblib", "*.npy", "*.npz")
# Where a token could stand.
_TEXTS = (".json", ".jsonl", ".md", ".yaml", ".yml", ".py", ".txt", ".cfg", ".toml", ".jinja")


def publishable(folder):
    """The files of `folder` that may be published.

    Returns:
        `(files, pickles)`: dict of path in the repository -> `Path`, and the names of the pickles that were left out. Left
        out silently are checkpoints, logs, temporary and hidden files, and links that lead out of the folder.
    """
    folder = Path(folder)
    home = folder.resolve()
    files, pickles = {}, []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_private(name))
        for name in sorted(names):
            path = Path(parent) / name
            if _is_private(name) or is_temporary(name) or not path.resolve().is_relative_to(home):
                continue
            place = path.relative_to(folder).as_posix()
            if any(fnmatch(name, pattern) for pattern in PICKLES):
                pickles.append(place)
            elif path.is_file():
                files[place] = path
    return files, pickles


def push_files(
    files,
    repo_id,
    *,
    repo_type="model",
    stale=(),
    parent=None,
    revision=None,
    private=None,
    token=None,
    commit_message,
    tag=None,
):
    """Put files into a repository on the Hub, all of them or none, by one commit.

    The repository is made if it is not there. Pushing again goes on where an interrupted push stopped: what the Hub has
    already is not sent again. Where the Hub is busy or the connection breaks, the commit is tried again for some minutes.

    Args:
        files (`dict`): path in the repository -> `Path` or `bytes`.
        repo_id (`str`): `user/name` or `organisation/name`.
        repo_type (`str`): "model" or "dataset".
        stale (sequence of `str`): patterns (`fnmatch`, `*` matches `/`, too) of what the same commit removes from the
            repository unless it is one of `files`: what an older push left and would be taken for a part of this one.
        parent (`str`, *optional*): the commit that `files` were made for; default the newest one of the branch.
        revision (`str`, *optional*): a branch, made if it is not there; default "main".
        private (`bool`, *optional*): whether a new repository is private; default what the account or organisation says.
        token (`str`, *optional*): default the one of `hf auth login` or of the environment.
        commit_message (`str`): its title.
        tag (`str`, *optional*): a name for the new commit.

    Returns:
        `huggingface_hub.CommitInfo`.

    Raises:
        ValueError: no files; a file that holds a token; a private repository was asked for and a public one is there;
            the branch is a tag or a commit.
        PushConflict: somebody else changed the branch while this push was under way. Nothing was written.
        PushFailed: the Hub refused, or could not be reached. Nothing was written.
    """
    from huggingface_hub import HfApi

    if not files:
        raise ValueError(f"there is nothing to push to {repo_id}: no file that may be published")
    refuse_tokens(files, token)
    api = HfApi(token=token, library_name="hf-icrl")
    with explained(repo_id, repo_type):
        patiently(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True))
        patiently(lambda: _prepare(api, repo_id, repo_type, revision, private, tag))
        commit = _commit(api, repo_id, repo_type, files, stale, parent, revision, commit_message)
    if tag is not None:
        with explained(repo_id, repo_type, f"the commit {commit.oid[:8]} is there, but it got no tag"):
            patiently(lambda: api.create_tag(repo_id, repo_type=repo_type, tag=tag, revision=commit.oid))
    return commit


class PushConflict(ValueError):
    """Somebody else changed the branch while a push was under way; nothing was written."""


class PushFailed(OSError):
    """The Hub refused a push or could not be reached; nothing was written."""


@contextmanager
def explained(repo_id, repo_type, outcome="nothing was pushed"):
    """Turn what the Hub's client raises into a [`PushFailed`] that says what to do; `outcome` is where things stand."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        yield
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise PushFailed(_failure(error, repo_id, repo_type, outcome)) from error


def refuse_tokens(files, token=None):
    """Raise `ValueError`, which does not show it, if one of the text files among `files` holds an access token."""
    for place, content in files.items():
        if not place.endswith(_TEXTS):
            continue
        if isinstance(content, Path):
            content = content.read_bytes() if content.stat().st_size <= MAX_JSON_BYTES else b""
        text = content.decode("utf-8", errors="replace")
        if has_token(text) or (isinstance(token, str) and token in text):
            raise ValueError(
                f"{place} holds an access token, which everybody could read: nothing was pushed. Take it out (and make "
                "it invalid at the Hub if the file was ever shown to anybody)"
            )


def _is_private(name):
    return name not in _PUBLIC and any(fnmatch(name, pattern) for pattern in _PRIVATE)


def _prepare(api, repo_id, repo_type, revision, private, tag):
    """See that the repository is as private as was asked for, that the branch is there and the tag is not."""
    if private and not api.repo_info(repo_id, repo_type=repo_type).private:
        raise ValueError(
            f"{repo_id} is public, but the push was to be private: nothing was pushed. Make the repository private in its "
            "settings, take another one, or leave out that it is private"
        )
    if revision is None and tag is None:
        return
    refs = api.list_repo_refs(repo_id, repo_type=repo_type)
    tags = {ref.name for ref in refs.tags}
    if tag in tags:
        raise ValueError(f"{repo_id} has the tag {tag} already: nothing was pushed. Choose another one, or delete it")
    if revision is None or revision in {ref.name for ref in refs.branches}:
        return
    is_tag = revision in tags
    if is_tag or re.fullmatch(r"[0-9a-f]{40}", revision):
        what = "tag" if is_tag else "commit"
        raise ValueError(f"{revision} is a {what} of {repo_id}: push to a branch, and name it with a tag if you like")
    api.create_branch(repo_id, repo_type=repo_type, branch=revision, exist_ok=True)


def _commit(api, repo_id, repo_type, files, stale, parent, revision, message):
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.errors import HTTPError

    # What the commit is made upon is known before anything is sent: a commit of somebody else in between shows.
    parent = parent or patiently(lambda: _head(api, repo_id, repo_type, revision))
    there = patiently(lambda: api.list_repo_files(repo_id, repo_type=repo_type, revision=parent))
    old = [name for name in there if name not in files and any(fnmatch(name, pattern) for pattern in stale)]
    operations = [CommitOperationDelete(path_in_repo=name) for name in old]
    operations += [CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()]

    def commit():
        try:
            return api.create_commit(
                repo_id,
                operations,
                repo_type=repo_type,
                revision=revision,
                commit_message=message,
                parent_commit=parent,
            )
        except HTTPError as error:
            head = _head(api, repo_id, repo_type, revision)
            if head == parent:
                raise
            # After an answer that was lost the branch holds our own commit.
            if _holds(api, repo_id, repo_type, head, operations):
                return _commit_info(api, repo_id, repo_type, head, message)
            raise PushConflict(
                f"somebody else changed {repo_id} while this push was under way (it was made upon the commit {parent[:8]}, "
                f"and the newest is {head[:8]}): nothing was written. Look at what came in, then push again"
            ) from error

    return patiently(commit)


def _head(api, repo_id, repo_type, revision):
    return api.repo_info(repo_id, repo_type=repo_type, revision=revision).sha


def _holds(api, repo_id, repo_type, revision, operations):
    """Whether the tree of `revision` is as the operations would leave it, as far as they go."""
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.utils.sha import git_hash

    there = {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
        for entry in api.list_repo_tree(repo_id, repo_type=repo_type, revision=revision, recursive=True)
        if hasattr(entry, "blob_id")
    }
    for operation in operations:
        found = there.get(operation.path_in_repo)
        if not isinstance(operation, CommitOperationAdd):
            if found is not None:
                return False
            continue
        if found is None:
            return False
        if found != operation.upload_info.sha256.hex():
            with operation.as_file() as file:
                if found != git_hash(file.read()):
                    return False
    return True


def _commit_info(api, repo_id, repo_type, commit, message):
    from huggingface_hub import CommitInfo

    prefix = "" if repo_type == "model" else f"{repo_type}s/"
    return CommitInfo(
        commit_url=f"{api.endpoint}/{prefix}{repo_id}/commit/{commit}",
        commit_message=message,
        commit_description="",
        oid=commit,
    )


def _failure(error, repo_id, repo_type, outcome):
    status = getattr(getattr(error, "response", None), "status_code", None)
    what = without_tokens(" ".join(str(error).split()))
    if status == 401:
        return f"{outcome}: the Hub does not know who you are; run `hf auth login` ({what})"
    if status in (403, 404):
        return (
            f"{outcome}: you may not write to the {repo_type} {repo_id}; check its name and that your token may write "
            f"there ({what})"
        )
    return f"{outcome} to {repo_id}: {what}. Run the same again and it goes on where it was"
