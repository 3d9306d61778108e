"""Who is there and what belongs to whom: users, tokens, organisations, repositories, and the rights between them."""

import secrets
from dataclasses import dataclass, field
from threading import RLock

from loopback_hub.protocol import HubError
from loopback_hub.repository import Repository

KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}  # the type in JSON -> the type in addresses


@dataclass
class User:
    name: str
    organisations: dict = field(default_factory=dict)  # name -> role: read or write


class Store:
    def __init__(self):
        self.lock = RLock()
        self.users = {}  # name -> User
        self.organisations = set()
        self.tokens = {}  # token -> (User, role)
        self.repositories = {}  # (kind, id) -> Repository

    def token(self, name, role="write"):
        """A token of that user, who is added if new. One token a user and role, so that asking twice is harmless."""
        with self.lock:
            user = self.users.setdefault(name, User(name))
            for token, owner in self.tokens.items():
                if owner == (user, role):
                    return token
            token = "hf_" + secrets.token_hex(17)
            self.tokens[token] = (user, role)
            return token

    def owner(self, authorization):
        """(User, role) of an Authorization header, (None, None) without one; 401 for a token that is not known."""
        if not authorization:
            return None, None
        found = self.tokens.get(authorization.removeprefix("Bearer ").strip())
        if found is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return found

    # The rights

    def may_read(self, user, repository):
        return not repository.private or (
            user is not None and repository.namespace in {user.name, *user.organisations}
        )

    def may_write(self, user, role, namespace):
        return role == "write" and (namespace == user.name or user.organisations.get(namespace) == "write")

    def check_write(self, user, role, namespace, what):
        """Raise what the Hub says to one who may not do `what` in that namespace."""
        if user is None:
            raise unauthorised()
        if role != "write":
            raise HubError(403, "Forbidden: you must use a write token to upload to a repository.")
        if not self.may_write(user, role, namespace):
            raise HubError(403, f'You don\'t have the rights to {what} under the namespace "{namespace}"')

    def repository(self, kind, id, user, role, write=False):
        """The repository, if this user may read (or write) it. A hidden one looks exactly like a missing one."""
        repository = self.repositories.get((kind, id))
        if repository is None or not self.may_read(user, repository):
            raise unauthorised() if user is None else HubError(404, "Repository not found", "RepoNotFound")
        if write:
            self.check_write(user, role, repository.namespace, "write to a repository")
        return repository

    # Changes

    def create(self, kind, id, user, role, private=False):
        """A new repository; raises 403 without the right, and FileExistsError if there is one of that name."""
        namespace, _, name = id.partition("/")
        if not name or "/" in name or "--" in id or ".." in id or name.endswith(".git"):
            raise HubError(400, f"Invalid repository name: {id!r}")
        self.check_write(user, role, namespace, f"create a {kind.removesuffix('s')}")
        with self.lock:
            if (kind, id) in self.repositories:
                raise FileExistsError(id)
            repository = self.repositories[kind, id] = Repository(kind, id, user.name, private)
            return repository

    def delete(self, repository):
        with self.lock:
            del self.repositories[repository.kind, repository.id]


def unauthorised():
    """No token where one is needed. The real Hub sends no code here and the client tells by the https address that
    the repository is hidden or missing; over http it cannot, so the code says what it would have concluded."""
    return HubError(401, "Invalid username or password.", "RepoNotFound")
