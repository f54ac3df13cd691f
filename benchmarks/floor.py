"""What benchmarks share: times of one thread, CPU time, the sides of a ratio in alternation; machine and verdicts.

A ratio of two times taken minutes apart on a shared machine says little. Here every round times each side once, so
that what slows the machine slows all of them; the figure of a side is its median over the rounds, and a ratio's is the
median of the rounds' ratios.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Sides = Mapping[str, Callable[[], object]]


def alternate(sides: Sides, rounds: int = 60, inner: int = 1, warmup: int = 3) -> dict[str, list[float]]:
    """CPU microseconds of each side in each round; a side is called ``inner`` times per round."""
    for _ in range(warmup):
        for side in sides.values():
            side()
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.process_time_ns()
            for _ in range(inner):
                side()
            times[name].append((time.process_time_ns() - start) / 1e3 / inner)
    return times


def ratios(times: Mapping[str, list[float]], numerator: str, *denominator: str) -> list[float]:
    """Of each round, ``numerator`` over the sum of ``denominator``."""
    below = [sum(parts) for parts in zip(*(times[name] for name in denominator), strict=True)]
    return [a / b for a, b in zip(times[numerator], below, strict=True)]


def ratio(times: Mapping[str, list[float]], numerator: str, *denominator: str) -> float:
    """Median of `ratios`."""
    return statistics.median(ratios(times, numerator, *denominator))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Quarter, half and three quarters of the way through ``values``; a single one is all three."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else 3 * list(values)
    return low, middle, high


def median(times: Mapping[str, list[float]], *names: str) -> float:
    """Median over rounds of the sum of ``names``."""
    return statistics.median(sum(parts) for parts in zip(*(times[name] for name in names), strict=True))


def keep_memory() -> None:
    """Let glibc keep what is freed (elsewhere nothing is done): see docs/gotchas.md on page faults.

    By default it gives blocks of some 100 kB and more back to the system and faults them in again at the next call, at
    two to four times the cost of the arithmetic on them.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    trim, mmap = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    mallopt(trim, 1 << 30)
    mallopt(mmap, 1 << 30)


def setting(*packages: str) -> dict[str, str]:
    """What figures depend on: processor, and the versions of Python, torch and those of ``packages`` that are there."""
    found = {"processor": torch.backends.cpu.get_cpu_capability(), "python": platform.python_version()}
    for name in ("torch", "numba", *packages):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def verdict(value: float, least: float, words: str | None = None) -> str:
    """``value`` beside its target, and whether it is met: "758 (target >= 320: met)"; or ``words`` in their place."""
    outcome = "met" if value >= least else "MISSED"
    return f"{words}: {outcome}" if words else f"{value:.4g} (target >= {least:g}: {outcome})"


def step_pieces(
    weight: Tensor, visible: Tensor, hidden: Tensor, batch: int, generator: torch.Generator
) -> dict[str, Callable[[], object]]:
    """What one dense PCD-1 step cannot avoid, piece by piece: three products, uniforms, sigmoid, comparison.

    ``visible`` ``[batch + chains, visible]`` and ``hidden`` ``[batch + chains, hidden]`` hold binary states; ``weight``
    is not changed: a copy of it is read and written as an update would.
    """
    rows, nv, nh = len(visible), *weight.shape
    chains = rows - batch
    weight, response = weight.clone(), torch.rand(rows, nh, generator=generator)
    down, up = weight.new_empty(chains, nv), weight.new_empty(rows, nh)
    uniforms = weight.new_empty(chains * (nv + nh))
    fields = weight.new_empty(chains * nv + rows * nh)
    means = torch.rand(chains * (nv + nh), generator=generator)
    return {
        "h -> v product": lambda: torch.mm(hidden[:chains], weight.t(), out=down),
        "v -> h product": lambda: torch.mm(visible, weight, out=up),
        "outer product and update": lambda: weight.addmm_(visible.t(), response, alpha=1e-12),
        "uniforms": lambda: uniforms.uniform_(generator=generator),
        "sigmoid": lambda: fields.sigmoid_(),
        "compare": lambda: torch.lt(uniforms, means, out=means),
    }
