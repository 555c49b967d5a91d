"""What metrics are called, and how their values are written."""

from __future__ import annotations

from reports.words import Speaker, mark

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
    "multiaccuracy_error": mark("error of the probabilities that half of the rows shows and the other half repeats (multiaccuracy)"),
    "multicalibration_error": mark("largest gap of predicted and observed share over groups and scores (multicalibration)"),
    "widest_cell_gap": mark("predicted minus observed share where the gap is widest"),
    "group_share": mark("share of the rows (group share)"),
    "outcome_rate": mark("how often each outcome occurs (outcome rate)"),
    "missing_share": mark("values that are missing (missing share)"),
    "missing_outcome": mark("rows without an outcome"),
    "constant_columns": mark("columns that never change"),
    "columns": mark("columns"),
    "mean_abs_attribution": mark("how much an input moves the answer (mean absolute attribution)"),
    "completeness_gap": mark("what the attributions leave unexplained (completeness gap)"),
    "sampling_error": mark("what drawn coalitions leave open, in the range of a row's attributions (sampling error)"),
    "tied_top_reason_share": mark("rows whose main reason is not told from the next (tied top reason share)"),
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
    "large_error_rate": mark("errors above the median of all errors (large error rate)"),
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

#: Metrics written as a share of a hundred, and those that count.
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
    "f1",
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
    "multicalibration_error",
}
POINTS = {"calibration_in_the_large", "multiaccuracy_error", "widest_cell_gap", "share_minus_population"}
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
    if metric.endswith("_difference") or metric in POINTS:
        return "points"
    return "percent" if rate else "count" if metric in COUNTS else "number"


def metric_name(metric: str, say: Speaker) -> str:
    """The name of a metric; one over groups is named by what it is taken of, and one of a plug-in by its identifier."""
    suffix = next((s for s in OVER_GROUPS if metric.endswith(s)), None) if metric not in METRICS else None
    if suffix:
        return say.t(OVER_GROUPS[suffix], metric=metric_name(metric.removesuffix(suffix), say))
    return say.name(metric, METRICS)
