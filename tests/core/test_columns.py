"""What is declared of columns: words in two languages, one source over the other, and declarations that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit import columns
from audit import plan as plans
from audit.columns import ColumnRule
from audit.errors import AuditError
from audit.roles import merge

KINDS = {"age": "number", "job": "category"}


def test_words_fall_back_to_english_then_to_any_then_to_the_name() -> None:
    rule = ColumnRule(label={"en": "age in years", "zh": "年龄"}, values={"1": {"zh": "一"}, "2": "two"})
    assert (rule.called("age", "en"), rule.called("age", "zh")) == ("age in years", "年龄")
    assert (rule.value("1", "en"), rule.value("2", "zh"), rule.value("3", "en")) == ("一", "two", "3")
    assert ColumnRule(label="age").called("x", "zh") == "age"
    assert ColumnRule().called("x", "zh") == "x"


def test_the_plan_overrules_what_training_logged_key_by_key(tmp_path: Path) -> None:
    logged = {"columns": {"age": {"immutable": True, "label": "age"}, "job": {"label": "work"}}}
    path = tmp_path / "plan.toml"
    path.write_text('[columns.age]\nimmutable = false\nmonotone = "increasing"\n')
    given = plans.load(path).model_dump(mode="json")["columns"]
    assert given == {"age": {"immutable": False, "monotone": "increasing"}}, "defaults are not written out, so they overrule nothing"
    roles = merge(logged, {"columns": given})
    assert columns.rules(roles.columns)["age"] == ColumnRule(immutable=False, monotone="increasing", label="age")
    assert columns.rules(roles.columns)["job"].label == "work"


def refused(declared: dict[str, dict[str, object]], sensitive: list[str] | None = None) -> str:
    with pytest.raises(AuditError) as error:
        columns.refuse(declared, sensitive or [], declared, ["age", "job", "sex"], KINDS)
    return str(error.value)


def test_declarations_that_do_not_fit_the_data_are_refused_by_name() -> None:
    assert "[columns.agee] names no column of the data" in refused({"agee": {"immutable": True}})
    assert "[columns.job] says monotone, and the column holds no numbers" in refused({"job": {"monotone": "increasing"}})
    assert "[columns.job] says range" in refused({"job": {"range": [0, 1]}})
    assert "one_hot group 'g' has the column 'age' only" in refused({"age": {"one_hot": "g"}})
    assert "is no input of the model" in refused({"age": {"one_hot": "g"}, "sex": {"one_hot": "g"}})
    assert "'sex' is a sensitive column" in refused({"sex": {"prohibited": False}}, sensitive=["sex"])
    assert "columns.age.range is not valid" in refused({"age": {"range": [2, 1]}})
    assert "[columns.age] names 'gone', which is no other input that holds numbers" in refused({"age": {"at_least": "gone"}})
    assert "a ratio is of two different columns" in refused({"age": {"ratio": ["job", "job"]}})
    assert "has no limits of its own" in refused({"age": {"ratio": ["job", "sex"], "immutable": True}})
    fitting = {"age": {"range": [1, 2]}, "job": {"immutable": True}, "sex": {"label": "sex"}, "gone": {"label": "logged"}}
    columns.refuse(fitting, [], [], ["age", "job", "sex"], KINDS)


def test_both_sources_together_may_contradict_each_other() -> None:
    roles = merge({"columns": {"age": {"monotone": "increasing"}}}, {"columns": {"age": {"immutable": True}}})
    with pytest.raises(AuditError, match="contradict each other"):
        columns.rules(roles.columns)


def test_the_mortgage_presets_say_of_every_input_what_it_is_called_in_both_languages() -> None:
    from models.config import load_preset

    for name in ("credit", "credit-trees"):
        data = load_preset(name).data
        for column, said in data.columns.items():
            rule = ColumnRule.model_validate(said)
            assert rule.called(column, "en") != column
            assert rule.called(column, "zh") != rule.called(column, "en")
            assert all(rule.value(v, "zh") != v for v in rule.values)
        assert {"approve", "obrat", "cons"} <= set(data.columns)


def test_what_the_mortgage_presets_let_change_agrees_with_what_derives_from_it() -> None:
    """The loan over the price moves with the loan; what is made of fixed costs and incomes is fixed; all debts hold those of the home."""
    from models.config import load_preset

    for name in ("credit", "credit-trees"):
        declared = load_preset(name).data.columns
        rule = columns.rules(declared)
        kinds = {c: "category" if c in ("occ", "prop", "mortg", "cons") else "number" for c in declared if c != "approve"}
        columns.refuse(declared, [], declared, list(declared), kinds)
        assert rule["loanprc"].ratio == ["loanamt", "price"]
        assert (rule["loanamt"].monotone, rule["price"].immutable) == ("decreasing", True)
        assert all(rule[c].immutable for c in ("hexp", "atotinc", "cototinc", "hrat"))
        assert (rule["obrat"].monotone, rule["obrat"].at_least) == ("decreasing", "hrat")
