"""HTTP: reads a request, meets the planned faults, finds the route, answers, and writes the log."""

import re
import socket
import struct
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from loopback_hub import api, contents, lfs
from loopback_hub.faults import Cut
from loopback_hub.protocol import HubError, Request, Response

ROUTES = [*api.ROUTES, *contents.ROUTES, *lfs.ROUTES]
CHUNK = 64 * 1024


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one packet
    disable_nagle_algorithm = True

    @property
    def hub(self):
        return self.server.hub

    def serve(self):
        url = urlsplit(self.path)
        path = unquote(url.path)
        entry = self.hub.log.begin(self.command, path, url.query, self.headers)
        try:
            response = self._answer(url, path, entry)
            if self.hub.faults.take(("lose_reply",), self.command, path):
                raise Cut
            self._send(response, path, entry)
        except (Cut, ConnectionError) as error:
            self._hang_up(isinstance(error, Cut) and error.reset)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def _answer(self, url, path, entry):
        """The Response, whatever goes wrong; Cut and ConnectionError alone pass through."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.hub, self.command, url.path, parse_qs(url.query), headers, self._read_body(path, entry))
        try:
            self._meet_faults(path)
            request.user, request.role = self.hub.store.owner(headers.get("authorization"))
            entry.user = request.user.name if request.user else None
            return _dispatch(request)
        except HubError as error:
            return error.response()
        except (Cut, ConnectionError):
            raise
        except Exception as error:  # a mistake here or in what a test planned must reach the test with its cause
            return HubError(500, f"The loopback Hub failed: {type(error).__name__}: {error}").response()

    def _meet_faults(self, path):
        """Call what is to be called before this request is served, and raise what is to be answered instead."""
        while fault := self.hub.faults.take(("call", "fail"), self.command, path):
            if fault.kind == "fail":
                retry_after = fault.settings["retry_after"]
                headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
                raise HubError(fault.settings["status"], fault.settings["message"], **headers)
            fault.settings["function"]()

    # The body

    def _pieces(self):
        """The body in pieces, whether its length is announced or it comes in chunks."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read1(min(left, CHUNK))
            if not piece:
                raise ConnectionResetError("the client left in the middle of its upload")
            left -= len(piece)
            yield piece

    def _read_body(self, path, entry):
        size = int(self.headers["Content-Length"]) if "Content-Length" in self.headers else None
        fault = self.hub.faults.take(("cut_upload", "stall_upload"), self.command, path, size)
        body = bytearray()
        for piece in self._pieces():
            body += piece
            entry.received = len(body)
            if fault and len(body) >= fault.settings["after"]:
                if fault.kind == "stall_upload":
                    fault.release.wait()
                raise Cut(fault.settings["reset"])
        return bytes(body)

    # The answer

    def _send(self, response, path, entry):
        entry.status = response.status
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, re.sub(r"\s+", " ", str(value)).encode("latin-1", "replace").decode("latin-1"))
        self.send_header("X-Request-Id", uuid4().hex)
        if "Content-Length" not in response.headers:
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(response, path, entry)
        self.wfile.flush()

    def _send_body(self, response, path, entry):
        kinds = ("cut_download", "stall_download", "trickle") if response.status in (200, 206) else ()
        fault = self.hub.faults.take(kinds, self.command, path, len(response.body))
        pieces = [response.body]
        if fault and fault.kind == "trickle":
            step = fault.settings["chunk"]
            pieces = [response.body[i : i + step] for i in range(0, len(response.body), step)]
        elif fault:
            after = fault.settings["after"]
            pieces = [response.body[:after], response.body[after:]]
        for piece in pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            entry.sent += len(piece)
            if fault and fault.kind == "trickle":
                time.sleep(fault.settings["pause"])
            elif fault and fault.kind == "cut_download":
                raise Cut(fault.settings["reset"])
            elif fault:
                fault.release.wait()

    def _hang_up(self, reset):
        self.close_connection = True
        if reset:  # a zero linger time makes close() send a reset instead of a farewell
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            with suppress(OSError):  # the client was faster
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        """The log is for assertions; nothing is printed."""


def _dispatch(request):
    known = False
    for method, pattern, function in ROUTES:
        match = pattern.fullmatch(request.path)
        if match and method == ("GET" if request.method == "HEAD" else request.method):
            request.params = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
            result = function(request)
            return result if isinstance(result, Response) else Response.json(result)
        known |= bool(match)
    # Not a 404, which clients take for an answer: a test must notice that it left what this server speaks.
    raise HubError(405 if known else 501, f"The loopback Hub does not speak {request.method} {request.path}")
