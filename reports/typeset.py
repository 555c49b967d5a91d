"""Pages set by Typst: a template and its data give a tagged PDF (it declares PDF/UA-1), the same bytes for the same data.

The data reach a template as JSON, so a text in them is a text, whatever markup it holds. Only the fonts of Python packages are used: a page looks the
same on every machine, and a character that none of them can draw is spelt out.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from audit.errors import AuditError
from reports.said import Said
from reports.speaker import Speaker
from reports.words import COLOURS, Look

TEMPLATES = Path(__file__).parent / "templates"
PAPERS = {"a4": "a4", "letter": "us-letter"}
FAMILIES = ("Noto Sans SC", "DejaVu Sans Mono")  # the second, which comes with Typst, for signs that the first lacks
LONGEST = 22  # characters without a place to break, after which one is made
UNBROKEN = re.compile(rf"[!-~\u00a1-\u1fff]{{{LONGEST},}}")
BREAK = "\u200b"
SPELT = re.compile(r"\[U\+[0-9A-F]{4,6}\]")  # a character that no font of a page draws


@cache
def fonts() -> Any:
    """The fonts that pages may use: those of the package and those that come with Typst, never the machine's."""
    try:
        import pylopdf_fonts_zh_cn as package
        import typst
    except ImportError as error:
        raise AuditError(f"PDF needs the package {error.name}", "pip install 'witnessmark[pdf]'") from None
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(package.sans_path().parent)])


#: Where the second font helps out: accented Latin, Greek, Cyrillic, Arabic, raised and lowered digits, arrows; and the signs of verdicts.
HELPED = (
    (0xA1, 0x17F), (0x386, 0x3CE), (0x400, 0x45F), (0x490, 0x491), (0x621, 0x63A), (0x640, 0x64A), (0x660, 0x669), (0x1E00, 0x1E99), (0x1EA0, 0x1EF9),
    (0x2070, 0x209C), (0x20A0, 0x20B5), (0x2190, 0x21FF),
)  # fmt: skip


def helped() -> set[int]:
    """Code points that the second font draws."""
    return {c for low, high in HELPED for c in range(low, high + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cf", "Mn")} | set(
        map(ord, "✕✓⊘")
    )


@cache
def drawable() -> frozenset[int]:
    """Code points that the fonts of a page can draw."""
    import pylopdf_fonts_zh_cn as package
    from fontTools.ttLib import TTFont

    with TTFont(package.sans_path(), lazy=True) as font:
        return frozenset(font.getBestCmap()) | helped() | set(map(ord, "\u200b\n\t"))


def inked(text: str) -> str:
    """The text with what no font can draw spelt out, and with places to break where a line could not be."""
    known, text = drawable(), text.replace("\u2009", "")  # Typst parts Chinese and Latin itself
    shown = text if known.issuperset(map(ord, text)) else "".join(c if ord(c) in known else f"[U+{ord(c):04X}]" for c in text)
    return UNBROKEN.sub(lambda m: BREAK.join(m[0][i : i + LONGEST // 2] for i in range(0, len(m[0]), LONGEST // 2)), shown)


def plain(value: Any, say: Speaker) -> Any:
    """What a page shows, as JSON: each text made drawable, each verdict a word, a sign and a class."""
    if isinstance(value, (Said, str)):
        return inked(str(value))
    if isinstance(value, Look):
        return {"word": say.t(value.word), "sign": value.sign, "css": value.css}
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name), say) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: plain(v, say) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, say) for v in value]
    return value


def words(template: str, say: Speaker) -> dict[str, str]:
    """The texts of our own that a template and what it imports ask for, in the language of the page."""
    source = "".join(p.read_text("utf-8") for p in sorted(TEMPLATES.glob("*.typ")))
    return {text: say.t(text) for text in re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', source)}


def typeset(template: str, data: Mapping[str, Any], say: Speaker, *, title: str, date: str, paper: str, keywords: list[str]) -> bytes:
    """The PDF of `templates/TEMPLATE` and these data, dated `date` (ISO); a font that is missing is an error."""
    import typst

    written = datetime.fromisoformat(date).replace(tzinfo=UTC)
    whole = {
        "page": data,
        "title": inked(title),
        "date": [written.year, written.month, written.day, written.hour, written.minute, written.second],
        "lang": say.lang,
        "paper": PAPERS[paper],
        "keywords": keywords,
        "families": FAMILIES,
        "words": words(template, say),
        "spelt": bool(SPELT.search(json.dumps(data, ensure_ascii=False))),
        "colours": {name: light for name, (light, _) in COLOURS.items()},
    }
    pdf, warnings = typst.compile_with_warnings(
        str(TEMPLATES / template),
        root=str(TEMPLATES),
        font_paths=fonts(),
        ignore_system_fonts=True,
        format="pdf",
        sys_inputs={"data": json.dumps(whole, ensure_ascii=False)},
        pdf_standards=["ua-1"],
        timestamp=written,
    )
    if warnings:
        raise AuditError(f"the page cannot be set as it should: {warnings[0].message}", "pip install --force-reinstall 'witnessmark[pdf]'")
    return bytes(pdf)


def page_count(pdf: bytes) -> int:
    """How many pages a PDF has."""
    import io

    from pypdf import PdfReader

    return len(PdfReader(io.BytesIO(pdf)).pages)
