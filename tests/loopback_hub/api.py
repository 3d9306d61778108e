"""The part of /api that is about repositories: create, delete, settings, info, lists, refs, and who is asking."""

import json
from contextlib import suppress

import yaml

from loopback_hub.contents import sibling
from loopback_hub.protocol import HubError, Response
from loopback_hub.routing import Routes
from loopback_hub.store import KINDS

ROUTES = route = Routes()


@route("GET", "/api/whoami-v2")
def whoami(request):
    if request.user is None:
        raise HubError(401, "Invalid username or password.")
    user = request.user
    orgs = [{"type": "org", "name": name, "roleInOrg": role} for name, role in user.organisations.items()]
    token = {"displayName": f"{user.name}'s token", "role": request.role}
    return {
        "type": "user",
        "id": user.name,
        "name": user.name,
        "fullname": user.name.title(),
        "orgs": orgs,
        "auth": {"type": "access_token", "accessToken": token},
    }


@route("GET", "/api/agent-harnesses")
def agent_harnesses(request):
    """Asked by the client once a day; there are none."""
    return {"standardEnvVars": [], "harnesses": {}}


# Repositories


@route("POST", "/api/repos/create")
def create(request):
    wanted = request.json()
    kind = KINDS.get(wanted.get("type") or "model")
    if kind is None or not isinstance(wanted.get("name"), str):
        raise HubError(400, f"Cannot create a repository from {wanted}")
    if request.user is None:
        raise HubError(401, "Invalid username or password.")
    private = wanted.get("visibility", "public") == "private" or wanted.get("private") is True
    id = f"{wanted.get('organization') or request.user.name}/{wanted['name']}"
    prefix = "" if kind == "models" else f"{kind}/"
    answer = {"url": f"{request.hub.url}/{prefix}{id}", "name": id, "id": id, "private": private}
    try:
        request.hub.store.create(kind, id, request.user, request.role, private)
    except FileExistsError:
        message = f"You already created this {kind.removesuffix('s')} repo: {id}"
        return Response.json({"error": message, **answer}, 409, {"X-Error-Message": message})
    return answer


@route("DELETE", "/api/repos/delete")
def delete(request):
    wanted = request.json()
    owner = wanted.get("organization") or (request.user.name if request.user else "")
    request.params = {"kind": KINDS.get(wanted.get("type") or "model"), "repo": f"{owner}/{wanted.get('name')}"}
    request.hub.store.delete(request.repository(write=True))
    return {}


@route("PUT", "/api/{kind}/{repo}/settings")
def settings(request):
    repository, wanted = request.repository(write=True), request.json()
    if "visibility" in wanted:
        repository.private = wanted["visibility"] == "private"
    elif "private" in wanted:
        repository.private = bool(wanted["private"])
    return {"private": repository.private}


@route("GET", "/api/{kind}/{repo}")
@route("GET", "/api/{kind}/{repo}/revision/{revision}")
def info(request):
    repository = request.repository()
    commit = repository.commit_at(request.params.get("revision", "main"))
    return _chosen(_info(repository, commit, request.flag("blobs")), request)


@route("GET", "/api/{kind}")
def search(request):
    """Repositories of one kind that the user may see, by author, words of the name, and tags; newest first."""
    store, words = request.hub.store, " ".join(request.query.get("search", [])).lower()
    author, wanted = request.query.get("author", [None])[-1], set(request.query.get("filter", []))
    found = []
    for repository in sorted(store.repositories.values(), key=lambda r: r.created, reverse=True):
        right = repository.kind == request.params["kind"] and store.may_read(request.user, repository)
        if right and author in (None, repository.namespace) and words in repository.id.lower():
            item = _info(repository, repository.branches["main"])
            if wanted <= {*item["tags"], item.get("library_name"), item.get("pipeline_tag")}:
                found.append(_chosen(item, request))
    limit = int(request.query.get("limit", [len(found)])[-1])
    return request.page(found[:limit])


@route("POST", "/api/validate-yaml")
def validate_yaml(request):
    """The metadata of a card: errors for what is no YAML mapping, a warning where there is none, as on the Hub."""
    try:
        metadata = _metadata(request.json().get("content", ""))
    except yaml.YAMLError as error:
        return Response.json({"errors": [{"message": f"Invalid YAML: {error}"}], "warnings": []}, 400)
    if metadata is not None and not isinstance(metadata, dict):
        errors = [{"message": f"The metadata must be a mapping, not {type(metadata).__name__}"}]
        return Response.json({"errors": errors, "warnings": []}, 400)
    warnings = [] if metadata else [{"message": "empty or missing yaml metadata in repo card"}]
    return {"errors": [], "warnings": warnings}


@route("GET", "/api/{kind}/{repo}/discussions")
def discussions(request):
    """Asked by transformers before it offers a conversion; there are none."""
    request.repository()
    return {"discussions": [], "count": 0, "start": 0}


def _metadata(card):
    """The YAML at the head of a card, None if it has none; raises yaml.YAMLError."""
    if not card.startswith("---"):
        return None
    return yaml.safe_load(card.split("\n---", 1)[0].removeprefix("---"))


def _info(repository, commit, blobs=False):
    def text(path):
        return repository.content(commit.files[path]).decode("utf-8", "replace") if path in commit.files else ""

    try:
        card = _metadata(text("README.md"))
    except yaml.YAMLError:
        card = None
    card = card if isinstance(card, dict) else {}
    tags = card.get("tags") or []
    tags = [tags] if isinstance(tags, str) else list(tags)
    tags += [f"{key}:{card[key]}" for key in ("license",) if isinstance(card.get(key), str)]
    answer = {
        "_id": repository.id,
        "id": repository.id,
        "author": repository.namespace,
        "sha": commit.id,
        "private": repository.private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags,
        "createdAt": repository.created,
        "lastModified": commit.date,
        "cardData": card,
        "siblings": [sibling(path, file, blobs) for path, file in sorted(commit.files.items())],
        "usedStorage": sum(file.size for file in commit.files.values()),
    }
    if repository.kind == "models":
        answer |= {"modelId": repository.id, **{k: card[k] for k in ("library_name", "pipeline_tag") if k in card}}
        with suppress(ValueError, KeyError, TypeError):  # no transformers configuration: the Hub leaves it out
            answer["config"] = {k: json.loads(text("config.json"))[k] for k in ("architectures", "model_type")}
    return answer


def _chosen(answer, request):
    wanted = request.query.get("expand")
    return {k: v for k, v in answer.items() if k in ("_id", "id", *wanted)} if wanted else answer


# Branches, tags, history


@route("GET", "/api/{kind}/{repo}/refs")
def refs(request):
    repository = request.repository()

    def listed(refs, folder):
        return [{"name": n, "ref": f"refs/{folder}/{n}", "targetCommit": c.id} for n, c in sorted(refs.items())]

    branches, tags = listed(dict(repository.branches), "heads"), listed(dict(repository.tags), "tags")
    return {"branches": branches, "tags": tags, "converts": [], "pullRequests": []}


@route("GET", "/api/{kind}/{repo}/commits/{revision}")
def commits(request):
    commit = request.repository().commit_at(request.params["revision"])
    items = [
        {"id": c.id, "title": c.title, "message": c.message, "authors": [{"user": c.author}], "date": c.date}
        for c in commit.history()
    ]
    return request.page(items)


@route("POST", "/api/{kind}/{repo}/branch/{branch}")
def create_branch(request):
    repository = request.repository(write=True)
    return _add_ref(repository, repository.branches, request.params["branch"], request.json().get("startingPoint"))


@route("POST", "/api/{kind}/{repo}/tag/{revision}")
def create_tag(request):
    repository, name = request.repository(write=True), request.json().get("tag")
    if not isinstance(name, str) or not name:
        raise HubError(400, f"A tag must have a name, not {name!r}")
    return _add_ref(repository, repository.tags, name, request.params["revision"])


def _add_ref(repository, refs, name, revision):
    with repository.lock:
        if name in refs:
            raise HubError(409, f"Reference already exists: {name}")
        refs[name] = repository.commit_at(revision or "main")
    return {}


@route("DELETE", "/api/{kind}/{repo}/branch/{branch}")
def delete_branch(request):
    if request.params["branch"] == "main":
        raise HubError(403, "Cannot delete the default branch: main")
    repository = request.repository(write=True)
    return _remove_ref(repository, repository.branches, request.params["branch"])


@route("DELETE", "/api/{kind}/{repo}/tag/{tag}")
def delete_tag(request):
    repository = request.repository(write=True)
    return _remove_ref(repository, repository.tags, request.params["tag"])


def _remove_ref(repository, refs, name):
    with repository.lock:
        if refs.pop(name, None) is None:
            raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return {}
