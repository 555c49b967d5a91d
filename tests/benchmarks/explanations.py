"""Explainers beside the libraries that people use, in the same run: CPU-seconds, and the error against exact or reference values.

    python -m tests.benchmarks.explanations [answers trees …]

One function for each table; without names all are made. Times are CPU time of this process, on one thread, without imports, in turn, so that a busy
machine slows all alike. RMSE is over rows and inputs, against a reference that each table names.

answers  a net of 40-64-64-2 that can only be asked for answers (the logit of class 1), 100 background rows: ours against
         `shap.KernelExplainer(l1_reg=False)`. Reference: 1,500 antithetic permutations. Promised: 4 times less CPU at no more error, 10 times where the net's first linear layer is exposed.
trees    LightGBM, 200 trees of 31 leaves, 40 inputs, 100 background rows, 10,000 rows: ours against `shap.TreeExplainer`, interventional, whose
         time grows with the rows and is taken on 1,000 of them. Promised: 10 times less CPU, values equal to 1e-5.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
WIDTH, BACKGROUND = 40, 100


class Row(NamedTuple):
    """One line of a table: CPU-seconds of `rows` explained rows, and the error."""

    method: str
    rows: int
    seconds: float
    error: float


def cpu(do: Callable[[], Any]) -> tuple[float, Any]:
    before = time.process_time()
    found = do()
    return time.process_time() - before, found


def table(title: str, error: str, rows: list[Row], promised: str) -> None:
    """Print a table; the first line is what the others are compared with."""
    first = rows[0].seconds / rows[0].rows
    print(f"\n| {title} | rows | CPU ms a row | {error} | less CPU |\n|---|---|---|---|---|")
    for row in rows:
        each = row.seconds / row.rows
        print(f"| {row.method} | {row.rows:,} | {1000 * each:.2f} | {row.error:.2g} | {first / each:.1f} times |")
    print(f"\n{promised}", flush=True)


def net() -> tuple[Any, Floats, Floats]:
    """A trained net of 40-64-64-2, rows to explain and background rows, in single precision."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, WIDTH)).astype(np.float32)
    margin = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + np.abs(x[:, 3]) * x[:, 4] + x[:, 5:15].sum(axis=1) / 4
    y = torch.from_numpy((margin + rng.normal(size=len(x)) / 2 > 0).astype(np.int64))
    model = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer, rows = torch.optim.Adam(model.parameters(), lr=2e-3), torch.from_numpy(x)
    for _ in range(6):
        for batch in torch.randperm(len(x)).split(256):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval(), x[:1000].astype(np.float64), x[1000 : 1000 + BACKGROUND].astype(np.float64)


def permutations(answer: Callable[[Floats], Floats], x: Floats, background: Floats, pairs: int) -> Floats:
    """Shapley values (n, d) by antithetic permutations (Castro 2009; Mitchell 2022), the slow and simple way."""
    rng, d = np.random.default_rng(1), x.shape[1]
    values = np.zeros(x.shape)
    for i, row in enumerate(x):
        for _ in range(pairs):
            order = rng.permutation(d)
            for steps in (order, order[::-1]):
                masks = np.argsort(steps)[None, :] < np.arange(d + 1)[:, None]
                mixed = np.where(masks[:, None, :], row, background).reshape(-1, d)
                found = answer(mixed).reshape(d + 1, -1).mean(axis=1)
                values[i, steps] += np.diff(found) / (2 * pairs)
    return values


def answers(rows: int = 10) -> None:
    """A black box."""
    import shap
    import torch

    from audit.explain.attribute import PARTS, wanted
    from audit.explain.exposed import Exposed, Standing
    from audit.explain.parts import Columns, game
    from audit.explain.shapley import first, sampled
    from audit.subject.flavors import mixed
    from audit.subject.flavors.gradients import Net
    from audit.subject.flavors.stem import stem

    model, x, background = net()
    x = x[:rows]

    def answer(matrix: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(matrix.astype(np.float32)))[:, 1].double().numpy())

    truth = permutations(answer, x, background, 1500)

    def rmse(values: Floats) -> float:
        return float(np.sqrt(np.mean((values - truth) ** 2)))

    def kernel() -> Floats:
        return np.asarray(shap.KernelExplainer(answer, background).shap_values(x, l1_reg=False, silent=True))

    def ours(sampler: Any, coalitions: int, exposed: Exposed | None = None) -> Floats:
        tenths = [background[g::PARTS] for g in range(PARTS)]
        parts = [Columns(*({str(j): np.ascontiguousarray(c) for j, c in enumerate(m.T)} for m in (x, tenth))) for tenth in tenths]
        games = [[game(stacked, part, i, exposed) for part in parts] for i in range(len(x))]
        shares, rng = [len(tenth) for tenth in tenths], np.random.default_rng(0)
        found = sampled(games, WIDTH, sampler=sampler, coalitions=coalitions, rng=rng, shares=shares, precision=0.0)
        return found.values[:, :, 0]

    def matrix_of(frame: Any) -> Floats:
        matrix = np.empty((len(next(iter(frame.values()))), WIDTH), dtype=np.float32)
        for start in range(0, len(matrix), 1024):  # as the worker lays columns side by side
            for j, column in enumerate(frame.values()):
                matrix[start : start + 1024, j] = column[start : start + 1024]
        return matrix

    def stacked(frame: Any) -> Floats:
        return answer(matrix_of(frame))[:, None]

    def exposed() -> Exposed:
        """The net's first layer, as the worker finds it and with the second look at some coalitions."""
        rows_, base = (torch.from_numpy(m.astype(np.float32)) for m in (x, background))
        found = stem(Net(model, [[]]), rows_, base)
        assert found is not None

        def ask(own: Any, other: Any, masks: Any) -> Floats:
            with torch.no_grad():
                return mixed.answers(found, *(torch.from_numpy(matrix_of(f)) for f in (own, other)), torch.from_numpy(masks))

        return Exposed(Standing(np.random.default_rng(0), lambda said: None), ask, lambda raw: raw[:, [1]], stacked)

    kernel()  # compiles
    lines = [Row("shap.KernelExplainer, l1_reg=False, 2,128 coalitions", rows, *_timed(kernel, rmse))]
    for name, sampler, coalitions in (
        ("paired Kernel SHAP", "kernel_shap", 2128),
        ("Leverage SHAP", "leverage_shap", 2128),
        ("Leverage SHAP, what the checks ask for", "leverage_shap", wanted(WIDTH)),
        ("Leverage SHAP, the first draw", "leverage_shap", 2 * first(WIDTH)),
    ):
        lines.append(Row(f"{name}, {coalitions:,} coalitions", rows, *_timed(lambda s=sampler, c=coalitions: ours(s, c), rmse)))
    for coalitions in (2128, wanted(WIDTH), 2 * first(WIDTH)):
        name = f"Leverage SHAP, the first layer exposed, {coalitions:,} coalitions"
        lines.append(Row(name, rows, *_timed(lambda c=coalitions: ours("leverage_shap", c, exposed()), rmse)))
    size = float(np.sqrt(np.mean(truth**2)))
    table(
        "net 40-64-64-2, answers only",
        f"RMSE (root mean square of the values: {size:.2f})",
        lines,
        "Promised: 4 times at no more error, 10 times where the first layer is exposed.",
    )


def trees(rows: int = 10_000, some: int = 1_000) -> None:
    """Boosted trees against a background."""
    import lightgbm
    import shap

    from audit.subject.flavors.trees import against

    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, WIDTH))
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + x[:, 5:15].sum(axis=1) / 4 + rng.normal(size=len(x)) > 0
    booster = lightgbm.LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=1).fit(x, y).booster_
    background = x[-BACKGROUND:]

    def peer(n: int) -> Floats:
        explainer = shap.TreeExplainer(booster, background, feature_perturbation="interventional")
        return np.asarray(explainer.shap_values(x[:n], check_additivity=False))

    def ours(n: int) -> Floats:
        return against(booster, lambda m: booster.predict(m, raw_score=True)[:, None], x[:n], background, 1, "log-odds")[0].values

    peer(2), ours(2)
    reference = peer(some)
    lines = [Row("shap.TreeExplainer, interventional", some, *_timed(lambda: peer(some), lambda v: float(np.abs(v - reference).max())))]
    for n in (some, rows):
        lines.append(Row("ours", n, *_timed(lambda n=n: ours(n), lambda v: float(np.abs(v[:some] - reference).max()))))
    table(
        "200 trees of 31 leaves, 100 background rows",
        "largest difference",
        lines,
        "Promised: 10 times at 10,000 rows, values equal to 1e-5.",
    )


def _timed(do: Callable[[], Floats], error: Callable[[Floats], float]) -> tuple[float, float]:
    seconds, values = cpu(do)
    return seconds, error(values)


TABLES: dict[str, Callable[[], None]] = {"answers": answers, "trees": trees}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}")
    names = parser.parse_args().tables or list(TABLES)
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        parser.error(f"no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    warnings.filterwarnings("ignore")
    import torch

    torch.set_num_threads(1)
    for name in names:
        TABLES[name]()


if __name__ == "__main__":
    main()
