"""The report page: what it says, and what hostile names cannot do to it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pieces import IMG, OVERRIDE
from reading import Page
from sample import sample

from audit.result import CheckResult
from reports.html import MOST_BYTES, render_html
from reports.speaker import Speaker, number
from reports.words import LOOKS

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request: pytest.FixtureRequest) -> tuple[str, str, Page]:
    html = render_html(sample(), request.param)
    return request.param, html, Page(html)


def test_what_people_read_is_as_reviewed(page: tuple[str, str, Page]) -> None:
    """`WITNESSMARK_REWRITE_GOLDEN=1 pytest` writes the files anew; the difference is for review."""
    lang, _, read = page
    digest = sample().digest
    text = "\n".join(read.lines).replace(digest, "DIGEST") + "\n"
    path = GOLDEN / f"report.{lang}.txt"
    if os.environ.get("WITNESSMARK_REWRITE_GOLDEN"):
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_nothing_runs_and_nothing_is_loaded(page: tuple[str, str, Page]) -> None:
    _, _, read = page
    assert not {tag for tag, _ in read.tags} & {
        "script",
        "iframe",
        "object",
        "embed",
        "link",
        "img",
        "image",
        "base",
        "form",
        "foreignobject",
        "use",
    }
    for tag, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset", "xlink:href", "action")], tag
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]


def test_the_policy_allows_exactly_our_style(page: tuple[str, str, Page]) -> None:
    import base64
    import hashlib

    _, html, _ = page
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in html
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_hostile_names_are_shown_as_text(page: tuple[str, str, Page]) -> None:
    _, html, read = page
    assert any(IMG in line for line in read.lines)
    assert OVERRIDE not in html
    assert "\u202e" not in html
    assert any("abc[U+202E]gnp.exe" in line for line in read.lines)


def test_every_verdict_is_a_word_and_a_sign(page: tuple[str, str, Page]) -> None:
    lang, _, read = page
    say, text = Speaker(lang), "\n".join(read.lines)
    for look in LOOKS.values():
        assert f"{look.sign} {say.t(look.word)}" in text


def test_limits_stand_beside_every_result(page: tuple[str, str, Page]) -> None:
    _, _, read = page
    for check in sample().checks:
        assert any(check.info.limits in line for line in read.lines), check.info.id


def test_numbers_carry_the_place_they_come_from() -> None:
    document = sample()
    found: dict[str, Any] = document.model_dump(mode="json", by_alias=True)
    html = render_html(document)
    cells = re.findall(r'<data class="n" data-path="(checks\[\d+\]\.findings\[\d+\]\.estimate\.value)">([^<]*)</data>', html)
    assert len(cells) > 50
    kinds = {number_of(found, path) for path, _ in cells}
    assert None not in kinds
    path, text = next(c for c in cells if c[0] == "checks[1].findings[0].estimate.value")
    assert text == number(number_of(found, path), "percent")


def number_of(document: dict[str, Any], path: str) -> float:
    at: Any = document
    for name, index in re.findall(r"([a-z_]+)|\[(\d+)\]", path):
        at = at[name] if name else at[int(index)]
    return float(at)


def test_same_document_same_bytes() -> None:
    assert render_html(sample()) == render_html(sample())


def test_a_huge_document_still_gives_a_page_that_opens() -> None:
    group = next(c for c in sample().checks if c.info.id == "fairness.group")
    many = [
        CheckResult.model_validate(group.model_dump() | {"findings": group.model_dump()["findings"] * 10}) for _ in range(16)
    ]  # 10 MB in full
    html = render_html(sample(checks=many))
    assert len(html.encode()) <= MOST_BYTES
    assert "audit.json" in html


def test_an_empty_document_is_a_page() -> None:
    read = Page(render_html(sample(checks=[], questions=[], context={}, notes=[], not_assessed=[])))
    assert any("Not stated by those who asked for it: intended use" in line for line in read.lines)


def test_an_unknown_edition_is_refused() -> None:
    with pytest.raises(ValueError, match="internal or public"):
        render_html(sample(), edition="secret")


def test_the_sample_is_a_document_that_can_be_read_back() -> None:
    text = sample().model_dump_json(by_alias=True)
    assert json.loads(text)["answered"]["pass"] == 2
    assert type(sample()).model_validate_json(text) == sample()
