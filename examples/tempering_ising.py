"""Does tempering carry an Ising grid through its transition, and are its numbers right at every temperature?

    p(s) ~ exp(K sum over neighbours s_i s_j),    s_i = -1 or 1 on an L x L torus,    critical K = log(1 + sqrt 2) / 2

Below the critical temperature the grid is nearly all up or nearly all down, and a chain of single-spin moves never
turns it over. Replicas between K = 0 and the cold end trade temperatures: one that is cold now was hot before, and
forgot which way it pointed. The moves are a kernel of this file's own, a sweep of the checkerboard with at(beta);
`tempering` asks for no more. One run gives the energy at every rung and log Z at the cold end, beside Kaufman's exact
values for the same torus; the magnetisation is beside Yang's, which is that of an infinite grid.

    python examples/tempering_ising.py

Sources: Kaufman 1949, "Crystal statistics II"; Yang 1952, "The spontaneous magnetization of a two-dimensional Ising
model".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import deepgen as dg
from deepgen.plot.figures import PALETTE, new_figure, quiet, save
from deepgen.samplers.replicas import by_rung

CRITICAL = math.log(1 + math.sqrt(2)) / 2


class Spins(NamedTuple):
    """position: ``[chains, L, L]``; log_density: K sum s_i s_j ``[chains]``."""

    position: Tensor
    log_density: Tensor


@dataclass(frozen=True)
class Sweep:
    """One sweep: first the black sites, then the white ones, each from its law given the four beside it."""

    coupling: float
    beta: float | Tensor = 1.0
    exactness = dg.samplers.EXACT

    def at(self, beta: float | Tensor) -> Sweep:
        return replace(self, beta=beta)

    def init(self, position: Tensor) -> Spins:
        bonds = position * (position.roll(1, 1) + position.roll(1, 2))
        return Spins(position, self.coupling * bonds.sum((1, 2)))

    def step(self, state: Spins, *, generator: torch.Generator) -> tuple[Spins, tuple[()]]:
        s = state.position
        line = torch.arange(s.shape[1], device=s.device)
        black = (line + line.unsqueeze(1)) % 2 == 0
        scale = torch.as_tensor(2 * self.coupling * self.beta, device=s.device).reshape(-1, 1, 1)
        threshold = dg.random.uniform(s.shape, generator=generator).logit()
        for sites in (black, ~black):
            field = scale * (s.roll(1, 1) + s.roll(-1, 1) + s.roll(1, 2) + s.roll(-1, 2))
            s = torch.where(sites, (threshold < field).to(s.dtype) * 2 - 1, s)
        return self.init(s), ()


def kaufman(coupling: Tensor, size: int) -> Tensor:
    """log Z of the ``size`` x ``size`` torus at each coupling, float64; its derivative is the mean sum of s_i s_j."""
    k = coupling.double().unsqueeze(-1)
    angle = math.pi * torch.arange(1, 2 * size, dtype=torch.float64) / size
    gamma = torch.acosh(torch.cosh(2 * k) / torch.tanh(2 * k) - angle.cos())
    gamma = torch.cat([2 * k + torch.tanh(k).log(), gamma], -1)  # the first is negative above the transition
    half = size * gamma / 2
    cosh = half.abs() + torch.log1p((-2 * half.abs()).exp())
    sinh = half.abs() + torch.log(-torch.expm1(-2 * half.abs()))
    terms = torch.stack([cosh[..., 1::2].sum(-1), sinh[..., 1::2].sum(-1), cosh[..., ::2].sum(-1)], -1)
    last = sinh[..., ::2].sum(-1)
    top = terms.amax(-1)
    total = (terms - top.unsqueeze(-1)).exp().sum(-1) + half[..., 0].sign() * (last - top).exp()
    return top + total.log() - math.log(2) + size**2 / 2 * (2 * torch.sinh(2 * k.squeeze(-1))).log()


def yang(coupling: Tensor) -> Tensor:
    """|m| of the infinite grid."""
    return (1 - torch.sinh(2 * coupling) ** -4).clamp_min(0) ** 0.125


def main(
    size: int = 16,
    coupling: float = 0.6,
    chains: int = 32,
    draws: int = 2000,
    warmup: int = 500,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    sweep, up = Sweep(coupling), torch.ones(chains, size, size)

    def keep(state: dg.samplers.replicas.Replicas) -> Tensor:
        """Sum of s_i s_j and mean spin of every rung: [chains, rungs, 2]."""
        both = [state.moving.log_density / coupling, state.moving.position.mean((2, 3))]
        return torch.stack([by_rung(x, state.rung) for x in both], -1)

    trace = dg.samplers.sample_chain(dg.samplers.tempering(sweep), up, draws, warmup=warmup, keep=keep, generator=seed)
    alone = dg.samplers.sample_chain(
        sweep, up, draws, warmup=warmup, keep=lambda s: s.position.mean((1, 2)), generator=seed
    )

    def mean_and_error(x: Tensor) -> tuple[Tensor, Tensor]:
        by_chain = x.double().mean(0)  # chains are independent
        return by_chain.mean(0), by_chain.std(0) / chains**0.5

    seen = dg.samplers.ladder(trace)
    bonds, spin = trace.draws.unbind(-1)
    couplings = coupling * seen.betas.double()
    energy, energy_error = mean_and_error(-bonds / size**2)
    order, order_error = mean_and_error(spin.abs())
    fine = torch.linspace(0.02, coupling, 200, dtype=torch.float64, requires_grad=True)
    (curve,) = torch.autograd.grad(kaufman(fine, size).sum(), fine)
    at = couplings[1:].clone().requires_grad_()
    (exact,) = torch.autograd.grad(kaufman(at, size).sum(), at)
    exact = torch.cat([torch.zeros(1), -exact / size**2])  # at K = 0 spins are fair coins

    print(f"{size} x {size}, K from 0 to {coupling}, {chains} chains of {draws} steps; critical K = {CRITICAL:.4f}")
    print("     K   swaps up  energy a site       exact    |m|              Yang, infinite")
    for r, k in enumerate(couplings.tolist()):
        rate = f"{float(seen.rates[r]):.2f}" if r < len(seen.rates) else ""
        found, own = (
            dg.evaluate.plus_minus(float(a[r]), float(b[r])) for a, b in ((energy, energy_error), (order, order_error))
        )
        print(f"{k:8.4f}{rate:>7}   {found:18}{float(exact[r]):9.5f}   {own:16}{float(yang(couplings[r])):7.4f}")
    log_z = seen.log_partition(log_base=size**2 * math.log(2))
    truth = float(kaufman(torch.tensor(coupling, dtype=torch.float64), size))
    print(f"log Z {log_z}; Kaufman {truth:.4f}")
    share, share_error = mean_and_error((spin[..., -1] > 0).double())
    stuck = float((alone.draws > 0).double().mean())
    print(f"barrier {seen.barrier:.1f}, {seen.trips:.1f} round trips a chain")
    print(f"cold draws that point up: {dg.evaluate.plus_minus(float(share), float(share_error))}; exact 0.5")
    print(f"without tempering, from the same start: {stuck:.3f}")

    figure = new_figure(900, 300)
    left, middle, right = figure.subplots(1, 3)
    drawn = fine.detach()
    left.plot(drawn, -curve / size**2, color=PALETTE["s0"], linewidth=1.4, label=f"Kaufman, {size} x {size}")
    left.plot(couplings, energy, "o", color=PALETTE["s1"], markersize=4, label="replicas, by temperature")
    left.set_title("energy a site, in units of J", loc="left", fontsize=9)
    middle.plot(drawn, yang(drawn), color=PALETTE["s0"], linewidth=1.4, label="Yang, infinite")
    middle.plot(couplings, order, "o", color=PALETTE["s1"], markersize=4, label="replicas, by temperature")
    middle.set_title("|magnetisation|", loc="left", fontsize=9)
    for ax in (left, middle):
        ax.axvline(CRITICAL, color=PALETTE["muted"], linewidth=1, linestyle=":", label=f"critical K, {CRITICAL:.3f}")
        ax.set_xlabel("K, coupling over temperature", fontsize=8)
        ax.legend(frameon=False, fontsize=7)
    first = slice(0, 500)
    right.plot(spin[first, 0, -1], color=PALETTE["s1"], linewidth=0.8, label="tempered")
    right.plot(alone.draws[first, 0], color=PALETTE["s0"], linewidth=0.8, label="sweeps alone")
    right.set_title(f"magnetisation of one chain at K = {coupling}", loc="left", fontsize=9)
    right.set_xlabel("step", fontsize=8)
    right.set_ylim(-1.1, 1.5)
    right.set_yticks([-1, 0, 1])
    right.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    for ax in (left, middle, right):
        quiet(ax)
    figure.tight_layout()
    picture = save(figure, out / "tempering_ising.png", scale=2)
    print(f"energy and magnetisation in {picture}")
    square, square_error = mean_and_error(spin[..., -1].square())
    z = ((energy - exact) / energy_error)[1:]
    return {
        "worst z": float(z.abs().max()),
        "rungs": len(couplings),
        "log Z": log_z.value,
        "log Z error": log_z.stderr,
        "log Z exact": truth,
        "up": float(share),
        "up error": float(share_error),
        "stuck": stuck,
        "square": float(square),
        "square error": float(square_error),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)  # the grids are too small to share
    main()
