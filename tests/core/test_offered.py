"""What somebody who types in a row is offered, and whose declarations a conversation about an audit follows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from audit.errors import AuditError
from audit.explain.__main__ import build, parser
from audit.explain.offered import Offered, offered
from audit.features import FeatureSpec
from audit.subject.frame import Categories


def spec(kind: str, read: str) -> FeatureSpec:
    return FeatureSpec.model_validate({"name": "x", "kind": kind, "read": read})


def test_percentiles_stand_on_a_hundred_rows_and_no_fewer() -> None:
    whole = offered(spec("number", "int64"), np.arange(101), 10)
    assert whole == Offered(1.0, 50.0, 99.0, whole=True)
    few = offered(spec("number", "float64"), np.arange(99) + 0.5, 10)
    assert few == Offered(whole=False), "99 rows tell nothing of any"
    gaps = offered(spec("number", "float64"), np.concatenate([np.arange(101.0), [np.nan]]), 10)
    assert gaps.missing
    assert gaps.middle == 50


def test_values_are_named_where_enough_rows_have_them() -> None:
    words = Categories(np.repeat(np.array([1, 0, 2, -1], np.int32), [30, 20, 9, 1]), ("a", "b", "rare"))
    assert offered(spec("category", "text"), words, 10) == Offered(levels=("b", "a"), missing=True), "the most frequent first"
    codes = np.repeat([0.0, 1.0], [100, 50])
    assert offered(spec("number", "float64"), codes, 10).levels == (0.0, 1.0)
    assert offered(spec("number", "float64"), np.append(codes, 7.0), 10).levels == (), "one row has 7: a number is typed"
    assert offered(spec("category", "bool"), np.array([True, False]), 10).levels == (True, False)
    day = np.array(["2026-01-31", "NaT"], dtype="datetime64[ns]")
    assert offered(spec("datetime", "datetime"), day, 1) == Offered(missing=True)


@pytest.mark.parametrize("more", [["--favourable", "yes"], ["--plan", "plan.toml"], ["--sample", "50"], ["--seed", "1"]])
def test_an_audit_that_is_followed_brings_its_own_declarations(more: list[str], tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(json.dumps({"plan": {"roles": {}}, "data": {"source": "x"}}))
    command = ["m", "--serve", "--audit", str(tmp_path), *more]
    with pytest.raises(AuditError, match=f"its own declarations and plan, and {more[0]} was given too"):
        build(parser().parse_args(command), command)


def test_what_is_no_audit_cannot_be_followed(tmp_path: Path) -> None:
    for text in (None, "[]", "{", json.dumps({"plan": {}})):
        if text is not None:
            (tmp_path / "audit.json").write_text(text)
        with pytest.raises(AuditError, match="could not be read as an audit"):
            build(parser().parse_args(["m", "--serve", "--audit", str(tmp_path)]), [])
