"""What the gates measure of a trial, row by row; intervals and limits come after."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audit.explain.gates import deletion, infidelity, randomisation, stability
from audit.explain.gates.agreement import Agreement, agreement
from audit.explain.gates.completeness import gaps
from audit.explain.gates.controls import ALONE
from audit.explain.gates.trial import stacked
from audit.subject.frame import Array, Categories, Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audit.explain.gates.trial import Trial

    Floats = NDArray[np.float64]

#: A relative move that is larger, or away from attributions that are all 0, counts as this.
MOST = 100.0
#: How many times the relative move of the answer attributions may move with it: a model that jumps is explained by attributions that jump.
PER_CHANGE = 5.0


def completeness(trial: Trial) -> Floats:
    """The relative miss of each row, (n,): of the worst output, where there are several.

    Values by a tree's own paths have no background to be asked about: their base is their own, and one for all rows.
    """
    answer = trial.explainer.answer(trial.frame)
    asked = trial.explainer.answer(trial.background).mean(axis=0)
    base = [float(np.median(e.base)) if e.estimand == "path_dependent" else float(b) for e, b in zip(trial.found, asked, strict=True)]
    per = [gaps(e.values.sum(axis=1), answer[:, i], base[i], log_odds=e.unit in ("log-odds", "logit")) for i, e in enumerate(trial.found)]
    worst: Floats = np.max(per, axis=0)
    return worst


class Faithful(NamedTuple):
    """For the method and each control: scale-free infidelity (n,) and faithfulness correlation (n,), NaN where it is not defined."""

    infidelity: dict[str, Floats]
    correlation: dict[str, Floats]


def faithfulness(trial: Trial, controls: dict[str, Floats], masks: int, rng: np.random.Generator) -> Faithful:
    """How well attributions (n, d, k) predict what the answer loses with a random set of parts; averaged over the outputs of a row.

    The method stands under "", each of `controls` under its name.
    """
    tried = {"": trial.values} | controls
    scores = {name: np.full((2, trial.n), np.nan) for name in tried}
    for row in range(trial.n):
        off = infidelity.subsets(trial.values.shape[1], masks, rng)
        change = infidelity.change_of(trial.play(row), off)
        for name, values in tried.items():
            said = infidelity.predicted_by(values[row], off)
            pairs = list(zip(said.T, change.T, strict=True))
            for place, score in enumerate((infidelity.scale_free, infidelity.faithfulness_correlation)):
                known = [s for s in (score(a, b) for a, b in pairs) if s is not None]
                scores[name][place, row] = np.mean(known) if known else np.nan
    return Faithful({name: s[0] for name, s in scores.items()}, {name: s[1] for name, s in scores.items()})


class Deleted(NamedTuple):
    """Areas under deletion curves per row, (n,), in units of the mean move from the base: of the method, of each control, and of random orders."""

    areas: dict[str, Floats]
    random: Floats


def deleted(trial: Trial, controls: dict[str, Floats], rng: np.random.Generator) -> Deleted:
    """Parts are taken away by falling attribution; a random order is averaged with its reverse, which is exact where parts do not interact.

    Averaged over the outputs of a row. `controls` are attributions (n, d, k); what each part does alone is always among them.
    """
    n, d, k = trial.values.shape
    names = ["", *controls, ALONE]
    found = {name: np.zeros((n, k)) for name in names}
    random, move = np.zeros((n, k)), np.zeros((n, k))
    for row in range(n):
        play = trial.play(row)
        ends = play(np.concatenate([np.ones((1, d), bool), np.zeros((1, d), bool), ~np.eye(d, dtype=bool)]))
        alone = ends[:1] - ends[2:]
        move[row] = np.abs(ends[0] - ends[1])
        shuffled = rng.permutation(d)
        for output in range(k):
            tried = [trial.values[row, :, output], *(c[row, :, output] for c in controls.values()), alone[:, output]]
            orders = [deletion.order(v) for v in tried] + [shuffled, shuffled[::-1]]
            areas = deletion.areas(play, orders)[:, output]
            random[row, output] = areas[-2:].mean()
            for name, area in zip(names, areas[:-2], strict=True):
                found[name][row, output] = area
    scale = np.maximum(move.mean(axis=0), 1e-12)
    return Deleted({name: (a / scale).mean(axis=1) for name, a in found.items()}, (random / scale).mean(axis=1))


class Randomised(NamedTuple):
    """Per row, (n,): similarity to the explanation of a model without meaning, averaged over such models; that of two such models to each other,
    (n · pairs,); by how much the entropy of the sizes rises; and the cosine with the least like of those explanations."""

    similarity: Floats
    null: Floats
    entropy_rise: Floats
    unchanged: Floats

    @property
    def tells(self) -> bool:
        """Whether likeness tells anything: the attributions are the same, or more alike than those of 95 of 100 pairs of random models."""
        same = float(np.median(self.unchanged)) >= randomisation.SAME
        return same or float(np.quantile(self.null, 0.95)) < float(np.median(self.similarity))


def against_random_models(trial: Trial, others: Sequence[Floats]) -> Randomised:
    """`others` are attributions (n, d, k) of the same rows by the same method over randomised models, at least two; outputs are averaged."""
    own, k = trial.values, trial.values.shape[2]

    def alike(a: Floats, b: Floats) -> Floats:
        mean: Floats = np.mean([randomisation.similarity(a[:, :, i], b[:, :, i]) for i in range(k)], axis=0)
        return mean

    rises = [randomisation.entropy_rise(own[:, :, i], o[:, :, i]) for o in others for i in range(k)]
    return Randomised(
        np.mean([alike(own, o) for o in others], axis=0),
        np.concatenate([alike(a, b) for a, b in combinations(others, 2)]),
        np.mean(rises, axis=0),
        np.min([randomisation.proportional(own[:, :, i], o[:, :, i]) for o in others for i in range(k)], axis=0),
    )


class Steady(NamedTuple):
    """Per row, (n,): corrected overlap of the largest parts and concordance over runs."""

    overlap: Floats
    concordance: Floats


def over_seeds(trial: Trial, seeds: int, k: int) -> Steady:
    """The same rows explained `seeds` times with other random numbers; averaged over the outputs."""
    runs = [trial.values, *(stacked(trial.explainer.explain(trial.frame, stream=f"/seed {s}")) for s in range(1, seeds))]
    outputs = range(trial.values.shape[2])
    return Steady(
        np.mean([stability.agreement([r[:, :, i] for r in runs], k) for i in outputs], axis=0),
        np.mean([stability.concordance([r[:, :, i] for r in runs]) for i in outputs], axis=0),
    )


class Near(NamedTuple):
    """Per row, (n,): the largest relative move of the attributions over neighbours that keep their class, and the largest of what exceeds `PER_CHANGE`
    times the relative move of the answer, at least 0; NaN where no neighbour kept its class."""

    sensitivity: Floats
    excess: Floats


def near(
    trial: Trial,
    neighbours: int,
    radius: float,
    spread: dict[str, float],
    decide: Callable[[Frame], Array] | None,
    rng: np.random.Generator,
) -> Near:
    """Each number of a row moves by up to `radius` · its `spread`, evenly and on its own; what is no real number stays.

    A method that samples gets the same random numbers for a row and its neighbours, so that its noise is no move. The largest over a sample is a
    lower bound of the largest there is. The answer's move is relative to its distance from the base. `decide` gives the class of each row, (n,).
    """
    explainer, own = trial.explainer, trial.explainer.answer(trial.frame)
    distance = np.abs(own - explainer.answer(trial.background).mean(axis=0))
    said = decide(trial.frame) if decide else None
    worst, excess = np.full(trial.n, np.nan), np.full(trial.n, np.nan)
    for _ in range(neighbours):
        frame: Frame = {name: _shaken(column, radius * spread.get(name, 0.0), rng) for name, column in trial.frame.items()}
        answer, values = explainer.answer(frame), stacked(explainer.explain(frame))
        kept = decide(frame) == said if decide else np.ones(trial.n, dtype=bool)
        move = np.minimum(stability.moved(trial.values.reshape(trial.n, -1), values.reshape(trial.n, -1)), MOST)
        change = np.abs(answer - own).max(axis=1) / np.maximum(distance.max(axis=1), 1e-12)
        kept &= np.isfinite(move)
        beyond = np.maximum(move - PER_CHANGE * change, 0)
        worst, excess = (np.where(kept, np.fmax(so_far, new), so_far) for so_far, new in ((worst, move), (excess, beyond)))
    return Near(worst, excess)


def spreads(frame: Frame) -> dict[str, float]:
    """Standard deviation of each column of numbers that has more than two values; what is known of it."""
    known = {n: c[np.isfinite(c)] for n, c in frame.items() if not isinstance(c, Categories) and c.ndim == 1 and c.dtype.kind in "fi"}
    return {n: float(np.std(c)) for n, c in known.items() if len(np.unique(c)) > 2}


def _shaken(column: Array | Categories, radius: float, rng: np.random.Generator) -> Array | Categories:
    """A column with up to ± `radius` added to each number; whole numbers stay whole."""
    if radius == 0 or isinstance(column, Categories):
        return column
    noise = rng.uniform(-radius, radius, len(column))
    return (column + (np.round(noise) if column.dtype.kind == "i" else noise)).astype(column.dtype)


def between(trial: Trial, other: Floats, k: int) -> Agreement:
    """Agreement of the first rows of a trial with another method's attributions (n, d, k outputs) of them, averaged over the outputs."""
    per = [agreement(trial.values[: len(other), :, i], other[:, :, i], k) for i in range(other.shape[2])]
    return Agreement(*(np.mean(values, axis=0) for values in zip(*per, strict=True)))
