"""The words of our pages: verdicts, families, methods and reasons, in English; the catalogue has the other language.

`mark` names a text for the catalogue without translating it; `Speaker` translates.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from audit.measurement import Message
from audit.text import FORMATS, catalogue, level, message, render, who

TEXT_LIMIT = 2000
SPELT_OUT = ("Cc", "Cf", "Cs", "Co")  # control, format (direction, zero width), surrogate, private use


def mark(template: str) -> str:
    """The text itself: marks it for the test that looks for missing translations."""
    return template


@dataclass(frozen=True)
class Look:
    """How a verdict is shown: always a word and a sign, and a colour class beside them."""

    word: str
    sign: str
    css: str
    rank: int  # worst first


LOOKS = {
    "fail": Look(mark("Fails"), "✕", "fail", 0),
    "error": Look(mark("Could not run"), "!", "errored", 1),
    "errored": Look(mark("Could not run"), "!", "errored", 1),
    "inconclusive": Look(mark("Cannot tell yet"), "?", "inconclusive", 2),
    "size_open": Look(mark("Difference established, size open"), "?", "inconclusive", 2),
    "rejected": Look(mark("Evidence rejected"), "⊘", "rejected", 1),
    "pass": Look(mark("Passes"), "✓", "pass", 3),
    "not_judged": Look(mark("Reported"), "·", "reported", 4),
    "skipped": Look(mark("Not run"), "–", "skipped", 5),
}

# word → (light, dark); contrast with the page at least 4.5 : 1
COLOURS = {
    "fail": ("#B3261E", "#FF8A80"),
    "inconclusive": ("#8A5A00", "#FFC857"),
    "rejected": ("#8A5A00", "#FFC857"),
    "pass": ("#1B6E3C", "#7FD99B"),
    "reported": ("#4A5568", "#A0AEC0"),
    "skipped": ("#4A5568", "#A0AEC0"),
    "errored": ("#6B21A8", "#D6A6FF"),
}

FAMILIES = {
    "data": mark("Data"),
    "performance": mark("Performance"),
    "calibration": mark("Calibration"),
    "fairness": mark("Fairness"),
    "explanation": mark("Explanation"),
    "privacy": mark("Privacy"),
    "robustness": mark("Robustness"),
    "uncertainty": mark("Uncertainty"),
    "efficiency": mark("Efficiency"),
    "language": mark("Language"),
    "security": mark("Security"),
}

COMPARE = {"value": mark("value"), "difference": mark("difference"), "ratio": mark("ratio"), "odds_ratio": mark("odds ratio")}

METHODS = {
    "wilson": "Wilson",
    "miettinen_nurminen": "Miettinen–Nurminen",
    "miettinen_nurminen_odds": "Miettinen–Nurminen",
    "newcombe": "Newcombe",
    "delong": "DeLong",
    "mean_of_delong": mark("mean of DeLong intervals"),
    "delong_logit": mark("DeLong on the logit scale"),
    "influence_logit": mark("influence function on the logit scale"),
    "cornfield": "Cornfield",
    "clopper_pearson": "Clopper–Pearson",
    "katz": "Katz",
    "koopman": "Koopman",
    "exact": mark("exact count"),
    "bootstrap": mark("bootstrap"),
    "multinomial_bootstrap": mark("multinomial bootstrap"),
    "multinomial_bootstrap_half_added": mark("multinomial bootstrap, half a row added to each cell"),
    "debiased_basic_bootstrap": mark("debiased bootstrap"),
    "likelihood": mark("likelihood"),
    "logistic_wald": mark("Wald, logistic regression"),
    "normal": mark("normal approximation"),
    "normal_paired": mark("paired normal approximation"),
    "delta": mark("delta method"),
    "normal_log": mark("normal approximation on the log scale"),
    "sandwich_log": mark("sandwich variance on the log scale"),
    "sandwich_clusters": mark("sandwich variance over clusters"),
    "least_squares_robust": mark("least squares, robust variance"),
    "simulation": mark("simulation"),
    "worst_case": mark("the worst divisions, each with its sampling interval"),
    "possible_range": mark("range of what is possible, with its sampling error"),
    "price_bonett": "Price–Bonett",
    "order_statistics": mark("order statistics"),
    "score": mark("score test"),
    "permutation": mark("permutation test"),
    "fisher_exact": mark("Fisher's exact test"),
    "mantel_haenszel": "Mantel–Haenszel",
    "mantel_haenszel_sato": "Mantel–Haenszel, Sato",
    "jeffreys": "Jeffreys",
    "welch": "Welch",
    "welch_t": mark("Welch's t test"),
    "student_t": "Student",
    "newcombe_auc": "Newcombe (AUC)",
    "influence": mark("influence function"),
    "dkw": "Dvoretzky–Kiefer–Wolfowitz",
    "kolmogorov_smirnov": "Kolmogorov–Smirnov",
    "cluster_bootstrap": mark("cluster bootstrap"),
    "wilson_clusters": mark("Wilson, one row for each cluster"),
    "newcombe_clusters": mark("Newcombe, one row for each cluster"),
    "miettinen_nurminen_clusters": mark("Miettinen–Nurminen, one row for each cluster"),
    "miettinen_nurminen_odds_clusters": mark("Miettinen–Nurminen, one row for each cluster"),
    "rao_scott": mark("Rao–Scott score test over clusters"),
    "score_clusters": mark("score test, one row for each cluster"),
    "fisher_exact_clusters": mark("Fisher's exact test, one row for each cluster"),
    "delong_clusters": mark("DeLong over clusters (Obuchowski)"),
    "delong_logit_clusters": mark("DeLong over clusters (Obuchowski)"),
    "newcombe_auc_clusters": mark("Newcombe (AUC), one row for each cluster"),
    "influence_logit_clusters": mark("influence function over clusters"),
    "wilson_weighted": mark("Wilson, rows of equal weight"),
    "newcombe_weighted": mark("Newcombe, rows of equal weight"),
    "miettinen_nurminen_weighted": mark("Miettinen–Nurminen, rows of equal weight"),
    "miettinen_nurminen_odds_weighted": mark("Miettinen–Nurminen, rows of equal weight"),
    "score_weighted": mark("score test, rows of equal weight"),
    "fisher_exact_weighted": mark("Fisher's exact test, rows of equal weight"),
    "delong_weighted": mark("DeLong, weighted"),
    "delong_logit_weighted": mark("DeLong, weighted"),
    "newcombe_auc_weighted": mark("Newcombe (AUC), rows of equal weight"),
    "influence_logit_weighted": mark("influence function, weighted"),
    "linearised": mark("linearised (Taylor)"),
    "tango": "Tango",
    "newcombe_paired": mark("Newcombe, paired"),
    "delong_folds": mark("DeLong over cross-validation folds"),
    "delta_folds": mark("delta method over cross-validation folds"),
    "delong_paired": mark("DeLong, paired"),
    "ranked_alike": mark(
        "the same ranking of these rows; what others could show is at most z²/(m + z²), m being the rows of the smaller class"
    ),
    "student_paired": mark("Student, paired"),
    "identical": mark("the same on every row"),
    "mover": mark("combined limits (MOVER)"),
    "tango_mover": mark("Tango, combined limits (MOVER)"),
    "newcombe_mover": mark("Newcombe, combined limits (MOVER)"),
    "tango_growth": mark("Tango, combined limits (MOVER)"),
    "newcombe_growth": mark("Newcombe, combined limits (MOVER)"),
    "mcnemar": "McNemar",
    "mcnemar_exact": mark("McNemar, exact"),
    "interval": mark("read off the interval"),
    "detectable": mark("formula over the interval of the common rate"),
    "noncentral_chi_square": mark("noncentral χ²"),
    "q_profile": mark("Q profile"),
    "weighted_least_squares": mark("weighted least squares"),
    "cochran_q": mark("Cochran's Q"),
    "chi_square": mark("χ² test"),
    "multinomial_draws": mark("draws from the declared shares"),
    "beta_binomial": mark("beta-binomial law"),
    "simulated_null": mark("quantiles of what chance makes"),
    "assumed_power": mark("an assumed range of power, not measured"),
    "binomial": mark("exact binomial test"),
    "pld": mark("privacy loss distribution, rounded against the claim"),
    "renyi": mark("Rényi divergences"),
    "gaussian_composition": mark("composed Gaussian mechanisms"),
    "central_limit": mark("central-limit approximation"),
    "one_run": mark("one-run bound from canaries"),
    "one_run_gaussian": mark("one-run bound for a Gaussian trade-off"),
    "order_statistics_clopper_pearson": mark("order statistics and Clopper–Pearson"),
}

REASONS = {
    "borderline": mark("the interval crosses the limit: these rows cannot tell"),
    "too_few_rows": mark("too few rows: these rows cannot tell"),
    "suppressed": mark("withheld: the group is too small to be printed"),
    "difference_established_size_open": mark("a difference is established; whether it exceeds the limit is open"),
    "too_few_clusters": mark("too few clusters of rows that belong together"),
    "evidence_rejected": mark("the explanation that it rests on fails its gates (evidence rejected)"),
    "rows_belong_together": mark("the interval assumes independent rows, and an identifier repeats"),
}

RULES = {
    "screen": mark("fails where the estimate is beyond the limit and a difference is established"),
    "margin": mark("fails where the whole interval is beyond the limit"),
}
ROLES = {"decides": mark("decides"), "warns": mark("warns"), "reports": mark("reported only")}
BASES = {"law": mark("law"), "standard": mark("standard"), "policy": mark("policy")}
SEVERITIES = {"critical": mark("critical"), "major": mark("major"), "minor": mark("minor")}
LABEL_SOURCES = {
    "outcome": mark("an observed outcome"),
    "human_decision": mark("a human decision"),
    "proxy": mark("a proxy"),
    "selective": mark("seen only for some decisions"),
    "undeclared": mark("not stated"),
}

CONTEXT = {
    "intended_use": mark("intended use"),
    "people": mark("people affected"),
    "owner": mark("owner"),
    "auditor": mark("auditor"),
    "independence": mark("the auditor's independence"),
    "domain": mark("domain"),
    "jurisdictions": mark("jurisdictions"),
    "tier": mark("materiality tier"),
    "tier_chosen_by": mark("who chose the tier"),
    "population": mark("population"),
    "period": mark("period of the data"),
    "sampling": mark("sampling"),
    "unit": mark("what a row is"),
    "human_role": mark("role of people in the decision"),
    "legitimate_factors": mark("legitimate factors"),
    "allowed_inputs": mark("allowed inputs"),
    "cost_of_errors": mark("cost of errors"),
    "known_limits": mark("known limits"),
}
TASKS = {
    "binary": mark("choose between two classes"),
    "multiclass": mark("choose among several classes"),
    "regression": mark("estimate a quantity"),
    "unknown": mark("not known"),
}
KINDS = {
    "number": mark("number"),
    "category": mark("category"),
    "text": mark("text"),
    "image": mark("image"),
    "sequence": mark("sequence"),
    "audio": mark("audio"),
}
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
}
#: Lines of stored curves that are ours and not groups: curve → name.
LINES = {
    "severity": {mark("everybody")}, "roc": {mark("model")}, "reliability": {mark("observed")}, "fit": {mark("mean outcome")},
    "risk": {mark("all rows")},
    "corruption": {mark("noise"), mark("blur"), mark("JPEG compression"), mark("weak contrast")},
    "benefit": {mark("the model"), mark("the event predicted for everybody"), mark("the event predicted for nobody")},
}  # fmt: skip
#: What the worker's isolation is called and how it fared; what stands beside it (paths, numbers) stays as it is.
OBSERVED = {
    mark("namespaces"), mark("scratch limit"), mark("limits"), mark("capabilities"), mark("seccomp stage 2"), mark("read /etc/passwd"),
    mark("read environment of parent"), mark("read environment of process 1"), mark("list home"), mark("list working directory of parent"),
    mark("write outside scratch"), mark("write model"), mark("write packages"), mark("write shared memory"), mark("signal parent"),
    mark("start a process"), mark("network"), mark("environment"), mark("on"), mark("off"), mark("dropped"), mark("denied"), mark("possible"),
    mark("clean"), mark("best-effort"), mark("required"), mark("none"), mark("model code"), mark("none runs here"), mark("connect to another port"),
}  # fmt: skip
EXCLUDED = {
    "missing_outcome": mark("rows without an outcome"),
    "undefined_score": mark("rows whose prediction is undefined"),
    "weight_zero": mark("rows of weight 0"),
}
SOURCES = {
    mark("the evaluation data logged with the model"), mark("the training data logged with the model"), mark("the training data named with --training"),
}  # fmt: skip
#: Decimals beyond which, and a size from which on, a number of an interval is written by itself.
MOST_PLACES, LARGE = 5, 1e7
ENDS = ("value", "low", "high")
CONTEXT_ALIASES = {"use": "intended_use", "people_affected": "people", "row": "unit", "unit_of_row": "unit"}


def clean(text: object, limit: int = TEXT_LIMIT) -> str:
    """Text that cannot disturb its surroundings: control and direction characters are spelt out, and no text is endless."""
    whole = str(text)
    shown = whole if len(whole) <= limit else whole[: limit - 1] + "…"
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in SPELT_OUT and c not in "\n\t" else c for c in shown)


def together(text: str) -> str:
    """A number and its percent sign stay on one line."""
    return re.sub(r"(?<=\d) %", "\u00a0%", text)


def number(value: float, kind: str) -> str:
    """Every number of our pages is written here."""
    text = together(FORMATS[kind](value))
    return f"−{text[1:]}" if text.startswith("-") else text


def interval(value: float, low: float, high: float, kind: str) -> dict[str, str]:
    """An estimate and its interval as `value`, `low` and `high`, all with the decimals that show two digits of the interval's width: 0.100 (0.083 to 0.127).

    Each by itself, as `number` has it, where that would make 0 of one that is not, and of rates, points and whole numbers, whose decimals are settled.
    """
    three, width = (value, low, high), high - low
    if kind in ("number", "signed") and width > 0:
        places = max(0, 1 - math.floor(math.log10(width)))
        text = [f"{abs(x):,.{places}f}" for x in three]
        if (
            places <= MOST_PLACES
            and max(map(abs, three)) < LARGE
            and not any(x and not t.strip("0.") for x, t in zip(three, text, strict=True))
        ):
            signs = ["−" if x < 0 else "+" if x > 0 and kind == "signed" else "" for x in three]
            return dict(zip(ENDS, map("".join, zip(signs, text, strict=True)), strict=True))
    return dict(zip(ENDS, (three_digits(number(x, kind)) for x in three), strict=True))


def three_digits(text: str) -> str:
    """A number with a power of ten with its zeros: 1.1 × 10⁻⁷ → 1.10 × 10⁻⁷."""
    mantissa, times, power = text.partition(" × ")
    whole, _, decimals = mantissa.partition(".")
    return f"{whole}.{decimals:0<2}{times}{power}" if times else text


class Speaker:
    """Says the texts of a page in one language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def t(self, template: str, /, **values: Any) -> str:
        """A text of our own."""
        return together(clean(render(message(template, **values), self.lang)))

    def stored(self, english: str | None, said: Message | None) -> str:
        """A text of the document: translated where the catalogue knows its message, else as stored."""
        if said is not None and said.id in catalogue(self.lang):
            return together(clean(render(said, self.lang)))
        return together(clean(catalogue(self.lang).get(english or "", english or "")))

    def name(self, key: str, names: dict[str, str]) -> str:
        """The name of a thing, else its identifier with spaces."""
        return self.t(names[key]) if key in names else clean(key.replace("_", " "), 120)

    def join(self, parts: list[str]) -> str:
        return ("；" if self.lang == "zh" else "; ").join(p for p in parts if p)

    def sentences(self, parts: Iterable[str]) -> str:
        """Whole sentences one after the other."""
        return ("" if self.lang == "zh" else " ").join(p for p in parts if p)

    def list(self, parts: Iterable[str]) -> str:
        """Names in a row."""
        return ("、" if self.lang == "zh" else ", ").join(parts)

    def pair(self, name: str, value: str) -> str:
        """What a thing is called, and what it is."""
        return f"{name}：{value}" if self.lang == "zh" else f"{name}: {value}"

    def told(self, title: str, text: str) -> str:
        """A title as a sentence, and what follows it."""
        return f"{title}。{text}" if self.lang == "zh" else f"{title}. {text}"

    def known(self, text: str, names: Collection[str]) -> str:
        """One of our own words, translated, or a text as it is."""
        return self.t(text) if text in names else clean(text)

    def slice(self, slice_: dict[str, str]) -> str:
        """Who a finding is about: everybody, or values of columns."""
        return clean(render(who({clean(k, 60): clean(v, 80) for k, v in slice_.items()}), self.lang), 400)

    def level(self, value: str) -> str:
        """A value of a column, by itself."""
        return clean(render(level(clean(value, 80)), self.lang), 80)
