"""Faults that a test plans beforehand: which requests meet them, how often, and what happens then.

`hub.faults.cut_upload(after=1000)` and so on return the Fault, whose `happened` counts. Each fault meets the requests
whose method and path (query string left out) fit and whose body has at least `after` bytes: not the first `skip` of
them, but the next `times`; then it is spent.
"""

import re
import time
from dataclasses import dataclass, field
from threading import Event, Lock

COMMIT = r"/commit/"
DOWNLOAD = r"/resolve/|^/cdn/"
LFS_UPLOAD = r"^/lfs/"


class Cut(Exception):
    """Ends the connection at once; with `reset` so that even bytes on their way are lost."""

    def __init__(self, reset=False):
        super().__init__("connection cut by a planned fault")
        self.reset = reset


@dataclass
class Fault:
    kind: str
    method: str
    pattern: str
    skip: int = 0
    times: int = 1
    settings: dict = field(default_factory=dict)
    seen: int = 0
    happened: int = 0
    reached: Event = field(default_factory=Event)  # set once a request has met the fault
    release: Event = field(default_factory=Event)  # what a stalled request waits for

    def fits(self, method, path, size):
        """`size` is that of the body where known: a fault after more bytes than there are is for another request."""
        long_enough = size is None or size >= self.settings.get("after", 0)
        return method == self.method and long_enough and re.search(self.pattern, path) is not None


class Faults:
    def __init__(self):
        self._planned = []
        self._lock = Lock()

    def take(self, kinds, method, path, size=None):
        """The next fault of one of these kinds that this request, with a body of `size` bytes, meets, or None."""
        with self._lock:
            for fault in self._planned:
                if fault.kind in kinds and fault.happened < fault.times and fault.fits(method, path, size):
                    fault.seen += 1
                    if fault.seen > fault.skip:
                        fault.happened += 1
                        fault.reached.set()
                        return fault
        return None

    def release_all(self):
        """Let every stalled request go on; the server does so when it stops."""
        for fault in self._planned:
            fault.release.set()

    def _plan(self, kind, method, pattern, skip, times, **settings):
        fault = Fault(kind, method, pattern, skip, times, settings)
        with self._lock:
            self._planned.append(fault)
        return fault

    # Uploads: bytes of the request's body

    def cut_upload(self, after=0, pattern=LFS_UPLOAD, method="PUT", skip=0, times=1, reset=True):
        """Read `after` bytes of the body, then cut the connection: nothing is stored."""
        return self._plan("cut_upload", method, pattern, skip, times, after=after, reset=reset)

    def stall_upload(self, after=0, pattern=LFS_UPLOAD, method="PUT", skip=0, times=1):
        """Read `after` bytes of the body, then nothing until `fault.release`, which cuts the connection: time to kill
        the client in mid-upload. Nothing is stored, though the system may hold all that the client had sent."""
        return self._plan("stall_upload", method, pattern, skip, times, after=after, reset=True)

    # Downloads: bytes of the response's body; redirects and errors are not met

    def cut_download(self, after=0, pattern=DOWNLOAD, method="GET", skip=0, times=1, reset=False):
        """Promise the whole body, send `after` bytes of it, then close. The client resumes after a plain close
        (`reset=False`), and gives up on a reset connection."""
        return self._plan("cut_download", method, pattern, skip, times, after=after, reset=reset)

    def stall_download(self, after=0, pattern=DOWNLOAD, method="GET", skip=0, times=1):
        """Send `after` bytes of the body, then wait for `fault.release` and send the rest."""
        return self._plan("stall_download", method, pattern, skip, times, after=after)

    def trickle(self, chunk, pause, pattern=DOWNLOAD, method="GET", skip=0, times=1):
        """Send the body `chunk` bytes at a time, `pause` seconds apart."""
        return self._plan("trickle", method, pattern, skip, times, chunk=chunk, pause=pause)

    # Any request

    def fail(self, status, pattern, method="GET", skip=0, times=1, retry_after=None, message="Planned failure"):
        """Answer `status` instead of doing anything, with a Retry-After header of so many seconds."""
        return self._plan(
            "fail", method, pattern, skip, times, status=status, retry_after=retry_after, message=message
        )

    def delay(self, seconds, pattern, method="GET", skip=0, times=1):
        """Wait before doing anything."""
        return self._plan("call", method, pattern, skip, times, function=lambda: time.sleep(seconds))

    def call(self, function, pattern=COMMIT, method="POST", skip=0, times=1):
        """Call `function()` in the server before the request is served: what another writer does meanwhile."""
        return self._plan("call", method, pattern, skip, times, function=function)

    def lose_reply(self, pattern=COMMIT, method="POST", skip=0, times=1):
        """Do all that was asked, then close the connection without an answer."""
        return self._plan("lose_reply", method, pattern, skip, times, reset=False)
