"""Does a kernel leave its target alone? Chains started exactly at the target must stay there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deepgen.random import resolve
from deepgen.samplers.kernel import Kernel, advance
from deepgen.testing.failure import demand
from deepgen.testing.goodness import same_law, symmetric
from deepgen.testing.sequential import Evidence, sequential


def check_kernel(
    kernel: Kernel,
    draw: Callable[..., Tensor],
    *,
    p_values: Callable[[Tensor], Sequence[float]] | None = None,
    steps: int = 10,
    n: int = 4096,
    reversible: bool = False,
    isolated: bool = True,
    alpha: float = 1e-5,
    generator: torch.Generator | int | None = None,
) -> Evidence:
    """Check that ``kernel`` leaves the law of ``draw`` invariant, by exact starts on independent chains.

    Chains start at exact draws, so after any number of steps their positions are exact draws again: no burn-in, no
    autocorrelation, and the p-values are valid. Also checked: positions stay finite, shaped and typed as they were;
    chains move; a step does not change the state handed in; and a chain's path does not depend on where others are.

    With ``reversible``, (x0, x1) must have the law of (x1, x0) as well (detailed balance). Not seen are biases below
    the resolution of about 1e-2 in the probability of a cell, and a kernel that is right but hardly moves. Bugs in the
    rejection of proposals need a step size with acceptance 0.4 to 0.7 and ``steps`` of 20 or more.

    Args:
        kernel: the kernel; a biased one has to be tested against its own stationary law.
        draw: ``draw(n, generator=g)``: ``n`` exact independent positions ``[n, *event]``.
        p_values: goodness of fit of positions ``[n, *event]``, such as ``Exact(rbm).visible_law().p_values``; by
            default they are compared with fresh draws, which halves the sample.
        steps: steps before the law is looked at.
        n: chains in the first stage of `sequential`.
        reversible: test detailed balance of one step too.
        isolated: require that other chains do not matter bit for bit; False for kernels that use up a varying
            number of random numbers.
        alpha: the greatest chance that a correct kernel fails.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: with what was seen.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=3, hidden=2, generator=0)
    >>> exact = dg.testing.Exact(rbm)
    >>> evidence = check_kernel(rbm.gibbs(), lambda n, generator: exact.sample(n, generator=generator)[0], generator=0)
    """
    stream = resolve(generator)
    _check_step(kernel, draw(64, generator=stream), steps, stream)
    if isolated:
        _check_isolation(kernel, draw(256, generator=stream), draw(256, generator=stream), stream)

    def drift(count: int, g: torch.Generator) -> list[float]:
        start = draw(count, generator=g)
        once, _info = kernel.step(kernel.init(start), generator=g)
        last = advance(kernel, once, steps - 1, generator=g).position
        if not bool(last.isfinite().all()):
            return [0.0]
        found = list(same_law(last, draw(count, generator=g), generator=g) if p_values is None else p_values(last))
        return found + (_reversed_law(start, once.position, g) if reversible else [])

    name = type(kernel).__name__
    return sequential(drift, what=f"{name} drifts from its target in {steps} steps", n=n, alpha=alpha, generator=stream)


def _check_step(kernel: Kernel, start: Tensor, steps: int, stream: torch.Generator) -> None:
    name, state = type(kernel).__name__, kernel.init(start.clone())
    demand(torch.equal(state.position, start.to(state.position)), f"{name}.init moved the positions it was given")
    before = state.position.clone()
    after, _info = kernel.step(state, generator=stream)
    demand(torch.equal(state.position, before), f"{name}.step changed the state it was given, in place")
    demand(type(after) is type(state), f"{name}.step returned a {type(after).__name__}, not a {type(state).__name__}")
    for field, old, new in zip(state._fields, state, after, strict=True):
        if isinstance(old, Tensor):
            same = (old.shape, old.dtype, old.device) == (new.shape, new.dtype, new.device)
            demand(same, f"{name}.step turned {field} from {old.dtype} {[*old.shape]} to {new.dtype} {[*new.shape]}")
    last = advance(kernel, after, steps, generator=stream).position
    varied = len(torch.unique(start.flatten(1), dim=0)) > 1
    demand(not varied or not torch.equal(last, before), f"{name} moved none of {len(start)} chains in {steps} steps")


def _check_isolation(kernel: Kernel, start: Tensor, other: Tensor, stream: torch.Generator) -> None:
    """Replace half of the chains: the rest must not notice. Few steps, as common random numbers make chains merge."""
    kept = torch.randperm(len(start), generator=stream) % 2 == 0
    mixed = torch.where(kept.to(start.device).reshape(-1, *(1,) * (start.ndim - 1)), start, other)
    message = f"{type(kernel).__name__}: the path of a chain depends on where other chains are"
    for steps in (1, 2, 3):
        ends: list[Tensor] = []
        moment = stream.get_state()
        for position in (start, mixed):
            stream.set_state(moment)
            ends.append(advance(kernel, kernel.init(position), steps, generator=stream).position[kept])
        demand(torch.allclose(ends[0], ends[1], rtol=1e-4, atol=1e-5, equal_nan=True), message)


def _reversed_law(first: Tensor, second: Tensor, generator: torch.Generator) -> list[float]:
    """p-values that (first, second) has the law of (second, first)."""
    first, second = first.flatten(1), second.flatten(1)
    _, cell = torch.unique(torch.cat([first, second]), dim=0, return_inverse=True)
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
