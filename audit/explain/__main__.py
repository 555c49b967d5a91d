"""`python -m audit.explain MODEL_URI --row N`: one decision on one page, fit to hand to the person concerned; or, with --serve, many questions over JSON lines."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from audit.errors import AuditError
from audit.options import absolute, add_data, declared, subject

if TYPE_CHECKING:
    from audit.explain.document import Document
    from audit.request import Request
    from audit.runner import Audit

EXIT_BLOCKED, EXIT_REFUSED, EXIT_ERRORED, EXIT_INTERRUPTED = 1, 2, 4, 130
Json = dict[str, Any]
#: How long a page may be relied on, as an audit: twelve months, or until the next version of the model.
VALID = timedelta(days=365)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.explain --help")


def parser() -> argparse.ArgumentParser:
    """The options; those about the rows are those of audit.run."""
    p = _Parser(prog="audit.explain", description="One decision, explained to the person concerned.", allow_abbrev=False)
    p.add_argument("model_uri", help="as in audit.run: models:/NAME/VERSION, a folder, demo:PRESET, http://…/invocations")
    what = p.add_argument_group("what is asked")
    what.add_argument("--row", type=int, metavar="N", help="the row, counted from 0")
    what.add_argument("--reasons", action="store_true", help="the principal reasons of an adverse decision (needs --favourable)")
    what.add_argument(
        "--recourse",
        action="store_true",
        help="what would change an adverse decision (needs --favourable, but for texts, pictures and sequences: the least whose removal changes any)",
    )
    what.add_argument(
        "--serve", action="store_true", help="answer questions on stdin, one JSON object a line, until ten minutes pass without one"
    )
    what.add_argument("--audit", metavar="DIR", help="an audit of this model: its declarations, plan, sample and seed are followed")
    what.add_argument("--plan", metavar="FILE", help="TOML: [columns] with words and limits, parameters of explanation.reasons")
    what.add_argument("--sample", type=int, metavar="N", help="rows that the row is held against (default: 2000)")
    what.add_argument("--seed", type=int, metavar="S", help="every random choice (default: 0)")
    what.add_argument("--timeout", type=float, default=900.0, metavar="S", help="give up after so long (default: 900)")
    add_data(p)
    out = p.add_argument_group("where it goes")
    out.add_argument("--out", metavar="DIR", help="the folder (default: explanations/<model>-<row>-<id>)")
    out.add_argument("--lang", choices=("en", "zh"), default="en")
    out.add_argument(
        "--format", choices=("html", "json"), default="html", help="html is drawn from explanation.json, which is always written"
    )
    out.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    safe = p.add_argument_group("the model's process")
    safe.add_argument("--trust-pickle", action="store_true", help="let the worker load a format that runs code")
    safe.add_argument("--isolation", choices=("required", "best-effort", "none"), default="best-effort")
    return p


def build(options: argparse.Namespace, command: list[str]) -> Request:
    """The request; what can be refused before a model is looked for is refused here."""
    from audit import plan as plans
    from audit.explain.followed import followed
    from audit.recorded import URI
    from audit.registry import checks
    from audit.request import Request
    from audit.store import absolute_uri

    if options.serve == (options.row is not None):
        raise AuditError("name one row with --row, or ask for --serve", "for example --row 0")
    if options.serve and (options.reasons or options.recourse or options.out):
        raise AuditError("--reasons, --recourse and --out are for one row; with --serve each question says what it wants", "leave them out")
    if options.model_uri == URI:
        raise AuditError("predictions without a model cannot be explained, because nothing can be asked", "name a model")
    if options.row is not None and options.row < 0:
        raise AuditError(f"rows are counted from 0, got --row {options.row}", "give --row 0 or more")
    if options.timeout <= 0 or (options.sample is not None and options.sample < 2):
        raise AuditError("--timeout must be above 0 and --sample at least 2", "give a larger number")
    options.model_uri, options.secret, command = subject(options, command)
    if options.audit:
        return followed(options, command).model_copy(update={"out": str(_folder(options))})
    plan = plans.load(Path(options.plan) if options.plan else None)
    given = declared(options)
    given["reference"] = dict(plan.reference) | given["reference"]
    uri, id_ = options.model_uri, uuid.uuid4().hex
    return Request(
        id=id_, uri=str(Path(uri).absolute()) if Path(uri).is_dir() else uri, tracking_uri=absolute_uri(options.tracking_uri),
        data=absolute(options.data), training=absolute(options.training), references=absolute(options.references), given=given, plan=plan.model_dump(mode="json"), checks=dict.fromkeys(checks(), False),
        sample=options.sample or plan.audit.sample, seed=plan.audit.seed if options.seed is None else options.seed, out=str(_folder(options)), lang=options.lang,
        edition="internal", log=False, check_timeout=options.timeout, trust_pickle=options.trust_pickle, isolation=options.isolation, scored_dir=None, forget=True,
        started=_now(datetime.now(UTC)), command=command, plan_given=options.plan is not None,
    )  # fmt: skip


def _folder(options: argparse.Namespace) -> Path:
    """Where the page goes, named by model and row where nobody named it."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", options.model_uri).strip("-")[:60] or "model"
    return (Path(options.out) if options.out else Path("explanations") / f"{name}-{options.row}-{uuid.uuid4().hex[:12]}").absolute()


def _now(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = parser().parse_args(argv)
        request = build(options, argv)
        out = Path(request.out)
        if not options.serve and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
            raise AuditError(f"the output folder {out} is not empty", "name another --out; an explanation never overwrites another")
        return _run(request, options)
    except AuditError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # a fault of ours is told in one line too; the traceback is for those who ask for it
        if os.environ.get("WITNESSMARK_DEBUG"):
            raise
        said = " ".join(str(error).split())[:300]
        print(f"error: stopped on a fault of its own: {said} — set WITNESSMARK_DEBUG=1 for details and report them", file=sys.stderr)
        return EXIT_REFUSED


def _run(request: Request, options: argparse.Namespace) -> int:
    from audit.explain.serve import SESSION, serve
    from audit.progress import progress
    from audit.runner import Audit
    from audit.subject.endpoint import TOKEN

    with Audit(request, progress(), options.secret or os.environ.get(TOKEN)) as audit:
        audit.look()
        _refuse(audit, options)
        audit.settle()
        scoring = None if audit.failure else audit.score_aside()
        if scoring is None:
            return _failed(audit.failure or "the rows could not be scored")
        if options.serve:
            return serve(audit, scoring)
        audit.progress.step("explain")
        asked = {"row": options.row, "values": {}, "explain": True, "reasons": options.reasons, "recourse": options.recourse}
        found, reason = audit.ask(SESSION, asked, scoring)
        if found is None:
            return _failed(reason)
        audit.progress.finished("explain", "completed")
        return _written(document(audit, found), Path(request.out), options)


def _refuse(audit: Audit, options: argparse.Namespace) -> None:
    """What the data and their roles tell before the model is loaded."""
    from audit.registry import SINGLE

    facts = audit.facts
    if options.row is not None and options.row >= facts["rows"]:
        raise AuditError(
            f"there is no row {options.row}: the data have {facts['rows']} rows, counted from 0", f"give --row 0 to {facts['rows'] - 1}"
        )
    table = all(f["kind"] in SINGLE for f in facts["features"])
    if options.reasons and not table:
        raise AuditError(
            "an input of the model is no single number or category, and a word, a region or an event is no principal reason",
            "leave out --reasons: what counted is shown, and with --recourse the least that changes the decision",
        )
    wanted = [f"--{name}" for name in ("reasons", "recourse") if getattr(options, name) and table]
    if wanted and not facts["roles"]["favourable"]:
        raise AuditError(f"{wanted[0]} needs the decision that a person wants, and nobody declared it", "name it with --favourable LABEL")


def _failed(reason: str) -> int:
    print(f"error: {reason} — the model could not be asked; nothing was written", file=sys.stderr)
    return EXIT_ERRORED


def document(audit: Audit, found: Json) -> Document:
    """The document from what the job found and what is known of model and data."""
    from audit.explain.document import Document
    from audit.explain.serve import about
    from audit.explain.serve import declared as declared_context

    request, facts, made = audit.request, audit.facts, datetime.now(UTC)
    return Document.model_validate(
        found
        | {
            "id": request.id, "made": _now(made), "valid_until": (made + VALID).strftime("%Y-%m-%d"), "seed": request.seed, "subject": about(audit) | found["subject"],
            "glossary": facts["roles"]["columns"], "context": declared_context(audit), "target": facts["roles"]["target"],
        }
    )  # fmt: skip


def _written(made: Document, folder: Path, options: argparse.Namespace) -> int:
    """explanation.json in its canonical form, and the page drawn from it; the last line of stdout is the path of what was asked for."""
    import rfc8785

    from reports.person import file_name, page
    from reports.write import write_atomically

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AuditError(f"cannot create {folder}: {error.strerror}", "choose another folder with --out DIR") from None
    path = folder / "explanation.json"
    write_atomically(path, rfc8785.dumps(made.model_dump(mode="json")))
    if options.format == "html":
        path = folder / file_name(options.lang)
        write_atomically(path, page(made, options.lang).encode())
    blocked = made.reasons is not None and made.reasons.state == "blocked"
    if blocked:
        print("prohibited basis among the principal reasons: escalate; no notice is issued", file=sys.stderr)
    print(path)
    return EXIT_BLOCKED if blocked else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code) if code == EXIT_INTERRUPTED else sys.exit(code)
