"""What the benchmark `tests.benchmarks.group_metrics` claims of values and intervals, on fewer rows."""

from __future__ import annotations

import numpy as np
import pytest

from audit.stats.crosstab import crosstab
from tests.benchmarks import group_metrics as benchmark


def test_values_are_those_of_fairlearn():
    rows = benchmark.make(3_000)
    found = benchmark.points(benchmark.count(*rows))
    with np.errstate(all="ignore"):
        frames = benchmark.theirs(*rows)
    assert len(found) == 2 + 4 + 5 + 40
    assert benchmark.largest_difference(found, benchmark.cells([f.by_group for f in frames])) < 1e-12


def test_intervals_are_those_of_fairlearns_bootstrap():
    """Resampled by fairlearn row by row, by us cell by cell; ends agree within Monte-Carlo error. A stratified or half-added bootstrap does not."""
    groupings = [["sex"]]
    frame, y, pred = benchmark.make(600, seed=3)
    import fairlearn.metrics as fm

    boot, level = 150, 0.8  # a wide interval's ends need many more replicates
    names = ("selection_rate", "true_positive_rate")
    theirs = fm.MetricFrame(
        metrics={n: getattr(fm, n) for n in names}, y_true=y, y_pred=pred, sensitive_features=frame["sex"], n_boot=boot,
        ci_quantiles=[0.1, 0.9], random_state=0,
    )  # fmt: skip
    table = crosstab({"sex": frame["sex"]}, 2 * y + pred, 4)
    metrics = [benchmark.METRICS[n] for n in names]
    ours = table.resample(groupings, metrics, level=level, rng=np.random.default_rng(1), replicates=4000).estimates
    error = np.sqrt(0.1 * 0.9 / boot) / 0.1755  # of a 10 % quantile of normal draws, in standard errors of the metric
    for i, sex in enumerate(("female", "male")):
        for j, name in enumerate(names):
            e = ours[2 * i + j]
            unit = (e.high - e.low) / (2 * 1.2816) * error
            assert e.low == pytest.approx(theirs.by_group_ci[0].loc[sex, name], abs=4 * unit)
            assert e.high == pytest.approx(theirs.by_group_ci[1].loc[sex, name], abs=4 * unit)
