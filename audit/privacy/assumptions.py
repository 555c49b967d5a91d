"""What a claim of differential privacy rests on, read from what training logged: each assumption is kept, broken, not known, or a note.

A broken assumption leaves the claim unsupported, whatever an attack finds: the upper bound comes from accounting, and accounting from these.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from audit.measurement import Message
from audit.privacy.claims import Claim, Privacy
from audit.stats.privacy import gaussian, pld, rdp, sampling
from audit.text import message

State = Literal["kept", "broken", "not known", "note"]
#: By so much a claim may lie below the recomputed ε: what accountants state as their own error.
TOLERANCE = 0.01
#: A p value below which batches are called no Poisson samples.
IMPOSSIBLE = 1e-6
#: By this share noise may fall short of what is stated, which single precision explains.
ROUNDING = 0.001


class Assumption(NamedTuple):
    """One assumption by name, its state, and a sentence for people where it is not simply kept."""

    name: str
    state: State
    said: Message | None = None


class Recount(NamedTuple):
    """ε at the claim's δ, recomputed: the bound that holds for how rows were drawn, and what other ways of counting give.

    `epsilon` is None where too little was logged; `method` is "pld", or "gaussian_composition" where nothing amplifies.
    """

    epsilon: float | None
    method: str
    renyi: float | None = None
    approximate: float | None = None
    unamplified: float | None = None


def recount(claim: Claim) -> Recount:
    """The claim's mechanism counted again by accountants that share no code with the one that made the claim."""
    noise, rate, steps, delta = claim.noise_multiplier, claim.sample_rate, claim.steps, claim.delta
    if not noise or not rate or not steps or not delta or rate > 1 or delta >= 1:
        return Recount(None, "none")
    times = int(steps)
    unamplified = gaussian.epsilon_of(gaussian.composed_mu(noise, max(1, math.ceil(times * rate - 1e-9))), delta)
    approximate = gaussian.epsilon_of(gaussian.approximate_mu(noise, rate, times), delta) if noise > 0.05 else None
    renyi = rdp.epsilon(noise, rate, times, delta=delta).epsilon
    if claim.sampling is not None and not _poisson(claim.sampling):
        return Recount(unamplified, "gaussian_composition", None, approximate, unamplified)
    bound = pld.epsilon(noise, rate, times, delta=delta)
    return Recount(bound if math.isfinite(bound) else renyi, "pld" if math.isfinite(bound) else "renyi", renyi, approximate, unamplified)


def _poisson(sampling: str) -> bool:
    return sampling.strip().lower().startswith("poisson")


def assumptions(privacy: Privacy, counted: Recount, training_rows: int | None) -> list[Assumption]:
    """Every assumption of the claim; `training_rows` is how many rows were logged as those that trained."""
    claim = privacy.claim
    assert claim is not None
    return [
        _complete(claim, privacy.differ), _noise(claim), _added(claim), _drawn(claim, counted), _varied(claim), _repeated(claim), _accountant(claim, counted), _steps(claim), _rate(claim),
        _rows(claim, training_rows), _count(claim), _clipping(claim), _delta(claim), _unit(claim), _source(claim), _secure(claim),
    ]  # fmt: skip


def _complete(claim: Claim, differ: list[str]) -> Assumption:
    name = "the record is whole and says one thing"
    if differ:
        said = message(
            "Run and model state {names} differently, so that nobody knows what was promised: log the model again with what its training did.",
            names=differ,
        )
        return Assumption(name, "not known", said)
    absent = [n for n in ("epsilon", "delta", "noise_multiplier", "sample_rate", "steps", "sampling") if getattr(claim, n) is None]
    if absent or claim.unreadable:
        named = sorted({*absent, *claim.unreadable})
        said = message(
            "Not logged, or no value that can be read: {names}. Log what training did with run and model, as models.train --epsilon does.",
            names=named,
        )
        return Assumption(name, "not known", said)
    return Assumption(name, "kept")


def _noise(claim: Claim) -> Assumption:
    name = "noise is added to every step"
    if claim.noise_multiplier is None:
        return Assumption(name, "not known")
    if claim.noise_multiplier == 0:
        return Assumption(name, "broken", message("The noise was switched off: nothing is promised."))
    return Assumption(name, "kept")


def _added(claim: Claim) -> Assumption:
    name = "as much noise was added as is stated"
    numbers, added, stated = claim.noise_numbers, claim.noise_added, claim.noise_multiplier
    if not numbers or added is None or not stated:
        return Assumption(name, "note")
    if sampling.noise_p_value(added, stated, int(numbers)) >= IMPOSSIBLE or added > stated * (1 - ROUNDING):
        return Assumption(name, "kept")
    said = message(
        "Noise of {added:number} clipping norms was added in training; the claim counts {stated:number}.", added=added, stated=stated
    )
    return Assumption(name, "broken", said)


def _drawn(claim: Claim, counted: Recount) -> Assumption:
    name = "each row is drawn by itself (Poisson sampling)"
    if claim.sampling is None:
        return Assumption(name, "not known")
    if _poisson(claim.sampling):
        return Assumption(name, "kept")
    if claim.epsilon is not None and counted.epsilon is not None and claim.epsilon >= counted.epsilon - TOLERANCE:
        said = message("Batches were drawn as {sampling}; the claim counts without amplification, as it must.", sampling=claim.sampling)
        return Assumption(name, "note", said)
    if counted.epsilon is None:
        return Assumption(
            name, "broken", message("Batches were drawn as {sampling}, and the claim counts on Poisson samples.", sampling=claim.sampling)
        )
    said = message(
        "Batches were drawn as {sampling}, and the claim counts on Poisson samples: without that, epsilon is {epsilon:number}.",
        sampling=claim.sampling, epsilon=counted.epsilon,
    )  # fmt: skip
    return Assumption(name, "broken", said)


def _varied(claim: Claim) -> Assumption:
    name = "batches vary in size as Poisson samples do"
    batches, mean, variance = claim.drawn_batches, claim.drawn_mean, claim.drawn_variance
    if batches is None or mean is None or variance is None or not claim.rows or claim.sample_rate is None or claim.sample_rate > 1:
        return Assumption(name, "note", message("How the sizes of batches varied was not logged."))
    p = sampling.p_value(mean, variance, int(batches), rows=int(claim.rows), rate=claim.sample_rate)
    if p >= IMPOSSIBLE or (claim.sampling is not None and not _poisson(claim.sampling)):  # nobody says that those vary
        return Assumption(name, "kept" if p >= IMPOSSIBLE else "note")
    said = message(
        "Batches held {mean:number} rows on average with a standard deviation of {sd:number}; Poisson samples would have {expected:number} and {spread:number}.",
        mean=mean, sd=math.sqrt(variance), expected=claim.rows * claim.sample_rate, spread=sampling.batch_sd(int(claim.rows), claim.sample_rate),
    )  # fmt: skip
    return Assumption(name, "broken", said)


def _repeated(claim: Claim) -> Assumption:
    name = "each row is drawn as often as in Poisson samples"
    batches, mean, variance, rate = claim.drawn_batches, claim.times_mean, claim.times_variance, claim.sample_rate
    if not batches or mean is None or variance is None or not claim.rows or rate is None or rate > 1:
        return Assumption(name, "note")
    rows, steps = int(claim.rows), int(batches)
    p = sampling.repeats_p_value(mean, variance, rows, steps=steps, rate=rate)
    if p >= IMPOSSIBLE or (claim.sampling is not None and not _poisson(claim.sampling)):
        return Assumption(name, "kept" if p >= IMPOSSIBLE else "note")
    said = message(
        "Rows were drawn {mean:number} times on average with a standard deviation of {sd:number}; Poisson samples would have {expected:number} and {spread:number}.",
        mean=mean, sd=math.sqrt(variance), expected=steps * rate, spread=sampling.batch_sd(steps, rate),
    )  # fmt: skip
    return Assumption(name, "broken", said)


def _accountant(claim: Claim, counted: Recount) -> Assumption:
    name = "the accountant gives an upper bound"
    if claim.epsilon is None or counted.epsilon is None:
        return Assumption(name, "not known")
    short = claim.epsilon < counted.epsilon - TOLERANCE
    by_limit = claim.accountant is not None and claim.accountant.lower() == "gdp"
    near = counted.approximate is not None and abs(claim.epsilon - counted.approximate) <= max(TOLERANCE, 0.005 * claim.epsilon)
    if short and (by_limit or near):
        return Assumption(
            name,
            "broken",
            message("Only the central-limit approximation (the GDP accountant) gives so small an epsilon, and it is no bound."),
        )
    if by_limit:
        return Assumption(
            name,
            "note",
            message("The claim was made by the central-limit approximation, which is no bound; our own count supports it all the same."),
        )
    return Assumption(name, "kept")


def _steps(claim: Claim) -> Assumption:
    name = "no more steps were taken than were counted"
    if claim.steps is None or claim.steps_taken is None:
        return Assumption(name, "not known" if claim.steps is None else "note", message("How many steps were taken was not logged."))
    if claim.steps_taken > claim.steps:
        said = message("Steps taken: {taken:count}; steps counted: {counted:count}.", taken=claim.steps_taken, counted=claim.steps)
        return Assumption(name, "broken", said)
    return Assumption(name, "kept")


def _rate(claim: Claim) -> Assumption:
    name = "the sampling rate is batch size over rows"
    if claim.sample_rate is None or claim.rows is None or claim.expected_batch_size is None:
        return Assumption(name, "note" if claim.sample_rate is not None else "not known", message("Batch size or rows were not logged."))
    true = claim.expected_batch_size / claim.rows if claim.rows else math.inf
    if claim.sample_rate < true * (1 - 1e-6):
        said = message(
            "The claim counts a rate of {rate:number}; batch size over rows is {true:number}.", rate=claim.sample_rate, true=min(true, 1e9)
        )
        return Assumption(name, "broken", said)
    return Assumption(name, "kept")


def _rows(claim: Claim, training_rows: int | None) -> Assumption:
    name = "the claim is about the rows that were logged as training rows"
    if training_rows is None or claim.rows is None:
        return Assumption(name, "note", message("The training rows, or how many the claim counts, are not known."))
    if claim.rows > training_rows:  # the rate that follows from fewer rows is larger
        said = message(
            "The claim counts {claimed:count} rows; {logged:count} training rows were logged.", claimed=claim.rows, logged=training_rows
        )
        return Assumption(name, "not known", said)
    return Assumption(name, "kept")


def _count(claim: Claim) -> Assumption:
    name = "how many rows trained is no secret"
    if any("number of training rows" in excepted for excepted in claim.not_covered):
        return Assumption(name, "kept")
    said = message(
        "Batch size and sampling rate tell how many rows trained: the claim says nothing of that number, and holds where it may be known."
    )
    return Assumption(name, "note", said)


def _clipping(claim: Claim) -> Assumption:
    name = "each row's gradient is clipped"
    if claim.clip_norm is None:
        return Assumption(name, "not known", message("No clipping norm was logged."))
    return Assumption(name, "kept") if claim.clip_norm > 0 else Assumption(name, "broken", message("The clipping norm is 0."))


def _delta(claim: Claim) -> Assumption:
    name = "delta is below one over the rows"
    if claim.delta is None or not claim.rows:
        return Assumption(name, "note", message("Rows or delta were not logged."))
    if claim.delta * claim.rows >= 1:
        said = message(
            "Delta is {delta:number} with {rows:count} rows: it allows to publish a row as it is.", delta=claim.delta, rows=claim.rows
        )
        return Assumption(name, "note", said)
    return Assumption(name, "kept")


def _unit(claim: Claim) -> Assumption:
    name = "what is protected is named"
    if claim.adjacency is None:
        return Assumption(name, "note", message("Whether a row, a person or something else is protected was not logged."))
    if "more or less" in claim.adjacency:
        return Assumption(name, "kept")
    said = message("The claim is about {unit}; the count here is about one row more or less.", unit=claim.adjacency)
    return Assumption(name, "note", said)


def _source(claim: Claim) -> Assumption:
    name = "the noise cannot be drawn again"
    if claim.noise_source is not None and "seed" in claim.noise_source:
        return Assumption(name, "note", message("The noise comes from a stated seed: whoever knows it can take the noise off."))
    return Assumption(name, "kept" if claim.noise_source is not None else "note", message("Where the noise comes from was not logged."))


def _secure(claim: Claim) -> Assumption:
    name = "the noise is cryptographically secure"
    if claim.secure_mode:
        return Assumption(name, "kept")
    return Assumption(name, "note", message("Secure mode is off: the promise holds up to the random generator and rounding."))
