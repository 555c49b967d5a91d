"""Whether the model gives away a sensitive input of its training rows to somebody who knows the rest of the row."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Evidence, Measurement, Message
    from audit.privacy.guessing import Guessed


@check(
    "privacy.attributes",
    title="Whether the model gives away sensitive inputs of its training rows",
    meaning=(
        "Somebody who knows a training row but for one sensitive input can put each of its values in, ask the model, and take the value under which the model finds the true outcome likeliest. But who knows the "
        "rest of a row can often guess that value without any model. So the guess that combines the model's answers with an imputation (a small model of the sensitive input from the other inputs and the "
        "outcome, fitted on the audited rows) is compared with the imputation alone, on the same training rows: the gain is what the model gives away. How strongly the answers count is chosen on one half of the rows."
    ),
    limits=(
        "A gain can also come from what the model learnt of people in general and the imputation did not. Attackers who see the model's weights can find more. The share of right guesses says little of a rare value. "
        "A sensitive column that is no input of the model is not asked about: the model's answer for a row does not depend on it."
    ),
    unit="share of rows",
    direction="lower",
    needs=["labels", "classes", "scores", "training", "features", "table", "sensitive"],
    references=["Fredrikson et al. 2014", "Yeom, Giacomelli, Fredrikson and Jha 2018", "Jayaraman and Evans 2022", "Tango 1998"],
    probing=True,
)
def attributes(
    ctx: Context,
    *,
    rows: Annotated[int, Field(ge=100)] = 2000,
    values: Annotated[int, Field(ge=2, le=50)] = 10,
    budget: Annotated[int, Field(ge=100)] = 5_000_000,
) -> Iterable[Measurement | Message]:
    """Each sensitive input guessed for at most `rows` training rows among its `values` largest groups, with at most `budget` questions to the model."""
    from audit.measure import undefined
    from audit.text import message

    inputs = {f.name for f in ctx.facts.features}
    asked = [g for g in ctx.facts.groups if g.name in inputs]
    for group in (g for g in ctx.facts.groups if g.name not in inputs):
        why = message("The model does not take this column, so its answer for a row does not depend on it.")
        yield undefined("attribute_guessed", why, slice_={"(feature)": group.name})  # nothing to hold against a limit
    if not asked:
        yield message(
            "The model takes none of the sensitive columns, so it cannot be asked under which of their values it finds an outcome likelier."
        )
        return
    size = min(rows, ctx.plan.audit.sample, budget // (values * len(asked)))
    said: list[tuple[float, Message]] = []
    for group in asked:
        said += yield from _column(ctx, group.name, size, values)
    yield max(said, key=lambda pair: pair[0])[1] if said else message("No sensitive input could be guessed: see the reasons.")


def _column(ctx: Context, name: str, rows: int, values: int) -> Generator[Measurement, None, list[tuple[float, Message]]]:
    """One sensitive input; hands back what is to be said of it, with the gain to rank it by."""
    from audit.measure import rate, undefined
    from audit.measurement import Measurement, Message
    from audit.privacy.guessing import guess
    from audit.stats.paired import tango
    from audit.text import message

    at = {"(feature)": name}
    found = guess(ctx, name, rows, values)
    if isinstance(found, Message):
        yield undefined("attribute_gain", found, slice_=at)
        return []
    pair = found.pair
    gain = tango(pair, level=ctx.level("attribute_gain"))
    assert gain is not None
    yield Measurement(metric="attribute_gain", slice=at, estimate=gain, evidence=[_table(found)])
    yield rate(ctx, "attribute_guessed", pair.both + pair.new, pair.n, slice_=at)
    yield rate(ctx, "attribute_imputed", pair.both + pair.old, pair.n, slice_=at)
    said = message(
        "With the model's answers {column} is guessed rightly for {guessed:percent} of {n:count} training rows, without them for {imputed:percent}: a gain of {gain:points} percentage points ({level:percent} interval {low:points} to {high:points}).",
        column=name, n=pair.n, guessed=(pair.both + pair.new) / pair.n, imputed=(pair.both + pair.old) / pair.n,
        gain=gain.value, level=gain.level, low=gain.low, high=gain.high,
    )  # fmt: skip
    return [(gain.value, said)]


def _table(found: Guessed) -> Evidence:
    """Right guesses by the true value."""
    from audit.measurement import Cell, Column, Table
    from audit.text import message, render

    caption = message("Right guesses by the true value, on the half of the rows that measures")
    columns = [
        Column(name="value", label="value"), Column(name="n", label="rows", kind="integer"), Column(name="guessed", label="right with the model", kind="percent"),
        Column(name="imputed", label="right without it", kind="percent"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [[level, n, with_, without] for level, n, with_, without in found.by_value]
    return Table(caption=render(caption), caption_msg=caption, columns=columns, rows=rows)
