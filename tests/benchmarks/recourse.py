"""Ways to the other decision beside those of DiCE (Mothilal, Sharma and Tan 2020), for the same network and the same people.

    pip install dice-ml            # a peer to measure against, and no dependency of this package
    python -m tests.benchmarks.recourse [--rows 40] [--ways 3]

Eight inputs, of which two cannot change (age, region), one can only rise (years in the job), two are whole numbers and two are categories. DiCE is told
what it can be told: which inputs may vary and between which ends; it knows no direction. Cost is ours for all: the percentiles by which numbers move,
summed, and 1/3 for another category, over the nearest valid way of each person for whom there is one. Diversity is the mean share of inputs in which two
ways of a person differ, and det K of the kernel 1 / (1 + cost between them). A violation is a way that changes what cannot change, in the wrong direction, beyond
its ends, or to no whole number. CPU time is that of the process, after imports and training; numerical libraries are held to one thread.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import contextlib
import io
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audit.columns import ColumnRule
from audit.explain.descent import descent
from audit.explain.recourse import Search
from audit.explain.space import Space, space_of
from audit.subject.flavors.gradients import Net
from audit.subject.flavors.nearest import Wanted, nearest
from audit.subject.frame import Categories

Floats = NDArray[np.float64]
NUMBERS = ("income", "debt", "savings", "age", "years", "loans")
WHOLE = ("age", "loans")
LEVELS = {"home": ("own", "rent", "family"), "region": ("north", "south", "east", "west")}
RULES = {
    "age": ColumnRule(immutable=True), "region": ColumnRule(immutable=True), "years": ColumnRule(monotone="increasing"),
    "loans": ColumnRule(integer=True, range=[0, 6]), "debt": ColumnRule(range=[0, 60]),
}  # fmt: skip
Ways = list[list[Floats]]


def people(n: int = 3000, seed: int = 0) -> tuple[dict[str, Any], Floats]:
    """A frame of applicants and whether they repaid."""
    rng = np.random.default_rng(seed)
    frame: dict[str, Any] = {
        "income": np.round(rng.lognormal(3.6, 0.4, n), 1), "debt": np.round(rng.gamma(2, 8, n).clip(0, 60), 1), "savings": np.round(rng.gamma(1.5, 6, n), 1),
        "age": rng.integers(18, 75, n), "years": np.round(rng.gamma(2, 3, n), 1), "loans": rng.integers(0, 7, n),
    }  # fmt: skip
    codes = {name: rng.integers(0, len(levels), n).astype(np.int32) for name, levels in LEVELS.items()}
    frame |= {name: Categories(codes[name], levels) for name, levels in LEVELS.items()}
    score = (
        (frame["income"] - 38) / 15
        - (frame["debt"] - 16) / 11
        + np.sqrt(frame["savings"]) / 2
        + 0.1 * frame["years"]
        - 0.3 * frame["loans"]
    )
    score += np.array([0.6, -0.3, 0.0])[codes["home"]] - 0.9 + rng.normal(0, 0.8, n)
    return frame, (score > 0).astype(float)


class Applicants(torch.nn.Module):  # type: ignore[misc]
    """An MLP over the raw matrix: numbers are brought to [0, 1] and codes to one-hot columns inside, as DiCE lays its inputs out."""

    def __init__(self, matrix: Floats) -> None:
        super().__init__()
        numbers = torch.from_numpy(matrix[:, : len(NUMBERS)]).float()
        self.low, self.width = numbers.amin(dim=0), numbers.amax(dim=0) - numbers.amin(dim=0)
        inputs = len(NUMBERS) + sum(map(len, LEVELS.values()))
        self.body = torch.nn.Sequential(
            torch.nn.Linear(inputs, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)
        )

    def encoded(self, x: Any) -> Any:
        """(n, 8) → (n, 13)."""
        hot = [
            torch.nn.functional.one_hot(x[:, len(NUMBERS) + i].detach().long(), len(levels)).to(x.dtype)
            for i, levels in enumerate(LEVELS.values())
        ]
        return torch.cat([(x[:, : len(NUMBERS)] - self.low) / self.width, *hot], dim=1)

    def forward(self, x: Any) -> Any:
        """Logits (n, 1)."""
        return self.body(self.encoded(x))


def trained(matrix: Floats, y: Floats) -> Applicants:
    torch.manual_seed(0)
    model, x, target = Applicants(matrix), torch.from_numpy(matrix).float(), torch.from_numpy(y).float()[:, None]
    steps = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(300):
        steps.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(model(x), target).backward()
        steps.step()
    model.eval()
    return model


def ours(model: Applicants, space: Space, own: Floats, granted: Floats, most: int, *, gradient: bool) -> Ways:
    """The search of the audit, with or without the way by gradient."""

    def ask(matrix: Floats) -> tuple[Any, Floats]:
        with torch.no_grad():
            logit = model(torch.from_numpy(matrix).float())[:, 0].double().numpy()
        return logit >= 0, np.maximum(0, -logit)

    def attack(frame: Any, *, method: str, wanted: Any, **more: Any) -> Floats:
        x = torch.from_numpy(space.coding.matrix(frame)).float()
        found: Floats = nearest(Wanted(Net(model, []), **wanted), x, **more).double().numpy()
        return found

    settled = SimpleNamespace(methods=["gradient_x_input"], task="binary", outputs="logit", classes=["0", "1"], favourable=["1"])
    judge: Any = SimpleNamespace(ctx=SimpleNamespace(settled=settled, client=SimpleNamespace(attack=attack)), cutoff=0.5, sign=1)
    found = Search(space, ask, granted, descent=descent(judge, space) if gradient else None).ways(own, most)
    return [[way.values for way in ways] for ways in found]


def dice(model: Applicants, space: Space, own: Floats, y: Floats, most: int, method: str) -> Ways:
    """DiCE's ways: `gradient` through the network, the others through its answers."""
    import dice_ml
    import pandas as pd

    frame = {
        n: (np.array(c.vocabulary)[c.codes] if isinstance(c, Categories) else c) for n, c in space.coding.frame(space.reference).items()
    }
    data = dice_ml.Data(
        dataframe=pd.DataFrame(frame).assign(granted=y.astype(int)), continuous_features=list(NUMBERS), outcome_name="granted"
    )
    if method == "gradient":
        net = torch.nn.Sequential(model.body, torch.nn.Sigmoid())
        explainer = dice_ml.Dice(data, dice_ml.Model(model=net, backend="PYT", func="ohe-min-max"), method="gradient")
    else:
        answers = SimpleNamespace(predict_proba=lambda x: _proba(model, space, x), predict=lambda x: _proba(model, space, x).argmax(axis=1))
        explainer = dice_ml.Dice(data, dice_ml.Model(model=answers, backend="sklearn"), method=method)
    varied = [name for name in space.coding.names if not RULES.get(name, ColumnRule()).immutable]
    ends = {fact.name: [fact.low, fact.high] for fact in space.facts if fact.numeric and (fact.name in varied or method == "gradient")}
    out: Ways = []
    for i in range(len(own)):
        person = pd.DataFrame(
            {
                n: (np.array(c.vocabulary)[c.codes] if isinstance(c, Categories) else c)
                for n, c in space.coding.frame(own[i : i + 1]).items()
            }
        )
        seed = {"random_seed": 0} if method == "random" else {}
        try:
            found = explainer.generate_counterfactuals(
                person, total_CFs=most, desired_class=1, features_to_vary=varied, permitted_range=ends, **seed
            )
            table = found.cf_examples_list[0].final_cfs_df
        except Exception as error:  # DiCE raises where it finds none
            if "No counterfactuals found" not in str(error):
                raise
            table = None
        out.append([] if table is None else list(_matrix(space, table)))
    return out


def _matrix(space: Space, table: Any) -> Floats:
    columns = [
        np.array([space.coding.vocabularies[n].index(v) for v in table[n]], dtype=float) if n in LEVELS else table[n].to_numpy(dtype=float)
        for n in space.coding.names
    ]
    return np.stack(columns, axis=1)


def _proba(model: Applicants, space: Space, table: Any) -> Floats:
    with torch.no_grad():
        p = torch.sigmoid(model(torch.from_numpy(_matrix(space, table)).float()))[:, 0].double().numpy()
    return np.stack([1 - p, p], axis=1)


def measured(name: str, made: Callable[[], Ways], model: Applicants, space: Space, own: Floats, most: int) -> str:
    """One line of the table."""
    before = time.process_time()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        found = made()
    spent = time.process_time() - before
    ways = [(i, way) for i, of_one in enumerate(found) for way in of_one]
    at, after = own[[i for i, _ in ways]], np.array([way for _, way in ways]).reshape(-1, own.shape[1])
    with torch.no_grad():
        ok = (model(torch.from_numpy(after).float())[:, 0] >= 0).numpy()
    broken = space.violations(at, after)
    cost, changed = space.cost(at, after), space.changed(at, after).sum(axis=1)
    good = [[k for k, (i, _) in enumerate(ways) if i == person and ok[k] and not broken[k]] for person in range(len(own))]
    nearest_ = [min(good[i], key=lambda k: cost[k]) for i in range(len(own)) if good[i]]
    pairs = [
        (space.changed(after[[a]], after[[b]]).mean(), space.cost(after[[a]], after[[b]])[0])
        for of_one in good
        for a, b in combinations(of_one, 2)
    ]
    kernels = [_det(space, after[of_one]) for of_one in good if len(of_one) == most]
    cells = (
        f"{len(nearest_) / len(own):.0%}", f"{ok.sum() / (most * len(own)):.0%}", _mean(broken, ".0%"), _mean(cost[nearest_], ".3f"), _mean(changed[nearest_], ".1f"),
        _mean([p[0] for p in pairs], ".2f"), _mean(kernels, ".3f"), f"{1000 * spent / len(own):.0f}",
    )  # fmt: skip
    return f"| {name} | {' | '.join(cells)} |"


def _mean(values: Any, form: str) -> str:
    return format(float(np.mean(values)), form) if len(values) else "–"


def _det(space: Space, ways: Floats) -> float:
    """det K, K_ij = 1 / (1 + cost between the ways): 1 = as far apart as can be, 0 = two are the same."""
    between = np.array([[space.cost(a[None], b[None])[0] for b in ways] for a in ways])
    return float(np.linalg.det(1 / (1 + between)))


def lines(rows: int, most: int) -> Iterator[str]:
    frame, y = people()
    space = space_of(frame, RULES, [])
    model = trained(space.reference, y)
    with torch.no_grad():
        decided = (model(torch.from_numpy(space.reference).float())[:, 0] >= 0).numpy()
    own, granted = space.reference[~decided][:rows], space.reference[decided]
    yield f"| {len(own)} people, {most} ways asked for | with a way | valid | violations | cost | changes | diversity | det K | CPU-ms a person |"
    yield "|---|---|---|---|---|---|---|---|---|"
    yield measured("search", lambda: ours(model, space, own, granted, most, gradient=False), model, space, own, most)
    yield measured("gradient, then search", lambda: ours(model, space, own, granted, most, gradient=True), model, space, own, most)
    for method in ("random", "genetic", "kdtree", "gradient"):
        yield measured(f"DiCE {method}", partial(dice, model, space, own, y, most, method), model, space, own, most)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--ways", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for line in lines(given.rows, given.ways):
        print(line, flush=True)


if __name__ == "__main__":
    main()
