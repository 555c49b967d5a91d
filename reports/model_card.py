"""The model card: the sections of Mitchell et al. 2019 ("Model Cards for Model Reporting"), headed by metadata as Hugging Face reads it.

It says what the audit measured and what people declared. What neither knows stands there as not known; nothing is filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from audit.result import AuditResult, CheckResult, Finding
from reports.content import WHOLE, about_data, about_digests, about_model
from reports.history import waiver_text
from reports.markdown import block, edition_text, facts, flag, within
from reports.marked import Page
from reports.metrics import metric_name
from reports.records import Json, explained, judged, line, outcome, pruned
from reports.sentences import capital, method_name
from reports.speaker import Speaker, clean, mark, number
from reports.states import family_of, state_of, state_of_audit, state_of_finding
from reports.tables import blocks
from reports.view import UNSTATED, answered_text, context_of, limits, not_run, source_text, words_of
from reports.words import CONTEXT, LOOKS, SOURCES

MOST_BYTES = 480_000
MOST = (80, 30, 10)  # findings of a check that the card holds
#: How Hugging Face names what a model does, by the kind of its inputs; classes or a quantity.
PIPELINES = {
    "image": ("image-classification", "other"), "audio": ("audio-classification", "other"), "text": ("text-classification", "other"),
    "number": ("tabular-classification", "tabular-regression"), "category": ("tabular-classification", "tabular-regression"),
}  # fmt: skip
LIBRARIES = {
    "sklearn": "sklearn",
    "skops": "sklearn",
    "pytorch": "pytorch",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "transformers": "transformers",
}
METRIC_IDS = {"r2": "r_squared", "mean_squared_error": "mse", "mean_absolute_error": "mae"}
#: The figures of the card: check → metrics, None for all.
FIGURES: dict[str, set[str] | None] = {
    "performance.overall": None,
    "performance.groups": None,
    "calibration.overall": {"calibration_in_the_large", "calibration_slope", "debiased_calibration_error"},
    "calibration.groups": {"calibration_in_the_large"},
    "fairness.group": {
        "selection_rate",
        "prediction_rate",
        "true_positive_rate",
        "false_positive_rate",
        "mean_prediction",
        "mean_absolute_error",
        "r2",
    },
}

DRAWN = mark(
    "Drawn from the audit {id} of {date} alone (digest {digest}). The audit says what was measured on these data; whatever nobody measured or declared is called not known here."
)
UNKNOWN = mark("Not known from this audit: {names}.")
DETAILS = (
    mark("who developed it"),
    mark("when it was trained"),
    mark("kind of model and how it was trained"),
    mark("licence"),
    mark("papers and citation"),
    mark("where to send questions"),
)
FACTORS = (mark("groups that no column names"), mark("instruments and surroundings that change what the model sees"))
EVALUATION = (mark("why these data were chosen"), mark("how they were prepared before the audit"))
LEVELS_SAID = mark("Intervals are {levels}, by: {methods}.")
NO_TRAINING = mark("The training data are not known to the audit.")
TRAINED = mark("{source}: {rows:count} rows (SHA-256 {digest}). The audit saw them only to compare them with the audited rows.")
SAME_ROWS = mark("They are the audited rows: what is measured here is no evidence about other rows.")
NO_RESULTS = mark("Nothing of this kind was measured.")
HELD = mark("What was held against a limit")


def pipeline(document: AuditResult) -> str | None:
    """Hugging Face's name of the task; None where no name fits."""
    kinds = {f.kind for f in document.model.features}
    kind = next((k for k in PIPELINES if k in kinds), None)
    if kind is None or (len(kinds) > 1 and not kinds <= {"number", "category"}):
        return None
    found = PIPELINES[kind][document.model.task == "regression"]
    return found if document.model.task in ("binary", "multiclass", "regression") and found != "other" else None


def slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:80] or "model"


def metadata(document: AuditResult, say: Speaker) -> Json:
    """The card's head; what is not known, such as the licence, is left out and not guessed."""
    m, d, task = document.model, document.data, pipeline(document)
    results = [
        {
            "type": METRIC_IDS.get(f.metric, f.metric), "value": f.estimate.value, "name": line(metric_name(f.metric, say)),
            "args": {"low": f.estimate.low, "high": f.estimate.high, "level": f.estimate.level, "method": f.estimate.method, "n": f.estimate.n},
        }
        for c in document.checks
        if c.info.id == "performance.overall"
        for f in c.findings
        if f.estimate is not None and not f.slice and f.compare == "value"
    ]  # fmt: skip
    name = line(m.name or m.uri)[:120]
    index = {
        "name": name,
        "results": [
            {
                "task": {"type": task or "other", "name": line(m.task)},
                "dataset": {"type": f"{slug(name)}-audited-rows", "name": line(source_text(document, say)), "revision": d.sha256},
                "metrics": results,
            }
        ],
    }
    made: Json = pruned({
        "library_name": LIBRARIES.get(m.flavor), "pipeline_tag": task, "tags": ["witnessmark", *(["tabular"] if (task or "").startswith("tabular") else [])],
        "metrics": list(dict.fromkeys(r["type"] for r in results)), "model-index": [index] if results else [],
    })  # fmt: skip
    return made


def head(document: AuditResult, say: Speaker) -> str:
    import yaml

    return f"---\n{yaml.safe_dump(metadata(document, say), sort_keys=False, allow_unicode=True, width=10_000)}---\n\n"


def unknown(page: Page, names: Iterable[str], say: Speaker) -> None:
    page.note(say.t(UNKNOWN, names=say.list(map(say.t, names))))


def declared(document: AuditResult, keys: Iterable[str], say: Speaker) -> list[tuple[str, Any]]:
    """What was declared under these names; what was not says so."""
    context = context_of(document)
    return [(capital(say.t(CONTEXT[k])), say.t("not stated") if context.get(k) in UNSTATED else words_of(context[k])) for k in keys]


def summaries(document: AuditResult, wanted: Callable[[CheckResult], bool], say: Speaker) -> list[str]:
    """What the checks that ran found, in their own sentences, each with its verdict."""
    return [
        say.told(
            f"{flag(LOOKS[state_of(c)], say)}{say.pair('', say.stored(c.info.title, None))}",
            outcome(c, say),
        )
        for c in document.checks
        if c.status == "completed" and wanted(c)
    ]


def drawn(document: AuditResult) -> list[CheckResult]:
    """The checks whose figures the card shows, those of everybody before those of groups."""
    ran = {c.info.id: c for c in document.checks if c.status == "completed"}
    return [ran[id_] for id_ in FIGURES if id_ in ran]


def details(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Model details"))
    version = (say.t("Version"), clean(document.model.version or "–", 60))
    facts(page, [version, *about_model(document, say), *declared(document, ["owner"], say)], say)
    unknown(page, DETAILS, say)


def use(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Intended use"))
    facts(page, declared(document, ["intended_use", "domain", "jurisdictions", "people", "human_role", "tier"], say), say)
    unknown(page, [mark("intended users"), mark("uses that are out of scope, beyond what is stated above")], say)


def factors(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Factors"))
    d = document.data
    facts(
        page,
        [
            (say.t("Sensitive columns"), say.list(clean(s, 60) for s in d.sensitive) or say.t("not stated")),
            (say.t("Reference groups"), say.list(say.slice({k: v}) for k, v in d.reference.items()) or "–"),
            *declared(document, ["legitimate_factors"], say),
        ],
        say,
    )
    page.items(summaries(document, lambda c: c.info.id in ("data.representation", "fairness.inputs"), say))
    unknown(page, FACTORS, say)


def metrics(page: Page, document: AuditResult, say: Speaker) -> None:
    """What was measured, why, at which cutoff, and how its uncertainty was found."""
    page.heading(2, say.t("Metrics"))
    d, ran = document.data, drawn(document)
    page.items(say.pair(say.stored(c.info.title, None), say.stored(c.info.meaning, None)) for c in ran)
    rule = clean(d.decision, 200) + ("" if d.decision_declared else say.t(" (not declared)"))
    facts(page, [(say.t("Decision rule"), rule), *declared(document, ["cost_of_errors"], say)], say)
    used = [f.estimate for c in ran for f in c.findings if f.estimate and f.estimate.method != "exact"]
    if used:
        levels = say.list(number(level, "percent") for level in sorted({e.level for e in used}))
        methods = say.list(dict.fromkeys(method_name(e.method, say) for e in used))
        page.note(say.t(LEVELS_SAID, levels=levels, methods=methods))


def evaluation(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Evaluation data"))
    facts(page, [*about_data(document, say), *declared(document, ["population", "period", "sampling", "unit"], say)], say)
    page.items(summaries(document, lambda c: c.info.id in ("data.profile", "data.dependence", "data.anonymity"), say))
    unknown(page, EVALUATION, say)


def training(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Training data"))
    t = document.data.training
    if t is None:
        page.paragraph(say.t(NO_TRAINING))
        return
    source = say.known(t.source, SOURCES)
    page.paragraph(say.t(TRAINED, source=capital(source), rows=t.rows, digest=clean(t.sha256, 64)))
    page.paragraph(say.t(SAME_ROWS) if t.same_as_evaluation else "")
    page.items(summaries(document, lambda c: c.info.id in ("data.leakage", "performance.gap"), say))


def of_card(check: CheckResult, wanted: Callable[[Finding], bool]) -> CheckResult:
    """The check with those figures that the card shows."""
    kept = FIGURES[check.info.id]
    findings = [f for f in check.findings if f.compare == "value" and (kept is None or f.metric in kept) and wanted(f)]
    return check.model_copy(update={"findings": findings})


def results(page: Page, document: AuditResult, say: Speaker, most: int) -> None:
    """What was held against a limit, then the figures of everybody and of groups, then those of groups of several columns."""
    page.heading(2, say.t("Quantitative analyses"))
    held = list(judged(document))
    if held:
        page.heading(3, say.t(HELD))
        page.items(say.pair(flag(LOOKS[state_of_finding(i.finding)], say), explained(i.finding, say)) for i in held[:most])
        if len(held) > most:
            page.note(say.t("{n:count} more findings are in {file}.", n=len(held) - most, file=WHOLE))
    kinds: list[tuple[str, Callable[[Finding], bool]]] = [
        (mark("Everybody, and the groups of one column"), lambda f: len(f.slice) <= 1),
        (mark("Groups of several columns"), lambda f: len(f.slice) > 1),
    ]
    for title, wanted in kinds:
        page.heading(3, say.t(title))
        shown = [c for c in (of_card(c, wanted) for c in drawn(document)) if c.findings]
        for check in shown:
            page.heading(4, say.stored(check.info.title, None))
            for found in blocks(check, check.info.id, say, most):
                block(page, found, say)
            if len(check.findings) > most:
                page.note(say.t("{n:count} more findings are in {file}.", n=len(check.findings) - most, file=WHOLE))
        if not shown:
            page.paragraph(say.t(NO_RESULTS))


def ethics(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Ethical considerations"))
    facts(page, declared(document, ["people", "human_role", "allowed_inputs"], say), say)
    page.items(summaries(document, lambda c: family_of(c.info.id) in ("fairness", "privacy"), say))
    page.items(waiver_text(w, document, say) for w in document.waivers[:100])
    unknown(page, [mark("risks and harms that were not measured"), mark("what was done against them while the model was made")], say)


def caveats(page: Page, document: AuditResult, say: Speaker) -> None:
    page.heading(2, say.t("Caveats and recommendations"))
    page.items(
        [*limits(document, say), say.t("Valid until {date}, or until the next version of the model.", date=clean(document.valid_until, 10))]
    )
    left_out = not_run(document, say)
    if left_out:
        page.heading(3, say.t("What was not measured"))
        page.items(left_out)
    open_ = [
        say.pair(say.stored(q.title, q.title_msg), say.stored(q.reason, q.reason_msg) or say.t(LOOKS[q.verdict].word))
        for q in document.questions
        if not q.answered
    ]
    if open_:
        page.heading(3, say.t("Questions that stay open"))
        page.items(open_)


def card(document: AuditResult, say: Speaker, edition: str, most: int) -> str:
    page = Page()
    page.heading(1, say.t("Model card: {name}", name=clean(document.model.name or document.model.uri, 120)))
    page.note(edition_text(edition, say))
    page.note(say.t(DRAWN, id=clean(document.id, 80), date=clean(document.started[:10], 10), digest=clean(document.digest, 64)))
    page.paragraph(say.join([flag(LOOKS[state_of_audit(document)], say), answered_text(document, say)]))
    page.paragraph(say.stored(document.why, document.why_msg))
    details(page, document, say)
    use(page, document, say)
    factors(page, document, say)
    metrics(page, document, say)
    evaluation(page, document, say)
    training(page, document, say)
    results(page, document, say, most)
    ethics(page, document, say)
    caveats(page, document, say)
    page.heading(2, say.t("Digests (SHA-256) and dates"))
    facts(page, about_digests(document, say), say)
    return head(document, say) + str(page)


def draw(document: AuditResult, lang: str, edition: str) -> bytes:
    """The card of a document that holds no more than this edition may show."""
    say = Speaker(lang)
    return within((card(document, say, edition, most) for most in MOST), MOST_BYTES)
