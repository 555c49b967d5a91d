"""From a request to an audit folder: inspect, prepare, ask, score, check, judge, write. Nothing heavy is imported here.

Every step that may be slow or fail runs as a job; the model lives in its worker. A worker that dies or hangs costs the check in progress one
retry, and the audit goes on with a new one.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit import plan as plans
from audit import scratch
from audit.attempts import Attempts
from audit.declared_rules import refuse_rules
from audit.errors import AuditError
from audit.explain import rows_file
from audit.jobs import JobError, Jobs, write_whole
from audit.journal import FOLDER as JOURNAL
from audit.journal import Journal
from audit.lookup import Lookup, required
from audit.manifest import NAME, make
from audit.named_slices import cohorts
from audit.plan import Plan
from audit.progress import Progress
from audit.recorded import URI, Recorded
from audit.registry import Check, checks, refuse_columns, unmet
from audit.request import Request
from audit.signing import canonical
from audit.subject import endpoint
from audit.subject.launch import Worker, launch

if TYPE_CHECKING:
    import socket

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Json = dict[str, Any]
#: Why a check that takes too long was not run, and what to do.
LATE = "It took longer than --check-timeout allows: give it more seconds, or fewer rows with --sample or in the plan."
PREPARE_SECONDS = 1800.0
HISTORY_SECONDS = 300.0
SCORE_SECONDS = 24 * 3600.0
#: The roles that the resolved plan repeats.
DECLARED = (
    "target", "positive", "favourable", "decision", "label_source", "task", "classes", "sensitive", "outputs", "cluster", "independent", "time",
)  # fmt: skip


class Audit:
    """One audit of one model; use as a context manager, which leaves no process and no temporary file behind.

    `secret` is a token or "user:password" for an endpoint; it is kept in no file that outlives the audit.
    """

    def __init__(self, request: Request, progress: Progress, secret: str | None = None) -> None:
        self.request, self.progress = request, progress
        self.authorization = endpoint.authorization(secret)
        self.answers: str | None = None
        self.resumed = False
        self.plan = self.judged_by = Plan.model_validate(request.plan)
        scratch.remove_stale()
        self.scratch = scratch.make()
        self.jobs = Jobs(self.scratch)
        self.attempts = Attempts(self.jobs, self._worker)
        self.observed: dict[str, str] = {}
        self.journal: Journal | None = None
        self.facts: Json = {}
        self.scorer: Json | None = None
        self.settled: Json | None = None
        self.history: Json = {}
        self.single: Json | None = None
        self.failure: str | None = None

    def __enter__(self) -> Audit:
        return self

    def __exit__(self, *_: object) -> None:
        self.attempts.stop()
        self.jobs.stop()
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self.journal:
            self.journal.close()

    # --- before anything is written ---------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Find the model and the data, read their descriptions, and refuse what cannot be audited; nothing is loaded and nothing written."""
        request = self.request
        self.progress.step("model")
        found = Lookup(request, self.plan, self.jobs, self.scratch, self.progress)
        self.resolved, self.inspection, self.endpoint = found.resolved, found.inspection, found.endpoint
        self.progress.step("data")
        data = request.data or self.resolved["evaluation"]
        if data is None:
            raise AuditError(f"no evaluation data was logged with {request.uri}", "name the data with --data")
        arguments: Json = {
            "data": data, "source": request.data or "the evaluation data logged with the model", "logged": self.resolved["logged"],
            "given": request.given | {"columns": request.plan["columns"]},
            "inputs": [i.model_dump() for i in self.inspection.inputs], "metadata": self.inspection.metadata, "bins": self.plan.bins, "flavor": self.inspection.flavor, "model_id": self.resolved["model_id"],
            "training": request.training or self.resolved["training"], "training_given": request.training is not None,
            "privacy": self.resolved["privacy"], "references": found.references(), "evaluation": self.resolved["evaluation"],
            "source_task": found.source_task(), "seeds": self.resolved["seeds"], "slices": [c.model_dump() for c in cohorts(self.plan.slices)],
        }  # fmt: skip
        self.scorer = found.scorer()
        self.facts = required(self.jobs, "audit.prepare:prepare", arguments, PREPARE_SECONDS, "the data could not be read in time")
        refuse_rules(self.plan.rules, self.facts)
        for id_, check in checks().items():
            if request.checks[id_]:
                refuse_columns(check, self.facts, plans.parameters(self.plan, check))

    def recall(self, folder: Path) -> None:
        """What the store knows of these data and this plan; asked before anything is measured, because the levels depend on it.

        An audit that is resumed keeps the levels that it began with, and takes them from its journal.
        """
        if (folder / JOURNAL).is_dir():
            return
        self.history = self._look_back()
        commitment = self.history["commitment"]
        if self.request.plan_given and commitment["state"] == "other_data":
            raise AuditError(
                f"this plan was fixed on {commitment['date']} for other data, and never for these ({self.facts['sha256'][:12]})",
                "name the data that it was fixed for, or fix it for these before you audit them: python -m audit.commit PLAN --data PATH",
            )

    def _look_back(self) -> Json:
        from audit.history import context_digest, unknown
        from audit.store import identity, place, subject

        request, found = self.request, self.facts["recorded"]
        where = place(self.resolved["uri"], Recorded(**found).names if found else [])
        fixed = plans.fixed_digest(self.plan, request.checks, sample=request.sample, seed=request.seed)
        arguments = {
            "tracking_uri": request.tracking_uri, "data": self.facts["sha256"], "model": identity(self.inspection.sha256, where), "fixed": fixed,
            "subject": subject(self.resolved["name"], where), "plan": plans.digest(self.resolved_plan()), "started": request.started,
            "context": context_digest(request.given.get("context")),
        }  # fmt: skip
        self.progress.step("history")
        try:
            return self.jobs.run("audit.history:look_back", arguments, limit=HISTORY_SECONDS)
        except JobError:
            return unknown("answer")

    def settle(self) -> None:
        """Load the model in its worker and settle what its answers mean; a model that cannot be asked is a finding, not a refusal."""
        self.progress.step("load")
        arguments = {
            "facts": self.facts,
            "metadata": self.inspection.metadata,
            "flavor": self.inspection.flavor,
            "timeout": self.request.check_timeout,
        }
        worker = None if self.facts["recorded"] else self.attempts.worker().socket
        try:
            found = self.jobs.run("audit.pilot:pilot", arguments, limit=2 * self.request.check_timeout, worker=worker)
        except JobError as error:
            if self.endpoint is not None:
                raise self._no_answer(error.message) from None
            if error.kind != "worker":
                raise
            late = f" ({self.request.check_timeout:g} s): give it longer with --check-timeout" if error.cause == "timeout" else ""
            self.failure = f"The model could not be loaded or asked: {error.message}{late}"
            self.progress.finished("load", self.failure)
        else:
            self.settled, self.answers = found["settled"], found["answers"]

    def _no_answer(self, told: str) -> AuditError:
        """Before anything is scored, an endpoint that gives no usable answer is a request that cannot be carried out."""
        mend = f"check the address, the server and --features; a token goes into {endpoint.TOKEN}"
        return AuditError(f"{self.request.uri} cannot be audited: {told}", mend)

    def _worker(self) -> Worker:
        """The model, loaded in a worker of its own; what confines it is noted."""
        classes = self.facts["roles"]["classes"] or self.inspection.metadata.get("classes") or self.facts["labels"] or None
        worker = launch(
            Path(self.resolved["path"]),
            self.inspection,
            trust_pickle=self.request.trust_pickle,
            isolation=self.request.isolation,
            classes=classes,
            endpoint=self._asked(),
        )
        self.observed = worker.observed
        return worker

    def _launching(self) -> Json:
        """How a check starts a worker for reference models, the model before fine-tuning or a scorer: as the audited model's was."""
        request = self.request
        inspection = self.inspection.model_dump(mode="json")
        return {
            "path": self.resolved["path"],
            "inspection": inspection,
            "trust_pickle": request.trust_pickle,
            "isolation": request.isolation,
            "scorer": self.scorer,
        }

    def _asked(self) -> Json | None:
        """The endpoint as its worker needs it; a server's own words are repeated only as long as nothing of them reaches the document."""
        if self.endpoint is None:
            return None
        return self.endpoint | {"authorization": self.authorization, "timeout": self.request.check_timeout, "quote": self.settled is None}

    # --- the plan as resolved ---------------------------------------------------------------------------------------------------------

    def resolved_plan(self) -> Json:
        """The plan with every default written out and every declaration in it, without paths, URIs or output options."""
        request, roles = self.request, self.facts["roles"]
        written = plans.fixed(self.plan, request.checks, sample=request.sample, seed=request.seed)
        written["disclosure"]["edition"] = request.edition
        written["roles"] = {name: roles[name] for name in DECLARED}
        if roles["weight"] is not None:
            written["roles"]["weight"] = roles["weight"]
        if self.facts["recorded"]:
            written["roles"] |= self.facts["recorded"]
        written["reference"] = {g["name"]: g["reference"] for g in self.facts["groups"]}
        written["columns"] = roles["columns"]
        return written

    # --- the work ---------------------------------------------------------------------------------------------------------------------

    def run(self, folder: Path) -> Json:
        """Score, check and judge; returns the document. What is finished is kept in the journal."""
        self.journal = journal = self.journal or Journal(folder)
        journal.binding = ""
        self.written = self.resolved_plan()
        digest = plans.digest(self.written)
        about = {"model": self.inspection.sha256 or self.answers, "data": self.facts["sha256"], "plan": digest}
        if self.facts["training"]:
            about["training data"] = self.facts["training"]["sha256"]
        if self.facts["references"]:
            about["reference models"] = self.facts["references"]["sha256"]
        if self.facts["source_task"]:
            about["source task"] = self.facts["source_task"]["sha256"]
        if self.facts["seeds"]:
            about["models of other seeds"] = self.facts["seeds"]["sha256"]
        if self.scorer:
            about["scorer"] = self.scorer["inspection"]["sha256"]
        self._same_as_before(journal, about)
        journal.binding = "/".join(map(str, about.values()))
        self.history = journal.read("history") or self.history or self._look_back()
        journal.write("history", self.history)
        self.judged_by = plans.divided(self.plan, self.history["models_on_this_data"])
        scoring = None if self.failure else self._score(journal, digest)
        results: dict[str, Json] = {}
        for id_, check in checks().items():
            results[id_] = self._result(id_, check, scoring, journal)
        return self.assembled(results, scoring)

    def again(self, history: Json, wanted: set[str]) -> Json:
        """The document of these checks alone, measured anew and kept nowhere, with the levels that another audit's history gave it."""
        self.history, self.written = history, self.resolved_plan()
        self.judged_by = plans.divided(self.plan, history["models_on_this_data"])
        self.request = self.request.model_copy(update={"checks": {id_: id_ in wanted for id_ in checks()}})
        scoring = None if self.failure else self.score_aside()
        return self.assembled({id_: self._result(id_, check, scoring, None) for id_, check in checks().items()}, scoring)

    def assembled(self, results: dict[str, Json], scoring: Json | None) -> Json:
        """The document that these results of checks give; `history` and `written` are what it was judged with. Single rows stay out of it."""
        self.single = results.get(rows_file.CHECK, {}).pop("single", None)
        arguments = {
            "request": self.request.model_dump(mode="json"), "facts": self.facts, "settled": self.settled, "resolved": self.resolved,
            "inspection": self.inspection.model_dump(mode="json"), "plan": self.written, "plan_sha256": plans.digest(self.written), "results": results,
            "history": self.history, "waivers": self.request.waivers, "scoring": scoring, "observed": self.observed, "python": platform.python_version(), "platform": platform.platform(),
            "resumed": self.resumed, "single_rows": len(self.single["rows"]) if self.single else 0, "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }  # fmt: skip
        self.progress.step("judge")
        return self.jobs.run("audit.assemble:assemble", arguments, limit=self.request.writing_timeout)

    def _same_as_before(self, journal: Journal, about: Json) -> None:
        """A resumed audit goes on only with the model, data and plan that it began with; an endpoint is known by its first answers alone."""
        before = journal.read("about")
        self.resumed = before is not None
        if before is None:
            journal.write("request", self.request.model_dump(mode="json"))
            journal.write("about", about)
        else:
            changed = [what for what in (about | before) if before.get(what) != about.get(what)]
            if changed:
                raise AuditError(f"the {' and the '.join(changed)} changed since this audit began", "start a new audit with another --out")

    def _score(self, journal: Journal, digest: str) -> Json | None:
        table, sample = self._tables()
        kept: Json | None = journal.read("scoring")
        if kept and table.exists() and sample.exists():
            return kept
        result = self._scored(table, sample)
        if result is not None:
            journal.write("scoring", result)
        return result

    def _scored(self, table: Path, sample: Path) -> Json | None:
        progress = self.scratch / "rows"
        arguments = {
            "facts": self.facts, "settled": self.settled, "table": str(table), "sample": str(sample), "sample_rows": self.request.sample, "seed": self.request.seed,
            "progress": str(progress),
        }  # fmt: skip
        total = self.facts["rows"]

        def tick() -> None:
            if progress.exists():
                self.progress.rows(int(progress.read_text() or 0), total)

        self.progress.step("score")
        result, failure = self.attempts.attempt(
            lambda worker: self.jobs.run("audit.scored:score", arguments, limit=SCORE_SECONDS, worker=worker, tick=tick),
            needs_model=not self.facts["recorded"],
        )
        if result is None:
            self.failure = f"The rows could not be scored: {failure}"
            self.progress.finished("score", self.failure)
        return result

    def score_aside(self) -> Json | None:
        """The rows scored for a command that keeps no audit; None, with `failure`, where the model does not answer."""
        return self._scored(self.scratch / "scored.parquet", self.scratch / "sample.parquet")

    def ask(self, target: str, question: Json, scoring: Json, *, limit: float = 0.0) -> tuple[Json | None, str]:
        """A question to a session beside the model that sees what a check sees and stays for the next one; (None, reason) where it gave no result.

        It may take as long as a check, or up to `limit` seconds where that is longer."""
        limit = max(limit, self.request.check_timeout)
        return self.attempts.ask(target, question, lambda: self._seen(scoring), limit=limit)

    def _seen(self, scoring: Json) -> Json:
        """What a check sees, and a session."""
        return {
            "facts": self.facts, "settled": self.settled, "scoring": scoring, "plan": self.judged_by.model_dump(mode="json"), "seed": self.request.seed,
            "files": {f.path: f.size for f in self.inspection.files}, "sample": self.request.sample,
        }  # fmt: skip

    def _tables(self) -> tuple[Path, Path]:
        """The scored table and the sample in the private cache, named by model, data and what decides a score."""
        from audit.scored import cache_folder

        folder = Path(self.request.scored_dir) if self.request.scored_dir else cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        named = ("features", "decision", "factors", "cluster", "recorded", "period", "weight")
        deciding = {k: self.facts[k] for k in named} | {
            # Whether somebody named the reference moves no row of the table.
            "groups": [{k: v for k, v in group.items() if k != "reference_declared"} for group in self.facts["groups"]],
            "settled": self.settled,
            "sample": self.request.sample,
            "seed": self.request.seed,
        }
        part = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:12]
        # What answers at an address may change from one audit to the next, so its answers are kept apart.
        model = self.inspection.sha256 or (hashlib.sha256(self.request.id.encode()).hexdigest() if self.endpoint else URI)
        stem = f"{model[:12]}-{self.facts['sha256'][:12]}-{part}"
        return folder / f"{stem}.parquet", folder / f"{stem}.sample.parquet"

    def _result(self, id_: str, check: Check, scoring: Json | None, journal: Journal | None) -> Json:
        """One check: asked for, possible, finished before, or run now."""
        if not self.request.checks[id_]:
            return {"status": "skipped", "reason": "Not asked for.", "params": {}, "seconds": 0.0}
        params = plans.parameters(self.plan, check)
        if self.failure or scoring is None:
            return {"status": "errored", "reason": self.failure or "The rows could not be scored.", "params": params, "seconds": 0.0}
        assert self.settled is not None
        missing = unmet(check, self.facts, self.settled, params)
        if missing:
            return {"status": "skipped", "reason": missing, "params": params, "seconds": 0.0}
        kept: Json | None = journal.read(id_) if journal else None
        if kept is not None:
            return kept
        self.progress.step(id_)
        others = self.scorer or any(self.facts[name] for name in ("references", "source_task", "seeds"))
        launching = self._launching() if others else None
        arguments = {"check": id_, "params": params, "launching": launching, "work": str(self.scratch)} | self._seen(scoring)
        result, reason = self.attempts.attempt(lambda worker: self._run(arguments, worker), needs_model=check.info.probing)
        if result is None:
            result = {"status": "errored", "reason": reason, "params": params, "seconds": 0.0}
        else:
            result |= {"params": params}
        if journal:
            journal.write(id_, result)
        self.progress.finished(id_, result["status"], reason)
        return result

    def _run(self, arguments: Json, worker: socket.socket | None) -> Json:
        """A check in a process of its own; `JobError` says what to do where it took too long."""
        try:
            return self.jobs.run("audit.probe:run_check", arguments, limit=self.request.check_timeout, worker=worker)
        except JobError as error:
            if error.kind == "timeout":
                error.message = LATE
            raise

    # --- the folder -------------------------------------------------------------------------------------------------------------------

    def write(self, folder: Path, document: Json, views: list[str], key: Ed25519PrivateKey | None = None) -> None:
        """The single rows that the plan allowed, and the manifest over them, audit.json and the report, signed where there is a key; the journal goes last."""
        single = [rows_file.NAME] if self.single and self.single["rows"] else []
        for name in single:
            write_whole(folder / name, rows_file.file_of(self.single or {}, document), mode=0o600)
        write_whole(folder / NAME, canonical(make(folder, document, ["audit.json", *single, *views], key)))
        assert self.journal is not None
        self.journal.remove()
        self.journal = None
        if self.request.forget:
            for path in self._tables():
                path.unlink(missing_ok=True)
