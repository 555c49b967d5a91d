"""10 million rows × 20 columns through one audit: rows per CPU-second and the auditor's own peak memory.

    python -m tests.benchmarks.ten_million [--rows 10000000]

The job is that of the three checks data.profile, performance.overall and fairness.group on a PyTorch network of 17 inputs: every row is read from
parquet, scored, and counted by group; ROC AUC and average precision are exact, with DeLong's and the influence function's intervals.

cpu_s is user and system time of all processes of the audit, the model's worker included; rows_per_cpu_s_after_fixed leaves out what an audit of
1,000 rows costs (imports, loading the model, report): the smallest of three in the same run. auditor_mb is the largest resident size (VmHWM, 10^6 bytes) that
any one process of the auditor reached, worker_mb the same of the model's worker; neither should grow with the rows. The time of writing the data
is not in it. One line of JSON for each number of rows. Promised: 700,000 rows per CPU-second, and an auditor under 1,500 MB that is as small at
ten million rows as at one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

CHECKS = "data.profile,performance.overall,fairness.group"
REPEATS = 3  # of the fixed cost; the smallest counts
FEATURES = [f"x{i}" for i in range(17)]


def write_data(path: Path, rows: int) -> None:
    """17 numbers, two groups and an outcome, in row groups of a million, as a tool would write them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, 1_000_000):
        n = min(1_000_000, rows - start)
        x = rng.normal(size=(17, n)).astype(np.float32)
        columns = dict(zip(FEATURES, x, strict=True))
        sex = np.array(["female", "male"])[(rng.random(n) < 0.6).astype(int)]
        race = np.array(["a", "b", "c"])[rng.choice(3, n, p=[0.7, 0.2, 0.1])]
        outcome = (x[0] + 0.5 * x[1] + rng.logistic(size=n) > 0.7).astype(np.int64)
        table = pa.table(columns | {"sex": sex, "race": race, "y": outcome})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def write_model(folder: Path) -> None:
    """A network 17-32-2 as MLflow stores it."""
    import mlflow
    import numpy as np
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(17, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)).eval()
    mlflow.pytorch.save_model(net, folder, input_example=np.zeros((4, 17), dtype=np.float32), pip_requirements=[])


class Peak(threading.Thread):
    """The largest resident size of any process of the audit, the worker apart, read from /proc twenty times a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.auditor, self.worker, self.over = root, 0, 0, False

    def run(self) -> None:
        while not self.over:
            for pid in _family(self.root):
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                    command = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
                if b"audit.subject" in command:
                    self.worker = max(self.worker, peak)
                else:
                    self.auditor = max(self.auditor, peak)
            time.sleep(0.05)


def _family(root: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    family, grown = {root}, True
    while grown:
        more = {p for p, parent in parents.items() if parent in family} - family
        grown, family = bool(more), family | more
    return list(family)


def audit(model: Path, data: Path, out: Path) -> dict[str, float]:
    """One audit: CPU-seconds, wall seconds, peaks in MB."""
    command = [sys.executable, "-m", "audit.run", str(model), "--data", str(data), "--target", "y", "--favourable", "1", "--label-source", "outcome",
               "--sensitive", "sex,race", "--features", ",".join(FEATURES), "--checks", CHECKS, "--no-log", "--forget", "--out", str(out)]  # fmt: skip
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"XDG_STATE_HOME": str(out.parent)}
    )
    peak = Peak(process.pid)
    peak.start()
    _, said = process.communicate()
    peak.over = True
    if process.returncode:
        raise SystemExit(said)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu, "wall_s": time.monotonic() - began, "auditor_mb": peak.auditor / 1e3, "worker_mb": peak.worker / 1e3}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_model(root / "model")
        results = {}
        for n in (1_000, rows // 10, rows):
            data = root / f"{n}.parquet"
            write_data(data, n)
            runs = [audit(root / "model", data, root / f"audit-{n}-{i}") for i in range(REPEATS if n == 1_000 else 1)]
            results[n] = min(runs, key=lambda run: run["cpu_s"])
            data.unlink()
    fixed = results[1_000]["cpu_s"]
    for n, result in results.items():
        rate = n / (result["cpu_s"] - fixed) if n > 1_000 else None
        print(json.dumps({"rows": n} | {k: round(v, 2) for k, v in result.items()} | {"rows_per_cpu_s_after_fixed": rate and round(rate)}))


if __name__ == "__main__":
    main()
