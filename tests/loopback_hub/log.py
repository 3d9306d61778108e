"""The requests that came, in order, for assertions. Tokens themselves are not kept, only whose they were."""

import re
from dataclasses import dataclass, field
from threading import Lock


@dataclass
class Entry:
    method: str
    path: str  # percent-decoded, without the query string
    query: str
    headers: dict = field(repr=False)  # names in lower case, Authorization left out
    authorized: bool = False  # a token came, right or wrong
    user: str | None = None  # whose token it was
    received: int = 0  # bytes of the body that were read
    sent: int = 0  # bytes of the body that were sent
    status: int | None = None  # None as long as, or because, there was no answer


class Log(list):
    def __init__(self):
        super().__init__()
        self._lock = Lock()

    def begin(self, method, path, query, headers):
        kept = {name.lower(): value for name, value in headers.items()}
        authorized = kept.pop("authorization", None) is not None
        entry = Entry(method, path, query, kept, authorized)
        with self._lock:
            self.append(entry)
        return entry

    def find(self, method=None, pattern="", status=None):
        """Entries of that method and status whose path contains the regular expression."""
        with self._lock:
            entries = list(self)
        return [
            entry
            for entry in entries
            if method in (None, entry.method) and status in (None, entry.status) and re.search(pattern, entry.path)
        ]
