"""One decision on one page, for the person concerned: drawn from `explanation.json` alone."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from audit.columns import ColumnRule
from audit.explain.document import Decision, Document, Explanation, Gate, Input, Value
from audit.text import render
from reports import reasons, recourse
from reports.html import TEMPLATES, style
from reports.parted import drawings, without
from reports.said import Said, quoted
from reports.sections import Section
from reports.showing import events, picture, plain, shares
from reports.speaker import Speaker, clean, mark, number, together
from reports.svg import svg

METHODS = {
    "tree_shap": mark("SHAP values of trees"), "integrated_gradients": mark("Integrated Gradients"), "exact_shap": mark("Shapley values of all combinations"),
    "deep_shap": mark("DeepLIFT-SHAP"), "kernel_shap": mark("Kernel SHAP"), "leverage_shap": mark("Leverage SHAP"), "gradient_shap": mark("GradientSHAP"),
    "lrp": mark("layer-wise relevance propagation (LRP)"), "grad_cam": mark("Grad-CAM"), "gradient_x_input": mark("gradient × input"), "lime": mark("LIME"),
}  # fmt: skip
GATES = {
    "completeness": mark("The parts do not add up to the answer: {value} of it is left, and {limit} is allowed."),
    "deletion": mark(
        "Taking the inputs away in this order lowers the answer no better than chance: {value} of random orders do better, and {limit} are allowed."
    ),
    "drawn": mark("The parts depend too much on which combinations were drawn: {value} of their size, and {limit} is allowed."),
    "infidelity": mark("The parts do not foretell what happens when some are taken away: {value} of it is missed, and {limit} is allowed."),
    "randomisation": mark("A model that learned nothing has much the same parts: {value} alike, and {limit} is allowed."),
    "stability": mark("The parts depend too much on whom the row is compared with: {value} of their size, and {limit} is allowed."),
}
#: What each test of an explanation measures.
MEASURES = {
    "completeness": mark("Left unexplained"), "stability": mark("Owed to the draw of applicants"), "deletion": mark("Random orders that do better"),
    "drawn": mark("Owed to the draw of combinations"), "infidelity": mark("Missed of what taking parts away does"), "randomisation": mark("Alike with a model that learned nothing"),
}  # fmt: skip
#: Letters of a text that are shown.
MOST_TEXT = 20_000
#: The scale of an answer, in plain words first.
UNITS = {
    "logit": mark("the model's own scale, from which the score is made (logit)"),
    "log-odds": mark("the model's own scale, from which the score is made (log-odds)"),
}


def file_name(lang: str) -> str:
    """`explanation.html`; the language stands in the name of any but English."""
    return "explanation.html" if lang == "en" else f"explanation.{lang}.html"


class Page:
    """The texts of one page in one language."""

    def __init__(self, document: Document, lang: str) -> None:
        self.d, self.lang, self.say = document, lang, Speaker(lang)

    # --- words ------------------------------------------------------------------------------------------------------------------------

    def rule(self, column: str) -> ColumnRule:
        return self.d.glossary.get(column, ColumnRule())

    def called(self, factor: str) -> str:
        """A column or a one-hot group in words."""
        return clean(self.rule(factor).called(factor, self.lang), 120)

    def written(self, column: str, value: Value) -> str:
        """One value in words: those of the glossary, else the number as it is."""
        if value is None:
            return self.say.t("not known")
        text = str(value).lower() if isinstance(value, bool) else plain(value) if isinstance(value, float) else value
        key = text.replace(",", "") if isinstance(value, float) else text
        said = self.rule(column).value(key, self.lang)
        return clean(said if said != key else text, 200)

    def label(self, label: str) -> str:
        """A class in the words of the target column."""
        return clean(self.rule(self.d.target or "").value(label, self.lang), 120)

    # --- parts of the page ------------------------------------------------------------------------------------------------------------

    def title(self) -> str:
        label = self.d.decision.label
        return self.say.t("The decision: {label}", label=self.label(label)) if label else self.say.t("The model gives no answer")

    def about(self) -> list[str]:
        s, say = self.d.subject, self.say
        named = say.t("{name}, version {version}", name=s.name, version=s.version) if s.name and s.version else s.name or s.model
        if s.row is None:
            where = say.t("values that were typed in")
        elif s.changed:
            where = say.t("row {row} with changed values: {names}", row=s.row, names=say.list(self.called(n) for n in s.changed))
        else:
            where = say.t("row {row} of the data, counted from 0", row=s.row)
        return [say.pair(say.t("Model"), clean(named, 120)), where, self.d.made[:10]]

    def lead(self) -> list[str]:
        return self.lead_of(self.d.decision)

    def lead_of(self, d: Decision) -> list[str]:
        """The score of a decision: of the wanted one, else of what was decided."""
        say, out = self.say, []
        if d.score is not None:
            wanted = self.label(d.label if d.wanted is None else d.wanted)
            if d.cutoff is None:
                out.append(say.t("The model's score for {wanted} is {score}.", wanted=wanted, score=shares(d.score, least=2)[0]))
            else:
                score, cutoff = shares(d.score, d.cutoff, least=2)
                out.append(
                    say.t("The model's score for {wanted} is {score}; {cutoff} is needed.", wanted=wanted, score=score, cutoff=cutoff)
                )
        return out

    def notes(self) -> list[str]:
        """The document's notes, columns in the words of the glossary."""
        out = []
        for note in self.d.notes:
            values = dict(note.values)
            if isinstance(values.get("name"), str):
                if isinstance(values.get("value"), str):
                    values["value"] = self.written(str(values["name"]), str(values["value"]))
                values["name"] = self.called(str(values["name"]))
            if isinstance(values.get("names"), list):
                values["names"] = [self.called(str(n)) for n in values["names"]]  # type: ignore[union-attr]
            out.append(together(clean(render(note.model_copy(update={"values": values}), self.lang))))
        return out

    def why(self) -> Section | None:
        """The principal reasons, or why there are none to give."""
        return reasons.why(self)

    def ways(self) -> Section | None:
        """What would change the decision, or that nothing does and which limit stands against it."""
        return recourse.ways(self)

    def _usual(self, column: str) -> str:
        found = next(i for i in self.d.inputs if i.column == column)
        if found.low is not None and found.high is not None:
            low, high = (plain(float(f"{end:.4g}")) for end in (found.low, found.high))
            return low if low == high else self.say.t("{low} to {high}", low=low, high=high)
        return self.written(column, found.most) if found.most is not None else ""

    def made(self) -> Section:
        """How the answer comes about: a chart of the largest parts."""
        if self.d.explanation is not None:
            return self.counted(self.d.explanation)
        why = self.d.explanation_why
        return Section(self.say.t("How much each input counted"), notes=[clean(render(why, self.lang))] if why else [])

    def also(self) -> list[Section]:
        """The same answer divided otherwise."""
        return [self.counted(e) for e in self.d.also]

    def counted(self, e: Explanation) -> Section:
        """The drawings of one way to divide the answer, and what it may be used for."""
        say = self.say
        fields = any(p.kind == "field" for p in e.parts)
        title = (
            say.t("The same, by the fields of all events")
            if fields
            else say.t("How much each part counted")
            if e.start
            else say.t("How much each input counted")
        )
        alert = say.sentences(
            say.t(GATES["drawn" if g.name == "stability" and e.start else g.name], value=number(g.value, "percent"), limit=number(g.limit, "percent"))
            for g in e.gates if not g.passed
        )  # fmt: skip
        if alert:
            alert = say.sentences([say.t("This explanation failed a test and must not be used."), alert])
        figures = [{"svg": svg(c, 1 + i), "alt": c.alt, "title": c.title if e.start else ""} for i, c in enumerate(drawings(self, e))]
        return Section(title, alert=alert, figures=figures, notes=self._how(e))

    def _how(self, e: Explanation) -> list[str]:
        """How the drawings of an answer are read, and how it was divided."""
        say, towards = self.say, self.label(self._towards(e))
        if e.start is None:
            return [
                say.t("Right of the line an input raised the score for {wanted}, left of it it lowered it; the whiskers are 95 % intervals. It says what this model used, not what causes anything.", wanted=towards),
                say.t("{method}, against {n:count} applicants; unit: {unit}.", method=say.name(e.method, METHODS), n=e.background, unit=self.unit(e)),
            ]  # fmt: skip
        drawn = any(p.low < p.high for p in e.parts)
        return [
            say.t("What has + raised the score for {wanted}, what has − lowered it. It says what this model used, not what causes anything.", wanted=towards),
            say.t("{method}, against {start}; unit: {unit}.", method=say.name(e.method, METHODS), start=render(e.start, self.lang), unit=self.unit(e)),
            *([say.t("The whiskers are 95 % intervals of the draw of combinations.")] if drawn else []),
            *([render(e.instead, self.lang)] if e.instead else []),
        ]  # fmt: skip

    def without(self) -> Section | None:
        """The least that changes the decision when it is taken away."""
        return without(self, self.d.removal) if self.d.removal is not None else None

    def _towards(self, e: Explanation) -> str:
        """Of two classes the wanted one; else what was explained, which no other is the opposite of."""
        wanted = self.d.decision.wanted
        return wanted if wanted is not None and self.d.decision.cutoff is not None else e.output

    def sign(self, e: Explanation) -> int:
        """−1 where what lowers the explained answer raises the score that the page speaks of."""
        return -1 if self._towards(e) != e.output else 1

    def unit(self, e: Explanation) -> str:
        """The scale of an answer in words."""
        return self.say.name(e.unit, UNITS) if e.unit in UNITS else self.say.t(e.unit)

    def measured(self, e: Explanation, gate: Gate) -> str:
        """What a test of an explanation measures."""
        return self.say.t(MEASURES["drawn" if gate.name == "stability" and e.start else gate.name])

    def values(self) -> list[dict[str, Any]]:
        """What every input was, and what is usual of single values; of a picture what shows it."""
        return [
            {
                "what": self.called(i.column),
                "value": self.shown(i),
                "usual": self._usual(i.column),
                "picture": picture(i),
                "text": i.kind == "text",
            }
            for i in self.d.inputs
        ]

    def shown(self, own: Input) -> str:
        """An input in words; what is seen stands beside them."""
        if isinstance(own.value, list):
            return self.say.t("events: {n:count}", n=len(own.value))
        if own.kind == "sequence":
            return self.say.t("no events")
        return clean(str(own.value), MOST_TEXT) if own.kind == "text" and own.value is not None else self.written(own.column, own.value)

    def events(self) -> list[dict[str, Any]]:
        """The events of every sequence: one a row, or one a column where they have more fields than there are events."""
        return [
            {"caption": self.called(i.column), "lines": events(i.value, self.say)} for i in self.d.inputs if isinstance(i.value, list) and i.value
        ]  # fmt: skip

    def rights(self) -> list[str]:
        """What the person can do; what the sender has not stated is said to be missing."""
        say, contact = self.say, self.d.context.get("contact", "")
        owner = self.d.context.get("owner", "")
        lines = [
            say.t("These values came from {source}. If one is wrong, ask for it to be corrected and for a new decision.", source=self._source()),
            say.t("You can ask that a person looks at this decision."),
            say.t("Write to: {contact}.", contact=clean(contact, 300)) if contact
            else say.t("Where to write is not stated here: the sender must add it as contact to the context before this page is handed over."),
        ]  # fmt: skip
        if owner and owner != "not stated":
            lines.append(say.t("Responsible for the model: {owner}.", owner=clean(owner, 300)))
        if self.d.context.get("domain") == "credit" and self.d.reasons is not None and self.d.reasons.state == "given":
            lines.append(
                say.t("For the sender, where this is the notice of a credit decision in the United States: it must also state the creditor's name and address, the notice of the Equal Credit Opportunity Act and the agency's name and address (12 CFR 1002.9(a)(2)), which this page does not hold.")
            )  # fmt: skip
        return lines

    def _source(self) -> str:
        source = self.d.subject.data
        return (
            self.say.t("the evaluation data logged with the model")
            if source == "the evaluation data logged with the model"
            else clean(source, 300)
        )

    def record(self) -> list[tuple[str, Said]]:
        """What a file about an adverse decision must hold (12 CFR 1002.9, and our regulation page, 5.3)."""
        d, say = self.d, self.say
        rows: list[tuple[str, Said]] = [
            (say.t("Decision"), quoted(d.id, "id")), (say.t("Made"), quoted(d.made, "made")), (say.t("Model"), quoted(d.subject.model, "subject.model")),
            (say.t("SHA-256 of the model"), quoted(d.subject.model_sha256 or "–", "subject.model_sha256")),
            (say.t("SHA-256 of the values"), quoted(d.subject.inputs_sha256, "subject.inputs_sha256")),
            (say.t("SHA-256 of the data"), quoted(d.subject.data_sha256, "subject.data_sha256")),
            (say.t("Decision rule"), quoted(d.decision.rule, "decision.rule")),
        ]  # fmt: skip
        if d.reasons is not None and d.reasons.methods:
            for i, method in enumerate(d.reasons.methods):
                told = say.list(
                    f"{r.factor} {number(r.shortfall, 'number')} ({number(r.low, 'number')} … {number(r.high, 'number')})"
                    for r in method.reasons
                )
                rows.append((say.t("Shortfalls {method}", method=reasons.against(self, method)), quoted(told, f"reasons.methods[{i}]")))
            if d.reasons.agreement is not None:
                rows.append(
                    (
                        say.t("Reasons that both methods name"),
                        Said(number(d.reasons.agreement, "percent"), "reasons.agreement", numeric=True),
                    )
                )
        if d.explanation is not None:
            for i, gate in enumerate(d.explanation.gates):
                rows.append(
                    (self.measured(d.explanation, gate), Said(number(gate.value, "percent"), f"explanation.gates[{i}]", numeric=True))
                )
        if d.removal is not None:
            rows.append((say.t("Rows that the search asked about"), Said(number(d.removal.asked, "count"), "removal.asked", numeric=True)))
        if d.recourse is not None:
            rows.append(
                (say.t("Rows that the search asked about"), Said(number(d.recourse.asked, "count"), "recourse.asked", numeric=True))
            )
        return rows


def page(document: Document, lang: str = "en") -> str:
    """The page in English ("en") or Chinese ("zh")."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    p = Page(document, lang)
    css = style() + (TEMPLATES / "person.css").read_text("utf-8")
    env = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    owner = document.context.get("owner", "")
    return env.get_template("person.html").render(
        t=p.say.t, lang="zh-Hans" if lang == "zh" else "en", css=css, style_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        sender=clean(owner, 120) if owner and owner != "not stated" else "Witnessmark", draft=not document.attested, title=p.title(), about=p.about(), lead=p.lead(), notes=p.notes(), why=p.why(),
        ways=p.ways(), without=p.without(), made=p.made(), also=p.also(), values=p.values(), events=p.events(), rights=p.rights(), record=p.record(),
    )  # fmt: skip
