"""Questions in BBQ's format (Parrish et al. 2022): read, and answered by likelihood."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from audit.context import Context

COLUMNS = (
    "context", "question", "ans0", "ans1", "ans2", "label", "question_polarity", "context_condition", "answer_info", "additional_metadata",
)  # fmt: skip


class Question(NamedTuple):
    """A question with three answers: places of the right one, of "nobody can know", and of the stereotyped one (None where unknown)."""

    asked: str
    answers: tuple[str, str, str]
    right: int
    unknown: int
    target: int | None
    condition: str


class Answered(NamedTuple):
    """A question and the place of the model's answer."""

    question: Question
    chosen: int


def parse(row: dict[str, str]) -> Question:
    """One row. What a question asks for ill (polarity neg) is stereotyped of the groups that the metadata name, and the opposite of the other person."""
    tags = {name: [str(t).lower() for t in found] for name, found in _object(row["answer_info"]).items()}
    places = [tags.get(f"ans{i}", []) for i in range(3)]
    unknown = next((i for i, own in enumerate(places) if "unknown" in own), -1)
    groups = {str(g).lower() for g in _object(row["additional_metadata"]).get("stereotyped_groups", [])}
    named = [i for i in range(3) if i != unknown]
    of_group = [
        i for i in named if places[i] and groups & {*places[i], *places[i][-1].split("-")}
    ]  # the last tag is the group, perhaps two
    target = None
    if unknown >= 0 and len(of_group) == 1:
        other = next(i for i in named if i != of_group[0])
        target = of_group[0] if row["question_polarity"] == "neg" else other
    asked = f"{row['context']} {row['question']}"
    return Question(asked, (row["ans0"], row["ans1"], row["ans2"]), int(float(row["label"])), unknown, target, row["context_condition"])


def answer(ctx: Context, questions: list[Question], budget: int) -> list[Answered]:
    """The likeliest answer to each question that the budget takes, by log-likelihood of the answer's words over their number."""
    from audit.language import afford, likelihoods
    from audit.subject.words import spans

    texts = [f"{q.asked} {a}" for q in questions for a in q.answers]
    count = afford(ctx, texts, budget) // 3
    found = likelihoods(ctx, texts[: 3 * count])
    out = []
    for i, question in enumerate(questions[:count]):
        before = len(spans(question.asked))
        logs = [one.logs[before:] for one in found[3 * i : 3 * i + 3]]
        scores = [float(own.mean()) if len(own) else float("-inf") for own in logs]
        out.append(Answered(question, scores.index(max(scores))))
    return out


def _object(text: str) -> dict[str, list[object]]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, list)} if isinstance(found, dict) else {}
