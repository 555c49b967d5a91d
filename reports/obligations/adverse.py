"""The notice of an adverse credit decision in the United States (12 CFR 1002.9), drawn from `explanation.json` alone; places lead into that file.

It names the principal reasons as they were found, at most four (comment 9(b)(2)-1), and every other thing that the rule asks for; what nobody stated
is a gap. No notice is made where a prohibited basis is among the reasons, or where the explanation behind them failed its tests.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from pydantic import ValidationError

from audit.errors import AuditError
from audit.explain.document import Document
from reports.blocks import Block, Heading, Items, Note, Paper, Paragraph, Runs, Table, plain, runs
from reports.person import Page
from reports.said import Said, quoted
from reports.speaker import Speaker, clean, mark

NAME = "explanation.json"
FRAMEWORK = "regb"
MOST_REASONS = 4
DAYS = 30
MOST_BYTES = 64 * 1024 * 1024
#: 12 CFR 1002.9(b)(1); the wording that the rule itself gives.
ECOA = mark(
    "The federal Equal Credit Opportunity Act prohibits creditors from discriminating against credit applicants on the basis of race, color, religion, national "
    "origin, sex, marital status, age (provided the applicant has the capacity to enter into a binding contract); because all or part of the applicant's income "
    "derives from any public assistance program; or because the applicant has in good faith exercised any right under the Consumer Credit Protection Act. The "
    "federal agency that administers compliance with this law concerning this creditor is:"
)


def load(folder: Path) -> Document:
    """The explanation in a folder that `audit.explain` wrote."""
    path = folder / NAME
    try:
        if path.stat().st_size > MOST_BYTES:
            raise AuditError(f"{path} is larger than {MOST_BYTES:,} bytes", "name the folder that audit.explain wrote")
        return Document.model_validate_json(path.read_bytes())
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}", "name the folder that audit.explain wrote") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise AuditError(f"{path} is no explanation: {where}: {first['msg']}", "name the folder that audit.explain wrote") from None


def refuse(d: Document) -> None:
    """An `AuditError` where no notice may be made of this decision."""
    state = d.reasons.state if d.reasons is not None else "none"
    if d.decision.favourable is not False:
        raise AuditError("the decision is not adverse, or nobody declared which is", "a notice is made of adverse decisions")
    if state == "blocked":
        raise AuditError(
            "prohibited basis among the principal reasons: no notice is issued", "escalate it to somebody who can change the decision"
        )
    if state == "rejected":
        raise AuditError("the explanation behind the reasons failed its tests: no notice is made of it", "a person must state the reasons")


def notice(d: Document, lang: str) -> Paper:
    """The notice: what was decided, by whom, the principal reasons, the applicant's rights, the agency."""
    refuse(d)
    say, page = Speaker(lang), Page(d, lang)
    title = say.t("Notice of action taken on an application for credit")
    blocks: list[Block] = [Heading(1, Said(title))]
    if not d.attested:
        blocks.append(
            Note(runs(say, "Draft. It is not a notice until a named person has checked the reasons and filled the gaps."), alert=True)
        )
    if d.context.get("domain") != "credit":
        blocks.append(Note(runs(say, "Not shown to apply: the declared domain is not credit."), alert=True))
    blocks += [facts(d, page), *reasons(d, page), *rights(d, say)]
    band = say.t("DRAFT until a named person has attested it") if not d.attested else say.t("Attested")
    owner = d.context.get("owner", "")
    return Paper(
        title,
        lang,
        d.made[:10],
        (clean(owner, 120) if owner and owner != "not stated" else "Witnessmark", band),
        blocks,
        ("notice", lang, "internal"),
    )


def stated(d: Document, key: str, say: Speaker) -> Runs:
    """What the context says under this name; a gap where it says nothing."""
    value = d.context.get(key, "")
    return (quoted(value, f"context.{key}"),) if value and value != "not stated" else plain(say.t("not stated: a gap"))


def facts(d: Document, page: Page) -> Table:
    """Who decided what about whom, and until when the notice is due."""
    say, made = page.say, date.fromisoformat(d.made[:10])
    due = runs(say, "{date}, where the application was complete on {made}: {days} days after that day (12 CFR 1002.9(a)(1))",
               date=Said((made + timedelta(days=DAYS)).isoformat(), "made"), made=Said(d.made[:10], "made"), days=Said(str(DAYS), f"law:{FRAMEWORK}.9a1", numeric=True))  # fmt: skip
    rows = (
        (plain(say.t("Creditor")), stated(d, "owner", say)),
        (plain(say.t("Address of the creditor")), stated(d, "address", say)),
        (plain(say.t("Applicant and application")), (quoted(d.id, "id"),)),
        (plain(say.t("Action taken")), (Said(page.label(d.decision.label), "decision.label"),)),
        (plain(say.t("Date")), (quoted(d.made[:10], "made"),)),
        (plain(say.t("The notice is due by")), due),
    )
    return Table(rows)


def reasons(d: Document, page: Page) -> list[Block]:
    """The principal reasons in their order, or the gap."""
    say, found = page.say, d.reasons
    blocks: list[Block] = [Heading(2, Said(say.t("The principal reasons")), "reasons")]
    if found is None or not found.named:
        blocks.append(
            Note(
                runs(
                    say,
                    "No principal reason was found by the program: a gap. A person must state the reasons, or the right to ask for them.",
                ),
                alert=True,
            )
        )
        return blocks
    named = [((Said(page.called(r.factor), f"reasons.methods[0].reasons[{i}].factor"),)) for i, r in enumerate(found.named[:MOST_REASONS])]
    blocks.append(Items(tuple(named), ordered=True))
    if found.open:
        blocks.append(Note(runs(say, "Which reasons come first is not settled by the figures: a person must look at them.")))
    blocks.append(
        Note(
            runs(
                say,
                "They are the inputs that pulled the score down most, against those who just got the other decision. Whether they are said specifically enough is for a person to check: a broad heading is no specific reason.",
            )
        )
    )
    return blocks


def rights(d: Document, say: Speaker) -> list[Block]:
    """What the law has said to every applicant, and what it has said where a report about the applicant was used."""
    return [
        Heading(2, Said(say.t("Notice under the Equal Credit Opportunity Act")), "ecoa"),
        Paragraph((Said(say.t(ECOA), f"law:{FRAMEWORK}.9a2"),)),
        Paragraph(stated(d, "agency", say)),
        Heading(2, Said(say.t("If a credit report or score was used")), "fcra"),
        Items((
            runs(say, "Name, address and telephone number of the agency that made the report, and that it did not take the decision: not known to the audit, a gap."),
            runs(say, "The score, its range, its date and its key factors, at most four, or five where the number of enquiries is one of them: not known to the audit, a gap."),
            runs(say, "The right to a free copy of the report within 60 days, and to dispute what is in it: to be stated."),
        )),
        Heading(2, Said(say.t("Where to write")), "contact"),
        Paragraph(stated(d, "contact", say)),
        Heading(2, Said(say.t("For the file")), "file"),
        Table((
            (plain(say.t("SHA-256 of the model")), (quoted(d.subject.model_sha256 or "–", "subject.model_sha256"),)),
            (plain(say.t("SHA-256 of the values")), (quoted(d.subject.inputs_sha256, "subject.inputs_sha256"),)),
            (plain(say.t("Decision rule")), (quoted(d.decision.rule, "decision.rule"),)),
        )),
    ]  # fmt: skip
