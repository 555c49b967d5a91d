"""An endpoint for tests: each first part of a path is a way to behave, well, slowly or wrongly."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rows = list[list[Any]]
#: Answers for n rows that are 200 and JSON, and yet wrong.
WRONG: dict[str, Callable[[int], Any]] = {
    "fewer": lambda n: {"predictions": [0.5] * (n - 1)},
    "ragged": lambda n: {"predictions": [[0.5, 0.5]] * (n - 1) + [[1.0]]},
    "texts": lambda n: {"predictions": [["a", "b"]] * n},
    "mixed": lambda n: {"predictions": [0.5] * (n - 1) + ["yes"]},
    "nested": lambda n: {"predictions": [[[0.5, 0.5]]] * n},
    "object": lambda n: {"predictions": {"status": "ok"}},
    "scalar": lambda n: {"predictions": 0.5},
    "unnamed": lambda n: {"outputs": [0.5] * n},
    "list": lambda n: [0.5] * n,
    "columns": lambda n: {"predictions": [{"p": 0.5, "q": 0.5}] * (n - 1) + [{"p": 0.5}]},
    "huge number": lambda n: {"predictions": [10**400] * n},
}


class Endpoint:
    """A running server: `requests` are (path, headers, body as sent), `seen` counts requests by way."""

    def __init__(self, server: ThreadingHTTPServer, scheme: str) -> None:
        self.server, self.scheme = server, scheme
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.seen: Counter[str] = Counter()
        self.answer: Callable[[list[str], Rows], list[Any]] = lambda _, data: [0.5] * len(data)
        self.dies_after = 0
        self.gone = False

    @property
    def port(self) -> int:
        return int(self.server.server_port)

    def url(self, way: str = "good", user: str = "") -> str:
        return f"{self.scheme}://{user}127.0.0.1:{self.port}/{way.replace(' ', '-')}/invocations"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: Endpoint

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        raise AssertionError("an endpoint is asked for predictions and nothing else")

    def do_POST(self) -> None:
        here = self.endpoint
        way = self.path.split("/")[1].replace("-", " ")
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        here.requests.append((self.path, dict(self.headers), body))
        here.seen[way] += 1
        table = body["dataframe_split"]
        if way in WRONG:
            return self._json(WRONG[way](len(table["data"])))
        if way == "mortal":
            if here.seen[way] > here.dies_after or here.gone:
                here.gone = True
                return self._drop()
            return self._json({"predictions": here.answer(table["columns"], table["data"])})
        special = getattr(self, f"_{way.replace(' ', '_')}", None)
        if special is not None:
            return special()
        return self._json({"predictions": here.answer(table["columns"], table["data"])})

    def _json(self, content: Any, status: int = 200, **headers: str) -> None:
        self._bytes(json.dumps(content).encode(), status, **headers)

    def _bytes(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def _well(self) -> None:
        table = self.endpoint.requests[-1][2]["dataframe_split"]
        self._json({"predictions": self.endpoint.answer(table["columns"], table["data"])})

    def _flaky(self) -> None:
        """Every first and second of three requests fails: an error of the server, a connection that breaks."""
        turn = self.endpoint.seen["flaky"] % 3
        self._json({"message": "later"}, 503) if turn == 1 else self._drop() if turn == 2 else self._well()

    def _redirect(self) -> None:
        self._json({}, 307, Location=self.endpoint.url("good"))

    def _refusing(self) -> None:
        self._json({"error_code": "BAD_REQUEST", "message": "the column 'c'\nis missing"}, 400)

    def _closed(self) -> None:
        self._json({"message": "who are you?"}, 401)

    def _broken(self) -> None:
        self._json({"message": "out of order"}, 500)

    def _page(self) -> None:
        self._bytes(b"<html>welcome</html>")

    def _cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"predictions": [')
        self._drop()

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" " * (1 << 20))
        except OSError:
            self.close_connection = True

    def _slow(self) -> None:
        time.sleep(8)
        self._drop()

    def _trickle(self) -> None:
        """A byte now and then, for ever: no single wait is long."""
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gives up is what several tests are about."""


@contextmanager
def endpoint(context: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """A server on a free port of this machine, stopped at the end."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {}))
    running = Endpoint(server, "https" if context else "http")
    server.RequestHandlerClass.endpoint = running
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
