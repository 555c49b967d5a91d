"""The datasheet of the audited data: the questions of Gebru et al. 2021 ("Datasheets for Datasets"), answered where the audit measured or somebody declared.

Everything else can only be answered by the people who know how the data came about: those questions stand there as open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from audit.result import AuditResult, CheckResult
from reports.behind import behind
from reports.content import about_digests
from reports.markdown import edition_text, facts, grid, within
from reports.marked import Page
from reports.records import outcome
from reports.sentences import capital
from reports.speaker import Speaker, clean, mark
from reports.view import UNSTATED, context_of, limits, source_text, words_of
from reports.words import CONTEXT, LABEL_SOURCES, SOURCES

MOST_BYTES = 480_000
MOST = (200, 60, 20)  # rows of a table

DRAWN = mark(
    "Drawn from the audit {id} of {date} alone (digest {digest}). It describes the audited rows, {source}; of how they came about it knows only what was declared."
)
OPEN = mark("Open: only people who know the data can answer these")
NOT_MEASURED = mark("{check}: not measured. {reason}")
ROWS = mark("{rows:count} rows of {columns:count} columns.")
LEFT_OUT = mark("Left out of the metrics: {rows:count} rows without an outcome or without a prediction.")
TARGET = mark(
    "The outcome column is {target}; what it holds: {what}. The event that is predicted: {positive}; what a person wants: {favourable}."
)
NO_TARGET = mark("No outcome column is known to the audit.")
TRAINING = mark("The model was trained on {source} ({rows:count} rows, SHA-256 {digest}); these rows are for evaluation.")
SAME = mark("The model was trained on these very rows.")
AUDITED = mark("They have judged the model {name}, in this audit.")
JUDGED = mark("Models that were judged on them, as far as the store of the audits knows, this one included: {count:count}.")


@dataclass(frozen=True)
class Answer:
    """What is known of a question: sentences, and the checks whose tables show more."""

    lines: list[str] = field(default_factory=list)
    tables: tuple[str, ...] = ()


Ask = Callable[[AuditResult, Speaker], Answer]


def stated(*keys: str) -> Ask:
    """What was declared under these names."""

    def ask(document: AuditResult, say: Speaker) -> Answer:
        context = context_of(document)
        return Answer([say.pair(capital(say.t(CONTEXT[k])), words_of(context[k])) for k in keys if context.get(k) not in UNSTATED])

    return ask


def found(*checks: str, tables: tuple[str, ...] = ()) -> Ask:
    """What these checks found in their own sentences; one that was not run says why."""

    def ask(document: AuditResult, say: Speaker) -> Answer:
        return Answer([told(c, say) for c in document.checks if c.info.id in checks], tables)

    return ask


def told(check: CheckResult, say: Speaker) -> str:
    title = say.stored(check.info.title, None)
    if check.status != "completed":
        return say.t(NOT_MEASURED, check=title, reason=say.stored(check.reason, check.reason_msg))
    return say.pair(title, outcome(check, say))


def both(*asks: Ask) -> Ask:
    def ask(document: AuditResult, say: Speaker) -> Answer:
        answers = [one(document, say) for one in asks]
        return Answer([line for a in answers for line in a.lines], tuple(t for a in answers for t in a.tables))

    return ask


def size(document: AuditResult, say: Speaker) -> Answer:
    d = document.data
    left = sum(d.excluded.values())
    return Answer([say.t(ROWS, rows=d.rows, columns=len(d.columns)), *([say.t(LEFT_OUT, rows=left)] if left else [])])


def columns(document: AuditResult, say: Speaker) -> Answer:
    return Answer([say.list(clean(c, 60) for c in document.data.columns[:500])] if document.data.columns else [])


def target(document: AuditResult, say: Speaker) -> Answer:
    d = document.data
    if d.target is None:
        return Answer([say.t(NO_TARGET)])
    none = say.t("not stated")
    values = {"target": clean(d.target, 80), "what": say.name(d.label_source, LABEL_SOURCES)}
    return Answer(
        [say.t(TARGET, **values, positive=clean(d.positive or none, 80), favourable=say.list(clean(f, 80) for f in d.favourable) or none)]
    )


def splits(document: AuditResult, say: Speaker) -> Answer:
    t = document.data.training
    if t is None:
        return Answer()
    if t.same_as_evaluation:
        return Answer([say.t(SAME)])
    return Answer([say.t(TRAINING, source=say.known(t.source, SOURCES), rows=t.rows, digest=clean(t.sha256, 64))])


def sensitive(document: AuditResult, say: Speaker) -> Answer:
    named = say.list(clean(s, 60) for s in document.data.sensitive)
    return Answer([say.pair(say.t("Sensitive columns"), named)] if named else [])


def used(document: AuditResult, say: Speaker) -> Answer:
    count, name = document.history.models_on_this_data, clean(document.model.name or document.model.uri, 120)
    return Answer([say.t(AUDITED, name=name), *([say.t(JUDGED, count=count)] if count is not None else [])])


def bounds(document: AuditResult, say: Speaker) -> Answer:
    return Answer([str(line) for line in limits(document, say)])


def digest(document: AuditResult, say: Speaker) -> Answer:
    return Answer([say.pair("SHA-256", clean(document.data.sha256, 64))])


#: Section → its questions, each with what the audit can say of it; None where only people can.
SECTIONS: dict[str, list[tuple[str, Ask | None]]] = {
    mark("Motivation"): [
        (mark("For what purpose were the data created?"), None),
        (mark("Who created them, and on whose behalf?"), None),
        (mark("Who paid for their creation?"), None),
    ],
    mark("Composition"): [
        (mark("What does a row represent?"), stated("unit", "people")),
        (mark("How many rows are there?"), size),
        (mark("Are they all there are, or a sample of more?"), stated("population", "sampling")),
        (mark("What does each row consist of?"), columns),
        (mark("Is there a target, and what is it?"), target),
        (mark("Is anything missing?"), found("data.profile", tables=("data.profile",))),
        (mark("Are rows related to each other, or repeated?"), found("data.dependence")),
        (mark("Are there recommended splits?"), both(splits, found("data.leakage"))),
        (mark("Are there errors or noise in them?"), None),
        (mark("Do they depend on anything outside, which may change or go away?"), None),
        (mark("Do they hold anything confidential?"), None),
        (mark("Could anything in them offend or frighten people who read it?"), None),
        (mark("Do they name groups of people, and how many are in each?"), found("data.representation", tables=("data.representation",))),
        (mark("Can people be recognised in them?"), found("data.anonymity", tables=("data.anonymity",))),
        (mark("Do they hold what is sensitive about people?"), both(sensitive, found("data.proxies"))),
    ],
    mark("Collection"): [
        (mark("How was the content of each row obtained: observed, reported or inferred?"), None),
        (mark("With which instruments or procedures were they collected, and how were these checked?"), None),
        (mark("If they are a sample, how was it drawn?"), stated("sampling")),
        (mark("Who collected them, and how were these people paid?"), None),
        (mark("Over which period?"), stated("period")),
        (mark("Was there an ethical review?"), None),
        (mark("Were they obtained from the people themselves or from others?"), None),
        (mark("Were the people told?"), None),
        (mark("Did they consent, and can they take it back?"), None),
        (mark("Was the effect on the people assessed?"), None),
    ],
    mark("Preparation"): [
        (mark("Were they cleaned, prepared or labelled, and how?"), None),
        (mark("Were the raw data kept?"), None),
        (mark("Is the software for it available?"), None),
    ],
    mark("Uses"): [
        (mark("What have they been used for?"), both(used, stated("intended_use"))),
        (mark("Is there a list of papers or systems that use them?"), None),
        (mark("For what else could they be used?"), None),
        (mark("Does anything about them bear on future use?"), bounds),
        (mark("For what should they not be used?"), None),
    ],
    mark("Distribution"): [
        (mark("Are they given to others?"), None),
        (mark("How can one tell that a copy is the same?"), digest),
        (mark("Under which licence or terms?"), None),
        (mark("Do others hold rights in them?"), None),
        (mark("Do export controls or other rules apply?"), None),
    ],
    mark("Maintenance"): [
        (mark("Who keeps them, and how are they reached?"), stated("owner")),
        (mark("Is there a list of known errors?"), None),
        (mark("Will they be updated, by whom and how often?"), None),
        (mark("For how long may they be kept?"), None),
        (mark("Will older versions stay available?"), None),
        (mark("Can others add to them?"), None),
    ],
}  # fmt: skip


def show(page: Page, document: AuditResult, checks: tuple[str, ...], say: Speaker, most: int) -> None:
    """The tables that these checks stored."""
    for i, check in enumerate(document.checks):
        for j, f in enumerate(check.findings if check.info.id in checks else []):
            for k, e in enumerate(f.evidence):
                if e.kind == "table":
                    grid(page, behind(e, f"checks[{i}].findings[{j}].evidence[{k}]", say, most), say, 4)


def sheet(document: AuditResult, say: Speaker, edition: str, most: int) -> str:
    page = Page()
    source = source_text(document, say)
    page.heading(1, say.t("Datasheet: {source}", source=source))
    page.note(edition_text(edition, say))
    page.note(
        say.t(DRAWN, id=clean(document.id, 80), date=clean(document.started[:10], 10), digest=clean(document.digest, 64), source=source)
    )
    for title, questions in SECTIONS.items():
        page.heading(2, say.t(title))
        open_ = []
        for question, ask in questions:
            answer = ask(document, say) if ask else Answer()
            if not answer.lines:
                open_.append(say.t(question))
                continue
            page.heading(3, say.t(question))
            page.items(answer.lines)
            show(page, document, answer.tables, say, most)
        if open_:
            page.heading(3, say.t(OPEN))
            page.items(open_)
    page.heading(2, say.t("Digests (SHA-256) and dates"))
    facts(page, about_digests(document, say), say)
    return str(page)


def draw(document: AuditResult, lang: str, edition: str) -> bytes:
    """The datasheet of a document that holds no more than this edition may show."""
    say = Speaker(lang)
    return within((sheet(document, say, edition, most) for most in MOST), MOST_BYTES)
