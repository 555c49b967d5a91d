"""What can be asked of `audit.run` from a page: the options, and the words that they become. No value can turn into an option of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reports.speaker import mark

Value = str | int | bool | Sequence[str] | None
MOST = 2000  # characters of one value
#: Addresses of models that name no file of this machine.
ELSEWHERE = re.compile(r"(models|runs):/|demo:|https?://|predictions$")


class CannotAskError(Exception):
    """A value that no command is started with; its text is a template for the catalogue."""


@dataclass(frozen=True)
class Field:
    """An option of the command. A path lies on the server's machine; `choice` offers `options`, `each` gives the option once for each."""

    option: str
    label: str
    kind: Literal["text", "path", "choice", "number", "flag", "each"] = "text"
    options: tuple[str, ...] = ()


#: Where the rows are and what they are: what most audits name.
DATA = (
    Field("data", mark("Data: csv, parquet, Arrow, or a folder or glob of them"), "path"),
    Field("training", mark("Training rows"), "path"),
    Field("target", mark("Outcome column")),
    Field("positive", mark("The event that the score predicts")),
    Field("favourable", mark("The decision that a person wants")),
    Field(
        "label-source",
        mark("What the outcome column is"),
        "choice",
        ("outcome", "human_decision", "proxy", "selective"),
    ),
    Field("sensitive", mark("Sensitive columns, with commas")),
    Field("context", mark("Context: what the model is for (TOML)"), "path"),
)
#: What fewer name.
MORE = (
    Field("decision", mark("Decision: predict, score>=T, top=K, top=P% or column=COL")),
    Field("reference", mark("Reference groups: COL=VALUE, with commas")),
    Field("time", mark("Column that says when")),
    Field("weight", mark("Column of survey weights")),
    Field("cluster", mark("Column whose equal values belong together")),
    Field("independent", mark("Rows are independent although keys repeat"), "flag"),
    Field("features", mark("Input columns in order, with commas")),
    Field("task", mark("Task"), "choice", ("binary", "multiclass", "regression")),
    Field("classes", mark("Order of the score columns, with commas")),
    Field("outputs", mark("What the model returns"), "choice", ("label", "probability", "logit")),
    Field("prediction", mark("Without a model: column of predictions")),
    Field("score", mark("Without a model: column of scores")),
    Field("references", mark("Folder of reference models"), "path"),
)
#: What is asked of them, and what is written.
ASKED = (
    Field("plan", mark("Plan (TOML); without one, the built-in plan"), "path"),
    Field("checks", mark("Only these checks or families, with commas")),
    Field("skip", mark("Without these checks or families, with commas")),
    Field("sample", mark("Rows for the checks that ask the model again (2000 unless the plan says otherwise)"), "number"),
    Field("seed", mark("Seed"), "number"),
    Field("waivers", mark("Waivers (TOML)"), "path"),
    Field("format", mark("Further formats of the report"), "each"),
    Field("framework", mark("Documents of these laws and standards"), "each"),
    Field("lang", mark("Language of the documents"), "choice", ("en", "zh")),
    Field("edition", mark("Edition"), "choice", ("internal", "public")),
    Field("no-log", mark("Keep the audit off MLflow"), "flag"),
)
#: For approvers: the model's own code runs, in its confined process.
TRUST = Field("trust-pickle", mark("Let the confined process load a format that runs the model author's code"), "flag")
FIELDS = (*DATA, *MORE, *ASKED, TRUST)


def words(model: str, values: Mapping[str, Value]) -> list[str]:
    """The words that follow `python -m audit.run`, the model last; `CannotAskError` where a value cannot be meant.

    Every value is tied to its option by `=`, and `--` stands before the model, so that nothing in a value is read as an option.
    """
    made = []
    for field in FIELDS:
        value = values.get(field.option)
        if value is None or value is False or value == "" or value == []:
            continue
        if field.kind == "flag":
            made.append(f"--{field.option}")
        elif field.kind == "each":
            assert not isinstance(value, int)
            made += [f"--{field.option}={_plain(part)}" for part in value]
        else:
            made.append(f"--{field.option}={_plain(str(value))}")
    return [*made, "--", _model(model)]


def outside(model: str, values: Mapping[str, Value], folders: Sequence[Path]) -> str | None:
    """The first path that lies in none of these folders; None where all do. Who is logged in reads with the server's rights, and only there."""
    paths = [str(values[f.option]) for f in FIELDS if f.kind == "path" and values.get(f.option)]
    if not ELSEWHERE.match(model.strip()):
        paths.append(model.strip())
    for text in paths:
        path = Path(text.strip())
        fixed = Path(*[part for part in path.parts if not re.search(r"[*?\[]", part)]).resolve()
        if ".." in path.parts or not any(fixed.is_relative_to(folder.resolve()) for folder in folders):
            return text
    return None


def _plain(text: str) -> str:
    text = text.strip()
    if len(text) > MOST or not text.isprintable():
        raise CannotAskError(mark("A value is too long, or holds characters that cannot be seen."))
    return text


def _model(text: str) -> str:
    text = _plain(text)
    if not text:
        raise CannotAskError(mark("Name a model: choose a registered one, or give its address."))
    if text.startswith("-"):
        raise CannotAskError(mark("No model's address begins with a dash."))
    if re.match(r"https?://[^/]*@", text):
        raise CannotAskError(mark("Leave user names and passwords out of the address: give the server's environment the token."))
    return text
