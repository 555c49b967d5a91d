"""Small models that the audit fits itself: what single inputs tell, what all of them tell together, and challengers of the audited model.

Each input becomes a column of codes (numbers between quantiles, rare categories made one, missing values a code of their own), so that
bends and gaps are seen without a choice of scale.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.random import Generator
    from numpy.typing import NDArray

    from audit.features import FeatureSpec
    from audit.subject.frame import Frame

BINS = 20
FOLDS = 5


def named_numbers(spec: FeatureSpec) -> list[str]:
    """Names of the numbers of one input, in the order in which they travel: encounters[3].age is the field age of the third event, picture[2, 5]
    the pixel in the second row and the fifth column (picture[1, 2, 5] of the first of several channels)."""
    from itertools import product

    names = []
    for at in product(*(range(1, size + 1) for size in spec.shape)):
        if spec.fields:
            names.append(f"{spec.name}[{', '.join(map(str, at[:-1]))}].{spec.fields[at[-1] - 1].name}")
            continue
        shown = at[1:] if spec.kind == "image" and len(at) == 3 and spec.shape[0] == 1 else at
        names.append(f"{spec.name}[{', '.join(map(str, shown))}]")
    return names


def coded_inputs(frame: Frame, specs: Sequence[FeatureSpec] = (), *, bins: int = BINS) -> dict[str, NDArray[np.int64]]:
    """Input → codes (n,) from 0; an input of several numbers a row is one column for each, named as `specs` has it."""
    import numpy as np

    from audit.stats.association import binned, pooled
    from audit.subject.frame import Categories

    out: dict[str, NDArray[np.int64]] = {}
    wide = {spec.name: spec for spec in specs if spec.shape}
    for name, column in frame.items():
        if isinstance(column, Categories):
            out[name] = pooled(column.codes, most=bins)
        elif column.dtype.kind == "M":
            out[name] = binned(np.where(np.isnat(column), np.nan, column.astype(np.int64).astype(np.float64)), bins=bins)
        elif column.ndim == 1:
            out[name] = binned(column, bins=bins)
        else:
            several = column.reshape(len(column), -1)
            named = named_numbers(wide[name]) if name in wide else [f"{name}[{j + 1}]" for j in range(several.shape[1])]
            out |= {each: binned(several[:, j], bins=bins) for j, each in enumerate(named)}
    return out


def together_out_of_fold(codes: list[NDArray[np.int64]], y: NDArray[Any], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """The chance of y = 1 for each row (n,) by a penalised logistic model that is additive in the coded inputs, fitted without the row's fold."""
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import OneHotEncoder

    x = OneHotEncoder(sparse_output=True).fit_transform(np.stack(codes, axis=1))
    out = np.empty(len(y))
    for fold in np.unique(folds):
        inside = folds == fold
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early it is still a model, judged on rows that it has not seen
            model = LogisticRegression(C=0.3, max_iter=200).fit(x[~inside], y[~inside])
        out[inside] = model.decision_function(x[inside])
    return out


def table(frame: Frame) -> pd.DataFrame:
    """The inputs as scikit-learn's pipelines read them: numbers with NaN for what is missing or infinite, texts as objects with None."""
    import numpy as np
    import pandas as pd

    from audit.subject.frame import Categories

    columns: dict[str, Any] = {}
    for name, column in frame.items():
        if isinstance(column, Categories):
            columns[name] = pd.Series(np.array([*column.vocabulary, None], dtype=object)[column.codes], dtype=object)
        elif column.dtype.kind == "M":
            columns[name] = np.where(np.isnat(column), np.nan, column.astype(np.int64).astype(np.float64))
        elif column.ndim == 1:
            x = column.astype(np.float64)
            columns[name] = np.where(np.isfinite(x), x, np.nan)
        else:
            columns |= {f"{name}[{j}]": np.where(np.isfinite(column[:, j]), column[:, j], np.nan) for j in range(column.shape[1])}
    return pd.DataFrame(columns)


def challengers(rows: pd.DataFrame, y: NDArray[Any], *, regression: bool, rng: Generator) -> dict[str, Any]:
    """Name → fitted pipeline: a penalised linear model and a tree of depth 3, medians for missing numbers, texts one-hot (rare ones pooled)."""
    from sklearn.compose import make_column_transformer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    numbers = [c for c in rows.columns if rows[c].dtype != object]
    texts = [c for c in rows.columns if rows[c].dtype == object]

    def prepared() -> Any:
        return make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()), numbers),
            (make_pipeline(SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None),
                           OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=30)), texts),
        )  # fmt: skip

    seed = int(rng.integers(2**31))
    linear = Ridge() if regression else LogisticRegression(max_iter=1000)
    tree = DecisionTreeRegressor(max_depth=3, random_state=seed) if regression else DecisionTreeClassifier(max_depth=3, random_state=seed)
    models = {"(linear)": make_pipeline(prepared(), linear), "(tree)": make_pipeline(prepared(), tree)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a linear model that was stopped early is still a challenger
        return {name: model.fit(rows, y) for name, model in models.items()}
