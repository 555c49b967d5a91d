"""What stands in stored tables and curves and is ours, not the data's, so that it is translated."""

from __future__ import annotations

from reports.speaker import mark

#: Cells of stored tables that are ours and not the data's: (column, cell) → text.
CELLS = {
    **{
        ("rule", r): r
        for r in (
            mark("decision in force"),
            mark("cutoff that the costs imply"),
            mark("least cost on these rows"),
            mark("event predicted for nobody"),
            mark("event predicted for everybody"),
        )
    },
    ("row", "as the model says"): mark("as the model says"),
    ("row", "with one temperature"): mark("with one temperature"),
    **{
        ("brier_part", part): part
        for part in (
            mark("miscalibration (reliability)"),
            mark("less what telling cases apart saves (resolution)"),
            mark("Brier score of guessing the base rate (uncertainty)"),
            mark("within the bins"),
            mark("Brier score"),
            mark("share saved against guessing the base rate (skill)"),
        )
    },
    ("input", "yes"): mark("yes"),
    ("input", "no"): mark("no"),
    ("reading", "highest rate"): mark("highest rate"),
    ("reading", "nobody selected"): mark("nobody selected"),
    ("reading", "indicated by both"): mark("indicated by both"),
    ("reading", "one selection decides"): mark("one selection decides"),
    ("reading", "ratio only, small-number caution"): mark("ratio only, small-number caution"),
    ("reading", "statistical, check practical"): mark("statistical, check practical"),
    ("reading", "not indicated"): mark("not indicated"),
    ("factors", "none (raw)"): mark("none (raw)"),
    ("factors", "all of them together"): mark("all of them together"),
    ("note", "no data"): mark("no data"),
    ("note", "excluded from the ratios"): mark("excluded from the ratios"),
    ("note", "not excluded: 2 % of the data or more"): mark("not excluded: 2 % of the data or more"),
    ("note", "not excluded: no named person"): mark("not excluded: no named person"),
    **{
        ("type", t): mark("whole number")
        for t in ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint")
    },
    **{("type", t): mark("number") for t in ("float", "double")},
    **{
        ("relation", t): t
        for t in (
            mark("all inputs equal"),
            mark("all inputs and the outcome equal"),
            mark("equal after rounding and trimming"),
            mark("all inputs but one equal"),
        )
    },
    **{
        ("assumption", a): a
        for a in (
            mark("the record is whole and says one thing"),
            mark("noise is added to every step"),
            mark("as much noise was added as is stated"),
            mark("each row is drawn as often as in Poisson samples"),
            mark("each row is drawn by itself (Poisson sampling)"),
            mark("batches vary in size as Poisson samples do"),
            mark("the accountant gives an upper bound"),
            mark("no more steps were taken than were counted"),
            mark("the sampling rate is batch size over rows"),
            mark("the claim is about the rows that were logged as training rows"),
            mark("each row's gradient is clipped"),
            mark("delta is below one over the rows"),
            mark("what is protected is named"),
            mark("the noise cannot be drawn again"),
            mark("the noise is cryptographically secure"),
        )
    },
    **{
        ("sign", t): t
        for t in (
            mark("e-mail address"),
            mark("telephone number"),
            mark("social security number"),
            mark("national identity number"),
            mark("bank account (IBAN)"),
            mark("network address"),
            mark("its name"),
            mark("a value for every row"),
        )
    },
    **{("corruption", c): c for c in (mark("noise"), mark("blur"), mark("JPEG compression"), mark("weak contrast"))},
    **{
        ("edit", e): e
        for e in (
            mark("swapped letters"),
            mark("missing letters"),
            mark("mistyped letters"),
            mark("another case"),
            mark("other punctuation"),
            mark("a synonym"),
        )
    },
    **{("attack", a): a for a in (mark("by gradients"), mark("search by answers"))},
    ("attack", "PGD, further starts"): mark("PGD, further starts"),
    **{("rule_change", t): t for t in (mark("a larger value"), mark("a smaller value"), mark("another value"))},
    **{
        ("never", t): t
        for t in (
            mark("never turns a favourable decision into another"),
            mark("never brings the favourable decision"),
            mark("never changes the decision"),
            mark("never lowers the score"),
            mark("never raises the score"),
            mark("never moves the score"),
        )
    },
    **{
        ("tested", t): t
        for t in (
            mark("single inputs"),
            mark("answers of the model"),
            mark("all inputs together"),
            mark("small model that tells the sets apart"),
        )
    },
    **{
        ("attack", a): a
        for a in (
            mark("loss of the row"),
            mark("log odds above the mean of rows like it"),
            mark("log odds above the 99 % quantile of rows like it (QMIA)"),
            mark("probability against that of reference models (RMIA)"),
            mark("log odds against reference models that did not train on the row (LiRA)"),
            mark("log odds against reference models that did and that did not train on the row (LiRA)"),
        )
    },
    **{("sound", s): s for s in (mark("yes"), mark("no: not to be chosen"))},
    **{("state", s): s for s in (mark("kept"), mark("broken"), mark("not known"), mark("note"))},
    ("type", "boolean"): mark("true or false"),
    ("type", "varchar"): mark("text"),
    ("type", "date"): mark("date"),
    ("type", "timestamp"): mark("time"),
    **{("type", kind): kind for kind in (mark("text"), mark("image"), mark("sequence"), mark("audio"))},
}
#: Lines of stored curves that are ours and not groups: curve → name.
LINES = {
    "severity": {mark("everybody")}, "roc": {mark("model")}, "reliability": {mark("observed")}, "fit": {mark("mean outcome")},
    "risk": {mark("all rows")},
    "corruption": {mark("noise"), mark("blur"), mark("JPEG compression"), mark("weak contrast")},
    "benefit": {mark("the model"), mark("the event predicted for everybody"), mark("the event predicted for nobody")},
}  # fmt: skip
