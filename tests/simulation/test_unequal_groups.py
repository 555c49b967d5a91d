"""How often an unfair or a useless model gets which verdict, simulated and on real decisions. Run -m slow -s to see the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counts import Judged, a_case, of_rows
from numpy.typing import NDArray
from simulated import GROUPS, membership, selected, shares, unfair

from audit.result import Finding

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
        judged = selected({"majority": (int(rng.binomial(4500, 0.3)), 4500), "minority": (int(rng.binomial(500, 0.6)), 500)})
        assert judged.verdict == "fail"


@pytest.mark.parametrize("base", [0.1, 0.3, 0.9])
def test_a_nearly_constant_prediction_never_passes(base: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        n = 2000
        score = np.full(n, base) + rng.normal(0, 0.02, n).clip(-0.05, 0.05)  # a little noise that means nothing
        assert Judged(of_rows(rng.random(n) < base, score, score >= 0.5, membership(rng, n), GROUPS)).verdict != "pass"


def said_of(f: Finding) -> str:
    return f"{f.sentence} {f.reason_msg.id if f.reason_msg else ''}"


def test_no_audit_says_cannot_tell_of_a_proven_difference() -> None:
    rng = np.random.default_rng(6)
    seen = 0
    for _ in range(60):
        judged = unfair(rng, int(rng.choice([600, 1200, 3000])), 0.3, ratio=float(rng.uniform(0.4, 0.95)))
        for id_ in ("fairness_selection", "fairness_opportunity"):
            for f in judged.findings(id_):
                if f.test is not None and f.test.p_value < 0.001:
                    seen += 1
                    assert "cannot tell" not in said_of(f)
    assert seen > 20


# --- the Boston mortgages ----------------------------------------------------------------------------------------------------------------


def mortgages(folder: Path, split: int) -> dict[str, Any]:
    """A logistic model of the decisions of 1990 (human decisions, not outcomes), asked for 600 rows that it has not seen."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = pd.read_parquet(folder / "loanapp_boston_hmda.parquet")
    columns = ["loanprc", "obrat", "hrat", "appinc", "unem", "married", "dep", "cosign", "pubrec", "mortlat1", "mortlat2", "chist", "price"]
    data = data.dropna(subset=columns)
    shuffled = data.iloc[np.random.default_rng(split).permutation(len(data))]
    test, train = shuffled[:600], shuffled[600:]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train[columns], train["approve"])
    score = model.predict_proba(test[columns])[:, 1]
    # Decided so that as many are approved as were: at the built-in cutoff of 0.5 nearly everybody is.
    decided = score >= np.quantile(score, 1 - train["approve"].mean())
    race: NDArray[np.int64] = np.select([test["black"] == 1, test["hispan"] == 1], [1, 2], 0)
    return {"y": test["approve"].to_numpy() == 1, "score": score, "pred": decided, "group": race}


RACES = ["white", "black", "hispan"]


def test_boston_mortgages_race_never_passes_and_is_never_cannot_tell(data_folder: Path) -> None:
    proven = 0
    for split in range(20):
        judged = Judged(of_rows(**mortgages(data_folder, split), names=RACES), a_case(label_source="human_decision"))
        assert judged.questions["fairness_selection"].verdict != "pass"
        assert judged.verdict != "pass"
        for f in judged.findings("fairness_selection"):
            print(split, f.slice, f.verdict, f.test.p_value if f.test else None, f.reason)
            if f.test is not None and f.test.p_value < 0.001:
                proven += 1
                assert "cannot tell" not in said_of(f)
                assert f.verdict in ("fail", "inconclusive")
    assert proven > 5
