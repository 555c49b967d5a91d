"""Whether the model or its decision rule uses a sensitive column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from audit.registry import check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "fairness.inputs",
    weighs="nothing",
    title="Sensitive columns among the inputs",
    meaning="Which declared sensitive columns the model takes as inputs, or the decision rule reads, without a reason declared under allowed_inputs in the context.",
    limits="A model without sensitive inputs can still tell groups apart by other columns, and a difference between groups can remain: see group fairness.",
    unit="number of columns",
    direction="lower",
    needs=["sensitive", "features"],
)
def inputs(ctx: Context) -> Iterable[Measurement | Message]:
    """Count of sensitive inputs, exact, and for each sensitive column 1 where it is used without a declared reason, else 0."""
    from audit.measure import exact, value
    from audit.measurement import Column, Table
    from audit.text import message

    used = {f.name for f in ctx.facts.features} | ({ctx.facts.decision.column} if ctx.facts.decision.column else set())
    allowed = ctx.facts.roles.context.get("allowed_inputs", {})
    reasons = allowed if isinstance(allowed, dict) else {}
    sensitive = [g.name for g in ctx.facts.groups]
    open_ = [name for name in sensitive if name in used and not str(reasons.get(name, "")).strip()]
    rows: list[list[str | int | float | None]] = [[name, "yes" if name in used else "no", str(reasons.get(name, ""))] for name in sensitive]
    columns = [
        Column(name="column", label="sensitive column"),
        Column(name="input", label="used by the model"),
        Column(name="reason", label="declared reason"),
    ]
    table = Table(caption="Sensitive columns and the model's inputs", columns=columns, rows=rows)
    yield value("sensitive_inputs", exact(len(open_), len(sensitive)), evidence=[table])
    for name in sensitive:
        yield value("undeclared_sensitive_input", exact(int(name in open_), 1), slice_={"(feature)": name})
    if open_:
        yield message("The model uses {names}, and no reason for it was declared.", names=open_)
    else:
        yield message("No sensitive column is used without a declared reason (sensitive columns: {n:count}).", n=len(sensitive))
