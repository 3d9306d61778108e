"""Large files: the git-LFS batch call, uploads and downloads at signed addresses that need no token."""

import hashlib
import hmac
import secrets
from urllib.parse import quote

from loopback_hub.contents import ranged
from loopback_hub.protocol import HubError, Response
from loopback_hub.routing import Routes

ROUTES = route = Routes()


class Signer:
    """Makes and checks addresses under which whoever has them may upload or download one object."""

    def __init__(self, url, storage_url):
        self._url, self._storage_url = url, storage_url
        self._key = secrets.token_bytes(16)

    def _signature(self, *parts):
        return hmac.new(self._key, "\n".join(parts).encode(), "sha256").hexdigest()

    def upload(self, repository, sha256):
        signature = self._signature("upload", repository.kind, repository.id, sha256)
        return f"{self._url}/lfs/{repository.kind}/{repository.id}/{sha256}?signature={signature}"

    def download(self, repository, sha256, path):
        signature = self._signature("download", repository.kind, repository.id, sha256)
        address = f"{self._storage_url}/cdn/{repository.kind}/{repository.id}/{sha256}/{quote(path)}"
        return f"{address}?signature={signature}"

    def check(self, request, what):
        """The repository and the object's name, if the address is one of ours; 403 otherwise."""
        kind, id, sha256 = (request.params[name] for name in ("kind", "repo", "oid"))
        given = request.query.get("signature", [""])[-1]
        repository = request.hub.store.repositories.get((kind, id))
        if repository is None or not hmac.compare_digest(given, self._signature(what, kind, id, sha256)):
            raise HubError(403, "The signature of this address is not valid")
        return repository, sha256


@route("POST", "/{repo}.git/info/lfs/objects/batch")
def batch_models(request):
    request.params["kind"] = "models"
    return batch(request)


@route("POST", "/{kind}/{repo}.git/info/lfs/objects/batch")
def batch(request):
    """Objects that are already here come without actions: that is how a repeated upload sends only what is missing."""
    repository, wanted = request.repository(write=True), request.json()
    if wanted.get("operation") != "upload" or "basic" not in wanted.get("transfers", ["basic"]):
        raise HubError(400, f"The loopback Hub does basic uploads only, not {wanted.get('operation')}")
    verify = {"href": f"{request.hub.url}/lfs-verify/{repository.kind}/{repository.id}"}

    def answer(thing):
        upload = {"href": request.hub.signer.upload(repository, thing["oid"])}
        actions = {} if thing["oid"] in repository.objects else {"actions": {"upload": upload, "verify": verify}}
        return {"oid": thing["oid"], "size": thing["size"], **actions}

    return {"transfer": "basic", "hash_algo": "sha256", "objects": [answer(thing) for thing in wanted["objects"]]}


@route("PUT", "/lfs/{kind}/{repo}/{oid}")
def upload(request):
    repository, sha256 = request.hub.signer.check(request, "upload")
    found = hashlib.sha256(request.body).hexdigest()
    if found != sha256:
        raise HubError(400, f"The uploaded bytes have sha256 {found}, not {sha256}")
    repository.add_object(request.body)
    return Response(200)


@route("POST", "/lfs-verify/{kind}/{repo}")
def verify(request):
    repository, wanted = request.repository(write=True), request.json()
    content = repository.objects.get(wanted.get("oid"))
    if content is None or len(content) != wanted.get("size"):
        raise HubError(404, f"Object {wanted.get('oid')} of {wanted.get('size')} bytes is not here")
    return {}


@route("GET", "/cdn/{kind}/{repo}/{oid}/{path}")
def download(request):
    if "authorization" in request.headers:
        # Storage services refuse a second kind of credentials, and a token has no business there.
        raise HubError(400, "Only one auth mechanism allowed: this address is signed, send no token")
    repository, sha256 = request.hub.signer.check(request, "download")
    return ranged(repository.objects[sha256], {"ETag": f'"{sha256}"'}, request)
