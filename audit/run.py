"""`python -m audit.run MODEL_URI`: audit one model and write one audit folder; the last line of stdout is its path."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from audit.errors import AuditError
from audit.options import absolute, add_data, declared, subject

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

EXIT_FAIL, EXIT_REFUSED, EXIT_INCONCLUSIVE, EXIT_ERRORED, EXIT_BUSY, EXIT_INTERRUPTED = 1, 2, 3, 4, 75, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.run --help")


def parser() -> argparse.ArgumentParser:
    """The options of contract.md; those of later versions are refused by name, not ignored."""
    p = _Parser(prog="audit.run", description="Audit one model: evidence, verdicts and a report in one folder.", allow_abbrev=False)
    p.add_argument(
        "model_uri",
        nargs="?",
        help="models:/NAME/VERSION, models:/NAME@ALIAS, runs:/ID/PATH, the folder of an MLflow model, demo:PRESET, http://HOST:PORT/invocations, "
        "or predictions: no model, the data's own columns (--prediction, --score)",
    )
    p.add_argument(
        "--list", action="store_true", help="the checks: id, what each needs, one line each; with --checks all that those say of themselves"
    )
    add_data(p)
    what = p.add_argument_group("what is asked")
    what.add_argument("--weight", metavar="COL", help="survey weights: how many people a row stands for")
    what.add_argument("--plan", metavar="FILE", help="TOML: checks, parameters, criteria (default: the built-in plan)")
    what.add_argument("--checks", metavar="a,b", help="check ids or families")
    what.add_argument("--skip", metavar="a,b", help="check ids or families to leave out")
    what.add_argument("--sample", type=int, metavar="N", help="rows for the checks that ask the model again (default: 2000)")
    what.add_argument("--seed", type=int, metavar="S", help="every random choice (default: 0)")
    what.add_argument("--waivers", metavar="FILE", help="TOML: accepted findings, each with reason, person and expiry; no verdict changes")
    what.add_argument("--check-timeout", type=float, default=900.0, metavar="S", help="a check that runs longer is errored (default: 900)")
    what.add_argument("--print-plan", action="store_true", help="print the resolved plan and stop")
    out = p.add_argument_group("where it goes")
    out.add_argument("--out", metavar="DIR", help="the audit folder (default: audits/<model>-<id>)")
    out.add_argument("--resume", metavar="DIR", help="go on with an interrupted audit; given alone")
    out.add_argument("--lang", choices=("en", "zh"), default="en")
    out.add_argument("--format", action="append", metavar="F", help="html (always), pdf, junit, evidence, …: as in reports.generate")
    out.add_argument(
        "--framework",
        action="append",
        metavar="ID",
        help="documents of laws and standards (default: those that the declared context calls for)",
    )
    out.add_argument("--edition", choices=("internal", "public"), help="what small numbers may be printed (default: internal)")
    out.add_argument("--json", action="store_true", help="print the document on stdout and nothing else")
    out.add_argument("--gate", nargs="?", const="fail", choices=("fail", "strict"), help="exit status follows the verdict")
    out.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    out.add_argument("--no-log", action="store_true", help="keep the audit off MLflow")
    out.add_argument("--scored-dir", metavar="DIR", help="where scored tables are kept (default: the private cache)")
    out.add_argument("--forget", action="store_true", help="remove the scored table when the audit is done")
    out.add_argument("--sign-key", metavar="FILE", help="Ed25519 private key that signs the manifest (audit.keygen makes one)")
    safe = p.add_argument_group("the model's process")
    safe.add_argument("--trust-pickle", action="store_true", help="let the worker load a format that runs code")
    safe.add_argument("--isolation", choices=("required", "best-effort", "none"), default="best-effort")
    safe.add_argument("--engine", choices=("local", "ray"), default="local")
    return p


def _refuse_later(options: argparse.Namespace) -> None:
    if options.framework:
        from reports.obligations.catalogue import find

        for name in options.framework:
            find(name)
    if options.engine != "local":
        raise AuditError("--engine ray comes with a later version", "use --engine local")
    if options.format:
        from reports.formats import refuse_unknown

        refuse_unknown(options.format)


def list_checks(names: str | None = None) -> str:
    """The checks, one a line: id, needs, title; of those in `names` everything that they say of themselves."""
    from audit.registry import checks

    if names:
        from audit import listing, plan

        return "\n\n".join(listing.detail(checks()[id_]) for id_ in sorted(plan.select(names, option="--checks") or ()))
    return "\n".join(f"{id_:<24} {', '.join(c.info.needs) or '-':<24} {c.info.title}" for id_, c in checks().items())


def build(options: argparse.Namespace, command: list[str]) -> Any:
    """The request that the options make; everything that can be refused before a model is looked for is refused here."""
    from audit import plan as plans
    from audit.recorded import URI
    from audit.request import Request
    from audit.store import absolute_uri
    from audit.waivers import read_waivers

    _refuse_later(options)
    if not options.model_uri:
        raise AuditError("no model was named", "give a MODEL_URI, such as demo:credit")
    options.model_uri, options.secret, command = subject(options, command)
    if options.cluster and options.independent:
        raise AuditError("--cluster and --independent contradict each other", "give one of them: rows belong together, or they do not")
    if options.check_timeout <= 0 or (options.sample is not None and options.sample < 1):
        raise AuditError("--check-timeout and --sample must be above 0", "give a positive number")
    plan = plans.load(Path(options.plan) if options.plan else None)
    given = declared(options) | {"weight": options.weight}
    tier = (given["context"] or {}).get("tier")
    if tier is not None and not options.plan:
        chosen = {"tier": tier, "chosen_by": str(given["context"].get("tier_chosen_by", "the context file"))}
        plan = plan.model_copy(update={"materiality": plans.Materiality.model_validate(chosen)})
    given["reference"] = dict(plan.reference) | given["reference"]
    if plan.frameworks.ids:
        from reports.obligations.catalogue import planned

        planned(plan.frameworks.ids)
    waivers = [w.model_dump(mode="json") for w in read_waivers(Path(options.waivers))] if options.waivers else []
    audit_id = uuid.uuid4().hex
    name = re.sub(r"[^A-Za-z0-9]+", "-", options.model_uri).strip("-")[:60] or "model"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    uri = options.model_uri
    return Request(
        id=audit_id, uri=str(Path(uri).absolute()) if uri != URI and Path(uri).is_dir() else uri, tracking_uri=absolute_uri(options.tracking_uri),
        data=absolute(options.data), training=absolute(options.training), references=absolute(options.references), given=given,
        plan=plan.model_dump(mode="json"), checks=plans.asked(plan, plans.select(options.checks, option="--checks"), plans.select(options.skip, option="--skip")),
        sample=options.sample or plan.audit.sample, seed=plan.audit.seed if options.seed is None else options.seed,
        out=str(Path(options.out).absolute() if options.out else Path("audits").absolute() / f"{name}-{audit_id[:12]}"),
        lang=options.lang, formats=tuple(dict.fromkeys(["html", *(options.format or [])])), edition=options.edition or plan.disclosure.edition, log=not options.no_log, check_timeout=options.check_timeout,
        trust_pickle=options.trust_pickle, isolation=options.isolation, scored_dir=str(Path(options.scored_dir).absolute()) if options.scored_dir else None,
        forget=options.forget, started=now, command=command, plan_given=options.plan is not None, waivers=waivers, sign_key=absolute(options.sign_key),
        frameworks=tuple(str(Path(f).absolute()) if Path(f).is_file() else f for f in options.framework or plan.frameworks.ids),
    )  # fmt: skip


def _resumed(folder: Path) -> Any:
    """The request of an interrupted audit, from its journal."""
    from audit.journal import FOLDER, Journal
    from audit.request import Request

    if not (folder / FOLDER).is_dir():
        done = (folder / "audit.json").is_file()
        raise AuditError(
            f"{folder} {'holds a finished audit' if done else 'holds no interrupted audit'}",
            "name the folder that the interrupted audit named",
        )
    journal = Journal(folder)
    try:
        kept = journal.read("request")
    finally:
        journal.close()
    if kept is None:
        raise AuditError(
            f"the journal in {folder} is not readable, or was written by somebody else", "start the audit again with another --out"
        )
    return Request.model_validate(kept).model_copy(update={"out": str(folder)})


def _check_out(folder: Path) -> None:
    from audit.journal import FOLDER

    if folder.exists() and not folder.is_dir():
        raise AuditError(f"{folder} is a file", "name another --out")
    if (folder / FOLDER).is_dir():
        from audit.journal import Journal

        Journal(folder).close()  # raises BusyError where another audit is writing
        raise AuditError(f"{folder} holds an interrupted audit", f"go on with --resume {folder}, or name another --out")
    if folder.exists() and any(folder.iterdir()):
        raise AuditError(f"the output folder {folder} is not empty", "name another --out; an audit never overwrites another")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    from audit.journal import BusyError

    argv = sys.argv[1:] if argv is None else argv
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = parser().parse_args(argv)
        if options.list:
            print(list_checks(options.checks))
            return 0
        if options.resume:
            others = [a for a in argv if a not in ("--resume", options.resume, f"--resume={options.resume}", "--json")]
            if others:
                raise AuditError(
                    f"--resume takes everything from the stored plan, and {others[0]!r} was given too", "give --resume DIR alone"
                )
            request = _resumed(Path(options.resume).absolute())
        else:
            request = build(options, argv)
            _check_out(Path(request.out))
        return _audit(request, options, _key(request))
    except AuditError as error:
        print(error, file=sys.stderr)
        return EXIT_REFUSED
    except BusyError as error:
        print(f"error: another audit is writing to {error} — wait for it, or name another --out", file=sys.stderr)
        return EXIT_BUSY
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # a fault of ours is told in one line too; the traceback is for those who ask for it
        if os.environ.get("WITNESSMARK_DEBUG"):
            raise
        print(
            f"error: the audit stopped on a fault of its own: {' '.join(str(error).split())[:300]} — set WITNESSMARK_DEBUG=1 for details and report them",
            file=sys.stderr,
        )
        return EXIT_REFUSED


def _key(request: Any) -> Ed25519PrivateKey | None:
    """The key that signs, read before anything runs; it stays in this process, and only its path is kept for --resume."""
    from audit.signing import read_private

    return read_private(Path(request.sign_key)) if request.sign_key else None


def _audit(request: Any, options: argparse.Namespace, key: Ed25519PrivateKey | None) -> int:
    from audit.jobs import write_whole
    from audit.progress import closing, progress
    from audit.result import AuditResult
    from audit.runner import Audit
    from audit.subject.endpoint import TOKEN
    from reports.history import looks
    from reports.speaker import Speaker
    from reports.states import state_of, state_of_audit
    from reports.view import deciding

    folder = Path(request.out)
    secret = getattr(options, "secret", None) or os.environ.get(TOKEN)
    with Audit(request, progress(), secret) as audit:
        try:
            audit.look()
            if options.print_plan:
                from audit.toml import dumps

                print(dumps(audit.resolved_plan()))
                return 0
            audit.recall(folder)
            audit.settle()
            document = audit.run(folder)
            write_whole(folder / "audit.json", json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode())
            views = _render(audit, folder, request)
            audit.write(folder, document, views, key)
            _documents(audit, folder, request, key)
            _pack(audit, folder, request)
            if request.log:
                _log(audit, folder, document, request)
            audit.progress.finished("audit", "completed")
        except KeyboardInterrupt:
            _interrupted(folder)
            raise
    result = AuditResult.model_validate(document)
    say = Speaker("en")
    why = say.stored(result.why, result.why_msg)
    told = [(item.look.sign, item.text.text) for item in deciding(result, say) if item.text.text != why]
    closing(result, state_of_audit(result), {c.info.id: state_of(c) for c in result.checks}, told)
    for line in looks(result, say):
        print(line, file=sys.stderr)
    _waived(result)
    if options.json:
        sys.stdout.write((folder / "audit.json").read_text(encoding="utf-8"))
    else:
        print(folder)
    return _status(document, options.gate)


def _render(audit: Any, folder: Path, request: Any) -> list[str]:
    """report.html in English and in the language asked for; other formats in that language."""
    from reports.formats import FORMATS

    names = []
    wanted = [("html", lang) for lang in dict.fromkeys(["en", request.lang])] + [(f, request.lang) for f in request.formats if f != "html"]
    for format_, lang in wanted:
        if not FORMATS[format_].whole:
            names += _drawn(audit, folder, request, format_, lang)
    return names


def _pack(audit: Any, folder: Path, request: Any) -> None:
    """What holds the whole folder, once its manifest is there; no list names it."""
    from reports.formats import FORMATS

    for format_ in request.formats:
        if FORMATS[format_].whole:
            _drawn(audit, folder, request, format_, request.lang)


def _drawn(audit: Any, folder: Path, request: Any, format_: str, lang: str) -> list[str]:
    """The names of the files that a report of this format becomes: with its appendix, where it leaves anything out."""
    audit.progress.step(f"report ({format_}, {lang})")
    arguments = {"folder": str(folder), "format": format_, "lang": lang, "edition": request.edition}
    names: list[str] = audit.jobs.run("audit.run:render", arguments, limit=request.writing_timeout)["files"]
    return names


def render(arguments: dict[str, Any], worker: object) -> dict[str, Any]:
    """Job: one report, drawn from the document that stands in the folder."""
    from reports.write import write_views

    paths = write_views(Path(arguments["folder"]), arguments["format"], arguments["lang"], arguments["edition"], listed=False)
    return {"files": [path.name for path in paths]}


def _documents(audit: Any, folder: Path, request: Any, key: Ed25519PrivateKey | None) -> None:
    """The documents of laws and standards, which are views: they change when somebody attests. They are drawn in a child, and signed here."""
    from audit import entries
    from audit.jobs import write_whole

    audit.progress.step("documents of frameworks")
    arguments = {"folder": str(folder), "frameworks": list(request.frameworks), "formats": list(request.formats), "lang": request.lang,
                 "edition": request.edition}  # fmt: skip
    audit.jobs.run("audit.run:documents", arguments, limit=request.writing_timeout)
    if key and (views := entries.read_views(folder)):
        signed = [entries.seal(entries.body(v), {v["file"]: v["sha256"]}, entries.VIEW_TYPE, key) for v in views]
        write_whole(folder / entries.VIEWS, entries.write_views(signed))


def documents(arguments: dict[str, Any], worker: object) -> dict[str, Any]:
    """Job: the documents of the frameworks that were named, or of those that the context calls for."""
    from reports.obligations.render import SUFFIXES, plan_documents, write_document
    from reports.write import load

    folder = Path(arguments["folder"])
    wanted = plan_documents(load(folder), arguments["frameworks"], [f for f in arguments["formats"] if f in SUFFIXES], None)
    return {"files": [write_document(folder, w, arguments["lang"], arguments["edition"], None).name for w in wanted]}


def _log(audit: Any, folder: Path, document: dict[str, Any], request: Any) -> None:
    """The audit on MLflow; a store that cannot be reached costs the entry, not the audit."""
    from audit.jobs import JobError
    from audit.store import missing

    if missing(request.tracking_uri):
        return  # a model in a folder, and no store to write to
    try:
        audit.progress.step("MLflow")
        audit.jobs.run(
            "audit.store:log_audit", {"folder": str(folder), "model": document["model"], "tracking_uri": request.tracking_uri}, limit=600
        )
    except (JobError, AuditError) as error:
        print(f"note: the audit is complete and was not logged to MLflow: {error}", file=sys.stderr)


def _waived(result: Any) -> None:
    """Waivers that accept nothing, said where whoever gave them reads it."""
    said = {
        "expired": "expired on {expires} and counts as none",
        "unknown": "names no finding of this audit",
        "not_needed": "is not needed: the finding neither fails nor is open",
    }
    for waiver in result.waivers:
        if waiver.state in said:
            print(
                f"note: the waiver of {waiver.key} by {waiver.person!r} {said[waiver.state].format(expires=waiver.expires)}",
                file=sys.stderr,
            )


def _interrupted(folder: Path) -> None:
    from audit.journal import FOLDER

    if (folder / FOLDER).is_dir():
        print(f"interrupted: what was finished is kept; go on with\n  python -m audit.run --resume {folder}", file=sys.stderr)


def _status(document: dict[str, Any], gate: str | None) -> int:
    """The exit status: of those that hold, the first of 1, 4, 3."""
    if gate and document["verdict"] == "fail":
        return EXIT_FAIL
    if any(c["status"] == "errored" for c in document["checks"]):
        return EXIT_ERRORED
    if gate and document["verdict"] != "pass":
        still_open = [q["title"] for q in document["questions"] if q["verdict"] in ("inconclusive", "error")]
        print("open: " + " · ".join(still_open), file=sys.stderr)
        return EXIT_INCONCLUSIVE if gate == "strict" else 0
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code) if code == EXIT_INTERRUPTED else sys.exit(code)
