"""Ways to the other decision: linear models whose answer is known, and constraints that are never broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import asked

from audit.columns import ColumnRule
from audit.explain.recourse import Search, Way
from audit.explain.single import unlike
from audit.explain.space import CATEGORY_COST, Space, space_of
from audit.probe import collect
from audit.subject.frame import Categories

WEIGHTS, BIAS = np.array([2.0, -1.0, 0.5]), -1.0
LENGTH = 6.0  # numbers from −3 to 3: a shift of 1 is a sixth of the percentiles


def even(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {f"x{i}": np.linspace(-3, 3, 3001)[rng.permutation(3001)] for i in range(3)}


def linear(matrix: Any) -> tuple[Any, Any]:
    f = matrix @ WEIGHTS + BIAS
    return f >= 0, np.maximum(0, -f)


def search(rules: dict[str, ColumnRule], ask: Any = linear) -> Search:
    space = space_of(even(), rules, [])
    return Search(space, ask, space.reference[ask(space.reference)[0]])


def one(rules: dict[str, ColumnRule]) -> tuple[list[float], float]:
    (ways,) = search(rules).ways(np.array([[0.0, 1.0, 0.0]]))
    return ways[0].values.tolist(), ways[0].cost * LENGTH


def test_of_a_linear_score_the_cheapest_way_is_known() -> None:
    """f = 2a − b + c/2 − 1 at (0, 1, 0) is −2: the least sum of changes is |f| / max|w| = 1, along a alone."""
    values, cost = one({})
    assert values == pytest.approx([1, 1, 0], abs=0.02)
    assert cost == pytest.approx(1, abs=0.02)
    values, cost = one({"x0": ColumnRule(immutable=True)})
    assert values == pytest.approx([0, -1, 0], abs=0.02)
    assert cost == pytest.approx(2, abs=0.02)
    values, cost = one({"x0": ColumnRule(range=[-1, 0.5])})
    assert values == pytest.approx([0.5, 0, 0], abs=0.02)
    assert cost == pytest.approx(1.5, abs=0.02)
    values, _ = one({"x0": ColumnRule(monotone="decreasing")})
    assert values == pytest.approx([0, -1, 0], abs=0.02)
    values, _ = one({"x0": ColumnRule(integer=True)})
    assert values == [1, 1, 0]


def test_a_halfway_value_is_rounded_to_where_the_decision_still_holds() -> None:
    def ask(matrix: Any) -> tuple[Any, Any]:
        return matrix[:, 0] >= 0.6181, np.maximum(0, 0.6181 - matrix[:, 0])

    for rule, expected in ((ColumnRule(), 0.62), (ColumnRule(integer=True), 1.0)):
        space = space_of({"x0": np.round(np.linspace(-3, 3, 601), 2)}, {"x0": rule}, [])
        ((way,),) = Search(space, ask, space.reference[ask(space.reference)[0]]).ways(np.array([[0.0]]))
        assert way.values.tolist() == [expected]


def test_ways_differ_in_what_they_change_and_the_cheapest_comes_first() -> None:
    (ways,) = search({}).ways(np.array([[0.0, 1.0, 0.0]]), most=3)
    assert len(ways) == 3
    changed = [tuple(way.values != [0, 1, 0]) for way in ways]
    assert len(set(changed)) == 3
    assert [way.cost for way in ways] == sorted(way.cost for way in ways)


def test_what_changes_all_that_another_way_changes_and_more_is_no_other_way() -> None:
    own = np.array([[0.0, 1.0, 0.0]])
    tried, spread = search({}), Way(np.zeros(3), 0.0, 1, 0.0)
    given = [((1.0, 1.0, 0.0), 0.3), ((0.9, 0.8, 0.0), 0.1), ((0.0, 0.5, 0.5), 0.4), ((0.5, 0.5, 0.5), 0.2)]
    ways = [spread._replace(values=np.array(v), cost=cost, changes=int((np.array(v) != own[0]).sum())) for v, cost in given]
    assert [way.values.tolist() for way in unlike(tried, own, ways)] == [[1.0, 1.0, 0.0], [0.0, 0.5, 0.5]]


def test_where_nothing_helps_nothing_is_found() -> None:
    fixed = {name: ColumnRule(immutable=True) for name in ("x0", "x1", "x2")}
    assert search(fixed).ways(np.array([[0.0, 1.0, 0.0]])) == [[]]
    assert search({}, lambda m: (np.zeros(len(m), bool), np.ones(len(m)))).ways(np.zeros((2, 3))) == [[], []]


def test_a_model_that_says_only_yes_or_no_is_searched_too() -> None:
    """No distance guides the search: the facts of people with the decision do."""

    def blind(matrix: Any) -> tuple[Any, Any]:
        ok = (matrix > 0.9).all(axis=1)
        return ok, np.where(ok, 0.0, 1.0)

    (ways,) = search({}, blind).ways(np.array([[-1.0, -1.0, 2.0]]))
    assert ways[0].values == pytest.approx([0.9, 0.9, 2.0], abs=0.05)


def test_an_undefined_answer_is_no_way() -> None:
    def partly(matrix: Any) -> tuple[Any, Any]:
        ok, gap = linear(matrix)
        return ok, np.where(matrix[:, 0] > 0, np.nan, gap)

    (ways,) = search({}, partly).ways(np.array([[0.0, 1.0, 0.0]]))
    assert ways[0].values[0] <= 0


def test_categories_and_one_hot_groups_change_as_wholes() -> None:
    rng = np.random.default_rng(3)
    hot = np.eye(3)[rng.integers(0, 3, 500)]
    reference = {
        "job": Categories(rng.integers(0, 3, 500).astype(np.int32), ("a", "b", "c")),
        "own": hot[:, 0], "rent": hot[:, 1], "free": hot[:, 2], "age": rng.integers(18, 80, 500).astype(np.int64),
    }  # fmt: skip
    rules = {n: ColumnRule(one_hot="housing") for n in ("own", "rent", "free")} | {"age": ColumnRule(monotone="increasing")}
    space = space_of(reference, rules, [])

    def ask(matrix: Any) -> tuple[Any, Any]:
        frame = space.coding.frame(matrix)
        assert frame["age"].dtype == np.int64
        gap = 2.0 - (frame["own"] == 1) - (frame["job"].codes == 2)
        return gap <= 0, gap

    own = space.coding.matrix(
        {n: c[:1] if not isinstance(c, Categories) else Categories(np.array([0], np.int32), c.vocabulary) for n, c in reference.items()}
    )
    own[0, 1:4] = [0, 1, 0]
    ((way,),) = Search(space, ask, space.reference[ask(space.reference)[0]]).ways(own)
    assert way.values[:4].tolist() == [2, 1, 0, 0]
    assert (way.changes, way.cost) == (2, pytest.approx(2 * CATEGORY_COST))
    wrong = way.values.copy()
    wrong[2] = 1
    assert space.violations(own, wrong[None]).tolist() == [True], "two of a one-hot group"


def test_what_is_missing_stays_missing() -> None:
    space = space_of(even(), {}, [])
    ask = lambda m: linear(np.nan_to_num(m, nan=-1.0))  # noqa: E731
    (ways,) = Search(space, ask, space.reference[linear(space.reference)[0]]).ways(np.array([[np.nan, 1.0, 0.0]]))
    assert np.isnan(ways[0].values[0])
    assert ways[0].cost < 1


RULE = st.builds(
    lambda kind, ends, whole: (
        ColumnRule(immutable=True) if kind == "immutable"
        else ColumnRule(monotone=kind if kind in ("increasing", "decreasing") else "none", range=sorted(ends) if kind != "none" else None, integer=whole)
    ),
    st.sampled_from(["immutable", "increasing", "decreasing", "range", "none"]), st.tuples(st.floats(-3, 3), st.floats(-3, 3)), st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rules=st.tuples(RULE, RULE, RULE), weights=st.tuples(*[st.floats(-2, 2)] * 3), row=st.tuples(*[st.floats(-3, 3)] * 3))
def test_no_way_breaks_a_declaration_and_each_is_valid_when_asked_again(rules: Any, weights: Any, row: Any) -> None:
    def ask(matrix: Any) -> tuple[Any, Any]:
        f = matrix @ np.array(weights) - 0.5
        return f >= 0, np.maximum(0, -f)

    reference = {name: column[::30] for name, column in even().items()}
    declared = {f"x{i}": rule for i, rule in enumerate(rules)}
    space, own = space_of(reference, declared, []), np.array([row])
    if ask(own)[0][0]:
        return
    (ways,) = Search(space, ask, space.reference[ask(space.reference)[0]]).ways(own, most=3)
    for way in ways:
        assert ask(way.values[None])[0][0]
        for before, after, rule in zip(row, way.values, rules, strict=True):
            if after == before:
                continue
            assert not rule.immutable
            assert rule.monotone != "increasing" or after > before
            assert rule.monotone != "decreasing" or after < before
            assert rule.range is None or rule.range[0] <= after <= rule.range[1]
            assert not rule.integer or after == round(after)
        assert not space.violations(own, way.values[None])[0]


def test_the_rules_see_what_a_search_would_have_to_break() -> None:
    rules = {"x0": ColumnRule(monotone="increasing", integer=True), "x1": ColumnRule(range=[0, 1]), "x2": ColumnRule(prohibited=True)}
    space: Space = space_of(even(), rules, [])
    own = np.array([[1.0, 0.5, 0.0]])
    broken = [[0.0, 0.5, 0.0], [1.5, 0.5, 0.0], [1.0, 1.5, 0.0], [1.0, 0.5, 0.1], [np.nan, 0.5, 0.0]]
    kept = [[1.0, 0.5, 0.0], [2.0, 0.5, 0.0], [1.0, 0.9, 0.0]]
    assert [bool(space.violations(own, np.array([row]))[0]) for row in broken + kept] == [True] * 5 + [False] * 3


def test_two_ways_at_distance_one_have_a_determinant_of_three_quarters() -> None:
    """det K, K = 1 / (1 + distance), is how the benchmark tells how different ways are: [[1, ½], [½, 1]] is .75, and 0 where two are the same."""
    from tests.benchmarks.recourse import _det

    space = search({}).space
    assert _det(space, np.array([[-3.0, 0.0, 0.0], [3.0, 0.0, 0.0]])) == pytest.approx(0.75, abs=0.001)
    assert _det(space, np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])) == 0


# --- by gradient --------------------------------------------------------------------------------------------------------------------------


def net(*weights: float, bias: float = 0.0) -> Any:
    """A linear net of one logit, to which what is missing is 0."""
    import torch

    from audit.subject.flavors.gradients import Net

    layer = torch.nn.Linear(len(weights), 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([weights])
        layer.bias[:] = bias
    layer.register_forward_pre_hook(lambda _, inputs: tuple(torch.nan_to_num(x) for x in inputs))
    return Net(layer, [])


def moved(wanted: Any, row: list[float], free: list[int], *, ends: tuple[float, float] = (-3, 3), norm: int = 1, groups: Any = ()) -> Any:
    import torch

    from audit.subject.flavors.nearest import nearest

    f = len(free)
    x = torch.tensor([row])
    found = nearest(wanted, x, free=free, low=[[ends[0]] * f], high=[[ends[1]] * f], scale=[1.0] * f, groups=list(groups), norm=norm)
    return found[0].numpy()


def test_of_a_linear_net_the_gradient_leads_to_the_known_places() -> None:
    """|f| / ‖w‖ = .87287 away in Euclidean length, .97014 with the second input fixed, and 1.0 = |f| / max|w| in the sum of changes."""
    from audit.subject.flavors.nearest import Wanted

    wanted, row = Wanted(net(*WEIGHTS, bias=BIAS)), [0.0, 1.0, 0.0]
    assert moved(wanted, row, [0, 1, 2], norm=2) == pytest.approx([0.76190, 0.61905, 0.19048], abs=0.01)
    assert np.linalg.norm(moved(wanted, row, [0, 1, 2], norm=2) - row) == pytest.approx(0.87287, abs=0.001)
    assert moved(wanted, row, [0, 2], norm=2) == pytest.approx([0.94118, 1, 0.23529], abs=0.02)
    assert np.linalg.norm(moved(wanted, row, [0, 2], norm=2) - row) == pytest.approx(0.97014, abs=0.001)
    assert np.abs(moved(wanted, row, [0, 1, 2]) - row).sum() == pytest.approx(1.0, abs=0.02)
    assert moved(wanted, row, [0, 1, 2], ends=(0, 0.1)).tolist() == row, "no place in the box is wanted"


def test_the_gradient_finds_other_decisions_than_an_event_from_half() -> None:
    from audit.subject.flavors.nearest import Wanted

    linear = net(1.0)
    assert moved(Wanted(linear, cutoff=float(np.log(3))), [0.0], [0]) == pytest.approx([np.log(3)], abs=0.01)
    assert moved(Wanted(linear, event=0), [1.0], [0]) == pytest.approx([0], abs=0.01)
    assert moved(Wanted(linear, value=True, sign=-1, cutoff=1.0), [0.0], [0]) == pytest.approx([-1], abs=0.01)
    assert np.isnan(moved(Wanted(net(1.0, 0.0)), [-1.0, np.nan], [0, 1])[1]), "what is missing stays missing"


def test_shares_of_a_group_stay_shares() -> None:
    import torch

    from audit.subject.flavors.nearest import Wanted, on_simplex

    assert on_simplex(torch.tensor([[2.0, 0.0, 0.0], [0.4, 0.4, 0.8]]))[0].tolist() == [1, 0, 0]
    assert on_simplex(torch.tensor([[0.4, 0.4, 0.8]]))[0].numpy() == pytest.approx([0.2, 0.2, 0.6])
    found = moved(Wanted(net(-1.0, 1.0, 0.0)), [1.0, 0.0, 0.0], [0, 1, 2], ends=(0, 1), groups=[[0, 1, 2]])
    assert found.sum() == pytest.approx(1)
    assert found[1] >= found[0]


def test_what_the_gradient_finds_is_kept_only_where_it_can_be_and_the_model_agrees() -> None:
    """A descent that lies: one row to a place that is not wanted, one beyond its range. The search finds what it would have found without."""
    rules = {"x0": ColumnRule(range=[-1, 2])}
    plain, own = search(rules), np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    lying = Search(plain.space, linear, plain.accepted, descent=lambda rows: np.array([[0.1, 1.0, 0.0], [2.9, 1.0, 0.0]]))
    for one, other in zip(plain.ways(own), lying.ways(own), strict=True):
        assert one[0].values.tolist() == other[0].values.tolist()
    helped = Search(plain.space, linear, plain.accepted, descent=lambda rows: np.tile([1.2, 0.9, 0.3], (len(rows), 1)))
    assert helped.ways(own)[0][0].values == pytest.approx([1, 1, 0], abs=0.02), "made small and sparse"
    assert helped.asked < plain.asked


def test_a_nets_gradient_is_brought_to_values_that_can_be(tmp_path: Path) -> None:
    """Whole numbers, one of a group, one direction, nothing fixed and nothing missing moved; the worker is stood in for by its own function."""
    import torch

    from audit.explain import descent as module
    from audit.explain.decisions import decider
    from audit.subject.flavors.nearest import Wanted, nearest

    rng = np.random.default_rng(0)
    hot = np.eye(2)[rng.integers(0, 2, 400)]
    features = {
        "whole": rng.integers(-5, 6, 400).astype(float),
        "up": rng.normal(size=400),
        "fixed": rng.normal(size=400),
        "a": hot[:, 0],
        "b": hot[:, 1],
    }
    weights = (0.3, -1.0, 5.0, -0.5, 0.5)
    columns = {
        "whole": {"integer": True},
        "up": {"monotone": "increasing"},
        "fixed": {"immutable": True},
        "a": {"one_hot": "g"},
        "b": {"one_hot": "g"},
    }

    def model(frame: Any) -> Any:
        return 1 / (1 + np.exp(-sum(w * np.nan_to_num(frame[name]) for w, name in zip(weights, features, strict=True))))

    _, context = asked(tmp_path, model, features, "explanation.recourse", columns=columns)
    context.settled = context.settled.model_copy(update={"methods": ["gradient_x_input"], "outputs": "logit"})

    class Beside:
        def attack(self, frame: Any, *, method: str, wanted: Any, **more: Any) -> Any:
            assert method == "nearest"
            x = torch.from_numpy(np.stack([np.asarray(frame[name], dtype=np.float32) for name in features], axis=1))
            return nearest(Wanted(net(*weights), **wanted), x, **more).double().numpy()

    context.__dict__["client"] = Beside()
    judge: Any = decider(context)
    space = space_of(features, {n: ColumnRule.model_validate(r) for n, r in columns.items()}, [])
    own = np.array([[-3.0, 0.5, -0.1, 1.0, 0.0], [-2.0, np.nan, -0.2, 0.0, 1.0]])
    down = module.descent(judge, space)
    assert down is not None
    found = down(own)
    assert not space.violations(own, found).any()
    assert (model(dict(zip(features, found.T, strict=True))) >= 0.5).all()
    assert np.isnan(found[1, 1])
    assert found[0, 1] == 0.5, "up cannot help, and down it cannot go"
    context.settled = context.settled.model_copy(update={"methods": []})
    assert module.descent(judge, space) is None, "no gradient, no descent"


def test_a_way_holds_or_not_where_its_numbers_are_missed() -> None:
    found = search({})
    own, rng = np.array([[0.0, 1.0, 0.0]] * 3), np.random.default_rng(0)
    ways = np.array([[1.5, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, -1.1, 0.0]])
    holds = found.holds(own, ways, rng)
    assert holds[0] == holds[2] == 1
    assert 0 <= holds[1] < 1, "on the edge, a miss to one side loses it"


def test_ways_are_tried_on_models_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six references, of which five are asked: four move the cutoff up by so much that the ways no longer hold, or not at all."""
    from audit.explain.decisions import decider
    from audit.explain.retrained import retrained
    from audit.privacy import reference_models

    features = {"x": np.linspace(0, 1, 400)}
    _, context = asked(tmp_path, lambda f: np.asarray(f["x"]), features, "explanation.recourse")
    judge: Any = decider(context)
    assert retrained(judge, features) is None
    files = [f"00{i}" for i in range(6)]
    known = reference_models.References(folder="f", files=files, named=True, sha256="0")
    context.facts = context.facts.model_copy(update={"references": known})

    def answers(ctx: Any, found: Any, frames: Any) -> Any:
        assert found.files == files[:5]
        p = np.stack([np.clip(np.asarray(frames[0]["x"]) - shift, 0, 1) for shift in (0, 0, 0, 0.2, 0.2)])
        return reference_models.Beside([np.stack([1 - p, p], axis=2)], None)

    monkeypatch.setattr(reference_models, "ask", answers)
    found = retrained(judge, {"x": np.array([0.4, 0.5, 0.6, 0.75])})
    assert found is not None
    assert found.tolist() == [0, 0.6, 0.6, 1]
    rates, _ = collect(context, {"rows": 20, "draws": 50})
    (rate,) = [m.estimate for m in rates if m.metric == "retrained_recourse_rate"]
    assert rate is not None
    assert rate.value == pytest.approx(0.6), "the nearest way ends at the cutoff of the audited model"
