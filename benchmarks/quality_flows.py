"""Rows of `quality.py tractable`: flows on MNIST's grey levels, on parts of MINIBOONE, and on planar densities."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from quality_rows import Results, Row, Task, about, likelihood, trained
from torch import Tensor, nn

import deepgen as dg
from deepgen.distributions import StandardLogistic
from deepgen.transforms import ActNorm, Chain, Logit, LULinear

LEVELS, PIXELS = 256, 784


def nice(row: Row, task: Task) -> Results:
    """NICE on dequantised MNIST: mean log-density of (x + u) / 256, its bits a pixel, and the bound on log P(x)."""
    s = row.setting
    data = dg.data.load("mnist", root=task.root, dequantise="dynamic")
    flow = dg.explicit.NICE(PIXELS, **s["arguments"], base=StandardLogistic(PIXELS), generator=task.seed)
    flow = flow.initialise(data.train.draw(torch.arange(5000), generator=dg.random.generator(task.seed)))
    cost = trained(flow.to(task.device), data.train, data.valid, dg.objectives.MaximumLikelihood(), row, task)
    return {"data": about(data, task.judge), **_pixels(flow, getattr(data, task.judge).to(task.device), task), **cost}


def _pixels(flow: Any, x: Tensor, task: Task) -> Results:
    """Figures of a density over pixels in [0, 1], one draw of noise a row, which makes the discrete bound."""
    figures = likelihood(flow, x, task.judge)
    nats = figures[f"{task.judge} log-likelihood, nats"]
    bits = (math.log(LEVELS) - nats / PIXELS) / math.log(2)
    error = figures["stderr over rows"] / PIXELS / math.log(2)
    return {**figures, "bits/dim, from above": round(bits, 3), "stderr of bits/dim": round(error, 4)}


def logit_mnist(row: Row, task: Task) -> Results:
    """Flows behind a logit with alpha = 1e-6, as in the MAF paper: nats in logit space, and bits a pixel."""
    data = dg.data.load("mnist", root=task.root, dequantise="dynamic")
    logit = Logit(1e-6)
    flow = _flow(row, PIXELS, task.seed, logit)
    with torch.no_grad():  # actnorms take their start from the first rows
        flow.log_prob(data.train.draw(torch.arange(1000), generator=dg.random.generator(task.seed)))
    cost = trained(flow.to(task.device), data.train, data.valid, dg.objectives.MaximumLikelihood(), row, task)
    x = getattr(data, task.judge).to(task.device)
    shift = float(torch.cat([logit.encode(rows)[1].double() for rows in x.split(1000)]).mean())
    figures = _pixels(flow, x, task)
    nats = figures[f"{task.judge} log-likelihood, nats"]
    return {"data": about(data, task.judge), **figures,
            f"{task.judge} log-likelihood in logit space, nats": round(nats - shift, 2), **cost}  # fmt: skip


def miniboone(row: Row, task: Task) -> Results:
    """MINIBOONE without its training file: trains on four fifths of the published validation rows."""
    folder = Path(task.root or ".") / "miniboone_partial"
    known, test = (torch.from_numpy(np.load(folder / f"{part}.npy")).float() for part in ("val", "test"))
    known = known[torch.randperm(len(known), generator=dg.random.generator(0))]
    train, valid = known.split([4 * len(known) // 5, len(known) - 4 * len(known) // 5])
    flow = _flow(row, train.shape[1], task.seed)
    with torch.no_grad():
        flow.log_prob(train)
    decay = row.setting["decay"]
    cost = trained(flow, train, valid, dg.objectives.MaximumLikelihood(), row, task, decay=decay)
    held_out = test if task.judge == "test" else valid
    rows = (
        f"{len(train)} + {len(valid)} of the published validation rows train and choose, {len(held_out)} {task.judge}"
    )
    return {"data": f"MINIBOONE's present parts: {rows}", **likelihood(flow, held_out, task.judge), **cost}


def planar(row: Row, task: Task) -> Results:
    """A 2-D density: test log-likelihood beside the exact one of the law that the rows are from."""
    name, options = row.setting["data"], row.setting["options"]
    data = dg.data.load(name, rows=row.setting["rows"], seed=0, **options)
    flow = _flow(row, 2, task.seed)
    with torch.no_grad():
        flow.log_prob(data.train)
    cost = trained(flow, data.train, data.valid, dg.objectives.MaximumLikelihood(), row, task)
    x = getattr(data, task.judge)
    figures = likelihood(flow, x, task.judge)
    law = getattr(dg.data, name)(**options).log_prob(x).double()
    with torch.no_grad():
        gap = law - flow.log_prob(x).double()
    return {"data": about(data, task.judge), **figures, "exact, nats": round(float(law.mean()), 3),
            "KL, nats": round(float(gap.mean()), 4),
            "stderr of KL": round(float(gap.std()) / math.sqrt(len(gap)), 4), **cost}  # fmt: skip


def _flow(row: Row, features: int, seed: int, *first: nn.Module) -> Any:
    """A named flow, each of its maps after an actnorm, and with ``mixing`` a learned linear map too."""
    s = row.setting
    stream = dg.random.generator(seed)
    named = getattr(dg.explicit, s["model"])(features, **s["arguments"], generator=stream)
    parts: list[nn.Module] = [*first]
    for part in named.transform.transforms:
        parts += [ActNorm(features), *([LULinear(features)] if s.get("mixing") else []), part]
    return dg.explicit.Flow(Chain(parts), base=named.base)


NICE = Row("NICE on dequantised MNIST", nice, {
    "arguments": {"transforms": 4, "hidden": [1000, 1000, 1000]}, "epochs": 20, "batch": 200, "rate": 1e-3},
    ">= 1800 nats")  # fmt: skip

_LOGIT = {"epochs": 4, "batch": 100, "rate": 1e-3}
_BOONE = {"mixing": True, "epochs": 200, "batch": 128, "rate": 1e-3, "patience": 20, "decay": 1.0}
_PLANAR = {"rows": 20_000, "epochs": 15, "batch": 200, "rate": 3e-3}
EIGHT: dict[str, dict[str, float]] = {
    "gaussian_ring": {"std": 0.25}, "gaussian_grid": {"std": 0.2},
    **{name: {} for name in ("rings", "moons", "pinwheel", "spirals", "swiss_roll", "checkerboard")},
}  # fmt: skip
FLOWS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "RealNVP": (
        {"transforms": 5, "hidden": [512, 512]},
        {"transforms": 5, "hidden": [64, 64]},
        {"transforms": 8, "hidden": [64, 64]},
    ),
    "MAF": (
        {"transforms": 5, "hidden": [512, 512]},
        {"transforms": 5, "hidden": [64, 64]},
        {"transforms": 5, "hidden": [64, 64]},
    ),
    "NSF": (
        {"transforms": 4, "hidden": [256, 256], "box": 6.0},
        {"transforms": 5, "hidden": [64, 64], "box": 5.0},
        {"transforms": 4, "hidden": [64, 64], "box": 4.0},
    ),
}
ROWS = [
    NICE,
    *(Row(f"{model} on logit MNIST", logit_mnist, {"model": model, "arguments": sizes[0], **_LOGIT}, seeds=3)
      for model, sizes in FLOWS.items()),
    *(Row(f"{model} on MINIBOONE's parts", miniboone, {"model": model, "arguments": sizes[1], **_BOONE}, seeds=3)
      for model, sizes in FLOWS.items()),
    *(Row(f"{model} on {data}", planar, {"model": model, "data": data, "options": options,
          "arguments": sizes[2], **_PLANAR}, seeds=3)
      for data, options in EIGHT.items() for model, sizes in FLOWS.items()),
]  # fmt: skip
CANDIDATES = [
    NICE,
    *(
        replace(row, seeds=1, setting={**row.setting, "decay": decay})
        for row in ROWS
        if row.run is miniboone
        for decay in (0.0, 0.1, 1.0, 3.0)
    ),
]
FULL = [
    replace(NICE, setting={**NICE.setting, "arguments": {"transforms": 4, "hidden": [1000] * 5}, "epochs": 1500},
            target="1980 nats = 4.36 bits/dim (the paper's)"),
]  # fmt: skip
