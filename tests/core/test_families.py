"""What page one says of a family of checks."""

from pathlib import Path

from scene import set_scene

from reports.speaker import Speaker
from reports.view import families
from reports.words import LOOKS


def test_a_family_with_an_open_question_does_not_pass(tmp_path: Path) -> None:
    """Nobody declared which decision is favourable: that no sensitive column is an input says nothing of who gets it."""
    document = set_scene(
        tmp_path, pred=[1, 0, 0, 1] * 150, y=[1, 0, 1, 0] * 150, groups={"sex": ["f", "m"] * 300}, favourable=[], features={"a": range(600)}
    ).document()
    (cell,) = [c for c in families(document, Speaker("en")) if c.anchor == "family-fairness"]
    judged = {c.verdict for c in document.checks if c.info.id.startswith("fairness.")}
    assert judged == {"pass", "not_judged"}
    assert cell.look == LOOKS["inconclusive"]
    assert str(cell.open[0]) == "Do groups get the favourable decision about equally often?"
