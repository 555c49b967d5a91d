"""Which side of a metric is the better one, and what an established change makes of it."""

from __future__ import annotations

from audit.compared import Change, Outcome
from audit.measurement import Estimate, Test
from audit.stats.paired import interval_p

#: A change is called established at this false discovery rate over all metrics compared (verdicts.md §4: a screen).
Q = 0.10
HIGHER = {
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "roc_auc_ovr_macro", "average_precision", "r2", "brier_skill",
    "log_loss_skill", "informedness", "true_positive_rate", "true_negative_rate",
}  # fmt: skip
LOWER = {"log_loss", "brier_score", "mean_absolute_error", "root_mean_squared_error", "debiased_calibration_error"}
#: Metrics that have one best value.
TARGET = {"calibration_in_the_large": 0.0, "calibration_intercept": 0.0, "calibration_slope": 1.0}
NEUTRAL = {"selection_rate"}  # how many get the favourable decision is for the model's owner to say
#: What is compared for everybody and for each group; gaps are these rates against the reference.
OVERALL = (*HIGHER, *LOWER, *TARGET, *NEUTRAL)
OF_GROUPS = ("accuracy", "true_positive_rate", "true_negative_rate", "selection_rate", "mean_absolute_error")
GAPS = {
    ("selection_rate", "difference"): 0.0, ("selection_rate", "ratio"): 1.0, ("true_positive_rate", "difference"): 0.0,
    ("true_negative_rate", "difference"): 0.0,
}  # fmt: skip


def test_of(change: Estimate) -> Test | None:
    """The test of no change that belongs to an interval: none where both models answer alike on every row."""
    return None if change.method in ("exact", "identical") else Test(null="no change", method="interval", p_value=interval_p(change))


def outcome(change: Change, established: bool) -> Outcome:
    """What an established change means; for gaps and calibration, nearer to the target is better."""
    if not established or change.old is None or change.new is None:
        return "undecided"
    target = GAPS.get((change.metric, change.compare)) if change.compare != "value" else TARGET.get(change.metric)
    if target is not None:
        moved = abs(change.new - target) - abs(change.old - target)
        return "better" if moved < 0 else "worse" if moved > 0 else "changed"
    if change.metric in NEUTRAL:
        return "changed"
    return "better" if (change.new > change.old) == (change.metric in HIGHER) else "worse"


def screened(changes: list[Change]) -> tuple[list[Change], int]:
    """The changes with p adjusted by Benjamini and Hochberg over all of them, and how many tests that were."""
    from audit.stats.multiplicity import benjamini_hochberg

    tested = [i for i, c in enumerate(changes) if c.test is not None]
    adjusted = benjamini_hochberg([c.test.p_value for c in changes if c.test is not None]).tolist()
    out = list(changes)
    for i, p in zip(tested, adjusted, strict=True):
        test = changes[i].test
        assert test is not None
        told = test.model_copy(update={"adjusted_p_value": p, "tests_in_family": len(tested)})
        out[i] = changes[i].model_copy(update={"test": told, "outcome": outcome(changes[i], p <= Q)})
    return out, len(tested)
