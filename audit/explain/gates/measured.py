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
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from audit.explain.gates.trial import OnTrial, PerRow, Trial

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


def faithfulness(trial: OnTrial, controls: Mapping[str, PerRow], masks: int, rng: np.random.Generator) -> Faithful:
    """How well the attributions (d, k) of each row predict what the answer loses with a random set of parts; averaged over the outputs of a row.

    The method stands under "", each of `controls` under its name. Rows of fewer than two parts have nothing to share out.
    """
    tried: dict[str, PerRow] = {"": trial.values} | dict(controls)
    scores = {name: np.full((2, trial.n), np.nan) for name in tried}
    for row in range(trial.n):
        if len(trial.values[row]) < 2:
            continue
        off = infidelity.subsets(len(trial.values[row]), masks, rng)
        change = infidelity.change_of(trial.play(row), off)
        for name, values in tried.items():
            said = infidelity.predicted_by(values[row], off)
            pairs = list(zip(said.T, change.T, strict=True))
            for place, score in enumerate((infidelity.scale_free, infidelity.faithfulness_correlation)):
                known = [s for s in (score(a, b) for a, b in pairs) if s is not None]
                scores[name][place, row] = np.mean(known) if known else np.nan
    return Faithful({name: s[0] for name, s in scores.items()}, {name: s[1] for name, s in scores.items()})


class Deleted(NamedTuple):
    """Areas between deletion curves and the answer without any part per row, (n,), in units of the mean move from there: of the method, of each control, and of random orders."""

    areas: dict[str, Floats]
    random: Floats


def deleted(trial: OnTrial, controls: Mapping[str, PerRow], rng: np.random.Generator) -> Deleted:
    """Parts are taken away by falling attribution; a random order is averaged with its reverse, which is exact where parts do not interact.

    Averaged over the outputs of a row; rows of fewer than two parts are left out. `controls` are attributions (d, k) of each row; what each part
    does alone is always among them.
    """
    divided = [row for row in range(trial.n) if len(trial.values[row]) > 1]
    n, k = len(divided), trial.values[0].shape[1]
    names = ["", *controls, ALONE]
    found = {name: np.zeros((n, k)) for name in names}
    random, move = np.zeros((n, k)), np.zeros((n, k))
    for place, row in enumerate(divided):
        play, d = trial.play(row), len(trial.values[row])
        ends = play(np.concatenate([np.ones((1, d), bool), np.zeros((1, d), bool), ~np.eye(d, dtype=bool)]))
        alone = ends[:1] - ends[2:]
        move[place] = np.abs(ends[0] - ends[1])
        shuffled = rng.permutation(d)
        for output in range(k):
            tried = [trial.values[row][:, output], *(c[row][:, output] for c in controls.values()), alone[:, output]]
            orders = [deletion.order(v) for v in tried] + [shuffled, shuffled[::-1]]
            areas = deletion.areas(play, orders)[:, output]
            random[place, output] = areas[-2:].mean() - ends[1, output]
            for name, area in zip(names, areas[:-2], strict=True):
                found[name][place, output] = area - ends[1, output]
    known = np.isfinite(random).all(axis=1) & np.isfinite(move).all(axis=1)  # the model may give no answer for some variants of a row
    for own in found.values():
        known &= np.isfinite(own).all(axis=1)
    scale = np.maximum(move[known].mean(axis=0), 1e-12) if known.any() else np.ones(k)
    return Deleted({name: (a[known] / scale).mean(axis=1) for name, a in found.items()}, (random[known] / scale).mean(axis=1))


class Randomised(NamedTuple):
    """Per row, (n,): similarity to the explanation of a model without meaning, averaged over such models; that of two such models to each other,
    (n · pairs,); by how much the entropy of the sizes rises; and the cosine with the least like of those explanations. `signed` and `signed_null`
    are the first two by ranks with signs."""

    similarity: Floats
    null: Floats
    entropy_rise: Floats
    unchanged: Floats
    signed: Floats | None = None
    signed_null: Floats | None = None

    @property
    def with_signs(self) -> Randomised | None:
        """The same by ranks with signs, where those tell something."""
        if self.signed is None or self.signed_null is None:
            return None
        found = self._replace(similarity=self.signed, null=self.signed_null, signed=None)
        return found if float(np.quantile(found.null, 0.95)) < 1 - randomisation.ROOM else None

    @property
    def tells(self) -> bool:
        """Whether likeness tells anything: the attributions are the same, or more alike than those of 95 of 100 pairs of random models."""
        same = float(np.median(self.unchanged)) >= randomisation.SAME
        return same or float(np.quantile(self.null, 0.95)) < float(np.median(self.similarity))


def against_random_models(trial: OnTrial, others: Sequence[PerRow]) -> Randomised:
    """`others` are attributions (d, k) of each of the same rows by the same method over randomised models, at least two; outputs are averaged.

    Rows of fewer parts than ranks can speak of are left out.
    """
    told = [row for row in range(trial.n) if len(trial.values[row]) >= randomisation.FEWEST]

    def each(measure: Callable[[Floats, Floats], Floats], a: PerRow, b: PerRow) -> Floats:
        """(outputs, n): of the attributions of each row and output as one line each."""
        per_row = [measure(a[row].T, b[row].T) for row in told]
        return np.stack(per_row, axis=1) if per_row else np.zeros((1, 0))

    own = trial.values
    return Randomised(
        np.mean([each(randomisation.similarity, own, o).mean(axis=0) for o in others], axis=0),
        np.concatenate([each(randomisation.similarity, a, b).mean(axis=0) for a, b in combinations(others, 2)]),
        np.mean([each(randomisation.entropy_rise, own, o).mean(axis=0) for o in others], axis=0),
        np.min([each(randomisation.proportional, own, o).min(axis=0) for o in others], axis=0),
        np.mean([each(randomisation.signed_similarity, own, o).mean(axis=0) for o in others], axis=0),
        np.concatenate([each(randomisation.signed_similarity, a, b).mean(axis=0) for a, b in combinations(others, 2)]),
    )


class Steady(NamedTuple):
    """Per row, (n,): corrected overlap of the largest parts and concordance over runs."""

    overlap: Floats
    concordance: Floats


def over_seeds(trial: OnTrial, runs: Sequence[PerRow], top: int) -> Steady:
    """`runs` are attributions of the same rows with other random numbers; of each row the `top` largest parts count, but at most half of them.

    Averaged over the outputs; rows of fewer than two parts are left out.
    """
    everything: list[PerRow] = [trial.values, *runs]
    overlap, concordance = [], []
    for row in range(trial.n):
        if (d := len(trial.values[row])) < 2:
            continue
        lines = [run[row].T for run in everything]
        overlap.append(float(stability.agreement(lines, largest(top, d)).mean()))
        concordance.append(float(stability.concordance(lines).mean()))
    return Steady(np.array(overlap), np.array(concordance))


def largest(top: int, d: int) -> int:
    """How many of d parts count as the largest."""
    return max(1, min(top, d // 2))


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
        frame: Frame = {name: shaken(column, radius * spread.get(name, 0.0), rng) for name, column in trial.frame.items()}
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


def shaken(column: Array | Categories, radius: float, rng: np.random.Generator) -> Array | Categories:
    """A column with up to ± `radius` added to each number; whole numbers stay whole."""
    if radius == 0 or isinstance(column, Categories):
        return column
    noise = rng.uniform(-radius, radius, len(column))
    return (column + (np.round(noise) if column.dtype.kind == "i" else noise)).astype(column.dtype)


def between(trial: OnTrial, other: PerRow, top: int) -> Agreement:
    """Agreement of the first rows of a trial with another method's attributions (d, k outputs) of them, averaged over the outputs; rows of fewer than
    two parts are left out."""
    per = []
    for own, theirs in zip(trial.values, other, strict=False):
        if len(own) > 1:
            per.append([float(v.mean()) for v in agreement(own.T, theirs.T, largest(top, len(own)))])
    return Agreement(*np.array(per).reshape(-1, len(Agreement._fields)).T)
