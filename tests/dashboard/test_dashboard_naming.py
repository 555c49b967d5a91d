"""A saved cohort becomes a slice that an audit names: from the page of errors to the form, the command and its document."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import streamlit as st
from test_dashboard_access import read, visit
from test_dashboard_access import roles as roles
from test_dashboard_runs import page, wait

from audit.cohorts.named import Cohort, Condition
from audit.toml import dumps
from dashboard import naming, runs
from dashboard.asking import CannotAskError
from dashboard.cohorts import Shelf
from dashboard.command import environment
from dashboard.store import Source, document_at, entry_of

WHO = "aud@example.org"
#: A name and a value that would be options, markup or TOML if anything let them.
COHORT = Cohort(name='--plan "x"] <b>', conditions=[Condition(column="shop", values=["b"]), Condition(column="age", low=40)])


def test_a_cohort_is_named_in_a_plan_beside_what_it_says(home: Path) -> None:
    (home / "own.toml").write_text(
        '[audit]\nseed = 3\n[slices.old]\nage = { high = 30 }\n[[checks."performance.gap".criteria]]\nmetric = "roc_auc"\nmax = 0.1\n'
    )
    given = tomllib.loads(Path(naming.plan_with("own.toml", [COHORT], home)).read_text())
    assert given["audit"] == {"seed": 3}
    assert given["slices"] == {"old": {"age": {"high": 30}}, COHORT.name: {"shop": ["b"], "age": {"low": 40}}}
    assert given["checks"]["performance.gap"]["criteria"] == [{"metric": "roc_auc", "max": 0.1}]
    assert naming.plan_with("own.toml", [COHORT], home) == naming.plan_with("own.toml", [COHORT], home)
    assert tomllib.loads(Path(naming.plan_with("", [COHORT], home)).read_text()) == {
        "slices": {COHORT.name: {"shop": ["b"], "age": {"low": 40}}}
    }


@pytest.mark.parametrize("text", [None, "[slices", dumps({"slices": {COHORT.name: {"shop": ["a"]}}}), "slices = 3"])
def test_a_plan_that_cannot_be_added_to_is_left_alone(home: Path, text: str | None) -> None:
    if text is not None:
        (home / "own.toml").write_text(text)
    with pytest.raises(CannotAskError):
        naming.plan_with("own.toml", [COHORT], home)


def test_a_cohort_is_audited_by_its_name_on_the_table_that_is_there(roles: Path, home: Path) -> None:
    st.cache_resource.clear()
    draw = random.Random(0)
    lines = []
    for _ in range(600):
        shop, age, y = draw.choice("ab"), draw.randrange(20, 70), draw.randrange(2)
        wrong = draw.random() < (0.5 if shop == "b" and age >= 40 else 0.1)
        lines.append(f"{y},{1 - y if wrong else y},{shop},{age}")
    (home / "rows.csv").write_text("y,d,shop,age\n" + "\n".join(lines), "utf-8")
    words = ["predictions", "--data", "rows.csv", "--target", "y", "--prediction", "d", "--sensitive", "shop", "--checks", "data.profile,performance.overall,performance.named_slices", "--no-log", "--out", "audits/first", "--seed", "4", "--positive", "1"]  # fmt: skip
    subprocess.run(
        [sys.executable, "-P", "-m", "audit.run", *words], cwd=home, env=dict(os.environ) | environment(), check=True, capture_output=True
    )
    first = document_at(home / "audits" / "first")
    Shelf(home, WHO).save(COHORT)

    at = visit(WHO)
    at.query_params["like"] = entry_of(first, Source(str(home / "audits" / "first"), ""), signed=False).key
    at.query_params["cohort"] = COHORT.name
    page(at)
    assert "The form is filled as predictions" in read(at)
    assert at.text_input(key="model").value == "predictions"
    assert at.text_input(key="run-data").value == str(home / "rows.csv") or at.text_input(key="run-data").value == "rows.csv"
    assert (at.text_input(key="run-target").value, at.number_input(key="run-seed").value) == ("y", 4)
    assert at.multiselect(key="run-cohorts").value == [COHORT.name]
    at.checkbox(key="run-no-log").check()
    next(b for b in at.button if b.label == "Show the plan and its cost").click().run()
    assert not at.exception
    next(b for b in at.button if b.label == "Start the audit").click().run()
    assert not at.exception
    run = runs.of(home)[0]
    wait(lambda: not runs.alive(run))
    assert runs.state(run) == "finished", runs.log_end(run)

    second = document_at(Path(run.out))
    check = next(c for c in second.checks if c.info.id == "performance.named_slices")
    (worse,) = [f for f in check.findings if (f.metric, f.compare) == ("zero_one_loss", "difference")]
    assert worse.slice == {"(slice)": COHORT.name}
    assert worse.verdict == "fail"
    assert second.environment.scored == first.environment.scored, "the scored table is used again"
    assert second.plan["slices"] == {COHORT.name: {"shop": ["b"], "age": {"low": 40.0, "high": None}}}
    assert {c.info.id for c in second.checks if c.status == "completed"} == {
        "data.profile",
        "performance.overall",
        "performance.named_slices",
    }
