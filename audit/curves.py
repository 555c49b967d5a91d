"""What is shown of scores over all cutoffs, weighted or not."""

from __future__ import annotations

from audit.measurement import Curve, Estimate, Evidence, Measurement, Series

__all__ = ["macro_auc", "roc_curve"]


def macro_auc(parts: list[Estimate]) -> Measurement:
    """The mean of the one-versus-rest AUCs; its interval is the mean of theirs, which is wide enough because their errors are at most fully correlated."""
    from audit.measure import value

    k = len(parts)
    mean = Estimate(
        value=sum(p.value for p in parts) / k, low=sum(p.low for p in parts) / k, high=sum(p.high for p in parts) / k,
        level=parts[0].level, method="mean_of_delong", n=parts[0].n,
    )  # fmt: skip
    return value("roc_auc_ovr_macro", mean)


def roc_curve(points: list[tuple[float, float]]) -> list[Evidence]:
    """The ROC curve as drawn: false and true positive rates, from the highest cutoff down."""
    if not points:
        return []
    x, y = [0.0, *(p[0] for p in points)], [0.0, *(p[1] for p in points)]
    return [
        Curve(
            name="roc", caption="Events and false alarms over all cutoffs", x_label="false positive rate", y_label="true positive rate",
            x_kind="percent", y_kind="percent", series=[Series(name="model", x=x, y=y)],
        )
    ]  # fmt: skip
