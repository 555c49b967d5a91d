"""Membership inference on known ground, and what the default privacy audit takes.

    python -m tests.benchmarks.privacy [--seeds 3] [--adult FOLDER]

**Digits**: scikit-learn's `load_digits` (pixels over 16), 10 % of the labels drawn anew, a quarter of the rows held out; 33 networks
of 64 hidden units (Adam, 0.005, batches of 64, 60 epochs, no weight decay), each trained on half of the rest; 8 of them are audited in turn with
the first 1, 4 or 16 of the others as references. Printed are the areas under the ROC curve and the members found at false-positive rates of 1 % and
0.1 %, averaged over the 8 and over so many repetitions with other draws (`--seeds`), beside those that were published for this set; all agree to
0.02, and the loss finds least and reference models most, or the command ends with status 1.

**Adult** (`--adult FOLDER` with adult_train.parquet and adult_test.parquet): the preset `tabular` with 4 references, trained once, then audited
with `--checks privacy`: CPU and wall seconds of either, in processes of their own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.stats.auc import roc_auc
from audit.stats.privacy.membership import log_odds, tpr_at
from audit.stats.privacy.references import lira_online, rmia, surprise
from audit.stats.privacy.regression import expected

Floats = NDArray[np.float64]


class Figures(NamedTuple):
    """The area, and the shares of members found where 1 % and 0.1 % of the others are taken for members."""

    auc: float
    at_1: float
    at_01: float


#: Published for this set, by attack and references.
PUBLISHED = {
    ("loss", 0): Figures(0.574, 0.013, 0.001), ("surplus", 0): Figures(0.590, 0.018, 0.001),
    ("rmia", 1): Figures(0.637, 0.029, 0.005), ("rmia", 4): Figures(0.645, 0.048, 0.007), ("rmia", 16): Figures(0.662, 0.070, 0.023),
    ("lira", 4): Figures(0.626, 0.077, 0.035), ("lira", 16): Figures(0.647, 0.102, 0.057),
    ("lira_online", 4): Figures(0.627, 0.082, 0.042), ("lira_online", 16): Figures(0.682, 0.118, 0.084),
}  # fmt: skip
MODELS, AUDITED = 33, 8
CORES = 2


class Digits(NamedTuple):
    """`p` (models, rows, classes), labels `y` (rows,) and pixels `x` of all rows; `keep` (models, rows) says who trained on what, and nobody on the
    last quarter."""

    p: Floats
    y: NDArray[np.int64]
    x: Floats
    keep: NDArray[np.bool_]


def digits(seed: int) -> Digits:
    """The rows and every network's answers."""
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    stream = np.random.default_rng(seed)
    x, y = load_digits(return_X_y=True)
    x, y = x / 16, y.copy()
    anew = stream.random(len(y)) < 0.1
    y[anew] = stream.integers(0, 10, int(anew.sum()))
    order, held = stream.permutation(len(y)), len(y) // 4
    order = np.concatenate([order[held:], order[:held]])
    x, y = x[order], y[order]
    keep = np.zeros((MODELS, len(y)), np.bool_)
    keep[:, :-held] = stream.random((MODELS, len(y) - held)) < 0.5
    found = []
    for k in range(MODELS):
        net = MLPClassifier((64,), max_iter=60, learning_rate_init=5e-3, batch_size=64, alpha=0.0, n_iter_no_change=1000, random_state=k)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 60 epochs are what is wanted
            found.append(net.fit(x[keep[k]], y[keep[k]]).predict_proba(x))
    return Digits(np.stack(found), y, x, keep)


def figures(seed: int) -> dict[tuple[str, int], Figures]:
    """The mean figures of each attack over the audited models, by attack and references; a row that has not the references that its score needs has 0."""
    p, y, x, keep = digits(seed)
    own, phi = p[:, np.arange(len(y)), y], np.stack([log_odds(one, y) for one in p])
    public = ~keep.any(axis=0)
    found: dict[tuple[str, int], list[Figures]] = {key: [] for key in PUBLISHED}
    for t in range(AUDITED):
        others = [k for k in range(MODELS) if k != t]
        for name, count in PUBLISHED:
            few = others[:count]
            had = keep[few]
            if name == "surplus":
                scores = _surplus(np.column_stack([x, y]), phi[t], public)
            else:
                scores = _scores(name, (own[t], phi[t]), (own[few], phi[few]), had)
            scores = np.nan_to_num(scores, nan=0.0)
            inside, outside = (scores[~public & side] for side in (keep[t], ~keep[t]))
            told = [roc_auc(inside, outside, level=0.9), *(tpr_at(inside, outside, fpr=fpr, level=0.9) for fpr in (0.01, 0.001))]
            found[name, count].append(Figures(*(e.value for e in told if e is not None)))
    return {key: _mean(values) for key, values in found.items()}


def _mean(of: list[Figures]) -> Figures:
    return Figures(*np.mean(of, axis=0).tolist())


def as_published(found: dict[tuple[str, int], Figures]) -> bool:
    """Whether every figure is within 0.02 of the published one, and the areas of the attacks are in the published order."""
    close = all(abs(a - b) <= 0.02 for key, published in PUBLISHED.items() for a, b in zip(found[key], published, strict=True))
    order = [found[key].auc for key in (("loss", 0), ("surplus", 0), ("rmia", 1), ("rmia", 4), ("rmia", 16))]
    return close and order == sorted(order)


def _surplus(x: Floats, phi: Floats, public: NDArray[np.bool_]) -> Floats:
    """How far log odds exceed what a regression on the quarter that nobody trained on expects of a row like this."""
    return np.asarray(phi - expected(x[public], phi[public], seed=0).predict(x))


def _scores(name: str, audited: tuple[Floats, Floats], references: tuple[Floats, Floats], had: NDArray[np.bool_]) -> Floats:
    """One attack from probabilities of the labels and their log odds; NaN where a row had no reference that is needed."""
    if name == "loss":
        return np.asarray(np.log(np.maximum(audited[0], 1e-30)))
    if name == "rmia":
        return rmia(audited[0], references[0], had)
    if name == "lira":
        return surprise(audited[1], references[1], had)
    with np.errstate(invalid="ignore"):
        return lira_online(audited[1], references[1], had)


def adult(folder: Path) -> None:
    """Train `tabular` on Adult with 4 references, and audit its privacy; prints seconds."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as place:
        parts = [pd.read_parquet(folder / f"adult_{part}.parquet") for part in ("train", "test")]
        pd.concat(parts).to_parquet(Path(place, "adult.parquet"), index=False)
        given = ["tabular", "--data", "adult.parquet", "--target", "income", "--sensitive", "sex,race"]
        _timed("training with 4 references", ["models.train", *given, "--references", "4"], place)
        _timed("default privacy audit", ["audit.run", "models:/tabular/1", "--checks", "privacy", "--no-log", "--out", "audit"], place)


def _timed(what: str, command: list[str], place: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "XDG_STATE_HOME": place}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), environment.get("PYTHONPATH")]))
    subprocess.run(
        [sys.executable, "-m", *command], cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.monotonic() - began
    print(f"{what}: {cpu:.0f} CPU-s, {wall:.0f} s on this machine; {max(cpu / CORES, 0):.0f} s at least on {CORES} cores")


def main(arguments: Any = None) -> int:
    """Print the table; 1 where it is not as published."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--adult", type=Path)
    options = parser.parse_args(arguments)
    began = time.process_time()
    runs = [figures(seed) for seed in range(options.seeds)]
    found = {key: _mean([run[key] for run in runs]) for key in PUBLISHED}
    for (name, count), own in found.items():
        ours, theirs = ("  ".join(f"{value:.3f}" for value in values) for values in (own, PUBLISHED[name, count]))
        print(f"{name:12} {count:3} references: AUC, members found at 1 % and 0.1 %: {ours}; published {theirs}")
    print(f"{time.process_time() - began:.0f} CPU-s")
    if options.adult:
        adult(options.adult)
    return int(not as_published(found))


if __name__ == "__main__":
    sys.exit(main())
