"""Frameworks as data: what a law, standard or practice asks for, control by control, and from when on.

Each stands in one file under `reports/frameworks/`; a user's own is a file of the same shape. Texts are paraphrases; a reference is exact to the
version that the file names. Dates are data, so that a document can show the law of a day (`Schedule`); nothing here reads the clock.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.errors import AuditError
from reports.obligations.facts import FACTS

FOLDER = Path(__file__).parent.parent / "frameworks"
MOST_BYTES = 2_000_000

Token = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9._-]{0,79}$")]
Sentence = Annotated[str, Field(min_length=1, max_length=4000)]
Confidence = Literal["high", "medium", "low"]
Kind = Literal["measured", "attested", "mixed"]
Asks = Literal["measurement", "record", "result"]
LegalForce = Literal[
    "binding", "binding_future", "binding_trial", "binding_plus_standard", "binding_federal_institutions", "guideline_in_flux",
    "supervisory_guidance", "guidance", "voluntary", "voluntary_certifiable", "practice",
]  # fmt: skip
EvidenceKind = Literal[
    "performance", "calibration", "fairness_group", "fairness_intersectional", "fairness_statistical_test", "explanation_global",
    "explanation_local", "explanation_quality", "counterfactual_recourse", "privacy_dp", "privacy_mia", "privacy_data", "robustness_noise",
    "robustness_adversarial", "robustness_shift", "efficiency", "compression", "data_profile", "lineage", "security_scan", "signature",
    "human_attestation", "monitoring",
]  # fmt: skip


class Part(BaseModel):
    """Base of the records: frozen; unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Part):
    """A text in both languages."""

    en: Sentence
    zh: Sentence

    def said(self, lang: str) -> str:
        return self.zh if lang == "zh" else self.en


class Step(Part):
    """From the day `law_of` on, the law says that a duty applies from `applies_from`; `debated` is a later date that others read into it."""

    law_of: datetime.date
    by: Sentence
    applies_from: datetime.date
    debated: datetime.date | None = None
    note: Text | None = None


class Amendment(Part):
    """What changed on a day, and by what."""

    since: datetime.date
    by: Sentence
    text: Text


class Control(Part):
    """One thing that is asked for. `measured`: evidence of the audit alone can back it; `attested`: only a named person can assert it.

    `asks` is what has to be there. `measurement`: that it was measured, tested or assessed, and reported; `record`: that it was written down and kept.
    Either is backed by what was measured, whatever came of it. `result`: that something is so, or is done; a check that fails does not support that.

    `facts` are places in `audit.json` that hold what was declared of it (the keys of `dossier.FACTS`).
    """

    id: Token
    section: Sentence
    title: Sentence
    title_zh: Sentence
    requirement: Sentence
    requirement_zh: Sentence
    kind: Kind
    asks: Asks = "result"
    evidence: list[EvidenceKind] = Field(min_length=1)
    facts: list[str] = []
    roles: list[Token] = []
    schedule: Token | None = None
    confidence: Confidence | None = None

    @model_validator(mode="after")
    def _kind_fits(self) -> Control:
        if strange := next((name for name in self.facts if name not in FACTS), None):
            raise ValueError(f"control {self.id}: there is no fact {strange}")
        person, tools = "human_attestation" in self.evidence, set(self.evidence) - {"human_attestation"}
        if self.kind == "measured" and not tools:
            raise ValueError(f"control {self.id}: a measured control names evidence that can be measured")
        if self.kind == "attested" and not person:
            raise ValueError(f"control {self.id}: an attested control names human_attestation")
        return self

    def called(self, lang: str) -> str:
        return self.title_zh if lang == "zh" else self.title

    def required(self, lang: str) -> str:
        return self.requirement_zh if lang == "zh" else self.requirement


class Document(Part):
    """A document that is made of some controls of a framework, under a name of its own."""

    id: Token
    name: Sentence
    name_zh: Sentence
    controls: list[Token] = Field(min_length=1)


class Framework(Part):
    """A law, standard or practice. `domains` and `systems` narrow whom it speaks to; none: everybody.

    `enacted` is the day from which it is known although it is not `in_force` yet; `replaced` is what held before.
    """

    id: Token
    name: Sentence
    name_zh: Sentence
    jurisdiction: Token
    domains: list[Token] = []
    systems: list[Literal["generative"]] = []
    legal_force: LegalForce
    version: Sentence
    enacted: datetime.date | None = None
    in_force: datetime.date | None = None
    until: datetime.date | None = None
    superseded_by: Text | None = None
    replaced: Text | None = None
    basis: str = ""
    amendments: list[Amendment] = []
    open_points: list[Text] = []
    confidence: Confidence
    verified_on: datetime.date
    verified: Sentence
    sources: list[Sentence] = []
    schedules: dict[Token, list[Step]] = {}
    parts: list[Document] = []
    controls: list[Control] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Framework:
        seen: set[str] = set()
        for control in self.controls:
            if control.id in seen:
                raise ValueError(f"control {control.id} stands there twice")
            seen.add(control.id)
            if control.schedule is not None and control.schedule not in self.schedules:
                raise ValueError(f"control {control.id}: there is no schedule {control.schedule}")
        if strange := next((id_ for part in self.parts for id_ in part.controls if id_ not in seen), None):
            raise ValueError(f"there is no control {strange}")
        for name, steps in self.schedules.items():
            days = [step.law_of for step in steps]
            if not days or days != sorted(set(days)):
                raise ValueError(f"schedule {name}: law_of must rise from step to step")
        if (self.until is None) != (self.superseded_by is None):
            raise ValueError("until and superseded_by belong together")
        return self

    def called(self, lang: str) -> str:
        return self.name_zh if lang == "zh" else self.name

    def part(self, document: Document) -> Framework:
        """This framework narrowed to one of its documents, in the order of that document."""
        own = {c.id: c for c in self.controls}
        kept = [own[id_] for id_ in document.controls]
        return self.model_copy(
            update={"id": document.id, "name": document.name, "name_zh": document.name_zh, "controls": kept, "parts": []}
        )


def read(path: Path) -> Framework:
    """A framework from a YAML file; an `AuditError` in one line that names the file and what is wrong with it."""
    import yaml

    mend = "see reports/frameworks/ for files of this shape"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise AuditError(f"the framework {path} is larger than {MOST_BYTES:,} bytes", mend)
        record = _loader()(path.read_text("utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"cannot read the framework {path}: {getattr(error, 'strerror', None) or error}", mend) from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise AuditError(f"the framework {path} is no YAML: {' '.join(str(error).split())[:200]}", mend) from None
    try:
        return Framework.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where, what = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise AuditError(f"the framework {path} is not valid{f' at {where}' if where else ''}: {what}", mend) from None


@cache
def _loader() -> Callable[[str], Any]:
    """YAML's safe loader, that refuses a key that stands twice instead of taking the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            doubled = next((k for i, k in enumerate(keys) if k in keys[:i]), None)
            if doubled is not None:
                raise yaml.YAMLError(f"the key {doubled!r} stands twice")
            return super().construct_mapping(node, deep)

    return Loader


@cache
def built_in() -> dict[str, Framework]:
    """The frameworks that come with the product, by id."""
    found = [read(path) for path in sorted(FOLDER.glob("*.yaml"))]
    return {framework.id: framework for framework in found}


def parts() -> dict[str, Framework]:
    """The documents that are parts of a framework, by id."""
    return {document.id: f.part(document) for f in built_in().values() for document in f.parts}


def find(name: str) -> Framework:
    """A framework by its id, or a user's own by the path of its file; an `AuditError` that names near ones where it is neither."""
    known = built_in() | parts()
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or "/" in name:
        own = read(path)
        if own.id in known:
            raise AuditError(f"the framework {path} has the id {own.id}, which is one of ours", "give it another id")
        return own
    raise AuditError(f"--framework {name[:80]} is not known", f"use {near(name, known)}, or the path of a YAML file")


def planned(ids: list[str]) -> None:
    """A plan names frameworks of ours by id, else an `AuditError`; a file of one's own has no place in a plan, which holds no paths."""
    known = built_in() | parts()
    if strange := next((name for name in ids if name not in known), None):
        raise AuditError(
            f"the plan's [frameworks] names {strange[:80]!r}, which is none of ours", f"use {near(strange, known)}, or --framework PATH"
        )


def near(name: str, known: Iterable[str]) -> str:
    """Names like this one, for a message; the first few where none is."""
    names = sorted(known)
    return " or ".join(difflib.get_close_matches(name, names, 3, 0.5) or names[:12])


def controls(frameworks: list[Framework]) -> dict[str, tuple[Framework, Control]]:
    """Every control with its framework, by id."""
    return {c.id: (f, c) for f in frameworks for c in f.controls}
