"""The report of a model's validation, in the order of the supervisory guidance on model risk (SR 26-2 / OCC Bulletin 2026-13)."""

from __future__ import annotations

from reports.blocks import Block, Note, Runs, Table, plain, runs
from reports.obligations.dossier import Dossier, attested_text
from reports.obligations.layouts import Part, facts, gap, register, results, stated
from reports.said import quoted

OUTCOMES = ("performance.overall", "performance.baseline", "calibration.overall")
STRESS = ("robustness.noise", "robustness.shift", "robustness.mix", "robustness.corruptions", "robustness.text", "robustness.adversarial")


def parts(d: Dossier) -> list[Part]:
    """What was validated and how much hangs on it, what it rests on, whether it works, whether it will, and who says so."""
    say = d.say

    def part(title: str, *blocks: Block, controls: tuple[str, ...]) -> Part:
        return Part(title, blocks, tuple(f"sr26.{name}" for name in controls))

    return [
        part(
            say.t("Purpose, scope and materiality"),
            facts(d, "context.intended_use", "context.domain", "context.people", "context.tier", "context.tier_chosen_by"),
            controls=("def", "tier", "genai"),
        ),
        part(
            say.t("The model and its place in the inventory"),
            facts(d, "model.name", "model.version", "context.owner", "model.task", "model.flavor", "model.features", "data.target", "model.sha256"),
            controls=("inv", "vendor"),
        ),
        part(
            say.t("Development evidence"),
            facts(d, "data.training.source", "data.training.rows", "context.population", "context.period", "context.sampling", "context.known_limits"),
            controls=("dev", "doc"),
        ),
        part(
            say.t("Conceptual soundness"),
            facts(d, "context.legitimate_factors", "context.allowed_inputs"),
            *results(d, ("explanation.global", "explanation.completeness", "explanation.deletion", "explanation.stability")),
            controls=("concept",),
        ),
        part(
            say.t("Outcomes analysis"),
            facts(d, "data.source", "data.rows", "context.period", "data.label_source", "data.decision"),
            *results(d, OUTCOMES),
            controls=("outcome",),
        ),
        part(say.t("Sensitivity and stress"), *results(d, STRESS), controls=("sens",)),
        part(
            say.t("Ongoing monitoring and triggers of a new review"),
            Note(runs(say, "An audit looks once. How often it is looked at again, and after what change, is for the owner of the model to state.")),
            facts(d, "started", "valid_until"),
            controls=("monitor", "trigger"),
        ),
        part(
            say.t("Effective challenge: findings and who answers for them"),
            facts(d, "context.auditor", "context.independence"),
            register(d),
            controls=("challenge",),
        ),
        part(say.t("Governance"), controls=("policy",)),
        Part(say.t("Sign-off"), (_signed(d),), ()),
    ]  # fmt: skip


def _signed(d: Dossier) -> Table:
    """Who stands for the report: those who attested it as a whole, else a gap for each."""
    say = d.say
    whole: list[tuple[Runs, ...]] = [(plain(say.t("Attested")), attested_text(say, a)) for a in d.whole]
    rows: list[tuple[Runs, ...]] = [
        (plain(say.t("Validator")), stated(d, "context.auditor")),
        (plain(say.t("Model owner")), stated(d, "context.owner")),
        *(whole or [(plain(say.t("Attested")), gap(d))]),
        (plain(say.t("SHA-256 of the document")), (quoted(d.document.digest, "digest"),)),
    ]
    return Table(tuple(rows))
