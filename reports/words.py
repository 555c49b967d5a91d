"""The words of our pages: verdicts, families, methods and reasons, in English; the catalogue has the other language."""

from __future__ import annotations

from dataclasses import dataclass

from reports.speaker import mark


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
    "koopman_shares": mark("Koopman, carried over from rates to shares"),
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
CONTEXT_ALIASES = {"use": "intended_use", "people_affected": "people", "row": "unit", "unit_of_row": "unit"}
