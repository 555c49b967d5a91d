"""What the sources hold, kept between visits: a page shows at once what is known, while a thread looks for the rest.

Heads are kept in `$XDG_STATE_HOME/witnessmark/dashboard.sqlite` (mode 0600; they name models, data and people who asked), by source and stamp.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from audit.result import AuditResult
from dashboard.store import Entry, Problem, Source, Unaudited, local, missing_file, read, stored, unaudited

FRESH = 30.0  # seconds until the sources are looked at again
FORM = "1"  # of a record


@dataclass
class Found:
    """All audits that are known, newest first, and what could not be read as (template, values) for the catalogue; `looking` while there may be more."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unaudited: list[Unaudited] = field(default_factory=list)
    looking: bool = False


class Index:
    """The audits under a folder and in a store."""

    def __init__(self, root: Path, uri: str, file: Path | None = None) -> None:
        self.root, self.uri = root, uri
        self.file = file or state_file()
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, Entry]] = {}
        self._problems: list[Problem] = []
        self._unaudited: list[Unaudited] = []
        self._thread: threading.Thread | None = None
        self._finished = float("-inf")

    def look(self, patience: float) -> Found:
        """What is known after at most `patience` seconds; the sources are looked at again where the last look is older than `FRESH`."""
        with self._lock:
            if not self._running() and time.monotonic() - self._finished > FRESH:
                self._thread = threading.Thread(target=self._scan, name="audits")
                self._thread.start()
            thread = self._thread
        if thread is not None:
            thread.join(patience)
        with self._lock:
            once = {
                entry.key: entry for _, entry in reversed(self._known.values())
            }  # the same audit in two places is shown once, the first
            entries = sorted(once.values(), key=lambda e: (e.head.started, e.key), reverse=True)
            return Found(entries, list(self._problems), list(self._unaudited), self._running())

    def again(self) -> None:
        """Look at the sources anew at the next look, however fresh the last one is: an audit has just been written."""
        with self._lock:
            self._finished = float("-inf")

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _scan(self) -> None:
        """Read what is new, forget what is gone."""
        problems: list[Problem] = []
        missing: list[Unaudited] = []
        try:
            self._look_through(problems)
            missing = unaudited(self.uri)
        except Exception as error:  # a thread has nobody above it: what stopped it is shown
            problems.append(("The MLflow store {uri} could not be read: {error}", {"uri": self.uri, "error": str(error)[:300]}))
        with self._lock:
            self._problems, self._unaudited, self._finished = problems, missing, time.monotonic()

    def _look_through(self, problems: list[Problem]) -> None:
        seen: set[str] = set()
        with closing(self._open()) as table:
            if not self._known:
                recalled = self._recall(table)
                with self._lock:
                    self._known = recalled
            silent: list[Problem] = []  # why the store could not be asked: what is known of it stays known
            for source in chain(local(self.root), stored(self.uri, silent.append)):
                if not threading.main_thread().is_alive():
                    return  # the server ends
                seen.add(source.name)
                problem = self._take(source, table)
                problems += [problem] if problem else []
            problems += silent
            if silent and missing_file(self.uri) is None:
                seen |= {name for name in self._known if name.startswith(f"{self.uri} ")}
            with self._lock:
                gone = self._known.keys() - seen
                for name in gone:
                    del self._known[name]
            table.executemany("DELETE FROM heads WHERE source = ? AND place = ?", [(name, self._place) for name in gone])
            table.commit()

    def _take(self, source: Source, table: sqlite3.Connection) -> Problem | None:
        known = self._known.get(source.name)
        if known is not None and known[0] == source.stamp:
            return None
        try:
            entry = read(source)
        except Exception:  # whatever another process, or another version of MLflow, left there: it is named
            with self._lock:
                self._known.pop(source.name, None)
            if source.run is None:
                return ("{path} could not be read as an audit.", {"path": str(Path(source.name) / "audit.json")})
            return ("The audit of run {run} could not be read.", {"run": source.run[1]})
        with self._lock:
            self._known[source.name] = (source.stamp, entry)
        table.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)", (self._place, source.name, source.stamp, _record(entry)))
        table.commit()
        return None

    @property
    def _place(self) -> str:
        return f"{FORM} {self.root.absolute()} {self.uri}"

    def _open(self) -> sqlite3.Connection:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.file.touch(mode=0o600)
            table = sqlite3.connect(self.file, timeout=30)
            table.execute(
                "CREATE TABLE IF NOT EXISTS heads (place TEXT, source TEXT, stamp TEXT, record TEXT, PRIMARY KEY (place, source))"
            )
        except (OSError, sqlite3.Error):  # no place of our own: what is read lasts as long as the server
            table = sqlite3.connect(":memory:")
            table.execute("CREATE TABLE heads (place TEXT, source TEXT, stamp TEXT, record TEXT, PRIMARY KEY (place, source))")
        return table

    def _recall(self, table: sqlite3.Connection) -> dict[str, tuple[str, Entry]]:
        rows = table.execute("SELECT source, stamp, record FROM heads WHERE place = ? ORDER BY rowid", (self._place,)).fetchall()
        known = {}
        for source, stamp, record in rows:
            with contextlib.suppress(ValueError):  # of another version: read again
                known[source] = (stamp, _entry(record))
        return known


def state_file() -> Path:
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "witnessmark" / "dashboard.sqlite"


def _record(entry: Entry) -> str:
    head = json.loads(entry.head.model_dump_json(by_alias=True))
    return json.dumps([entry.key, head, entry.state, entry.families, entry.where, entry.signed, entry.run])


def _entry(record: str) -> Entry:
    key, head, state, families, where, signed, run = json.loads(record)
    return Entry(key, AuditResult.model_validate(head), state, families, where, signed, tuple(run) if run else None)
