"""Markdown: whatever the text, a reader of CommonMark sees it as it is; the report holds what the page holds."""

from __future__ import annotations

import re

import pytest
from hostile_names import NAMES, hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token
from sample import sample

from reports.formats import FORMATS
from reports.markdown import CAPS, within
from reports.marked import BREAKS, Page, text
from reports.metrics import kind_of
from reports.speaker import clean, interval, number

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKUP = {"html_block", "html_inline", "link_open", "image", "code_inline", "em_open", "strong_open", "hr"}
AWKWARD = st.text(alphabet=st.sampled_from("\\`*_{}[]()<>#+-.!|~&$:=@\"'/;,?%^ \nab1W你é"), max_size=24)


def seen(plain: str) -> str:
    """What a reader is to see: one line, without spaces at its ends."""
    return escapeHtml(BREAKS.sub(" ", plain).strip(" "))


def tokens(markdown: str) -> list[Token]:
    parsed = READER.parse(markdown)
    return [*parsed, *(child for t in parsed for child in t.children or [])]


@given(AWKWARD)
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_as_it_is(plain: str) -> None:
    told = seen(plain)
    page = Page()
    page.heading(2, plain)
    page.paragraph(plain)
    page.items([plain])
    page.struck(plain)
    page.table(["head", plain], [[plain, "x"]], [False, True])
    html = READER.render(str(page))
    if told:
        assert f"<h2>{told}</h2>" in html
        assert f"<p>{told}</p>" in html
        assert f"<li>{told}</li>" in html
        assert f"<p><s>{told}</s></p>" in html
    assert f"<td>{told}</td>" in html
    assert f'<th style="text-align:right">{told}</th>' in html


@pytest.mark.parametrize(
    ("plain", "written"),
    [("0.84", "0.84"), ("−5 to +3", "−5 to +3"), ("credit_history", "credit_history"), ("_thin_", "\\_thin\\_"), ("1. x", "1\\. x"), ("- x", "\\- x"), ("a|b", "a\\|b")],
)  # fmt: skip
def test_ordinary_text_stays_legible(plain: str, written: str) -> None:
    assert text(plain) == written


def test_code_is_fenced_by_more_than_it_holds() -> None:
    page = Page()
    page.code("a\n````\nb")
    fence = next(t for t in READER.parse(str(page)) if t.type == "fence")
    assert fence.content == "a\n````\nb\n"


@pytest.mark.parametrize(
    ("format_", "name"),
    [
        *(("datasheet", name) for name in NAMES),
        *(("model-card", name) for name in NAMES[::2]),
        *(("markdown", name) for name in NAMES[::4]),
    ],
)
def test_no_name_becomes_markup(format_: str, name: str) -> None:
    """No page of ours holds emphasis, links, pictures or HTML at all: what would be one came from a name."""
    body = FORMATS[format_].render(hostile(name), "en", "internal").decode()
    if format_ == "model-card":
        body = body.split("\n---\n", 1)[1]
    found = tokens(body)
    assert not {t.type for t in found} & MARKUP
    crossed = sum(bool(c.rejected) for c in sample().checks) if format_ == "markdown" else 0
    assert sum(t.type == "s_open" for t in found) == crossed  # what a rejected check found
    assert [t.tag for t in found if t.type == "heading_open"].count("h1") == 1
    widths = {len(row) for row in re.findall(r"<tr>(.*?)</tr>", READER.render(body), re.DOTALL)}
    assert widths
    first = escapeHtml(BREAKS.sub(" ", clean(name, 60)).strip(" "))[:20]
    assert first in READER.render(body)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_holds_what_the_page_holds(lang: str) -> None:
    """Every check, every finding's value, the digests, and names as text."""
    document = sample()
    body = READER.render(FORMATS["markdown"].render(document, lang, "internal").decode())
    for f in (f for c in document.checks for f in c.findings if f.estimate is not None):
        e, kind = f.estimate, kind_of(f.metric, f.compare)
        written = number(e.value, kind) if e.method == "exact" else interval(e.value, e.low, e.high, kind)["value"]
        assert escapeHtml(written) in body
    assert body.count("<h3>") >= len(document.checks)
    assert document.digest in body
    assert document.data.sha256 in body
    assert escapeHtml("<img src=x onerror=1>") in body


def test_a_long_document_is_cut_and_says_so() -> None:
    assert within(["x" * 20, "x" * 9], 10) == b"x" * 9
    with pytest.raises(ValueError, match="exceeds"):
        within(["x" * 20], 10)
    document = sample()
    check = next(c for c in document.checks if c.info.id == "fairness.group")
    many = [f.model_copy(update={"key": str(i)}) for i, f in enumerate(check.findings * 40)]
    checks = [check.model_copy(update={"findings": many}) if c is check else c for c in document.checks]
    body = FORMATS["markdown"].render(document.model_copy(update={"checks": checks}), "en", "internal").decode()
    assert f"{len(many) - CAPS[0].findings:,} more findings are in audit.json." in body
