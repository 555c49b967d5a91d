"""An estimate and its interval as they are written: the same decimals, as many as show how wide the interval is."""

from __future__ import annotations

import pytest

from reports.speaker import interval, number
from reports.trace import written


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ((0.1, 0.0834, 0.1266), "number", "0.100 0.083 0.127"),
        ((12.3456, 11.0, 14.0), "number", "12.3 11.0 14.0"),
        ((1234.5, 900.0, 1600.0), "number", "1,234 900 1,600"),
        ((-0.25, -0.5, 0.125), "signed", "−0.25 −0.50 +0.12"),
        ((1.53e-7, 1.1e-7, 2.01e-7), "number", "1.53 × 10⁻⁷ 1.10 × 10⁻⁷ 2.01 × 10⁻⁷"),
        ((2.0, 0.0004, 9.0), "number", "2.00 0.0004 9.00"),  # an end that is not 0 is not written as one
        ((0.3, 0.3, 0.3), "number", "0.300 0.300 0.300"),
    ],
)
def test_an_interval_has_the_same_decimals(given: tuple[float, float, float], kind: str, told: str) -> None:
    assert " ".join(interval(*given, kind).values()) == told


@pytest.mark.parametrize("kind", ["percent", "points", "count", "ratio", "p"])
def test_what_has_settled_decimals_keeps_them(kind: str) -> None:
    assert interval(0.325, 0.1, 0.5, kind) == {"value": number(0.325, kind), "low": number(0.1, kind), "high": number(0.5, kind)}


@pytest.mark.parametrize("value", [0.1, -0.25, 1234.5678, 1.1e-7, 0.0004])
def test_what_reads_numbers_back_knows_them_so(value: float) -> None:
    for width in (1e-3, 0.02, 0.3, 5.0):
        for kind in ("number", "signed"):
            shown = interval(value, value - width, value + width, kind)["value"]
            assert shown.split(" × ")[0] in written(value), shown
