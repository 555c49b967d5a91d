"""Several models asked as one: their outputs side by side. Reference models are asked so, of the rows that the audited model was asked about."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from audit.subject.flavors.base import Answer, ContractError, Subject
from audit.subject.flavors.rows import Rows


class Several(Subject):
    """Each member with what its rows are read by; `predict` gives (n, members · k), member by member."""

    def __init__(self, members: list[tuple[Subject, dict[str, Any]]]) -> None:
        self._members = members
        self.kind = members[0][0].kind
        self.packages = members[0][0].packages
        self.classes = None
        self.regression = members[0][0].regression

    def parameters(self) -> int | None:
        """Of each, where all have as many."""
        counts = {member.parameters() for member, _ in self._members}
        return counts.pop() if len(counts) == 1 else None

    def predict(self, rows: Rows) -> Answer:
        """The members' outputs side by side; labels of their own are left out."""
        values = [member.predict(rows.under(spec)).checked(rows.n).values for member, spec in self._members]
        if len({part.shape[1] for part in values}) > 1:
            raise ContractError("the reference models return different numbers of columns")
        return Answer(np.concatenate(values, axis=1))


def load(spec: dict[str, Any]) -> Subject:
    """The members that `several` lists: graphs that take what the audited model takes, or models with files of their own."""
    members = []
    for described in spec["several"]:
        if "graph" in described:
            from audit.subject.flavors.pytorch import graph

            members.append((graph(described["graph"], spec), spec))
            continue
        own = {"trust_pickle": spec["trust_pickle"], "classes": spec["classes"], "endpoint": None, **described}
        module = importlib.import_module(f"audit.subject.flavors.{own['loader']}")
        members.append((module.load(own), own))
    return Several(members)
