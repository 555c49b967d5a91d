"""Columns that others may know of a person (quasi-identifiers), and columns that look as if they named one directly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from audit.dataset import literal

if TYPE_CHECKING:
    from audit.dataset import Dataset

#: Rows at the head of the data whose texts are looked at.
LOOKED_AT = 100_000
#: Share of the values that must look alike, and share of the rows that must have a value of their own.
ALIKE, OWN = 0.8, 0.95
#: Fewer rows than this tell nothing about a column's values.
FEWEST = 20
#: Parts of a column's name that speak of what a neighbour may know.
KNOWN_OF_PEOPLE = {
    "age", "sex", "gender", "race", "ethnicity", "ethnic", "nationality", "citizenship", "zip", "zipcode", "postcode", "postal", "birth", "birthdate", "birthday", "dob", "born",
    "marital", "married", "education", "degree", "occupation", "job", "profession", "religion", "language", "county", "city", "town", "region", "state", "country", "native", "residence",
}  # fmt: skip
#: The most quasi-identifiers that are taken without being named.
MOST = 8
#: Parts of a name that speak of one person.
DIRECT = {
    "name", "firstname", "lastname", "surname", "fullname", "email", "mail", "phone", "telephone", "mobile", "ssn", "passport", "address", "street", "iban", "username", "login",
}  # fmt: skip
#: Values that name somebody: what they look like.
PATTERNS = {
    "e-mail address": r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$",
    "telephone number": r"^\+[0-9][0-9 ()/.-]{6,}$|^\(?[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4}$",
    "social security number": r"^[0-9]{3}-[0-9]{2}-[0-9]{4}$",
    "national identity number": r"^[0-9]{17}[0-9Xx]$",
    "bank account (IBAN)": r"^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$",
    "network address": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$",
}


class Looks(NamedTuple):
    """A column that looks like a direct identifier, and by what."""

    column: str
    sign: str


def _words(name: str) -> set[str]:
    """The parts of a column's name, in lower case: `firstName`, `first_name` and `first-name` have the same."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)} | {re.sub(r"[^a-z]", "", name.lower())}


def quasi_identifiers(columns: list[str], sensitive: list[str], target: str | None) -> list[str]:
    """Sensitive columns, and those whose names speak of what others may know of a person; at most `MOST`, in the order of the data."""
    likely = [name for name in columns if name != target and (name in sensitive or _words(name) & KNOWN_OF_PEOPLE)]
    first = [name for name in likely if name in sensitive]
    return [name for name in likely if name in (first + [n for n in likely if n not in first])[:MOST]]


def direct(dataset: Dataset, names: list[str]) -> list[Looks]:
    """Of these columns, those that look like direct identifiers: by their values, by their name, or because (nearly) every row has its own."""
    rows = dataset.rows
    texts = [n for n in names if dataset.types[n] == "VARCHAR"]
    whole = [n for n in names if dataset.is_number(n) and dataset.is_whole(n)]
    found: dict[str, str] = {}
    if texts and rows >= FEWEST:
        asked = {
            f"{i}.{j}": f"count_if(regexp_matches({dataset.text(n)}, {literal(p)})) >= {ALIKE} * count({dataset.text(n)}) AND count({dataset.text(n)}) >= {FEWEST}"
            for i, n in enumerate(texts) for j, p in enumerate(PATTERNS.values())
        }  # fmt: skip
        answers = iter(dataset.ask(asked, first=LOOKED_AT, columns=texts)[0])
        for name in texts:
            signs = [sign for sign in PATTERNS if next(answers)]
            found |= {name: signs[0]} if signs else {}
    found |= {n: "its name" for n in texts if n not in found and _words(n) & DIRECT}
    if rows >= FEWEST and texts + whole:
        distinct = dataset.ask({f"d{i}": f"approx_count_distinct({dataset.text(n)})" for i, n in enumerate(texts + whole)})[0]
        found |= {n: "a value for every row" for n, d in zip(texts + whole, distinct, strict=True) if n not in found and d >= OWN * rows}
    return [Looks(name, found[name]) for name in names if name in found]
