"""A command that answers as `audit.explain --serve` does, without a model: the score is a tenth of the income."""

import json
import sys
import time

say = sys.argv[1]  # "answers", "late" (never ready), "silent" (ready, and then no answer), "refuses"
INPUTS = [
    {"name": "income", "kind": "number", "low": 1.0, "middle": 4.0, "high": 9.0, "whole": True, "levels": [], "missing": False},
    {"name": "<img src=x onerror=1>", "kind": "category", "low": None, "middle": None, "high": None, "whole": False, "levels": ["**a**", "b"], "missing": True},
]  # fmt: skip
READY = {
    "ok": True, "ready": True, "rows": 9, "favourable": ["yes"], "target": "granted", "inputs": INPUTS, "columns": {}, "context": {}, "seed": 0,
    "model": "models:/m/1", "name": "m", "version": "1", "model_sha256": "00", "data": "d.csv", "data_sha256": "00",
}  # fmt: skip


def tell(record: object) -> None:
    print(json.dumps(record), flush=True)


if say == "refuses":
    print("error: loading this model runs code that comes with it — if you trust its author, add --trust-pickle", file=sys.stderr)
    sys.exit(2)
if say == "late":
    time.sleep(60)
tell(READY)
for line in sys.stdin:
    if say == "silent":
        time.sleep(60)
    asked = json.loads(line)
    values = asked["values"] if asked.get("row") is None else {"income": 7.0, INPUTS[1]["name"]: "b"}
    score = (values["income"] or 0) / 10
    gates = [
        {"name": "completeness", "value": 0.0, "limit": 0.05, "passed": True},
        {"name": "stability", "value": 0.9, "limit": 0.5, "passed": False},
    ]
    result = {
        "subject": {"row": asked.get("row"), "inputs_sha256": "00"},
        "decision": {"label": "yes" if score >= 0.5 else "no", "favourable": score >= 0.5, "wanted": "yes", "score": score, "cutoff": 0.5, "rule": "score>=0.5", "declared": True},
        "inputs": [{"column": name, "value": v, "kind": "number" if name == "income" else "category"} for name, v in values.items()],
        "notes": [], "explanation": None, "reasons": None, "recourse": None,
    }  # fmt: skip
    if asked["op"] == "explain":
        parts = [{"factor": name, "value": v, "low": v - 0.1, "high": v + 0.1} for name, v in zip(values, (0.4, -0.2), strict=True)]
        result["explanation"] = {"method": "exact_shap", "unit": "probability", "output": "yes", "background": 9, "base": 0.4, "answer": score, "parts": parts, "gates": gates}  # fmt: skip
    if asked["op"] == "recourse":
        change = {"column": "income", "before": values["income"], "after": 5.0}
        result["recourse"] = {
            "state": "found",
            "ways": [{"changes": [change], "cost": 0.1, "score": 0.5, "distance": 0.2, "plausible": True}],
            "asked": 9,
        }
    if asked["op"] == "reasons":
        result["reasons"] = {"state": "none"}
    tell({"ok": True, "op": asked["op"], "result": result, "id": asked["id"]})
