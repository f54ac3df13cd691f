"""Does a kernel leave its target alone? Chains started exactly at the target must stay there.

    x_0 ~ pi, independent chains      =>      x_k ~ pi for every k,      and (x_0, x_1) ~ (x_1, x_0) if reversible

No burn-in, no autocorrelation and no effective sample size: the p-values are those of independent draws, and the
decision is that of `sequential`. Source: Gandy & Scott 2020, "Unit testing for MCMC and other Monte Carlo methods".
"""

from __future__ import annotations

import math
import os
import secrets
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.random import generator as seeded
from deepgen.random import key, streams
from deepgen.samplers.kernel import Kernel, advance, require_kernel
from deepgen.samplers.metropolis import Metropolis
from deepgen.testing.cells import cells
from deepgen.testing.failure import CheckFailed, demand
from deepgen.testing.goodness import same_law, symmetric
from deepgen.testing.sequential import STAGES, sequential

ACCEPTANCE = (0.4, 0.7)
COINS = 0.01  # the share of alpha for decisions that are not coins, a defect that is seen at once or never


class Invariance(NamedTuple):
    """What a passed `check_kernel` rests on.

    p, stages, n: as in `Evidence`. steps: those of each chain. acceptance: the mean over chains and steps, None for
    kernels that report none. seed: ``generator=seed`` repeats the check.
    """

    p: float
    stages: int
    n: int
    steps: int
    acceptance: float | None
    seed: int


class WeakEvidence(UserWarning):
    """A check passed at settings at which it would have missed a class of defects.

    >>> issubclass(WeakEvidence, Warning)
    True
    """


def check_kernel(
    kernel: Kernel,
    draw: Callable[..., Tensor],
    *,
    p_values: Callable[[Tensor], Sequence[float]] | None = None,
    steps: int | None = None,
    n: int = 4096,
    reversible: bool = False,
    isolated: bool = True,
    acceptance: tuple[float, float] | None = ACCEPTANCE,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> Invariance:
    """Check that ``kernel`` leaves the law of ``draw`` invariant, by exact starts on independent chains.

    Chains start at exact draws, so after any number of steps their positions are exact draws again. Also checked:
    positions stay finite, shaped and typed as they were; chains move; a step is a function of its state and generator
    alone, which it does not change; and a chain's path does not depend on where others are. The decisions of a
    kernel of `metropolis` are independent coins of the chances that it reports.

    With ``reversible``, (x0, x1) must have the law of (x1, x0) as well (detailed balance). Not seen are biases below
    the resolution of about 1e-2 in the probability of a cell, and a kernel that is right but hardly moves. Nor can
    exact starts show that a kernel is reducible or periodic: one that keeps the parity of x, say, keeps the law of
    exact draws. For that, start all chains at one point and compare where they end with the law.

    Where a proposal is seldom rejected, nobody sees what happens when it is (at an acceptance of 94 % a gradient that
    is stale after a rejection goes unnoticed): choose a step size with acceptance 0.4 to 0.7, else a warning asks.

    Args:
        kernel: the kernel; a biased one has to be tested against its own stationary law, an adaptive one after `tune`.
        draw: ``draw(n, generator=g)``: ``n`` exact independent positions ``[n, *event]``.
        p_values: goodness of fit of positions ``[n, *event]``, such as ``Exact(rbm).visible_law().p_values``; by
            default they are compared with fresh draws, which halves the sample.
        steps: steps before the law is looked at; by default 20 for kernels whose Info has ``acceptance`` or
            ``accepted``, 10 for others.
        n: chains in the first stage of `sequential`.
        reversible: test detailed balance of one step too.
        isolated: require that other chains do not matter bit for bit; False for kernels that use up a varying
            number of random numbers.
        acceptance: warn where the mean acceptance lies outside; None where it cannot be chosen.
        alpha: the greatest chance that a correct kernel fails, where the p-values are right. Those of `ks` are exact,
            of `chi_square` within a factor of 1.4; those of means hold for many draws of laws without long tails.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: with what was seen, and the seed that shows it again.

    Warns:
        WeakEvidence: the kernel passed, and its acceptance lies outside of ``acceptance``.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=3, hidden=2, generator=0)
    >>> exact = dg.testing.Exact(rbm)
    >>> check_kernel(rbm.gibbs(), lambda n, generator: exact.sample(n, generator=generator)[0], generator=0).steps
    10
    """
    device = generator.device if isinstance(generator, torch.Generator) else "cpu"
    seed = secrets.randbits(48) if generator is None else generator if isinstance(generator, int) else key(generator)
    source, name, rates = seeded(seed, device), type(kernel).__name__, list[float]()
    require_kernel(kernel)
    try:
        demand(kernel.exactness.kind != "adaptive", f"{name} is adaptive: check the kernel that its tune returns")
        reports = _check_step(kernel, draw(64, generator=source), source)
        steps = steps or (20 if reports else 10)
        _check_moves(kernel, draw(64, generator=source), steps, source)
        if isolated:
            _check_isolation(kernel, draw(256, generator=source), draw(256, generator=source), source)

        def drift(count: int, g: torch.Generator) -> list[float]:
            start, walk = draw(count, generator=g), streams(key(g), device)
            state, once = kernel.init(start), start
            for step in range(steps):
                state, info = kernel.step(state, generator=walk)
                once = state.position if step == 0 else once
                rates.append(_acceptance(info))
                if isinstance(kernel, Metropolis):  # the Info of others may be of several decisions
                    _check_coins(info, COINS * alpha / (STAGES * steps), name)
            last = state.position
            if not bool(last.isfinite().all()):
                return [0.0]
            found = list(same_law(last, draw(count, generator=g), generator=g) if p_values is None else p_values(last))
            return found + (_reversed_law(start, once, g) if reversible else [])

        what = f"{name} drifts from its target in {steps} steps"
        evidence = sequential(drift, what=what, n=n, alpha=(1 - COINS) * alpha, generator=source)
    except CheckFailed as failure:
        raise CheckFailed(f"{failure}; repeat with generator={seed}") from None
    rate = sum(rates) / len(rates) if reports else None
    if rate is not None and acceptance is not None and not acceptance[0] <= rate <= acceptance[1]:
        warnings.warn(
            f"{name} passed at a mean acceptance of {rate:.2f}, where some defects do not show: choose a step size "
            f"with {acceptance[0]:g} to {acceptance[1]:g}, or acceptance=None if there is none to choose",
            WeakEvidence,
            stacklevel=2,
        )
    return Invariance(*evidence, steps, rate, seed)


def kernel_test(
    kernel: Kernel | Callable[[], Kernel], draw: Callable[..., Tensor], **options: Any
) -> Callable[[], None]:
    """A test function for pytest that runs `check_kernel`, in one line of a test file.

        test_flip = kernel_test(FlipOne(log_density), draw, reversible=True)

    Every run draws a fresh seed and prints it; the environment variable ``DEEPGEN_TEST_SEED`` repeats one.

    Args:
        kernel: the kernel, or a function without arguments that makes it.
        draw: exact draws from its target.
        options: further ones of `check_kernel`.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.mala(lambda x: -x.square().sum(-1) / 2, 3.0)
    >>> test_mala = kernel_test(kernel, lambda n, generator: torch.randn(n, 2, generator=generator))
    >>> test_mala()
    seed ... (DEEPGEN_TEST_SEED=... repeats it)
    """

    def test() -> None:
        given = os.environ.get("DEEPGEN_TEST_SEED")
        seed = int(given) if given else secrets.randbits(48)
        print(f"seed {seed} (DEEPGEN_TEST_SEED={seed} repeats it)")
        made = kernel if isinstance(kernel, Kernel) else kernel()
        check_kernel(made, draw, generator=seed, **options)

    return test


def _acceptance(info: Any) -> float:
    rate = getattr(info, "acceptance", getattr(info, "accepted", None))
    return float(rate.double().mean()) if isinstance(rate, Tensor) else float("nan")


def _check_coins(info: Any, alpha: float, name: str) -> None:
    """By Bernstein's inequality, P(|sum of (accepted - a)| >= s) <= 2 exp(-s^2 / (2 (sum of a (1 - a) + s / 3)))."""
    chance = info.acceptance.double()
    off, variance = float((info.accepted.double() - chance).sum().abs()), float((chance * (1 - chance)).sum())
    allowed = 2 * math.exp(-(off**2) / (2 * (variance + off / 3) + 1e-9))
    demand(
        not allowed < alpha,
        f"{name}: of {len(chance)} chains {int(info.accepted.sum())} accepted, where the chances that it reports make "
        f"it {float(chance.sum()):.1f} +- {variance**0.5:.1f}: are the uniforms of chains independent?",
    )


def _check_step(kernel: Kernel, start: Tensor, source: torch.Generator) -> bool:
    """Check one step as a function; whether it reports acceptance."""
    name, state = type(kernel).__name__, kernel.init(start.clone())
    demand(torch.equal(state.position, start.to(state.position)), f"{name}.init moved the positions it was given")
    before, seed = state.position.clone(), key(source)
    after, info = kernel.step(state, generator=streams(seed, source.device))
    demand(torch.equal(state.position, before), f"{name}.step changed the state it was given, in place")
    demand(type(after) is type(state), f"{name}.step returned a {type(after).__name__}, not a {type(state).__name__}")
    for field, old, new in zip(state._fields, state, after, strict=True):
        if isinstance(old, Tensor):
            same = (old.shape, old.dtype, old.device) == (new.shape, new.dtype, new.device)
            demand(same, f"{name}.step turned {field} from {old.dtype} {[*old.shape]} to {new.dtype} {[*new.shape]}")
    advance(kernel, after, 5, generator=streams(source, source.device))
    again, _info = kernel.step(state, generator=streams(seed, source.device))
    same = torch.allclose(again.position, after.position, equal_nan=True)
    demand(same, f"{name} is not a function: the same state and seed lead elsewhere after some more steps")
    return isinstance(getattr(info, "acceptance", getattr(info, "accepted", None)), Tensor)


def _check_moves(kernel: Kernel, start: Tensor, steps: int, source: torch.Generator) -> None:
    name, state = type(kernel).__name__, kernel.init(start)
    last = advance(kernel, state, steps, generator=streams(source, source.device)).position
    varied = len(torch.unique(start.reshape(len(start), -1), dim=0)) > 1
    message = f"{name} moved none of {len(start)} chains in {steps} steps"
    demand(not varied or not torch.equal(last, start.to(last)), message)


def _check_isolation(kernel: Kernel, start: Tensor, other: Tensor, source: torch.Generator) -> None:
    """Replace half of the chains: the rest must not notice. Few steps, as common random numbers make chains merge."""
    kept = torch.randperm(len(start), generator=source, device=source.device) % 2 == 0
    mixed = torch.where(kept.to(start.device).reshape(-1, *(1,) * (start.ndim - 1)), start, other)
    message = f"{type(kernel).__name__}: the path of a chain depends on where other chains are"
    for steps in (1, 2, 3):
        seed = key(source)
        ends = [
            advance(kernel, kernel.init(position), steps, generator=streams(seed, source.device)).position[kept]
            for position in (start, mixed)
        ]
        demand(torch.allclose(ends[0], ends[1], rtol=1e-4, atol=1e-5, equal_nan=True), message)


def _reversed_law(first: Tensor, second: Tensor, generator: torch.Generator) -> list[float]:
    """p-values that (first, second) has the law of (second, first)."""
    first, second = (x.reshape(len(x), -1) for x in (first, second))
    cell = cells(torch.cat([first, second]))
    if int(cell.max()) < len(first) // 64:
        return [symmetric(cell[: len(first)], cell[len(first) :])]
    if int(cell.max()) < len(first) // 8:  # too many pairs of cells: coarser ones from two projections, by sign
        return [_coarse(first, second, generator) for _ in range(3)]
    half = len(first) // 2  # halves, so that the two sides are independent
    there = torch.cat([first[:half], second[:half]], 1)
    back = torch.cat([second[half:], first[half:]], 1)
    products = torch.randn(first.shape[1], first.shape[1], generator=generator).to(first)
    bilinear = [((x.chunk(2, 1)[0] @ products) * x.chunk(2, 1)[1].tanh()).sum(1, keepdim=True) for x in (there, back)]
    return same_law(there, back, generator=generator) + same_law(bilinear[0], bilinear[1], generator=generator)


def _coarse(first: Tensor, second: Tensor, generator: torch.Generator) -> float:
    direction = torch.randn(first.shape[1], 1, generator=generator).to(first)
    values = torch.cat([first, second]) @ direction
    edges = values.quantile(torch.linspace(0, 1, 9).to(values))[1:-1]
    cell = torch.bucketize(values.flatten(), edges)
    return symmetric(cell[: len(first)], cell[len(first) :])
