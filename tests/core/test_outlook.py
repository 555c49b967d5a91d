"""What rows can show before outcomes are looked at: the chances are those that simulated audits have."""

from __future__ import annotations

import numpy as np
import pytest
from counts import Judged, good, rates

from audit.measurement import Table
from audit.outlook import Foreseen, Prospect, outlook, two_digits
from audit.plan import load


def table(group: str, judged: Judged) -> list[object]:
    made = [outlook(foreseen) for foreseen in judged.answers["fairness_selection"].foreseen.values()]
    (found,) = [row for table in made if table is not None for row in table.rows if row[0] == group]
    return list(found)


def of(prospect: Prospect) -> Table | None:
    return outlook(Foreseen("g", "the favourable decision", [prospect], level=0.9, alpha=0.01))


def test_chances_are_those_of_simulated_audits() -> None:
    """800 rows against 5,000 at rate .3: how often equality passes, and how often a true ratio of 0.70 fails."""
    rng, passed, failed, runs = np.random.default_rng(3), 0, 0, 300
    judged = None
    for _ in range(runs):
        reference = ("m", (int(rng.binomial(5000, 0.3)), 5000))
        for truth, verdict in ((0.3, "pass"), (0.21, "fail")):
            counts = dict([reference, ("f", (int(rng.binomial(800, truth)), 800))])
            judged = Judged(good() | {"fairness.group": rates("selection_rate", "sex", counts, reference="m")})
            found = judged.findings("fairness_selection")[0].verdict == verdict
            passed, failed = passed + (found and verdict == "pass"), failed + (found and verdict == "fail")
    assert judged is not None
    group, n1, n0, equal, truth, fails, needed = table("f", judged)
    assert (group, n1, n0, truth) == ("f", 800, 5000, "× 0.70")
    assert isinstance(equal, float)
    assert isinstance(fails, float)
    assert equal == pytest.approx(passed / runs, abs=0.08)
    assert fails == pytest.approx(failed / runs, abs=0.08)
    assert isinstance(needed, int)
    assert needed < 5800 * 1.2


def test_the_common_rate_decides_and_not_the_groups_own() -> None:
    one = of(Prospect("a", 400, 4000, 0.3, "ratio", 0.8, 1.25))
    assert one is not None
    assert one.rows[0][:3] == ["a", 400, 4000]
    assert of(Prospect("a", 0, 4000, 0.3, "ratio", 0.8, 1.25)) is None
    assert of(Prospect("a", 10, 4000, 1.0, "difference", -0.1, 0.1)) is None


def test_a_stated_truth_of_a_difference_stays_a_rate() -> None:
    made = of(Prospect("a", 400, 4000, 0.15, "difference", -0.1, 0.1))
    assert made is not None
    assert made.rows[0][4] == "−15"


def test_rows_are_said_to_two_digits() -> None:
    assert [two_digits(n) for n in (7, 4480, 123_456)] == [7, 4500, 120_000]
    assert load(None).judge.level_pass == 0.95
