"""Where the numbers of a text come from: the document at the text's path, or words of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from audit.result import AuditResult
from audit.text import FORMATS, catalogue
from reports.readback import close
from reports.speaker import MOST_PLACES, clean, number, three_digits

#: A word that holds a digit: a number, an interval's end, a date, a digest. Signs and brackets around it do not belong to it, a minus does.
WORD = re.compile(r"[−+]?[\w⁰¹²³⁴-⁹⁻]+(?:[.,:/%'-]?[\w⁰¹²³⁴-⁹⁻]+)*", re.ASCII)
SPELT = re.compile(r"\[U\+[0-9A-F]{4,6}\]")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.ASCII)
DATE = re.compile(r"\d{4}-\d\d-\d\dT")
BRACKETS = re.compile(r"(?<=[(（])[^()（）]+(?=[)）])")  # the term after the plain words
LETTERS = re.compile(r"[^\W\d_]")  # what is a number and nothing else would excuse that number anywhere
HOLE = re.compile(r"\{\w+(?::\w+)?\}")


def tokens(text: str) -> list[str]:
    """The words of a text that hold a digit, in order; code points that were spelt out are none."""
    return [w for w in WORD.findall(SPELT.sub(" ", text)) if any(c.isdigit() for c in w)]


def resolve(document: Any, path: str) -> Any:
    """What stands at a path such as `checks[3].findings[0].estimate.value`; a LookupError where nothing does."""
    at, rest = document, path
    while rest:
        if isinstance(at, list):
            found = re.match(r"\[(\d+)\]\.?", rest)
            if not found or int(found[1]) >= len(at):
                raise LookupError(path)
            at, rest = at[int(found[1])], rest[found.end() :]
        elif isinstance(at, dict):
            plain = re.match(r"[^.\[]+", rest)
            if plain and plain[0] in at:
                at, rest = at[plain[0]], rest[plain.end() :].removeprefix(".")
                continue
            keys = [k for k in at if rest.startswith(clean(k, 80)) and rest[len(clean(k, 80)) :][:1] in ("", ".", "[")]
            if not keys:
                raise LookupError(path)
            key = max(keys, key=len)
            at, rest = at[key], rest[len(clean(key, 80)) :].removeprefix(".")
        else:
            raise LookupError(path)
    return at


def leaves(value: Any) -> Iterator[Any]:
    """All numbers and texts at and below a place; the names of its fields are texts too, since a slice names columns."""
    if isinstance(value, dict):
        yield from value
        for v in value.values():
            yield from leaves(v)
    elif isinstance(value, list):
        for v in value:
            yield from leaves(v)
    elif value is not None:
        yield value


def within(value: Any) -> Iterator[dict[str, Any]]:
    """All records at and below a place."""
    if isinstance(value, dict):
        yield value
    for v in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from within(v)


def worked_out(record: dict[str, Any]) -> Iterator[float | str]:
    """What a page works out of a record: the rows of each line of a histogram, the beginning of the digest of a check that was tried."""
    if "tried" in record and "digest" in record:
        yield str(record["digest"])[:8]
    if record.get("kind") == "histogram":
        yield from (sum(counts) for counts in record["series"].values())


@lru_cache(maxsize=1 << 16)
def written(value: float) -> frozenset[str]:
    """All ways in which our pages may write a number."""
    ways = [way for kind in FORMATS for way in (number(value, kind), three_digits(number(value, kind)))] + [
        str(value),
        *(f"{value:.{d}f}" for d in range(6)),
    ]
    ways += [f"{sign}{abs(value):,.{d}f}" for d in range(MOST_PLACES + 1) for sign in (("−",) if value < 0 else ("", "+"))]
    return frozenset(t for way in ways for t in tokens(way))


def quoted_words(text: str) -> set[str]:
    """The words of a stored text that hold digits, with the ends of its intervals as a chart shortens them."""
    found = set(tokens(clean(text, 10**6))) | ({text[:10]} if DATE.match(text) else set())
    return found | {t for n in NUMBER.findall(text) for t in (*tokens(f"{float(n):.4g}"), *tokens(n))} if "[" in text else found


#: Why a number may stand on a page.
CLASSES = {
    "number": "numbers of the document at their place",
    "text": "in texts and names of the document, at their place",
    "counted": "groups or findings that a chart counts",
    "law": "in the law's texts: its sections, dates and words; how many of its controls stand where",
    "own words": "in our own words: names of methods and metrics, citations of laws, explanations",
    "tick": "ticks of axes",
    "left out": "what a page leaves out: how much stays in audit.json, how few rows are too few for a chart",
    "page": "page numbers and running heads",
}


@cache
def own_words() -> tuple[tuple[str, frozenset[str]], ...]:
    """Pieces of our own texts that hold digits, in every language, longest first, each with its words."""
    texts = {t for pair in catalogue("zh").items() for t in pair}
    pieces = {p for text in texts for p in (*HOLE.split(text), *BRACKETS.findall(text))}
    return tuple((close(p).casefold(), frozenset(tokens(p))) for p in sorted(pieces) if tokens(p) and LETTERS.search(p))


@cache
def left_out() -> tuple[re.Pattern[str], ...]:
    """How a page says in each language what it leaves out: rows and findings that are many, rates of groups that are small."""
    told = [
        t
        for t in catalogue("zh")
        if (t.startswith("{n:count} more ") and ("{file}" in t or "are not drawn here" in t or "full report" in t))
        or t.startswith("without rates from fewer")
    ]
    said = [t for english in told for t in (english, catalogue("zh")[english])]
    return tuple(
        re.compile("[\\w.,-]+?".join(re.escape(close(part).casefold()) for part in HOLE.split(text)), re.IGNORECASE) for text in said
    )


class Places:
    """The document by path: which words with digits a text at these paths may hold, and why.

    `beside` are records that stand beside the document, by the first word of their paths; `laws` are the texts of a law, each by its whole path.
    """

    def __init__(self, document: AuditResult | None, beside: dict[str, Any] | None = None, laws: dict[str, Any] | None = None) -> None:
        self.document = (document.model_dump(mode="json", by_alias=True) if document else {}) | (beside or {})
        self.laws = laws or {}
        self.known: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        #: What a page works out, each from the place where it says so.
        self.derived: dict[str, list[Any]] = self._worked_out(document) if document else {}

    @staticmethod
    def _worked_out(document: AuditResult) -> dict[str, list[Any]]:
        past, whole = document.history, document.plan.get("judge", {}).get("alpha_fail")
        alpha = past.alpha_fail if past.alpha_fail is not None else whole
        return {
            "answered.decides": [] if alpha is None else [alpha, alpha / max(1, document.answered.decides)],
            "answered": [document.answered.passed + document.answered.fail],
            "history.models_on_this_data": [past.alpha_fail, past.level_pass, 2 * past.level_pass - 1]
            if past.level_pass is not None and past.alpha_fail is not None
            else [],
        }

    def at(self, path: str) -> tuple[frozenset[str], frozenset[str]]:
        """Words that write a number standing at or below a path, and words that stand there in texts."""
        if path not in self.known:
            self.known[path] = self._at(path)
        return self.known[path]

    def _at(self, path: str) -> tuple[frozenset[str], frozenset[str]]:
        path = path.removesuffix(".sentence")  # a finding said in words
        here = self.laws[path] if path in self.laws else resolve(self.document, path)
        if isinstance(here, dict) and "estimate" in here:  # a finding's own numbers; its evidence has places of its own
            here = {k: v for k, v in here.items() if k != "evidence"}
        values: list[Any] = [
            *leaves(here),
            *self._told(path),
            *(v for part in within(here) for v in worked_out(part)),
            *self.derived.get(path, []),
        ]
        numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        texts = [v for v in values if isinstance(v, str)]
        translated = [catalogue("zh").get(t, "") for t in texts]
        return (
            frozenset(t for n in numbers for t in written(n)),
            frozenset(t for text in (*texts, *translated) for t in quoted_words(text)),
        )

    def _told(self, path: str) -> list[Any]:
        """What the message beside a stored text holds: its template and its values."""
        head, _, last = path.rpartition(".")
        if path in self.laws:
            return []
        try:
            if listed := re.fullmatch(r"(.*?)(\w+)\[(\d+)\]", path):
                said = resolve(self.document, f"{listed[1]}{listed[2]}_msg")
                return list(leaves(said[int(listed[3])])) if isinstance(said, list) and int(listed[3]) < len(said) else []
            return list(leaves(resolve(self.document, f"{path if not head else head + '.' + last}_msg")))
        except LookupError:
            return []

    def groups(self, paths: list[str]) -> int:
        """How many groups the findings at these places are about."""
        found = [resolve(self.document, path) for path in paths]
        return len({repr(f["slice"]) for f in found if isinstance(f, dict) and "slice" in f})

    def why(self, token: str, text: str, paths: list[str]) -> str | None:
        """Why a text at these paths may hold this word: one of `CLASSES`; None where nothing accounts for it."""
        found = [self.at(path) for path in paths]
        if paths and all(path in self.laws for path in paths):
            return "law" if any(token in known for pair in found for known in pair) else None
        if any(token in numbers for numbers, _ in found):
            return "number"
        if any(token in texts for _, texts in found) or any(token in tokens(path.removeprefix("plan.")) for path in paths):
            return "text"
        if "…" in text and any(t.startswith(token) for _, texts in found for t in texts):
            return "text"
        flat = close(text).casefold()
        if any(token in words and piece in flat for piece, words in own_words()):
            return "own words"
        if f"({token}) " in text and any(path.startswith("context") for path in paths):
            return "own words"  # several declared sentences are numbered
        if token in (str(len(paths)), str(self.groups(paths))):
            return "counted"
        return "left out" if any(way.search(flat) for way in left_out()) else None
