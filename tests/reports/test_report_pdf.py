"""The printed report: what a reader of PDF gets back, tags, fonts, bookmarks, the same bytes, and what hostile names cannot do to it."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pieces import IMG, OVERRIDE
from pypdf import PdfReader
from sample import sample

from audit.errors import AuditError
from audit.result import DataInfo
from reports import typeset
from reports.pdf import draw
from reports.speaker import Speaker
from reports.typeset import inked
from reports.words import LOOKS

FOOT = 50  # points from the lower edge, below which stands the running foot
LEAST_BELOW = 20  # points between the top of a heading and the lowest text of its page, were there but one line under it


@pytest.fixture(scope="module", params=["en", "zh"])
def printed(request: pytest.FixtureRequest) -> tuple[str, bytes, PdfReader]:
    data = draw(sample(), request.param, "internal")
    return request.param, data, PdfReader(io.BytesIO(data))


def read(pdf: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in pdf.pages).split())


def outline(entries: Any) -> list[str]:
    return [title for e in entries for title in (outline(e) if isinstance(e, list) else [e.title])]


def test_it_is_tagged_and_declares_its_standard(printed: tuple[str, bytes, PdfReader]) -> None:
    lang, _, pdf = printed
    root: Any = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"].startswith(lang)
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_object().get_data()
    kinds, waiting = set(), [root["/StructTreeRoot"]]
    while waiting:
        at: Any = waiting.pop().get_object()
        children = at if isinstance(at, list) else [at["/K"]] if "/K" in at and not isinstance(at["/K"], list) else at.get("/K", [])
        if "/S" in at:
            kinds.add(at["/S"])
            assert at["/S"] != "/Figure" or at["/Alt"]
        waiting += [c for c in children if not isinstance(c.get_object(), int)]
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure", "/L", "/P"} <= kinds


def test_title_date_and_bookmarks_are_the_documents(printed: tuple[str, bytes, PdfReader]) -> None:
    lang, _, pdf = printed
    say, document = Speaker(lang), sample()
    assert pdf.metadata is not None
    assert pdf.metadata.title == inked(say.t("Audit of {name}", name="credit"))
    assert pdf.metadata.creation_date_raw.startswith("D:20261121100112")
    titles = outline(pdf.outline)
    for heading in ("What decides it", "What this audit does not show", "How to reproduce it"):
        assert inked(say.t(heading)) in titles
    assert len(titles) > len(document.checks)


def test_fonts_are_embedded(printed: tuple[str, bytes, PdfReader]) -> None:
    _, _, pdf = printed
    for page in pdf.pages:
        for font in page["/Resources"]["/Font"].get_object().values():  # type: ignore[index]
            inner = font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
            assert any(f in inner for f in ("/FontFile2", "/FontFile3")), inner["/FontName"]


def test_it_says_what_the_page_says(printed: tuple[str, bytes, PdfReader]) -> None:
    lang, _, pdf = printed
    say, text, document = Speaker(lang), read(pdf), sample()
    close = "".join(text.split())
    for look in LOOKS.values():
        assert "".join(f"{look.sign}{inked(say.t(look.word))}".split()) in close
    for check in document.checks:
        assert "".join(inked(say.stored(check.info.title, None)).split()) in close
    assert "".join(IMG.split()) in close
    assert OVERRIDE not in text
    assert "[U+202E]" in close
    assert f"1 / {len(pdf.pages)}" in text


@pytest.mark.parametrize("printed", ["zh"], indirect=True)
def test_the_same_document_gives_the_same_bytes_in_another_process(printed: tuple[str, bytes, PdfReader]) -> None:
    lang, data, _ = printed
    code = (
        "import hashlib; from sample import sample; from reports.pdf import draw; "
        f"print(hashlib.sha256(draw(sample(), {lang!r}, 'internal')).hexdigest())"
    )
    root = Path(__file__).parent.parent.parent
    env = os.environ | {
        "PYTHONPATH": f"{root}{os.pathsep}{Path(__file__).parent}", "RAYON_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Shanghai"
    }  # fmt: skip
    other = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(data).hexdigest()


def test_what_no_font_draws_is_spelt_out_and_long_words_can_break() -> None:
    assert inked("a😀b") == "a[U+1F600]b"
    assert max(map(len, inked("x" * 10_000).split("\u200b"))) <= typeset.LONGEST
    assert inked("隐私 #let x = 1; $x^2$ \\input{a}") == "隐私 #let x = 1; $x^2$ \\input{a}"


@pytest.mark.parametrize(("use", "told"), [("שלום", True), ("plain", False)])
def test_a_page_that_spells_characters_out_says_so(use: str, told: bool) -> None:
    data = draw(sample(checks=[], questions=[], notes=[], waivers=[], context={"intended_use": use}, data=plain_data()), "en", "internal")
    text = read(PdfReader(io.BytesIO(data)))
    assert ("[U+05E9]" in text) is told
    assert ("is spelt out by its number" in text) is told


def plain_data() -> DataInfo:
    """The sample's data without hostile names."""
    return sample().data.model_copy(update={"columns": ["approve"], "excluded": {}})


def below(pdf: PdfReader) -> list[tuple[str, float]]:
    """Each bookmark with how far above the lowest text of its page it stands, in points; running feet are not text."""
    lowest: dict[int, float] = {}
    for number, page in enumerate(pdf.pages):
        heights: list[float] = []
        page.extract_text(
            visitor_text=lambda text, cm, tm, font, size, heights=heights: heights.append(tm[5] * cm[3] + cm[5]) if text.strip() else None
        )
        lowest[number] = min(h for h in heights if h > FOOT)

    def all_of(entries: Any) -> list[Any]:
        return [one for e in entries for one in (all_of(e) if isinstance(e, list) else [e])]

    return [(one.title, float(one.top) - lowest[pdf.get_destination_page_number(one)]) for one in all_of(pdf.outline)]


def test_no_heading_is_the_last_thing_on_a_page(printed: tuple[str, bytes, PdfReader]) -> None:
    """Under each heading stands a line more on its page."""
    stranded = [(title, room) for title, room in below(printed[2]) if room < LEAST_BELOW]
    assert stranded == []


def test_markup_in_data_is_text() -> None:
    hostile = '#panic("x") $x$ *b* _i_ `r` <a> @b \\n = h <script>alert(1)</script> \\input{/etc/passwd} {{ t }}'
    data = draw(sample(checks=[], questions=[], context={"intended_use": hostile}), "en", "internal")
    assert "".join(inked(hostile).replace("\u200b", "").split()) in "".join(read(PdfReader(io.BytesIO(data))).split())


def test_a_missing_font_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeset, "FAMILIES", ("No Such Sans", "Noto Sans SC", "DejaVu Sans Mono"))
    with pytest.raises(AuditError, match="no such sans"):
        draw(sample(checks=[], questions=[]), "en", "internal")


def test_a_missing_package_is_said_with_the_line_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    typeset.fonts.cache_clear()
    with pytest.raises(AuditError, match=r"PDF needs the package typst — pip install 'witnessmark\[pdf\]'"):
        draw(sample(), "en", "internal")


def test_letter_is_another_paper() -> None:
    data = draw(sample(checks=[], questions=[]), "en", "internal", "letter")
    box = PdfReader(io.BytesIO(data)).pages[0].mediabox
    assert (round(box.width), round(box.height)) == (612, 792)


def test_the_second_font_draws_what_is_left_to_it() -> None:
    text = "".join(chr(c) for c in sorted(typeset.helped()))
    say = Speaker("en")
    data = typeset.typeset(
        "paper.typ", {"band": ["", ""], "blocks": [{"kind": "note", "runs": text, "alert": False}]}, say, title="T", date="2026-11-21", paper="a4", keywords=[]
    )  # fmt: skip
    assert "ł" in read(PdfReader(io.BytesIO(data)))
