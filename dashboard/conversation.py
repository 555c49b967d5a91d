"""What a model answers to values that somebody types in, asked of `python -m audit.explain --serve` in a process of its own.

This process loads no model and reads no rows: it writes questions and reads answers, JSON objects one a line. The command confines the model in a
worker, ends when nobody asked for ten minutes, and ends when this process does, because its input ends then.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from audit.result import AuditResult
from dashboard.store import Entry, tracking_uri

Json = dict[str, Any]
#: Models that one server keeps loaded; who asked longest ago makes room.
MOST = 3
#: Seconds until a model must be ready, and until it must have answered; the command itself gives up a little earlier and goes on.
START_LIMIT, ANSWER_LIMIT, COMMAND_LIMIT = 300.0, 75.0, 60.0
#: Answers that are kept of one conversation, and bytes of them: those about pictures hold the picture.
KEPT, KEPT_BYTES = 200, 32 << 20
#: A value of so many letters stands in the name of a question by its digest.
LONG = 1_000


@lru_cache(maxsize=16)
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _key(op: str, values: Json, row: int | None) -> str:
    """The name of a question, the same for the same one."""
    short = {name: {"sha256": _digest(v)} if isinstance(v, str) and len(v) > LONG else v for name, v in values.items()}
    return f"{op} {_digest(json.dumps([row, short], sort_keys=True))}"


@dataclass(frozen=True)
class Answer:
    """What came back: the part of explanation.json that depends on the row, or what is wrong and how it is mended; and how long it took."""

    result: Json | None
    error: str = ""
    mend: str = ""
    seconds: float = 0.0


class Conversation:
    """One loaded model and what it was asked. `state` is loading, ready, or ended with `why` as (kind, words of the command)."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None, *, start_limit: float = START_LIMIT, answer_limit: float = ANSWER_LIMIT) -> None:  # fmt: skip
        self.ready: Json = {}
        self.state, self.why = "loading", ("", "")
        self.begun = self.asked_last = time.monotonic()
        self._limits = (start_limit, answer_limit)
        self.took: dict[str, float] = {}  # seconds of the quickest answer of each kind
        self._pending: dict[str, float] = {}
        self._answers: dict[str, Answer] = {}
        self._sizes: dict[str, int] = {}
        self._questions: SimpleQueue[bytes | None] = SimpleQueue()
        self._said: deque[str] = deque(maxlen=20)
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        told = threading.Thread(target=self._listen_to_errors, daemon=True)
        told.start()
        threading.Thread(target=self._listen, args=(told,), daemon=True).start()
        threading.Thread(target=self._write, daemon=True).start()

    # --- asking -----------------------------------------------------------------------------------------------------------------------

    def ask(self, op: str, values: Json, row: int | None = None, *, wait: float = 0.0) -> Answer | None:
        """The answer, from before or within `wait` seconds; None while it is being found. What was asked once is not asked again."""
        key = _key(op, values, row)
        with self._news:
            self.asked_last = time.monotonic()
            if key not in self._answers and key not in self._pending and self.state == "ready":
                self._pending[key] = time.monotonic()
                self._send({"op": op, "values": values, "id": key} | ({} if row is None else {"row": row}))
            self._news.wait_for(lambda: key in self._answers or self.state == "ended", timeout=wait)
        self.look()
        return self._answers.get(key)

    def known(self, op: str, values: Json, row: int | None = None) -> Answer | None:
        """The answer to typed-in values, where there is one already."""
        return self._answers.get(_key(op, values, row))

    @property
    def busy(self) -> bool:
        """Whether a question has no answer yet."""
        return bool(self._pending)

    def wait(self, seconds: float) -> None:
        """Until the model is ready, or the conversation has ended."""
        with self._news:
            self._news.wait_for(lambda: self.state != "loading", timeout=seconds)
        self.look()

    def look(self) -> str:
        """The state now; a model that takes too long is ended here."""
        now, (start, answer) = time.monotonic(), self._limits
        if self.state == "loading" and now - self.begun > start:
            self.end("start", f"{start:.0f}")
        elif self.state == "ready" and self._pending and now - min(self._pending.values()) > answer:
            self.end("answer", f"{answer:.0f}")
        return self.state

    def end(self, kind: str = "put away", words: str = "") -> None:
        """End the model's processes; `why` keeps the first reason."""
        with self._news:
            if self.state != "ended":
                self.state, self.why = "ended", (kind, words)
            self._news.notify_all()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        threading.Thread(target=self._bury, daemon=True).start()

    # --- the process ------------------------------------------------------------------------------------------------------------------

    def _send(self, question: Json) -> None:
        self._questions.put(json.dumps(question).encode() + b"\n")

    def _write(self) -> None:
        """Questions on their way, by a thread of their own: a picture is longer than a pipe, and who writes it must not keep answers from being read."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended, which the listener says
            while (line := self._questions.get()) is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def _listen(self, told: threading.Thread) -> None:
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError), self._news:
                    self._take(json.loads(line), len(line))
                    self._news.notify_all()
        status = self._process.wait()
        self._questions.put(None)
        told.join(2)
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        errors = [line.removeprefix("error: ") for line in self._said if line.startswith("error: ")]
        with self._news:
            if self.state != "ended":
                kind = "error" if errors else "idle" if status == 0 else "died"
                self.state, self.why = "ended", (kind, errors[-1] if errors else str(status))
            self._news.notify_all()

    def _take(self, record: Json, size: int) -> None:
        if record.get("ready"):
            self.ready, self.state = record, "ready" if self.state == "loading" else self.state
        elif (key := record.get("id")) in self._pending:
            seconds = time.monotonic() - self._pending.pop(key)
            op = key.partition(" ")[0]
            self.took[op] = min(seconds, self.took.get(op, seconds))  # the first answer waits for imports
            self._answers[key] = Answer(record.get("result"), str(record.get("error") or ""), str(record.get("mend") or ""), seconds)
            self._sizes[key] = size
            while len(self._answers) > KEPT or (len(self._answers) > 1 and sum(self._sizes.values()) > KEPT_BYTES):
                oldest = next(iter(self._answers))
                del self._answers[oldest], self._sizes[oldest]

    def _listen_to_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._said.append(line.decode("utf-8", "replace").rstrip())

    def _bury(self) -> None:
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


_RUNNING: list[Conversation] = []
_LOCK = threading.Lock()


def begin(entry: Entry, document: AuditResult) -> Conversation:
    """A conversation with the model of an audit, asked as the audit asked."""
    with tempfile.NamedTemporaryFile("wb", prefix="witnessmark-audit-", suffix=".json", delete=False) as file:
        file.write(document.model_dump_json(by_alias=True).encode())
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    store = entry.run[0] if entry.run is not None else tracking_uri()
    command = [
        sys.executable, "-P", "-m", "audit.explain", document.model.uri, "--serve", "--audit", file.name, "--tracking-uri", store,
        "--timeout", f"{COMMAND_LIMIT:.0f}",
    ]  # fmt: skip
    conversation = kept(Conversation(command, os.environ | {"PYTHONPATH": paths}))
    threading.Thread(target=_forget, args=(conversation, Path(file.name)), daemon=True).start()
    return conversation


def kept(conversation: Conversation) -> Conversation:
    """The same, counted; whoever was asked longest ago makes room for it."""
    with _LOCK:
        _RUNNING[:] = [c for c in _RUNNING if c.look() != "ended"]
        for old in sorted(_RUNNING, key=lambda c: c.asked_last)[: max(0, len(_RUNNING) - MOST + 1)]:
            old.end("room")
        _RUNNING.append(conversation)
    return conversation


def _forget(conversation: Conversation, file: Path) -> None:
    """The document's copy is read once."""
    conversation.wait(START_LIMIT + 1)
    file.unlink(missing_ok=True)


def end_all() -> None:
    """End every conversation of this server."""
    with _LOCK:
        for conversation in _RUNNING:
            conversation.end()
        _RUNNING.clear()
