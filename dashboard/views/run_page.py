"""Run: what is audited, its plan and its cost before it starts, and every run with how far it is. The audit is the command, in a process of its own."""

import shlex
from pathlib import Path

import streamlit as st

from audit.cohorts.named import Cohort
from audit.errors import AuditError
from audit.result import AuditResult
from dashboard import access, choosing, naming, picking, runs, show
from dashboard.asking import ASKED, DATA, MORE, TRUST, CannotAskError, Field, Value, outside, words
from dashboard.costs import Preview, RefusedError, before, preview
from dashboard.store import Entry, Source, document_at, entry_of
from reports.formats import FORMATS
from reports.obligations.catalogue import built_in
from reports.speaker import Speaker, clean, mark
from reports.words import LOOKS, Look

STATES = {
    "running": Look(mark("Running"), "▶", "reported", 0),
    "finished": Look(mark("Completed"), "■", "reported", 4),
    "interrupted": Look(mark("Interrupted"), "?", "inconclusive", 1),
    "refused": Look(mark("Refused"), "✕", "fail", 2),
    "stopped": Look(mark("Ended before anything was finished"), "–", "skipped", 3),
    "gone": Look(mark("Its folder is no longer there"), "–", "skipped", 5),
}
#: What the command does beside checks, in the words of a page.
STEPS = {
    "model": mark("finding the model"), "data": mark("reading the data"), "history": mark("asking the store what it knows of these data"),
    "load": mark("loading the model"), "score": mark("scoring the rows"), "judge": mark("judging"), "MLflow": mark("logging to MLflow"),
    "documents of frameworks": mark("writing the documents"),
}  # fmt: skip
MOST = 50  # runs that are listed
ROOT = Path.cwd()


@st.cache_data(max_entries=50, show_spinner=False)
def finished(folder: str, stamp: int) -> Entry:
    """The audit that a run became."""
    path = Path(folder)
    return entry_of(document_at(path), Source(folder, str(stamp), folder=path), signed=False)


def drawn(field: Field, say: Speaker) -> Value:
    """The widget of an option, and what was put into it."""
    label, key = say.t(field.label), f"run-{field.option}"
    if field.kind == "flag":
        return bool(st.checkbox(label, key=key))
    if field.kind == "choice":
        chosen = st.selectbox(label, field.options, index=None, key=key, placeholder=say.t("as the model or the plan says"))
        return str(chosen) if chosen else None
    if field.kind == "number":
        number = st.number_input(label, min_value=0, max_value=10**9, value=None, step=1, key=key, placeholder=say.t("as the plan says"))
        return None if number is None else int(number)
    if field.kind == "each":
        return list(st.multiselect(label, choices(field.option), key=key, placeholder=say.t("Choose")))
    return str(st.text_input(label, key=key))


def choices(option: str) -> list[str]:
    """What an option with several values offers."""
    return sorted(built_in()) if option == "framework" else [name for name in FORMATS if name != "html"]


def spread(fields: tuple[Field, ...], say: Speaker) -> dict[str, Value]:
    """Options in two columns."""
    values: dict[str, Value] = {}
    for start in range(0, len(fields), 2):
        for column, field in zip(st.columns(2), fields[start : start + 2], strict=False):
            with column:
                values[field.option] = drawn(field, say)
    return values


def registered(say: Speaker) -> None:
    """The models that are known, to choose one's address."""
    found = show.found_audits()
    known = [f"models:/{v.name}/{v.version}" for v in found.unaudited] + [e.head.model.uri for e in found.entries]
    offered = [uri for uri in dict.fromkeys(known) if uri.isprintable() and uri != "predictions"]
    if not offered:
        return

    def take() -> None:
        st.session_state["model"] = st.session_state["run-registered"] or st.session_state.get("model", "")

    st.selectbox(
        say.t("Known models"), offered, index=None, key="run-registered", on_change=take, placeholder=say.t("Choose"),
        format_func=lambda uri: clean(uri, 120),
    )  # fmt: skip


def filled(say: Speaker) -> None:
    """The form as an audit was asked for, once, where a link from that audit's pages leads here."""
    key = st.query_params.get("like", "")
    entry = next((e for e in show.found_audits().entries if e.key == key), None)
    if entry is None:
        return
    if st.session_state.get("run.like") != key:
        document = picking.read(entry, say)
        if document is None:
            return
        fill(document)
        st.session_state["run.like"] = key
    show.plain(say.t("The form is filled as {audit} was asked for.", audit=picking.name(entry)))


def fill(document: AuditResult) -> None:
    """What an audit was asked for, into the fields of the form."""
    values = naming.as_in(document)
    for field in (*DATA, *ASKED, *MORE):
        value = values.get(field.option)
        empty: Value = False if field.kind == "flag" else None if field.kind in ("choice", "number") else [] if field.kind == "each" else ""
        st.session_state[f"run-{field.option}"] = empty if value is None else value
    st.session_state["model"] = document.model.uri


def cohorts(say: Speaker) -> list[Cohort]:
    """The saved cohorts that the audit is to speak of by name."""
    by_name = {c.name: c for c in choosing.saved(say)}
    if not by_name:
        return []
    came = st.query_params.get("cohort", "")
    if came in by_name and st.session_state.get("run.cohort") != came:
        st.session_state["run.cohort"], st.session_state["run-cohorts"] = came, [came]
    names = st.multiselect(
        say.t("Saved cohorts that the audit names, as slices of its plan"), list(by_name), key="run-cohorts", format_func=lambda n: clean(n, 80),
        placeholder=say.t("Choose"),
    )  # fmt: skip
    return [by_name[name] for name in names]


def asked(say: Speaker) -> None:
    """The form; sending it shows the plan, and starts nothing."""
    registered(say)
    filled(say)
    with st.form("run", border=False):
        model = st.text_input(
            say.t("Model: models:/NAME/VERSION, runs:/ID/PATH, a folder, demo:PRESET, the address of an endpoint, or predictions"),
            key="model",
            bind="query-params",
        )
        show.plain(say.t("Paths are those of the machine that serves this page, from {folder}.", folder=str(ROOT)))
        values = spread(DATA, say)
        with st.expander(say.t("What is asked, and what is written")):
            values |= spread(ASKED, say)
            named = cohorts(say)
        with st.expander(say.t("More about the data")):
            values |= spread(MORE, say)
        if access.may("attest"):
            values[TRUST.option] = drawn(TRUST, say)
        sent = st.form_submit_button(say.t("Show the plan and its cost"))
    if sent:
        resolve(model, values, named, say)


def resolve(model: str, values: dict[str, Value], named: list[Cohort], say: Speaker) -> None:
    """The plan of what was sent, kept for this visit; why there is none is said."""
    st.session_state.pop("run.ready", None)
    try:
        given = words(model, values)
        strange = None if access.login_is_on() is False else outside(model, values, [ROOT, naming.folder()])
        if strange is not None:
            show.plain(say.t("{path} lies outside the folder that this server audits.", path=strange))
            return
        if named:  # written only now that nothing else is wrong
            given = words(model, values | {"plan": naming.plan_with(str(values.get("plan") or ""), named, ROOT)})
        with st.spinner(say.t("Resolving the plan …")):
            st.session_state["run.ready"] = (given, model.strip(), preview(given, ROOT))
    except CannotAskError as refusal:
        show.plain(say.t(str(refusal)))
    except RefusedError as refusal:
        with st.container(border=True):
            show.flag(STATES["refused"], say)
            show.plain(clean(refusal, 1000))


def ready(say: Speaker) -> None:
    """The resolved plan, what it will cost, and the button that starts it."""
    given, model, plan = st.session_state["run.ready"]
    with st.container(border=True):
        st.subheader(say.t("Before it starts"))
        st.code(shlex.join(["python", "-m", "audit.run", *given]), language=None, wrap_lines=True)
        for line in cost(plan, model, say):
            show.plain(line)
        with st.expander(say.t("The resolved plan")):
            st.code(plan.text, language="toml", height=400)
        if st.button(say.t("Start the audit")):
            begin(given, model, plan, say)


def cost(plan: Preview, model: str, say: Speaker) -> list[str]:
    """What is known of the price, and no more."""
    lines = [say.t("Checks asked for: {n:count}; one that lacks what it needs is skipped, and says so.", n=len(plan.asked))]
    if plan.probing:
        told = mark(
            "Every row is scored once. Checks that ask the model again, each on at most {rows:count} rows unless it says otherwise: {n:count}."
        )
        lines.append(say.t(told, n=len(plan.probing), rows=plan.sample))
    else:
        lines.append(say.t("Every row is scored once; none of these checks asks the model again."))
    if plan.answers:
        lines.append(
            say.t("The budgets that they state allow {answers:count} answers of the model together; most need fewer.", answers=plan.answers)
        )
    known = before(show.found_audits().entries, model)
    if known is None:
        return [*lines, say.t("No audit of this model is known yet, so no time is foretold.")]
    entry, seconds = known
    told = say.t(
        "The last audit of this model ({date}; {rows:count} rows, perhaps with another plan) took {seconds:count} seconds.",
        date=clean(entry.head.started[:10], 10), rows=entry.head.data.rows, seconds=round(seconds),
    )  # fmt: skip
    return [*lines, told]


def begin(given: list[str], model: str, plan: Preview, say: Speaker) -> None:
    """Start it, recorded before it runs, and show it."""
    person = access.require("run", "start")
    try:
        access.record("ran", words=given)
        run = runs.start(ROOT, given, model, plan.asked, person.id)
    except (OSError, AuditError) as error:
        show.plain(say.t("It could not be started: {error}", error=clean(error, 300)))
        return
    del st.session_state["run.ready"]
    st.session_state["run.new"] = run.id
    st.rerun()


def known_runs(say: Speaker) -> None:
    """The runs of this folder: one opened, all in a table."""
    st.subheader(say.t("Runs"))
    found = runs.of(ROOT)[:MOST]
    if not found:
        show.plain(say.t("No audit was started from this page yet."))
        return
    by_id = {run.id: run for run in found}
    states = {run.id: runs.state(run) for run in found}
    if (new := st.session_state.pop("run.new", None)) in by_id:
        st.session_state["run-shown"] = new
    elif st.session_state.get("run-shown") not in by_id:
        asked_for = st.query_params.get("run", "")
        st.session_state["run-shown"] = asked_for if asked_for in by_id else found[0].id
    with st.container(width=640):
        id_ = st.selectbox(
            say.t("Which run"), list(by_id), key="run-shown",
            format_func=lambda i: " · ".join([when(by_id[i]), clean(by_id[i].model, 60), i[:4]]),
        )  # fmt: skip
    st.query_params["run"] = id_
    with st.container(border=True):
        if states[id_] == "running":
            live(id_, say)
        else:
            ended(by_id[id_], states[id_], say)
    with st.expander(say.t("All runs")):
        heads = [show.Head(say.t(name)) for name in ("Started", "Model", "By whom", "State")]
        rows = [[when(run), clean(run.model, 120), clean(run.who, 80), show.flag_text(STATES[states[run.id]], say)] for run in found]
        show.table(heads, rows, "runs")


def when(run: runs.Run) -> str:
    """When a run was first started, for people."""
    return f"{run.started[:10]} {run.started[11:16]} UTC"


def about(run: runs.Run, say: Speaker) -> None:
    """What was started, when and by whom."""
    show.plain(say.t("Started {time} by {who}.", time=when(run), who=clean(run.who, 80)))
    st.code(shlex.join(["python", "-m", "audit.run", *run.words]), language=None, wrap_lines=True)


def said(run: runs.Run, say: Speaker) -> None:
    """What the command wrote."""
    with st.expander(say.t("What the command wrote")):
        st.code(clean(runs.log_end(run)[-4000:], 4000) or "–", language=None, wrap_lines=True)


@st.fragment(run_every=1.0)
def live(id_: str, say: Speaker) -> None:
    """How far a run is, once a second; the whole page is drawn again when it has ended."""
    run = runs.read(id_)
    if run is None or not runs.alive(run):
        show.look_again()
        st.rerun()
    assert run is not None
    now = runs.reached(run)
    show.flag(STATES["running"], say)
    about(run, say)
    done = say.t("{done:count} of {all:count} checks done or passed over", done=now.behind, all=len(run.asked))
    step = say.t("now: {step}", step=say.t(STEPS[now.step]) if now.step in STEPS else now.step) if now.step else say.t("starting")
    st.progress(now.behind / max(len(run.asked), 1), text=show.escaped(f"{done} · {step}"))
    if now.rows:
        show.plain(now.rows)
    for line in now.failed:
        show.plain(line)
    if run.stopped_by is not None:
        show.plain(say.t("{who} asked it to stop; it ends as soon as it can.", who=clean(run.stopped_by, 80)))
    elif st.button(say.t("Stop")):
        person = access.require("run", "stop")
        try:
            access.record("stopped", run=run.id)
            runs.stop(run, person.id)
        except (OSError, AuditError) as error:
            show.plain(say.t("It could not be stopped: {error}", error=clean(error, 300)))
        else:
            st.rerun()


def ended(run: runs.Run, state: runs.State, say: Speaker) -> None:
    """What became of a run, and what can be done now."""
    show.flag(STATES[state], say)
    about(run, say)
    reason = runs.refused(runs.log_end(run))
    if reason and state in ("refused", "interrupted"):
        show.plain(clean(reason, 1000))
    if run.stopped_by is not None and state != "finished":
        show.plain(say.t("{who} stopped it.", who=clean(run.stopped_by, 80)))
    if state == "finished":
        entry = finished(run.out, (Path(run.out) / "audit.json").stat().st_mtime_ns)
        show.flag(LOOKS[entry.state], say)
        if entry.key not in {e.key for e in show.found_audits().entries}:
            show.look_again()  # it ended while nobody looked at it
        st.page_link("views/audit_page.py", label=say.t("Open the audit"), query_params={"audit": entry.key})
    elif state == "interrupted":
        show.plain(say.t("What it has finished is kept. Going on measures the rest, with the plan that it began with."))
        if st.button(say.t("Go on")):
            go_on(run, say)
    said(run, say)


def go_on(run: runs.Run, say: Speaker) -> None:
    """Resume an interrupted audit."""
    person = access.require("run", "resume")
    try:
        access.record("resumed", run=run.id)
        runs.resume(run, person.id)
    except runs.BusyError:
        show.plain(say.t("It goes on already."))
    except (OSError, AuditError) as error:
        show.plain(say.t("It could not be started: {error}", error=clean(error, 300)))
    else:
        st.rerun()


say = show.speaker()
access.require("run", "run page")
st.header(say.t("Run an audit"))
known_runs(say)
st.subheader(say.t("A new audit"))
asked(say)
if "run.ready" in st.session_state:
    ready(say)
