"""The sample audit under names that mean something to Markdown, HTML, spreadsheets, templates or terminals, and of other kinds of model."""

from __future__ import annotations

from typing import Any

from sample import sample

from audit.result import AuditResult, CheckResult, Feature

NAMES = (
    "# heading", "- item", "1. item", "> quote", "*bold* _thin_ `code` ~~gone~~", "[link](http://evil.example)", "![picture](http://evil.example/x.png)", "a|b\\|c\\",
    "<img src=x onerror=1>", "</script><script>alert(1)</script>", "<!-- gone -->", "&lt;b&gt; &amp;", "```\nfence", "two\nlines\n\n# three", "| a |\n| --- |\n| b |",
    "=HYPERLINK(\"http://evil.example\")", "+1+cmd|' /C calc'!A0", "@SUM(1)", "{0} {name} {{x}}", "$x_{1}$", "abc\u202egnp.exe", "שלום عالم", "👩‍👩‍👧 family 🎉", "---", "===",
    "x" * 10_000, "http://evil.example www.evil.example", "{% raw %}{{ 7*7 }}", "../../etc/passwd", "%s %d %n", " padded ", "a: b", "null", "\u2028new\u2029line",
)  # fmt: skip


def hostile(name: str) -> AuditResult:
    """The sample with `name` for its model, data, a column, a group, and in what people declared."""
    document = sample()
    context = document.context | {"jurisdictions": [name], "owner": name, "known_limits": [name, "plain"], name: "own key"}
    data = document.data.model_copy(
        update={"source": name, "sensitive": [name, "sex"], "reference": {name: name}, "columns": [name, "sex"], "decision": name}
    )
    features = [Feature(name=name, kind="number")]
    model = document.model.model_copy(
        update={"name": name, "uri": f"models:/{name}/1", "classes": [name], "features": features, "load_evidence": [name]}
    )
    waivers = [w.model_copy(update={"reason": name, "person": name}) for w in document.waivers]
    questions = [q.model_copy(update={"title": name, "title_msg": None, "reason": name, "reason_msg": None}) for q in document.questions]
    checks = [_renamed(c, name) for c in document.checks]
    return document.model_copy(
        update={
            "context": context,
            "data": data,
            "model": model,
            "waivers": waivers,
            "questions": questions,
            "checks": checks,
            "why": name,
            "why_msg": None,
        }
    )


def _renamed(check: CheckResult, name: str) -> CheckResult:
    def one(slice_: dict[str, str] | None) -> dict[str, str] | None:
        return None if slice_ is None else {(name if k == "race" else k): (name if v == "black" else v) for k, v in slice_.items()}

    findings = []
    for f in check.findings:
        changed: dict[str, Any] = {"slice": one(f.slice), "against": one(f.against)}
        findings.append(f.model_copy(update=changed | ({"sentence": name, "sentence_msg": None} if f.sentence else {})))
    said = {"reason": name, "reason_msg": None} if check.reason else {}
    return check.model_copy(update={"findings": findings, "summary": name, "summary_msg": None} | said)


def kinds() -> dict[str, AuditResult]:
    """Audits of each kind of model, under no law."""
    made = {"binary": sample()}
    for name, task, kind in (
        ("multiclass", "multiclass", "number"),
        ("regression", "regression", "number"),
        ("image", "multiclass", "image"),
        ("text", "binary", "text"),
    ):
        document = sample(context={})
        model = document.model.model_copy(
            update={"task": task, "features": [Feature(name="x", kind=kind)], "outputs": None if task == "regression" else "probability"}
        )
        if task == "regression":
            model = model.model_copy(update={"classes": []})
        made[name] = document.model_copy(update={"model": model})
    return made
