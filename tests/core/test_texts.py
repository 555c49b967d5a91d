"""Every text of the checks and of the judge is in the catalogue, and translations keep their values and their own punctuation."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from audit import mistakes
from audit.answering import JUDGED_FOR, TITLES
from audit.checks.efficiency import compression, energy
from audit.checks.fairness.impact import READINGS
from audit.checks.performance import challengers, gap, period
from audit.checks.privacy.membership import ATTACKS
from audit.checks.robustness import mix, noise, rules
from audit.cutoffs import CAPTIONS
from audit.dataset import MISSING
from audit.explain.gap import METHODS
from audit.explain.shown import MOVE_MOST, STARTS, STRONGEST
from audit.measure import SKILLS
from audit.registry import NEEDS, checks
from audit.runner import LATE
from audit.screens import OTHERS
from audit.text import FORMATS, LEVELS, PARTS, beside, catalogue, message, render, speaks, who
from audit.withdraw import FAILED, OWN

AUDIT = Path(__file__).parent.parent.parent / "audit"
#: What a text may be that is no literal: the tables that it is looked up in, or where it comes from.
WORDS = gap.WORDS | period.WORDS | mistakes.WORDS
TABLES = {
    "NAMES": challengers.NAMES,
    "WORDS": WORDS,
    "CAPTIONS": CAPTIONS | noise.CAPTIONS,
    "CURVES": noise.CURVES,
    "METRICS": mix.METRICS,
    "CHANGES": rules.CHANGES,
    "NEVERS": rules.NEVERS,
    "TOLD": noise.TOLD,
    "KINDS": noise.KINDS,
    "ATTACKS": ATTACKS,
    "TITLES": TITLES,
    "SKILLS": SKILLS,
    "METHODS": METHODS,
    "MOVE_MOST": MOVE_MOST,
    "STARTS": STARTS,
    "STRONGEST": STRONGEST,
    "READINGS": READINGS,
    "JUDGED_FOR": JUDGED_FOR,
    "LEVELS": LEVELS,
    "PARTS": PARTS,
    "FAILED": FAILED,
    "OWN": OWN,
    "NEEDS": NEEDS,
    "WHY": energy.WHY,
    "WAYS": compression.WAYS,
}
ELSEWHERE = {"what", "w", "m.id", "first.unit", "found.unit", "str(result['reason'])"}
#: Texts that are a name and its value, the same in every language.
SAME = {"{value}", "{parts}", "{names}", "{column} = {value}", "{limit:ratio}", "logit", "{n:count}"}
UNITS = {"log-odds", "logit", "probability", "value", "label"}  # of attributions
RUNNER = {"Not asked for.", "The rows could not be scored.", LATE}  # why a check was not run
LABELS = {"caption", "x_label", "y_label", "row_label", "column_label"}
TEXTS = {"Column": {"label"}, "Test": {"null"}, "rate": {"what"}}
CJK = r"[\u4e00-\u9fff]"


def trees() -> Iterator[ast.Module]:
    for path in sorted(AUDIT.rglob("*.py")):
        yield ast.parse(path.read_text("utf-8"))


def called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""


def constants(tree: ast.Module) -> dict[str, str]:
    """Texts that a module names."""
    return {
        node.targets[0].id: str(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
    }


def said(node: ast.expr, named: dict[str, str]) -> set[str]:
    """The templates that the first argument of a message can be."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.BoolOp):
        return set().union(*(said(v, named) for v in node.values))
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in TABLES:
        return {text for text in TABLES[node.value.id].values() if text}
    if isinstance(node, ast.Name) and node.id in named:
        return {named[node.id]}
    assert ast.unparse(node) in ELSEWHERE, f"a message from {ast.unparse(node)}: name its texts here"
    return set()


@cache
def templates() -> frozenset[str]:
    """All texts of `audit` that a document holds."""
    found: set[str] = set()
    for tree in trees():
        named = constants(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if called(node) == "message" and node.args:
                found |= said(node.args[0], named)
            kept = LABELS | TEXTS.get(called(node), set())
            given = [k.value for k in node.keywords if k.arg in kept and called(node) != "message"]
            found |= {str(v.value) for v in given if isinstance(v, ast.Constant)}
            if called(node) == "Series":
                found |= {str(k.value.value) for k in node.keywords if k.arg == "name" and isinstance(k.value, ast.Constant)}
    for check in checks().values():
        if check.info.provider == "audit":
            found |= {check.info.title, check.info.meaning, check.info.limits, check.info.unit}
    built_in = tomllib.loads((AUDIT / "plans" / "default.toml").read_text("utf-8"))
    criteria = [c for check in built_in["checks"].values() for c in check.get("criteria", [])]
    found |= {c["source"] for c in [*built_in["decides"].values(), *criteria]}
    judge = ast.parse((AUDIT / "questions.py").read_text("utf-8"))
    assigned = [n for n in ast.walk(judge) if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "source"]
    found |= {str(n.value.value) for n in assigned if isinstance(n.value, ast.Constant)}
    return frozenset((found | set(NEEDS.values()) | UNITS | RUNNER) - {""})


def fields(template: str) -> list[tuple[str, str | None]]:
    """Each value with its format, as often as it stands there."""
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(template) if name is not None)


@pytest.mark.release
def test_every_text_is_translated() -> None:
    missing = sorted(t for t in templates() if t not in catalogue("zh") and t not in SAME)
    assert not missing, "no Chinese for:\n" + "\n".join(missing)


def test_the_collection_sees_what_it_should() -> None:
    """A template of a sentence, a caption, a column, an axis, a line, a need and a reason."""
    for text in (
        "{comparison}, within the limit of {line}.",
        "Columns of the data",
        "median",
        "predicted probability",
        "mean outcome",
        "No outcome column is known: name it with --target.",
        "It is not defined on these rows.",
        "rows that this rate counts",
        "equality",
        "skill in the Brier score",
    ):
        assert text in templates(), text


def test_english_templates_use_our_formats_only() -> None:
    for text in templates():
        for _, form in fields(text):
            assert not form or form in FORMATS, text


def test_translations_keep_values_and_formats() -> None:
    for english, chinese in catalogue("zh").items():
        assert set(fields(english)) == set(fields(chinese)), english


def test_chinese_has_its_own_punctuation() -> None:
    for chinese in catalogue("zh").values():
        assert not re.search(rf"{CJK}[,;:?!()]|[,;:?!(]{CJK}", chinese), chinese
        assert not re.search(rf"{CJK}\.(?:$|\s|{CJK})", chinese), chinese
        assert not re.search(rf"{CJK} [A-Za-z0-9{{]|[A-Za-z0-9}}%] {CJK}", chinese), f"a thin space belongs there: {chinese}"
        bare = re.sub(r"{[^}]*}", "~", chinese)
        assert not re.search(rf"{CJK}[A-Za-z0-9]|[A-Za-z0-9%]{CJK}", bare), f"a thin space belongs there: {chinese}"


def test_words_for_values_of_ours_know_those_of_the_data_and_the_judge() -> None:
    assert {MISSING, OTHERS} < set(LEVELS)


@pytest.mark.parametrize(
    ("slice_", "english", "chinese"),
    [
        ({}, "everybody", "全体"),
        ({"race": "black"}, "black (race)", "black（race）"),
        ({"race": "black", "sex": "female"}, "black, female (race, sex)", "black、female（race、sex）"),
        ({"race": "black", "sex": MISSING}, "black, unknown (race, sex)", "black、未知（race、sex）"),
        ({"black": "1"}, "black = 1", "black = 1"),
        ({"age": "[25, 37)"}, "age = [25, 37)", "age = [25, 37)"),
        ({"race": "black", "age": "[25, 37)"}, "black (race), age = [25, 37)", "black（race）、age = [25, 37)"),
        ({"race": OTHERS}, "all other groups (race)", "所有其他群体（race）"),
        ({"(feature)": "income"}, "income", "income"),
        ({"race": "black", "(prediction)": "yes"}, "black (race), prediction yes", "black（race）、预测\u2009yes"),
        ({"race": "{0.x}", "(class)": "{value}"}, "{0.x} (race), class {value}", "{0.x}（race）、类别\u2009{value}"),
    ],
)
def test_people_are_named_by_value_where_that_is_clear(slice_: dict[str, str], english: str, chinese: str) -> None:
    assert render(who(slice_)) == english
    assert render(who(slice_), "zh") == chinese


def test_the_second_of_two_is_named_without_its_column() -> None:
    assert render(beside({"race": "black"}, {"race": "white"})) == "white"
    assert render(beside({"black": "1"}, {"black": "0"})) == "black = 0"
    assert render(beside({"race": "black"}, {"sex": "male"})) == "male (sex)"
    assert speaks("female")
    assert not speaks("true")


@pytest.mark.parametrize(
    ("value", "said"), [(0.754, "0.75"), (0.0023, "0.0023"), (0.0949, "0.095"), (0.0, "0.00"), (1.0, "1.00"), (12.345, "12.35")]
)
def test_a_ratio_keeps_two_digits_however_small_it_is(value: float, said: str) -> None:
    assert FORMATS["ratio"](value) == said


def test_all_groups_of_several_columns_are_said_once() -> None:
    assert render(who({"sex": "*", "race": "*"})) == "all groups (sex, race)"


def test_a_thin_space_parts_chinese_from_latin_only() -> None:
    """The catalogue's templates part each value from Chinese; a value that is Chinese itself, or ends in full-width punctuation, needs no space."""
    told = message("{metric}: {compare} against {against}", metric="F1", compare="x", against=message("training rows"))
    assert render(told, "zh") == "F1：x，对照训练行"
    told = message("{metric}: {compare} against {against}", metric="F1", compare="x", against="white")
    assert render(told, "zh") == "F1：x，对照\u2009white"
    assert render(message("{who} ({n:count} rows)", who="black", n=3), "zh") == "black（3\u2009行）"
