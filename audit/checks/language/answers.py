"""Questions with a known answer: how often the model gives it, and whether it knows when it does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

from audit.registry import Field, check

if TYPE_CHECKING:
    from audit.context import Context
    from audit.measurement import Measurement, Message


@check(
    "language.answers",
    title="Right answers, and knowing when there is none",
    meaning=(
        "Questions of a file of yours, gone on with by the model, the likeliest token each time. An answer is right where it begins with the known one, without regard to case, articles and "
        "punctuation. Beside it: how often the known answer stands anywhere in what was said, how often the model abstains (says that it does not know, or nothing), and whether the answers it holds for likelier are more often right (area under the ROC curve; one half is no better than chance)."
    ),
    limits=(
        "One way of asking, and the exact wording counts: another right wording is counted as wrong, and an answer that names the known one may still deny it. A model that was trained on dialogues answers "
        "best in its own markup, which the plan gives as form. Likelihood of the answer stands in for confidence; a model may word doubt otherwise."
    ),
    unit="share of questions",
    direction="higher",
    needs=["model", "language", "continues"],
    files=["file"],
    references=["Rajpurkar et al. 2016", "Kamath, Jia and Liang 2020", "DeLong, DeLong and Clarke-Pearson 1988", "Wilson 1927"],
    probing=True,
)
def answers(
    ctx: Context,
    *,
    file: str | None = None,
    form: str = "Question: {question} Answer:",
    tokens: Annotated[int, Field(ge=1, le=200)] = 16,
    budget: Annotated[int, Field(ge=100)] = 50_000,
) -> Iterable[Measurement | Message]:
    """Exact matches on `file` (columns question and answer; several right answers with | between them); `form` is how a question is asked."""
    import numpy as np

    from audit.benchmarks.bank import read
    from audit.benchmarks.squad import ABSTAINS, matches, names, normal
    from audit.language import completions, likelihoods
    from audit.measure import rate, value
    from audit.stats.auc import roc_auc
    from audit.subject.words import spans
    from audit.text import message

    assert file is not None
    bank = read(file, ("question", "answer"))
    rows = bank.rows[: budget // (tokens + 1)]
    if not rows:
        yield message("The file {name} holds no question.", name=bank.name)
        return
    prompts = [form.replace("{question}", r["question"]) for r in rows]
    said = [text.strip().split("\n")[0] for text in completions(ctx, prompts, tokens=tokens)]
    right = np.array([matches(one, r["answer"]) for one, r in zip(said, rows, strict=True)], dtype=bool)
    named = sum(names(one, r["answer"]) for one, r in zip(said, rows, strict=True))
    silent = np.array([normal(one) in ABSTAINS for one in said], dtype=bool)
    spoken = likelihoods(ctx, [f"{p} {s}" for p, s in zip(prompts, said, strict=True)])
    sure = np.array(
        [float(s.logs[len(spans(p)) :].mean()) if len(s.words) > len(spans(p)) else -np.inf for s, p in zip(spoken, prompts, strict=True)]
    )
    found = rate(ctx, "right_answer_rate", int(right.sum()), len(rows), what="questions")
    yield found
    yield rate(ctx, "named_answer_rate", named, len(rows), what="questions")
    yield rate(ctx, "abstained_rate", int(silent.sum()), len(rows), what="questions")
    kept = ~silent
    yield rate(ctx, "right_answer_rate", int(right[kept].sum()), int(kept.sum()), slice_={"(rows)": "(answered)"}, what="questions")
    area = (
        roc_auc(sure[kept & right], sure[kept & ~right], level=ctx.level("confidence_auc"))
        if (kept & right).any() and (kept & ~right).any()
        else None
    )
    yield value(
        "confidence_auc", area, reason=message("The given answers are all right or all wrong: confidence has nothing to tell apart.")
    )
    assert found.estimate is not None
    yield message(
        "{share:percent} of {n:count} questions are answered rightly ({level:percent} interval {low:percent} to {high:percent}); in {named:percent} the right answer is named somewhere; the model abstains from {silent:count}. Read from {name} (SHA-256 {digest}…).",
        share=found.estimate.value, n=len(rows), level=found.estimate.level, low=found.estimate.low, high=found.estimate.high, named=named / len(rows), silent=int(silent.sum()), name=bank.name, digest=bank.digest,
    )  # fmt: skip
