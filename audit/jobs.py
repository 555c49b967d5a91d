"""Work that is heavy or may hang runs in a child that can be killed; the coordinator imports nothing heavy.

One host process imports what jobs share once and forks a child per job. A job is one of our own functions, named as
"module:function"; it takes a JSON object and an open socket to the model's worker, and hands back one JSON file, written whole or not at all.
A session is a job that stays: its function hands back another one, which answers a JSON object with a JSON object until nobody asks any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from audit.errors import AuditError

#: The checks and what they measure with (1.5 CPU-seconds): wanted by every job whose module does not say what it shares with others (`shared`), and
#: not by those that look for the model and read the rows, so that a refused request does without.
MEASURING = ("numpy", "scipy.stats", "pyarrow.parquet", "duckdb", "pandas", "sklearn.ensemble", "audit.probe", "audit.assemble")
_PR_SET_PDEATHSIG = 1
Json = dict[str, Any]


class JobError(Exception):
    """A job that gave no result. `kind` is "timeout", "died", "worker" (the model's side failed, `cause` says how: `client.ErrorKind`) or "error"
    (ours did)."""

    def __init__(self, kind: str, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.cause = cause


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Jobs:
    """The host process and the way to ask it; use it as a context manager."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self._host: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._session: Session | None = None
        self._count = 0

    def __enter__(self) -> Jobs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        environment = os.environ | {
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system",
            # -P keeps the current folder off the path, where another folder may be called audit; ours is named instead.
            "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])),
        }  # fmt: skip
        warnings = [] if os.environ.get("PYTHONWARNINGS") else ["-W", "ignore"]
        with theirs:
            self._host = subprocess.Popen(
                [sys.executable, "-P", *warnings, "-m", "audit.jobs", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), env=environment, start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        return ours

    def run(
        self,
        target: str,
        arguments: Json,
        *,
        limit: float,
        worker: socket.socket | None = None,
        result: Path | None = None,
        tick: Callable[[], None] | None = None,
    ) -> Json:
        """The result of a job; `AuditError` as the job raised it, `JobError` where there is no result after `limit` seconds.

        `result` is the file that the job hands back (a temporary one by default). `tick` is called about ten times a second.
        """
        host = self._socket or self._start()
        path, pid = self._order(host, {"target": target, "arguments": arguments}, worker, None, result, tick)
        try:
            status = self._line(host, time.monotonic() + limit, tick)
        except TimeoutError:
            self._kill(pid)
            self._line(host, time.monotonic() + 10, None)
            raise JobError("timeout", f"it was stopped after {limit:.0f} s") from None
        except BaseException:
            self._kill(pid)
            with contextlib.suppress(JobError, TimeoutError):  # the next job must not read this one's end
                self._line(host, time.monotonic() + 10, None)
            raise
        if not path.exists():
            raise JobError("died", f"its process ended without a result (status {status})")
        content: Json = json.loads(path.read_bytes())
        if "error" in content:
            path.unlink()
            raise _error(content["error"])
        return content

    def open(self, target: str, arguments: Json, *, limit: float, worker: socket.socket | None = None) -> Session:
        """A session, ready for its first question after at most `limit` seconds; any other job ends it."""
        host = self._socket or self._start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            _, pid = self._order(host, {"target": target, "arguments": arguments}, worker, theirs, None, None)
        self._session = session = Session(self, host, pid, ours)
        try:
            session.answer(limit)
        except BaseException:
            session.close()
            raise
        return session

    def _order(
        self, host: socket.socket, order: Json, worker: socket.socket | None, channel: socket.socket | None, result: Path | None, tick: Callable[[], None] | None
    ) -> tuple[Path, int]:  # fmt: skip
        """Hand an order to the host, which does one at a time; where its result will be, and the process that does it."""
        if self._session:
            self._session.close()
        self._count += 1
        path = result or self.scratch / f"job-{self._count}.json"
        order |= {"result": str(path), "worker": worker is not None, "channel": channel is not None}
        message = json.dumps(order).encode()
        socket.send_fds(host, [len(message).to_bytes(8, "little")], [end.fileno() for end in (worker, channel) if end is not None])
        host.sendall(message)
        return path, int(self._line(host, None, tick))

    def _line(self, host: socket.socket, until: float | None, tick: Callable[[], None] | None) -> str:
        data = b""
        while not data.endswith(b"\n"):
            if until is not None and time.monotonic() > until:
                raise TimeoutError
            ready, _, _ = select.select([host], [], [], 0.1)
            if ready:
                part = b""
                with contextlib.suppress(ConnectionResetError):
                    part = host.recv(1)
                if not part:
                    raise JobError("died", "the job host ended")
                data += part
            elif tick:
                tick()
        return data.decode().strip()

    @staticmethod
    def _kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the host and whatever it runs."""
        if self._session:
            self._session.close()
        if self._socket:
            self._socket.close()
        if self._host:
            self._host.kill()
            self._host.wait()
        self._host = self._socket = None


class Session:
    """The way to a job that stays. Whatever ends it, late answers too, is a `JobError`, and it cannot be asked again."""

    def __init__(self, jobs: Jobs, host: socket.socket, pid: int, channel: socket.socket) -> None:
        self._jobs, self._host, self._pid, self._channel = jobs, host, pid, channel
        self._read = channel.makefile("rb")
        self.closed = False

    def ask(self, question: Json, *, limit: float) -> Json:
        """The answer to one question; `AuditError` or `JobError` as answering it raised, after which the next one can be asked."""
        try:
            self._channel.settimeout(limit)
            self._channel.sendall(json.dumps(question, allow_nan=False).encode() + b"\n")
        except OSError:
            self.close()
            raise JobError("died", "its process ended") from None
        return self.answer(limit)

    def answer(self, limit: float) -> Json:
        """What the job says next."""
        ready, _, _ = select.select([self._channel], [], [], limit)
        if not ready:
            self.close()
            raise JobError("timeout", f"it was stopped after {limit:.0f} s")
        self._channel.settimeout(limit)
        line = b""
        with contextlib.suppress(OSError):
            line = self._read.readline()
        if not line.endswith(b"\n"):
            self.close()
            raise JobError("died", "its process ended without an answer")
        content: Json = json.loads(line)
        if "error" in content:
            raise _error(content["error"])
        return content

    def close(self) -> None:
        """End the job, whatever it is doing."""
        if not self.closed:
            self.closed = True
            self._jobs._kill(self._pid)
            self._read.close()
            self._channel.close()
            with contextlib.suppress(JobError, TimeoutError):  # the next job must not read this one's end
                self._jobs._line(self._host, time.monotonic() + 10, None)


def _error(record: Json) -> Exception:
    if record["kind"] == "audit":
        return AuditError(record["what"], record["mend"])
    return JobError(record["kind"], record["message"], record.get("cause"))


def describe_error(error: BaseException) -> Json:
    """An exception as a record: what it was and where, never the values that it quotes unless the error is written for people."""
    if isinstance(error, AuditError):
        return {"kind": "audit", "what": error.what, "mend": error.mend}
    kind = getattr(error, "kind", None)
    if kind is not None and hasattr(error, "message"):
        return (
            {"kind": kind, "message": error.message}
            if isinstance(error, JobError)
            else {"kind": "worker", "cause": kind, "message": error.message}
        )
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f"{os.sep}audit{os.sep}" in f.filename] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "unknown place"
    return {"kind": "error", "message": f"{type(error).__name__} at {where}"}


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _child(order: Json, fds: list[int]) -> None:
    module, name = order["target"].split(":")
    worker = socket.socket(fileno=fds[0]) if order["worker"] else None
    channel = socket.socket(fileno=fds[-1]) if order["channel"] else None
    found: list[Any] = []

    def begun() -> Json:
        found.append(getattr(importlib.import_module(module), name)(order["arguments"], worker))
        return {} if channel is not None else found[0]

    content = _told(begun)
    if channel is None:
        write_whole(Path(order["result"]), content)
        return
    with channel, channel.makefile("rb") as questions:
        channel.sendall(content + b"\n")
        for line in questions if found else ():
            channel.sendall(_told(functools.partial(found[0], json.loads(line))) + b"\n")


def _told(work: Callable[[], Json]) -> bytes:
    """What it gives as JSON, or the error as a record."""
    try:
        return json.dumps(work(), allow_nan=False).encode()
    except BaseException as error:
        if os.environ.get("WITNESSMARK_DEBUG"):
            traceback.print_exc()
        return json.dumps({"error": describe_error(error)}).encode()


def _receive(host: socket.socket) -> tuple[Json, list[int]] | None:
    head, fds, _, _ = socket.recv_fds(host, 8, 2)
    while head and len(head) < 8:
        head += host.recv(8 - len(head))
    if not head:
        return None
    wanted, body = int.from_bytes(head, "little"), b""
    while len(body) < wanted:
        body += host.recv(wanted - len(body))
    order: Json = json.loads(body)
    return order, list(fds)


def _share(order: Json) -> None:
    """Import what the module of a job names as wanted by several jobs: here, so that those that follow find it imported."""
    module = importlib.import_module(order["target"].partition(":")[0])
    if hasattr(module, "shared"):
        names = module.shared(order["arguments"])
    else:
        names = MEASURING
        importlib.import_module("audit.registry").checks()
    for name in names:
        importlib.import_module(name)


def _host(descriptor: int) -> None:
    """Fork a child per order until the coordinator is gone; what several of them import is imported once, here."""
    _die_with_parent()
    host = socket.socket(fileno=descriptor)
    while (received := _receive(host)) is not None:
        order, fds = received
        with contextlib.suppress(Exception):  # the job itself says what cannot be imported
            _share(order)
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            _die_with_parent()
            host.close()
            code = 1
            try:
                _child(order, fds)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        for fd in fds:
            os.close(fd)
        host.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        host.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    _host(int(sys.argv[1]))
