"""What a report holds, before it becomes a page of one format: every text said in one language, every number written and tied to its place."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from audit.measurement import Evidence
from audit.result import AuditResult, CheckResult
from reports.behind import behind
from reports.charts import Chart
from reports.figures import figures, shares
from reports.palette import Palette
from reports.said import Said, quoted
from reports.speaker import Speaker, clean, mark, number
from reports.states import family_of, state_of
from reports.svg import svg
from reports.tables import Block, Grid, blocks
from reports.tested import NAME, measured, planted
from reports.view import CROSSED_OUT, UNSTATED, FirstScreen, anchor, context_of, first_screen, source_text, words_of
from reports.words import CONTEXT, EXCLUDED, FAMILIES, KINDS, LABEL_SOURCES, LOOKS, OBSERVED, SOURCES, TASKS, Look

WHOLE = "audit.json"  # where everything stands
MOST_TABLES = 20  # of one check
CUT_CHARTS = mark("{n:count} more charts of this check are not drawn here; their numbers are in audit.json.")
CUT_TABLES = mark("{n:count} more tables are in {file}.")
CUT_LINES = mark("{n:count} more lines are in {file}.")


@dataclass(frozen=True)
class Caps:
    """How much of a document a page holds; the rest is counted where it is missing, and stands in the appendix."""

    checks: int = 200
    findings: int = 600
    rows: int = 200
    charts: int = 25
    pairs: int = 2_000
    said: int = 200


CAPS = (Caps(), Caps(200, 60, 25, 12, 150, 60), Caps(60, 12, 8, 0, 40, 20))


@dataclass(frozen=True)
class CheckView:
    """One check as the page shows it."""

    index: int
    anchor: str
    title: Said
    look: Look
    summary: Said
    reason: Said
    rejected: Said
    meaning: Said
    limits: Said
    facts: list[tuple[str, Said]]
    figures: list[tuple[Chart, str]]
    blocks: list[Block]
    tables: list[Grid]
    behind: list[Grid]
    tested: list[Grid]
    cut: int
    cut_tables: int
    cut_charts: int


def flat(value: object, path: str) -> Iterator[tuple[str, Said]]:
    """A nested record as lines of key and value."""
    if isinstance(value, dict) and value:
        for k, v in value.items():
            yield from flat(v, f"{path}.{clean(k, 80)}" if path else clean(k, 80))
    elif isinstance(value, list) and any(isinstance(v, (dict, list)) for v in value):
        for i, v in enumerate(value):
            yield from flat(v, f"{path}[{i}]")
    else:
        text = ", ".join(str(v) for v in value) if isinstance(value, list) else "–" if value in (None, {}, "") else str(value)
        yield path, quoted(text, path)


#: What an explanation says stands before what speaks for believing it.
SHOWN_FIRST = frozenset(anchor(f"explanation.{name}") for name in ("global", "local", "reasons", "recourse"))


def about(check: CheckResult) -> str:
    """What a check is about: the data, the model, or what the audit itself brings forward."""
    if check.about == "evidence":
        return mark("the audit's own evidence")
    return mark("the data") if family_of(check.info.id) == "data" else mark("the model")


def evidence_of(check: CheckResult, path: str) -> list[tuple[Evidence, str]]:
    """All evidence of a check with its places."""
    return [(e, f"{path}.findings[{i}].evidence[{j}]") for i, f in enumerate(check.findings) for j, e in enumerate(f.evidence)]


def check_view(check: CheckResult, index: int, pictures: list[Chart], undrawn: int, drawn: int, say: Speaker, caps: Caps) -> CheckView:
    """One check; `undrawn` charts of it are left out, and `drawn` stand before its own on the page."""
    path, info = f"checks[{index}]", check.info
    summary, reason = say.stored(check.summary, check.summary_msg), say.stored(check.reason, check.reason_msg)
    evidence = evidence_of(check, path)
    tables = [(e, p) for e, p in evidence if e.kind == "table"]
    facts = [
        (say.t("Check"), quoted(info.id, f"{path}.info.id")),
        (say.t("About"), Said(say.t(about(check)), f"{path}.about")),
        (say.t("Settings"), Said(", ".join(f"{k} {v}" for k, v in list(flat(check.params, ""))[:12] if k), f"{path}.params")),
        (say.t("References"), Said("; ".join(clean(r, 300) for r in info.references[:12]), f"{path}.info.references")),
        (say.t(NAME), measured(info, path, say)),
    ]
    return CheckView(
        index=index,
        anchor=anchor(info.id),
        title=Said(say.stored(info.title, None), f"{path}.info.title"),
        look=LOOKS[state_of(check)],
        summary=Said(summary, f"{path}.summary"),
        reason=Said("" if reason in summary else reason, f"{path}.reason"),  # said once
        rejected=Said(
            say.sentences([say.stored(check.rejected, check.rejected_msg), say.t(CROSSED_OUT)]) if check.rejected else "",
            f"{path}.rejected",
        ),
        meaning=Said(say.stored(info.meaning, None), f"{path}.info.meaning"),
        limits=Said(say.stored(info.limits, None), f"{path}.info.limits"),
        facts=[(k, v) for k, v in facts if v],
        figures=[(c, svg(c, drawn + i + 1)) for i, c in enumerate(pictures)],
        blocks=blocks(check, path, say, caps.findings),
        tables=[behind(e, p, say, caps.rows) for e, p in tables[:MOST_TABLES]],
        behind=[behind(e, p, say, caps.rows) for e, p in evidence if e.kind != "table"][:20] if pictures else [],
        tested=planted(info, path, say) if caps.charts else [],
        cut=max(0, len(check.findings) - caps.findings),
        cut_tables=max(0, len(tables) - MOST_TABLES),
        cut_charts=undrawn,
    )


def check_views(document: AuditResult, say: Speaker, caps: Caps) -> list[tuple[str, str, list[CheckView]]]:
    """Families in the document's order, each with its checks."""
    palette, drawn, checks = Palette(document), 0, document.checks[: caps.checks]
    pictures = [figures(c, f"checks[{i}]", palette, say) if caps.charts else [] for i, c in enumerate(checks)]
    decides = [any(f.criterion and f.criterion.role == "decides" for f in c.findings) for c in checks]
    quota = shares([(len(p), d) for p, d in zip(pictures, decides, strict=True)], caps.charts)
    made: dict[str, list[CheckView]] = {}
    for i, check in enumerate(checks):
        view = check_view(check, i, pictures[i][: quota[i]], len(pictures[i]) - quota[i], drawn, say, caps)
        drawn += quota[i]
        made.setdefault(family_of(check.info.id), []).append(view)
    for views in made.values():
        views.sort(key=lambda v: v.anchor not in SHOWN_FIRST)
    return [(name, say.name(name, FAMILIES), views) for name, views in made.items()]


def command(document: AuditResult) -> str:
    """The command line that asks for this audit again."""
    d = document.data
    words: list[str] = ["python", "-m", "audit.run", document.model.uri, *([] if d.source in SOURCES else ["--data", d.source])]
    for option, value in (
        ("--prediction", d.prediction),
        ("--score", ",".join(d.scores)),
        ("--features", ",".join(f.name for f in document.model.features) if document.model.flavor == "http" else None),
        ("--target", d.target),
        ("--positive", d.positive),
        ("--favourable", ",".join(d.favourable)),
        ("--sensitive", ",".join(d.sensitive)),
        ("--reference", ",".join(f"{k}={v}" for k, v in d.reference.items())),
        ("--decision", d.decision if d.decision_declared else None),
        ("--label-source", d.label_source if d.label_source != "undeclared" else None),
    ):
        if value:
            words += [option, value]
    return " ".join(shlex.quote(clean(w, 300)) for w in [*words, "--seed", str(document.seed)])


Pairs = list[tuple[str, Said]]


def stated(document: AuditResult, say: Speaker) -> Pairs:
    """What was declared of the use, those of our names first."""
    context = context_of(document)
    ours = [(say.t(label), Said(words_of(context[k]), f"context.{k}")) for k, label in CONTEXT.items() if context.get(k) not in UNSTATED]
    return ours + [
        (clean(k, 80), Said(words_of(v), f"context.{clean(k, 80)}")) for k, v in context.items() if k not in CONTEXT and v not in UNSTATED
    ]


def about_data(document: AuditResult, say: Speaker) -> Pairs:
    """The audited rows."""
    d = document.data
    return [
        (say.t("Source"), Said(source_text(document, say), "data.source")),
        (say.t("Rows"), Said(number(d.rows, "count"), "data.rows", numeric=True)),
        *(
            (say.t("Left out: {what}", what=say.name(k, EXCLUDED)), Said(number(v, "count"), f"data.excluded.{clean(k, 80)}", numeric=True))
            for k, v in d.excluded.items()
        ),
        (say.t("Target"), quoted(d.target or "–", "data.target")),
        (say.t("Positive"), quoted(d.positive or "–", "data.positive")),
        (say.t("Favourable"), quoted(say.list(d.favourable) or "–", "data.favourable")),
        (say.t("What the target is"), Said(say.name(d.label_source, LABEL_SOURCES), "data.label_source")),
        (say.t("Decision rule"), Said(clean(d.decision, 200) + ("" if d.decision_declared else say.t(" (not declared)")), "data.decision")),
        (say.t("Sensitive columns"), quoted(say.list(d.sensitive) or "–", "data.sensitive")),
        (say.t("Reference groups"), quoted(say.list(say.slice({k: v}) for k, v in d.reference.items()) or "–", "data.reference")),
        (say.t("Columns"), quoted(say.list(clean(c, 60) for c in d.columns[:200]), "data.columns")),
    ]


def about_model(document: AuditResult, say: Speaker) -> Pairs:
    """The audited model."""
    m = document.model
    return [
        (say.t("Address"), quoted(m.uri, "model.uri")),
        (say.t("Format"), quoted(m.flavor, "model.flavor")),
        (say.t("Task"), quoted(say.name(m.task, TASKS), "model.task")),
        (say.t("Trained numbers"), Said("–" if m.parameters is None else number(m.parameters, "count"), "model.parameters", numeric=True)),
        (
            say.t("Inputs"),
            quoted(
                say.list(say.t("{name} ({kind})", name=clean(f.name, 60), kind=say.name(f.kind, KINDS)) for f in m.features[:200]),
                "model.features",
            ),
        ),
        (say.t("Classes"), quoted(say.list(m.classes[:100]) or "–", "model.classes")),
    ]


def about_environment(document: AuditResult, say: Speaker) -> Pairs:
    """Where the audit ran."""
    env = document.environment
    return [
        ("Python", quoted(env.python, "environment.python")),
        (say.t("Platform"), quoted(env.platform, "environment.platform")),
        (say.t("Isolation asked for"), Said(say.known(env.isolation, OBSERVED), "environment.isolation")),
        *(
            (say.t("Observed: {what}", what=say.known(k, OBSERVED)), Said(say.known(v, OBSERVED), f"environment.observed.{clean(k, 80)}"))
            for k, v in env.observed.items()
        ),
        (say.t("Packages"), quoted(", ".join(f"{k} {v}" for k, v in env.packages.items()), "environment.packages")),
    ]


def about_digests(document: AuditResult, say: Speaker) -> Pairs:
    """What the manifest is held against."""
    m, d = document.model, document.data
    return [
        (say.t("Document"), quoted(document.digest or "–", "digest")),
        (say.t("Model"), quoted(m.sha256 or say.stored(m.sha256_reason or "–", None), "model.sha256")),
        (say.t("Data"), quoted(d.sha256, "data.sha256")),
        (say.t("Plan"), quoted(document.plan_sha256, "plan_sha256")),
        (say.t("Audit"), quoted(document.id, "id")),
        (say.t("Started"), quoted(document.started, "started")),
        (say.t("Finished"), quoted(document.finished, "finished")),
        (say.t("Valid until"), quoted(document.valid_until, "valid_until")),
    ]


def plan_lines(document: AuditResult) -> Pairs:
    """The plan line by line; what it leaves unset is not shown."""
    return [(name.removeprefix("plan."), value) for name, value in flat(document.plan, "plan") if value.text != "–"]


def record_lists(document: AuditResult, say: Speaker) -> dict[str, Pairs]:
    """The records that can be long, whole."""
    return {"context": stated(document, say), "data": about_data(document, say), "environment": about_environment(document, say)}


def records(document: AuditResult, say: Speaker, caps: Caps, rest: str) -> dict[str, Any]:
    """What stands after the results: context, model, data, environment, plan, digests; what is cut is said to be in the file `rest`."""
    m = document.model
    lists, plan = record_lists(document, say), plan_lines(document)

    def cut(pairs: Pairs, file: str) -> str:
        return say.t(CUT_LINES, n=len(pairs) - caps.pairs, file=file) if len(pairs) > caps.pairs else ""

    risk = {
        "data_only": say.t("only data: nothing in the folder runs when it is loaded"),
        "code": say.t("loading it runs code that comes with it"),
        "http": say.t("nothing of it runs here: it answers at its address"),
        "predictions": say.t("no model: only its predictions are known"),
    }
    return {
        **{name: pairs[: caps.pairs] for name, pairs in [*lists.items(), ("plan", plan)]},
        "cut": {name: cut(pairs, rest) for name, pairs in lists.items()} | {"plan": cut(plan, WHOLE)},
        "model": about_model(document, say),
        "digests": about_digests(document, say),
        "command": command(document),
        "risk": Said(risk.get(m.load_risk or m.flavor, say.t("not known")), "model.load_risk"),
        "risks": [quoted(x, f"model.load_evidence[{i}]") for i, x in enumerate(m.load_evidence[: caps.said])],
    }


HOW_TO_READ = mark(
    "A comparison of groups fails where its estimate is beyond the limit and a difference is established; any other figure fails where its whole interval lies "
    "beyond the limit. Both pass where the whole interval lies within the limit; otherwise they stay open, and the reason stands beside them. Where there is a "
    "limit, the interval shown is the one that was judged. Few questions decide; everything else warns or is reported."
)
EDITIONS = {
    "internal": mark("Confidential: internal edition, with small groups"),
    "public": mark("Public edition: small groups withheld"),
}


@dataclass(frozen=True)
class Content:
    """A report in one language: what every format of it shows, in this order."""

    title: str
    edition: str
    screen: FirstScreen
    families: list[tuple[str, str, list[CheckView]]]  # id, name, checks
    how_to_read: str
    records: dict[str, Any]
    cut_checks: str
    rest: str  # the file that holds what this page leaves out


def title_of(document: AuditResult, say: Speaker) -> str:
    """What a report is called."""
    return say.t("Audit of {name}", name=clean(document.model.name or document.model.uri, 120))


def said_lists(screen: FirstScreen, say: Speaker, most: int, rest: str) -> FirstScreen:
    """The first screen with its long lists cut, each saying what it leaves out."""

    def cut(lines: list[Said]) -> list[Said]:
        return lines if len(lines) <= most else [*lines[:most], Said(say.t(CUT_LINES, n=len(lines) - most, file=rest))]

    return replace(screen, waivers=cut(screen.waivers), not_shown=cut(screen.not_shown))


def content(document: AuditResult, say: Speaker, edition: str, caps: Caps, rest: str = WHOLE) -> Content:
    """All that is said of a document that holds no more than this edition may show, within these caps; `rest` is the file that holds what they leave out."""
    left = len(document.checks) - caps.checks
    return Content(
        title=title_of(document, say),
        edition=say.t(EDITIONS[edition]),
        screen=said_lists(first_screen(document, say), say, caps.said, rest),
        families=check_views(document, say, caps),
        how_to_read=say.t(HOW_TO_READ),
        records=records(document, say, caps, rest),
        cut_checks=say.t("{n:count} more checks are in {file}.", n=left, file=WHOLE) if left > 0 else "",
        rest=rest,
    )
