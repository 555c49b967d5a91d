"""Explanations of a net beside Captum's, in one run: CPU time, values, what the sums miss, and memory as the rows grow.

    python -m tests.benchmarks.net_explanations [--rows 1000] [--background 100]

The network of `peers`: 40-64-64-2, ReLU, random weights, standard normal rows, the logit of class 1, one thread. Each measurement runs in a process
of its own, since the peak of a process never falls; timed is CPU time after a first call on ten rows.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn

from audit.subject.flavors.gradients import Net, gradient_shap, integrated_gradients
from audit.subject.flavors.rescale import deep_shap

WIDTH = 40


def scene(rows: int, background: int) -> tuple[Any, Any, Any]:
    """Net, rows and background."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = nn.Sequential(nn.Linear(WIDTH, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)).eval()
    return net, torch.randn(rows, WIDTH), torch.randn(background, WIDTH)


def ours(method: str, net: Any, x: Any, background: Any) -> Any:
    """Attributions (n, d) by this package."""
    one, target = Net(net, [[]]), torch.ones(len(x), dtype=torch.long)
    mean = [background.mean(dim=0, keepdim=True).expand_as(x)]
    if method == "deep_shap":
        return deep_shap(one, x, background, target).values
    if method == "integrated_gradients":
        return integrated_gradients(one, [x], [mean], target).values
    return gradient_shap(one, [x], [[row.expand_as(x)] for row in background], target).values


def theirs(method: str, net: Any, x: Any, background: Any) -> Any:
    """The same by Captum: with its defaults, but 200 draws for GradientSHAP."""
    from captum.attr import DeepLiftShap, GradientShap, IntegratedGradients

    warnings.simplefilter("ignore")
    if method == "deep_shap":
        found = DeepLiftShap(net).attribute(x, background, target=1)
    elif method == "integrated_gradients":
        found = IntegratedGradients(net).attribute(x, background.mean(dim=0, keepdim=True), target=1, internal_batch_size=8192)
    else:
        found = GradientShap(net).attribute(x, background, target=1, n_samples=200, stdevs=0.0)
    return found.detach().numpy()


def measure(who: str, method: str, rows: int, background: int, out: str) -> dict[str, float]:
    """CPU seconds, peak memory above what was there before in MB, and the relative miss of completeness; the values are written to `out`."""
    net, x, base = scene(rows, background)
    explain = ours if who == "ours" else theirs
    explain(method, net, x[:10], base)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    values = explain(method, net, x, base)
    seconds = time.process_time() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    np.save(out, values)
    with torch.no_grad():
        told = net(x)[:, 1].numpy()
        start_at = net(base)[:, 1].mean().item() if method != "integrated_gradients" else net(base.mean(dim=0, keepdim=True))[0, 1].item()
    miss = np.abs(values.sum(axis=1) - (told - start_at)) / np.maximum(np.abs(told - start_at), 0.05 * np.median(np.abs(told - start_at)))
    return {"seconds": seconds, "memory": memory, "median": float(np.median(miss)), "tail": float(np.quantile(miss, 0.95))}


def apart(who: str, method: str, rows: int, background: int) -> tuple[dict[str, float], Any]:
    """A measurement in a process of its own."""
    out = f"/tmp/{os.getpid()}-{who}-{method}.npy"
    command = [sys.executable, "-m", "tests.benchmarks.net_explanations", "--one", who, method, str(rows), str(background), out]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    values = np.load(out)
    os.unlink(out)
    return json.loads(said.splitlines()[-1]), values


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--background", type=int, default=100)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        who, method, rows, background, out = given.one
        print(json.dumps(measure(who, method, int(rows), int(background), out)))
        return
    print(
        f"{'method':22}{'who':8}{'rows':>7}{'CPU s':>9}{'ratio':>7}{'memory MB':>11}{'miss 50 %':>11}{'95 %':>9}{'largest difference':>20}"
    )
    for method in ("deep_shap", "integrated_gradients", "gradient_shap"):
        reference, values = apart("captum", method, given.rows, given.background)
        for who, found, own in (("captum", reference, values), ("ours", *apart("ours", method, given.rows, given.background))):
            print(
                f"{method:22}{who:8}{given.rows:7}{found['seconds']:9.3f}{reference['seconds'] / found['seconds']:7.1f}{found['memory']:11.0f}"
                f"{found['median']:11.1e}{found['tail']:9.1e}{np.abs(own - values).max():20.1e}",
                flush=True,
            )
    more, _ = apart("ours", "deep_shap", 10 * given.rows, given.background)
    print(
        f"{'deep_shap':22}{'ours':8}{10 * given.rows:7}{more['seconds']:9.3f}{'':7}{more['memory']:11.0f}{more['median']:11.1e}{more['tail']:9.1e}"
    )


if __name__ == "__main__":
    main()
