"""The gates over texts, pictures and sequences: honest explanations pass, a random explainer and one that repeats its input fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pieced import EVENTS, IMAGE, TEXT, Model, scene, text, told

from audit.errors import AuditError
from audit.explain import of_pieces
from audit.explain.gates.bench import benches
from audit.judge import judge_reported
from audit.measurement import Heatmap, Measurement
from audit.plan import load
from audit.registry import checks
from audit.result import Finding
from audit.subject.client import Attributions, Prediction
from audit.subject.frame import Frame, rows
from audit.subject.words import pieces
from audit.text import render
from audit.withdraw import rejections

GATES = ("completeness", "infidelity", "deletion", "randomisation", "stability")
WORDS = ("good", "bad", "film", "plot", "the", "very", "not", "dull", "fresh", "slow")


@dataclass
class Net:
    """Two layers over the pixels of a picture, or over the words of a text; a seed draws its weights."""

    inputs: Callable[[Frame], Any]
    seed: int = 0

    def __call__(self, frame: Frame) -> Any:
        x = self.inputs(frame)
        rng = np.random.default_rng(self.seed)
        hidden = np.tanh(x @ rng.normal(size=(x.shape[1], 8)) / np.sqrt(x.shape[1]))
        score = hidden @ rng.normal(size=8)
        return np.stack([score, -score], axis=1)


class Redrawable(Model):
    """A model whose weights can be drawn again."""

    def predict(self, frame: Frame, *, timeout: float | None = None, randomise: int | None = None) -> Prediction:
        if randomise is None:
            return super().predict(frame)
        return Prediction(Net(self.forward.inputs, randomise)(frame), None)  # type: ignore[attr-defined]


def pixels(frame: Frame) -> Any:
    return np.nan_to_num(np.asarray(frame["image"], dtype=float))


def bag(frame: Frame) -> Any:
    """How often each word occurs."""
    return np.array([[own.count(word) for word in WORDS] for own in ([p.strip() for p in pieces(t or "")] for t in told(frame["text"]))])


def pictures(n: int = 40) -> Frame:
    return {"image": np.random.default_rng(3).normal(size=(n, 16)).astype(np.float32)}


def texts(n: int = 40) -> Frame:
    rng = np.random.default_rng(4)
    return {"text": text(*[" ".join(rng.choice(WORDS, size=int(rng.integers(6, 9)))) for _ in range(n)], "", None)}


def width(frame: Frame, words: dict[str, int]) -> int:
    return words["text"] if "text" in frame else 16


class AtRandom:
    """Knows nothing of the model, and says something else each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(6)

    def __call__(self, frame: Frame, background: Frame, **given: Any) -> Attributions:
        n = rows(frame)
        return Attributions(self.rng.normal(size=(n, width(frame, given["words"]))), np.zeros(n), np.zeros(n), "logit")


def itself(frame: Frame, background: Frame, **given: Any) -> Attributions:
    """φ = x, whatever the model is: the pixels, or the lengths of the words."""
    n = rows(frame)
    values = np.zeros((n, width(frame, given["words"])))
    if "image" in frame:
        values[:] = frame["image"]
    else:
        for i, one in enumerate(told(frame["text"])):
            lengths = [len(piece) for piece in pieces(one or "")]
            values[i, : len(lengths)] = lengths
    return Attributions(values, np.zeros(n), np.zeros(n), "logit")


CASES: dict[str, tuple[Callable[[], Frame], Any, Callable[[Frame], Any]]] = {
    "picture": (pictures, IMAGE, pixels),
    "text": (texts, TEXT, bag),
}


def context(kind: str, beside: Any = None, *, redrawable: bool = True) -> Any:
    frame, spec, inputs = CASES[kind]
    ctx = scene(frame(), [spec], Net(inputs), beside, classes=2)
    if redrawable:
        ctx.client = Redrawable(ctx.client.forward, beside)
    ctx.level = lambda *a: 0.9
    return ctx


def judged(ctx: Any, gate: str) -> list[Finding]:
    found = [
        m
        for m in checks()[f"explanation.{gate}"].run(ctx, **{**checks()[f"explanation.{gate}"].defaults, "rows": 25})
        if isinstance(m, Measurement)
    ]
    return judge_reported(f"explanation.{gate}", found, load(None), judgeable=True)


def verdicts(ctx: Any) -> dict[str, str]:
    """What each of the five gates says."""
    said = {}
    for gate in GATES:
        seen = {f.verdict for f in judged(ctx, gate)}
        said[gate] = next(v for v in ("fail", "inconclusive", "pass", "not_judged") if v in seen)
    return said


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs beside the model is not tried out first, so that it is for the gates to find it out."""

    def chosen(ctx: Any, background: Frame, *, by_field: bool = False, method: str = "") -> Any:
        return of_pieces.Way(ctx, "integrated_gradients", background), None

    monkeypatch.setattr(of_pieces, "chosen", chosen)


@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("redrawable", [True, False], ids=["weights", "function"])
def test_shapley_values_of_pieces_pass_every_gate(kind: str, redrawable: bool) -> None:
    said = verdicts(context(kind, redrawable=redrawable))
    assert said["completeness"] == said["infidelity"] == said["deletion"] == said["stability"] == "pass"
    assert said["randomisation"] != "fail"


@pytest.mark.parametrize("kind", list(CASES))
def test_a_random_explainer_of_pieces_fails(kind: str, believed: None) -> None:
    said = verdicts(context(kind, AtRandom()))
    assert (said["completeness"], said["stability"]) == ("fail", "fail")
    assert said["infidelity"] != "pass"
    assert said["deletion"] != "pass"


@pytest.mark.parametrize("kind", list(CASES))
def test_an_explainer_of_pieces_that_repeats_its_input_fails(kind: str, believed: None) -> None:
    ctx = context(kind, itself)
    said = verdicts(ctx)
    assert said["completeness"] == "fail"
    assert said["randomisation"] == "fail"
    gates = {f"explanation.{gate}": judged(ctx, gate) for gate in ("completeness", "randomisation")}
    assert "explanation.global" in rejections(load(None), {"explanation.global": [], **gates})


def test_the_budget_is_kept_and_fixed_beforehand() -> None:
    ctx = context("picture")
    (bench,) = benches(ctx, rows=40, background=10, budget=1, budget_not_table=20_000, explanations=4, least=3)
    assert bench.explanations == 3
    assert 10 <= bench.n <= 20_000 // (3 * 512)
    (bench,) = benches(ctx, rows=40, background=10, budget=1, budget_not_table=50_000, masks=lambda d: 100)
    assert bench.n > 10
    before = ctx.client.asked
    judged(ctx, "deletion")
    assert ctx.client.asked - before <= 50_000


def test_rows_that_have_too_few_parts_say_so() -> None:
    ctx = scene({"text": text(*["good"] * 30, "")}, [TEXT], Net(bag), classes=2)
    for gate in ("infidelity", "deletion", "stability", "randomisation"):
        (found,) = judged(ctx, gate)
        assert found.estimate is None
        assert found.verdict in ("inconclusive", "not_judged")
    assert {f.verdict for f in judged(ctx, "completeness")} <= {"pass", "not_judged"}


def test_a_model_without_an_answer_for_some_variants() -> None:
    """Its rows without an answer are left out, and the others judged."""

    def broken(frame: Frame) -> Any:
        alone = (bag(frame)[:, [0]] == 0) & (bag(frame)[:, [1]] > 0)
        return np.where(alone, np.nan, Net(bag)(frame))

    ctx = scene(texts(60), [TEXT], broken, classes=2)
    for gate in GATES:
        for found in judged(ctx, gate):
            assert found.estimate is not None or gate == "randomisation"
            assert found.estimate is None or np.isfinite([found.estimate.value, found.estimate.low, found.estimate.high]).all()


def test_sequences_are_judged_by_event_and_by_field() -> None:
    rng = np.random.default_rng(5)
    column = np.stack([rng.normal(size=(40, 3)), rng.integers(0, 2, (40, 3))], axis=2).reshape(40, 6).astype(np.float32)
    ctx = scene(
        {"events": column},
        [EVENTS],
        lambda f: np.tanh(np.nansum(f["events"][:, ::2], axis=1)) + 0.3 * np.nansum(f["events"][:, 1::2], axis=1),
    )  # type: ignore[index]
    found = judged(ctx, "infidelity")
    methods = {f.slice["(method)"] for f in found if f.criterion is not None}
    assert methods == {"(exact_shap, events)", "(exact_shap, fields)"}
    assert {f.verdict for f in found if f.criterion is not None} == {"pass"}
    moves = [f for f in judged(ctx, "stability") if f.metric == "excess_sensitivity"]
    assert all(f.estimate is not None for f in moves)


def several(frame: Frame, background: Frame, *, method: str, randomise: int | None = None, **given: Any) -> Attributions:
    """Beside a net of pixels: what each pixel does alone, for one method; its pixels themselves, for another."""
    net, n = Net(pixels, 0 if randomise is None else randomise), rows(frame)
    if method == "lrp":
        return itself(frame, background, **given)
    x, own = pixels(frame), net(frame)
    chosen = (own if randomise is None else Net(pixels)(frame)).argmax(axis=1)[:, None]
    mean = np.asarray(background["image"], dtype=float).mean(axis=0)
    start = np.take_along_axis(np.tile(net({"image": mean[None]}), (n, 1)), chosen, axis=1)[:, 0]
    values = np.stack(
        [(np.take_along_axis(own - net({"image": np.where(np.arange(16) == j, mean, x)}), chosen, axis=1))[:, 0] for j in range(16)], axis=1
    )
    whole = np.take_along_axis(own, chosen, axis=1)[:, 0] - start
    values += ((whole - values.sum(axis=1)) / 16)[:, None]
    return Attributions(values, start, whole + start, "logit")


def test_of_other_methods_what_fails_is_crossed_out_and_only_that() -> None:
    ctx = context("picture", several)
    ctx.check = "explanation.ways"
    ctx.settled.methods = ["integrated_gradients", "grad_cam", "lrp"]
    told_ = list(checks()["explanation.ways"].run(ctx, rows=20, budget_not_table=200_000))
    found, said = [m for m in told_ if isinstance(m, Measurement)], render(told_[-1])
    maps = {m.slice["(method)"]: e for m in found for e in m.evidence if isinstance(e, Heatmap)}
    assert {name: e.rejected for name, e in maps.items()} == {"(grad_cam)": False, "(lrp)": True}
    assert [len(e.values) for e in maps.values()] == [4, 4]
    assert said.startswith(
        "Of each row's own answer, beside Integrated Gradients: no gate rejects Grad-CAM; crossed out: layer-wise relevance propagation (LRP)"
    )
    assert not [m for m in found if m.slice["(method)"] == "(grad_cam)" and m.metric.endswith("completeness_gap")]


def test_a_named_method_explains_pictures_and_another_is_refused() -> None:
    ctx = context("picture", several)
    ctx.check = "explanation.global"
    ctx.settled.methods = ["integrated_gradients", "grad_cam"]
    *_, said = checks()["explanation.global"].run(ctx, rows=20, method="grad_cam")
    assert "(Grad-CAM; explained: each row's own answer" in render(said)
    *_, said = checks()["explanation.local"].run(ctx, rows=20, budget_not_table=200_000, method="leverage_shap")
    for method in ("lrp", "tree_shap", "kernel_shap"):
        with pytest.raises(
            AuditError, match="which this model does not allow — choose one of auto, leverage_shap, integrated_gradients, grad_cam"
        ):
            list(checks()["explanation.global"].run(ctx, rows=20, method=method))


def test_what_explains_is_settled_once_for_all_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever rows a check draws of its own, the method is tried on those of one of them."""
    drawn: list[str] = []
    draw = of_pieces.draw

    def noted(ctx: Any, size: int, background: int) -> Any:
        drawn.append(ctx.check)
        return draw(ctx, size, background)

    monkeypatch.setattr(of_pieces, "draw", noted)
    ctx = context("picture", several)
    for check in ("explanation.global", "explanation.local", "explanation.deletion"):
        ctx.check = check
        way, _ = of_pieces.chosen(ctx, {"image": np.zeros((3, 1, 4, 4), np.float32)})
        assert way.method == "integrated_gradients"
    assert drawn == ["explanation.global"] * 3


def test_a_net_without_other_methods_says_so() -> None:
    ctx = context("text")
    ctx.check = "explanation.ways"
    *_, said = checks()["explanation.ways"].run(ctx, rows=10)
    assert render(said) == "No other method that runs beside the model applies to it."


@pytest.mark.parametrize("rejected", [False, True])
def test_a_map_of_pixels_is_drawn_and_crossed_out_where_it_is_rejected(rejected: bool) -> None:
    from reports import charts

    names = [str(i + 1) for i in range(20)]
    e = Heatmap(
        caption="", row_label="", column_label="", rows=names, columns=names, unit="logit", values=np.eye(20).tolist(), rejected=rejected
    )
    spec = charts.pixels(e)
    cells = spec["data"]["values"]
    assert len(cells) == 400
    assert len({c["fill"] for c in cells}) == 2
    assert (len(spec["layer"]) == 2) == rejected
