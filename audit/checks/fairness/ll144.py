"""The three tables of New York City's Local Law 144 (6 RCNY 5-300 to 5-304), as its rule computes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from audit.registry import check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audit.context import Coding, Context
    from audit.measurement import Cell, Evidence, Measurement, Message, Slice
    from audit.table import Block

    Cells = tuple[tuple[str, ...], int, int]  # the category, x of n people

Sex = Literal["Male", "Female", "unknown"]
Race = Literal[
    "Hispanic or Latino", "White", "Black or African American", "Native Hawaiian or Pacific Islander", "Asian",
    "Native American or Alaska Native", "Two or More Races", "unknown",
]  # fmt: skip
#: EEO-1 Component 1, in the order of the rule's own examples.
SEXES = ("Male", "Female")
RACES = (
    "Hispanic or Latino", "White", "Black or African American", "Native Hawaiian or Pacific Islander", "Asian",
    "Native American or Alaska Native", "Two or More Races",
)  # fmt: skip
UNKNOWN = "unknown"
LEAST_SHARE = 0.02
NO_DATA, EXCLUDED = "no data", "excluded from the ratios"
NOT_SMALL, NOBODY = "not excluded: 2 % of the data or more", "not excluded: no named person"


@check(
    "fairness.ll144",
    title="New York City Local Law 144: bias audit tables",
    meaning=(
        "Selection rates, and where the model scores people scoring rates (the share strictly above the median of the full sample), with their impact ratios for sex, for race or ethnicity, "
        "and for both together, each against the highest rate of its own table. People of unknown sex or race are counted and left out. Asked for by naming the two columns in the plan."
    ),
    limits=(
        "The law sets no limit that a ratio must reach. The published summary also has to state the source of the data, why test data were used if they were, the distribution date and who "
        "audited independently: none of that is computed here. The rule does not say whether the median takes people of unknown category in: which was done is printed."
    ),
    unit="share of people; ratio to the highest rate of the table",
    direction="none",
    needs=["sensitive"],
    columns=["sex", "race"],
    reported_only=["selection_rate", "scoring_rate", "impact_ratio", "scoring_impact_ratio"],
    references=["6 RCNY 5-300 to 5-304", "NYC Administrative Code 20-870 to 20-874"],
)  # fmt: skip
def ll144(
    ctx: Context,
    *,
    sex: str = "",
    race: str = "",
    sex_categories: dict[str, Sex] | None = None,
    race_categories: dict[str, Race] | None = None,
    variant: Literal["selection", "scoring", "both"] = "both",
    median_population: Literal["all", "known"] = "all",
    excluded: dict[str, str] | None = None,
    excluded_by: str = "",
) -> Iterable[Measurement | Message]:
    """Three tables for selection, three for scoring. `*_categories` map the data's values to the rule's; `excluded` maps a printed category
    under 2 % to its justification, for which `excluded_by` names a person."""
    from audit.text import message

    columns = (_column(ctx, sex, SEXES, sex_categories or {}), _column(ctx, race, RACES, race_categories or {}))
    left_out = Excluded(excluded or {}, excluded_by.strip())
    lowest: list[Message] = []
    if variant != "scoring" and ctx.scored.selection is not None:
        n, x = _count(ctx, columns, ctx.chosen(), ["pred"])
        for table in _tables(columns, n, x, left_out):
            yield from _measured(ctx, "selection", table, None)
            lowest += _lowest("selection", table)
    scores = _scores(ctx) if variant != "selection" else None
    if scores is not None:
        median, ties = _median(ctx, columns, scores, median_population)
        if median is not None:
            n, x = _count(ctx, columns, _above(scores, median), [scores.column])
            for table in _tables(columns, n, x, left_out):
                yield from _measured(ctx, "scoring", table, Median(scores.sign * median, ties, median_population))
                lowest += _lowest("scoring", table)
    if not lowest:
        yield message("There is nothing to compare for Local Law 144: no two categories have people and a favourable decision or a score.")
        return
    said = message("Lowest impact ratios: {parts}. The law sets no limit for them.", parts=lowest)
    strange = [name for column, known in zip(columns, (SEXES, RACES), strict=True) for name in column.names if name not in known]
    if strange:
        yield message("{said} Values that are no category of the rule stand under their own name: {names}.", said=said, names=strange)
    else:
        yield said


class Divided(NamedTuple):
    """A sensitive column as the rule sees it: its categories, and for each of the data's values its category, the unknown after the last."""

    name: str
    place: int
    names: tuple[str, ...]
    codes: NDArray[np.int64]


class Excluded(NamedTuple):
    """Categories that somebody wants left out of the ratios, by the name that the table prints, with the reason; and who answers for it."""

    reasons: Mapping[str, str]
    by: str


class Scores(NamedTuple):
    """Which column ranks people, and its sign where a low value is the better one."""

    column: str
    sign: int


class Median(NamedTuple):
    """What scores were held against, how many are exactly equal to it, and whose median it is."""

    value: float
    ties: int
    population: str


class Line(NamedTuple):
    """A category: x of n people, its ratio where it takes part in the comparison, and what is to be said of it."""

    names: tuple[str, ...]
    x: int
    n: int
    ratio: float | None
    note: str
    reason: str

    @property
    def name(self) -> str:
        """As the table prints it and as `excluded` names it."""
        return ", ".join(self.names)


class Made(NamedTuple):
    """One of the three tables: the columns that it divides by, its lines, the place of the highest rate, and people left out as unknown."""

    columns: tuple[str, ...]
    lines: list[Line]
    top: int | None
    unknown: int


def _column(ctx: Context, name: str, known: Sequence[str], mapped: Mapping[str, str]) -> Divided:
    import numpy as np

    from audit.dataset import MISSING

    place, group = next((i, g) for i, g in enumerate(ctx.facts.groups) if g.name == name)
    named = [UNKNOWN if level == MISSING else mapped.get(level, level) for level in group.levels]
    names = (*known, *dict.fromkeys(v for v in named if v not in known and v != UNKNOWN))
    return Divided(name, place, names, np.array([len(names) if v == UNKNOWN else names.index(v) for v in named], np.int64))


def _count(ctx: Context, columns: tuple[Divided, Divided], coding: Coding, names: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n, x) people by sex and race, the unknown last, each (sexes + 1, races + 1); a coding gives 1 for those who count, 2 for no prediction."""
    import numpy as np

    sexes, races = columns
    shape = (len(sexes.names) + 1, len(races.names) + 1)
    sums = np.zeros(shape[0] * shape[1] * 3, np.int64)
    for block in ctx.scored.blocks([*names, f"g{sexes.place}", f"g{races.place}"]):
        category = sexes.codes[block[f"g{sexes.place}"]] * shape[1] + races.codes[block[f"g{races.place}"]]
        sums += np.bincount(category * 3 + coding(block), minlength=len(sums))
    cells = sums.reshape(*shape, 3)
    return cells[:, :, :2].sum(axis=2), cells[:, :, 1]


def _scores(ctx: Context) -> Scores | None:
    """What ranks people: the probability of the event, or the predicted value; turned round where the event or a high value is not wanted."""
    favourable = ctx.settled.favourable
    if ctx.settled.task == "regression":
        return Scores("pred", -1 if favourable == ["low"] else 1)
    if ctx.settled.task == "binary" and ctx.settled.has_scores:
        return Scores("score", -1 if favourable and ctx.settled.positive not in favourable else 1)
    return None


def _median(ctx: Context, columns: tuple[Divided, Divided], scores: Scores, population: str) -> tuple[float | None, int]:
    """The median in the direction of the better, and how many people have exactly this score."""
    import numpy as np

    values = ctx.scored.column(scores.column) * scores.sign
    counted = np.isfinite(values)
    if population == "known":
        for column in columns:
            counted &= column.codes[ctx.scored.group(column.place)] < len(column.names)
    if not counted.any():
        return None, 0
    median = float(np.median(values[counted]))
    return median, int(np.count_nonzero(values[counted] == median))


def _above(scores: Scores, median: float) -> Coding:
    import numpy as np

    def code(block: Block) -> NDArray[np.int64]:
        values = block[scores.column] * scores.sign
        return np.where(np.isfinite(values), (values > median).astype(np.int64), 2)

    return code


def _tables(columns: tuple[Divided, Divided], n: NDArray[np.int64], x: NDArray[np.int64], left_out: Excluded) -> Iterator[Made]:
    """By sex, by race or ethnicity, and by both, each with a denominator of its own."""
    sexes, races = columns
    total = int(n.sum())
    by_sex: list[Cells] = [((name,), int(x[i].sum()), int(n[i].sum())) for i, name in enumerate(sexes.names)]
    by_race: list[Cells] = [((name,), int(x[:, j].sum()), int(n[:, j].sum())) for j, name in enumerate(races.names)]
    by_both: list[Cells] = [
        ((one, other), int(x[i, j]), int(n[i, j])) for j, other in enumerate(races.names) for i, one in enumerate(sexes.names)
    ]
    for names, cells in (((sexes.name,), by_sex), ((races.name,), by_race), ((sexes.name, races.name), by_both)):
        lines, top = _lines(cells, left_out)
        yield Made(names, lines, top, total - sum(size for *_, size in cells))


def _lines(cells: list[Cells], left_out: Excluded) -> tuple[list[Line], int | None]:
    """Ratios to the highest rate of these cells; what is excluded with good reason takes no part and is no reference."""
    from audit.stats.impact import highest

    total = sum(n for *_, n in cells)
    notes = [_note(", ".join(names), n, total, left_out) for names, _, n in cells]
    taking = [i for i, (*_, n) in enumerate(cells) if n and notes[i] != EXCLUDED]
    best = highest([cells[i][1] for i in taking], [cells[i][2] for i in taking])
    top = None if best is None or cells[taking[best]][1] == 0 else taking[best]
    lines = []
    for i, (names, x, n) in enumerate(cells):
        ratio = x * cells[top][2] / (n * cells[top][1]) if top is not None and i in taking else None
        lines.append(Line(names, x, n, ratio, notes[i], _reason(", ".join(names), left_out)))
    return lines, top


def _note(name: str, n: int, total: int, left_out: Excluded) -> str:
    if not n:
        return NO_DATA
    if name not in left_out.reasons:
        return ""
    if n >= LEAST_SHARE * total:
        return NOT_SMALL
    return EXCLUDED if left_out.by and left_out.reasons[name].strip() else NOBODY


def _slice(table: Made, line: Line) -> Slice:
    return dict(zip(table.columns, line.names, strict=True))


def _measured(ctx: Context, variant: Literal["selection", "scoring"], table: Made, median: Median | None) -> Iterator[Measurement]:
    """The highest rate, with the whole table, and the ratio of each other category to it."""
    from audit.measure import rate, undefined
    from audit.measurement import Measurement, Part
    from audit.stats.compare import miettinen_nurminen
    from audit.text import message

    metric, ratio_metric = f"{variant}_rate", "impact_ratio" if variant == "selection" else "scoring_impact_ratio"
    # The highest rate carries the table, which has all rates; the ratios follow one by one with their intervals.
    top = None if table.top is None else table.lines[table.top]
    first = top or next((line for line in table.lines if line.n), table.lines[0])
    highest = rate(ctx, metric, first.x, first.n, slice_=_slice(table, first), what="people of this category")
    yield highest.model_copy(update={"evidence": [_evidence(variant, table, median)]})
    for i, line in enumerate(table.lines):
        if not line.n or line.note == EXCLUDED or i == table.top:
            continue
        at, parts = _slice(table, line), [Part(slice=_slice(table, line), k=line.x, n=line.n)]
        if top is None:
            reason = message("Nobody counts in any category, so there is no highest rate.")
            yield undefined(ratio_metric, reason, slice_=at, against={}, compare="ratio", parts=parts)
            continue
        against = _slice(table, top)
        estimate = miettinen_nurminen(line.x, line.n, top.x, top.n, level=ctx.level(ratio_metric, "ratio"))
        yield Measurement(
            metric=ratio_metric,
            compare="ratio",
            slice=at,
            against=against,
            parts=[*parts, Part(slice=against, k=top.x, n=top.n)],
            estimate=estimate,
        )


def _reason(name: str, left_out: Excluded) -> str:
    reason = left_out.reasons.get(name, "").strip()
    return f"{reason} ({left_out.by})" if reason and left_out.by else reason


def _evidence(variant: Literal["selection", "scoring"], table: Made, median: Median | None) -> Evidence:
    """The table as the rule has it: people, how many count, rate, impact ratio."""
    from audit.measurement import Column, Table
    from audit.text import message, render

    counted = "selected" if variant == "selection" else "above the median"
    explained = any(line.reason for line in table.lines)
    columns = [
        *(Column(name=f"category{i}", label=name) for i, name in enumerate(table.columns)),
        Column(name="n", label="people", kind="integer"),
        Column(name="k", label="selected", kind="integer")
        if counted == "selected"
        else Column(name="k", label="above the median", kind="integer"),
        Column(name="rate", label="selection rate", kind="percent")
        if counted == "selected"
        else Column(name="rate", label="scoring rate", kind="percent"),
        Column(name="ratio", label="impact ratio", kind="ratio3"),
        Column(name="note", label="note"),
        *([Column(name="reason", label="justification, and who gives it")] if explained else []),
    ]
    rows: list[list[Cell]] = [
        [*line.names, line.n, line.x, line.x / line.n if line.n else None, line.ratio, line.note, *([line.reason] if explained else [])]
        for line in table.lines
    ]
    text = message("Local Law 144, selection, by {columns}; people of unknown category left out: {unknown:count}",
                   columns=list(table.columns), unknown=table.unknown)  # fmt: skip
    if median is not None:
        whose = message("everybody") if median.population == "all" else message("people of known sex and race")
        text = message(
            "Local Law 144, scoring, by {columns}; people of unknown category left out: {unknown:count}; median {median:number} of {whose}, exactly at it {ties:count}",
            columns=list(table.columns), unknown=table.unknown, median=median.value, whose=whose, ties=median.ties,
        )  # fmt: skip
    return Table(caption=render(text), caption_msg=text, columns=columns, rows=rows)


def _lowest(variant: Literal["selection", "scoring"], table: Made) -> list[Message]:
    """The lowest ratio of a table as a part of the sentence; nothing where no two categories can be compared."""
    from audit.text import message

    compared = [(line.ratio, line) for line in table.lines if line.ratio is not None]
    if len(compared) < 2:
        return []
    ratio, line = min(compared, key=lambda pair: pair[0])
    if variant == "selection":
        return [message("{ratio:ratio3} for {name} (selection)", ratio=ratio, name=line.name)]
    return [message("{ratio:ratio3} for {name} (scoring)", ratio=ratio, name=line.name)]
