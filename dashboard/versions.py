"""The audited versions of a model beside each other: which points a frontier has, read off the stored documents."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from audit.measurement import Estimate, Slice
from audit.result import AuditResult
from dashboard import access, reading
from dashboard.store import Entry
from reports.frontier import PERFORMANCE

#: So many versions are shown, the newest: each costs the reading of a document.
MOST = 12
#: What `models.mitigate` writes among the known limits of a version that it makes.
MITIGATED = "Mitigated version of "


@dataclass(frozen=True)
class Gap:
    """The difference of a rate between a group and the reference of its column."""

    metric: str
    column: str
    slice: Slice
    estimate: Estimate


@dataclass(frozen=True)
class Point:
    """What a frontier needs of an audit."""

    entry: Entry
    performance: dict[str, Estimate]
    gaps: list[Gap]
    mitigated: bool

    def widest(self, metric: str, column: str) -> Gap | None:
        """The group that differs most from the reference in this rate."""
        gaps = [g for g in self.gaps if (g.metric, g.column) == (metric, column)]
        return max(gaps, key=lambda g: abs(g.estimate.value), default=None)


def siblings(entry: Entry, entries: list[Entry]) -> list[Entry]:
    """The newest audit of each version of the same model on the same rows and outcome, newest first, this one among them."""

    def about(e: Entry) -> tuple[object, ...]:
        data = e.head.data
        return (
            e.head.model.name or e.head.model.uri,
            e.head.model.task,
            data.sha256,
            data.target,
            data.positive,
            tuple(sorted(data.favourable)),
        )

    mine: dict[object, Entry] = {entry.head.model.version or entry.key: entry}
    for other in entries:
        if about(other) == about(entry):
            mine.setdefault(other.head.model.version or other.key, other)
    return sorted(list(mine.values())[:MOST], key=lambda e: e.head.started, reverse=True)


@st.cache_resource(max_entries=200, show_spinner=False, hash_funcs={Entry: lambda e: e.key})
def _point(entry: Entry, whole: bool) -> Point:
    return of_document(entry, reading.document(entry))


def point(entry: Entry) -> Point:
    """The point of an audit, made of what this person may read; whatever the store raises where it cannot be read."""
    return _point(entry, access.may("small"))


def of_document(entry: Entry, document: AuditResult) -> Point:
    performance: dict[str, Estimate] = {}
    gaps: list[Gap] = []
    for check in document.checks:
        if check.status != "completed":
            continue
        for f in check.findings:
            if check.info.id == "performance.overall" and f.metric in PERFORMANCE and f.compare == "value" and not f.slice and f.estimate:
                performance[f.metric] = f.estimate
            elif check.info.id == "fairness.group" and f.compare == "difference" and len(f.slice) == 1 and f.estimate:
                column = next(iter(f.slice))
                if f.metric.endswith("_rate") and not column.startswith("(") and f.slice[column] not in ("*", "(missing)"):
                    gaps.append(Gap(f.metric, column, f.slice, f.estimate))
    limits = document.context.get("known_limits")
    mitigated = isinstance(limits, list) and any(str(limit).startswith(MITIGATED) for limit in limits)
    return Point(entry, performance, gaps, mitigated)
