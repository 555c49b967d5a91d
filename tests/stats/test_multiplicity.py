"""Adjusted p values: published vectors, the library as twin, edges."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.multitest import multipletests

from audit.stats.compare import pooled_score_test
from audit.stats.multiplicity import benjamini_hochberg, holm

vectors = arrays(float, st.integers(1, 20), elements=st.floats(0, 1))


def test_published_vectors():
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
    assert holm(p) == pytest.approx([0.008, 0.056, 0.234, 0.234, 0.234, 0.234, 0.234, 0.234])
    assert benjamini_hochberg(p) == pytest.approx([0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.084571, 0.205], abs=1e-6)


def test_official_race_table():
    """LL144's example: Black or African American is not significant after Holm at 0.05."""
    races = [(204, 408), (170, 390), (52, 119), (302, 616), (18, 41), (96, 213)]  # Hispanic, Black, NHPI, Asian, AIAN, two or more
    p = [pooled_score_test(k, n, 412, 797)[1] for k, n in races]
    assert holm(p) == pytest.approx([0.9597, 0.05224, 0.4295, 0.9597, 0.9597, 0.4295], abs=1e-4)
    assert benjamini_hochberg(p)[1] == pytest.approx(0.05224, abs=1e-5)


def test_official_intersectional_table():
    cells = [
        (90, 205),
        (82, 190),
        (197, 385),
        (95, 226),
        (75, 164),
        (37, 87),
        (15, 32),
        (167, 321),
        (135, 295),
        (11, 24),
        (7, 17),
        (52, 115),
        (44, 98),
    ]
    adjusted = holm([pooled_score_test(k, n, 215, 412)[1] for k, n in cells])
    assert adjusted.min() == adjusted[3] == pytest.approx(0.1841, abs=1e-4)


@pytest.fixture(scope="module")
def quick_collection() -> Iterator[None]:
    """The library collects garbage in every call; what lives already, other tests' imports among it, is not looked through each time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quick_collection")
@given(vectors)
def test_the_library_agrees(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)


@given(vectors, st.randoms())
def test_order_does_not_matter_and_nothing_gets_smaller(p, random):
    order = list(range(p.size))
    random.shuffle(order)
    for adjust in (holm, benjamini_hochberg):
        assert np.array_equal(adjust(p)[order], adjust(p[order]))
        assert np.all((adjust(p) >= p - 1e-15) & (adjust(p) <= 1))
    assert np.all(holm(p) >= benjamini_hochberg(p) - 1e-12)


def test_edges():
    assert holm([]).size == 0
    assert benjamini_hochberg([0.2]) == pytest.approx([0.2])
    for bad in ([0.5, np.nan], [1.1], [-0.1]):
        with pytest.raises(ValueError, match="expected"):
            holm(bad)
