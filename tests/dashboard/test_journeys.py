"""A data scientist, a risk officer and an auditor at work in a browser, each logged in; a picture of each page is kept and looked at by axe-core.

The pictures lie in the folder that WITNESSMARK_PICTURES names, else in `build/journeys`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from at_terminal import User
from playwright.sync_api import Browser, Download, Page, sync_playwright
from provider import CLIENT, providing
from serving import BROWSER, free_port, serving

from dashboard import access_log
from dashboard.index import Index

pytestmark = pytest.mark.slow
PEOPLE = {"Dana": "auditor", "Rita": "approver", "Aude": "auditor", "Vera": "viewer"}  # the provider adds a word that would be Markdown
LOG = """
import lightgbm, mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature
for seed in (0, 1):
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"income": rng.normal(size=400), "debt": rng.normal(size=400)})
    y = np.where(x["income"] - x["debt"] / 2 + rng.normal(size=400) > 0, "yes", "no")
    model = lightgbm.LGBMClassifier(n_estimators=8, verbose=-1).fit(x, y)
    with mlflow.start_run():
        mlflow.lightgbm.log_model(model, name="model", signature=infer_signature(x, y), pip_requirements=[], registered_model_name="loans")
"""
ROLES = {"target": "paid", "positive": "yes", "favourable": "yes", "label-source": "outcome", "sensitive": "sex,region"}
CHECKS = "fairness.group,performance.overall,performance.slices,performance.error_tree,explanation.global,explanation.completeness"
WAIT = 120_000  # ms: the machine may be busy
PICTURES = Path(os.environ.get("WITNESSMARK_PICTURES") or Path.cwd() / "build" / "journeys")


@dataclass(frozen=True)
class Place:
    """A served folder: where it is, and the address of its dashboard and of the first audit."""

    home: Path
    address: str
    key: str


def rows(n: int = 1500) -> str:
    """Women have the lower income, so they get the favourable decision less often; the model errs most in the north."""
    rng = np.random.default_rng(5)
    sex, region = rng.choice(["woman", "man"], n), rng.choice(["north", "south"], n)
    income = rng.normal(size=n) - 0.8 * (sex == "woman")
    debt = rng.normal(size=n)
    paid = np.where(income - debt / 2 + rng.normal(size=n) * np.where(region == "north", 3, 0.5) > 0, "yes", "no")
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["income", "debt", "sex", "region", "paid"])
    table.writerows(zip(income.round(4), debt.round(4), sex, region, paid, strict=True))
    return out.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A store with one version of a model audited and another not, served to people who log in."""
    user = User(tmp_path_factory.mktemp("desk"))
    home, store = user.folder, f"sqlite:///{user.folder}/mlflow.db"
    environment = user.environment | {"MLFLOW_TRACKING_URI": store, "MLFLOW_DISABLE_TELEMETRY": "true"}
    logged = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOG], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert logged.returncode == 0, logged.stderr[-2000:]
    (home / "loans.csv").write_text(rows())
    options = [f"--{name}={value}" for name, value in ROLES.items()]
    done = user.audit("models:/loans/1", "--data", "loans.csv", *options, "--checks", CHECKS, env={"MLFLOW_TRACKING_URI": store})
    assert done.status in (0, 1), done.err
    (home / "roles.toml").write_text("[roles]\n" + "".join(f'"{name.lower()}@example.org" = "{role}"\n' for name, role in PEOPLE.items()))
    port = free_port()
    with providing(list(PEOPLE)) as provider:
        (home / ".streamlit").mkdir()
        (home / ".streamlit" / "secrets.toml").write_text(
            f'[auth]\nredirect_uri = "http://localhost:{port}/oauth2callback"\ncookie_secret = "{"s" * 40}"\nclient_id = "{CLIENT}"\n'
            f'client_secret = "secret"\nserver_metadata_url = "{provider.address}/.well-known/openid-configuration"\n'
        )
        with serving(home, environment | {"WITNESSMARK_ROLES": str(home / "roles.toml")}, port) as (address, _):
            (entry,) = Index(home, store, home / "index.sqlite").look(120).entries
            yield Place(home, address, entry.key)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=BROWSER)
        yield browser
        browser.close()


class Visitor:
    """Somebody at a browser of their own."""

    def __init__(self, browser: Browser, place: Place, name: str, **looks: Any) -> None:
        self.place, self.name, self.step = place, name, 0
        self.page: Page = browser.new_context(
            viewport={"width": 1300, "height": 1400}, accept_downloads=True, locale="en-US", **looks
        ).new_page()
        self.page.set_default_timeout(WAIT)
        self.page.goto(place.address)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("link", name=name).click()
        self.page.get_by_text(f"{name} *Example* · {PEOPLE[name]}").wait_for()

    def go(self, page: str) -> None:
        """By the navigation above the page."""
        self.page.get_by_role("link", name=page, exact=True).click()
        self.settle()

    def open(self, path: str) -> None:
        """A link that somebody sent."""
        self.page.goto(f"{self.place.address}/{path}")
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_function("document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'")
        self.page.wait_for_timeout(300)
        assert self.page.get_by_text("encountered an error").count() == 0, self.page.inner_text("body")[-500:]

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def write(self, label: str, value: str) -> None:
        self.page.get_by_label(label, exact=True).fill(value)

    def downloaded(self, label: str) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=label).click()
        found: Download = waiting.value
        return Path(found.path()).read_bytes()

    def picture(self, what: str) -> None:
        """Kept for who looks; and nothing that axe-core knows is wrong with it."""
        from axe_playwright_python.sync_playwright import Axe

        self.settle()
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.step += 1
        self.page.screenshot(path=PICTURES / f"{self.name.lower()}-{self.step:02d}-{what}.png")
        found = Axe().run(self.page).response
        assert len(found["passes"]) > 20, "the page was looked at"
        faults = [(v["id"], v["help"], [n["html"][:200] for n in v["nodes"][:3]]) for v in found["violations"]]
        assert not faults, (what, faults)


def log(place: Place) -> list[dict[str, Any]]:
    path = place.home / "state" / "witnessmark" / "access.jsonl"
    assert access_log.faults(path) == []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_data_scientist_looks_for_what_is_wrong_and_audits_the_next_version(browser: Browser, place: Place) -> None:
    dana = Visitor(browser, place, "Dana", color_scheme="dark")
    dana.sees("1 of 1 audits")
    dana.sees("Registered and not audited")
    dana.picture("models")
    dana.go("One audit")
    dana.page.get_by_role("radio", name="Fairness").click()
    dana.sees("Who gets the favourable decision")
    dana.picture("audit")
    dana.go("Errors")
    dana.sees("slices by up to")
    dana.page.get_by_text("Make a cohort").click()
    dana.write("Its name", "where it errs")
    dana.page.get_by_label("Its name", exact=True).press("Enter")
    dana.page.get_by_role("button", name="Save the cohort").click()
    dana.sees("A cohort that was chosen after looking is a place to look, not a finding")
    dana.picture("errors")
    dana.go("Explanations")
    dana.picture("explanations")
    dana.page.get_by_role("radio", name="What if").click()
    dana.page.get_by_role("button", name="Load the model").click()
    dana.sees("Back to the start")
    dana.write("income", "3")
    dana.page.get_by_label("income", exact=True).press("Enter")
    dana.sees("Before your changes:")
    dana.picture("what-if")
    dana.go("Run")
    dana.page.get_by_label("Model: models:/NAME/VERSION").fill("models:/loans/2")
    dana.write("Data: csv, parquet, Arrow, or a folder or glob of them", "loans.csv")
    for label, option in (
        ("Outcome column", "target"), ("The event that the score predicts", "positive"), ("The decision that a person wants", "favourable"),
        ("Sensitive columns, with commas", "sensitive"),
    ):  # fmt: skip
        dana.write(label, ROLES[option])
    dana.page.get_by_label("What the outcome column is").click()
    dana.page.get_by_role("option", name="outcome", exact=True).click()
    dana.page.get_by_text("What is asked, and what is written").click()
    dana.write("Only these checks or families, with commas", "fairness.group,performance.overall")
    dana.page.get_by_role("button", name="Show the plan and its cost").click()
    dana.sees("Before it starts")
    dana.picture("plan")
    dana.page.get_by_role("button", name="Start the audit").click()
    dana.page.get_by_role("link", name="Open the audit").wait_for()
    dana.picture("ran")
    dana.page.get_by_role("link", name="Open the audit").click()
    dana.sees("What decides it")
    dana.go("Compare")
    dana.sees("What changed")
    dana.picture("compare")
    assert [line["did"] for line in log(place) if line["who"] == "dana@example.org" and line["did"] != "opened"] == ["loaded", "ran"]


def test_a_risk_officer_decides_on_a_link_that_was_sent(browser: Browser, place: Place) -> None:
    rita = Visitor(browser, place, "Rita")
    rita.open(f"audit?audit={place.key}")
    rita.sees("The questions that decide")
    rita.page.get_by_text("Documents to download").click()
    assert rita.downloaded("Summary of two pages · PDF").startswith(b"%PDF")
    rita.go("Fairness")
    rita.page.get_by_role("slider").first.press("ArrowRight")
    rita.picture("fairness")
    rita.open(f"compliance?audit={place.key}")
    rita.sees("Attest and sign off")
    rita.write("What entitles you to say it, such as your office", "Head of model risk")
    rita.write("Your statement", "I accept this version for a pilot of three months.")
    rita.page.get_by_text("I have read what this audit says of it.").click()
    rita.page.get_by_role("button", name="Sign off").click()
    rita.sees("Recorded. Nothing that was said before is replaced.")
    rita.picture("signed-off")
    (given,) = [line for line in log(place) if line["did"] == "downloaded"]
    assert (given["who"], given["audit"], given["file"].endswith(".pdf")) == ("rita@example.org", place.key, True)
    (signed,) = [line for line in log(place) if line["did"] == "signed"]
    assert (signed["who"], signed["office"], signed["audit"]) == ("rita@example.org", "Head of model risk", place.key)


def test_an_auditor_checks_what_others_said_and_a_viewer_is_refused(browser: Browser, place: Place) -> None:
    aude = Visitor(browser, place, "Aude")
    aude.open(f"compliance?audit={place.key}")
    aude.sees("Only the role approver attests and signs off; yours is auditor.")
    languages = aude.page.get_by_role("radiogroup", name="Language · 语言")
    languages.get_by_text("中文").click()
    aude.sees("声明与签署")
    aude.picture("compliance-zh")
    languages.get_by_text("English").click()
    aude.go("About the checks")
    aude.picture("checks")
    aude.open(f"audit?audit={place.key}")
    aude.page.get_by_text("Documents to download").click()
    with zipfile.ZipFile(io.BytesIO(aude.downloaded("Everything, to verify without us · ZIP"))) as evidence:
        sums = [line.split("  ") for line in evidence.read("SHA256SUMS").decode().splitlines()]
        assert len(sums) > 4
        assert all(hashlib.sha256(evidence.read(name)).hexdigest() == digest for digest, name in sums)
    vera = Visitor(browser, place, "Vera")
    vera.open("run")
    vera.sees("This page asks for the role auditor; yours is viewer.")
    vera.picture("refused")
    vera.page.get_by_role("button", name="Log out").click()
    vera.sees("Log in to see what was audited.")
    assert [line["action"] for line in log(place) if line["who"] == "vera@example.org" and line["did"] == "refused"] == ["run"]
