"""The declared cost of errors: `cost_of_errors = {false_positive = 1, false_negative = 5}` in the context, as numbers or as prose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit.errors import AuditError

if TYPE_CHECKING:
    from audit.stats.costs import Costs

NEEDED, OPTIONAL = ("false_positive", "false_negative"), ("true_positive", "true_negative")
MEND = "write cost_of_errors = {false_positive = 1, false_negative = 5} with your own amounts, each from 0 up"


def declared(context: Mapping[str, Any]) -> dict[str, float] | None:
    """The costs as numbers; None where there are none or only prose. AuditError where a table cannot be meant."""
    table = context.get("cost_of_errors")
    if not isinstance(table, Mapping):
        return None
    for name, cost in table.items():
        if name not in NEEDED + OPTIONAL:
            raise AuditError(f"the context's cost_of_errors has an unknown entry {name!r}", f"it knows {', '.join(NEEDED + OPTIONAL)}")
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not math.isfinite(cost):
            raise AuditError(f"the context's cost_of_errors.{name} is {cost!r}, which is no number", MEND)
        if cost < 0:
            raise AuditError(f"the context's cost_of_errors.{name} is {cost}, below zero", MEND)
    missing = [name for name in NEEDED if name not in table]
    if missing:
        raise AuditError(f"the context's cost_of_errors lacks {' and '.join(missing)}", MEND)
    costs = {name: float(table.get(name, 0.0)) for name in NEEDED + OPTIONAL}
    if not any(costs.values()):
        raise AuditError("the context's cost_of_errors says that nothing costs anything", MEND)
    return costs


def of(context: Mapping[str, Any]) -> Costs | None:
    """The costs, ready for use."""
    from audit.stats.costs import Costs

    numbers = declared(context)
    return None if numbers is None else Costs(**numbers)
