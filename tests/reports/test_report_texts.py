"""Texts of our own are in the catalogue, and translations keep their values."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest
from pieces import check, finding, wilson
from sample import sample

from audit.measurement import Attribution
from audit.result import CheckResult, Finding
from audit.text import catalogue
from reports.metrics import kind_of
from reports.pictures import _moving
from reports.sentences import reason_text, sentence
from reports.speaker import Speaker, clean, number
from reports.states import SIZE_OPEN, state_of
from reports.view import deciding, first_screen

ROOT = Path(__file__).parent.parent.parent
CALLS = {"t", "mark", "message", "translate"}
SAME = {"n"}  # one sign in every language


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""


def templates() -> set[str]:
    """All texts that `reports` and `dashboard` ask the catalogue for."""
    found = set()
    for path in [*ROOT.glob("reports/**/*.py"), *ROOT.glob("dashboard/**/*.py"), ROOT / "audit" / "compare.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and called(node) in CALLS and node.args and isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
            elif isinstance(node, ast.Call) and called(node) == "runs" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                found.add(str(node.args[1].value))
    for path in [*ROOT.glob("reports/templates/*.html"), *ROOT.glob("reports/templates/*.typ")]:
        found |= set(re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', path.read_text("utf-8")))
    store = ast.parse((ROOT / "dashboard" / "store.py").read_text("utf-8"))
    told = [n.args[0] for n in ast.walk(store) if isinstance(n, ast.Call) and called(n) == "append" and isinstance(n.args[0], ast.Tuple)]
    return found | {str(t.elts[0].value) for t in told if isinstance(t, ast.Tuple) and isinstance(t.elts[0], ast.Constant)}


def fields(template: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


@pytest.mark.release
def test_every_text_is_translated() -> None:
    missing = sorted(t for t in templates() if t not in catalogue("zh") and t not in SAME)
    assert not missing, f"no Chinese for: {missing}"


def test_translations_keep_their_values() -> None:
    for english, chinese in catalogue("zh").items():
        assert fields(english) == fields(chinese), english


def test_chinese_has_its_own_punctuation_and_thin_spaces() -> None:
    for english in templates() & set(catalogue("zh")):
        chinese = catalogue("zh")[english]
        assert not re.search(r"[\u4e00-\u9fff][,;:?!(]", chinese), chinese
        assert not re.search(r"[\u4e00-\u9fff] [A-Za-z0-9{]", chinese), chinese


def test_what_disturbs_a_line_is_spelt_out() -> None:
    assert clean("a\u202eb\u0000c\u200bd") == "a[U+202E]b[U+0000]c[U+200B]d"
    assert len(clean("x" * 10_000)) == 2000


@pytest.mark.parametrize(
    ("metric", "compare", "kind"),
    [
        ("accuracy", "value", "percent"),
        ("selection_rate", "ratio", "ratio"),
        ("selection_rate", "difference", "points"),
        ("selection_rate", "odds_ratio", "ratio"),
        ("roc_auc", "value", "number"),
        ("log_loss", "difference", "signed"),
        ("rows", "value", "count"),
        ("demographic_parity_difference", "value", "points"),
        ("demographic_parity_ratio", "value", "ratio"),
    ],
)
def test_each_metric_is_written_in_its_way(metric: str, compare: str, kind: str) -> None:
    assert kind_of(metric, compare) == kind


def test_percent_signs_stay_with_their_numbers() -> None:
    assert number(0.3251, "percent") == "32.5\u00a0%"
    assert Speaker("en").t("{x:percent} of all", x=0.5) == "50\u00a0% of all"


@pytest.mark.parametrize(
    ("lang", "label", "never"), [("en", "Difference established, size open", "annot tell"), ("zh", "差异成立，幅度未定", "尚无定论")]
)
def test_an_established_difference_of_open_size_is_never_called_undecided(lang: str, label: str, never: str) -> None:
    document = sample(verdict="inconclusive")
    asked = [q.model_copy(update={"verdict": "inconclusive"}) for q in document.questions if q.id == "selection"]
    document = document.model_copy(update={"questions": asked})
    say = Speaker(lang)
    screen = first_screen(document, say)
    open_ = next(f for c in document.checks for f in c.findings if f.reason == SIZE_OPEN)
    deciding = next(d for d in screen.deciding if "hispan" in str(d.text))
    for look, beside in (
        (screen.look, ""),
        (screen.questions[0].look, str(screen.questions[0].detail)),
        (deciding.look, str(deciding.detail)),
    ):
        assert say.t(look.word) == label
        assert never not in beside
    assert never not in reason_text(open_, say)


def test_page_one_lets_each_question_speak_before_one_speaks_twice_and_small_groups_last() -> None:
    document = sample()
    found = [f for c in document.checks for f in c.findings if f.criterion and f.criterion.role == "decides"]
    first = found[0]

    def one(metric: str, group: str, verdict: str, reason: str | None = None) -> Finding:
        return first.model_copy(
            update={"metric": metric, "slice": {"g": group}, "verdict": verdict, "reason": reason, "sentence": group, "sentence_msg": None}
        )

    findings = [
        one("selection_rate", "a", "fail"), one("selection_rate", "b", "fail"), one("selection_rate", "tiny", "inconclusive", "too_few_rows"),
        one("selection_rate", "open", "inconclusive", "borderline"), one("true_positive_rate", "c", "fail"),
        one("true_positive_rate", "established", "inconclusive", SIZE_OPEN),
    ]  # fmt: skip
    check = document.checks[0].model_copy(update={"findings": findings})
    shown = deciding(document.model_copy(update={"checks": [check]}), Speaker("en"), most=6)
    assert [str(s.text) for s in shown] == ["a", "c", "b", "established", "open", "tiny"]


def test_the_level_that_decides_is_printed() -> None:
    """0.05 over the whole audit, divided by the models on these data (3, so 0.017) and by five questions: 0.0033."""
    assert "at most 0.0033: 0.017 for the whole audit, shared equally by 5 deciding questions" in str(
        first_screen(sample(), Speaker("en")).established
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_page_one_says_no_sentence_twice(lang: str) -> None:
    document = sample()
    first = next(f for c in document.checks for f in c.findings if f.verdict == "fail" and f.criterion and f.criterion.role == "decides")
    document = document.model_copy(update={"why": first.sentence, "why_msg": first.sentence_msg})
    screen = first_screen(document, Speaker(lang))
    assert str(screen.deciding[0].text) != str(screen.why)
    assert str(screen.deciding[0].text).endswith("as said above." if lang == "en" else "如上所述。")


def test_a_reason_that_the_verdict_gives_is_not_said_again_at_its_question() -> None:
    document = sample()
    reason = "These rows cannot tell."
    asked = [q.model_copy(update={"reason": reason, "reason_msg": None}) for q in document.questions]
    for why, said in ((f"Still open: ... {reason}", ""), ("Something else.", reason)):
        screen = first_screen(document.model_copy(update={"questions": asked, "why": why, "why_msg": None}), Speaker("en"))
        assert {str(q.detail) for q in screen.questions} == {said}


def test_several_declared_limits_are_told_apart() -> None:
    document = sample(context={"known_limits": ["one city, one year", "few rows"]})
    assert any("as declared: (1) one city, one year (2) few rows" in str(line) for line in first_screen(document, Speaker("en")).not_shown)


@pytest.mark.parametrize(("sensitive", "said"), [(["race"], "people like these"), ([], "rows like these")])
def test_rows_are_called_people_where_people_were_told_apart(sensitive: list[str], said: str) -> None:
    document = sample()
    document = document.model_copy(update={"data": document.data.model_copy(update={"sensitive": sensitive})})
    assert said in str(first_screen(document, Speaker("en")).not_shown[0])


def test_declared_limits_are_on_page_one() -> None:
    document = sample(context={"known_limits": "few rows of 1990"})
    assert any("Known limits, as declared: few rows of 1990" in str(line) for line in first_screen(document, Speaker("en")).not_shown)


def test_of_several_methods_one_that_fails_rejects_itself_alone() -> None:
    """GradientSHAP does not add up and Grad-CAM stands: the check is not shown as rejected, unless nothing stands."""

    def judged(**verdicts: str) -> CheckResult:
        found = [
            finding("explanation.ways", "infidelity", wilson(3, 10), {"(method)": f"({name})"}, verdict=verdict)
            for name, verdict in verdicts.items()
        ]
        verdict = "fail" if "fail" in verdicts.values() else "pass"
        return check("explanation.ways", "What other methods say", "…", found, about="evidence", verdict=verdict)

    assert state_of(judged(gradient_shap="fail", grad_cam="pass")) == "pass"
    assert state_of(judged(gradient_shap="fail", grad_cam="inconclusive")) == "inconclusive"
    assert state_of(judged(gradient_shap="fail", grad_cam="fail")) == "rejected"
    gate = judged(gradient_shap="fail", grad_cam="pass")
    gate = gate.model_copy(update={"info": gate.info.model_copy(update={"id": "explanation.deletion"})})
    assert state_of(gate) == "rejected", "a gate speaks of one explanation"


@pytest.mark.parametrize(("lang", "said"), [("en", "not measured, Too few people."), ("zh", "未测得，Too few people。")])
def test_a_sentence_about_what_was_not_measured_ends_once_and_names_no_column_of_ours(lang: str, said: str) -> None:
    known = next(f for c in sample().checks for f in c.findings if f.against)
    ours = {
        "slice": {"(rows)": "(training)"},
        "against": {"(rows)": "(audited)"},
        "estimate": None,
        "sentence": None,
        "reason": "Too few people.",
    }
    text = sentence(known.model_copy(update=ours | {"reason_msg": None}), Speaker(lang))
    assert text.endswith(said)
    assert "(rows)" not in text


def test_a_chart_calls_words_events_and_fields_so() -> None:
    for caption, said in (
        ("Mean attribution of words, where they occur", "Of the words, “t” moves the output most (0.500)"),
        ("Mean size of attributions by event", "Of the events, t moves the output most (0.500)"),
        ("Mean size of attributions by field of the events", "Of the fields, t moves the output most (0.500)"),
        ("Mean size of attributions", "t moves the output most (0.500)"),
    ):
        e = Attribution(caption=caption, unit="logit", features=["t", "u"], values=[0.5, 0.2])
        assert _moving(e, {"feature": "t", "value": "0.500"}, Speaker("en")) == said
