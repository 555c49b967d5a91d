"""The audited rows and the training rows as fingerprints, by the same columns read in the same way, so that equal rows can be found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.features import FeatureSpec, expressions

if TYPE_CHECKING:
    from audit.dataset import Dataset
    from audit.stats.fingerprints import Prints

#: Near: numbers are equal in so many significant digits.
DIGITS = 3


class Fingerprints:
    """Fingerprints of one data set; `others` is the data set that it is compared with, so that both read a column alike."""

    def __init__(self, dataset: Dataset, features: list[FeatureSpec], others: Dataset | None) -> None:
        self.dataset, self.features = dataset, features
        sql = expressions(dataset, features)
        self._exact = [_value(dataset, others, f, sql[f.name]) for f in features]
        self._near = [_rounded(dataset, others, f, value) for f, value in zip(features, self._exact, strict=True)]

    def rows(self) -> Prints:
        """Each row's inputs, (n,)."""
        return self._sum(self._exact)

    def near(self) -> Prints:
        """Each row's inputs with numbers rounded and texts trimmed and in lower case, (n,)."""
        return self._sum(self._near)

    def column(self, i: int) -> Prints:
        """What input `i` adds to `rows`, (n,): taken away, it leaves the row without it."""
        return self._sum([self._exact[i]], first=i)

    def texts(self, sql: str) -> Prints:
        """What a further column of texts, such as the outcome, adds to `rows`, (n,)."""
        return self._sum([f"CAST({sql} AS VARCHAR)"], first=len(self.features))

    def _sum(self, values: list[str], *, first: int = 0) -> Prints:
        import numpy as np

        from audit.stats.fingerprints import mixed

        out = np.zeros(self.dataset.rows, dtype=np.uint64)
        start = 0
        for batch in self.dataset.stream({f"h{i}": f"hash({value})" for i, value in enumerate(values)}):
            part = out[start : start + len(batch)]
            for i in range(len(values)):
                part += mixed(batch.column(i).to_numpy(zero_copy_only=False), first + i)
            start += len(batch)
        return out


def _is_number(dataset: Dataset, others: Dataset | None, feature: FeatureSpec) -> bool:
    """Whether a column is compared by its numbers: where the model reads numbers, and where both data sets store them."""
    if feature.read == "text":
        return all(d.is_number(feature.name) for d in (dataset, others) if d is not None)
    return feature.read not in ("datetime", "decoded")


def _value(dataset: Dataset, others: Dataset | None, feature: FeatureSpec, sql: str) -> str:
    if feature.read == "datetime":
        return f"CAST({sql} AS TIMESTAMP)"
    if not _is_number(dataset, others, feature):
        return f"CAST({sql} AS VARCHAR)"
    number = dataset.number(feature.name) if feature.read == "text" else f"CAST({sql} AS DOUBLE)"
    return f"CASE WHEN NOT isnan({number}) THEN {number} END"


def _rounded(dataset: Dataset, others: Dataset | None, feature: FeatureSpec, value: str) -> str:
    if feature.read == "datetime":
        return value
    if not _is_number(dataset, others, feature):
        return f"lower(trim({value}))"
    digits = f"CAST({DIGITS - 1} - floor(log10(abs({value}))) AS INTEGER)"
    return f"CASE WHEN {value} = 0 OR NOT isfinite({value}) THEN {value} ELSE CAST(round({value}, {digits}) AS DOUBLE) END"
