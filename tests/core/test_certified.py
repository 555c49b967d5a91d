"""Randomised smoothing: published values, and a linear model whose true radius is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright_halves import MARGIN, SIDE, Client, Half, N, scene
from scene import Pick

from audit.probe import collect
from audit.stats.smoothing import certify
from audit.text import render

CHECK = "robustness.certified"


@pytest.mark.parametrize(("k", "n", "p_low", "radius"), [
    (100, 100, 0.93325, 0.3751), (1000, 1000, 0.993116, 0.6158), (10**5, 10**5, 0.99993, 0.9529), (99_000, 10**5, 0.98899, 0.5725),
])  # fmt: skip
def test_published_radii(k: int, n: int, p_low: float, radius: float) -> None:
    found = certify(k, n, sigma=0.25)
    assert found.p_low == pytest.approx(p_low, abs=5e-6)
    assert found.radius == pytest.approx(radius, abs=5e-5)


def test_a_vote_that_is_no_majority_abstains() -> None:
    assert certify(0, 100, sigma=1.0) == (0.0, None)
    assert certify(55, 100, sigma=1.0).radius is None
    assert certify(1000, 1000, sigma=0.25).radius == pytest.approx(0.615816, abs=1e-5)
    for wrong in ({"k": 3, "n": 2, "sigma": 1.0}, {"k": 0, "n": 0, "sigma": 1.0}, {"k": 1, "n": 2, "sigma": 0.0}):
        with pytest.raises(ValueError):  # noqa: PT011 - the words are those of the argument
            certify(**wrong)  # type: ignore[arg-type]


def run(folder: Path, **params: Any) -> Any:
    context = scene(folder).context(CHECK)
    context.__dict__["client"] = Client(Half())
    return collect(context, params)


def test_no_certificate_of_a_linear_model_exceeds_its_distance_to_the_boundary(tmp_path: Path) -> None:
    """Half the picture is ±margin off: the boundary is at an L2 distance of 4 · |margin|, and smoothing is exact there."""
    found, summary = run(tmp_path, sigma=0.2, votes=1000, rows=N, radii=[0.0, 0.2, 0.4])
    pick, right = Pick(found), np.arange(N) >= 3
    distance = SIDE * np.abs(MARGIN)
    for radius in (0.0, 0.2, 0.4):
        sure = pick.value("certified_accuracy", **{"(radius)": f"{radius:g}"})
        assert sure <= (right & (distance >= radius)).mean()
        assert sure >= (right & (distance >= radius + 0.1) & (distance > 0)).mean()
    assert pick.value("certified_accuracy", lens="near", **{"(radius)": "0.4"}) <= pick.value(
        "certified_accuracy", lens="far", **{"(radius)": "0.4"}
    )
    assert 0 < pick.value("abstention_rate") < 0.3
    assert "trained with such noise" in render(summary)


def test_without_sigma_it_is_skipped(tmp_path: Path) -> None:
    assert "noise" in (scene(tmp_path).missing(CHECK) or "")
