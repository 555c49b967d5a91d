"""Which charts a check gets, with their titles, subtitles and words for those who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.measurement import Curve
from audit.named_slices import KEY
from audit.result import CheckResult, Finding
from audit.text import PARTS, speaks
from reports import charts, trees
from reports.charts import Chart, Dot, shortened
from reports.metrics import kind_of, metric_name
from reports.palette import Palette
from reports.pictures import brief, curve_chart, picture
from reports.said import places
from reports.sentences import capital, method_name
from reports.speaker import Speaker, clean, interval, number
from reports.tables import SMALL, limit_text, reference_of, rows_of
from reports.words import COMPARE

REST = "(rest)"  # everybody else, where a search found a slice
MOST_DOTS = 25
NEUTRAL = {"ratio": 1.0, "odds_ratio": 1.0, "difference": 0.0}


def interval_text(f: Finding, kind: str, n: int | None, say: Speaker) -> str:
    e = f.estimate
    assert e is not None
    numbers = interval(e.value, e.low, e.high, kind)
    return say.t("{value} ({low} to {high})", **numbers) if n is None else say.t("{value} ({low} to {high}; n {n:count})", **numbers, n=n)


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
