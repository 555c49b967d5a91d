"""Whether the audited rows can say how the model does on new ones: rows seen in training, repeated rows, and inputs that give the outcome away."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

from audit.registry import Field, check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.measurement import Cell, Estimate, Evidence, Measurement, Message, Table
    from audit.stats.fingerprints import Prints

#: Inputs that are listed one by one; where there are more they stand in a table, of thousands (as of a recording) the first.
MOST, TABLED = 10, 50
#: From this AUC (or R²) on, one input alone is named as giving the outcome away.
ALMOST = 0.98


@check(
    "data.leakage",
    title="Rows and columns that give the answer away",
    meaning=(
        "How many audited rows occur among the training rows: with all inputs equal; with inputs and outcome equal; or nearly, which means equal after numbers are rounded to three significant digits "
        "and texts are trimmed and written in lower case, or equal in all inputs but one. Beside it, how often audited rows equal each other, how often the model is right on rows seen in training "
        "and on others, and how well each input alone predicts the outcome."
    ),
    limits=(
        "Rows that are described by few or coarse inputs can be equal by coincidence: the table says how many equal pairs the audited rows among themselves would let one expect. A row of the same "
        "person with other values is not found. Which rows trained the model is what was logged or named, and is not proved by the model. An input that predicts the outcome well may be a good "
        "input: whether it is known before the outcome is for people to say."
    ),
    unit="share of rows",
    direction="lower",
    needs=["features"],
    references=[
        "Kapoor and Narayanan 2023",
        "Kaufman et al. 2012",
        "Wilson 1927",
        "LeDell, Petersen and van der Laan 2015",
        "Nadeau and Bengio 2003",
    ],
)
def leakage(
    ctx: Context, *, rows: Annotated[int, Field(ge=20, le=1_000_000)] = 5000, columns: Annotated[int, Field(ge=0, le=10_000)] = 50
) -> Iterable[Measurement | Message]:
    """Exact and near matches over all rows by fingerprints; single inputs on at most `rows` rows; a left-out input up to `columns` inputs."""
    from audit.text import message

    matched = yield from _matches(ctx, columns)
    top = yield from _single_inputs(ctx, rows)
    yield message("{first} {second}", first=matched, second=top) if top else matched


class _Relation(NamedTuple):
    """One way in which rows can be alike: which audited rows match, pairs with the training rows, and pairs among the audited rows."""

    label: str
    seen: NDArray[np.bool_]
    pairs: int
    own: int


def _matches(ctx: Context, columns: int) -> Generator[Measurement, None, Message]:
    from audit.fingerprint import Fingerprints
    from audit.measure import rate, undefined
    from audit.rows import readable
    from audit.stats.fingerprints import twins
    from audit.text import message

    training = ctx.facts.training
    theirs_data = training.dataset() if training else None
    ours = Fingerprints(ctx.dataset, ctx.facts.features, theirs_data)
    prints = ours.rows()
    repeated = twins(prints)
    again = rate(ctx, "repeated_row_share", int(repeated.seen.sum()), len(prints))
    if training is None or theirs_data is None:
        yield undefined(
            "seen_row_share",
            message(
                "The rows that the model was trained on are not known, so nothing can be said that compares with them: name them with --training."
            ),
        )
        yield again
        return message("Whether the model was trained on these rows is not known: name its training rows with --training. Rows whose inputs occur more than once among the audited rows: {share:percent}.",
                       share=again.estimate.value if again.estimate else 0)  # fmt: skip
    theirs = Fingerprints(theirs_data, readable(theirs_data, ctx.facts.features), ctx.dataset)
    relations = _relations(ctx, ours, theirs, prints, columns)
    table = _table(relations, len(prints), training.rows)
    by_name = {r.label: r for r in relations}
    seen = by_name[EQUAL].seen
    yield rate(ctx, "seen_row_share", int(seen.sum()), len(prints)).model_copy(update={"evidence": [table]})
    if OUTCOME in by_name:
        yield rate(ctx, "seen_case_share", int(by_name[OUTCOME].seen.sum()), len(prints))
    near = seen.copy()
    for relation in relations:
        near |= relation.seen
    yield rate(ctx, "near_seen_row_share", int((near & ~seen).sum()), len(prints))
    yield again
    yield from _seen_and_unseen(ctx, seen)
    return _said(ctx, seen, by_name)


EQUAL, OUTCOME = "all inputs equal", "all inputs and the outcome equal"
ROUNDED, BUT_ONE = "equal after rounding and trimming", "all inputs but one equal"


def _relations(ctx: Context, ours: object, theirs: object, prints: Prints, columns: int) -> list[_Relation]:
    """Each relation, from the strictest."""
    import numpy as np

    from audit.fingerprint import Fingerprints
    from audit.stats.fingerprints import matches, twins

    assert isinstance(ours, Fingerprints)
    assert isinstance(theirs, Fingerprints)
    known = theirs.rows()

    def relation(label: str, mine: Prints, other: Prints) -> _Relation:
        found = matches(mine, other)
        return _Relation(label, found.seen, found.pairs, twins(mine).pairs)

    equal = relation(EQUAL, prints, known)
    out = [equal]
    training = ctx.facts.training
    if ctx.facts.target_sql and training is not None and training.target_sql:
        out.insert(0, relation(OUTCOME, prints + ours.texts(ctx.facts.target_sql), known + theirs.texts(training.target_sql)))
    out.append(relation(ROUNDED, ours.near(), theirs.near()))
    if 4 <= len(ctx.facts.features) <= columns:  # of three inputs all but one are two, which many rows share
        seen, pairs, own = np.zeros(len(prints), dtype=np.bool_), 0, 0
        for i in range(len(ctx.facts.features)):
            left = relation(BUT_ONE, prints - ours.column(i), known - theirs.column(i))
            seen |= left.seen
            pairs, own = pairs + left.pairs - equal.pairs, own + left.own - equal.own
        out.append(_Relation(BUT_ONE, seen, pairs + equal.pairs, own + equal.own))
    return out


def _table(relations: list[_Relation], n: int, m: int) -> Table:
    from audit.measurement import Column, Table

    def expected(own: int) -> float | None:
        """Pairs with the training rows if these were equal to audited rows as often as audited rows are to each other."""
        return own / (n * (n - 1) / 2) * n * m if n > 1 else None

    rows: list[list[Cell]] = [
        [r.label, int(r.seen.sum()), float(r.seen.mean()), r.pairs, e if (e := expected(r.own)) is None else round(e)] for r in relations
    ]
    columns = [
        Column(name="relation", label="how alike"), Column(name="seen", label="audited rows with a match", kind="integer"),
        Column(name="share", label="share of the audited rows", kind="percent"), Column(name="pairs", label="equal pairs", kind="integer"),
        Column(name="expected", label="pairs expected from how often audited rows equal each other", kind="integer"),
    ]  # fmt: skip
    return Table(caption="Audited rows that occur among the training rows", columns=columns, rows=rows)


def _said(ctx: Context, seen: NDArray[np.bool_], by_name: dict[str, _Relation]) -> Message:
    from audit.text import message

    training = ctx.facts.training
    assert training is not None
    if training.sha256 == ctx.facts.sha256:
        return message("The training rows and the audited rows are the same file: nothing here says how the model does on new rows.")
    k = int(by_name[OUTCOME if OUTCOME in by_name else EQUAL].seen.sum())
    numbers = {"k": int(seen.sum()), "n": len(seen), "share": float(seen.mean()), "m": training.rows, "case": k}
    if not k and not seen.any():
        return message("None of the {n:count} audited rows occurs among the {m:count} training rows with the same inputs.", **numbers)
    if OUTCOME in by_name:
        return message(
            "Of {n:count} audited rows, {k:count} ({share:percent}) occur among the {m:count} training rows with the same inputs, and {case:count} with the same outcome too.",
            **numbers,
        )
    return message(
        "Of {n:count} audited rows, {k:count} ({share:percent}) occur among the {m:count} training rows with the same inputs.", **numbers
    )


def _seen_and_unseen(ctx: Context, seen: NDArray[np.bool_]) -> Iterator[Measurement]:
    """How often the model is right (or how large its error is) on rows seen in training, on the others, and the difference."""
    import numpy as np

    from audit.measure import comparisons, rate, value
    from audit.measurement import Measurement, Part
    from audit.stats.compare import mean_difference, mean_interval, mean_test
    from audit.stats.sums import moments
    from audit.text import message

    if ctx.facts.target_sql is None or seen.all() or not seen.any():
        return
    usable = ctx.scored.usable
    slices = ({"(rows)": "(seen)"}, {"(rows)": "(unseen)"})
    if ctx.settled.task != "regression":
        right = (ctx.scored.y == ctx.scored.pred) & usable
        parts = [Part(slice=s, k=int((right & m).sum()), n=int((usable & m).sum())) for s, m in zip(slices, (seen, ~seen), strict=True)]
        for part in parts:
            yield rate(ctx, "accuracy", part.k, part.n, slice_=part.slice)
        if all(p.n for p in parts):
            yield next(m for m in comparisons(ctx, "accuracy", *parts) if m.compare == "difference")
        return
    absolute = np.abs(ctx.scored.y - ctx.scored.pred)
    found = [moments(absolute[usable & m]) for m in (seen, ~seen)]
    for error, slice_ in zip(found, slices, strict=True):
        level = ctx.level("mean_absolute_error")
        yield value(
            "mean_absolute_error",
            mean_interval(*error, level=level) if error else None,
            slice_=slice_,
            reason=message("Too few rows, or no spread among them."),
        )
    if found[0] and found[1]:
        estimate = mean_difference(found[0], found[1], level=ctx.level("mean_absolute_error", "difference"))
        tested = mean_test(found[0], found[1])
        if estimate and tested:
            from audit.measurement import Test

            test = Test(null="equality", method=tested[1], p_value=min(1.0, tested[0]))
            yield Measurement(
                metric="mean_absolute_error", compare="difference", slice=slices[0], against=slices[1], estimate=estimate, test=test
            )


def _single_inputs(ctx: Context, rows: int) -> Generator[Measurement, None, Message | None]:
    """How well each input alone predicts the outcome, out of fold; returns a sentence where one almost gives it."""
    from audit.measure import value
    from audit.text import message

    found = _alone(ctx, rows)
    if not found:
        return None
    metric = (
        "single_input_r2" if ctx.settled.task == "regression" else "single_input_auc" if ctx.settled.task == "binary" else "single_input_v"
    )
    order = sorted(found, key=lambda name: (-found[name].value, name))
    shown: list[Evidence] = [_alone_table(metric, [(name, found[name]) for name in order])] if len(order) > MOST else []
    for place, name in enumerate(order[:MOST]):
        yield value(metric, found[name], slice_={"(feature)": name}, evidence=shown if place == 0 else [])
    telling = [name for name in order if found[name].value >= ALMOST]
    if telling:
        return message("These inputs give the outcome away almost alone, so check that they are known before it: {names}.", names=telling)
    return message(
        "No input gives the outcome away alone; {name} comes closest ({value:number}).", name=order[0], value=found[order[0]].value
    )


def _alone(ctx: Context, rows: int) -> dict[str, Estimate]:
    """Input → cross-validated AUC, cross-validated R² of a quantity, or Cramér's V of several classes; those that can be measured."""
    import numpy as np

    from audit.fitted import FOLDS, coded_inputs
    from audit.rows import evaluation_rows
    from audit.stats.association import balanced_folds, cramers_v, rates_out_of_fold
    from audit.stats.auc import auc_over_folds, fold_inflation
    from audit.stats.losses import r2
    from audit.subject.frame import take

    if ctx.facts.target_sql is None:
        return {}
    chosen = evaluation_rows(ctx, rows)
    assert chosen.y is not None
    task = ctx.settled.task
    keep = np.flatnonzero(np.isfinite(chosen.y) if task == "regression" else chosen.y >= 0)
    y, inputs = chosen.y[keep], coded_inputs(take(chosen.frame, keep), ctx.facts.features)
    if len(y) < 2 * FOLDS or len(np.unique(y)) < 2:
        return {}
    if task == "binary":
        y = (y == ctx.settled.classes.index(str(ctx.settled.positive))).astype(np.int64)
    folds = balanced_folds(y if task == "binary" else np.zeros(len(y)), FOLDS, ctx.rng("folds"))
    level = ctx.level("single_input_auc")
    out: dict[str, Estimate | None] = {}
    for name, codes in inputs.items():
        if task == "multiclass":
            table = np.bincount(codes * len(ctx.settled.classes) + y, minlength=(int(codes.max()) + 1) * len(ctx.settled.classes))
            out[name] = cramers_v(table.reshape(-1, len(ctx.settled.classes)), level=level)
        elif task == "binary":
            out[name] = auc_over_folds(rates_out_of_fold(codes, y, folds), y, folds, level=level)
        else:
            out[name] = _widened(r2(y, rates_out_of_fold(codes, y, folds), level=level), fold_inflation(FOLDS) ** 0.5)
    return {name: e for name, e in out.items() if e is not None}


def _widened(e: Estimate, factor: float) -> Estimate:
    """An interval whose distances from the value grow by a factor."""
    return e.model_copy(
        update={"low": e.value - factor * (e.value - e.low), "high": e.value + factor * (e.high - e.value), "method": "delta_folds"}
    )


def _alone_table(metric: str, found: list[tuple[str, Estimate]]) -> Table:
    from audit.measurement import Column, Table
    from audit.text import message, render

    label = {"single_input_auc": "ROC AUC", "single_input_r2": "R²", "single_input_v": "Cramér's V"}[metric]
    columns = [
        Column(name="feature", label="input"), Column(name="alone", label=label, kind="number"), Column(name="low", label="low", kind="number"),
        Column(name="high", label="high", kind="number"), Column(name="rows", label="rows", kind="integer"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [[name, e.value, e.low, e.high, e.n] for name, e in found[:TABLED]]
    if len(found) <= TABLED:
        return Table(caption="How well each input alone predicts the outcome", columns=columns, rows=rows)
    said = message("How well each input alone predicts the outcome: the best {shown:count} of {all:count}", shown=TABLED, all=len(found))
    return Table(caption=render(said), caption_msg=said, columns=columns, rows=rows)
