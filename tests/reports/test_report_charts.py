"""Charts: what they show, in words and in drawing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pieces import IMG, finding
from pieces import check as piece
from sample import sample

from audit.measurement import Curve, Estimate, Heatmap, Series
from audit.result import Finding
from reports.behind import behind
from reports.charts import BETTER, CHANGED, DARK, OKABE_ITO, PAPER, REFERENCE, WORSE, Dot, dark, forest, heatmap
from reports.curves import curve, histogram
from reports.figures import dumbbells, figures
from reports.palette import Palette
from reports.pictures import picture
from reports.speaker import Speaker, number
from reports.svg import ATTRIBUTES, TAGS, keep, svg
from reports.tables import blocks, rows_of


def charts(id_: str, lang: str = "en") -> list:  # type: ignore[type-arg]
    document = sample()
    index = next(i for i, c in enumerate(document.checks) if c.info.id == id_)
    return figures(document.checks[index], f"checks[{index}]", Palette(document), Speaker(lang))


def test_a_judged_set_comes_first_and_names_limit_and_source() -> None:
    first = charts("fairness.group")[0]
    assert "0.74" in first.title
    assert "0.80 to 1.25" in first.subtitle
    assert "29 CFR 1607.4(D), by analogy" in first.subtitle
    assert "90\u00a0% intervals by Miettinen–Nurminen" in first.subtitle
    assert "n 197" in first.alt


def test_the_same_group_has_the_same_colour_and_the_reference_is_grey() -> None:
    palette = Palette(sample())
    assert palette.of({"race": "black"}) == palette.named(["black"])[0]
    assert palette.of({"race": "white"}) == palette.named(["white"])[0] == "#6b7280"
    assert len({palette.of({"race": v}) for v in ("white", "black", "hispan", "other")}) == 4


def test_small_groups_are_hollow() -> None:
    spec = forest([Dot("a", 0.5, 0.1, 0.9, "n 3", "#0072B2", True), Dot("b", 0.5, 0.4, 0.6, "n 300", "#0072B2")], "percent", [], None)
    assert [row["fill"] for row in spec["data"]["values"]] == ["#ffffff", "#0072B2"]


def test_rows_with_one_label_stay_apart() -> None:
    spec = forest([Dot("x" * 300, 0.5, 0.4, 0.6, "n 9", "#000"), Dot("x" * 300, 0.2, 0.1, 0.3, "n 9", "#000")], "percent", [], None)
    assert len({row["label"] for row in spec["data"]["values"]}) == 2


def test_no_chart_of_ours_loads_anything_or_holds_an_expression_from_the_data() -> None:
    for check in sample().checks:
        for chart in charts(check.info.id):
            text = json.dumps(chart.spec)
            assert '"url"' not in text
            assert "http" not in text.replace("https://vega.github.io/schema", "")
            assert not [part for part in text.split('"labelExpr": "')[1:] if IMG in part.split('"')[0]]


def test_a_drawing_is_only_lines_and_text_with_its_words() -> None:
    import xml.etree.ElementTree as ET

    chart = charts("explanation.global", "zh")[0]
    root = ET.fromstring(svg(chart, 7))
    assert root.get("role") == "img"
    assert root.get("aria-label") == chart.alt
    assert {e.tag for e in root.iter()} <= TAGS
    assert {a for e in root.iter() for a in e.attrib} <= ATTRIBUTES | {"role", "aria-label", "class"}
    assert {e.get("class") for e in root.iter()} <= {None, "tick"}
    assert all(e.get("id", "c7-").startswith("c7-") for e in root.iter())
    assert IMG in [e.text for e in root.iter("text")]


def test_what_could_reach_out_is_taken_out_of_a_drawing() -> None:
    import xml.etree.ElementTree as ET

    root = ET.fromstring(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script><image href="http://a/"/><g style="a" fill="url(http://a/)"/></svg>'
    )
    keep(root, "c1-")
    assert ET.tostring(root, encoding="unicode") == "<svg><g /></svg>"


def test_a_dark_page_has_its_own_ink() -> None:
    spec = charts("fairness.group")[0].spec
    assert not [colour for colour in DARK if f'"{colour}"' in json.dumps(dark(spec))]


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of #RRGGBB."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colour", [*OKABE_ITO, WORSE, BETTER, CHANGED, REFERENCE])
def test_colours_stand_out_on_dark_paper(colour: str) -> None:
    assert (luminance(DARK.get(colour, colour)) + 0.05) / (luminance(DARK[PAPER]) + 0.05) >= 4.5


@pytest.mark.parametrize("id_", ["data.profile", "calibration.groups"])
def test_where_nothing_is_comparable_there_is_no_chart(id_: str) -> None:
    assert charts(id_) == []


def test_an_empty_histogram_is_drawn_without_dividing_by_zero() -> None:
    from audit.measurement import Histogram

    spec = histogram(Histogram(caption="", x_label="", edges=[0, 1], series={"a": [0]}), ["#000"], ["a"], "x")
    assert spec["vconcat"][0]["data"]["values"] == [{"from": 0, "to": 1, "share": 0}]


def test_lines_with_bands_are_named_in_a_legend() -> None:
    drawings = [svg(c, i) for i, c in enumerate(charts("fairness.group")) if "Separation by race" in c.title]
    assert drawings
    for drawing in drawings:
        assert {"white", "black", "hispan"} <= set(re.findall(r">([^<>]+)</text>", drawing))


def test_groups_side_by_side_are_at_most_six_and_the_chart_says_of_how_many() -> None:
    """A rate that is known of the seventh group alone is in no row of the chart: it has nothing to stand beside there."""
    group = next(c for c in sample().checks if c.info.id == "fairness.group")
    one = next(f for f in group.findings if f.compare == "value" and f.estimate)

    def rate(metric: str, group: str, value: float) -> Finding:
        assert one.estimate
        estimate = one.estimate.model_copy(update={"value": value, "low": value, "high": value, "n": 100})
        return one.model_copy(update={"metric": metric, "slice": {"race": group}, "parts": [], "estimate": estimate})

    names = [f"g{i}" for i in range(7)]
    found = [rate(m, g, i / 10) for m in ("selection_rate", "accuracy") for i, g in enumerate(names)] + [rate("recall", "g6", 0.5)]
    (chart,) = dumbbells(group.model_copy(update={"findings": found}), "checks[0]", Palette(sample()), Speaker("en"))
    assert "6 of 7 groups" in chart.subtitle
    assert "g6" not in chart.alt


def test_n_is_of_the_group_alone() -> None:
    """A comparison without counts takes its group's rows from the group's own value; what rests on two groups has none."""
    both = Estimate(value=0.1, low=0.0, high=0.2, level=0.95, method="delong", n=300)
    own = both.model_copy(update={"n": 100})
    a, b = {"g": "a"}, {"g": "b"}
    found = [
        finding("x.y", "roc_auc", own, a), finding("x.y", "roc_auc", both, a, compare="difference", against=b),
        finding("x.y", "mean_score", own, a), finding("x.y", "standardised_mean_difference", both, a, compare="difference", against=b),
        finding("x.y", "xauc", both, a), finding("x.y", "other", both, a, compare="difference", against=b),
    ]  # fmt: skip
    rows = rows_of(piece("x.y", "Title", "Summary", found))
    assert [rows.get(f.key) for f in found] == [
        (100, "findings[0].estimate.n"), (100, "findings[0].estimate.n"), (100, "findings[2].estimate.n"), (100, "findings[2].estimate.n"), None, None,
    ]  # fmt: skip


def test_a_value_of_two_columns_has_the_colour_of_its_own() -> None:
    own = Estimate(value=0.1, low=0.0, high=0.2, level=0.95, method="wilson", n=100)
    document = sample()
    document = document.model_copy(update={"data": document.data.model_copy(update={"reference": {"sex": "2", "race": "1"}})})
    one = piece("x.y", "Title", "Summary", [finding("x.y", "accuracy", own, {"sex": "1"}), finding("x.y", "accuracy", own, {"race": "2"})])
    palette = Palette(document.model_copy(update={"checks": [one]}))
    assert palette.within({"sex": "1"}).named(["2", "1"]) == [REFERENCE, OKABE_ITO[0]]
    assert palette.within({"race": "2"}).named(["1", "2"]) == [REFERENCE, OKABE_ITO[0]]


def test_a_map_is_shaded_by_its_greatest_and_written_in_its_own_unit() -> None:
    """Attributions by region of a picture: no share of a row, and no percentages."""
    shown = Heatmap(
        caption="Mean size of attributions by region of the picture", row_label="", column_label="", rows=["1", "2"], columns=["1", "2"],
        values=[[0.0, 1.06], [0.53, 0.2]], unit="logit",
    )  # fmt: skip
    chart = picture(shown, [], "checks[0]", Palette(sample()), Speaker("en"))
    assert chart is not None
    cells = chart.spec["data"]["values"]
    assert [cell["text"] for cell in cells] == ["0.0", "1.1", "0.5", "0.2"]
    assert [cell["share"] for cell in cells] == pytest.approx([0, 1, 0.5, 0.2 / 1.06])
    assert "unit: logit" in chart.subtitle
    assert "1.06" in chart.alt
    assert "%" not in chart.alt
    table = behind(shown, "checks[0]", Speaker("en"), 10)
    assert [said.text for said in table.rows[0]][1:] == ["0", "1.06"]
    zero = shown.model_copy(update={"values": [[0.0, 0.0], [0.0, 0.0]]})
    assert picture(zero, [], "checks[0]", Palette(sample()), Speaker("zh")) is not None


def rate_of(metric: str, value: float, slice_: dict[str, str], **fields: Any) -> Finding:
    return finding(
        "language.memorisation", metric, Estimate(value=value, low=0.0, high=1.0, level=0.95, method="wilson", n=99), slice_, **fields
    )


def test_sources_of_texts_and_classes_are_no_groups_side_by_side() -> None:
    sides = [{"(rows)": "(trained)"}, {"(rows)": "(fresh)"}]
    told = [rate_of(m, v, s) for m in ("recited_rate", "foretold_words") for v, s in zip((0.2, 0.1), sides, strict=True)]
    assert not dumbbells(piece("language.memorisation", "Recited", "…", told), "checks[0]", Palette(sample()), Speaker("en"))
    people = [rate_of(m, v, {"sex": s}) for m in ("recited_rate", "foretold_words") for v, s in ((0.2, "women"), (0.1, "men"))]
    assert dumbbells(piece("language.memorisation", "Recited", "…", people), "checks[0]", Palette(sample()), Speaker("en"))


def test_findings_of_several_classes_share_a_block_that_names_only_the_reference() -> None:
    found = [
        rate_of("kolmogorov_smirnov_distance", 0.1, {"(rows)": "(these)", "(class)": c}, compare="difference", against={"(rows)": "(training)", "(class)": c})
        for c in "012"
    ]  # fmt: skip
    (block,) = blocks(piece("robustness.shift", "Shift", "…", found), "checks[0]", Speaker("en"), 10)
    assert block.title.endswith("difference against training rows")
    assert block.compared
    assert [str(row.who) for row in block.rows] == [f"audited rows, class {c}" for c in "012"]


def test_errors_over_the_share_decided_have_no_diagonal_and_fill_the_picture() -> None:
    series = [Series(name="all rows", x=[0.5, 1.0], y=[0.0, 0.03])]
    shown = {
        n: curve(
            Curve(name=n, caption="c", x_label="x", y_label="y", x_kind="percent", y_kind="percent", series=series), ["#000"], ("", "")
        )
        for n in ("risk", "roc")
    }
    assert len(shown["risk"]["layer"]) + 1 == len(shown["roc"]["layer"])
    assert shown["risk"]["layer"][0]["encoding"]["y"]["scale"] == {"domainMin": 0}


def test_sizes_are_written_in_the_unit_of_a_thousand() -> None:
    told = {1_881_781: "1.88 MB", 682_192_896: "682 MB", 950: "950 B", 208_000: "208 kB", 3_000_000_000: "3 GB"}
    assert {n: number(n, "bytes").replace("\u00a0", " ") for n in told} == told


def test_what_an_accountant_counts_and_a_lower_bound_have_no_interval_around_them() -> None:
    told = [
        finding("privacy.claim", m, Estimate(value=v, low=v, high=v, level=0.99, method=w, n=9))
        for m, v, w in (("accounted_epsilon", 2.98, "pld"), ("gaussian_epsilon_lower_bound", 0.5, "one_run_gaussian"))
    ]
    (block,) = blocks(piece("privacy.claim", "Claim", "…", told), "checks[0]", Speaker("en"), 10)
    assert [(str(row.estimate), str(row.low), str(row.high)) for row in block.rows] == [("2.98", "", ""), ("0.500", "", "")]
    assert [str(row.note)[:2] for row in block.rows] == ["pr", "99"]


def test_a_map_of_both_signs_says_them_by_sign_and_hue_and_is_read_on_a_dark_page() -> None:
    """What is 0 at the shown decimals has no sign; shades are shares of the greatest size, whichever its sign."""
    cells = Heatmap(
        caption="",
        row_label="",
        column_label="",
        rows=["1"],
        columns=["1", "2", "3", "4"],
        unit="logit",
        values=[[0.8, -0.8, 0.0004, -0.0004]],
    )
    drawn = heatmap(cells, ("", ""))["data"]["values"]
    assert [c["text"] for c in drawn] == ["+0.80", "−0.80", "0.00", "0.00"]
    assert [c["share"] for c in drawn] == [1.0, 1.0, 0.0005, 0.0005]
    assert drawn[0]["fill"] != drawn[1]["fill"]
    assert drawn[2]["fill"] == drawn[3]["fill"]
    night = dark(heatmap(cells, ("", "")))["data"]["values"]
    assert [c["ink"] for c in night] == [c["ink"] for c in drawn], "the cells keep their shades, and so their ink"
    alone = cells.model_copy(update={"values": [[0.8, 0.2, 0.0, 0.1]]})
    assert [c["text"] for c in heatmap(alone, ("", ""))["data"]["values"]] == ["0.80", "0.20", "0.00", "0.10"]
