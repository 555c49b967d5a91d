"""The words of our pages: verdicts, families, metrics, methods and reasons, in English; the catalogue has the other language.

`mark` names a text for the catalogue without translating it; `Speaker` translates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from audit.result import Message
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
    "pass": Look(mark("Passes"), "✓", "pass", 3),
    "not_judged": Look(mark("Reported"), "·", "reported", 4),
    "skipped": Look(mark("Not run"), "–", "skipped", 5),
}

# word → (light, dark); contrast with the page at least 4.5 : 1
COLOURS = {
    "fail": ("#B3261E", "#FF8A80"),
    "inconclusive": ("#8A5A00", "#FFC857"),
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

METRICS = {
    "accuracy": mark("how often the model is right (accuracy)"),
    "balanced_accuracy": mark("how often it is right, each class counted alike (balanced accuracy)"),
    "true_positive_rate": mark("positives that are found (true positive rate)"),
    "false_positive_rate": mark("negatives taken for positives (false positive rate)"),
    "true_negative_rate": mark("negatives that are recognised (true negative rate)"),
    "false_negative_rate": mark("positives that are missed (false negative rate)"),
    "precision": mark("positive predictions that are right (precision)"),
    "recall": mark("positives that are found (recall)"),
    "f1": mark("balance of precision and recall (F1)"),
    "selection_rate": mark("who gets the favourable decision (selection rate)"),
    "adverse_rate": mark("who gets the unfavourable decision (adverse rate)"),
    "roc_auc": mark("how well the score ranks (ROC AUC)"),
    "roc_auc_ovr_macro": mark("how well the scores rank, averaged over the classes (macro ROC AUC)"),
    "average_precision": mark("how well the score finds positives (average precision)"),
    "log_loss": mark("error of the probabilities (log loss)"),
    "brier_score": mark("squared error of the probabilities (Brier score)"),
    "log_loss_skill": mark("log loss saved against the base rate (log loss skill)"),
    "brier_skill": mark("squared error saved against the base rate (Brier skill)"),
    "calibration_slope": mark("whether probabilities are too bold or too timid (calibration slope)"),
    "calibration_in_the_large": mark("predicted minus observed share (calibration in the large)"),
    "expected_calibration_error": mark("gap between predicted and observed share (calibration error)"),
    "negative_predictive_value": mark("negative predictions that are right (negative predictive value)"),
    "adverse_selection_rate": mark("who gets the unfavourable decision (adverse selection rate)"),
    "demographic_parity_difference": mark("widest gap in favourable decisions (demographic parity difference)"),
    "demographic_parity_ratio": mark("lowest against highest rate of favourable decisions (demographic parity ratio)"),
    "equalized_odds_difference": mark("widest gap in error rates (equalized odds difference)"),
    "equalized_odds_ratio": mark("lowest against highest error rate (equalized odds ratio)"),
    "equal_opportunity_difference": mark("widest gap in positives that are found (equal opportunity difference)"),
    "equal_opportunity_ratio": mark("lowest against highest share of positives that are found (equal opportunity ratio)"),
    "smooth_calibration_error": mark("calibration error without bins (smooth calibration error)"),
    "brier_reliability": mark("part of the Brier score that is miscalibration (reliability)"),
    "brier_resolution": mark("part of the Brier score that telling cases apart saves (resolution)"),
    "brier_uncertainty": mark("Brier score of guessing the base rate (uncertainty)"),
    "expected_cost": mark("what a decision costs on average (expected cost)"),
    "cost_saved": mark("what decisions save against one decision for everybody (cost saved)"),
    "net_benefit": mark("events found less false alarms at their exchange rate (net benefit)"),
    "cost_minimal_cutoff": mark("cutoff with the least cost, chosen on these rows"),
    "expected_cost_at_minimal_cutoff": mark("expected cost at that cutoff, chosen on these rows"),
    "cost_implied_cutoff": mark("cutoff that the declared costs imply"),
    "latency_median_ms": mark("typical time of a call in milliseconds (median)"),
    "latency_p95_ms": mark("time that 95 of 100 calls stay below, in milliseconds"),
    "latency_p99_ms": mark("time that 99 of 100 calls stay below, in milliseconds"),
    "throughput": mark("rows per second, one call after the other"),
    "aa_difference": mark("difference between two halves of one measurement, as a share (A/A)"),
    "aa_false_alarm_share": mark("stretches of one measurement that a test tells apart (A/A false alarms)"),
    "temperature": mark("the one rescaling that suits the scores best (temperature)"),
    "temperature_gain": mark("log loss that this rescaling would save (temperature gain)"),
    "calibration_intercept": mark("whether probabilities are too high or too low (calibration intercept)"),
    "debiased_calibration_error": mark("calibration error without what chance adds (debiased calibration error)"),
    "group_share": mark("share of the rows (group share)"),
    "outcome_rate": mark("how often each outcome occurs (outcome rate)"),
    "missing_share": mark("values that are missing (missing share)"),
    "missing_outcome": mark("rows without an outcome"),
    "constant_columns": mark("columns that never change"),
    "columns": mark("columns"),
    "mean_abs_attribution": mark("how much an input moves the answer (mean absolute attribution)"),
    "completeness_gap": mark("what the attributions leave unexplained (completeness gap)"),
    "top_reason_share": mark("rows for which an input is the main reason (top reason share)"),
    "mean_prediction": mark("average prediction (mean prediction)"),
    "prediction_rate": mark("how often each class is predicted (prediction rate)"),
    "parameters": mark("trained numbers (parameters)"),
    "bytes_on_disk": mark("bytes on disk"),
    "flops_per_row": mark("operations for one row (FLOPs)"),
    "rows": mark("rows"),
    "rows_per_second": mark("rows per second"),
    "usable_share": mark("rows that get a usable prediction (usable share)"),
    "sensitive_inputs": mark("sensitive columns among the inputs"),
    "undeclared_sensitive_input": mark("used without a declared reason (1) or not (0)"),
    "mean_absolute_error": mark("typical error (mean absolute error)"),
    "root_mean_squared_error": mark("error that weighs large misses more (root mean squared error)"),
    "mean_error": mark("prediction minus outcome on average (mean error)"),
    "informedness": mark("recall and specificity above guessing (informedness)"),
    "accuracy_score": mark("how often the model is right (accuracy)"),
    "mean_score": mark("average score (mean score)"),
    "standardised_mean_difference": mark("average score in standard deviations (standardised mean difference)"),
    "kolmogorov_smirnov_distance": mark("largest gap between the distributions (Kolmogorov–Smirnov distance)"),
    "xauc": mark("events of the group scored above non-events of the reference (xAUC)"),
    "xauc_reversed": mark("events of the reference scored above non-events of the group (reversed xAUC)"),
    "zero_one_loss": mark("how often the model is wrong (zero-one loss)"),
    "balanced_accuracy_score": mark("how often it is right, each class counted alike (balanced accuracy)"),
    "precision_score": mark("positive predictions that are right (precision)"),
    "recall_score": mark("positives that are found (recall)"),
    "f1_score": mark("balance of precision and recall (F1)"),
    "roc_auc_score": mark("how well the score ranks (ROC AUC)"),
    "r2_score": mark("share of the variation explained (R²)"),
    "mean_squared_error": mark("average squared error (mean squared error)"),
    "equalized_odds": mark("true and false positive rates (equalized odds)"),
    "count": mark("rows"),
    "impact_ratio": mark("rate against the highest rate (impact ratio)"),
    "rechosen_impact_ratio": mark("rate against the highest rate, chosen anew in every draw (impact ratio)"),
    "highest_selection_rate": mark("the highest rate of favourable decisions"),
    "scoring_rate": mark("who scores above the median (scoring rate)"),
    "scoring_impact_ratio": mark("scoring rate against the highest (impact ratio)"),
    "conditional_selection_rate": mark("favourable decisions among people alike in the declared factors (conditional selection rate)"),
    "overlap_share": mark("rows in strata that hold both groups (overlap)"),
    "flip_rate": mark("decisions that change with the column alone (flip rate)"),
    "flip_rate_over_input": mark("flip rate beyond that of the least used input"),
    "repeat_rate": mark("decisions that change when the same rows are asked again (repeat rate)"),
    "flip_score_change": mark("how far the answer moves with the column alone (mean absolute change)"),
    "r2": mark("share of the variation explained (R²)"),
    "duplicate_rows": mark("rows equal to an earlier row (duplicate rows)"),
    "repeating_identifiers": mark("columns that look like identifiers and repeat (repeating identifiers)"),
    "clusters": mark("clusters of rows that belong together"),
    "outcome_correlation": mark("how alike outcomes of one cluster are (intra-cluster correlation)"),
    "decision_correlation": mark("how alike decisions of one cluster are (intra-cluster correlation)"),
    "outcome_design_effect": mark("how many rows are worth one, for a rate of outcomes (design effect)"),
    "decision_design_effect": mark("how many rows are worth one, for a rate of decisions (design effect)"),
    "base_rate": mark("how often the event happens (base rate)"),
    "detectable_difference": mark("smallest difference that so many rows would show, in percentage points (detectable difference)"),
    "unknown_membership_share": mark("rows whose membership is unknown (unknown membership share)"),
    "population_distance": mark("share that would have to change group to match the population (total variation distance)"),
    "share_minus_population": mark("share of the rows minus declared share of the population, in percentage points"),
    "seen_row_share": mark("audited rows that occur among the training rows (seen row share)"),
    "seen_case_share": mark("audited rows that occur among the training rows with their outcome (seen case share)"),
    "near_seen_row_share": mark("audited rows that nearly occur among the training rows (near seen row share)"),
    "repeated_row_share": mark("audited rows whose inputs occur more than once (repeated row share)"),
    "single_input_auc": mark("how well one input alone ranks the outcome (single-input ROC AUC)"),
    "single_input_r2": mark("share of the variation that one input alone explains (single-input R²)"),
    "single_input_v": mark("how strongly one input alone goes with the outcome (single-input Cramér's V)"),
    "cramers_v": mark("how strongly an input goes with membership (Cramér's V)"),
    "membership_auc": mark("how well all inputs together tell a group (membership ROC AUC)"),
    "roc_auc_spread": mark("how much ROC AUC differs between periods (standard deviation)"),
    "accuracy_spread": mark("how much accuracy differs between periods (standard deviation)"),
    "mean_absolute_error_spread": mark("how much the mean absolute error differs between periods (standard deviation)"),
    "roc_auc_trend": mark("change of ROC AUC from period to period (trend)"),
    "accuracy_trend": mark("change of accuracy from period to period (trend)"),
    "mean_absolute_error_trend": mark("change of the mean absolute error from period to period (trend)"),
}

#: What fairlearn's names add to those of a metric, the longest first.
OVER_GROUPS = {
    "_difference_mean_to_overall": mark("{metric}: mean of the largest differences from everybody"),
    "_ratio_mean_to_overall": mark("{metric}: mean of the lowest ratios to everybody"),
    "_difference_to_overall": mark("{metric}: largest difference from everybody"),
    "_ratio_to_overall": mark("{metric}: lowest ratio to everybody"),
    "_difference_mean": mark("{metric}: mean of the largest differences between groups"),
    "_ratio_mean": mark("{metric}: mean of the lowest ratios between groups"),
    "_difference": mark("{metric}: largest difference between groups"),
    "_ratio": mark("{metric}: lowest ratio between groups"),
    "_group_min": mark("{metric}: lowest of all groups"),
    "_group_max": mark("{metric}: highest of all groups"),
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
    "sandwich_log": mark("sandwich variance on the log scale"),
    "least_squares_robust": mark("least squares, robust variance"),
    "simulation": mark("simulation"),
    "price_bonett": "Price–Bonett",
    "order_statistics": mark("order statistics"),
    "score": mark("score test"),
    "permutation": mark("permutation test"),
    "fisher_exact": mark("Fisher's exact test"),
    "mantel_haenszel": "Mantel–Haenszel",
    "mantel_haenszel_sato": "Mantel–Haenszel, Sato",
    "jeffreys": "Jeffreys",
    "welch": "Welch",
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
    "tango": "Tango",
    "newcombe_paired": mark("Newcombe, paired"),
    "delong_folds": mark("DeLong over cross-validation folds"),
    "delta_folds": mark("delta method over cross-validation folds"),
    "delong_paired": mark("DeLong, paired"),
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
}

REASONS = {
    "borderline": mark("the interval crosses the limit: these rows cannot tell"),
    "too_few_rows": mark("too few rows: these rows cannot tell"),
    "suppressed": mark("withheld: the group is too small to be printed"),
    "difference_established_size_open": mark("a difference is established; whether it exceeds the limit is open"),
    "too_few_clusters": mark("too few clusters of rows that belong together"),
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
    ("input", "yes"): mark("yes"),
    ("input", "no"): mark("no"),
    ("reading", "highest rate"): mark("highest rate"),
    ("reading", "nobody selected"): mark("nobody selected"),
    ("reading", "indicated by both"): mark("indicated by both"),
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
    ("type", "boolean"): mark("true or false"),
    ("type", "varchar"): mark("text"),
    ("type", "date"): mark("date"),
    ("type", "timestamp"): mark("time"),
}
#: Lines of stored curves that are ours and not groups: curve → name.
LINES = {
    "roc": {mark("model")}, "reliability": {mark("observed")}, "fit": {mark("mean outcome")},
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
EXCLUDED = {"missing_outcome": mark("rows without an outcome"), "undefined_score": mark("rows whose prediction is undefined")}
SOURCES = {
    mark("the evaluation data logged with the model"), mark("the training data logged with the model"), mark("the training data named with --training"),
}  # fmt: skip
CONTEXT_ALIASES = {"use": "intended_use", "people_affected": "people", "row": "unit", "unit_of_row": "unit"}

RATES = {
    "accuracy_score",
    "zero_one_loss",
    "balanced_accuracy_score",
    "precision_score",
    "recall_score",
    "f1_score",
    "population_distance",
    "missing_outcome",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "sensitivity",
    "specificity",
    "log_loss_skill",
    "brier_skill",
    "positive_predictive_value",
    "negative_predictive_value",
    "calibration_in_the_large",
    "aa_difference",
    "expected_calibration_error",
    "debiased_calibration_error",
    "smooth_calibration_error",
}
COUNTS = {
    "rows",
    "duplicate_rows",
    "repeating_identifiers",
    "count",
    "sensitive_inputs",
    "undeclared_sensitive_input",
    "parameters",
    "columns",
    "constant_columns",
    "bytes_on_disk",
    "flops_per_row",
}


def kind_of(metric: str, compare: str) -> str:
    """How an estimate of this metric is written: a name in `audit.text.FORMATS`."""
    metric = metric.removesuffix("_to_overall").removesuffix("_mean")
    if metric.endswith(("_group_min", "_group_max")):
        return kind_of(metric[: -len("_group_min")], "value")
    if metric == "kolmogorov_smirnov_distance":
        return "number"
    if metric == "zero_one_loss_difference" or metric.endswith("_score_difference"):
        return "points"
    if compare in ("ratio", "odds_ratio") or metric.endswith("_ratio"):
        return "ratio"
    rate = metric in RATES or metric.endswith(("_rate", "_share")) or "_rate_" in metric
    if compare == "difference":
        return "points" if rate else "signed"
    if metric.endswith("_difference") or metric in ("calibration_in_the_large", "share_minus_population"):
        return "points"
    return "percent" if rate else "count" if metric in COUNTS else "number"


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
        """The name of a thing, else its identifier with spaces; a metric over groups is named by what it is taken of."""
        suffix = next((s for s in OVER_GROUPS if key.endswith(s)), None) if names is METRICS and key not in names else None
        if suffix:
            return self.t(OVER_GROUPS[suffix], metric=self.name(key.removesuffix(suffix), names))
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
