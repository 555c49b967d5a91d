"""Kept rows counted by the command itself, in a process of its own that stays for the next question: this server's process holds no rows and no statistics."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TypeVar

import streamlit as st

from audit.cohorts.named import ANSWERS, About, Question, Reply
from audit.result import AuditResult
from reports.disclose import group_size

LIMIT = 60.0  # seconds for an answer
Kind = TypeVar("Kind")


class NotKeptError(Exception):
    """The scored rows of this audit are not on this machine."""


class LacksColumnError(Exception):
    """The scored rows have no such column."""


class CannotCountError(Exception):
    """Why no answer came."""


class Counter:
    """One process, which answers one question at a time; it is started with the first, and again where it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: Question) -> object:
        with self._lock:
            line = self._asked(question.model_dump_json())
        try:
            reply = Reply.model_validate_json(line)
        except ValueError:
            raise CannotCountError(f"audit.cohorts gave no answer within {LIMIT:.0f} s, or ended") from None
        if not reply.kept:
            raise NotKeptError
        if reply.column is not None:
            raise LacksColumnError(reply.column)
        if reply.answer is None:
            raise CannotCountError(reply.refused or "")
        return ANSWERS[question.do].model_validate(reply.answer)

    def _asked(self, line: str) -> str:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:  # it ended: the next question starts another
            process.kill()
            return ""
        finally:
            timer.cancel()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "audit.cohorts", "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, env=os.environ | {"PYTHONPATH": paths},
            )  # fmt: skip
        return self._process

    def close(self) -> None:
        """End the process; a later question starts another."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.communicate()
                self._process = None


@st.cache_resource(show_spinner=False, on_release=Counter.close)
def counter() -> Counter:
    """One to a server; it ends with it, because its input ends."""
    return Counter()


def about(document: AuditResult) -> About:
    level = float(document.plan.get("audit", {}).get("level", 0.95))
    return About(scored=document.environment.scored, features=document.model.features, level=level, least=group_size(document))


@st.cache_data(max_entries=500, ttl=300, show_spinner=False)
def _answered(question: str) -> object:
    return counter().ask(Question.model_validate_json(question))


def ask(kind: type[Kind], question: Question) -> Kind:
    """The answer; `NotKeptError`, `LacksColumnError` or `CannotCountError` where there is none. Remembered for five minutes."""
    found = _answered(question.model_dump_json())
    assert isinstance(found, kind)
    return found
