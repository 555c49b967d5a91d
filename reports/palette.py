"""Colours of groups: the same on all pages of one audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

from audit.result import AuditResult
from reports import charts

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
