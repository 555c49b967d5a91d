"""The document of a framework as a paper: what it is, where each control stands, each control with what answers it, the evidence, the law's dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from reports.blocks import Block, Heading, Items, Note, Paper, Paragraph, Runs, Table, plain, runs, stored_runs
from reports.obligations import colorado, ll144, validation
from reports.obligations.catalogue import Framework
from reports.obligations.dossier import Dossier, attested_text, backing_text
from reports.obligations.evidence import Ref
from reports.obligations.facts import FACTS, fact
from reports.obligations.layouts import Part
from reports.obligations.statements import LOOKS, Statement, tally
from reports.obligations.timing import Timing, timing_text
from reports.said import Said, figure, quoted
from reports.sentences import capital, sentence
from reports.speaker import clean, mark
from reports.states import state_of, state_of_audit
from reports.view import anchor, answered_text, not_shown, unstated
from reports.words import LOOKS as VERDICTS

MOST_FINDINGS = 8
FORCE = {
    "binding": mark("binding"), "binding_future": mark("binding, not in force yet"), "binding_trial": mark("binding, on trial"),
    "binding_plus_standard": mark("binding, with a standard"), "binding_federal_institutions": mark("binding for federal institutions"),
    "guideline_in_flux": mark("guideline whose future is open"), "supervisory_guidance": mark("supervisory guidance"), "guidance": mark("guidance"),
    "voluntary": mark("voluntary"), "voluntary_certifiable": mark("voluntary, can be certified"), "practice": mark("good practice"),
}  # fmt: skip
CONFIDENCE = {
    "high": mark("high: the text itself was read, or a faithful copy"), "medium": mark("medium: secondary sources that agree"),
    "low": mark("low: general knowledge; check it before you rely on it"),
}  # fmt: skip
#: What counts for a control that asks for less than a result.
ASKS = {
    "measurement": mark("It asks that this be measured and reported; that is what counts here, whatever came of it."),
    "record": mark("It asks that this be written down; that is what counts here, whatever it says."),
}

#: Documents that a law gives a form of their own; inside, the controls follow it.
FORMS: dict[str, Callable[[Dossier], list[Block]]] = {"nycll144": ll144.summary}
#: Documents whose controls stand in parts of a rule's own order.
LAYOUTS: dict[str, Callable[[Dossier], list[Part]]] = {"sr26": validation.parts, "coadmt": colorado.parts}


def paper(d: Dossier) -> Paper:
    """The whole document. Where a law gives it a form, the public edition holds that and nothing else."""
    form = FORMS.get(d.framework.id)
    blocks: list[Block] = [Heading(1, d.law(title(d))), *warnings(d)]
    if form is not None:
        blocks += form(d)
    if form is None or d.edition == "internal":
        blocks += [about(d), *overview(d), *items(d), *evidence(d), *dates(d), *limits(d)]
    about_itself = ("framework", d.say.lang, d.edition, d.document.digest, d.framework.id, d.as_of.isoformat())
    return Paper(title(d), d.say.lang, d.document.started[:10], band(d), blocks, about_itself)


def title(d: Dossier) -> str:
    name = clean(d.document.model.name or d.document.model.uri, 120)
    return d.say.t("{framework}: {model}", framework=clean(d.framework.called(d.say.lang)), model=name)


def band(d: Dossier) -> tuple[str, str]:
    say = d.say
    state = (
        say.t("DRAFT until a named person has attested it") if d.draft else say.t("Attested by {name}", name=clean(d.whole[-1].name, 120))
    )
    if d.edition == "public" and d.framework.id in FORMS:
        return ("Witnessmark", say.pair(state, say.t("for publication, with every category that the law asks for")))
    inside = (
        say.t("Confidential: internal edition, with small groups")
        if d.edition == "internal"
        else say.t("Public edition: small groups withheld")
    )
    return ("Witnessmark", f"{state} · {inside}")


def warnings(d: Dossier) -> list[Block]:
    """What nobody may overlook: that it is a draft, that it is not shown to apply, that the day lies outside what is known."""
    say, found = d.say, list[Block]()
    if d.draft:
        found.append(
            Note(
                runs(
                    say, "Draft, made by a program from measurements. It becomes a document when a named person has read and attested it."
                ),
                alert=True,
            )
        )
    found += [Note(attested_text(d.say, a)) for a in d.whole]
    if not d.shown_to_apply:
        found.append(
            Note(
                runs(
                    say,
                    "Not shown to apply: the declared domain and jurisdictions do not call for this framework; it is shown all the same.",
                ),
                alert=True,
            )
        )
    if d.as_of > d.framework.verified_on:
        found.append(
            Note(
                runs(
                    say,
                    "The law was last looked up on {date}; what changed later is not in here.",
                    date=d.law(str(d.framework.verified_on)),
                )
            )
        )
    found.append(
        Note(runs(say, "Evidence that supports a control does not make the system lawful, certified or free of faults, and this document never says so. It is no legal advice; texts of the law are paraphrased."))
    )  # fmt: skip
    found.append(
        Note(runs(say, "Some controls ask only that something be measured or written down: that it was is what supports them, and a result that fails is named beside it. It does not make the result good."))
    )  # fmt: skip
    return found


def about(d: Dossier) -> Table:
    """What was audited, and what it is held against."""
    say, document, framework = d.say, d.document, d.framework
    rows: list[tuple[Runs, ...]] = [
        (plain(capital(say.t("model"))), (quoted(document.model.name or document.model.uri, "model.name"),)),
        (plain(capital(say.t("model version"))), (quoted(document.model.version or "–", "model.version"),)),
        (plain(capital(say.t("source of the data"))), fact(document, "data.source", say) or plain("–")),
        (plain(capital(say.t("rows"))), (figure(document.data.rows, "count", "data.rows"),)),
        (plain(capital(say.t("date of the audit"))), (quoted(document.started[:10], "started"),)),
        (plain(say.t("Verdict of the audit")), (Said(say.t("{name} ({kind})", name=say.t(VERDICTS[state_of_audit(document)].word), kind=answered_text(document, say)), "verdict + answered.decides + answered"),)),
        (plain(say.t("SHA-256 of the document")), (quoted(document.digest, "digest"),)),
        (plain(say.t("Jurisdiction")), (d.law(framework.jurisdiction),)),
        (plain(say.t("Legal force")), plain(say.t(FORCE[framework.legal_force]))),
        (plain(say.t("Version")), (d.law(framework.version),)),
        (plain(say.t("Law as of")), (d.law(f"{d.as_of.isoformat()}"),)),
        (plain(say.t("How well the text is known")), plain(say.t(CONFIDENCE[framework.confidence]))),
    ]  # fmt: skip
    if when := timing_text(common(d), d.as_of, say):
        rows.append((plain(say.t("Timing")), (d.law(when),)))
    return Table(tuple(rows))


def common(d: Dossier) -> Timing:
    """When most of the controls apply: said once, at the head."""
    return Counter(s.timing for s in d.statements).most_common(1)[0][0]


def overview(d: Dossier) -> list[Block]:
    """How many controls stand where, and each with its state."""
    say, counts = d.say, tally(d.statements)
    rows = tuple((LOOKS[state], (d.count(n, state),)) for state, n in counts.items())
    lines = tuple(
        ((d.law(s.control.section, s.control.id),), (d.law(s.control.called(say.lang), s.control.id),), LOOKS[s.state])
        for s in d.statements
    )
    return [
        Heading(2, Said(say.t("Where it stands")), "overview"),
        Table(rows, (Said(say.t("State")), Said(say.t("Controls"))), (False, True)),
        Note(runs(say, "What only a person can say is stated with: python -m reports.attest AUDIT_DIR --control ID --by NAME --role ROLE --statement TEXT")),
        Note(runs(say, "A gap: nobody measured or stated it. Inconclusive: measured, and open, or without a limit, or without the word of a person that it needs as well. It is no score: controls do not weigh alike.")),
        Table(lines, (Said(say.t("Section")), Said(say.t("What is asked")), Said(say.t("State"))), (False, False, False)),
    ]  # fmt: skip


def items(d: Dossier) -> list[Block]:
    """Every control with what answers it; in parts where the rule has an order of its own."""
    if layout := LAYOUTS.get(d.framework.id):
        return [block for number, part in enumerate(layout(d), 1) for block in _part(d, number, part)]
    blocks: list[Block] = [Heading(2, Said(d.say.t("Item by item")), "items")]
    for statement in d.statements:
        blocks += item(d, statement)
    return blocks


def _part(d: Dossier, number: int, part: Part) -> list[Block]:
    """A part by its number, then each control that it answers."""
    own = {s.control.id: s for s in d.statements}
    heading = Heading(2, Said(f"{number}. {part.title}"), f"part-{number}")
    return [heading, *part.blocks, *(block for id_ in part.controls for block in item(d, own[id_], facts=False))]


def item(d: Dossier, s: Statement, *, facts: bool = True) -> list[Block]:
    """One control: what is asked, where it stands, what answers it; `facts` are left out where they stand above already."""
    say, c = d.say, s.control
    when = timing_text(s.timing, d.as_of, say) if s.timing != common(d) else ""
    name = Said(clean(say.pair(c.section, c.called(say.lang))), f"law:{c.id}")
    blocks: list[Block] = [
        Heading(3, name, "control-" + c.id),
        Paragraph((d.law(when, c.id),) if when else (), look=LOOKS[s.state]),
        Paragraph((d.law(c.required(say.lang), c.id),), lead=Said(say.t("Asked for"))),
    ]
    if c.asks in ASKS and s.backings:
        blocks.append(Note(runs(say, ASKS[c.asks])))
    if c.confidence is not None and c.confidence != "high":
        blocks.append(Note((Said(say.pair(say.t("How well the text is known"), say.t(CONFIDENCE[c.confidence]))),)))
    declared = [(name, fact(d.document, name, say)) for name in c.facts if facts]
    if declared:
        rows = tuple((plain(capital(say.t(FACTS[name]))), said or plain(say.t("not stated: a gap"))) for name, said in declared)
        blocks.append(Table(rows))
    told = [(*backing_text(d, b), *_checks(d, b.refs)) for b in s.backings]
    if "human_attestation" in c.evidence and not s.attested:
        told.append(runs(say, "What a named person has to state: nobody has ({id}).", id=d.law(c.id, c.id)))
    if told:
        blocks.append(Items(tuple(told)))
    return [*blocks, *(Note(attested_text(d.say, a)) for a in (*s.attested, *s.other))]


def _checks(d: Dossier, refs: tuple[Ref, ...]) -> Runs:
    """The checks behind a sentence, by name, each with its verdict."""
    named = []
    for i, check in enumerate(d.document.checks):
        ref = next((r for r in refs if r.check == check.info.id), None)
        if ref is not None and check.status == "completed":
            look = VERDICTS[ref.look]
            named.append(Said(f"{look.sign} {d.say.stored(check.info.title, None)}", f"checks[{i}].info.title"))
    if not named:
        return ()
    joiner = "、" if d.say.lang == "zh" else "; "
    parts: list[Said] = [Said("（" if d.say.lang == "zh" else " (")]
    for i, one in enumerate(named):
        parts += [Said(joiner), one] if i else [one]
    return (*parts, Said("）" if d.say.lang == "zh" else ")"))


def evidence(d: Dossier) -> list[Block]:
    """Each check that some statement rests on: its sentence, and the findings that were judged."""
    say = d.say
    used = {ref.check for s in d.statements for b in s.backings for ref in b.refs if ref.check}
    blocks: list[Block] = [Heading(2, Said(say.t("The evidence")), "evidence")]
    for i, check in enumerate(d.document.checks):
        if check.info.id not in used or check.status != "completed":
            continue
        at = f"checks[{i}]"
        blocks.append(Heading(3, Said(say.stored(check.info.title, None), f"{at}.info.title"), anchor(check.info.id)))
        if check.rejected:
            blocks.append(Note(stored_runs(say, check.rejected, check.rejected_msg, f"{at}.rejected"), alert=True))
        blocks.append(Paragraph(stored_runs(say, check.summary, check.summary_msg, f"{at}.summary"), look=VERDICTS[state_of(check)]))
        judged = [(j, f) for j, f in enumerate(check.findings) if f.verdict != "not_judged" and not check.rejected]
        judged.sort(key=lambda row: VERDICTS[row[1].verdict].rank)
        if judged:
            shown = tuple(
                (Said(f"{VERDICTS[f.verdict].sign} "), Said(sentence(f, say), f"{at}.findings[{j}].sentence"))
                for j, f in judged[:MOST_FINDINGS]
            )
            blocks.append(Items(shown))
        if len(judged) > MOST_FINDINGS:
            blocks.append(
                Note(
                    runs(
                        say,
                        "{n} more findings are in audit.json.",
                        n=Said(str(len(judged) - MOST_FINDINGS), f"{at}.findings", numeric=True),
                    )
                )
            )
    if len(blocks) == 1:
        blocks.append(Paragraph(runs(say, "No check of this audit speaks of these controls.")))
    return blocks


def dates(d: Dossier) -> list[Block]:
    """What the law's text rests on: amendments, open points, sources."""
    say, framework = d.say, d.framework
    blocks: list[Block] = [Heading(2, Said(say.t("The law, its dates and what is uncertain")), "law")]
    changes = [_amendment(d, framework, i) for i in range(len(framework.amendments))]
    opened = [(d.law(point.said(say.lang)),) for point in framework.open_points]
    if changes or opened:
        blocks.append(Items((*changes, *opened)))
    blocks.append(
        Note(runs(say, "Read: {how}. Looked up on {date}.", how=d.law(framework.verified), date=d.law(str(framework.verified_on))))
    )
    return blocks


def _amendment(d: Dossier, framework: Framework, place: int) -> Runs:
    change = framework.amendments[place]
    said = {"date": d.law(str(change.since)), "source": d.law(change.by), "text": d.law(change.text.said(d.say.lang))}
    if change.since > d.as_of:
        return runs(d.say, "Changes on {date}, by {source}: {text}", **said)
    return runs(d.say, "Changed on {date}, by {source}: {text}", **said)


def limits(d: Dossier) -> list[Block]:
    """What the audit does not show, and what nobody declared."""
    say, lines = d.say, [(line,) for line in not_shown(d.document, d.say)]
    missing = unstated(d.document, say)
    if missing:
        lines.append((Said(say.t("Not stated by those who asked for it: {names}.", names=missing), "context"),))
    return [Heading(2, Said(say.t("What this audit does not show")), "limits"), Items(tuple(lines))]
