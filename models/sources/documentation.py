"""English text that comes with Python itself: its reference of the language (pydoc_data.topics), or a text file that the user names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from models.errors import TrainingError
from models.settings import Count, DataSettings, Settings
from models.sources.table import path_of

if TYPE_CHECKING:
    import pandas as pd

#: What a character is called as a label, where it would not be seen.
NAMES = {" ": "space", "\n": "line break"}


class Options(Settings):
    """`data.options`: a row is `context` characters and the one that follows; so many rows after one another are one passage."""

    context: Count = 64
    rows_a_passage: Count = 8


def documents() -> list[list[str]]:
    """The paragraphs of each topic, in the order of the topics' names; several topics repeat what others say, and each paragraph stands once."""
    from pydoc_data.topics import topics

    said = set[str]()
    found = []
    for name in sorted(topics):
        parts = (part.strip("\n") for part in re.split(r"\n\s*\n", topics[name]))
        found.append(list(dict.fromkeys(part for part in parts if part.strip() and part not in said)))
        said.update(found[-1])
    return [document for document in found if document]


def sentences() -> list[list[str]]:
    """The sentences of each topic, in order, without line breaks; headings and grammar are sentences too."""
    return [[one for part in document for one in re.split(r"(?<=[.:;?!])\s+", " ".join(part.split()))] for document in documents()]


def read(settings: DataSettings) -> pd.DataFrame:
    """Columns `text` (so many characters), `next` (the one that follows) and `passage`; no character is in two rows' contexts."""
    import pandas as pd

    try:
        options = Options.model_validate(settings.options)
    except ValidationError as error:
        raise TrainingError(f"data.options: {error.errors()[0]['msg']}", "correct that value") from None
    text = "\n\n".join(part for document in documents() for part in document) if settings.file is None else _file(path_of(settings))
    size = options.context
    starts = range(0, len(text) - size, size)
    if len(starts) < 10:
        raise TrainingError(f"{len(text)} characters of text are too few", f"give at least {10 * (size + 1)}")
    return pd.DataFrame(
        {
            "text": [text[i : i + size] for i in starts],
            "next": [NAMES.get(text[i + size], text[i + size]) for i in starts],
            "passage": [k // options.rows_a_passage for k in range(len(starts))],
        }
    )


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"cannot read {path} as text: {type(error).__name__}", "give a text file in UTF-8") from error
