"""Metrics of counts against scikit-learn, and counts of many rows against counting them one by one."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sklearn.metrics as sm
from hypothesis import given
from hypothesis import strategies as st

from audit.stats import confusion
from audit.stats.crosstab import crosstab

ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


def close(value):
    return pytest.approx(value, abs=1e-12)


@given(ROWS)
def test_scikit_learn_agrees(rows):
    y, pred = np.array(rows).T
    t = confusion.tallies(np.bincount(4 * y + pred, minlength=16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert float(confusion.accuracy(t)) == close(sm.accuracy_score(y, pred))
        assert float(confusion.balanced_accuracy(t)) == close(sm.balanced_accuracy_score(y, pred))
        for ours, theirs in ((confusion.precision, sm.precision_score), (confusion.recall, sm.recall_score), (confusion.f1, sm.f1_score)):
            assert float(ours(t, None)) == close(theirs(y, pred, average="macro", zero_division=0))
            of_event = theirs(y == 2, pred == 2, zero_division=np.nan)
            assert float(ours(t, 2)) == close(of_event) or (np.isnan(of_event) and np.isnan(ours(t, 2)))


def test_tables_are_stacked():
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 9, (5, 3, 4))
    t = confusion.tallies(cells)
    assert t.hit.shape == t.actual.shape == (5, 3, 2)
    assert confusion.f1(t, 1)[2, 1] == confusion.f1(confusion.tallies(cells[2, 1]), 1)


TEXTS = st.sampled_from(["a", "b", "", "ü", None])


@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 2)), max_size=60))
def test_counting_one_by_one(rows):
    columns = {"x": [r[0] for r in rows], "y": [r[1] for r in rows]}
    table = crosstab({k: pa.array(v, pa.string()) for k, v in columns.items()}, np.array([r[2] for r in rows], dtype=int), 3)
    counted = Counter(rows)
    names, counts = table.by(["x", "y"])
    assert {(*name, code): n for name, row in zip(names, counts.tolist(), strict=True) for code, n in enumerate(row) if n} == counted
    names, counts = table.by(["y"])
    assert [sum(row) for row in counts.tolist()] == [sum(r[1] == name for r in rows) for (name,) in names]
    assert list(names) == sorted(names, key=lambda n: (n[0] is None, n[0]))


def test_any_kind_of_text_column_counts_alike(monkeypatch):
    rng = np.random.default_rng(1)
    texts = np.array(["north", "south", "west"])[rng.integers(0, 3, 500)]
    code = rng.integers(0, 4, 500)
    kinds = [
        texts, texts.astype(object), pd.Series(texts), pd.Series(texts.astype(object)), pd.Series(texts, dtype="category"), list(texts),
        pa.chunked_array([texts[:200], texts[200:]]), pa.array(texts).dictionary_encode(),
    ]  # fmt: skip
    tables = [crosstab({"g": values}, code, 4) for values in kinds]
    monkeypatch.setattr("audit.stats.crosstab.DENSE", 0)
    tables.append(crosstab({"g": texts}, code, 4))
    for table in tables:
        assert table.levels == (("north", "south", "west"),)
        assert (table.counts == tables[0].counts).all()
    assert tables[0].counts.sum() == 500


def test_resampling_all_groups_together_is_resampling_each():
    """The value and the width of an interval are those of the bootstrap over a group's own counts, its size being drawn as well."""
    rng = np.random.default_rng(2)
    g, h = rng.choice(["a", "b"], 4000), rng.choice(["c", "d"], 4000)
    y, pred = rng.integers(0, 2, 4000), rng.integers(0, 2, 4000)
    table = crosstab({"g": g, "h": h}, 2 * y + pred, 4)
    metrics = [lambda c: confusion.accuracy(confusion.tallies(c)), lambda c: confusion.precision(confusion.tallies(c), 1)]
    found = table.resample([["g"], ["g", "h"]], metrics, level=0.95, rng=np.random.default_rng(3), replicates=4000).estimates
    places = [g == "a", g == "b", *((g == a) & (h == b) for a in "ab" for b in "cd")]
    assert len(found) == 2 * len(places)
    for i, own in enumerate(places):
        for j, theirs in enumerate((sm.accuracy_score, sm.precision_score)):
            e = found[2 * i + j]
            assert e.value == close(theirs(y[own], pred[own]))
            n = own.sum() if j == 0 else (own & (pred == 1)).sum()
            assert e.high - e.low == pytest.approx(2 * 1.96 * np.sqrt(e.value * (1 - e.value) / n), rel=0.1)


def test_what_cannot_be_counted_is_refused():
    for columns, codes in [({"g": ["a"]}, [0, 1]), ({"g": ["a"]}, [4]), ({"g": ["a"]}, [0.5]), ({}, [0]), ({"g": ["a"]}, [-1])]:
        with pytest.raises(ValueError, match="expected"):
            crosstab(columns, np.array(codes), 4)
