"""What is not the same in two audits: the plan, the data and what was declared of them, the model, the software. Stored documents only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from audit.result import AuditResult
from reports.speaker import Speaker, clean, mark

PLAN, DATA, MODEL, CONTEXT, SOFTWARE = mark("plan"), mark("data"), mark("model"), mark("context"), mark("software")
#: Fields of the data, and what they are called.
FIELDS = {
    "source": mark("where they came from"), "sha256": mark("digest"), "rows": mark("rows"), "target": mark("outcome column"), "positive": mark("event"),
    "favourable": mark("favourable decision"), "label_source": mark("what the outcome is"), "decision": mark("decision rule"), "sensitive": mark("sensitive columns"),
    "reference": mark("reference groups"), "cluster": mark("column of rows that belong together"), "weight": mark("survey weights"), "time": mark("time column"),
    "scores": mark("score columns"), "prediction": mark("prediction column"),
}  # fmt: skip
DIGITS = 12  # of a digest
MOST = 300


class Changed(NamedTuple):
    """One thing that differs: where it belongs, what it is, and both values in words; "" where one audit does not have it."""

    where: str
    what: str
    old: str
    new: str


def changed(old: AuditResult, new: AuditResult, say: Speaker) -> list[Changed]:
    """All that differs, in the order in which it should be read."""
    return [*_data(old, new, say), *_model(old, new, say), *_plan(old, new, say), *_context(old, new, say), *_software(old, new, say)]


def _data(old: AuditResult, new: AuditResult, say: Speaker) -> Iterator[Changed]:
    where = say.t(DATA)
    for field, name in FIELDS.items():
        a, b = getattr(old.data, field), getattr(new.data, field)
        if a != b:
            yield Changed(where, say.t(name), *(_value(v[:DIGITS] if field == "sha256" else v, say) for v in (a, b)))
    yield from _names(where, say.t("columns"), old.data.columns, new.data.columns, say)
    a, b = (d.data.training.sha256[:DIGITS] if d.data.training else "" for d in (old, new))
    if a != b:
        yield Changed(where, say.t("digest of the training rows"), a, b)


def _model(old: AuditResult, new: AuditResult, say: Speaker) -> Iterator[Changed]:
    where = say.t(MODEL)
    for name, a, b in (
        (say.t("version"), old.model.version, new.model.version), (say.t("digest"), (old.model.sha256 or "")[:DIGITS], (new.model.sha256 or "")[:DIGITS]),
        (say.t("kind of file"), old.model.flavor, new.model.flavor), (say.t("trained numbers"), old.model.parameters, new.model.parameters),
        (say.t("classes"), old.model.classes, new.model.classes),
    ):  # fmt: skip
        if a != b:
            yield Changed(where, name, _value(a, say), _value(b, say))
    yield from _names(where, say.t("inputs"), [f.name for f in old.model.features], [f.name for f in new.model.features], say)


def _names(where: str, what: str, old: list[str], new: list[str], say: Speaker) -> Iterator[Changed]:
    """Names that only one of the two has."""
    gone, came = [n for n in old if n not in new], [n for n in new if n not in old]
    if gone or came:
        yield Changed(where, say.t("{what}, in one only", what=what), _value(gone, say), _value(came, say))


def _plan(old: AuditResult, new: AuditResult, say: Speaker) -> Iterator[Changed]:
    yield from _flat(say.t(PLAN), old.plan | {"seed": old.seed}, new.plan | {"seed": new.seed}, say)


def _context(old: AuditResult, new: AuditResult, say: Speaker) -> Iterator[Changed]:
    yield from _flat(say.t(CONTEXT), old.context, new.context, say)


def _software(old: AuditResult, new: AuditResult, say: Speaker) -> Iterator[Changed]:
    a, b = ({"python": d.environment.python, **d.environment.packages} for d in (old, new))
    yield from _flat(say.t(SOFTWARE), a, b, say)


def _flat(where: str, old: Mapping[str, Any], new: Mapping[str, Any], say: Speaker) -> Iterator[Changed]:
    """Leaves of two nested tables that differ, each by its path."""
    before, now = dict(_leaves(old)), dict(_leaves(new))
    for path in dict.fromkeys([*before, *now]):
        a, b = before.get(path), now.get(path)
        if a == b:
            continue
        if isinstance(a, list) and isinstance(b, list):  # of long lists, what only one has
            gone, came = [v for v in a if v not in b], [v for v in b if v not in a]
            if (gone or came) and a and b:
                yield Changed(where, say.t("{what}, in one only", what=clean(path, 120)), _value(gone, say), _value(came, say))
                continue
        yield Changed(where, clean(path, 120), _value(a, say), _value(b, say))


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield here, value


def _value(value: object, say: Speaker) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, Mapping):
        return clean(say.list(f"{k} = {v}" for k, v in value.items()), MOST)
    if isinstance(value, bool):
        return say.t("yes") if value else say.t("no")
    if isinstance(value, list):
        return clean(say.list(str(v) for v in value), MOST)
    return f"{value:,}" if isinstance(value, int) else clean(value, MOST)
