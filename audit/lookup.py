"""Where the model is and what it is made of, and the other models and rows that the plan names beside it: found, copied here and inspected, never run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from audit import plan as plans
from audit.bases import FORGETTING, MEMBERSHIP, TOXICITY, before_tuning
from audit.demo import train
from audit.errors import AuditError
from audit.jobs import JobError, Jobs
from audit.plan import Plan
from audit.progress import Progress
from audit.recorded import UNKNOWN, URI
from audit.registry import checks
from audit.request import Request
from audit.subject import endpoint
from audit.subject.inspect import Inspection, check_loadable, inspect_model

Json = dict[str, Any]
RESOLVE_SECONDS = 900.0
LOCATE_SECONDS = 60.0


def required(jobs: Jobs, target: str, arguments: Json, limit: float, late: str) -> Json:
    """A job before anything is written: whatever goes wrong is a refusal."""
    try:
        return jobs.run(target, arguments, limit=limit)
    except JobError as error:
        raise AuditError(
            f"{late if error.kind == 'timeout' else 'the request failed'}: {error.message}", "try again, or report this message"
        ) from None


class Lookup:
    """What one request and its plan name, looked up; copies go into the folder `scratch`.

    `resolved` and `inspection` are of the audited model, `endpoint` says where it answers if it is a served one.
    """

    def __init__(self, request: Request, plan: Plan, jobs: Jobs, scratch: Path, progress: Progress) -> None:
        self.request, self.plan, self.jobs, self.scratch, self.progress = request, plan, jobs, scratch, progress
        self.endpoint: Json | None = None
        self.resolved, self.inspection = self._model(request.uri)

    def _model(self, uri: str) -> tuple[Json, Inspection]:
        """Where the model is and what it is made of, as far as that can be known without running it."""
        unregistered: Json = {
            "uri": uri,
            "path": "",
            **dict.fromkeys(("name", "version", "model_id", "run_id", "logged", "evaluation", "training", "source_task", "seeds")),
            "privacy": {},
        }
        if uri == URI:
            none = Inspection(flavor="predictions", loader="predictions", serialization="none", model_file="", files=[], sha256=None, sha256_reason=UNKNOWN)  # fmt: skip
            return unregistered, none
        if endpoint.is_address(uri):
            self.endpoint = required(
                self.jobs, "audit.subject.endpoint:locate", {"uri": uri}, LOCATE_SECONDS, "the endpoint's host was not found"
            )
            folder = self.scratch / "model"  # nothing is in it
            folder.mkdir()
            return unregistered | {"path": str(folder)}, endpoint.inspection()
        wanted = {"uri": self._trained(uri), "destination": str(self.scratch / "model"), "tracking_uri": self.request.tracking_uri}
        resolved = required(self.jobs, "audit.store:resolve", wanted, RESOLVE_SECONDS, "the model store did not answer")
        inspection = inspect_model(Path(resolved["path"]))
        check_loadable(inspection, trust_pickle=self.request.trust_pickle)
        return resolved, inspection

    def references(self) -> str | None:
        """The folder of reference models that --references or else the plan names."""
        named = plans.parameters(self.plan, checks()[MEMBERSHIP])["references"]
        return self.request.references or (None if named is None else str(Path(named).absolute()))

    def source_task(self) -> Json:
        """The model before fine-tuning, copied here, and the rows of its task, where the plan names one; else what training logged."""
        named = before_tuning(plans.parameters(self.plan, checks()[FORGETTING]))
        if named is None or not self.request.checks[FORGETTING]:
            return {"folder": self.resolved["source_task"]}
        found, base = self._brought(named[0], "base")
        if base.flavor != self.inspection.flavor:
            what = f"the model before fine-tuning is of flavor {base.flavor}, and the audited one of {self.inspection.flavor}"
            raise AuditError(what, "name the version that was fine-tuned")
        return {"base": named[0], "path": found["path"], "rows": named[1] or found["evaluation"]}

    def scorer(self) -> Json | None:
        """The classifier that is to score what a language model says, copied here, where the plan names one."""
        named = plans.parameters(self.plan, checks()[TOXICITY])["scorer"]
        if named is None or not self.request.checks[TOXICITY]:
            return None
        found, inspection = self._brought(named, "scorer")
        return {"uri": named, "path": found["path"], "logged": found["logged"], "inspection": inspection.model_dump(mode="json")}

    def _brought(self, uri: str, folder: str) -> tuple[Json, Inspection]:
        """Another model that the plan names, copied into a folder of its own; refused as the audited one would be."""
        (self.scratch / folder).mkdir()
        wanted = {"uri": uri, "destination": str(self.scratch / folder / "model"), "tracking_uri": self.request.tracking_uri}
        found = required(self.jobs, "audit.store:resolve", wanted, RESOLVE_SECONDS, "the model store did not answer")
        inspection = inspect_model(Path(found["path"]))
        check_loadable(inspection, trust_pickle=self.request.trust_pickle)
        return found, inspection

    def _trained(self, uri: str) -> str:
        """`demo:PRESET` as a registered model, trained first if it is not there yet."""
        if not uri.startswith("demo:"):
            return uri
        preset = uri.removeprefix("demo:")
        target = f"models:/{preset}@demo"
        try:
            arguments = {"uri": target, "destination": str(self.scratch / "model"), "tracking_uri": self.request.tracking_uri}
            required(self.jobs, "audit.store:resolve", arguments, RESOLVE_SECONDS, "the model store did not answer")
            shutil.rmtree(self.scratch / "model")
        except AuditError:
            self.progress.step(f"train {preset}")
            train(preset, self.request.tracking_uri)
        return target
