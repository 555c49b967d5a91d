"""`python -m audit.cohorts --serve`: a JSON line in, a JSON line out, until the input ends. Started by the dashboard, which holds no rows itself."""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from typing import NoReturn

from pydantic import ValidationError

from audit.cohorts.kept import Kept, NotHereError, kept
from audit.cohorts.measured import by_group, measured, members
from audit.cohorts.named import About, Answer, Columns, Groups, Members, Question, Reply
from audit.cohorts.paired import changes
from audit.errors import AuditError


class NotKeptError(Exception):
    """The rows of an audit are not on this machine."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.cohorts --help")


def parser() -> argparse.ArgumentParser:
    p = _Parser(prog="audit.cohorts", description="Counts the rows that a person names in the scored rows of an audit.", allow_abbrev=False)
    p.add_argument("--serve", action="store_true", required=True, help="answer the questions of stdin, a JSON line each")
    return p


@lru_cache(maxsize=8)
def _opened(said: str, stamp: float) -> Kept:
    """The rows of an audit, kept open; `stamp` changes when the file does."""
    found = kept(About.model_validate_json(said))
    assert found is not None, "it was there a moment ago"
    return found


def rows_of(about: About) -> Kept:
    found = kept(about)
    if found is None:
        raise NotKeptError
    return _opened(about.model_dump_json(), found.table.stat().st_mtime)


def answer(question: Question) -> Answer:
    """What the kept rows say; `NotKeptError`, `NotHereError` or `AuditError` where they say nothing."""
    about, rows = question.about, rows_of(question.about)
    if question.do == "columns":
        return Columns(names=rows.columns, groups={name: levels for name, (_, levels) in rows.groups.items()})
    if question.do == "offer":
        return rows.offer(question.column, about.least)
    if question.cohort is None:
        raise AuditError("no cohort was named", "name one")
    if question.do == "measure":
        return measured(rows, about, question.cohort)
    if question.do == "groups":
        return Groups(found=by_group(rows, about, question.cohort, question.column))
    if question.do == "members":
        return Members(rows=members(rows, question.cohort))
    if question.old is None:
        raise AuditError("no older audit was named", "name one")
    return changes(rows_of(question.old), rows, about, question.cohort)


def reply(line: str) -> Reply:
    """The line that answers a line."""
    try:
        return Reply(answer=answer(Question.model_validate_json(line)).model_dump(mode="json"))
    except NotKeptError:
        return Reply(kept=False)
    except NotHereError as error:
        return Reply(column=str(error))
    except (AuditError, ValidationError, KeyError, ValueError) as error:
        return Reply(refused=" ".join(str(error).split())[:300])


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when the input ends, 2 where it was started wrongly."""
    try:
        parser().parse_args(argv)
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    for line in sys.stdin:
        print(reply(line).model_dump_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
