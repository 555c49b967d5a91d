"""What if: values typed in, the model's answer at once, and then what made it, what would change it and the reasons, as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import streamlit as st

from audit.columns import ColumnRule
from audit.explain.document import Document, Explanation, Input
from audit.result import AuditResult
from dashboard import access, conversation, show
from dashboard.conversation import Answer, Conversation
from dashboard.inputs import Form, Json, Value
from dashboard.store import Entry
from reports.parted import drawings
from reports.person import Page
from reports.sections import Section
from reports.showing import picture, shares
from reports.speaker import Speaker, clean, mark, number
from reports.words import LOOKS

GIVEN = ("number", "category", "datetime", "text", "image", "sequence")  # kinds of inputs that can be given
VALID = timedelta(days=365)  # as a page for a person
#: Seconds that a page waits for the decision, and how often it looks for the rest.
AT_ONCE, AGAIN = 0.35, 0.4
#: What never took less than this is asked only when somebody wants it.
SLOW = 4.0
#: Why a conversation ended.
ENDED = {
    "error": mark("The model cannot be asked: {words}"),
    "start": mark("The model was not ready after {words} seconds, and its process was ended."),
    "answer": mark("The model gave no answer within {words} seconds, and its process was ended."),
    "idle": mark("Nobody asked the model for ten minutes, so it was put away."),
    "room": mark("Other models needed the room, so this one was put away."),
    "put away": mark("The model was put away."),
    "died": mark("The model's process ended by itself (status {words})."),
}
PARTS = {
    "explain": mark("How much each input counted"), "recourse": mark("What would change the decision"), "reasons": mark("The principal reasons"),
}  # fmt: skip
NO_ROWS = mark(
    "The plan of this audit shows no single rows, so none can be picked here: the fields begin in the middle of the data, and you type in the row that you ask about."
)

NOBODYS = mark(
    "The picture that stands here first is nobody's: the mean of the sampled pictures where at least a hundred are known, else even grey. A model answers to it as to any other; put your own in its place."
)


def whatif(entry: Entry, document: AuditResult, ranking: Sequence[str], rows: bool, say: Speaker) -> None:
    """The whole section; `ranking` are the inputs that move answers most, first, and `rows` says whether single rows may be shown."""
    if (why := _impossible(document, rows, say)) is not None:
        show.plain(why)
        return
    place = f"talk-{entry.key}"
    talk: Conversation | None = st.session_state.get(place)
    if talk is None:
        show.plain(
            say.t("Type in a row, change a value and see what the model answers, what its answer is made of, and what would change it.")
        )
        show.plain(say.t("The model runs in a confined process of its own, which ends when nobody asks for ten minutes."))
        _begin(place, entry, document, say.t("Load the model"), say)
    elif talk.look() == "loading":
        _loading(talk, say)
    elif talk.state == "ended":
        _ended(talk, document, say)
        _begin(place, entry, document, say.t("Load the model again"), say)
    else:
        _asked(talk, entry, document, ranking, rows, say)


def _impossible(document: AuditResult, rows: bool, say: Speaker) -> str | None:
    """Why no question can be asked of this audit's model."""
    if document.model.uri == "predictions":
        return say.t("This audit judged predictions without a model, so there is nothing to ask.")
    other = [f.name for f in document.model.features if f.kind not in GIVEN]
    if not document.model.features:
        return say.t("This audit knows of no inputs of the model, so there is nothing to ask about.")
    if other and not rows:
        return say.t(
            "An input of this model is a recording ({names}), which comes from a row of the data, and this audit shows no single rows. What was found over many rows stands under the other headings.",
            names=[clean(n, 60) for n in other[:5]],
        )
    return None


def _begin(place: str, entry: Entry, document: AuditResult, label: str, say: Speaker) -> None:
    """A button that starts the model's process, for who may run things."""
    if not access.may("run"):
        show.plain(say.t("Your role does not start models; ask somebody who may run audits here."))
    elif st.button(label):
        access.record("loaded", audit=entry.key, model=document.model.uri)
        st.session_state[place] = conversation.begin(entry, document)
        st.rerun()


@st.fragment(run_every=AGAIN)
def _loading(talk: Conversation, say: Speaker) -> None:
    """How long it has been loading; the page is shown again when it is ready."""
    if talk.look() != "loading":
        st.rerun()
    show.plain(say.t("Loading the model and scoring the rows that answers are held against …"))
    if st.button(say.t("Stop")):
        talk.end()
        st.rerun()


def _ended(talk: Conversation, document: AuditResult, say: Speaker) -> None:
    kind, words = talk.why
    with st.container(border=True):
        show.plain(say.t(ENDED[kind], words=clean(words, 400)))
        if "--trust-pickle" in words:
            show.plain(
                say.t(
                    "This page never loads a model that runs code. Who trusts its author asks on the command line: python -m audit.explain {uri} --row 0 --trust-pickle",
                    uri=clean(document.model.uri, 200),
                )
            )


def _same(talk: Conversation, document: AuditResult, say: Speaker) -> None:
    """Whether it is the audited model, beside the audited data, that answers."""
    for name, then in (("model_sha256", document.model.sha256), ("data_sha256", document.data.sha256)):
        now = talk.ready.get(name)
        if now != then:
            with st.container(border=True):
                show.flag(LOOKS["inconclusive"], say)
                show.plain(
                    say.t("The model at this address is not the one that was audited: what follows is about another model.")
                    if name == "model_sha256"
                    else say.t("The data are not those of the audit: what follows is held against other rows.")
                )


@st.fragment
def _asked(talk: Conversation, entry: Entry, document: AuditResult, ranking: Sequence[str], rows: bool, say: Speaker) -> None:
    """Fields at the left, answers at the right; the decision above both."""
    if talk.look() != "ready":
        st.rerun()
    _same(talk, document, say)
    form = Form(f"whatif-{entry.key}", talk.ready["inputs"], _rules(talk), say)
    if rows:
        _pick(talk, form, entry.key, say)
    else:
        show.plain(say.t(NO_ROWS))
    if f"{form.key}-of" not in st.session_state and any(f["kind"] == "image" and f["given"] for f in talk.ready["inputs"]):
        show.plain(say.t(NOBODYS))
    above = st.container(border=True)
    left, right = st.columns([2, 3], gap="large")
    with left:
        st.subheader(say.t("The row"))
        st.button(say.t("Back to the start"), on_click=form.put, args=(_start(form),), key=f"{form.key}-back")
        values = form.draw(ranking)
    asked = _question(form, values)
    with above:
        if blank := form.blank(asked.values):
            show.plain(say.t("Write a text to see what the model answers: {names}.", names=[clean(n, 60) for n in blank]))
            return
        _decision(talk, form, asked, say)
    with right:
        _parts(talk, asked, say)


def _rules(talk: Conversation) -> dict[str, ColumnRule]:
    """What is declared of the columns."""
    return {name: ColumnRule.model_validate(rule) for name, rule in talk.ready["columns"].items()}


@dataclass(frozen=True)
class Question:
    """What is asked about: all values, or a row of the data and what is changed of it, so that an untouched row is asked about as it is."""

    values: dict[str, Value]
    row: int | None = None

    def ask(self, talk: Conversation, op: str, wait: float = 0.0) -> Answer | None:
        return talk.ask(op, self.values, self.row, wait=wait)

    def known(self, talk: Conversation, op: str) -> Answer | None:
        return talk.known(op, self.values, self.row)


def _question(form: Form, values: dict[str, Value]) -> Question:
    row: int | None = st.session_state.get(f"{form.key}-of")
    begun = _start(form)
    return Question(values) if row is None else Question({n: v for n, v in values.items() if v != begun.get(n)}, row)


def _start(form: Form) -> dict[str, Value]:
    """The values from which changes are counted: those of the picked row, else the middle of the data."""
    found: dict[str, Value] = st.session_state.get(f"{form.key}-from", form.start)
    return found


def _pick(talk: Conversation, form: Form, audit: str, say: Speaker) -> None:
    """A row of the data, where the plan allows single rows."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = st.number_input(
            say.t("Row of the data, counted from 0"), 0, int(talk.ready["rows"]) - 1, step=1, key=f"{form.key}-row", width=240
        )
        wanted = st.button(say.t("Take this row"), key=f"{form.key}-take")
    if wanted:
        access.record("row", audit=audit, row=int(row))
        found = talk.ask("predict", {}, int(row), wait=5.0)
        if found is None or found.result is None:
            show.plain(say.t("This row has not come yet: take it again.") if found is None else say.t("This row could not be read."))
            return
        values: dict[str, Value] = {i["column"]: i["value"] for i in found.result["inputs"]}
        st.session_state[f"{form.key}-from"], st.session_state[f"{form.key}-of"] = values, int(row)
        form.put(values)


def explained(talk: Conversation, result: Json) -> Document:
    """The document that an answer gives, as `audit.explain` writes it."""
    now, ready = datetime.now(UTC), talk.ready
    about = {key: ready[key] for key in ("model", "name", "version", "model_sha256", "data", "data_sha256")}
    return Document.model_validate(
        result
        | {
            "id": "what-if", "made": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "valid_until": (now + VALID).strftime("%Y-%m-%d"), "seed": ready["seed"],
            "subject": about | result["subject"], "glossary": ready["columns"], "context": ready["context"], "target": ready["target"],
        }
    )  # fmt: skip


# --- answers ------------------------------------------------------------------------------------------------------------------------------


def _refused(answer: Answer, say: Speaker) -> None:
    show.plain(say.t("The model gave no answer to these values: {error}", error=clean(f"{answer.error} — {answer.mend}", 400)))


def _decision(talk: Conversation, form: Form, asked: Question, say: Speaker) -> None:
    """Decision and score, beside those of the start."""
    answer = asked.ask(talk, "predict", AT_ONCE)
    if answer is None:
        show.plain(say.t("Asking the model …"))
        return
    if answer.result is None:
        _refused(answer, say)
        return
    page = Page(explained(talk, answer.result), say.lang)
    show.title(page.title(), 2)
    for line in page.lead():
        show.plain(line)
    start = _question(form, _start(form))
    changed = [name for name, value in asked.values.items() if value != _start(form).get(name)]
    before = start.ask(talk, "predict", AT_ONCE) if changed and not form.blank(start.values) else None
    if before is not None and before.result is not None:
        old = Page(explained(talk, before.result), say.lang)
        score = old.d.decision.score
        told = old.label(old.d.decision.label) + ("" if score is None else f" · {shares(score, least=2)[0]}")
        show.plain(say.t("Before your changes: {told}", told=told))
        show.plain(say.t("Changed: {names}", names=[old.called(n) for n in changed]))
    for line in page.notes():
        show.plain(line)
    _pictures([i for i in page.d.inputs if picture(i)], page, say.t("as the model gets it"), say)


def _pictures(inputs: Sequence[Input], page: Page, how: str, say: Speaker) -> None:
    """Pictures as the command wrote them: none is decoded here that came from elsewhere."""
    for own in inputs:
        st.image(picture(own), caption=show.escaped(say.pair(page.called(own.column), how)), width=220)


def _parts(talk: Conversation, asked: Question, say: Speaker) -> None:
    """What stands behind the decision; looked for again and again until everything wanted is there."""
    if _complete(talk, asked):
        _behind(talk, asked, say)
    else:
        _coming(talk, asked, say)


@st.fragment(run_every=AGAIN)
def _coming(talk: Conversation, asked: Question, say: Speaker) -> None:
    if talk.look() == "ready":
        _behind(talk, asked, say)
    if talk.state != "ready" or _complete(talk, asked):
        st.rerun()


def _wanted(talk: Conversation) -> list[str]:
    """What is asked unbidden: what was quick before, or was asked for by a button."""
    return [op for op in PARTS if talk.took.get(op, 0.0) <= SLOW or op == st.session_state.get("whatif-bidden")]


def _complete(talk: Conversation, asked: Question) -> bool:
    """Whether nothing more is expected for these values."""
    decided = asked.known(talk, "predict")
    return decided is not None and (decided.result is None or all(asked.known(talk, op) for op in _wanted(talk)))


def _behind(talk: Conversation, asked: Question, say: Speaker) -> None:
    """Each part that has come; the next one is asked when the one before it is there, so that a changed value never waits for many."""
    decided = asked.ask(talk, "predict")
    if decided is None or decided.result is None:
        return
    wanted = _wanted(talk)
    for op, title in PARTS.items():
        st.subheader(say.t(title))
        found = asked.known(talk, op)
        if found is None and op in wanted and not talk.busy:
            asked.ask(talk, op)
        if found is not None:
            _part(op, talk, found, say)
        elif op in wanted:
            show.plain(say.t("Asking the model …"))
        elif st.button(say.t("Ask for this (it took {seconds:count} s)", seconds=round(talk.took[op])), key=f"whatif-bid-{op}"):
            st.session_state["whatif-bidden"] = op
            st.rerun()


def _part(op: str, talk: Conversation, answer: Answer, say: Speaker) -> None:
    if answer.result is None:
        _refused(answer, say)
        return
    page = Page(explained(talk, answer.result), say.lang)
    if op == "explain":
        for place, e in enumerate([page.d.explanation, *page.d.also]):
            _made(page, e, f"whatif-chart-{place}", say)
        return
    section = page.why() if op == "reasons" else page.ways() or page.without()
    if section is not None:
        _section(section, f"whatif-{op}", say)
    if op == "recourse" and page.d.removal is not None:
        _pictures([i for i in page.d.removal.after if picture(i)], page, say.t("without what was taken away"), say)


def _made(page: Page, e: Explanation | None, key: str, say: Speaker) -> None:
    """What each input added, with the tests that this passed or failed beside it."""
    made = page.made() if e is None else page.counted(e)
    if made.alert:
        show.plain(made.alert)
    if e is not None:
        for place, chart in enumerate(drawings(page, e)):
            show.chart(chart, f"{key}-{place}", struck=e.rejected)
        for gate in e.gates:
            measured, allowed = number(gate.value, "percent"), number(gate.limit, "percent")
            what = say.t("{what}: {value} (at most {limit})", what=page.measured(e, gate), value=measured, limit=allowed)
            show.flagged(LOOKS["pass" if gate.passed else "rejected"], what, say)
    for line in made.notes:
        show.plain(line)


def _section(section: Section, key: str, say: Speaker) -> None:
    """A section of the page for a person."""
    if section.alert:
        with st.container(border=True):
            show.flag(LOOKS["rejected"], say)
            show.plain(section.alert)
    for place, item in enumerate(section.items, 1):
        if section.rejected:
            show.struck(f"{place}. {item['label']}")
        else:
            show.title(f"{place}. {item['label']}")
            show.plain(item["detail"])
    for line in section.lines:
        show.plain(line)
    for item in (i for i in section.after if not i["picture"]):
        show.title(item["label"])
        show.plain(item["detail"])
    for i, table in enumerate(section.tables):
        show.title(table["caption"])
        heads = [show.Head(say.t("What")), show.Head(say.t("Now"), True), show.Head(say.t("Would have to be"), True)]
        show.table(heads, [[row["what"], row["before"], row["after"]] for row in table["rows"]], f"{key}-{i}")
        show.plain(table["note"])
    for line in section.notes:
        show.plain(line)
