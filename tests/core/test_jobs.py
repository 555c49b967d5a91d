"""Jobs in children that can be killed, and sessions that stay for the next question."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audit.attempts import MAX_RESTARTS, Attempts
from audit.errors import AuditError
from audit.jobs import JobError, Jobs, describe_error

JOBS = """
import os, signal, time
from audit.errors import AuditError
def shared(arguments): return arguments.get("share", [])
def imported(arguments, worker):
    import sys
    return {"already": arguments["of"] in sys.modules}
def double(arguments, worker): return {"twice": 2 * arguments["x"]}
def refuse(arguments, worker): raise AuditError("bad column", "name another")
def stumble(arguments, worker): raise ValueError("the value of a person: 123")
def hang(arguments, worker): time.sleep(60)
def model(arguments, worker):
    from audit.subject.client import WorkerError
    raise WorkerError("contract", "no mask token")
def leave(arguments, worker):
    if os.fork() == 0:
        time.sleep(60); os._exit(0)
    open(arguments["mark"], "w").write("x"); time.sleep(60)
def die(arguments, worker): os.kill(os.getpid(), signal.SIGKILL)
def leap(arguments, worker): os._exit(0)
def nan(arguments, worker): return {"x": float("nan")}
def talk(arguments, worker): print("noise"); return {}
def counting(arguments, worker):
    asked = []
    def answer(question):
        asked.append(question)
        if question["do"] == "refuse": raise AuditError("bad question", "ask another")
        if question["do"] == "stumble": raise ValueError("123")
        if question["do"] == "hang": time.sleep(60)
        if question["do"] == "die": os._exit(1)
        return {"asked": len(asked), "from": arguments["x"], "nan": float("nan")} if question["do"] == "nan" else {"asked": len(asked), "from": arguments["x"]}
    return answer
"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "tried_jobs.py").write_text(JOBS)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    with Jobs(folder) as running:
        yield running
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def test_a_job_gives_its_result(jobs: Jobs) -> None:
    assert jobs.run("tried_jobs:double", {"x": 21}, limit=60) == {"twice": 42}
    assert jobs.run("tried_jobs:double", {"x": "y" * 300_000}, limit=60) == {"twice": "y" * 600_000}


def test_what_a_module_shares_is_imported_for_the_jobs_that_follow(jobs: Jobs) -> None:
    asked = {"of": "turtledemo"}
    assert jobs.run("tried_jobs:imported", asked, limit=60) == {"already": False}
    assert jobs.run("tried_jobs:imported", asked | {"share": ["no_such_module"]}, limit=60) == {"already": False}
    assert jobs.run("tried_jobs:imported", asked | {"share": ["turtledemo"]}, limit=60) == {"already": True}
    assert jobs.run("tried_jobs:imported", asked, limit=60) == {"already": True}


def test_a_refusal_of_a_job_is_a_refusal(jobs: Jobs) -> None:
    with pytest.raises(AuditError) as error:
        jobs.run("tried_jobs:refuse", {}, limit=60)
    assert (error.value.what, error.value.mend) == ("bad column", "name another")


def test_an_error_of_a_job_says_where_and_quotes_no_value(jobs: Jobs) -> None:
    with pytest.raises(JobError) as error:
        jobs.run("tried_jobs:stumble", {}, limit=60)
    assert error.value.kind == "error"
    assert "ValueError at " in error.value.message
    assert "123" not in error.value.message


@pytest.mark.parametrize("name", ["die", "leap", "nan", "no_such_function"])
def test_a_job_without_a_result_is_an_error_and_the_next_one_runs(jobs: Jobs, name: str) -> None:
    with pytest.raises(JobError) as error:
        jobs.run(f"tried_jobs:{name}", {}, limit=60)
    assert error.value.kind == ("died" if name in ("die", "leap") else "error")
    assert jobs.run("tried_jobs:double", {"x": 1}, limit=60) == {"twice": 2}


def test_a_job_that_hangs_is_killed_with_what_it_started(jobs: Jobs, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(JobError) as error:
        jobs.run("tried_jobs:hang", {}, limit=0.5)
    assert error.value.kind == "timeout"
    with pytest.raises(JobError):
        jobs.run("tried_jobs:leave", {"mark": str(tmp_path / "mark")}, limit=1.0)
    assert (tmp_path / "mark").exists()
    assert time.monotonic() - began < 20
    assert jobs.run("tried_jobs:double", {"x": 1}, limit=60) == {"twice": 2}


def test_waiting_is_told(jobs: Jobs) -> None:
    ticks: list[float] = []
    with pytest.raises(JobError):
        jobs.run("tried_jobs:hang", {}, limit=0.6, tick=lambda: ticks.append(time.monotonic()))
    assert len(ticks) >= 3


def test_a_job_is_interrupted_and_the_next_one_hears_nothing_of_it(jobs: Jobs) -> None:
    calls: list[int] = []

    def interrupt() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.run("tried_jobs:hang", {}, limit=60, tick=interrupt)
    assert jobs.run("tried_jobs:double", {"x": 4}, limit=60) == {"twice": 8}


def test_what_a_job_prints_does_not_reach_stdout(jobs: Jobs, capfd: pytest.CaptureFixture[str]) -> None:
    assert jobs.run("tried_jobs:talk", {}, limit=60) == {}
    assert capfd.readouterr().out == ""


def test_a_session_stays_for_the_next_question_whatever_the_last_one_was(jobs: Jobs) -> None:
    session = jobs.open("tried_jobs:counting", {"x": 5}, limit=60)
    assert session.ask({"do": "it"}, limit=60) == {"asked": 1, "from": 5}
    with pytest.raises(AuditError, match="bad question"):
        session.ask({"do": "refuse"}, limit=60)
    for fault in ("stumble", "nan"):
        with pytest.raises(JobError) as error:
            session.ask({"do": fault}, limit=60)
        assert error.value.kind == "error"
        assert "123" not in error.value.message
    assert session.ask({"do": "it", "more": "y" * 300_000}, limit=60) == {"asked": 5, "from": 5}
    session.close()
    assert jobs.run("tried_jobs:double", {"x": 1}, limit=60) == {"twice": 2}


@pytest.mark.parametrize(("last", "kind"), [("hang", "timeout"), ("die", "died")])
def test_a_session_that_is_lost_says_so_and_another_can_be_opened(jobs: Jobs, last: str, kind: str) -> None:
    session = jobs.open("tried_jobs:counting", {"x": 5}, limit=60)
    with pytest.raises(JobError) as error:
        session.ask({"do": last}, limit=0.5 if last == "hang" else 60)
    assert error.value.kind == kind
    assert session.closed
    assert jobs.open("tried_jobs:counting", {"x": 6}, limit=60).ask({"do": "it"}, limit=60) == {"asked": 1, "from": 6}


def test_a_session_that_cannot_begin_is_an_error(jobs: Jobs) -> None:
    with pytest.raises(JobError):
        jobs.open("tried_jobs:no_such_function", {}, limit=60)
    with pytest.raises(AuditError, match="bad column"):
        jobs.open("tried_jobs:refuse", {}, limit=60)
    assert jobs.run("tried_jobs:double", {"x": 1}, limit=60) == {"twice": 2}


def test_a_session_whose_model_dies_over_a_question_is_opened_again_beside_a_new_one() -> None:
    """The first worker dies over the question, so it is asked again; over a question that no worker survives the session goes on too."""
    opened: list[int] = []

    class Worker:
        def __init__(self, socket: int) -> None:
            self.socket = socket

        def stop(self) -> None:
            pass

    class Asked:
        closed = False

        def __init__(self, worker: int) -> None:
            self.worker = worker
            opened.append(worker)

        def ask(self, question: dict[str, Any], *, limit: float) -> dict[str, Any]:
            if question["deadly"] or self.worker == 1:
                raise JobError("worker", "the worker's process has ended", "died")
            return {"by": self.worker}

        def close(self) -> None:
            self.closed = True

    numbers = iter(range(1, 20))
    jobs: Any = SimpleNamespace(open=lambda target, arguments, *, limit, worker: Asked(worker))

    def launched() -> Any:
        return Worker(next(numbers))

    attempts = Attempts(jobs, launched)

    def ask(*, deadly: bool) -> Any:
        return attempts.ask("x:y", {"deadly": deadly}, dict, limit=60)

    assert ask(deadly=False) == ({"by": 2}, "")
    assert opened == [1, 2]
    for _ in range(MAX_RESTARTS):
        assert ask(deadly=True)[0] is None
        assert ask(deadly=False)[0] is not None, "one answer makes up for the dead before it"


def test_an_error_is_described_without_its_message() -> None:
    assert describe_error(AuditError("a", "b")) == {"kind": "audit", "what": "a", "mend": "b"}
    assert describe_error(KeyError("secret")) == {"kind": "error", "message": "KeyError at unknown place"}
    assert describe_error(JobError("timeout", "it was stopped")) == {"kind": "timeout", "message": "it was stopped"}


def test_what_the_models_side_says_is_told_as_it_is_and_how_it_failed_beside_it(jobs: Jobs) -> None:
    with pytest.raises(JobError) as error:
        jobs.run("tried_jobs:model", {}, limit=60)
    assert (error.value.kind, error.value.cause, error.value.message) == ("worker", "contract", "no mask token")
