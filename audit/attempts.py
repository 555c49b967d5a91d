"""The audited model's process, started when it is first needed and again where it was lost, and the jobs beside it, tried once more where it failed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from audit.jobs import JobError, Jobs, Session
from audit.subject.launch import Worker

Json = dict[str, Any]
MAX_RESTARTS = 3


class Attempts:
    """Jobs of one audit that may need the model; `start` launches its worker."""

    def __init__(self, jobs: Jobs, start: Callable[[], Worker]) -> None:
        self.jobs, self._start = jobs, start
        self._worker: Worker | None = None
        self._session: Session | None = None
        self._restarts = 0

    def worker(self) -> Worker:
        """The model's worker, launched if none runs."""
        if self._worker is None:
            self._worker = self._start()
        return self._worker

    def stop(self) -> None:
        """The worker is ended."""
        if self._worker:
            self._worker.stop()
            self._worker = None

    def attempt(self, run: Callable[[socket.socket | None], Json], *, needs_model: bool) -> tuple[Json | None, str]:
        """A job, tried once more with a new worker where the model's side failed; (None, reason) where it gave no result."""
        reason = ""
        for attempt in range(2):
            try:
                return run(self.worker().socket if needs_model else None), ""
            except JobError as error:
                reason = error.message
                lost = needs_model and (error.kind in ("timeout", "died") or error.cause in ("died", "timeout", "contract", "memory"))
                if lost and not self._restart():
                    return None, f"{reason} (the model's process was restarted {MAX_RESTARTS} times already)"
                if not lost or error.kind == "timeout" or attempt or error.cause != "died":
                    return None, reason
        return None, reason

    def ask(self, target: str, question: Json, seen: Callable[[], Json], *, limit: float) -> tuple[Json | None, str]:
        """A question to a session beside the model, opened with what is `seen`, that stays for the next one; (None, reason) where it gave no result."""

        def asked(worker: socket.socket | None) -> Json:
            if self._session is None or self._session.closed:
                self._session = self.jobs.open(target, seen(), limit=limit, worker=worker)
            answer = self._session.ask(question, limit=limit)
            self._restarts = 0  # a session may be long: what counts is how often in a row the model's process was lost
            return answer

        return self.attempt(asked, needs_model=True)

    def _restart(self) -> bool:
        """A new worker in place of one that cannot be used; False once the audit has used up its restarts."""
        if self._session:
            self._session.close()
        self.stop()
        self._restarts += 1
        return self._restarts <= MAX_RESTARTS
