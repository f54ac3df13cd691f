"""Pixel and token models on an accelerator, for `gpu.py`: sampling that computes every feature once, and whole passes.

Cases, float32, one call at a time (eager): a gated PixelCNN of 28 x 28 binary pixels (32 channels, 6 layers), 100 and
1,000 images; a Transformer of 6 layers, width 384, 256 tokens of 65, 64 and 512 sequences. Per case: draws per second
by the cached walk and by Jacobi sweeps, and how many times quicker the walk is than a whole pass for every variable
(measured as one pass, times their number). Of the Transformer also tokens per second, and the walk's time over that of
its products with weights.

Checked before, on smaller models: ``log_prob`` against the CPU in float64; draws from the same uniforms by every method
(a uniform within rounding of a threshold may part a row: 2 of 64 may differ); and the mean log-probability of draws on
the device against that of the CPU's, within six standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from flows import products
from gpu_clock import Check, roundings, seconds

from deepgen.explicit import MADE, GatedPixelCNN, PixelCNN, Transformer
from deepgen.random import generator

ROWS = 64
SMALL = {
    "MADE": lambda: MADE(100, [64, 64], generator=0),
    "PixelCNN": lambda: PixelCNN((8, 8), 16, 4, generator=0),
    "GatedPixelCNN": lambda: GatedPixelCNN((8, 8), 16, 4, generator=0),
    "Transformer": lambda: Transformer(20, 32, 48, 4, 3, generator=0),
}


def strong(model: Any, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """Last layers large, so that values depend on one another; the same on every device."""
    with torch.no_grad():
        if isinstance(model, Transformer):
            model.readout.weight.mul_(20.0)
        elif isinstance(model, MADE):
            model.net.last.weight.mul_(100.0)
        else:
            for head in model.heads:
                head.out.weight.mul_(200.0)
    return model.to(device, dtype)


@torch.no_grad()
def checks(device: torch.device, small: bool) -> Iterator[Check]:
    cpu, count = torch.device("cpu"), 500 if small else 2000
    for name, build in SMALL.items():
        exact, narrow, there = strong(build(), dtype=torch.float64), strong(build()), strong(build(), device)
        x = narrow.sample(count, generator=1)
        sides = there.log_prob(x.to(device)), narrow.log_prob(x), exact.log_prob(x.double())
        yield Check(f"{name}, log_prob: errors in units of the CPU's", roundings(*sides), 10.0)
        draws = [
            there.sample(ROWS, method=m, generator=generator(2, device))
            for m in ("incremental", "jacobi", "sequential")
        ]
        apart = max(int((other != draws[0]).flatten(1).any(1).sum()) for other in draws[1:])
        yield Check(f"{name}: rows that differ between methods", apart, 2.0)
        here = exact.log_prob(
            there.sample(count, method="incremental", generator=generator(3, device)).to(cpu).double()
        )
        own = exact.log_prob(x.double())
        distance = float((here.mean() - own.mean()).abs() / math.sqrt(float(here.var() + own.var()) / count))
        yield Check(f"{name}: mean log_prob of draws against the CPU's, standard errors", distance, 6.0)


@torch.no_grad()
def cases(device: torch.device, small: bool) -> Iterator[dict[str, Any]]:
    repeats = 2 if small else 3
    pixels = strong(GatedPixelCNN((8, 8) if small else (28, 28), 32, 6, generator=0), device)
    for n in (10,) if small else (100, 1000):
        yield _drawn("GatedPixelCNN", pixels, pixels.features, n, device, repeats)
    length, width, layers = (32, 64, 2) if small else (256, 384, 6)
    tokens = strong(Transformer(65, length, width, 4 if small else 6, layers, generator=0), device)
    block = [(3 * width, width), (width, width), (4 * width, width), (width, 4 * width)]
    for n in (8,) if small else (64, 512):
        found = _drawn("Transformer", tokens, length, n, device, repeats)
        floor = seconds(products([block * layers + [(65, width)]], n, False, device), device, 20)
        yield found | {
            "tokens/s": found["draws/s, cached"] * length,
            "cached / products": found["cached, s"] / floor / length,
        }


def _drawn(name: str, model: Any, places: int, n: int, device: torch.device, repeats: int) -> dict[str, Any]:
    stream = generator(4, device)
    x = model.sample(n, generator=stream)
    cached = seconds(lambda: model.sample(n, method="incremental", generator=stream), device, repeats)
    swept = seconds(lambda: model.sample(n, method="jacobi", generator=stream), device, repeats)
    one = seconds(lambda: model.log_prob(x), device, 10)
    return {
        "model": name,
        "rows": n,
        "places": places,
        "cached, s": cached,
        "draws/s, cached": n / cached,
        "draws/s, jacobi": n / swept,
        "one pass, ms": 1e3 * one,
        "passes / cached": places * one / cached,
    }
