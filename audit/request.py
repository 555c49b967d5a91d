"""What was asked for: every option of one audit, frozen before anything is loaded; a resumed audit takes it from here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from audit.measurement import Frozen

#: Judging and writing have this long, however short the limit of a check is: an audit whose checks were stopped is written all the same.
WRITING_SECONDS = 1800.0


class Request(Frozen):
    """The options of `audit.run`, checked. Paths are absolute; `given` are the declared roles that overrule what training logged."""

    id: str
    uri: str
    tracking_uri: str
    data: str | None
    training: str | None = None
    references: str | None = None
    given: dict[str, Any]
    plan: dict[str, Any]
    checks: dict[str, bool]
    sample: int
    seed: int
    out: str
    lang: Literal["en", "zh"]
    formats: tuple[str, ...] = ("html",)
    frameworks: tuple[str, ...] = ()
    edition: Literal["internal", "public"]
    log: bool
    check_timeout: float
    trust_pickle: bool
    isolation: Literal["required", "best-effort", "none"]
    scored_dir: str | None
    forget: bool
    started: str
    command: list[str]
    plan_given: bool = False
    waivers: list[dict[str, Any]] = Field(default_factory=list)
    sign_key: str | None = None

    @property
    def writing_timeout(self) -> float:
        """Seconds that judging has, and each report."""
        return max(WRITING_SECONDS, self.check_timeout)
