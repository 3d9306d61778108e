"""The files of a repository: listing them, committing them, and downloading them, in part if so asked."""

import base64
import binascii
import hashlib
import json
import re
from urllib.parse import parse_qs, quote

from loopback_hub.protocol import HubError, Response
from loopback_hub.routing import Routes

ROUTES = route = Routes()


# Listing


def sibling(path, file, blobs):
    """A file as repository info lists it."""
    if not blobs:
        return {"rfilename": path}
    lfs = {"size": file.size, "sha256": file.sha256, "pointerSize": file.pointer_size}
    return {"rfilename": path, "size": file.size, "blobId": file.oid, **({"lfs": lfs} if file.sha256 else {})}


def _entry(commit, path, expand):
    """A file or folder as tree and paths-info list it, None if there is nothing of that name."""
    file = commit.files.get(path)
    inside = [] if file else sorted((p, f.oid) for p, f in commit.files.items() if p.startswith(path + "/"))
    if not file and not inside:
        return None
    if file:
        entry = {"type": "file", "path": path, "size": file.size, "oid": file.oid}
        if file.sha256:
            entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    else:
        oid = hashlib.sha1(json.dumps(inside).encode()).hexdigest()
        entry = {"type": "directory", "path": path, "size": 0, "oid": oid}
    if expand:
        last = commit.last_change(path)
        entry["lastCommit"] = {"id": last.id, "title": last.title, "date": last.date}
    return entry


@route("GET", "/api/{kind}/{repo}/tree/{revision}")
@route("GET", "/api/{kind}/{repo}/tree/{revision}/{path}")
def tree(request):
    commit = request.repository().commit_at(request.params["revision"])
    folder = request.params.get("path", "").strip("/")
    start = f"{folder}/" if folder else ""
    depths = set()
    for path in commit.files:
        if path.startswith(start):
            parts = path.removeprefix(start).split("/")
            depths |= {start + "/".join(parts[:n]) for n in range(1, len(parts) + 1)}
    if folder and not depths:
        raise HubError(404, f"{folder} does not exist on {request.params['revision']}", "EntryNotFound")
    if not request.flag("recursive"):
        depths = {path for path in depths if "/" not in path.removeprefix(start)}
    return request.page([_entry(commit, path, request.flag("expand")) for path in sorted(depths)])


@route("POST", "/api/{kind}/{repo}/paths-info/{revision}")
def paths_info(request):
    """The body is a form, `paths=a&paths=b&expand=False`; paths that do not exist are left out of the answer."""
    commit = request.repository().commit_at(request.params["revision"])
    form = parse_qs(request.body.decode())
    expand = form.get("expand", ["false"])[-1].lower() == "true"
    entries = [_entry(commit, path.strip("/"), expand) for path in form.get("paths", [])]
    return [entry for entry in entries if entry]


# Committing


@route("POST", "/api/{kind}/{repo}/preupload/{revision}")
def preupload(request):
    """For each file: to LFS or into the commit itself, and the name of what is there now, so that the client leaves
    out what did not change. Files named in .gitignore are not ignored here, unlike on the real Hub."""
    _refuse_pull_request(request)
    repository = request.repository(write=True)
    files = repository.commit_at(request.params["revision"]).files

    def mode(file):
        sample = base64.b64decode(file.get("sample", ""))
        lfs = repository.wants_lfs(file["path"], file["size"], sample, request.params["revision"])
        there = files.get(file["path"])
        return {
            "path": file["path"],
            "uploadMode": "lfs" if lfs else "regular",
            "shouldIgnore": False,
            "oid": there.etag if there else None,
        }

    return {"files": [mode(file) for file in request.json()["files"]]}


@route("POST", "/api/{kind}/{repo}/commit/{revision}")
def commit(request):
    _refuse_pull_request(request)
    repository = request.repository(write=True)
    header, operations = None, []
    try:
        for line in request.body.decode().splitlines():
            key, value = (item := json.loads(line))["key"], item["value"]
            if key == "header":
                header = value
            elif key == "file":
                operations.append(("add", value["path"], repository.add_blob(base64.b64decode(value["content"]))))
            elif key == "lfsFile":
                operations.append(("add", value["path"], repository.lfs_file(value["oid"])))
            elif key in ("deletedFile", "deletedFolder"):
                operations.append((f"delete_{key.removeprefix('deleted').lower()}", value["path"], None))
            else:
                raise HubError(400, f"Unknown operation in a commit: {key!r}")
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise HubError(400, f"The commit is not well formed: {type(error).__name__}: {error}") from error
    if not header or not header.get("summary"):
        raise HubError(400, "A commit must have a header with a summary")
    made = repository.commit(
        request.params["revision"],
        operations,
        header["summary"],
        header.get("description", ""),
        request.user.name,
        header.get("parentCommit"),
    )
    prefix = "" if repository.kind == "models" else f"{repository.kind}/"
    url = f"{request.hub.url}/{prefix}{repository.id}/commit/{made.id}"
    return {"success": True, "commitOid": made.id, "commitUrl": url}


def _refuse_pull_request(request):
    if request.flag("create_pr"):
        raise HubError(501, "The loopback Hub has no pull requests")


# Downloading


@route("GET", "/{repo}/resolve/{revision}/{path}")
def resolve_model(request):
    request.params["kind"] = "models"
    return _resolve(request)


@route("GET", "/{kind}/{repo}/resolve/{revision}/{path}")
def resolve(request):
    return _resolve(request)


def _resolve(request):
    """Regular files are served at once; LFS files, as on the real Hub, by another host to which the client is sent
    with a signed address and must not take its token."""
    repository, path = request.repository(), request.params["path"]
    commit = repository.commit_at(request.params["revision"])
    file = commit.files.get(path)
    if file is None:
        raise HubError(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit.id})
    headers = {"X-Repo-Commit": commit.id, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    headers["Content-Disposition"] = f'inline; filename="{quote(path.rsplit("/", 1)[-1])}";'
    if file.sha256:
        headers |= {"X-Linked-Size": str(file.size), "X-Linked-ETag": f'"{file.sha256}"'}
        address = request.hub.signer.download(repository, file.sha256, path)
        return Response(302, {**headers, "Location": address})
    return ranged(repository.content(file), headers, request)


def ranged(content, headers, request):
    """`content`, or the part of it that the Range header names: 206, or 416 where there is no such part."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", "").replace(" ", ""))
    if not match or not any(match.groups()):
        return Response(200, headers, content)
    first, last = match.groups()
    start = int(first) if first else max(len(content) - int(last), 0)
    end = min(int(last) + 1, len(content)) if first and last else len(content)
    if start >= len(content) or start >= end:
        raise HubError(416, "Range Not Satisfiable", **{"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    return Response(206, headers, content[start:end])
