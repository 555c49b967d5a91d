"""A model that answers elsewhere: rows go to its endpoint as MLflow's `dataframe_split`, its predictions come back (standard library and NumPy).

Nothing of the model runs here. Requests hold whole rows of the input columns and nothing else; their borders depend on the row number only.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from audit.subject.flavors.answers import read
from audit.subject.flavors.base import Answer, ContractError, RefusedError, Subject
from audit.subject.flavors.rows import Rows
from audit.subject.frame import Array

#: Values and rows of one request, at most: about two megabytes of JSON.
CELLS, MOST_ROWS = 100_000, 10_000
MAX_ANSWER = 64 << 20  # bytes
#: Seconds to wait before each further try, where the connection broke or the server said 429 or 5xx.
PAUSES = (0.5, 1.0, 2.0)
#: What a server says of rows that it cannot take.
UNACCEPTABLE = (400, 422)


class _LateError(Exception):
    """The time for this request is over."""


class Endpoint(Subject):
    """The model at an address; `spec["endpoint"]` is what `endpoint.locate` found, with `authorization`, `timeout` (s) and `quote`."""

    kind = "endpoint"

    def __init__(self, spec: dict[str, Any]) -> None:
        self._at: dict[str, Any] = spec["endpoint"]
        self._quote = bool(self._at["quote"])
        self._connection: http.client.HTTPConnection | None = None

    def predict(self, rows: Rows) -> Answer:
        """The endpoint's answers, asked for in pieces of at most `MOST_ROWS` rows."""
        names = [name for name, _, _ in rows.columns]
        step = max(1, min(MOST_ROWS, CELLS // max(1, len(names))))
        parts = []
        for start in range(0, rows.n, step):
            stop = min(start + step, rows.n)
            table = [list(row) for row in zip(*(written(*c, start, stop) for c in rows.columns), strict=True)]
            body = json.dumps({"dataframe_split": {"columns": names, "data": table}}, ensure_ascii=False, allow_nan=False).encode()
            parts.append(read(self._post(body), stop - start, self.classes).checked(stop - start))
            self._quote = False  # from now on its words may be about rows
        if len({(p.values.shape[1], p.predicted is None) for p in parts}) > 1:
            raise ContractError("the endpoint's answers have another shape for some rows than for others")
        predicted = [p.predicted for p in parts if p.predicted is not None]
        return Answer(np.concatenate([p.values for p in parts]), np.concatenate(predicted) if predicted else None)

    def _post(self, body: bytes) -> bytes:
        """The body of the answer, after at most `len(PAUSES)` further tries and `timeout` seconds in all."""
        why = ""
        try:
            with deadline(self._at["timeout"]):
                for pause in (0.0, *PAUSES):
                    time.sleep(pause)
                    try:
                        status, content = self._once(body)
                    except ssl.SSLCertVerificationError as error:
                        raise ContractError(f"the endpoint's certificate is not valid: {error.verify_message}") from None
                    except (OSError, http.client.HTTPException) as error:
                        self.close()
                        why = _transport(error)
                        continue
                    if 200 <= status < 300:
                        return content
                    self.close()
                    why = f"HTTP {status}{self._said(content)}"
                    if status < 500 and status != 429:
                        raise _refusal(status, why)
        except _LateError:
            self.close()
            raise ContractError(f"the endpoint did not answer within {self._at['timeout']:.0f} s") from None
        told = f"the endpoint failed {1 + len(PAUSES)} times: {why}"
        raise RefusedError(told) if why.startswith("HTTP 5") else ContractError(told)

    def _once(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of one request; what is too long or cut off is an error."""
        if self._connection is None:
            self._connection = _connection(self._at)
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "witnessmark"}
        if self._at["authorization"]:
            headers["Authorization"] = self._at["authorization"]
        self._connection.request("POST", self._at["path"], body, headers)
        response = self._connection.getresponse()
        content = response.read(MAX_ANSWER + 1)
        if len(content) > MAX_ANSWER:
            self.close()
            raise ContractError(f"the endpoint's answer is longer than {MAX_ANSWER >> 20} MiB")
        if response.length:
            raise ConnectionResetError("the answer was cut off")
        if response.will_close:
            self.close()
        return response.status, content

    def close(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _said(self, content: bytes) -> str:
        """What a server said of its refusal, in a few words, as long as nothing of it can reach the document."""
        if not self._quote:
            return ""
        text = content[:4096].decode("utf-8", "replace")
        with contextlib.suppress(ValueError, RecursionError):
            answer = json.loads(content)
            if isinstance(answer, dict):
                text = next((str(answer[k]) for k in ("message", "detail", "error") if answer.get(k)), text)
        short = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:160]
        return f": {short}" if short else ""


def _connection(at: dict[str, Any]) -> http.client.HTTPConnection:
    """A connection to the first address that takes one; names were looked up before."""
    connection = http.client.HTTPConnection(at["host"], at["port"])
    connection.default_port = 443 if at["secure"] else 80  # what the Host header leaves out
    last: OSError = ConnectionRefusedError("no address")
    for family, address in at["addresses"]:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.connect((address, at["port"]))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if at["secure"]:
                context = ssl.create_default_context(cafile=at["cafile"], capath=at["capath"])
                sock = context.wrap_socket(sock, server_hostname=at["host"])
        except OSError as error:
            sock.close()
            last = error
            continue
        except BaseException:
            sock.close()
            raise
        connection.sock = sock
        return connection
    raise last


def _refusal(status: int, why: str) -> ContractError:
    if 300 <= status < 400:
        return ContractError(f"the endpoint redirects elsewhere (HTTP {status}), which is not followed")
    return RefusedError(f"the endpoint refused: {why}") if status in UNACCEPTABLE else ContractError(f"the endpoint refused: {why}")


def _transport(error: Exception) -> str:
    """Why there was no answer, in words without addresses."""
    if isinstance(error, ssl.SSLError):
        return f"no secure connection ({error.reason or 'TLS'})"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.HTTPException):
        return f"its answer is not HTTP ({type(error).__name__})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[0].lower() + error.strerror[1:]
    return str(error) or type(error).__name__


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `_LateError` in here once the time is over, however slowly bytes trickle in; for the main thread."""

    def late(*_: object) -> None:
        raise _LateError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def written(name: str, array: Array, vocabulary: list[str] | None, start: int, stop: int) -> list[Any]:
    """Rows of one column as JSON has them: null for missing, dates in ISO 8601. Numbers keep every digit."""
    part = array[start:stop]
    if part.ndim != 1:
        raise ContractError(f"the column {name!r} holds lists, which this version does not send to an endpoint")
    if vocabulary is not None:
        return [None if c < 0 else vocabulary[c] for c in part.tolist()]
    if part.dtype.kind == "M":
        return [None if np.isnat(v) else str(np.datetime_as_string(v)) for v in part]
    if part.dtype.kind != "f":
        return list(part.tolist())
    if np.isinf(part).any():
        raise RefusedError(f"the column {name!r} holds infinite values, which JSON cannot carry")
    return [None if v != v else v for v in part.tolist()]


def load(spec: dict[str, Any]) -> Subject:
    """The endpoint; it is not asked anything yet."""
    return Endpoint(spec)
