"""What a page shows of a document, in words: shared by the report and the dashboard. No markup, no numbers of its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from audit.result import AuditResult, CheckResult, Finding, Question
from reports.history import accepted, looks, waiver_text
from reports.metrics import metric_name
from reports.said import Said, figure, places
from reports.sentences import capital, pair_text, reason_text, sentence
from reports.speaker import Speaker, clean, mark
from reports.states import (
    SIZE_OPEN,
    TOO_SMALL,
    decides,
    family_of,
    family_states,
    state_of,
    state_of_audit,
    state_of_finding,
    state_of_question,
)
from reports.words import CONTEXT, CONTEXT_ALIASES, FAMILIES, LOOKS, REASONS, SEVERITIES, SOURCES, Look

UNSTATED: tuple[object, ...] = (None, "", "not stated", [], {})
STANDING = mark(
    "The intervals say how much these results would move if another sample of people like these were scored by this same model. They do "
    "not cover retraining, wrong or biased labels, people who are not in the data, or change over time."
)
STANDING_ROWS = mark(
    "The intervals say how much these results would move if another sample of rows like these were scored by this same model. They do "
    "not cover retraining, wrong or biased labels, cases that are not in the data, or change over time."
)
CROSSED_OUT = mark("What follows is crossed out: no reason and no advice is given from it. The model is judged apart from it.")
KEPT_OFF = mark("Audits of these data that were kept off this store (--no-log), or lie in another one, are not counted.")
CENSUS = mark("The rows are all decisions of {period}; the intervals describe the process that produced them.")


@dataclass(frozen=True)
class Flagged:
    """Something with a verdict: a finding as a sentence, a question, a family."""

    look: Look
    text: Said
    detail: Said = field(default_factory=lambda: Said(""))
    anchor: str = ""
    open: list[Said] = field(default_factory=list)


@dataclass(frozen=True)
class FirstScreen:
    """The first screen, in its order."""

    audited: list[Said]
    look: Look
    answered: Said
    purpose: Said
    why: Said
    history: list[Said]
    waivers: list[Said]
    unstated: list[str]
    deciding: list[Flagged]
    established: Said
    questions: list[Flagged]
    families: list[Flagged]
    not_shown: list[Said]


def anchor(check: str) -> str:
    """The page's name for a check."""
    return "check-" + check.replace(".", "-").replace("_", "-")


def context_of(document: AuditResult) -> dict[str, Any]:
    """The declared context under our own keys."""
    return {CONTEXT_ALIASES.get(k, k): v for k, v in document.context.items()}


def words_of(value: object) -> str:
    """A declared value as one line; texts that hold commas of their own are numbered."""
    if isinstance(value, list):
        texts = [words_of(v) for v in value]
        if len(texts) > 1 and any(c in text for text in texts for c in ",;，；"):
            return " ".join(f"({i}) {text}" for i, text in enumerate(texts, 1))
        return ", ".join(texts)
    if isinstance(value, dict):
        return ", ".join(f"{k}: {words_of(v)}" for k, v in value.items())
    return clean(value, 400)


def deciding(document: AuditResult, say: Speaker, most: int = 3, said: str = "") -> list[Flagged]:
    """The findings that decide the verdict: failing, then established, then open; one of each question before a second; what is too small to judge last.

    Of the comparisons about one slice, the first stands for all. The one whose sentence is `said` already is only named.
    """

    def last(f: Finding) -> int:
        """0 for what is established, 1 for what is open, 2 for what is too small to judge."""
        return 2 if f.reason in TOO_SMALL else 1 if f.verdict == "inconclusive" and f.reason != SIZE_OPEN else 0

    found = [
        (LOOKS[f.verdict].rank, last(f), list(SEVERITIES).index(f.criterion.severity), i, j, c, f)
        for i, c in enumerate(document.checks)
        for j, f in enumerate(c.findings)
        if f.criterion and f.criterion.role == "decides" and f.verdict != "not_judged"
    ]
    seen: set[tuple[str, str, str]] = set()
    asked: Counter[tuple[str, str]] = Counter()
    shown: list[tuple[tuple[int, int, int], Flagged]] = []
    for rank, small, _, i, j, check, f in sorted(found, key=lambda row: row[:5]):
        same = (check.info.id, f.metric, repr(sorted(f.slice.items())))
        if same not in seen:
            seen.add(same)
            path = f"checks[{i}].findings[{j}]"
            own = f.sentence and state_of_finding(f) == "size_open"  # its sentence says so itself
            detail = "" if f.verdict in ("pass", "fail") or f.estimate is None or own else reason_text(f, say)
            detail = say.sentences([detail, accepted(document, f.key, say)])
            waived = [f"waivers[{k}]" for k, w in enumerate(document.waivers) if w.key == f.key]
            told = sentence(f, say)
            if told == said:
                told = say.t("{metric}, {who}: as said above.", metric=capital(metric_name(f.metric, say)), who=pair_text(f, say))
            text = Said(told, path)
            flagged = Flagged(
                LOOKS[state_of_finding(f)], text, Said(detail, places([path, *waived]) if detail else ""), anchor(check.info.id)
            )
            shown.append(((rank, small, asked[check.info.id, f.metric]), flagged))
            asked[check.info.id, f.metric] += 1
    return [flagged for _, flagged in sorted(shown, key=lambda row: row[0])[:most]]


def questions(document: AuditResult, say: Speaker, said: str = "") -> list[Flagged]:
    """The questions that decide, in the plan's order; one that was not answered says why, unless that is `said` already."""

    def why(q: Question) -> str:
        reason = say.t(REASONS[q.reason]) if q.reason in REASONS else say.stored(q.reason, q.reason_msg)
        return "" if reason in said else reason

    return [
        Flagged(
            LOOKS[state_of_question(q, document)],
            Said(say.stored(q.title, q.title_msg), f"questions[{i}].title"),
            Said(why(q), f"questions[{i}].reason" if q.reason else ""),
            anchor(q.check),
        )
        for i, q in enumerate(document.questions)
    ]


def established(document: AuditResult, say: Speaker) -> Said:
    """From which adjusted p on a difference counts as established, where a question decides."""
    alpha = document.history.alpha_fail
    whole = document.plan["judge"]["alpha_fail"] if alpha is None else alpha
    text = say.t(
        "A difference fails a limit only where its adjusted p is at most {each:p}: {whole:p} for the whole audit, shared equally by {n:count} deciding questions. "
        "It is called established from there on, or where its p before adjustment is below 0.001.",
        each=whole / max(1, document.answered.decides),
        whole=whole,
        n=document.answered.decides,
    )
    return Said(text, "answered.decides")


def families(document: AuditResult, say: Speaker) -> list[Flagged]:
    """One cell per family: what its worst check found, and what stays open."""
    states, asked = family_states(document), {q.check for q in document.questions}
    cells: dict[str, list[tuple[int, CheckResult]]] = {}
    for i, check in enumerate(document.checks):
        cells.setdefault(family_of(check.info.id), []).append((i, check))
    shown = []
    for name, members in cells.items():
        i, worst = min(
            members,
            key=lambda m: (m[1].status != "completed", LOOKS[state_of(m[1])].rank, not decides(m[1]), m[1].info.id not in asked),
        )
        open_ = [
            Said(
                say.pair(say.stored(c.info.title, None), say.stored(c.reason or c.summary, c.reason_msg if c.reason else c.summary_msg)),
                f"checks[{j}].{'reason' if c.reason else 'summary'}",
            )
            for j, c in members
            if c is not worst and (c.status == "errored" or c.verdict == "inconclusive")
        ]
        question = document.open_question(name)
        if question is not None and min(LOOKS[state_of(c)].rank for _, c in members) == LOOKS["pass"].rank:
            open_.insert(0, Said(say.stored(question.title, question.title_msg), f"questions[{document.questions.index(question)}].title"))
        told = "rejected" if worst.rejected else "summary"
        text = say.stored(worst.rejected, worst.rejected_msg) if worst.rejected else say.stored(worst.summary, worst.summary_msg)
        found = Said(text, f"checks[{i}].{told}")
        shown.append(Flagged(LOOKS[states[name]], Said(say.name(name, FAMILIES)), found, f"family-{name}", open_))
    return shown


def what_intervals_say(document: AuditResult, say: Speaker) -> str:
    """What stands under every verdict; rows with sensitive columns are people."""
    return say.t(STANDING if document.data.sensitive else STANDING_ROWS)


def limits(document: AuditResult, say: Speaker) -> list[Said]:
    """What bounds all that this audit shows: the standing text, declared limits, what was not assessed, and notes."""
    context = context_of(document)
    lines = [Said(what_intervals_say(document, say))]
    if context.get("known_limits") not in UNSTATED:
        lines.append(Said(say.t("Known limits, as declared: {limits}", limits=words_of(context["known_limits"])), "context.known_limits"))
    if document.history.models_on_this_data is not None:
        lines.append(Said(say.t(KEPT_OFF), "history"))
    if context.get("sampling") == "census" and context.get("period") not in UNSTATED:
        lines.append(Said(say.t(CENSUS, period=words_of(context["period"])), "context.period"))
    for name, texts, messages in (
        ("not_assessed", document.not_assessed, document.not_assessed_msg),
        ("notes", document.notes, document.notes_msg),
    ):
        for i, text in enumerate(texts):
            told = messages[i] if i < len(messages) and len(messages) == len(texts) else None
            lines.append(Said(say.stored(text, told), f"{name}[{i}]"))
    return lines


def not_shown(document: AuditResult, say: Speaker) -> list[Said]:
    """What this audit does not show: its limits, and the checks that were not run, which a report gives below."""
    left_out = [say.stored(c.info.title, None) for c in document.checks if c.status == "skipped"]
    said = say.t("Not run, each with its reason below: {names}.", names=say.join(left_out))
    return limits(document, say) + ([Said(said, "checks")] if left_out else [])


def not_run(document: AuditResult, say: Speaker) -> list[str]:
    """The checks that were not run or went wrong, each with its reason."""
    return [
        say.pair(say.stored(c.info.title, None), say.stored(c.reason, c.reason_msg)) for c in document.checks if c.status != "completed"
    ]


def source_text(document: AuditResult, say: Speaker) -> str:
    """Where the data come from: a name of theirs, or a text of ours."""
    return say.t(document.data.source) if document.data.source in SOURCES else clean(document.data.source, 120)


def audited(document: AuditResult, say: Speaker) -> list[Said]:
    """The one line that says what was audited."""
    m, d, auditor = document.model, document.data, context_of(document).get("auditor")
    version = say.t("version {version}", version=clean(m.version, 60)) if m.version else say.t("no version")
    rows = figure(d.rows, "count", "data.rows")
    return [
        Said(say.t("Model {name}", name=clean(m.name or m.uri, 120)), "model.name"),
        Said(version, "model.version"),
        Said(say.t("data: {source}", source=source_text(document, say)), "data.source"),
        Said(say.t("{n} rows", n=rows.text), "data.rows", numeric=True),
        Said(clean(document.started[:10], 10), "started"),
        Said(say.t("valid until {date}", date=clean(document.valid_until, 10)), "valid_until"),
        Said(say.t("auditor not stated") if auditor in UNSTATED else say.t("by {auditor}", auditor=words_of(auditor)), "context.auditor"),
    ]


def answered_text(document: AuditResult, say: Speaker) -> str:
    """The answered fraction: never shown apart from the verdict."""
    a = document.answered
    return say.t("{done:count} of {all:count} deciding questions answered", done=a.passed + a.fail, all=a.decides)


def purpose(document: AuditResult, say: Speaker) -> str:
    """For what use, on which data of which period."""
    context, unstated = context_of(document), say.t("not stated")
    use, period = ((unstated if context.get(k) in UNSTATED else words_of(context[k])) for k in ("intended_use", "period"))
    return say.t("for use: {use}; on {data}, period: {period}", use=use.rstrip(".。"), data=source_text(document, say), period=period)


def unstated(document: AuditResult, say: Speaker) -> list[str]:
    context = context_of(document)
    return [say.t(label) for key, label in CONTEXT.items() if context.get(key) in UNSTATED]


def first_screen(document: AuditResult, say: Speaker) -> FirstScreen:
    """All of the first screen."""
    why = say.stored(document.why, document.why_msg)
    return FirstScreen(
        audited=audited(document, say),
        look=LOOKS[state_of_audit(document)],
        answered=Said(answered_text(document, say), "answered", numeric=True),
        purpose=Said(purpose(document, say), "context + data.source"),
        why=Said(why, "why"),
        history=looks(document, say),
        waivers=[Said(waiver_text(w, document, say), f"waivers[{i}]") for i, w in enumerate(document.waivers)],
        unstated=unstated(document, say),
        deciding=deciding(document, say, said=why),
        questions=questions(document, say, said=why),
        established=established(document, say),
        families=families(document, say),
        not_shown=not_shown(document, say),
    )
