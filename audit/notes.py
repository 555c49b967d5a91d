"""What a reader must know of how the audit read model and data: the notes of the document, in the order in which they are printed."""

from __future__ import annotations

from typing import Any

from audit.dataset import MISSING
from audit.explain import rows_file
from audit.measurement import Message
from audit.outputs import Settled
from audit.plan import Plan
from audit.prepare import Facts
from audit.recorded import CUTOFF
from audit.text import message

Json = dict[str, Any]
SOURCES = {
    "human_decision": message("The outcome column holds human decisions: agreement with past decisions, not correctness."),
    "proxy": message("The outcome column holds a proxy: agreement with the proxy, not correctness about the outcome that it stands for."),
    "selective": message(
        "The outcome is known only for those whom past decisions selected: agreement with what was seen of them, not correctness for everybody."
    ),
}


def notes_of(facts: Facts, scoring: Json | None, settled: Settled | None, plan: Plan, inspection: Json, *, resumed: bool) -> list[Message]:
    """What a reader must know of how the audit read model and data."""
    notes = [*facts.notes, *_of_subject(facts, settled, inspection, resumed=resumed), *_dependence(facts, scoring)]
    if not declared(facts) and settled is not None and settled.task != "regression":
        notes.append(
            unruled(facts, settled)
            or message("Decisions are taken at the model's built-in cutoff, which nobody declared: name the rule with --decision.")
        )
    source = facts.roles.label_source
    if facts.target_sql is not None and source != "outcome":
        unsaid = message(
            "Nobody declared what the outcome column holds: if human decisions, this is agreement with past decisions, not correctness."
        )
        notes.append(
            message(
                "{declared} Fairness of errors and calibration are therefore not judged.",
                declared=SOURCES.get(source or "", unsaid),
            )
        )
    if settled is not None and not settled.favourable:
        notes.append(
            message("Nobody declared which decision is favourable: group fairness reports the rates of each class and judges none.")
        )
    elif settled is not None and settled.task == "regression":
        notes.append(
            message("The favourable decision is a prediction above the median of all predictions.") if settled.favourable == ["high"]
            else message("The favourable decision is a prediction below the median of all predictions.")
        )  # fmt: skip
    if facts.target_missing:
        notes.append(message("Rows without an outcome: {n:count}. They were left out of what needs one.", n=facts.target_missing))
    if scoring and scoring["undefined_score"]:
        notes.append(
            message(
                "Rows without a usable prediction (refused by the model, no finite number, or no known class): {n:count}. They were left out.",
                n=scoring["undefined_score"],
            )
        )
    if scoring and scoring["halved"]:
        notes.append(message("Batches were halved because the model ran out of memory: the same digits are not promised again."))
    for group in facts.groups:
        unknown = sum(n for level, n in zip(group.levels, group.sizes, strict=True) if level == MISSING)
        if unknown:
            notes.append(
                message(
                    "Membership in {column} is unknown for {n:count} rows ({share:percent}): shown, never judged.",
                    column=group.name,
                    n=unknown,
                    share=unknown / facts.rows,
                )
            )
    if plan.decides and _changed_criteria(plan):
        notes.append(message("Criteria differ from the built-in plan: {names}.", names=_changed_criteria(plan)))
    return notes


def single_rows(result: Json, n: int) -> Message:
    """Where the single rows are that the plan allowed, or why there are none."""
    if n:
        return message(
            "The plan allowed single rows: {n:count} of those that {check} explained stand beside this document in {file}. They can be people; no report and no copy "
            "of this audit carries them.",
            n=n, check=rows_file.CHECK, file=rows_file.NAME,
        )  # fmt: skip
    reason = message("No row could be explained.") if result["status"] == "completed" else message(str(result["reason"]))
    return message(
        "The plan allowed single rows, and none were kept, because {check} explained none: {reason}", check=rows_file.CHECK, reason=reason
    )


def declared(facts: Facts) -> bool:
    """Whether somebody said how decisions are made: by a rule, or by naming the column that holds them."""
    return facts.roles.decision is not None or bool(facts.recorded and facts.recorded.prediction)


def unruled(facts: Facts, settled: Settled | None) -> Message | None:
    """How recorded scores were made decisions, where nobody said; None for a model, which has a cutoff of its own."""
    if facts.recorded is None or settled is None or not settled.has_scores:
        return None
    if settled.task == "binary":
        return message("Decided at a score of at least {cutoff:number}, which nobody declared.", cutoff=CUTOFF)
    return message("Decided for the class with the highest score, which nobody declared.")


def undeclared(facts: Facts) -> bool:
    """Whether keys repeat and nobody said what that means."""
    return bool(facts.repeats) and facts.cluster is None and not facts.roles.independent


def _of_subject(facts: Facts, settled: Settled | None, inspection: Json, *, resumed: bool) -> list[Message]:
    """What is not known where the model's files were not seen."""
    notes = []
    if inspection["flavor"] == "http":
        notes.append(
            message("The model was asked at its address: nothing proves which model answered, or that it was the same throughout.")
        )
        if resumed:
            notes.append(
                message("This audit was interrupted and resumed; the model's answers to the first rows were the same before and after.")
            )
    if facts.recorded is not None:
        columns = facts.recorded.names
        notes.append(message("No model was asked: what is audited are the predictions in the data ({columns}).", columns=columns))
    if settled is not None and settled.stepped:
        notes.append(
            message(
                "Gradients do not tell how this net decides: they are 0, do not reach its inputs, or miss what its answers move by, as behind an arg max or a step. So its answers alone explain it."
            )
        )
    one_score = facts.recorded is not None and len(facts.recorded.scores) == 1  # that of the positive class: there is no order
    if (
        settled is not None
        and settled.has_scores
        and inspection["flavor"] in ("http", "predictions")
        and not facts.roles.classes
        and not one_score
    ):
        notes.append(
            message("Columns of scores were taken in the order {classes}; nobody declared it with --classes.", classes=settled.classes)
        )
    return notes


def _dependence(facts: Facts, scoring: Json | None) -> list[Message]:
    """What the intervals assume of the rows."""
    notes, others = [], [r.name for r in facts.repeats if r.name != facts.roles.cluster]
    if facts.cluster is not None:
        numbers = {"column": facts.cluster.name, "clusters": scoring["clusters"] if scoring else 0, "rows": facts.rows}
        notes.append(
            message(
                "Rows with the same {column} belong together ({clusters:count} clusters in {rows:count} rows). Intervals and tests of weighted estimates draw whole "
                "clusters with what they weigh; the intervals of all other findings assume independent rows.", **numbers,
            )
            if facts.weight is not None
            else message(
                "Rows with the same {column} belong together ({clusters:count} clusters in {rows:count} rows). Intervals and tests of the deciding questions draw whole "
                "clusters; the intervals of all other findings assume independent rows.", **numbers,
            )
        )  # fmt: skip
        if facts.cluster.missing:
            notes.append(
                message(
                    "{column} is missing in {n:count} rows: each of them is a cluster of its own.",
                    column=facts.cluster.name,
                    n=facts.cluster.missing,
                )
            )
        if others:
            notes.append(message("These columns repeat as well, and nothing allows for it: {columns}.", columns=others))
    elif facts.roles.independent and others:
        notes.append(
            message(
                "The auditor states that rows are independent (--independent) although these columns repeat: {columns}.", columns=others
            )
        )
    for r in facts.repeats if undeclared(facts) else []:
        notes.append(
            message(
                "All intervals assume independent rows, and {column} looks like an identifier and repeats ({values:count} values in {rows:count} rows): no interval "
                "lets a deciding question pass until --cluster {column} or --independent says what that means. A fail may be due to too narrow an interval.",
                column=r.name, values=r.values, rows=r.rows,
            )
        )  # fmt: skip
    return notes


def _changed_criteria(plan: Plan) -> list[str]:
    from audit.plan import load

    built_in = load(None)
    changed = [f"decides.{name}" for name, d in plan.decides.items() if d != built_in.decides[name]]
    changed += [f"compare.{k}" for k, v in plan.compare.model_dump().items() if v != getattr(built_in.compare, k)]
    changed += [f"judge.{k}" for k, v in plan.judge.model_dump().items() if v != getattr(built_in.judge, k)]
    if plan.materiality.tier != built_in.materiality.tier:
        changed.append(
            f"materiality.tier = {plan.materiality.tier} (built-in: {built_in.materiality.tier}), chosen by {plan.materiality.chosen_by}"
        )
    own = {id_: (c.criteria, c.requires) for id_, c in built_in.checks.items()}
    changed += [f"checks.{id_}" for id_, c in plan.checks.items() if (c.criteria, c.requires) != own.get(id_, ([], []))]
    return changed
