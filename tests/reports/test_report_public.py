"""The public edition: small cells, and what could be subtracted from their neighbours, are gone before anything is drawn."""

from __future__ import annotations

from pieces import check, finding, wilson
from sample import sample

from audit.measurement import Histogram, Part
from audit.result import AuditResult, CheckResult
from reports.disclose import public
from reports.html import render_html


def rates(cells: dict[str, tuple[int, int]]) -> CheckResult:
    rows = [
        finding(
            "performance.groups", "accuracy", wilson(k, n), {"g": v}, parts=[Part(slice={"g": v}, k=k, n=n)], sentence=f"{v}: {k} of {n}"
        )
        for v, (k, n) in cells.items()
    ]
    return check("performance.groups", "t", "the summary names 4 people", rows)


def withheld(document: AuditResult) -> set[str]:
    return {f.slice["g"] for c in document.checks for f in c.findings if f.estimate is None}


def shown(cells: dict[str, tuple[int, int]]) -> AuditResult:
    return public(sample(checks=[rates(cells)], questions=[]))


def test_a_small_group_goes_and_the_next_smallest_with_it() -> None:
    # published with the total, 412 and 377 would give the 4 by subtraction
    document = shown({"a": (300, 412), "b": (200, 377), "c": (2, 4)})
    assert withheld(document) == {"b", "c"}


def test_two_small_groups_protect_each_other() -> None:
    assert withheld(shown({"a": (300, 412), "b": (4, 8), "c": (2, 4)})) == {"b", "c"}


def test_a_rate_that_all_or_nobody_has_is_withheld_too() -> None:
    assert "a" in withheld(shown({"a": (412, 412), "b": (200, 377), "c": (50, 100)}))
    assert "a" in withheld(shown({"a": (2, 412), "b": (200, 377), "c": (50, 100)}))


def test_large_groups_stay() -> None:
    document = shown({"a": (300, 412), "b": (200, 377)})
    assert withheld(document) == set()
    assert document.checks[0].summary == "the summary names 4 people"


def test_nothing_of_a_withheld_group_is_left() -> None:
    document = shown({"a": (300, 412), "b": (200, 377), "c": (2, 4)})
    gone = [f for f in document.checks[0].findings if f.estimate is None]
    assert all(not f.parts and not f.evidence and f.sentence is None and f.test is None for f in gone)
    assert "4 people" not in document.checks[0].summary


def test_a_histogram_with_few_people_in_a_bin_is_not_drawn() -> None:
    bars = Histogram(caption="h", x_label="x", edges=[0, 1, 2], series={"a": [100, 2]})
    document = sample(
        checks=[check("data.profile", "t", "s", [finding("data.profile", "accuracy", wilson(50, 100), evidence=[bars])])], questions=[]
    )
    assert public(document).checks[0].findings[0].evidence == []


def test_the_page_says_which_edition_it_is() -> None:
    assert "Confidential" in render_html(sample())
    page = render_html(sample(), edition="public")
    assert "Public edition" in page
    assert "Confidential" not in page
    assert "3 people in 1 group" not in page


def test_positions_stay() -> None:
    assert [[f.key for f in c.findings] for c in public(sample()).checks] == [[f.key for f in c.findings] for c in sample().checks]


def test_what_is_withheld_is_listed_without_telling_which_are_small() -> None:
    found = rates({"a": (300, 412), "b": (200, 377), "c": (2, 4)})
    parts = [Part(slice={"g": "c"}, k=2, n=4), Part(slice={"g": "a"}, k=300, n=412)]
    against = finding(
        "performance.groups", "accuracy", wilson(2, 4), {"g": "c"}, compare="difference", against={"g": "a"}, parts=parts
    )  # withheld too, and says nothing of "a"
    document = public(sample(checks=[found.model_copy(update={"findings": [*found.findings, against]})], questions=[]))
    assert (
        "Withheld in the public edition, because they are few or would give few away: b (g), c (g). Figures withheld: 3." in document.notes
    )
    assert len(document.notes) == len(document.notes_msg)
    assert not any("Withheld" in note for note in shown({"a": (300, 412), "b": (200, 377)}).notes)
    many = shown({f"g{i:03}": (1, 5) for i in range(90)})
    assert "g059 (g), 30 more" in many.notes[-1]


def test_the_list_stands_in_the_page() -> None:
    page = render_html(sample(checks=[rates({"a": (300, 412), "b": (200, 377), "c": (2, 4)})], questions=[]), edition="public")
    assert "Figures withheld: 2" in page
