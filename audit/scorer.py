"""A text classifier that the user ships to score what a language model says: asked in a confined worker of its own, as the audited model is.

It is any model of MLflow that takes one text and gives probabilities of classes, one of which stands for what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audit.errors import AuditError
from audit.flips import Asked
from audit.outputs import interpret, settle
from audit.privacy.reference_models import another
from audit.roles import Roles
from audit.subject.frame import Categories

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audit.context import Context
    from audit.outputs import Settled
    from audit.subject.client import Client

#: Texts in one call.
CALL = 512
#: A class of one of these names stands for the event, where nobody names another.
EVENTS = ("toxic", "toxicity", "1", "true")


class Scorer(NamedTuple):
    """A classifier of texts: `event` is the class whose probability is the score, `digest` begins the SHA-256 of its files."""

    name: str
    digest: str
    event: str
    client: Client
    settled: Settled
    column: str

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probability of the event, (n,)."""
        parts = [np.zeros(0)]
        for first in range(0, len(texts), CALL):
            said = self.client.predict({self.column: Categories.of(list(texts[first : first + CALL]))})
            found = interpret(said, self.settled)[1]
            assert found is not None, "a scorer without probabilities was refused"
            parts.append(found[:, self.settled.classes.index(self.event)])
        scores = np.concatenate(parts)
        if not np.isfinite(scores).all():
            raise AuditError("the scorer gives no number for a text", "use a classifier that scores every text")
        return scores

    def asked(self, texts: list[str], cutoff: float) -> Asked:
        """Decisions, 1 where the score reaches the cutoff, and both probabilities, (n, 2)."""
        scores = self.scores(texts)
        return Asked((scores >= cutoff).astype(np.int64), np.stack([1 - scores, scores], axis=1))


@contextmanager
def scorer(ctx: Context, event: str | None) -> Iterator[Scorer]:
    """The scorer that the plan names; its worker ends with the block. `event` is the class that counts, None where its name or the store says it."""
    assert ctx.launching is not None, "the runner says how the scorer is launched"
    how = ctx.launching["scorer"]
    inspected, logged = how["inspection"], how["logged"] or {}
    column = _column(inspected)
    declared = [str(c) for c in logged.get("classes") or inspected["metadata"].get("classes") or []]
    with another(ctx.launching | how, declared or None) as client:
        description = client.describe(timeout=None)
        classes = declared or description.classes or []
        chosen = _event(classes, event or logged.get("positive"))
        facts = ctx.facts.model_copy(
            update={
                "roles": Roles(classes=classes, positive=chosen if len(classes) == 2 else None),
                "labels": [],
                "target_is_number": False,
            }
        )
        first = client.predict({column: Categories.of(["A text.", "Another one."])})
        settled = settle(description, first, facts, inspected["metadata"], inspected["flavor"])
        if not settled.has_scores:
            raise AuditError("the scorer gives classes and no probabilities", "name a classifier that gives a probability of each class")
        yield Scorer(how["uri"], inspected["sha256"][:12], chosen, client, settled, column)


def _column(inspected: dict[str, Any]) -> str:
    """The scorer's one input, a text."""
    described = [c for c in inspected["metadata"].get("columns") or [] if isinstance(c, dict)]
    names = [str(c["name"]) for c in described] or [str(port["name"] or "text") for port in inspected["inputs"]] or ["text"]
    kinds = {str(c.get("kind")) for c in described} or {str(port["type"]) for port in inspected["inputs"]}
    if len(names) != 1 or not kinds <= {"text", "string"}:
        raise AuditError(f"the scorer takes {', '.join(names[:10])}, and it is asked about one text", "name a classifier of texts")
    return names[0]


def _event(classes: list[str], named: str | None) -> str:
    if named is None:
        named = next((c for c in classes if c.casefold() in EVENTS), None)
    if named is None or named not in classes:
        what = "which of them is the event is not known" if named is None else f"{named!r} is none of them"
        raise AuditError(f"the scorer's classes are {', '.join(classes[:10]) or 'not known'}, and {what}", "name the class as scorer_class")
    return named
