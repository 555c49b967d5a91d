"""How often a fair and an unfair model get which verdict: the promises that make a verdict worth reading.

A model is simulated as rows (probability, outcome drawn from it, decision, group) and judged by the built-in plan as any audit is.
The short version runs always; the long one is marked slow. Run with -s to see the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from counts import Judged, a_case, good, of_rows, rates
from numpy.random import Generator
from numpy.typing import NDArray

#: Base rate → parameters of the Beta distribution of the true probabilities: calibrated scores with an AUC of about .8.
SHAPES = {0.1: (0.35, 3.15), 0.3: (0.75, 1.75), 0.9: (3.15, 0.35)}
SHARE = 0.1
VERDICTS = ("fail", "inconclusive", "pass")


def _cutoff(base: float) -> float:
    """The decision selects as many as there are events."""
    from scipy.stats import beta

    return float(beta.isf(base, *SHAPES[base]))


def fair(rng: Generator, n: int, base: float) -> Judged:
    """A calibrated model and two groups that are equal in everything."""
    p = rng.beta(*SHAPES[base], n)
    return Judged(of_rows(rng.random(n) < p, p, p >= _cutoff(base), _groups(rng, n), ["majority", "minority"]))


def unfair(rng: Generator, n: int, base: float, ratio: float = 0.52) -> Judged:
    """The same model, but a favourable decision is taken back from a member of the minority with chance 1 − ratio."""
    p, group = rng.beta(*SHAPES[base], n), _groups(rng, n)
    decided = (p >= _cutoff(base)) & ((group == 0) | (rng.random(n) < ratio))
    return Judged(of_rows(rng.random(n) < p, p, decided, group, ["majority", "minority"]))


def _groups(rng: Generator, n: int) -> NDArray[np.int64]:
    return np.asarray(rng.random(n) < SHARE, dtype=np.int64)


def shares(run: Callable[[Generator, int, float], Judged], n: int, base: float, runs: int) -> dict[str, float]:
    """Share of each verdict over audits with streams of their own."""
    rng = np.random.default_rng([n, round(100 * base), runs])
    seen = Counter(run(rng, n, base).verdict for _ in range(runs))
    found = {verdict: seen[verdict] / runs for verdict in VERDICTS}
    print(f"{run.__name__:7} base {base:.1f}  {n:6,} rows  {runs:4} runs  " + "  ".join(f"{v} {100 * s:5.1f} %" for v, s in found.items()))
    return found


CASES = [(n, base) for base in SHAPES for n in (600, 2_000, 10_000)]


def check_fair(n: int, base: float, runs: int, slack: float) -> None:
    found = shares(fair, n, base, runs)
    assert found["fail"] <= 0.05 + slack
    if n == 10_000 and base in (0.3, 0.9):
        assert found["pass"] >= 0.80 - slack


@pytest.mark.parametrize(("n", "base"), CASES)
def test_a_fair_model_seldom_fails_and_passes_with_enough_rows(n: int, base: float) -> None:
    check_fair(n, base, runs=40, slack=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "base"), CASES)
def test_a_fair_model_seldom_fails_and_passes_with_enough_rows_long(n: int, base: float) -> None:
    check_fair(n, base, runs=500, slack=0.0)


#: Rows → the share of fails of a ratio of .52 at base rate .3, as measured when the rules were chosen, less what chance may take.
POWER = {600: 0.40, 2_000: 0.95, 10_000: 0.99}


@pytest.mark.parametrize("n", POWER)
def test_an_unfair_model_fails(n: int) -> None:
    found = shares(unfair, n, 0.3, 50)
    assert found["fail"] >= POWER[n] - 0.10
    assert found["pass"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("n", POWER)
def test_an_unfair_model_fails_long(n: int) -> None:
    found = shares(unfair, n, 0.3, 500)
    assert found["fail"] >= POWER[n]
    assert found["pass"] <= 0.002


def test_a_ratio_of_two_fails() -> None:
    """Against the reference, a group that gets the favourable decision twice as often."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        counts = {"majority": (int(rng.binomial(4500, 0.3)), 4500), "minority": (int(rng.binomial(500, 0.6)), 500)}
        judged = Judged(good() | {"fairness.group": rates("selection_rate", "group", counts)}, a_case(label_source=None))
        assert judged.verdict == "fail"


def ten_equal(rng: Generator, size: int, base: float) -> Judged:
    """Ten groups of one size and one rate; label-based questions are not asked, so that the level of each question is at its largest."""
    counts = {f"g{i}": (int(rng.binomial(size, base)), size) for i in range(10)}
    return Judged(good() | {"fairness.group": rates("selection_rate", "group", counts)}, a_case(label_source=None))


def check_ten(size: int, runs: int, slack: float) -> None:
    assert shares(ten_equal, size, 0.3, runs)["fail"] <= 0.05 + slack


@pytest.mark.parametrize("size", [60, 200, 1000])
def test_ten_equal_groups_seldom_fail(size: int) -> None:
    check_ten(size, runs=40, slack=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("size", [60, 200, 1000])
def test_ten_equal_groups_seldom_fail_long(size: int) -> None:
    check_ten(size, runs=1000, slack=0.0)


@pytest.mark.parametrize("base", [0.3, 0.9])
def test_a_constant_prediction_never_passes(base: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        n = 2000
        score = np.full(n, base) + rng.normal(0, 0.02, n).clip(-0.05, 0.05)  # a little noise that means nothing
        judged = Judged(of_rows(rng.random(n) < base, score, score >= 0.5, _groups(rng, n), ["majority", "minority"]))
        assert judged.verdict != "pass"


def test_no_audit_says_cannot_tell_of_a_proven_difference() -> None:
    rng = np.random.default_rng(6)
    seen = 0
    for _ in range(60):
        judged = unfair(rng, int(rng.choice([600, 1200, 3000])), 0.3, ratio=float(rng.uniform(0.4, 0.95)))
        for id_ in ("fairness_selection", "fairness_opportunity"):
            for f in judged.findings(id_):
                if f.test is not None and f.test.p_value < 0.001:
                    seen += 1
                    assert "cannot tell" not in f"{f.sentence} {f.reason_msg.id if f.reason_msg else ''}"
    assert seen > 20


@pytest.mark.parametrize("split", [0, 1])
def test_boston_mortgages_race_never_passes_and_is_never_cannot_tell(data_folder: Path, split: int) -> None:
    """A logistic model of the decisions of 1990 (human decisions, not outcomes), judged on 600 rows by race."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = pd.read_parquet(data_folder / "loanapp_boston_hmda.parquet")
    columns = ["loanprc", "obrat", "hrat", "appinc", "unem", "married", "dep", "cosign", "pubrec", "mortlat1", "mortlat2", "chist", "price"]
    data = data.dropna(subset=columns)
    shuffled = data.iloc[np.random.default_rng(split).permutation(len(data))]
    test, train = shuffled[:600], shuffled[600:]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train[columns], train["approve"])
    score = model.predict_proba(test[columns])[:, 1]
    race = np.select([test["black"] == 1, test["hispan"] == 1], [1, 2], 0)
    # Decided so that as many are approved as were: at the built-in cutoff of 0.5 nearly everybody is.
    decided = score >= np.quantile(score, 1 - train["approve"].mean())
    found = of_rows(test["approve"].to_numpy() == 1, score, decided, race, ["white", "black", "hispan"])
    judged = Judged(found, a_case(label_source="human_decision"))
    assert judged.questions["fairness_selection"].verdict != "pass"
    assert judged.verdict != "pass"
    for f in judged.findings("fairness_selection"):
        print(f.slice, f.verdict, f.test.p_value if f.test else None, f.reason)
        if f.test is not None and f.test.p_value < 0.001:
            assert "cannot tell" not in f"{f.sentence} {f.reason_msg.id if f.reason_msg else ''}"
            assert f.verdict in ("fail", "inconclusive")
