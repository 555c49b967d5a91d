"""One row typed in: a field for each input of a model, by its kind and by what its values usually are."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from audit.columns import ColumnRule
from dashboard import show
from reports.showing import plain as exact
from reports.speaker import Speaker, clean, number

Value = str | float | bool | None | list[dict[str, Any]]  # the events of a sequence; a picture is its PNG or JPEG in base64
Json = dict[str, Any]
#: Fields that stand open; the others are one click away.
OPEN = 10
#: The largest picture in MiB, and letters of the longest text: what the command takes.
MOST_MIB, MOST_TEXT = 6, 100_000


def in_order(specs: Sequence[Json], ranking: Sequence[str]) -> list[int]:
    """The places of the inputs, those that move answers most first; `ranking` is what the audit found."""
    rank = {name: i for i, name in enumerate(ranking)}
    return sorted(range(len(specs)), key=lambda i: (rank.get(specs[i]["name"], len(rank)), i))


class Form:
    """The fields of one model on one page. `key` keeps them apart from those of another; `rules` are the inputs' words and limits."""

    def __init__(self, key: str, specs: Sequence[Json], rules: Mapping[str, ColumnRule], say: Speaker) -> None:
        self.key, self.specs, self.rules, self.say = key, specs, rules, say
        self.start = {s["name"]: self._start(s) for s in specs}
        #: What was typed. The fields hold nothing of their own: Streamlit forgets those that a run did not reach before the next one began.
        self.typed: dict[str, Value] = st.session_state.setdefault(f"{key}-typed", dict(self.start))

    def blank(self, values: Mapping[str, Value]) -> list[str]:
        """Texts among these values in which nothing stands yet."""
        return [s["name"] for s in self.specs if s["kind"] == "text" and s["name"] in values and not str(values[s["name"]] or "").strip()]

    def put(self, values: Mapping[str, Value]) -> None:
        """Fill the fields; called before they are drawn, or by a button."""
        for spec in self.specs:
            if spec["name"] in values:
                self.typed[spec["name"]] = self._fitted(spec, values[spec["name"]])
        st.session_state[f"{self.key}-turn"] = self._turn + 1

    @property
    def _turn(self) -> int:
        """Fields that were filled are other fields than before."""
        return int(st.session_state.get(f"{self.key}-turn", 0))

    def draw(self, ranking: Sequence[str]) -> dict[str, Value]:
        """The fields, and the values in them, by input."""
        order = in_order(self.specs, ranking)
        for i in order[:OPEN]:
            self._field(i)
        if order[OPEN:]:
            with st.expander(self.say.t("{n:count} more inputs", n=len(order) - OPEN)):
                for i in order[OPEN:]:
                    self._field(i)
        return {s["name"]: self.typed[s["name"]] for s in self.specs}

    def _place(self, i: int) -> str:
        return f"{self.key}-{self._turn}-{self.say.lang}-{i}"

    def _rule(self, spec: Json) -> ColumnRule:
        return self.rules.get(spec["name"], ColumnRule())

    def _levels(self, spec: Json) -> list[Value]:
        """The values to choose from: those that enough rows have, or those that have words; none where a number is typed."""
        return list(spec["levels"]) or [v for text in self._rule(spec).values for v in [_read(text, spec)] if v is not None]

    def _start(self, spec: Json) -> Value:
        """Where a field begins: the middle of a number, the most frequent value of a category; None where neither may be told."""
        if spec["kind"] == "number":
            return self._fitted(spec, spec["middle"])
        if spec["kind"] in ("image", "sequence"):
            start: Value = spec["start"]
            return start
        return spec["levels"][0] if spec["levels"] else None

    def _fitted(self, spec: Json, value: Value) -> Value:
        """A number as its field holds it: whole where one is typed into a field of whole numbers."""
        if spec["kind"] != "number" or self._levels(spec) or not isinstance(value, float):
            return value
        return int(value) if spec["whole"] and value == math.floor(value) else value

    def _field(self, i: int) -> None:
        spec, place = self.specs[i], self._place(i)
        rule, now = self._rule(spec), self.typed[spec["name"]]
        label, levels = show.escaped(clean(rule.called(spec["name"], self.say.lang), 80)), self._levels(spec)
        value: Value
        if spec["kind"] == "text":
            value = st.text_area(label, value=str(now or ""), key=place, height=160, max_chars=MOST_TEXT) or None
        elif spec["kind"] == "image":
            value = self._uploaded(spec, label, place, now)
        elif spec["kind"] == "sequence":
            value = self._table(spec, label, place, now)
        elif spec["kind"] == "audio":
            show.plain(self.say.t("{name}: a recording comes from its row, and none can be given here.", name=clean(spec["name"], 80)))
            value = now
        elif spec["kind"] == "datetime":
            value = st.text_input(label, value=str(now or ""), key=place, placeholder="2026-01-31") or None
        elif spec["kind"] == "number" and not levels:
            value = self._typed_in(spec, label, place, now)
        else:
            none = self.say.t("not known")
            options = [*levels, *([] if now is None or now in levels else [now]), *([None] if spec["missing"] or now is None else [])]
            value = st.selectbox(
                label, options, index=options.index(now), key=place,
                accept_new_options=all(isinstance(v, str) for v in levels),  # a category that too few rows have may be typed in
                format_func=lambda v: none if v is None else clean(self.written(rule, v), 80),
            )  # fmt: skip
        self.typed[spec["name"]] = value

    def _uploaded(self, spec: Json, label: str, place: str, now: Value) -> Value:
        """A picture of one's own, which is passed on as it is: it is decoded elsewhere."""
        if not spec["given"]:
            show.plain(self.say.t("The pictures of this model are no plain grey or coloured ones, so none can be given here."))
            return now
        down, across = spec["shape"][1:]
        told = self.say.t(
            "The model takes {width:count} × {height:count} pixels; another size is brought to that.", width=across, height=down
        )
        found = st.file_uploader(label, ["png", "jpg", "jpeg"], key=place, max_upload_size=MOST_MIB, help=show.escaped(told))
        if found is None:
            return self._kept(place, None, now)
        if st.session_state.get(f"{place}-file") != found.file_id:
            return self._kept(place, found.file_id, base64.b64encode(found.getvalue()).decode())
        return now

    @staticmethod
    def _kept(place: str, file: str | None, value: Value) -> Value:
        st.session_state[f"{place}-file"] = file
        return value

    def _table(self, spec: Json, label: str, place: str, now: Value) -> Value:
        """Events, one a row, the latest last; what an editor changes is counted from what it was given first."""
        begun = st.session_state.setdefault(f"{place}-events", now if isinstance(now, list) else [])
        data = pd.DataFrame({
            f["name"]: pd.Series([event.get(f["name"]) for event in begun], dtype="object" if f["kind"] == "category" else "float64")
            for f in spec["fields"]
        })  # fmt: skip
        st.markdown(label)
        told = st.data_editor(
            data, num_rows="dynamic", key=place, hide_index=True, width="stretch",
            column_config={field["name"]: self._column(field) for field in spec["fields"]},
        )  # fmt: skip
        show.plain(self.say.t("One event a row, the latest last; the model takes the latest {n:count}.", n=spec["shape"][0]))
        return _events(told, spec["fields"])

    def _column(self, field: Json) -> Any:
        label = clean(field["name"], 60)  # a heading is drawn as it is
        if field["kind"] == "category":
            return st.column_config.SelectboxColumn(label, options=list(field["levels"]))
        return st.column_config.NumberColumn(label, help=self._usual(field))

    def _typed_in(self, spec: Json, label: str, place: str, now: Value) -> Value:
        """A number, and beside it whether it is not known where rows lack it."""
        held: Any = now if isinstance(now, int | float) else self._fitted(spec, float(spec["middle"] or 0.0))
        whole = isinstance(held, int)
        lacking = now is None or spec["missing"]
        unknown = f"{place}-none"
        absent = bool(st.session_state.get(unknown, now is None)) if lacking else False
        value = st.number_input(
            label, value=held, key=place, step=_step(spec, whole), format="%d" if whole else None, help=self._usual(spec), disabled=absent
        )
        return None if lacking and st.checkbox(self.say.t("not known"), value=now is None, key=unknown) else value

    def written(self, rule: ColumnRule, value: Value) -> str:
        """A value in the words that were declared for it."""
        text = exact(value) if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
        return rule.value(text.replace(",", "") if isinstance(value, float) else text, self.say.lang)

    def _usual(self, spec: Json) -> str | None:
        if spec["low"] is None:
            return None
        low, high = number(spec["low"], "number"), number(spec["high"], "number")
        return show.escaped(self.say.t("98 of 100 rows lie between {low} and {high}.", low=low, high=high))


def _events(told: Any, fields: Sequence[Json]) -> list[dict[str, Any]]:
    """What stands in the editor; a row in which nothing stands is no event."""
    columns = [list(told[field["name"]]) for field in fields]
    events = [{f["name"]: _cell(f, v) for f, v in zip(fields, row, strict=True)} for row in zip(*columns, strict=True)]
    return [event for event in events if any(v is not None for v in event.values())]


def _cell(field: Json, value: Any) -> str | float | None:
    if value is None or value != value:
        return None
    return str(value) if field["kind"] == "category" else float(value)


def _read(text: str, spec: Json) -> Value:
    if spec["kind"] != "number":
        return text
    try:
        return float(text)
    except ValueError:
        return None


def _step(spec: Json, whole: bool) -> Any:
    """About a fiftieth of where most values lie, as 1, 2 or 5 times a power of ten; a whole number for whole numbers."""
    spread = (spec["high"] or 0) - (spec["low"] or 0)
    if spread <= 0:
        return 1 if whole else 0.01
    power = 10 ** math.floor(math.log10(spread / 50))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= spread / 50)
    return max(1, round(step)) if whole else float(step)
