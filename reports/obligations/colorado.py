"""Colorado SB 26-189: the notice before a decision, the statement after an adverse one, what a developer gives deployers, and the records.

C.R.S. 6-1-1702 to 6-1-1705, as `reports/frameworks/coadmt.yaml` paraphrases them. What differs from person to person stays open in a draft.
"""

from __future__ import annotations

from reports.blocks import Block, Note, Paragraph, Runs, Table, plain, runs
from reports.obligations.dossier import Dossier
from reports.obligations.layouts import Part, facts, stated
from reports.said import quoted

YEARS, DAYS = 3, 30


def parts(d: Dossier) -> list[Part]:
    say = d.say

    def part(title: str, *blocks: Block, controls: tuple[str, ...]) -> Part:
        return Part(title, blocks, tuple(f"coadmt.{name}" for name in controls))

    return [
        part(say.t("Notice before the decision"), *_before(d), controls=("1704-1", "1704-8")),
        part(say.t("Statement to the person after an adverse outcome"), *_after(d), controls=("1704-3", "1704-5", "1704-6", "1705-1")),
        part(
            say.t("Documentation that a developer gives deployers"),
            facts(
                d, "context.intended_use", "context.harmful_uses", "data.training.source", "data.training.rows", "context.population", "model.features",
                "context.known_limits", "context.monitoring_instructions", "context.human_role",
            ),
            controls=("1702-1", "1702-2"),
        ),
        part(say.t("Records"), *_records(d), controls=("1702-4",)),
    ]  # fmt: skip


def _before(d: Dossier) -> list[Block]:
    """The notice in plain words, then its fields; a gap stays one in both."""
    say = d.say
    who, use, contact = stated(d, "context.owner"), stated(d, "context.intended_use"), stated(d, "context.contact")
    return [
        Paragraph(runs(say, "An automated system takes part in this decision.")),
        Table((
            (plain(say.t("Who uses it")), who),
            (plain(say.t("What it is used for")), use),
            (plain(say.t("What part people have in the decision")), stated(d, "context.human_role")),
            (plain(say.t("What it looks at")), stated(d, "model.features")),
            (plain(say.t("Where to ask, and to write")), contact),
            (plain(say.t("Other languages, and help for people with disabilities")), stated(d, "context.alternatives")),
        )),
        Note(runs(say, "It has to be given before the system materially influences the decision; a prominent public notice can suffice.")),
    ]  # fmt: skip


def _after(d: Dossier) -> list[Block]:
    """What the person gets within thirty days; what only the single decision knows is left open and says so."""
    say = d.say
    each: Runs = plain(say.t("to be filled in for each decision"))
    reasons = runs(say, "to be filled in for each decision: python -m audit.explain gives the reasons that were tested")
    return [
        Note(runs(say, "Due within {days} days of the adverse outcome.", days=d.law(str(DAYS), "coadmt.1704-3"))),
        Table((
            (plain(say.t("The decision, and its date")), each),
            (plain(say.t("What part the system had in it")), stated(d, "context.human_role")),
            (plain(say.t("The principal reasons")), reasons),
            (plain(say.t("How to ask for more about the data that were used")), stated(d, "context.contact")),
            (plain(say.t("How to have wrong data corrected")), stated(d, "context.contact")),
            (plain(say.t("How to ask for a person to look at it again")), stated(d, "context.complaints", "context.contact")),
            (plain(say.t("What is withheld, and by what law or secret")), each),
        )),
        Note(runs(say, "A creditor who gives the notice that federal law asks for (ECOA, FCRA) need not give this one as well.")),
    ]  # fmt: skip


def _records(d: Dossier) -> list[Block]:
    """What identifies this version, and until when its records are kept."""
    say = d.say
    year, rest = d.document.started[:4], d.document.started[4:10]
    until = f"{int(year) + YEARS}{'-03-01' if rest == '-02-29' else rest}"
    rows: list[tuple[Runs, ...]] = [
        (plain(say.t("Records of this audit are kept at least until")), (d.law(until, "coadmt.1702-4"),)),
        (plain(say.t("SHA-256 of the document")), (quoted(d.document.digest, "digest"),)),
        (plain(say.t("SHA-256 of the model")), stated(d, "model.sha256")),
        (plain(say.t("SHA-256 of the data")), stated(d, "data.sha256")),
        (plain(say.t("Model version")), stated(d, "model.version")),
        (plain(say.t("Changes that were made to mitigate harm")), stated(d, "context.mitigation")),
    ]
    return [Table(tuple(rows))]
