"""The server that a test holds: start, stop, people, repositories, faults, log, and how to point a process at it."""

import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from pathlib import Path

from loopback_hub.faults import Faults
from loopback_hub.handler import Handler
from loopback_hub.lfs import Signer
from loopback_hub.log import Log
from loopback_hub.store import Store


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, hub, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.hub = hub
        self.connections = set()

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """A client that leaves in the middle is what these tests are about; nothing is printed."""


class LoopbackHub:
    """A Hub at `url`, on 127.0.0.1, from construction until `stop()`; a context manager too. `port=0`: any free one.

    `store` has the people and repositories, `faults` plans what goes wrong, `log` is what was asked.
    """

    def __init__(self, port=0):
        self.store, self.faults, self.log = Store(), Faults(), Log()
        self.page_size = 1000  # entries on one page of a listing
        self._folder = tempfile.TemporaryDirectory(prefix="loopback_hub_")
        self.folder = Path(self._folder.name)
        self._server = _Server(self, port)
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        # Another name of this host is another origin to the client: it must not send its token there.
        self.signer = Signer(self.url, f"http://localhost:{port}")
        # A short poll makes stop() quick.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Free the port and cut all connections, those of stalled requests too."""
        self.faults.release_all()
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._server.connections):
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    # People and repositories

    def token(self, user, role="write"):
        """A token of that user (added if new); `role="read"` for one that may not write."""
        return self.store.token(user, role)

    def organisation(self, name, **members):
        """Add an organisation, with the role of each member: `hub.organisation("lab", alice="write", bob="read")`."""
        for user, role in members.items():
            self.store.token(user)
            self.store.users[user].organisations[name] = role

    def api(self, user=None, role="write"):
        """The real client, as that user, or anonymous. Needs no environment variable but HF_HUB_DISABLE_XET."""
        from huggingface_hub import HfApi  # reads the environment when imported, which the tests set up first

        return HfApi(endpoint=self.url, token=self.token(user, role) if user else False)

    def repository(self, id, kind="models"):
        """The Repository itself, past all rights: to look at, or to write to as another writer would."""
        return self.store.repositories[kind, id]

    # Processes

    def environment(self, token=None, home=None, **more):
        """Environment variables that point a process at this Hub, with a cache of its own in `home`.

        Without `token` the process is anonymous, whatever the machine's own login. The default `home` is shared by
        all processes of this Hub; give another folder for what another machine would see.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        environment |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home or self.folder / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        return environment | ({"HF_TOKEN": token} if token else {}) | more

    def run_python(self, code, token=None, home=None, cwd=None, check=True, **more):
        """Run `code` in a new Python process that knows only this Hub; `more` are environment variables.

        Returns the CompletedProcess, stdout and stderr as text. A failure raises AssertionError with the error
        output, unless `check=False`.
        """
        result = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=self.environment(token, home, **more),
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or result.returncode == 0, result.stderr[-4000:]
        return result
