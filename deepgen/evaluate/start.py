"""Where an annealed estimate starts: the path of whatever is annealed, its temperatures, and what to tell of them.

A Boltzmann machine starts at base rates of rows, an energy model at its own base, a kernel at its target's reference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_count, is_whole
from deepgen.evaluate.annealed import Schedule, Temperatures, schedule
from deepgen.evaluate.arguments import require_normalisable
from deepgen.evaluate.energy import prepare
from deepgen.evaluate.layered import LAYERED, Layered, base_field, undirected
from deepgen.explicit.energy import EnergyModel
from deepgen.random import resolve
from deepgen.samplers.annealing import Path, rbm_path
from deepgen.samplers.temperature import Temperable
from deepgen.samplers.tempered_path import kernel_path


def start(
    model: Layered | EnergyModel | Temperable,
    base: Tensor | None,
    chains: int,
    temperatures: Temperatures | None,
    generator: torch.Generator | int | None,
) -> tuple[Path, Schedule, dict[str, Any], torch.Generator]:
    """Path, temperatures, settings and generator of an annealed estimate of ``model``.

    Args:
        model: what is annealed.
        base: rows of data whose base rates a Boltzmann machine starts at, with the rates of their mean field on hidden
            levels; those of short chains of its own without.
        chains: how many are to anneal, at least 2.
        temperatures: as for `log_partition`.
        generator: a generator, a seed, which then stands in the settings, or None for fresh entropy.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0)
    >>> start(rbm, torch.ones(10, 6), 100, 20, 3)[2]
    {'base': 'base rates of the rows handed in', 'seed': 3}
    """
    check_count(2, chains=chains)  # one would have no error bar
    seed = seed_of(generator)
    temperatures = "adaptive" if temperatures is None else temperatures
    if isinstance(model, EnergyModel):
        own, plan, settings, stream = prepare(model, base, temperatures, generator)
        return own, plan, {**settings, **seed}, stream
    if not isinstance(model, LAYERED):
        if base is not None:
            raise ArgumentError("base= are rows for a Boltzmann machine: a kernel anneals from its target's reference")
        stream = resolve(generator, generator.device if isinstance(generator, torch.Generator) else "cpu")
        path = kernel_path(model)
        plan = schedule(path, temperatures, generator=stream)
        return path, plan, {"base": "the target's reference", **seed}, stream
    part = undirected(model)
    require_normalisable(part)
    stream = resolve(generator, part.weight.device)
    if base is None:
        source, rows = "base rates of 100 short chains of the model", part.sample(100, steps=100, generator=stream)
        part.check(rows)
        field = part.visible.base_field(rows.mean(0), len(rows))
    else:
        model.check(base)
        source, field = "base rates of the rows handed in", base_field(model, base)
    path = rbm_path(part, field)
    plan = schedule(path, temperatures, generator=stream)
    return path, plan, {"base": source, **seed}, stream


def seed_of(generator: object) -> dict[str, int]:
    """What the settings say of where random numbers come from: a seed, if that was given.

    >>> seed_of(3), seed_of(None)
    ({'seed': 3}, {})
    """
    return {"seed": int(generator)} if is_whole(generator) else {}
