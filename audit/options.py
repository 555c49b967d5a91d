"""The options that say what the rows are: the same for every command that asks a model about rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from audit.roles import LABEL_SOURCES


def add_data(p: argparse.ArgumentParser) -> None:
    """Data and what is declared about them (contract.md)."""
    data = p.add_argument_group("data and what is declared about it")
    data.add_argument(
        "--data",
        metavar="PATH",
        help="csv, parquet, Arrow, or a folder or glob of them (default: the evaluation data logged with the model)",
    )
    data.add_argument("--training", metavar="PATH", help="the rows that the model was trained on (default: those logged with the model)")
    data.add_argument(
        "--references",
        metavar="DIR",
        help="models trained as the audited one on random halves of the rows (default: those logged with the model)",
    )
    data.add_argument("--target", metavar="COL", help="the outcome column")
    data.add_argument("--positive", metavar="LABEL", help="the event that the score predicts")
    data.add_argument("--favourable", metavar="LABEL[,LABEL]", help="the decision that a person wants; high or low for a regression")
    data.add_argument("--decision", action="append", metavar="RULE", help="predict, score>=T, top=K, top=P%% or column=COL")
    data.add_argument("--label-source", choices=LABEL_SOURCES, help="what the target column is")
    data.add_argument("--sensitive", metavar="A,B", help="sensitive columns; they need not be model inputs")
    data.add_argument("--reference", metavar="COL=VALUE,…", help="the reference group of a sensitive column (default: the largest)")
    data.add_argument("--time", metavar="COL", help="when a row happened: a date, or a number such as a year")
    data.add_argument("--features", metavar="A,B", help="the model's input columns in order, where its signature names none")
    data.add_argument("--prediction", metavar="COL", help="with predictions: the column of predicted labels or values")
    data.add_argument("--score", metavar="COL[,COL…]", help="with predictions: the score of the event, or of each class in order")
    data.add_argument("--task", choices=("binary", "multiclass", "regression"))
    data.add_argument("--classes", metavar="A,B", help="order of the score columns")
    data.add_argument("--outputs", choices=("label", "probability", "logit"), help="what the model returns")
    data.add_argument("--context", metavar="FILE", help="TOML: intended use, domain, people, period, auditor, …")
    data.add_argument("--cluster", metavar="COL", help="rows with the same value belong together: one person, school or hospital")
    data.add_argument("--independent", action="store_true", help="your word that rows are independent although keys repeat")


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def declared(options: argparse.Namespace) -> dict[str, Any]:
    """The roles that the command line declares."""
    reference = {}
    for pair in _names(options.reference) or []:
        column, equals, value = pair.partition("=")
        if not equals:
            raise AuditError(f"--reference wants COLUMN=VALUE, got {pair!r}", "for example --reference sex=male")
        reference[column] = value
    context = None
    if options.context:
        from audit.plan import read_context

        context = read_context(Path(options.context))
    decision = None
    if options.decision:
        from audit.roles import parse_decision

        decision = ", ".join(options.decision)  # several rules are refused as one that holds several cutoffs
        parse_decision(decision)
    return {
        "target": options.target, "positive": options.positive, "favourable": _names(options.favourable), "decision": decision,
        "label_source": options.label_source, "task": options.task, "classes": _names(options.classes), "sensitive": _names(options.sensitive),
        "features": _names(options.features), "outputs": options.outputs, "context": context, "reference": reference,
        "cluster": options.cluster, "independent": options.independent or None,
        "prediction": options.prediction, "scores": _names(options.score), "time": options.time,
    }  # fmt: skip


def subject(options: argparse.Namespace, command: list[str]) -> tuple[str, str | None, list[str]]:
    """What is audited, the credentials that its address held, and the command line without them; options that belong to another subject are refused."""
    from audit.recorded import URI
    from audit.subject import endpoint

    uri = options.model_uri
    if uri != URI:
        if options.prediction or options.score:
            raise AuditError(
                "--prediction and --score are for predictions without a model", f"name {URI!r} as the model, or leave them out"
            )
        if not endpoint.is_address(uri):
            return uri, None, command
        plain, secret = endpoint.split(uri)
        if not options.data:
            raise AuditError("an endpoint brings no data", "name them with --data")
        return plain, secret, [plain if word == uri else word for word in command]
    if not (options.prediction or _names(options.score)):
        raise AuditError("no column of predictions was named", "name them with --prediction COL or --score COL[,COL…]")
    if not options.data:
        raise AuditError("predictions without a model bring no data", "name the data that hold them with --data")
    if options.features:
        raise AuditError("--features names the inputs of a model, and none is asked", "leave it out")
    return uri, None, command


def absolute(path: str | None) -> str | None:
    """A path that another folder's process finds too; an address as it is."""
    return str(Path(path).absolute()) if path and "://" not in path else path
