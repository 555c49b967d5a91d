"""`python -m audit.commit PLAN --data PATH`: write down, before any audit, which plan will judge which data.

Covered are the plan (criteria, limits, parameters, levels, seed: the file over the built-in plan, every default written out), the data's bytes and,
with --context, what the context declares. What an audit declares beside them (target, favourable decision, decision rule, sensitive columns) is not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from audit.errors import AuditError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise AuditError(message, "see python -m audit.commit --help")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0: it is on record; 2: it could not be."""
    parser = _Parser(prog="audit.commit", description="Fix a plan for data before they are audited.", allow_abbrev=False)
    parser.add_argument("plan", metavar="PLAN", help="the plan file")
    parser.add_argument("--data", metavar="PATH", required=True, help="the data that it will judge")
    parser.add_argument("--context", metavar="FILE", help="the context file that the audit will be given")
    parser.add_argument("--tracking-uri", metavar="URI", help="MLflow (default: MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)")
    try:
        options = parser.parse_args(argv)
        print(_commit(options))
    except AuditError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _commit(options: argparse.Namespace) -> str:
    from audit import plan as plans
    from audit.dataset import data_digest, find_files
    from audit.history import context_digest, record
    from audit.store import absolute_uri, named_uri, require_store

    plan = plans.load(Path(options.plan))
    context = plans.read_context(Path(options.context)) if options.context else None
    uri = absolute_uri(options.tracking_uri)
    if named_uri(options.tracking_uri):  # nobody mistyped the default, and a plan may be fixed before anything else is in it
        require_store(
            uri, "check its name; without --tracking-uri the plan is written to mlflow.db here, which is made where there is none"
        )
    fixed = plans.fixed_digest(plan, plans.asked(plan, None, None), sample=plan.audit.sample, seed=plan.audit.seed)
    data = data_digest(find_files(options.data))
    when, before = record(uri, fixed, data, context_digest(context))
    covered = " and context" if context is not None else ""
    return f"plan {fixed[:12]}{covered} for data {data[:12]}: {'already fixed' if before else 'fixed'} on {when}"


if __name__ == "__main__":
    sys.exit(main())
