"""One check, run in a child of its own: the context is made, the function called, and what it yields is handed back."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from audit.context import Context
from audit.measurement import Measurement, Message
from audit.outputs import Settled
from audit.plan import Plan
from audit.prepare import Facts
from audit.registry import checks
from audit.scored import Scoring
from audit.text import message


def run_check(arguments: dict[str, Any], worker: socket.socket | None) -> dict[str, Any]:
    """Job: the measurements of one check and the sentence that sums them up."""
    began = time.monotonic()
    plan = Plan.model_validate(arguments["plan"])
    plan = plan.model_copy(update={"audit": plan.audit.model_copy(update={"sample": arguments["sample"]})})
    context = Context(
        check=arguments["check"], facts=Facts.model_validate(arguments["facts"]), settled=Settled.model_validate(arguments["settled"]),
        scoring=Scoring.model_validate(arguments["scoring"]), plan=plan, seed=arguments["seed"], model_files=arguments["files"], socket=worker,
        launching=arguments.get("launching"), work=Path(arguments["work"]),
    )  # fmt: skip
    measurements, summary = collect(context, arguments["params"])
    single = {"single": context.single.model_dump(mode="json")} if context.single is not None else {}
    return single | {
        "status": "completed", "reason": None, "measurements": [m.model_dump(mode="json") for m in measurements],
        "summary": summary.model_dump(mode="json"), "seconds": time.monotonic() - began,
    }  # fmt: skip


def collect(context: Context, params: dict[str, Any]) -> tuple[list[Measurement], Message]:
    """What a check yields, sorted out: its measurements and its last sentence, which is a measurement's reason where the check says no other."""
    measurements: list[Measurement] = []
    summary: Message | None = None
    for item in checks()[context.check].run(context, **params):
        if isinstance(item, Message):
            summary = item
        else:
            measurements.append(item)
    summary = summary or next((m.reason_msg for m in measurements if m.reason_msg), Message(id="Measured."))
    for aside in context.asides:
        summary = message("{first} {rest}", first=summary, rest=aside)
    return measurements, summary
