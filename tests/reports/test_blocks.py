"""Blocks of a paper: texts keep the places of their values, and no markup of theirs reaches a page."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfReader
from reading import Page

from reports.blocks import Block, Drawing, Heading, Items, Note, Paper, Paragraph, Table, plain, runs
from reports.paper import html, pdf
from reports.said import Said, figure
from reports.speaker import Speaker
from reports.words import LOOKS

HOSTILE = "<script>alert(1)</script>"


def paper(*blocks: Block, lang: str = "en") -> str:
    return html(Paper("T", lang, "2026-11-21", ("Witnessmark", "draft"), list(blocks)))


def test_values_of_a_text_keep_their_places() -> None:
    made = runs(Speaker("en"), "{n} rows of {name}", n=figure(1234, "count", "data.rows"), name="adult")
    assert made == (Said("1,234", "data.rows", numeric=True), Said(" rows of adult"))


def test_in_chinese_no_thin_space_stands_beside_chinese() -> None:
    made = runs(Speaker("zh"), "Model {name}", name=Said("信贷", "model.name"))
    assert "".join(run.text for run in made) == "模型信贷"
    assert [run.text for run in runs(Speaker("zh"), "Model {name}", name=Said("m", "model.name"))] == ["模型\u2009", "m"]


@pytest.mark.parametrize(
    "block",
    [
        Heading(2, Said(HOSTILE), HOSTILE), Paragraph(plain(HOSTILE), lead=Said(HOSTILE, HOSTILE)), Note(plain(HOSTILE), alert=True),
        Items((plain(HOSTILE),), ordered=True), Table(((plain(HOSTILE), plain(HOSTILE)),), (Said(HOSTILE), Said(HOSTILE)), (False, True), plain(HOSTILE)),
        Drawing("<svg></svg>", HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    ],
)  # fmt: skip
def test_markup_in_texts_stays_text(block: Block) -> None:
    page = paper(block)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_table_is_read_row_by_row() -> None:
    table = Table(
        ((plain("sex"), LOOKS["pass"], (figure(0.5, "percent", "a.b"),)),),
        (Said("What"), Said("State"), Said("Rate")),
        (False, False, True),
    )
    page = paper(table)
    assert "sex ✓ Passes 50 %" in Page(page).lines
    assert '<data class="n" data-path="a.b">50\u00a0%</data>' in page


def test_a_record_names_its_rows() -> None:
    assert '<th scope="row">Date</th><td>2026-11-21</td>' in paper(Table(((plain("Date"), plain("2026-11-21")),)))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_paper_for_print_holds_every_block(lang: str) -> None:
    blocks = [
        Heading(2, Said(HOSTILE)), Paragraph(plain("$x$ #panic()"), lead=Said("lead"), look=LOOKS["fail"]), Note(plain("alarm"), alert=True),
        Note(plain("small")), Items((plain("*one*"), plain("two")), ordered=True), Items((plain("three"),)),
        Table(((plain("sex"), LOOKS["pass"], (figure(0.5, "percent", "a.b"),)),), (Said("What"), Said("State"), Said("Rate")), (False, False, True), plain("cap")),
        Table(((plain("Date"), plain("2026-11-20")),)), Drawing('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "alt", "chart", "sub"),
    ]  # fmt: skip
    file = PdfReader(io.BytesIO(pdf(Paper("T", lang, "2026-11-21T08:00:00Z", ("Witnessmark", "draft"), blocks), "letter")))
    text = "".join("".join(page.extract_text() for page in file.pages).split())
    for told in (
        HOSTILE,
        "$x$#panic()",
        "lead",
        "alarm",
        "small",
        "1.*one*",
        "2.two",
        "three",
        "cap",
        "50%",
        "2026-11-20",
        "chart",
        "draft",
    ):
        assert told in text
    assert Speaker(lang).t(LOOKS["fail"].word) in text
    assert round(file.pages[0].mediabox.width) == 612
