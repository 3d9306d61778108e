"""What goes over the wire: a request as the routes see it, a response, and an error in the Hub's words."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode


class HubError(Exception):
    """An answer that is not a success. `code` is the X-Error-Code by which the client picks its exception class."""

    def __init__(self, status, message, code=None, **headers):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}

    def response(self):
        return Response.json({"error": self.message}, self.status, self.headers)


@dataclass
class Response:
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, value, status=200, headers=None):
        headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        return cls(status, headers, json.dumps(value).encode())


@dataclass
class Request:
    """One request, its body read. `user` is None without a token; `role` is what the token may do: read or write."""

    hub: object
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes
    user: object = None
    role: str | None = None
    params: dict = field(default_factory=dict)

    def json(self):
        try:
            return json.loads(self.body or b"{}")
        except ValueError as error:
            raise HubError(400, f"The body is not JSON: {error}") from error

    def flag(self, name):
        """A boolean of the query string; the client writes `true`, `True` or `1`."""
        return self.query.get(name, ["false"])[-1].lower() in ("true", "1")

    def repository(self, write=False):
        """The repository that the path names; raises the Hub's errors for who may not see or change it."""
        return self.hub.store.repository(self.params["kind"], self.params["repo"], self.user, self.role, write=write)

    def page(self, items):
        """One page of a listing as a Response, with a Link header to the next, as the Hub and GitHub do it."""
        start, size = int(self.query.get("cursor", ["0"])[-1]), self.hub.page_size
        headers = {}
        if start + size < len(items):
            query = urlencode({**self.query, "cursor": [str(start + size)]}, doseq=True)
            headers["Link"] = f'<{self.hub.url}{self.path}?{query}>; rel="next"'
        return Response.json(items[start : start + size], headers=headers)
