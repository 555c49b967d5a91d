"""What holds for every registered check, a newcomer's included: it says what it is, repeats itself, and bears degenerate rows."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene import Scene, completed, set_scene

from audit import plan as plans
from audit.errors import AuditError
from audit.measurement import Measurement
from audit.named_slices import Span
from audit.plan import CheckPlan, Plan
from audit.probe import collect
from audit.registry import FAMILIES, NEEDS, Check, checks
from audit.result import AuditResult
from audit.text import render

ROOT = Path(__file__).parents[2]
CHECKS = checks()
#: What needs no model, and so can be tried on any rows here.
DIRECT = [id_ for id_, check in CHECKS.items() if not check.info.probing]
HEAVY = ("numpy", "scipy", "pandas", "mlflow", "torch", "sklearn", "duckdb", "pyarrow")


@pytest.fixture(params=CHECKS.values(), ids=list(CHECKS))
def check(request: pytest.FixtureRequest) -> Check:
    return request.param  # type: ignore[no-any-return]


def test_ids_are_family_and_name(check: Check) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", check.info.id)
    assert check.info.id.split(".")[0] in FAMILIES


def test_texts_are_there_and_whole(check: Check) -> None:
    info = check.info
    for text in (info.meaning, info.limits):
        assert len(text) > 40
        assert text[0].isupper()
        assert text.rstrip().endswith((".", "?"))
        assert "  " not in text
    assert info.title
    assert info.title[0].isupper()
    assert not info.title.endswith(".")
    assert info.unit
    assert set(info.needs) <= set(NEEDS)


def test_no_text_promises_what_no_audit_can(check: Check) -> None:
    texts = " ".join((check.info.title, check.info.meaning, check.info.limits)).lower()
    for word in ("unbiased", "compliant", "guarantee"):
        assert word not in texts


def test_parameters_are_keywords_with_defaults_and_types(check: Check) -> None:
    parameters = list(inspect.signature(check.run).parameters.values())
    assert parameters[0].name == "ctx"
    for parameter in parameters[1:]:
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is not inspect.Parameter.empty
        assert parameter.annotation is not inspect.Parameter.empty
    assert check.parameters({}) == dict(check.defaults)
    assert check.run.__doc__


def test_parameters_refuse_what_is_no_number_of_their_range(check: Check) -> None:
    """A text or a truth value for a number, and a number below every sensible one."""
    for name, default in check.defaults.items():
        assert check.parameters({name: default})[name] == default
        if isinstance(default, int | float) and not isinstance(default, bool):
            for wrong in (str(default), True, -1, float("nan")):
                with pytest.raises(AuditError, match=name):
                    check.parameters({name: wrong})


def _at_import(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def test_modules_import_only_the_registry_and_typing(check: Check) -> None:
    """So that --list answers at once; what else is needed is imported inside the function or for type checkers."""
    tree = ast.parse(inspect.getsource(sys.modules[check.run.__module__]))
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in _at_import(tree)}
    assert names <= {"__future__", "collections.abc", "typing", "audit.registry"}


@pytest.mark.parametrize("arguments", [["--list"], ["--help"]])
def test_listing_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys, runpy\n"
        f"sys.argv = ['audit.run', *{arguments!r}]\n"
        "try:\n    runpy.run_module('audit.run', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    if arguments == ["--list"]:
        listed = {line.split()[0] for line in done.stdout.splitlines() if line.split()}
        assert set(CHECKS) <= listed


# --- scenes ----------------------------------------------------------------------------------------------------------------------------


COSTS = {"cost_of_errors": {"false_positive": 1, "false_negative": 5}}


def ordinary(n: int = 400, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 2, n)
    return {
        "y": (rng.random(n) < score).astype(int), "pred": (score >= 0.5).astype(int), "score": score,
        "groups": {"sex": rng.choice(["f", "m"], n), "region": rng.choice(["a", "b", "c"], n)}, "context": COSTS,
        "period": np.array(["2019", "2020", "2021"])[np.arange(n) % 3],
    }  # fmt: skip


def several(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    scores = rng.dirichlet([1, 1, 1], n)
    return {
        "y": rng.integers(0, 3, n), "pred": scores.argmax(axis=1), "score": scores / scores.sum(axis=1, keepdims=True), "classes": ["a", "b", "c"],
        "positive": None, "favourable": ["a"], "task": "multiclass", "groups": {"sex": rng.choice(["f", "m"], n)}, "context": COSTS,
        "period": np.array(["2019", "2020"])[np.arange(n) % 2],
    }  # fmt: skip


def quantity(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    y = rng.normal(100, 20, n)
    return {
        "y": y,
        "pred": y + rng.normal(0, 5, n),
        "task": "regression",
        "favourable": ["high"],
        "groups": {"sex": rng.choice(["f", "m"], n)},
        "context": COSTS,
        "period": np.array(["2019", "2020", "2021", "2022"])[np.arange(n) % 4],
    }


def texts(n: int = 400) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    words = np.array(["good", "bad", "late", "cheap", "loud", "small"])
    return ordinary(n) | {"features": {"text": np.array([" ".join(rng.choice(words, 4)) for _ in range(n)])}}


def undefined_but(kept: int, given: dict[str, Any]) -> dict[str, Any]:
    pred = np.array(given["pred"], dtype=float)
    pred[kept:] = np.nan if given.get("task") == "regression" else -1
    out = given | {"pred": pred}
    if "score" in given:
        score = np.array(given["score"])
        score[kept:] = np.nan
        out["score"] = score
    return out


def without_positives() -> dict[str, Any]:
    given = ordinary()
    return given | {"y": np.where(given["groups"]["sex"] == "f", 0, given["y"])}


def local_law() -> Plan:
    plan = plans.load(None)
    named = {
        "fairness.ll144": CheckPlan(params={"sex": "sex", "race": "region"}),
        "fairness.proxy": CheckPlan(params={"probability": ["x"]}),
    }
    return plan.model_copy(
        update={"checks": plan.checks | named, "slices": {"upper half": {"x": Span(low=0.5)}, "region b": {"region": ["b"]}}}
    )


def users(count: int) -> dict[str, Any]:
    """Inputs of 400 rows: a number, and whose list a row is in."""
    return {"x": np.linspace(0, 1, 400), "user": np.array([str(i % count) for i in range(400)])}


def ranked(plan: Plan) -> Plan:
    """The plan, with the rows in lists by user."""
    named = {id_: CheckPlan(params={"by": ["user"]}) for id_ in ("fairness.exposure", "fairness.ranking")}
    return plan.model_copy(update={"checks": plan.checks | named})


def benchmark() -> Plan:
    plan = plans.load(None)
    named = {"language.contamination": CheckPlan(params={"file": str(Path(__file__).with_name("benchmark.csv"))})}
    return plan.model_copy(update={"checks": plan.checks | named})


def declared(kind: str) -> dict[str, Any]:
    """What only somebody's word makes possible: legitimate factors, the columns of a law, a benchmark's file."""
    said = {
        "ordinary": {"plan": ranked(local_law()), "base": np.array([0, 1] * 200), "features": users(40)},
        "texts": {"plan": benchmark()},
    }
    return {"factors": {"grade": ["x", "y", "z", "y"] * 100}} | said.get(kind, {})


def both(rows: int = 400) -> dict[str, Any]:
    """Survey weights, and clusters of about ten rows."""
    return {"weight": np.geomspace(0.1, 50, rows), "cluster": np.arange(rows) * 7 % max(2, rows // 10)}


SCENES: dict[str, Callable[[], dict[str, Any]]] = {
    "ordinary": ordinary,
    "several classes": several,
    "a quantity": quantity,
    "labels only": lambda: ordinary() | {"score": None},
    "several labels only": lambda: several() | {"score": None},
    "scores made for the decision": lambda: (g := ordinary()) | {"score": g["pred"].astype(float), "score_of": "decision"},
    "several scores made for the decision": lambda: several() | {"score_of": "decision"},
    "one row per group": lambda: ordinary(6) | {"groups": {"sex": list("abcdef")}},
    "one row of a quantity per group": lambda: quantity(6) | {"groups": {"sex": list("abcdef")}},
    "a group without positives": without_positives,
    "outcomes of one class": lambda: ordinary() | {"y": np.ones(400, int)},
    "a class that never happens": lambda: several() | {"y": np.array([0, 1] * 200)},
    "a single positive": lambda: ordinary() | {"y": np.array([1] + [0] * 399), "pred": np.zeros(400, int)},
    "everything predicted is one class": lambda: ordinary() | {"pred": np.ones(400, int)},
    "all but two undefined": lambda: undefined_but(2, ordinary()),
    "all but one undefined": lambda: undefined_but(1, ordinary()),
    "all undefined": lambda: undefined_but(0, ordinary()),
    "all but two of several undefined": lambda: undefined_but(2, several()),
    "all of several undefined": lambda: undefined_but(0, several()),
    "all but two of a quantity undefined": lambda: undefined_but(2, quantity()),
    "all but one of a quantity undefined": lambda: undefined_but(1, quantity()),
    "all of a quantity undefined": lambda: undefined_but(0, quantity()),
    "constant scores": lambda: ordinary() | {"score": np.full(400, 0.3), "pred": np.zeros(400, int)},
    "scores of 0 and 1": lambda: (g := ordinary()) | {"score": g["y"].astype(float), "pred": g["y"]},
    "scores wrong with certainty": lambda: (g := ordinary()) | {"score": 1.0 - g["y"], "pred": 1 - g["y"]},
    "a constant quantity predicted": lambda: quantity() | {"pred": np.full(400, 100.0)},
    "a constant outcome of a quantity": lambda: quantity() | {"y": np.full(400, 100.0)},
    "a quantity predicted exactly": lambda: (g := quantity()) | {"pred": g["y"]},
    "missing groups": lambda: ordinary() | {"groups": {"sex": [None] * 100 + ["f"] * 150 + ["m"] * 150, "region": ["a", None] * 200}},
    "all groups missing": lambda: ordinary() | {"groups": {"sex": [None] * 400}},
    "one group": lambda: ordinary() | {"groups": {"sex": ["f"] * 400}},
    "no groups": lambda: ordinary() | {"groups": {}},
    "no outcome": lambda: ordinary() | {"y": None},
    "no outcome of a quantity": lambda: quantity() | {"y": None},
    "outcomes all missing": lambda: ordinary() | {"y": np.full(400, -1)},
    "nothing favourable": lambda: ordinary() | {"favourable": []},
    "nothing favourable of several": lambda: several() | {"favourable": []},
    "nothing favourable of a quantity": lambda: quantity() | {"favourable": []},
    "a low quantity is favourable": lambda: quantity() | {"favourable": ["low"]},
    "the event is unfavourable": lambda: ordinary() | {"favourable": ["0"]},
    "several favourable": lambda: several() | {"favourable": ["a", "b"]},
    "nobody declared costs": lambda: ordinary() | {"context": {}},
    "costs of errors below those of right decisions": lambda: ordinary() | {
        "context": {"cost_of_errors": {"false_positive": 0, "false_negative": 0, "true_positive": 3}}
    },
    "texts": texts,
    "texts and a benchmark": lambda: texts() | {"plan": benchmark()},
    "texts without a word": lambda: texts() | {"features": {"text": np.array(["", "?"] * 200)}},
    "pictures of one colour": lambda: ordinary(200) | {"features": {"picture": np.zeros((200, 3, 4, 4), np.float32)}},
    "one row": lambda: ordinary(1),
    "survey weights": lambda: ordinary() | {"weight": np.geomspace(0.1, 50, 400)},
    "survey weights of several classes": lambda: several() | {"weight": np.geomspace(0.1, 50, 400)},
    "survey weights of a quantity": lambda: quantity() | {"weight": np.geomspace(0.1, 50, 400)},
    "survey weights and one row per group": lambda: ordinary(6) | {"groups": {"sex": list("abcdef")}, "weight": np.arange(1.0, 7)},
    "survey weights and outcomes of one class": lambda: ordinary() | {"y": np.ones(400, int), "weight": np.geomspace(0.1, 50, 400)},
    "survey weights and all undefined": lambda: undefined_but(0, ordinary()) | {"weight": np.geomspace(0.1, 50, 400)},
    "survey weights of clusters": lambda: ordinary() | both(),
    "survey weights of clusters and several classes": lambda: several() | both(),
    "survey weights of clusters and a quantity": lambda: quantity() | both(),
    "survey weights of clusters and one row per group": lambda: ordinary(6) | {"groups": {"sex": list("abcdef")}} | both(6),
    "survey weights of clusters and outcomes of one class": lambda: ordinary() | {"y": np.ones(400, int)} | both(),
    "survey weights of clusters and all but two undefined": lambda: undefined_but(2, ordinary()) | both(),
    "survey weights of clusters and all undefined": lambda: undefined_but(0, ordinary()) | both(),
    "survey weights of one cluster": lambda: ordinary() | both() | {"cluster": np.zeros(400, int)},
    "survey weights of one cluster of a quantity": lambda: quantity() | both() | {"cluster": np.zeros(400, int)},
    "a constant quantity predicted by survey weights of clusters": lambda: quantity() | {"pred": np.full(400, 100.0)} | both(),
    "constant scores by survey weights of clusters": lambda: ordinary() | {"score": np.full(400, 0.3), "pred": np.zeros(400, int)} | both(),
    "two rows": lambda: ordinary(2),
    "declared factors": lambda: ordinary() | {"factors": {"grade": ["x", "y", "z", "y"] * 100, "area": ["n", None] * 200}},
    "factors that hold one group each": lambda: (g := ordinary()) | {"factors": {"same": g["groups"]["sex"]}},
    "a stratum for each row": lambda: ordinary() | {"factors": {"many": [str(i) for i in range(400)]}},
    "factors of a quantity": lambda: quantity() | {"factors": {"grade": ["x", "y"] * 200}},
    "columns of Local Law 144": lambda: ordinary() | {"plan": local_law()},
    "columns of Local Law 144 with nobody known": lambda: ordinary() | {"groups": {"sex": [None] * 400, "region": ["a", None] * 200}, "plan": local_law()},
    "columns of Local Law 144 and a quantity": lambda: quantity() | {"groups": {"sex": ["f", "m"] * 200, "region": ["a", "a", "b", None] * 100}, "plan": local_law()},
    "lists": lambda: ordinary() | {"features": users(40), "plan": ranked(plans.load(None))},
    "lists of one row": lambda: ordinary() | {"features": users(400), "plan": ranked(plans.load(None))},
    "lists without positives": lambda: without_positives() | {"features": users(40), "plan": ranked(plans.load(None))},
    "lists of which nothing is defined": lambda: undefined_but(0, ordinary()) | {"features": users(40), "plan": ranked(plans.load(None))},
    "a smaller model of several classes": lambda: several() | {"base": np.array([-1, 0, 1, 2] * 100)},
    "hostile names": lambda: ordinary() | {"groups": {"se{x}": ["{n:count}", "<b>\"'"] * 200}, "classes": ["{0}", "{"], "positive": "{", "favourable": ["{"]},
}  # fmt: skip


def few_draws(scene: Scene, check: str) -> dict[str, Any]:
    return plans.parameters(scene.plan, CHECKS[check]) | {name: 25 for name in ("draws", "replicates") if name in CHECKS[check].defaults}


def asked(scene: Scene) -> list[str]:
    """The checks that the runner would ask of these rows, of those that need no model."""
    return [id_ for id_ in DIRECT if not scene.missing(id_)]


@pytest.mark.parametrize("name", list(SCENES))
def test_any_rows_give_measurements_without_a_warning_and_a_document(tmp_path: Path, name: str, subtests: pytest.Subtests) -> None:
    """Of each check no exception, no NaN (the records refuse it), no warning of numpy, and one whole sentence; then all of them in one document."""
    scene, results = set_scene(tmp_path, **SCENES[name]()), {}
    assert "data.profile" in asked(scene)
    for id_ in asked(scene):
        with subtests.test(check=id_):
            params = few_draws(scene, id_)
            with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
                warnings.simplefilter("error")
                measurements, summary = collect(scene.context(id_), params)
            for lang in ("en", "zh"):
                assert len(render(summary, lang)) > 10
            assert render(summary)[-1] in ".:"
            are_whole(measurements)
            results[id_] = completed(measurements, summary) | {"params": params, "seconds": 0.0}
    for id_ in CHECKS.keys() - results.keys():
        given = {"params": plans.parameters(scene.plan, CHECKS[id_]), "seconds": 0.0}
        results[id_] = {"status": "skipped", "reason": scene.missing(id_) or "no model here", **given}
    is_whole(scene.document(results={id_: results[id_] for id_ in CHECKS}))


def are_whole(measurements: list[Measurement]) -> None:
    seen: set[tuple[Any, ...]] = set()
    for m in measurements:
        assert Measurement.model_validate_json(m.model_dump_json()) == m
        assert m.estimate is not None or (m.reason or "").endswith((".", "?"))
        key = (m.metric, m.compare, *sorted(m.slice.items()))
        assert key not in seen, f"two measurements of one question: {key}"
        seen.add(key)
        if m.estimate is not None:
            assert m.estimate.low <= m.estimate.value <= m.estimate.high


def is_whole(document: AuditResult) -> None:
    assert document.model_validate_json(document.model_dump_json()) == document
    assert {c.info.id for c in document.checks} == set(CHECKS)
    assert document.why
    for question in document.questions:
        assert question.verdict == "pass" or question.findings or question.reason
    assert document.answered.decides == len(document.questions)
    if document.verdict == "pass":
        assert all(q.verdict == "pass" and q.answered for q in document.questions)


KINDS = ["ordinary", "several classes", "a quantity"]


def test_every_check_is_asked_of_some_rows(tmp_path: Path) -> None:
    """A check that no scene suits would be covered by nothing here."""
    assert {id_ for kind in [*KINDS, "texts"] for id_ in asked(set_scene(tmp_path, **SCENES[kind]() | declared(kind)))} == set(DIRECT)


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_agree_to_the_last_digit(tmp_path: Path, kind: str, subtests: pytest.Subtests) -> None:
    scenes = [set_scene(tmp_path, **SCENES[kind]() | declared(kind)) for _ in range(2)]
    for id_ in asked(scenes[0]):
        with subtests.test(check=id_):
            dumped = [json.dumps([m.model_dump(mode="json") for m in s.measure(id_, **few_draws(s, id_))]) for s in scenes]
            assert dumped[0] == dumped[1]


def test_the_same_rows_give_the_same_digest(tmp_path: Path) -> None:
    assert len({set_scene(tmp_path, **ordinary()).document().digest for _ in range(2)}) == 1
    assert set_scene(tmp_path, **ordinary(seed=9)).document().digest != set_scene(tmp_path, **ordinary()).document().digest


#: What divides the rows by their ids, which are positions: another order is another division (decisions.md 11).
BY_ROW_ID = {
    "uncertainty.conformal",
    "fairness.consistency",
    "fairness.subgroups",
    "performance.slices",
    "performance.error_tree",
    "performance.error_clusters",
}


def test_the_order_of_rows_changes_nothing_but_last_digits(tmp_path: Path, subtests: pytest.Subtests) -> None:
    given = ordinary() | {"factors": {"grade": np.array(["x", "y", "z", "y"] * 100)}}
    order = np.random.default_rng(5).permutation(400)
    named = {name: {k: v[order] for k, v in given[name].items()} for name in ("groups", "factors")}
    turned = {k: v[order] for k, v in given.items() if k not in (*named, "context")} | named | {"context": COSTS}
    scenes = [set_scene(tmp_path, **g, features={"x": np.zeros(400)}, plan=local_law()) for g in (given, turned)]
    for id_ in asked(scenes[0]):
        if id_ in BY_ROW_ID:
            continue
        with subtests.test(check=id_):
            one, other = (s.measure(id_, **few_draws(s, id_)) for s in scenes)
            assert len(one) == len(other)
            for a, b in zip(one, other, strict=True):
                assert (a.metric, a.compare, a.slice, a.parts) == (b.metric, b.compare, b.slice, b.parts)
                if a.estimate is not None and b.estimate is not None:
                    assert a.estimate.value == pytest.approx(b.estimate.value, abs=1e-12)
