"""A command that answers as `audit.explain --serve` does, without a model: the score is a tenth of the income; or it reads a text, whose every "good" adds 0.3."""

import json
import sys
import time

say = sys.argv[1]  # "answers", "late" (never ready), "silent" (ready, and then no answer), "refuses", "reads" (a text and a picture)
INPUTS = [
    {"name": "income", "kind": "number", "low": 1.0, "middle": 4.0, "high": 9.0, "whole": True, "levels": [], "missing": False},
    {"name": "<img src=x onerror=1>", "kind": "category", "low": None, "middle": None, "high": None, "whole": False, "levels": ["**a**", "b"], "missing": True},
]  # fmt: skip
READY = {
    "ok": True, "ready": True, "rows": 9, "favourable": ["yes"], "target": "granted", "inputs": INPUTS, "columns": {}, "context": {}, "seed": 0,
    "model": "models:/m/1", "name": "m", "version": "1", "model_sha256": "00", "data": "d.csv", "data_sha256": "00",
}  # fmt: skip


NONE = {
    "low": None,
    "middle": None,
    "high": None,
    "whole": False,
    "levels": [],
    "missing": False,
    "shape": [],
    "start": None,
    "given": True,
    "fields": [],
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
READS = [
    NONE | {"name": "review", "kind": "text"},
    NONE | {"name": "photo", "kind": "image", "shape": [1, 1, 1], "start": PNG},
    NONE | {"name": "visits", "kind": "sequence", "shape": [3, 2], "start": [{"days": 2.0, "ward": "a"}],
     "fields": [{"name": "days", "kind": "number", "low": 1.0, "high": 9.0, "whole": True, "levels": [], "missing": False},
                {"name": "ward", "kind": "category", "low": None, "high": None, "whole": False, "levels": ["a", "b"], "missing": False}]},
]  # fmt: skip


def read(asked: dict) -> dict:
    """The answer about a text, with its words and the word without which it would be another."""
    text = asked["values"].get("review", "a good one")
    words = [w + " " for w in text.split(" ")]
    values = [0.3 if w == "good " else 0.0 for w in words]
    score = 0.4 + sum(values)
    gate = {"name": "infidelity", "value": 0.7, "limit": 0.6, "passed": False}

    def decided(score: float) -> dict:
        return {
            "label": "yes" if score >= 0.5 else "no",
            "favourable": None,
            "wanted": None,
            "score": score,
            "cutoff": None,
            "rule": "predict",
            "declared": False,
        }

    places = [{"factor": w, "column": "review", "kind": "word", "place": i} for i, w in enumerate(words)]
    inputs = [
        {"column": "review", "value": text, "kind": "text"}, {"column": "photo", "value": PNG, "kind": "image"},
        {"column": "visits", "value": asked["values"].get("visits", [{"days": 2.0, "ward": "a"}]), "kind": "sequence"},
    ]  # fmt: skip
    said = {"id": "the text without its words", "values": {}}
    found = {
        "subject": {"row": asked.get("row"), "changed": sorted(asked["values"]) if "row" in asked else [], "inputs_sha256": "00"},
        "decision": decided(score), "inputs": inputs, "notes": [], "explanation": None, "also": [], "reasons": None, "recourse": None, "removal": None,
    }  # fmt: skip
    if asked["op"] == "explain":
        parts = [p | {"value": v, "low": v, "high": v} for p, v in zip(places, values, strict=True)]
        found["explanation"] = {"method": "exact_shap", "unit": "probability", "output": "yes", "background": 1, "base": 0.4, "answer": score, "parts": parts, "gates": [gate], "start": said}  # fmt: skip
    if asked["op"] == "recourse":
        away = [p for p in places if p["factor"] == "good "]
        after = [{"column": "review", "value": text.replace("good ", ""), "kind": "text"}]
        found["removal"] = (
            {"state": "found", "parts": away, "decision": decided(0.4), "after": after, "start": said, "proven": True, "of": len(words), "asked": len(words)}
            if away else {"state": "none", "of": len(words), "asked": len(words)}
        )  # fmt: skip
    if asked["op"] == "reasons":
        found["reasons"] = {"state": "impossible", "why": {"id": "It was not asked for.", "values": {}}}
    return found


def tell(record: object) -> None:
    print(json.dumps(record), flush=True)


if say == "refuses":
    print("error: loading this model runs code that comes with it — if you trust its author, add --trust-pickle", file=sys.stderr)
    sys.exit(2)
if say == "late":
    time.sleep(60)
tell(READY | {"inputs": READS} if say == "reads" else READY)
for line in sys.stdin:
    if say == "silent":
        time.sleep(60)
    asked = json.loads(line)
    if say == "reads":
        tell({"ok": True, "op": asked["op"], "result": read(asked), "id": asked["id"]})
        continue
    values = asked["values"] if asked.get("row") is None else {"income": 7.0, INPUTS[1]["name"]: "b"} | asked["values"]
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
