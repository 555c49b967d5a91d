"""`audit.explain` as a user runs it, on a scikit-learn model that any script logged: one page, both languages, refusals, and a session of what-ifs."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from at_terminal import Done, User

from audit.explain.__main__ import main

SAVE = """
import sys, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
rows = pd.read_csv("people.csv").dropna()[3:]
x, y = rows[["income", "debt", "age", "home"]], rows["granted"]
parts = make_column_transformer((StandardScaler(), ["income", "debt", "age"]), (OneHotEncoder(handle_unknown="ignore"), ["home"]))
model = make_pipeline(parts, LogisticRegression()).fit(x, y)
types = ["numpy.dtype"]
mlflow.sklearn.save_model(model, "granting", signature=infer_signature(x, model.predict(x)), pip_requirements=[], serialization_format="skops", skops_trusted_types=types)
"""
ROLES = ["--data", "people.csv", "--target", "granted", "--positive", "yes", "--favourable", "yes", "--decision", "score>=0.5"]
PLAN = """
[columns.granted]
values = { no = { en = "refused", zh = "拒绝" }, yes = { en = "granted", zh = "同意" } }
[columns.income]
label = { en = "monthly <b>income</b>", zh = "月收入" }
integer = true
monotone = "increasing"
[columns.debt]
label = { en = "debts", zh = "负债" }
range = [0, 5000]
[columns.age]
label = { en = "age", zh = "年龄" }
immutable = true
[columns.home]
label = { en = "home", zh = "住房" }
"""


@pytest.fixture(scope="module")
def granting(user: User) -> User:
    """A model that grants for income and against debt, in the folder of a user."""
    rng = np.random.default_rng(0)
    n = 600
    income, debt, age = rng.normal(4000, 900, n).round(), rng.gamma(2, 900, n).round(1), rng.integers(18, 80, n)
    home = np.array(["own", "rent", "free"])[rng.integers(0, 3, n)]
    granted = np.where((income - 4000) / 900 - (debt - 1800) / 1200 + 0.5 * (home == "own") + rng.normal(0, 0.7, n) > 0, "yes", "no")
    lines = ["income,debt,age,home,sex,granted"]
    lines += [
        f"{i:.0f},{d:.1f},{a},{h},{s},{g}" for i, d, a, h, s, g in zip(income, debt, age, home, ["f", "m"] * (n // 2), granted, strict=True)
    ]
    lines[1] = "2500,4000.0,40,rent,f,no"  # a row that is plainly refused
    lines[2] = "6000,200.0,40,own,m,yes"  # one that is plainly granted
    lines[3] = "99000,4000.0,40,boat,f,yes"  # beyond all others, a category of its own
    lines[4] = "2500,,40,rent,f,no"  # a value missing, which this model refuses
    (user.folder / "people.csv").write_text("\n".join(lines) + "\n")
    (user.folder / "plan.toml").write_text(PLAN)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAVE], cwd=user.folder, env=user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return user


def explain(user: User, *arguments: str, roles: list[str] = ROLES) -> Done:
    return user.run("audit.explain", "granting", *roles, *arguments)


class Words(HTMLParser):
    """What a page says, without its style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.said.append(data.strip())


@pytest.fixture(scope="module")
def refused(granting: User) -> tuple[User, Path, dict[str, Any]]:
    done = explain(granting, "--row", "0", "--reasons", "--recourse", "--plan", "plan.toml", "--out", "one")
    assert done.status == 0, done.err
    page = Path(done.out.strip().splitlines()[-1])
    assert page == granting.folder / "one" / "explanation.html"
    return granting, page, json.loads((page.parent / "explanation.json").read_bytes())


def test_a_refused_applicant_gets_one_page_with_reasons_and_ways(refused: tuple[User, Path, dict[str, Any]]) -> None:
    _, page, document = refused
    assert document["decision"]["label"] == "no"
    assert document["decision"]["favourable"] is False
    assert document["explanation"]["gates"][0]["passed"]
    reasons = document["reasons"]
    assert reasons["state"] == "given"
    assert [r["factor"] for r in reasons["methods"][0]["reasons"]][:2] in (["debt", "income"], ["income", "debt"])
    assert len(reasons["methods"]) == 2
    ways = document["recourse"]["ways"]
    assert ways
    for way in ways:
        changed = {c["column"]: (c["before"], c["after"]) for c in way["changes"]}
        assert "age" not in changed
        assert changed.get("income", (0, 1))[1] > changed.get("income", (0, 1))[0]
        assert changed.get("income", (0, 1.0))[1] == round(changed.get("income", (0, 1.0))[1])
        assert 0 <= changed.get("debt", (0, 1))[1] <= 5000
        assert way["score"] >= 0.5
    said = Words(page.read_text("utf-8"))
    text = " ".join(said.said)
    assert "The decision: refused" in text
    assert "monthly <b>income</b>" in text, "words of others are shown as they are"
    assert "b" in said.tags  # ours; theirs is text
    assert "&lt;b&gt;income" in page.read_text("utf-8")
    assert "DRAFT" in text
    assert "This is no promise" in text
    assert not {"script", "iframe", "img", "link"} & said.tags


def test_each_way_is_valid_when_the_model_is_asked_again(refused: tuple[User, Path, dict[str, Any]]) -> None:
    user, _, document = refused
    questions = [
        json.dumps({"op": "predict", "row": 0, "values": {c["column"]: c["after"] for c in way["changes"]}})
        for way in document["recourse"]["ways"]
    ]
    for record in session(user, questions)[1:]:
        assert record["ok"], record
        assert record["result"]["decision"]["favourable"] is True


def test_the_document_is_canonical_and_repeats_itself(refused: tuple[User, Path, dict[str, Any]]) -> None:
    import rfc8785

    user, page, document = refused
    assert (page.parent / "explanation.json").read_bytes() == rfc8785.dumps(document)
    again = explain(user, "--row", "0", "--reasons", "--recourse", "--plan", "plan.toml", "--out", "again", "--lang", "zh")
    assert again.status == 0, again.err
    other = json.loads((user.folder / "again" / "explanation.json").read_bytes())
    for key in ("explanation", "reasons", "recourse", "decision", "inputs"):
        assert other[key] == document[key]
    zh = Path(again.out.strip().splitlines()[-1])
    assert zh.name == "explanation.zh.html"
    text = " ".join(Words(zh.read_text("utf-8")).said)
    for words in ("决定：拒绝", "主要理由", "怎样才能改变决定", "负债", "月收入", "这不是承诺", "草稿"):
        assert words in text


def test_a_row_beyond_the_data_says_so_on_the_page(granting: User) -> None:
    people = (granting.folder / "people.csv").read_text().splitlines()
    (granting.folder / "train.csv").write_text("\n".join([people[0], *people[5:]]) + "\n")
    done = explain(granting, "--row", "2", "--plan", "plan.toml", "--out", "odd", "--training", "train.csv")
    assert done.status == 0, done.err
    text = " ".join(Words((granting.folder / "odd" / "explanation.html").read_text("utf-8")).said)
    assert "monthly <b>income</b> is 99,000, outside what the training rows have" in text
    assert "home is boat, which none of the training rows has" in text


def test_a_row_that_the_model_refuses_gets_a_page_that_says_so(granting: User) -> None:
    done = explain(granting, "--row", "3", "--reasons", "--recourse", "--plan", "plan.toml", "--out", "missing")
    assert done.status == 0, done.err
    text = " ".join(Words((granting.folder / "missing" / "explanation.html").read_text("utf-8")).said)
    assert "Not known for this row: debts" in text
    assert "The model gives no answer" in text
    assert json.loads((granting.folder / "missing" / "explanation.json").read_bytes())["reasons"]["state"] == "impossible"


def test_a_granted_one_needs_neither_reasons_nor_ways(granting: User) -> None:
    done = explain(granting, "--row", "1", "--reasons", "--recourse", "--format", "json", "--out", "granted")
    assert done.status == 0, done.err
    document = json.loads(Path(done.out.strip()).read_bytes())
    assert document["reasons"]["state"] == document["recourse"]["state"] == "not_needed"
    assert not (granting.folder / "granted" / "explanation.html").exists()


def test_a_prohibited_basis_among_the_reasons_stops_the_notice(granting: User) -> None:
    (granting.folder / "barred.toml").write_text(PLAN.replace("range = [0, 5000]", "prohibited = true"))
    done = explain(granting, "--row", "0", "--reasons", "--recourse", "--plan", "barred.toml", "--out", "barred")
    assert done.status == 1
    assert "prohibited basis among the principal reasons: escalate" in done.err
    document = json.loads((granting.folder / "barred" / "explanation.json").read_bytes())
    assert document["reasons"]["state"] == "blocked"
    assert all("debt" not in {c["column"] for c in way["changes"]} for way in document["recourse"]["ways"])
    text = " ".join(Words((granting.folder / "barred" / "explanation.html").read_text("utf-8")).said)
    assert "No notice is issued" in text


def test_where_no_way_is_left_the_limit_that_stands_against_it_is_named(granting: User) -> None:
    limits = PLAN.replace("integer = true", "range = [0, 2600]").replace("range = [0, 5000]", "immutable = true") + "immutable = true\n"
    (granting.folder / "closed.toml").write_text(limits)
    done = explain(granting, "--row", "0", "--recourse", "--plan", "closed.toml", "--out", "closed")
    assert done.status == 0, done.err
    found = json.loads((granting.folder / "closed" / "explanation.json").read_bytes())["recourse"]
    assert found["state"] == "none"
    assert set(found["binding"]) & {"income", "debt"}
    assert "age" not in found["binding"]
    text = " ".join(Words((granting.folder / "closed" / "explanation.html").read_text("utf-8")).said)
    assert "What stands against it" in text


NO_FAVOURABLE = ["--data", "people.csv", "--target", "granted", "--positive", "yes"]
REFUSED: dict[str, tuple[list[str], list[str], str]] = {
    "row out of range": (["--row", "600"], ROLES, "there is no row 600"),
    "reasons without favourable": (["--row", "0", "--reasons"], NO_FAVOURABLE, "--favourable"),
    "unknown column in the plan": (["--row", "0", "--plan", "wrong.toml"], ROLES, "[columns.incom] names no column"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_data_cannot_give_is_refused_in_one_line(granting: User, case: str) -> None:
    (granting.folder / "wrong.toml").write_text("[columns.incom]\nimmutable = true\n")
    arguments, roles, said = REFUSED[case]
    done = explain(granting, *arguments, "--out", "refused", roles=roles)
    assert done.status == 2, done.err
    assert done.out == ""
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert said in line
    assert " — " in line
    assert "Traceback" not in done.err
    assert not (granting.folder / "refused").exists()


AT_ONCE = {
    "negative row": (["--row=-1"], "counted from 0"),
    "no row": ([], "name one row"),
    "row and serve": (["--row", "0", "--serve"], "name one row"),
    "out and serve": (["--serve", "--out", "x"], "leave them out"),
    "unknown option": (["--row", "0", "--magic"], "--magic"),
    "no timeout": (["--row", "0", "--timeout", "0"], "above 0"),
    "a folder that holds something": (["--row", "0", "--out", "full"], "not empty"),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_what_the_options_cannot_mean_is_refused_before_anything_is_looked_for(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    arguments, said = AT_ONCE[case]
    assert main(["models:/none/1", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err


def session(user: User, questions: list[str], asked: tuple[str, ...] = ("granting", *ROLES, "--plan", "plan.toml")) -> list[dict[str, Any]]:
    """The answers to these lines, one session."""
    done = subprocess.run(
        [sys.executable, "-m", "audit.explain", *asked, "--serve"], cwd=user.folder, env=user.environment,
        input="\n".join(questions) + "\n", capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_session_answers_every_line_and_dies_of_none(granting: User) -> None:
    questions = [
        '{"op": "predict", "row": 0, "id": 7}',
        "not json",
        "[1, 2]",
        '{"op": "dance"}',
        '{"op": "predict", "row": 10000}',
        '{"op": "predict", "row": true}',
        '{"op": "predict", "row": 0, "values": {"luck": 1}}',
        '{"op": "predict", "row": 0, "values": {"income": "much"}}',
        '{"op": "predict", "row": 0, "values": {"income": NaN}}',
        '{"op": "predict"}',
        '{"op": "predict", "values": {"income": 1}}',
        '{"op": "predict", "row": 0, "more": 1}',
        '{"op": "predict", "row": 0, "values": {"income": "' + "9" * (1 << 20) + '"}}',
        '{"op": "recourse", "row": 0, "values": {"income": 990000, "home": "castle"}}',
        '{"op": "reasons", "values": {"income": 2500, "debt": 4000, "age": 40, "home": "rent"}}',
    ]
    ready, *answers = session(granting, questions)
    assert ready["ready"]
    assert [i["name"] for i in ready["inputs"]] == ["income", "debt", "age", "home"]
    assert [a["ok"] for a in answers] == [True] + [False] * 12 + [True, True]
    assert (answers[0]["id"], answers[0]["result"]["decision"]["label"]) == (7, "no")
    assert all(a["mend"] for a in answers[1:13])
    what_if = answers[13]["result"]
    assert what_if["decision"]["favourable"] is True
    assert what_if["subject"]["changed"] == ["home", "income"]
    assert [n["values"]["name"] for n in what_if["notes"]] == ["income", "home"]
    typed = answers[14]["result"]
    assert typed["subject"]["row"] is None
    assert typed["reasons"]["state"] == "given"
    assert typed["decision"]["score"] == answers[0]["result"]["decision"]["score"]


# --- texts ------------------------------------------------------------------------------------------------------------------------------------

LIKE = """
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
rows = pd.read_csv("reviews.csv")
model = make_pipeline(make_column_transformer((CountVectorizer(), "review")), LogisticRegression()).fit(rows[["review"]], rows.liked)
told = {"signature": infer_signature(rows[["review"]], model.predict(rows[["review"]])), "metadata": {"columns": [{"name": "review", "kind": "text"}]}}
mlflow.sklearn.save_model(model, "liking", pip_requirements=[], serialization_format="skops", skops_trusted_types=["numpy.dtype"], **told)
"""
REVIEWS = ["--data", "reviews.csv", "--target", "liked", "--positive", "yes"]


@pytest.fixture(scope="module")
def liking(user: User) -> User:
    """A model that reads words, and 300 reviews; the first is liked for one word."""
    rng = np.random.default_rng(0)
    words = np.array(["great", "fine", "film", "plot", "dull", "poor", "the", "of"])
    said = [" ".join(rng.choice(words, rng.integers(3, 8))) for _ in range(300)]
    said[0] = "the great film of the dull plot"
    score = [sum({"great": 2, "fine": 1, "dull": -1, "poor": -2}.get(w, 0) for w in text.split()) for text in said]
    lines = [f"{text},{'yes' if s + e > 0 else 'no'}" for text, s, e in zip(said, score, rng.normal(0, 0.5, 300), strict=True)]
    (user.folder / "reviews.csv").write_text("\n".join(["review,liked", *lines]) + "\n")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIKE], cwd=user.folder, env=user.environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return user


def test_a_text_gets_a_page_and_a_session_says_the_same_of_it(liking: User) -> None:
    done = liking.run("audit.explain", "liking", *REVIEWS, "--row", "0", "--recourse", "--out", "liked", "--lang", "zh")
    assert done.status == 0, done.err
    document = json.loads((liking.folder / "liked" / "explanation.json").read_bytes())
    assert document["decision"]["label"] == "yes"
    assert document["explanation"]["parts"][0]["factor"] == "great "
    assert [p["factor"] for p in document["removal"]["parts"]] == ["great "]
    text = " ".join(Words((liking.folder / "liked" / "explanation.zh.html").read_text("utf-8")).said)
    assert "去掉：词语“great”。" in text
    assert "决定将变为：no。" in text
    questions = [
        '{"op": "explain", "row": 0}',
        '{"op": "recourse", "row": 0}',
        '{"op": "explain", "values": {"review": "the great film of the dull plot"}}',
        '{"op": "recourse", "values": {"review": "the film of the dull plot"}}',
        '{"op": "predict", "values": {"review": " "}}',
        '{"op": "predict", "values": {"review": "' + "word " * 420_000 + '"}}',
        '{"op": "predict", "values": {"review": "\\ud800"}}',
        '{"op": "predict", "row": 0}',
    ]
    ready, by_row, removal, typed, other, blank, long, half, last = session(liking, questions, ("liking", *REVIEWS))
    assert [(i["name"], i["kind"], i["levels"]) for i in ready["inputs"]] == [("review", "text", [])], "no text of the data is offered"
    assert by_row["result"]["explanation"] == typed["result"]["explanation"] == document["explanation"]
    assert removal["result"]["removal"] == document["removal"]
    assert other["result"]["decision"]["label"] == document["removal"]["decision"]["label"] == "no"
    assert other["result"]["decision"] == document["removal"]["decision"], "what is told is what the model says when it is asked again"
    assert [r["ok"] for r in (blank, long, half, last)] == [False, False, False, True]
    assert "holds no word" in blank["error"]
    assert "at most 100,000" in long["error"]


def test_reasons_of_a_text_are_refused_before_the_model_is_loaded(liking: User) -> None:
    done = liking.run("audit.explain", "liking", *REVIEWS, "--favourable", "yes", "--row", "0", "--reasons", "--out", "none")
    assert done.status == 2
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "no principal reason — leave out --reasons" in line
    assert not (liking.folder / "none").exists()
