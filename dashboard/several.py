"""Several versions against one: the gate of each, one metric of all in a chart, and every metric that changed anywhere."""

from __future__ import annotations

import streamlit as st

from audit.compared import Change, Comparison
from dashboard import show
from reports.charts import Chart, Dot, forest
from reports.comparison import COLOURS, HELD, OUTCOMES, metric_text, moves, row, who_text
from reports.metrics import kind_of
from reports.speaker import Speaker, clean, number

MOST_ROWS = 60
About = tuple[str, str, str, str]
#: What a gate says, as short as a table needs it.
GATE = {"worse": HELD["worse"], "open": HELD["open"], "pass": HELD["non_inferior"]}


def about(change: Change) -> About:
    """What a change is of."""
    return change.metric, change.compare, repr(sorted(change.slice.items())), repr(sorted((change.against or {}).items()))


def several(found: dict[str, Comparison], say: Speaker) -> None:
    """Each version's change from the same old one; the intervals are of each pair, and no two new versions are compared with each other."""
    heads = [
        show.Head(say.t("Version")),
        show.Head(say.t("Gate")),
        show.Head(say.t("Rows")),
        *(show.Head(show.flag_text(look, say), True) for look in OUTCOMES.values()),
    ]
    paired = {True: say.t("the same rows, paired"), False: say.t("unpaired")}
    rows = [
        [name, show.flag_text(GATE[c.gate.result], say), paired[c.paired], *(number(sum(x.outcome == key for x in c.changes), "count") for key in OUTCOMES)]
        for name, c in found.items()
    ]  # fmt: skip
    show.table(heads, rows, "several-gates")
    changes = {name: {about(x): x for x in c.changes} for name, c in found.items()}
    measured = [k for k, x in next(iter(changes.values())).items() if x.change is not None]
    if not measured:
        return
    first = {k: next(own[k] for own in changes.values() if k in own) for k in dict.fromkeys(k for own in changes.values() for k in own)}
    labels = {
        repr(k): clean(f"{metric_text(first[k].metric, first[k].compare, say)} · {who_text(first[k].slice, first[k].against, say)}", 160)
        for k in measured
    }
    places = {repr(k): k for k in measured}
    key = show.from_address("metric", list(labels), next(iter(labels)))
    picked = st.selectbox(say.t("Metric"), list(labels), format_func=labels.__getitem__, key=key)
    show.to_address("metric", picked)
    show.chart(chart(labels[picked], {name: own.get(places[picked]) for name, own in changes.items()}, say), "several-chart")
    moved = [k for k in first if any(k in own and own[k].outcome != "undecided" for own in changes.values())]
    show.title(say.t("Everything that changed in one of them"))
    if not moved:
        show.plain(say.t("No difference is established for any version."))
        return
    heads = [
        show.Head(say.t("Metric")),
        show.Head(say.t("For whom")),
        show.Head(say.t("Before"), True),
        *(show.Head(name, True) for name in found),
    ]
    table = [
        [
            metric_text(first[k].metric, first[k].compare, say), who_text(first[k].slice, first[k].against, say), row(first[k], say).old,
            *(_cell(own.get(k), say) for own in changes.values()),
        ]
        for k in moved[:MOST_ROWS]
    ]  # fmt: skip
    show.table(heads, table, "several-changes")


def _cell(change: Change | None, say: Speaker) -> str:
    """A version's change with its interval and what it means."""
    return "–" if change is None else f"{OUTCOMES[change.outcome].sign} {row(change, say).change}"


def chart(title: str, changes: dict[str, Change | None], say: Speaker) -> Chart:
    """One metric: a dot and interval for each version, 0 as the line of no change."""
    known = {name: c for name, c in changes.items() if c is not None and c.change is not None}
    dots = [
        Dot(f"{OUTCOMES[c.outcome].sign} {name}", c.change.value, c.change.low, c.change.high, f"n {number(c.change.n, 'count')}", COLOURS[c.outcome])
        for name, c in known.items() if c.change is not None
    ]  # fmt: skip
    one = next(iter(known.values()))
    assert one.change is not None
    subtitle = say.t("change from the old version; {level:percent} intervals; the line is no change", level=one.change.level)
    kind = moves(one.metric, one.compare)
    shown = "points" if kind == "points" else kind_of(one.metric, "difference") if one.compare == "value" else "number"
    told = say.join([say.pair(name, row(c, say).change) for name, c in known.items()])
    return Chart(title, subtitle, say.told(title, told), forest(dots, shown, [], 0.0))
