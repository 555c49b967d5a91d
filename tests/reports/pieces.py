"""The checks of the sample audit, made by hand."""

from __future__ import annotations

import math
from typing import Any

from audit.measurement import Attribution, Curve, Estimate, Evidence, Heatmap, Histogram, Message, Part, Series, Table, Test
from audit.result import CheckInfo, CheckResult, Criterion, Finding, finding_key
from audit.text import message, render

IMG = "<img src=x onerror=1>"
SCRIPT = "</script><script>alert(1)</script>"
OVERRIDE = "abc\u202egnp.exe"
LONG = "a very long feature name " * 12
MATH = "$x_{"
HOSTILE = (IMG, SCRIPT, OVERRIDE, LONG, MATH)

FOUR_FIFTHS = Criterion(
    min=0.8, max=1.25, rule="screen", role="decides", severity="critical", basis="policy", source="29 CFR 1607.4(D), by analogy"
)


def finding(check: str, metric: str, estimate: Estimate | None, slice_: dict[str, str] | None = None, **fields: Any) -> Finding:
    against = fields.pop("against", None)
    compare = fields.pop("compare", "value")
    said: Message | None = fields.pop("said", None)
    if said is not None:
        fields |= {"sentence": render(said), "sentence_msg": said}
    key = finding_key(check, metric, compare, slice_ or {}, against)
    return Finding(metric=metric, compare=compare, slice=slice_ or {}, against=against, estimate=estimate, key=key, **fields)


def wilson(k: int, n: int, level: float = 0.95) -> Estimate:
    z = 1.96 if level == 0.95 else 1.645
    p, w = k / n, z * z / n
    middle, half = (p + w / 2) / (1 + w), z / (1 + w) * math.sqrt(p * (1 - p) / n + w / (4 * n))
    return Estimate(value=p, low=max(0.0, min(p, middle - half)), high=min(1.0, max(p, middle + half)), level=level, method="wilson", n=n)


def check(id_: str, title: str, summary: str, findings: list[Finding], **fields: Any) -> CheckResult:
    info = CheckInfo(
        id=id_,
        title=title,
        meaning=fields.pop("meaning", "What the model does on these rows, counted."),
        limits=fields.pop("limits", "These rows only; another population may differ."),
        unit=fields.pop("unit", "proportion"),
        direction=fields.pop("direction", "none"),
        references=fields.pop("references", []),
        needs=fields.pop("needs", ["labels"]),
        about=fields.get("about", "model"),
    )
    return CheckResult(info=info, status=fields.pop("status", "completed"), summary=summary, findings=findings, seconds=1.25, **fields)


def profile() -> CheckResult:
    table = Table(
        caption="Columns of the audited data",
        columns=[
            {"name": "column", "label": "Column"},
            {"name": "missing", "label": "Missing", "kind": "percent"},
            {"name": "distinct", "label": "Distinct values", "kind": "integer"},
            {"name": "p01", "label": "1st percentile", "kind": "number"},
            {"name": "p99", "label": "99th percentile", "kind": "number"},
        ],
        rows=[
            ["applicant_income", 0.0, 412, 1.25, 28.4],
            ["loan_amount", 0.004, 388, 22.0, 512.0],
            ["credit_history", 0.0, 2, 0, 1],
            [IMG, 0.31, 3, None, None],
            [SCRIPT, 0.0, 7, None, None],
            [OVERRIDE, 0.0, 1, 0.0001, 12345678.0],
            [LONG, 0.02, 20, -3.5, 7.25],
            [MATH, 0.5, 2, 0, 1],
        ],
    )
    exact = Estimate(value=1989, low=1989, high=1989, level=0.95, method="exact", n=1989)
    return check(
        "data.profile",
        "The data that were audited",
        "1,989 applications with 10 columns; two columns have missing values.",
        [finding("data.profile", "rows", exact, evidence=[table])],
        unit="rows",
        meaning="What the rows look like: how many there are, and what is missing.",
        needs=[],
    )


def roc(groups: dict[str, float], name: str = "roc", caption: str = "How well the score separates") -> Curve:
    x = [i / 20 for i in range(21)]
    series = [
        Series(name=g, x=x, y=[v**k for v in x], low=[max(0, v**k - 0.05) for v in x], high=[min(1, v**k + 0.05) for v in x])
        for g, k in groups.items()
    ]
    return Curve(
        name=name,
        caption=caption,
        x_label="False positive rate",
        y_label="True positive rate",
        x_kind="percent",
        y_kind="percent",
        series=series,
    )


def histogram(groups: dict[str, int]) -> Histogram:
    edges = [i / 10 for i in range(11)]
    counts = {
        g: [max(3, round(n * math.exp(-(((i - 6 - j) / 2.5) ** 2)) / 4)) for i in range(10)] for j, (g, n) in enumerate(groups.items())
    }
    return Histogram(caption="Scores", x_label="Score", edges=edges, series=counts)


def performance() -> list[CheckResult]:
    overall = "performance.overall"
    matrix = Heatmap(
        caption="Predicted against actual",
        row_label="Actual",
        column_label="Predicted",
        rows=["refused", "approved"],
        columns=["refused", "approved"],
        values=[[112, 132], [71, 1674]],
    )
    auc = Estimate(value=0.8412, low=0.814, high=0.868, level=0.95, method="delong", n=1989)
    first = check(
        overall,
        "How often the model is right",
        "The model is right for 89.8 % of the applications.",
        [
            finding(overall, "accuracy", wilson(1786, 1989), parts=[Part(slice={}, k=1786, n=1989)], evidence=[matrix]),
            finding(overall, "balanced_accuracy", wilson(1408, 1989)),
            finding(overall, "true_positive_rate", wilson(1674, 1745)),
            finding(overall, "false_positive_rate", wilson(132, 244)),
            finding(overall, "roc_auc", auc, evidence=[roc({"all": 0.25})]),
            finding(overall, "log_loss", Estimate(value=0.311, low=0.287, high=0.336, level=0.95, method="bootstrap", n=1989)),
        ],
        references=["Hanley and McNeil, Radiology 143 (1982)"],
        direction="higher",
    )
    groups, rows = "performance.groups", []
    for column, cells in {
        "race": {"white": (1537, 1681), "black": (155, 197), "hispan": (94, 108), "other": (2, 3)},
        "sex": {"male": (1450, 1611), "female": (330, 363), "(missing)": (6, 15)},
    }.items():
        for value, (k, n) in cells.items():
            rows.append(finding(groups, "accuracy", wilson(k, n), {column: value}, parts=[Part(slice={column: value}, k=k, n=n)]))
    rows.append(finding(groups, "roc_auc", None, {"race": "other"}, reason="3 rows of one class: the metric is undefined"))
    second = check(groups, "How often it is right, group by group", "It is right less often for Black applicants.", rows)
    base, bar = "performance.baseline", Criterion(min=0.0, role="decides", severity="critical", source="built-in plan")
    said = message(
        "The model predicts better than the base rate: its log loss is {share:percent} lower (90 % interval {low:percent} to "
        "{high:percent}).",
        share=0.172,
        low=0.121,
        high=0.223,
    )
    skill = Estimate(value=0.172, low=0.121, high=0.223, level=0.9, method="bootstrap", n=1989)
    third = check(
        base,
        "Better than guessing",
        "The model predicts better than the base rate.",
        [finding(base, "log_loss_skill", skill, criterion=bar, verdict="pass", said=said)],
        verdict="pass",
        direction="higher",
    )
    return [first, second, third]


def calibration() -> list[CheckResult]:
    overall, groups = "calibration.overall", "calibration.groups"
    x = [0.05 + i / 10 for i in range(10)]
    reliability = Curve(
        name="reliability",
        caption="Reliability",
        x_label="Predicted probability",
        y_label="Observed share",
        x_kind="percent",
        y_kind="percent",
        series=[
            Series(name="all", x=x, y=[v**1.2 for v in x], low=[max(0, v**1.2 - 0.06) for v in x], high=[min(1, v**1.2 + 0.06) for v in x])
        ],
    )
    soft = Criterion(min=0.8, max=1.25, role="warns", severity="major", basis="standard", source="Van Calster et al. 2016")
    slope = Estimate(value=0.93, low=0.76, high=1.1, level=0.9, method="likelihood", n=1989)
    return [
        check(
            overall,
            "Does 80 % mean 80 %?",
            "The predicted probabilities are close to the observed shares; the slope is not settled.",
            [
                finding(
                    overall,
                    "calibration_slope",
                    slope,
                    criterion=soft,
                    verdict="inconclusive",
                    reason="borderline",
                    evidence=[reliability, histogram({"all": 400})],
                ),
                finding(
                    overall,
                    "calibration_in_the_large",
                    Estimate(value=-0.012, low=-0.024, high=0.001, level=0.9, method="newcombe", n=1989),
                ),
            ],
            verdict="inconclusive",
            direction="target",
        ),
        check(
            groups,
            "Does it mean the same for everyone?",
            "Not judged.",
            [],
            status="skipped",
            reason="the label source is human_decision: agreement with past decisions, not correctness",
        ),
    ]


GROUPS = {
    "race": ({"white": (1526, 1681), "black": (133, 197), "hispan": (83, 108), "other": (2, 3)}, "white"),
    "sex": ({"male": (1411, 1611), "female": (322, 363), "(missing)": (11, 15)}, "male"),
}


def ratio_finding(id_: str, column: str, value: str, cells: dict[str, tuple[int, int]], reference: str) -> Finding:
    (k, n), (k0, n0) = cells[value], cells[reference]
    slices = {column: value}, {column: reference}
    parts = [Part(slice=slices[0], k=k, n=n), Part(slice=slices[1], k=k0, n=n0)]
    shared: dict[str, Any] = {"compare": "ratio", "against": slices[1], "parts": parts, "criterion": FOUR_FIFTHS}
    r, spread = (k / n) / (k0 / n0), 1.645 * math.sqrt((1 - k / n) / k + (1 - k0 / n0) / k0)
    estimate = Estimate(value=r, low=r * math.exp(-spread), high=r * math.exp(spread), level=0.9, method="miettinen_nurminen", n=n + n0)
    p = {"black": 2.4e-21, "hispan": 0.00012, "female": 0.56}.get(value, 0.8)
    test = Test(null="equality", method="score", p_value=p, adjusted_p_value=min(1, 3 * p), tests_in_family=3)
    if n < 10:
        return finding(id_, "selection_rate", None, slices[0], **shared, verdict="inconclusive", reason="suppressed")
    if value == "black":
        shared["said"] = message(
            "{group} applicants are refused 3.5 times as often as white applicants "
            "({a:percent} against {b:percent}; {n:count} and {m:count} people; p {p:p}). "
            "They are approved {r:ratio} times as often (90 % interval {low:ratio} to {high:ratio}), below the 0.80 line.",
            group="Black",
            a=1 - k / n,
            b=1 - k0 / n0,
            n=n,
            m=n0,
            p=p,
            r=r,
            low=estimate.low,
            high=estimate.high,
        )
    verdict, reason = {
        "black": ("fail", None),
        "hispan": ("inconclusive", "difference_established_size_open"),
        "female": ("pass", None),
    }.get(value, ("inconclusive", "too_few_rows"))
    return finding(id_, "selection_rate", estimate, slices[0], **shared, test=test, verdict=verdict, reason=reason)


def fairness() -> list[CheckResult]:
    inputs, id_ = "fairness.inputs", "fairness.group"
    rows: list[Finding] = []
    for column, (cells, reference) in GROUPS.items():
        charts: list[Evidence] = [
            roc({g: 0.2 + 0.08 * j for j, g in enumerate(cells)}, caption=f"Separation by {column}"),
            histogram({g: n for g, (_, n) in cells.items() if n >= 100}),
        ]
        for j, (value, (k, n)) in enumerate(cells.items()):
            part = Part(slice={column: value}, k=k, n=n)
            rows.append(finding(id_, "selection_rate", wilson(k, n), {column: value}, parts=[part], evidence=charts if j == 0 else []))
            rows.append(finding(id_, "true_positive_rate", wilson(round(0.97 * k), k), {column: value}))
            rows.append(finding(id_, "false_positive_rate", wilson(max(1, (n - k) // (2 + j)), n - k), {column: value}))
        others = [v for v in cells if v != reference]
        rows += [ratio_finding(id_, column, v, cells, reference) for v in others]
        for value in others:
            (k, n), (k0, n0) = cells[value], cells[reference]
            d, half = k / n - k0 / n0, 1.96 * math.sqrt(k / n * (1 - k / n) / n + k0 / n0 * (1 - k0 / n0) / n0)
            parts = [Part(slice={column: value}, k=k, n=n), Part(slice={column: reference}, k=k0, n=n0)]
            slices: dict[str, Any] = {"slice_": {column: value}, "against": {column: reference}, "parts": parts}
            e = Estimate(value=d, low=max(-1, d - half), high=min(1, d + half), level=0.95, method="newcombe", n=n + n0)
            rows.append(finding(id_, "selection_rate", e, **slices, compare="difference"))
            o = (k / (n - k)) / (k0 / (n0 - k0))
            e = Estimate(value=o, low=o / 1.6, high=o * 1.6, level=0.95, method="cornfield", n=n + n0)
            rows.append(finding(id_, "selection_rate", e, **slices, compare="odds_ratio"))
    group = check(
        id_,
        "Who gets the favourable decision",
        "Black applicants are approved less often than white applicants, beyond the 0.80 line.",
        rows,
        verdict="fail",
        needs=["sensitive"],
        meaning="How often each group gets the decision that a person wants, against the reference group.",
        limits="Not adjusted for the applicants' finances. A difference is no proof of discrimination, nor none found of its absence.",
        references=["Feldman et al., KDD 2015", "Miettinen and Nurminen, Statistics in Medicine 4 (1985)"],
    )
    zero = Estimate(value=0, low=0, high=0, level=0.9, method="exact", n=1989)
    said = message("No sensitive column is among the model's inputs.")
    bar = Criterion(max=0.0, role="decides", severity="critical", source="built-in plan")
    first = check(
        inputs,
        "What the model may see",
        "No sensitive column is among the inputs.",
        [finding(inputs, "sensitive_inputs", zero, criterion=bar, verdict="pass", said=said)],
        verdict="pass",
        needs=[],
        unit="columns",
    )
    return [first, group]


def explanation() -> list[CheckResult]:
    names = ["credit_history", "debt_to_income", "loan_to_value", IMG, SCRIPT, OVERRIDE, LONG, MATH]
    values = [0.142, 0.088, -0.061, 0.044, 0.02, 0.011, -0.006, 0.001]
    bars = Attribution(
        caption="Mean absolute attribution",
        unit="probability",
        features=names,
        values=values,
        low=[v - 0.008 for v in values],
        high=[v + 0.008 for v in values],
    )
    id_ = "explanation.global"
    gap = Estimate(value=0.34, low=0.21, high=0.47, level=0.95, method="bootstrap", n=2000)
    apart = Estimate(value=0.31, low=0.22, high=0.4, level=0.9, method="normal", n=50)
    limit = Criterion(min=0.6, soft=0.8, role="warns", severity="major", source="largest attributions mostly the same when explained again")
    gate = finding("explanation.stability", "seed_overlap", apart, slice_={"(method)": "(leverage_shap)"}, criterion=limit, verdict="fail")
    why = message("Evidence rejected: {reasons}.", reasons=[message("{what} ({value:number}, limit {limit:number})", what=message("the explanation does not stay the same"), value=0.31, limit=0.6)])  # fmt: skip
    rejected = {"rejected": render(why), "rejected_msg": why, "rejected_by": [gate.key]}
    return [
        check(
            id_,
            "What moves the score",
            "Credit history moves the score most.",
            [finding(id_, "deletion_gap", gap, evidence=[bars])],
            about="evidence",
            unit="probability",
            needs=["model"],
            direction="higher",
        ).model_copy(update=rejected),
        check(
            "explanation.stability",
            "Whether the explanation stays the same",
            "Explained again, a row has other reasons.",
            [gate],
            verdict="fail",
            about="evidence",
            needs=["model"],
        ),
        check(
            "explanation.local",
            "Reasons for one decision",
            "The check ended with an error.",
            [],
            status="errored",
            reason="the worker ran out of memory after 512 of 2,000 rows",
            about="evidence",
            needs=["model"],
        ),
    ]


def efficiency() -> CheckResult:
    id_ = "efficiency.cost"
    e = Estimate(value=184000, low=171000, high=196000, level=0.95, method="bootstrap", n=30)
    return check(
        id_,
        "What a prediction costs",
        "184,000 rows a second on one core.",
        [finding(id_, "rows_per_second", e, repeatable=False)],
        unit="rows per second",
        needs=["model"],
        direction="higher",
    )


#: A framework of somebody's own, with one control.
OWN = """
id: house
name: House rules
name_zh: 内部规则
jurisdiction: EU
legal_force: practice
version: '1'
confidence: high
verified_on: 2026-11-21
verified: by hand
controls:
- {id: house.a, section: '1', title: Errors, title_zh: 错误, requirement: Measure them., requirement_zh: 测量错误。, kind: measured, evidence: [performance]}
"""
