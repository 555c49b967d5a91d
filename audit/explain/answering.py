"""What answers questions about single rows, beside the model."""

from __future__ import annotations

import socket
from collections.abc import Callable

from audit.context import Context
from audit.explain.held import Held
from audit.explain.parted import Parted
from audit.explain.single import Json, Single
from audit.outputs import Settled
from audit.plan import Plan
from audit.prepare import Facts
from audit.scored import Scoring


def answering(arguments: Json, worker: socket.socket | None) -> Callable[[Json], Json]:
    """Session: each question is what is wanted of one row, `row`, `values`, `explain`, `reasons` and `recourse` (booleans); or {"prepare": true}."""
    plan = Plan.model_validate(arguments["plan"])
    plan = plan.model_copy(update={"audit": plan.audit.model_copy(update={"sample": arguments["sample"]})})
    context = Context(
        check="explain", facts=Facts.model_validate(arguments["facts"]), settled=Settled.model_validate(arguments["settled"]),
        scoring=Scoring.model_validate(arguments["scoring"]), plan=plan, seed=arguments["seed"], model_files=arguments["files"], socket=worker,
    )  # fmt: skip
    held = Held(context)

    def answer(question: Json) -> Json:
        if question.get("prepare"):
            held.prepare()
            return {"offered": {name: found._asdict() for name, found in held.offered.items()}}
        one = Single if held.table else Parted
        return one(held, question["row"], question["values"]).told(question)

    return answer
