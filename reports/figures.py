"""Which charts a check gets, with their titles, subtitles and words for those who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

from audit.measurement import Attribution, Curve, Evidence, Heatmap, Histogram, Tree
from audit.named_slices import KEY
from audit.result import AuditResult, CheckResult, Criterion, Finding
from audit.text import PARTS, speaks
from reports import charts, curves, trees
from reports.charts import Chart, Dot, shortened
from reports.metrics import kind_of, metric_name
from reports.said import places
from reports.sentences import capital, method_name
from reports.speaker import Speaker, clean, interval, number
from reports.tables import SMALL, limit_text, line_name, reference_of, rows_of
from reports.words import COMPARE

MOST_CELLS = 64  # along a side of a map that is drawn
REST = "(rest)"  # everybody else, where a search found a slice
MOST_DOTS = 25
ALT_LIMIT = 1500
NEUTRAL = {"ratio": 1.0, "odds_ratio": 1.0, "difference": 0.0}


#: Columns of a slice whose values are inputs or parts of one: a colour of their own would mean nothing.
INPUTS = {"(feature)", "(word)", "(word number)", "(region)", "(stretch)", "(event)", "(field)"}


class Palette:
    """The same group has the same colour on all pages of one audit; references are grey."""

    def __init__(self, document: AuditResult) -> None:
        self.reference = {(column, value) for column, value in document.data.reference.items()}
        order: dict[str, list[str]] = {}
        for check in document.checks:
            for f in check.findings:
                for column, value in f.slice.items():
                    if column in INPUTS:
                        continue
                    if value not in order.setdefault(column, []) and (column, value) not in self.reference:
                        order[column].append(value)
        self.hues = {(c, v): charts.OKABE_ITO[i] for c, values in order.items() for i, v in enumerate(values[:6])}
        self.by_value = {v: hue for (_, v), hue in self.hues.items()} | {v: charts.REFERENCE for _, v in self.reference}

    def within(self, slice_: Mapping[str, str]) -> Palette:
        """The same, where a name that several columns have is meant as the first column of this slice has it."""
        own, column = copy(self), next(iter(slice_), None)
        mine = {v: hue for (c, v), hue in self.hues.items() if c == column} | {
            v: charts.REFERENCE for c, v in self.reference if c == column
        }
        own.by_value = self.by_value | mine
        return own

    def of(self, slice_: dict[str, str]) -> str:
        """The colour of a slice: that of its one column, ink for everybody and for intersections."""
        if len(slice_) != 1:
            return charts.OKABE_ITO[0]
        pair = next(iter(slice_.items()))
        return charts.REFERENCE if pair in self.reference else self.hues.get(pair, charts.OKABE_ITO[0])

    def named(self, names: Sequence[str]) -> list[str]:
        """Colours for lines that are named by a group alone."""
        spare = iter([*charts.OKABE_ITO, *([charts.MUTED] * len(names))])
        taken = {self.by_value[n] for n in names if n in self.by_value}
        return [self.by_value.get(n) or next(h for h in spare if h not in taken) for n in names]


def interval_text(f: Finding, kind: str, n: int | None, say: Speaker) -> str:
    e = f.estimate
    assert e is not None
    numbers = interval(e.value, e.low, e.high, kind)
    return say.t("{value} ({low} to {high})", **numbers) if n is None else say.t("{value} ({low} to {high}; n {n:count})", **numbers, n=n)


def brief(text: str) -> str:
    return text if len(text) <= ALT_LIMIT else text[: ALT_LIMIT - 1] + "…"


def level_text(found: Sequence[Finding], say: Speaker) -> str:
    """Level and method of the intervals shown."""
    ways = dict.fromkeys((f.estimate.level, f.estimate.method) for f in found if f.estimate)
    return say.join([say.t("{level:percent} intervals by {method}", level=lv, method=method_name(m, say)) for lv, m in ways][:3])


def forest_chart(
    found: Sequence[Finding], path: str, palette: Palette, say: Speaker, own: Mapping[str, int], *, by_metric: bool = False
) -> Chart:
    """A forest plot over findings that share metric and comparison, or over several rates of everybody; `own` are the rows of each by key."""
    first = found[0]
    kind = kind_of(first.metric, first.compare)
    measured = [f for f in found if f.estimate is not None][:MOST_DOTS]

    def name(f: Finding) -> str:
        return capital(short(metric_name(f.metric, say))) if by_metric else label_of(f, found, say)

    dots = [
        Dot(
            name(f),
            f.estimate.value,
            f.estimate.low,
            f.estimate.high,
            f"n {number(own[f.key], 'count')}" if f.key in own else "",
            palette.of(f.slice),
            own.get(f.key, SMALL) < SMALL or f.reason == "too_few_rows",
        )
        for f in measured
        if f.estimate is not None
    ]
    criterion = next((f.criterion for f in measured if f.criterion), None)
    limits = [v for v in (criterion.min, criterion.max) if v is not None] if criterion else []
    parts = [level_text(measured, say)]
    if criterion and limits:
        source = clean(say.stored(criterion.source, None), 120) or say.t("no source")
        parts.append(say.t("dashed: limit {limit}, {source}", limit=limit_text(criterion, kind, say), source=source))
    if any(d.hollow for d in dots):
        parts.append(say.t("hollow: a small group"))
    if first.against:
        parts.insert(0, say.t("against {against}", against=say.slice(reference_of(first))))
    if kind == "points":
        parts.insert(0, say.t("in percentage points"))
    title = forest_title(measured, kind, say, own, by_metric=by_metric)
    told = say.join([say.pair(name(f), interval_text(f, kind, own.get(f.key), say)) for f in measured])
    outline = trees.LETTERS if _searched(first) else 0
    spec = charts.forest(dots, kind, limits, NEUTRAL.get(first.compare), outline=outline)
    return Chart(title, say.join(parts), brief(say.told(title, told)), spec, path, wide=outline > 0)


def _searched(f: Finding) -> bool:
    """Whether a search found the slice: held against everybody else, by whatever columns it is defined."""
    return f.against is not None and REST in f.against.values()


def label_of(f: Finding, found: Sequence[Finding], say: Speaker) -> str:
    """The values alone where all rows are about the same columns."""
    if _searched(f):
        return shortened(say.slice(f.slice))
    same = len({tuple(g.slice) for g in found}) == 1 and f.slice and all(speaks(v) for g in found for v in g.slice.values())
    return " · ".join(say.level(v) for v in f.slice.values()) if same else say.slice(f.slice)


def forest_title(found: Sequence[Finding], kind: str, say: Speaker, own: Mapping[str, int], *, by_metric: bool) -> str:
    """The title says the finding."""
    if by_metric:
        return say.t("What was measured for everybody")
    first, found = found[0], [f for f in found if own.get(f.key, SMALL) >= SMALL] or found
    metric = capital(metric_name(first.metric, say))

    def key(f: Finding) -> float:
        return f.estimate.value if f.estimate else 0.0

    if first.compare == "value":
        low, high = min(found, key=key), max(found, key=key)
        if low is high:  # the others are too small to be named
            return say.t("{metric}: {value} ({who})", metric=metric, value=number(key(low), kind), who=label_of(low, found, say))
        return say.t(
            "{metric}: from {low} ({a}) to {high} ({b})",
            metric=metric,
            low=number(key(low), kind),
            a=label_of(low, found, say),
            high=number(key(high), kind),
            b=label_of(high, found, say),
        )
    neutral = NEUTRAL[first.compare]
    far = max(found, key=lambda f: abs(key(f) - neutral) if neutral == 0 else max(key(f), 1e-9) ** (1 if key(f) > 1 else -1))
    return say.t(
        "{metric}, {compare}: furthest from equal for {who} ({value})",
        metric=metric,
        compare=say.t(COMPARE[first.compare]),
        who=label_of(far, found, say),
        value=number(key(far), kind),
    )


def forests(check: CheckResult, path: str, palette: Palette, say: Speaker) -> list[tuple[int, Chart]]:
    """One forest plot per set of comparable estimates with two rows or more; 0 judged or of everybody, 1 one column, 2 intersections.

    Where one comparison of a metric is judged, its unjudged forms (difference beside ratio) stay in the table. Slices that a search found share a
    plot, by whatever columns each is defined.
    """
    sets: dict[tuple[str, ...], list[tuple[int, Finding]]] = {}
    for i, f in enumerate(check.findings):
        if f.estimate is not None and f.estimate.method != "exact" and not any(c.startswith("(") and c != KEY for c in f.slice):
            key: tuple[str, ...] = (f.metric, f.compare, *sorted(f.slice))
            if not f.slice and kind_of(f.metric, f.compare) == "percent":
                key = ("", "everybody")
            elif _searched(f):
                key = (f.metric, f.compare, REST)
            sets.setdefault(key, []).append((i, f))
    judged = {(k[0], *k[2:]) for k, m in sets.items() if k[1] != "value" and any(f.criterion for _, f in m)}
    shown = {
        k: m
        for k, m in sets.items()
        if len(m) > 1 and (k[1] in ("value", "everybody") or (k[0], *k[2:]) not in judged or m[0][1].criterion)
    }
    ranks = {
        k: 2 if len(m[0][1].slice) > 1 and REST not in k else 0 if k[1] == "everybody" or any(f.criterion for _, f in m) else 1
        for k, m in shown.items()
    }
    rows = rows_of(check)
    own = {key: n for key, (n, _) in rows.items()}
    return [
        (
            ranks[k],
            forest_chart([f for _, f in m], _drawn_from(m[:MOST_DOTS], rows, path), palette, say, own, by_metric=k[1] == "everybody"),
        )
        for k, m in shown.items()
    ]


def _drawn_from(found: Sequence[tuple[int, Finding]], rows: Mapping[str, tuple[int, str]], path: str) -> str:
    """The places of findings and of their numbers of rows."""
    own = [rows[f.key][1] for _, f in found if f.key in rows]
    here = [f"findings[{i}]" for i, _ in found]
    return places(f"{path}.{at}" for at in [*here, *(at for at in own if at.split(".")[0] not in here)])


def dumbbells(check: CheckResult, path: str, palette: Palette, say: Speaker) -> list[Chart]:
    """Per column: all its groups on one scale, a row per rate; only where there are two rates or more to set side by side."""
    columns: dict[str, dict[str, dict[str, float]]] = {}
    left_out: set[str] = set()
    own = {key: n for key, (n, _) in rows_of(check).items()}
    drawn_from: dict[str, list[str]] = {}
    for i, f in enumerate(check.findings):
        if f.metric == "group_share":
            continue  # how large groups are is nothing that happens to their people
        if (
            f.compare == "value"
            and len(f.slice) == 1
            and "*" not in f.slice.values()
            and f.estimate
            and kind_of(f.metric, f.compare) == "percent"
        ):
            column, group = next(iter(f.slice.items()))
            if column in PARTS:
                continue  # classes, sources and the like are no groups of people
            if own.get(f.key, SMALL) < SMALL:
                left_out.add(column)
                continue
            columns.setdefault(column, {}).setdefault(f.metric, {})[group] = f.estimate.value
            drawn_from.setdefault(column, []).append(f"{path}.findings[{i}]")
    made = []
    for column, metrics in columns.items():
        groups = list(dict.fromkeys(g for cells in metrics.values() for g in cells))[:6]
        named = {capital(short(metric_name(m, say))): {g: v for g, v in c.items() if g in groups} for m, c in metrics.items()}
        rows = {name: cells for name, cells in named.items() if len(cells) > 1}  # a rate may be known of groups beyond the first six only
        if len(rows) > 1:
            worst = max(rows, key=lambda m: max(rows[m].values()) - min(rows[m].values()))
            title = say.t("By {column}, groups differ most in: {metric}", column=clean(column, 60), metric=worst)
            told = say.join(
                [say.pair(m, say.list(f"{say.level(g)} {number(v, 'percent')}" for g, v in c.items())) for m, c in rows.items()]
            )
            shown = {m: {say.level(g): v for g, v in c.items()} for m, c in rows.items()}
            spec = charts.dumbbell(shown, {say.level(g): palette.of({column: g}) for g in groups}, "percent")
            parts = [say.t("estimates only; the intervals are in the table")]
            known = {g for cells in metrics.values() for g in cells}
            if len(known) > len(groups):
                parts.append(say.t("{shown:count} of {all:count} groups", shown=len(groups), all=len(known)))
            if column in left_out:
                parts.append(say.t("without rates from fewer than {n:count} rows", n=SMALL))
            made.append(Chart(title, say.join(parts), brief(say.told(title, told)), spec, places(drawn_from[column])))
    return made


def short(name: str) -> str:
    """A metric's term without the plain words before it, for a narrow axis."""
    for left, right in (("(", ")"), ("（", "）")):
        if left in name and name.endswith(right):
            return name[name.rindex(left) + 1 : -1]
    return name


def picture(e: Evidence, beside: Sequence[Evidence], path: str, palette: Palette, say: Speaker) -> Chart | None:
    """The chart of a stored curve, histogram, matrix or attribution; None where a table says it better."""
    title = "" if e.kind in ("table", "tree") else say.stored(e.caption, e.caption_msg)
    if isinstance(e, Curve) and e.series:
        return curve_chart(
            e, next((b for b in beside if isinstance(b, Histogram) and e.name == "reliability"), None), title, path, palette, say
        )
    if isinstance(e, Histogram) and e.series:
        if any(isinstance(b, Curve) and b.name == "reliability" for b in beside):
            return None  # drawn under the curve
        if e.outcome is not None:
            return None  # kept for whoever moves the cutoff
        labels = [say.pair(say.level(n), f"n {number(sum(c), 'count')}") for n, c in e.series.items()]
        spec = curves.histogram(e, palette.named(list(e.series)), labels, say.stored(e.x_label, None))
        return Chart(title, say.t("share of each group's rows in a bin"), brief(say.told(title, say.join(labels))), spec, path)
    if isinstance(e, Heatmap) and 0 < len(e.rows) <= 12 and 0 < len(e.columns) <= 12:
        names = (say.stored(e.row_label, None), say.stored(e.column_label, None))
        kind = "number" if e.unit else "count" if all(v == int(v) for line in e.values for v in line) else "percent"
        told = say.join(
            [
                say.pair(clean(r, 40), say.list(f"{clean(c, 40)} {number(v, kind)}" for c, v in zip(e.columns, line, strict=False)))
                for r, line in zip(e.rows, e.values, strict=False)
            ]
        )
        return Chart(
            title,
            say.t("unit: {unit}", unit=say.stored(e.unit, None)) if e.unit else say.t("cells are shaded by their share of the row"),
            brief(say.told(title, told)),
            charts.heatmap(e, names),
            path,
        )
    if isinstance(e, Heatmap) and e.unit and 0 < len(e.rows) <= MOST_CELLS and 0 < len(e.columns) <= MOST_CELLS:
        return _map(e, title, path, say)
    if isinstance(e, Attribution) and e.features:
        kind = "signed" if min(e.values) < 0 else "number"
        told = say.join([f"{clean(f, 60)} {number(v, kind)}" for f, v in zip(e.features[:15], e.values, strict=False)])
        subtitle = say.join([title, say.t("whiskers: intervals") if e.low else "", say.t("unit: {unit}", unit=say.stored(e.unit, None))])
        top = max(zip(e.features, e.values, strict=False), key=lambda p: abs(p[1]))
        named = {"feature": clean(top[0], 60), "value": number(top[1], kind)}
        name = _moving(e, named, say) if e.of == "output" else _telling(e, named, say)
        return Chart(name, subtitle, brief(say.told(name, told)), charts.attribution(e, say.stored(e.unit, None)), path)
    return trees.tree_chart(e, path, say) if isinstance(e, Tree) else None


def _map(e: Heatmap, title: str, path: str, say: Speaker) -> Chart:
    """A picture of many cells; the darkest is the largest, and is said where it lies."""
    row, column, top = max(((r, c, v) for r, line in enumerate(e.values) for c, v in enumerate(line)), key=lambda cell: cell[2])
    unit = say.t("unit: {unit}", unit=say.stored(e.unit, None))
    darkest = say.t(
        "darkest: {value}, row {row}, column {column}",
        value=number(top, "number"),
        row=clean(e.rows[row], 8),
        column=clean(e.columns[column], 8),
    )
    crossed = say.t("crossed out: it fails its gates") if e.rejected else ""
    return Chart(title, say.join([crossed, darkest, unit]), brief(say.told(title, say.join([crossed, darkest]))), charts.pixels(e), path)


def _moving(e: Attribution, named: Mapping[str, str], say: Speaker) -> str:
    """Which input moves the output most: a word in its quotation marks, an event or a field by that name."""
    if e.caption == "Mean attribution of words, where they occur":
        return say.t("Of the words, “{feature}” moves the output most ({value})", **named)
    if e.caption == "Mean size of attributions by event":
        return say.t("Of the events, {feature} moves the output most ({value})", **named)
    if e.caption == "Mean size of attributions by field of the events":
        return say.t("Of the fields, {feature} moves the output most ({value})", **named)
    return say.t("{feature} moves the output most ({value})", **named)


def _telling(e: Attribution, named: Mapping[str, str], say: Speaker) -> str:
    """Which column tells most of the errors, if one does beyond chance."""
    if e.low and max(e.low) <= 0:
        return say.t("No column alone tells where the errors are")
    return say.t("{feature} tells most of where the errors are ({value})", **named)


def curve_chart(
    e: Curve, under: Histogram | None, title: str, path: str, palette: Palette, say: Speaker, criterion: Criterion | None = None
) -> Chart:
    colours = palette.named([s.name for s in e.series])
    e = e.model_copy(update={"series": [s.model_copy(update={"name": line_name(e.name, s.name, say)}) for s in e.series]})
    below = None
    if under is not None:
        counts = [sum(c) for c in zip(*under.series.values(), strict=False)]
        last = charts.axis("percent", say.stored(e.x_label, None), grid=False)
        top = max(counts, default=1) / (sum(counts) or 1)
        below = curves.bins(counts, under.edges, charts.REFERENCE, {}, width=300, height=60, last=last, top=top)
    titles = ("" if below else say.stored(e.x_label, None), say.stored(e.y_label, None))
    limits = [v for v in (criterion.min, criterion.max) if v is not None] if criterion else []
    parts = [say.t("band: interval") if any(s.low for s in e.series) else "", say.t("below: share of rows") if below else ""]
    if criterion and limits:
        parts.append(say.t("dashed: limit {limit}", limit=limit_text(criterion, e.y_kind, say)))
    if e.current is not None and e.x_label == "severity":
        parts.append(say.t("upright: the severity that is held against the limit, {severity}", severity=number(e.current, "count")))
    elif e.current is not None:
        parts.append(say.t("upright: the cutoff in force, {cutoff}", cutoff=number(e.current, e.x_kind)))
    told = []
    for s in e.series:
        picks = range(0, len(s.x), max(1, len(s.x) // 6))
        told.append(say.pair(clean(s.name, 40), say.list(f"{number(s.x[i], e.x_kind)} → {number(s.y[i], e.y_kind)}" for i in picks)))
    return Chart(title, say.join(parts), brief(say.told(title, say.join(told))), curves.curve(e, colours, titles, below, limits), path)


def figures(check: CheckResult, path: str, palette: Palette, say: Speaker) -> list[Chart]:
    """All charts of a check, the most telling first: what was judged, its evidence, groups side by side, the rest, intersections last."""
    stored = [
        picture(e, f.evidence, f"{path}.findings[{i}].evidence[{j}]", palette.within(f.slice), say)
        for i, f in enumerate(check.findings)
        for j, e in enumerate(f.evidence)
        if not (isinstance(e, Curve) and e.name.endswith(OVER_CUTOFFS))
    ]
    sets = forests(check, path, palette, say)
    first, single, crossed = ([c for rank, c in sets if rank == r] for r in range(3))
    over = over_cutoffs(check, path, palette, say)
    judged = first[:1] + over[:1] + first[1:] + over[1:]
    return judged + [c for c in stored if c is not None] + dumbbells(check, path, palette, say) + single + crossed


OVER_CUTOFFS = "_over_cutoffs"


def over_cutoffs(check: CheckResult, path: str, palette: Palette, say: Speaker) -> list[Chart]:
    """The curves of comparisons over cutoffs: one chart per comparison and column, a line per group, at most six; judged ones first."""
    sets: dict[tuple[str, str, str], list[tuple[str, Finding, Curve]]] = {}
    for i, f in enumerate(check.findings):
        for j, e in enumerate(f.evidence):
            if isinstance(e, Curve) and e.name.endswith(OVER_CUTOFFS) and e.series:
                sets.setdefault((f.metric, f.compare, next(iter(f.slice), "")), []).append((f"{path}.findings[{i}].evidence[{j}]", f, e))
    made = []
    for members in sorted(sets.values(), key=lambda m: not any(f.criterion for _, f, _ in m)):
        _, f, e = members[0]
        where = places(
            [*(at for at, _, _ in members[:6]), *(f"{at.rpartition('.evidence')[0]}.criterion" for at, g, _ in members if g.criterion)]
        )
        whole = e.model_copy(update={"series": [s for _, _, other in members[:6] for s in other.series]})
        criterion = next((f.criterion for _, f, _ in members if f.criterion), None)
        made.append(curve_chart(whole, None, say.stored(e.caption, e.caption_msg), where, palette.within(f.slice), say, criterion))
    return made


def shares(wanted: Sequence[tuple[int, bool]], most: int) -> list[int]:
    """How many of its charts each check may show: two of each that decides, then in rounds one of each, until `most` are given."""
    given = [0] * len(wanted)
    for i, (n, decides) in enumerate(wanted):
        given[i] = min(2 if decides else 0, n, most - sum(given))
    first = True
    while sum(given) < most and any(g < n for g, (n, _) in zip(given, wanted, strict=True)):
        for i, (n, decides) in enumerate(wanted):
            given[i] += min(0 if decides and first else 1, n - given[i], most - sum(given))
        first = False
    return given
