"""What a transform promises: two maps that undo one another, with log-determinants that autograd confirms."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.random import resolve
from deepgen.testing.failure import demand
from deepgen.testing.gradients import check_gradient, check_narrow_gradient
from deepgen.transforms.base import METHODS, Solved, solve

TIMES = 200  # how far a round trip may exceed what rounding once in every place does to it; correct ones stay below 10
SCALES = (5.0, 20.0)
MANY = 128  # rows, enough for code that is meant for many
Module = TypeVar("Module", bound=nn.Module)
OTHER = {"encode": "decode", "decode": "encode"}


def check_transform(
    transform: nn.Module,
    x: Tensor,
    context: Tensor | None = None,
    *,
    generator: torch.Generator | int | None = None,
) -> list[str]:
    """Check ``encode`` and ``decode`` of ``transform`` on rows ``x`` and return the names of the checks made.

    ============  =====================================================================================================
    jacobian      both log-determinants are those of the float64 Jacobian by autograd, to 1e-8 a row; rows stay apart
    round trip    each direction undoes the other, in float32 and float64, by every method, and their log-determinants
                  are opposite; judged by backward error: what a relative change of one unit in the last place of the
                  input and of every parameter does to the result is the scale
    extremes      the same for every part with its parameters times 5 and 20, where one of the two orders must pass
                  (a map with slopes of 10^6 cannot be undone in float32, only its inverse can); no NaN anywhere
    gradients     of both directions, in input, context and parameters, against differences of values; those in
                  float32 against those in float64
    ============  =====================================================================================================

    A direction that raises `MissingCapability` is left out, and named: ``no encode`` or ``no decode``.

    Args:
        transform: a `deepgen.transforms.Transform`; a copy of it in evaluation mode is checked.
        x: rows it encodes ``[batch, *event]``, best typical of its data; codes if it cannot encode.
        context: ``[batch, context]``, or None.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        CheckFailed: naming the broken promise.

    >>> from deepgen.transforms import Coupling
    >>> check_transform(Coupling(3, hidden=[8], generator=0), torch.randn(4, 3), generator=0)
    ['jacobian', 'round trip', 'extremes', 'gradients']
    """
    stream, name = resolve(generator), type(transform).__name__
    transform = copy.deepcopy(transform).eval()
    rows = _both_ends(transform, x, context)
    twin, wide = copy.deepcopy(transform).double(), None if context is None else context.double()
    for towards, start in rows.items():
        _check_jacobian(twin, start.double(), wide, towards, name)
    done = ["jacobian"]
    if len(rows) == 2:
        for towards, start in rows.items():
            for dtype in (torch.float32, torch.float64):
                fault = _round_trip(transform, start, context, towards, dtype, stream)
                demand(not fault, f"{name}: {fault}")
        _check_extremes(transform, rows, context, stream)
        done += ["round trip", "extremes"]
    for towards, start in rows.items():
        _check_gradients(twin, start, context, towards, stream)
    return [*done, "gradients", *(f"no {way}" for way in OTHER if way not in rows)]


def _both_ends(transform: nn.Module, x: Tensor, context: Tensor | None) -> dict[str, Tensor]:
    """The directions that exist, and rows to start each from."""
    rows, name = {}, type(transform).__name__
    for towards in ("encode", "decode"):
        try:
            value, log_det, _ = solve(transform, x, context, towards=towards, method="auto")
        except MissingCapability:
            continue
        rows[towards] = x
        if towards == "encode":
            x = value.detach()
        demand(value.shape == rows[towards].shape, f"{name}.{towards} of {[*x.shape]} gave {[*value.shape]}")
        demand(log_det.shape == x.shape[:1], f"{name}.{towards} gave log-determinants {[*log_det.shape]}, not {len(x)}")
        good = bool(value.isfinite().all() and log_det.isfinite().all())
        demand(good, f"{name}.{towards} is not finite on the rows given")
    demand(rows, f"{name} has neither encode nor decode")
    return rows


def _check_jacobian(transform: nn.Module, x: Tensor, context: Tensor | None, towards: str, name: str) -> None:
    x = x.detach().requires_grad_()
    value, log_det, _ = solve(transform, x, context, towards=towards, method="auto")
    flat = value.flatten(1)
    demand(flat.requires_grad, f"{name}.{towards} passes no gradient to its input")

    def slope(value: Tensor) -> Tensor:
        return torch.autograd.grad(value.sum(), x, retain_graph=True, materialize_grads=True)[0].flatten(1)

    slopes, other = [slope(column) for column in flat.T], slope(flat[0])
    demand(any(bool(s.any()) for s in slopes), f"{name}.{towards} passes no gradient to its input")
    demand(not bool(other[1:].any()), f"{name}.{towards} of a row depends on the other rows")
    jacobian = torch.stack(slopes, 1)
    expected, width = torch.linalg.slogdet(jacobian).logabsdet, flat.shape[1]
    rounding = 10 * width * torch.linalg.cond(jacobian) * torch.finfo(jacobian.dtype).eps
    demand(bool((rounding < 1e-3).all()), f"{name}.{towards}: the Jacobian is too near singular to be checked here")
    error = (log_det.detach() - expected).abs()
    worst = int((error - rounding).argmax())
    demand(
        bool((error <= rounding.clamp_min(1e-8)).all()),
        f"{name}.{towards}: log-determinant {float(log_det.detach()[worst]):.8g} in row {worst}, "
        f"that of the Jacobian by autograd is {float(expected[worst]):.8g}",
    )


@torch.no_grad()
def _round_trip(
    transform: nn.Module, x: Tensor, context: Tensor | None, there: str, dtype: torch.dtype, stream: torch.Generator
) -> str:
    """What is wrong with going ``there`` and back from ``x``, or nothing."""
    back, x, eps = OTHER[there], x.to(dtype), torch.finfo(dtype).eps
    exact, context = copy.deepcopy(transform).to(dtype), None if context is None else context.to(dtype)
    first = solve(exact, x, context, towards=there, method="jacobi")
    moves = _rounded(exact, first.value, context, back, stream)
    reach = moves.value + eps * (1 + _size(x))
    reach_det = moves.log_det + eps * (x[0].numel() + first.log_det.abs())
    for method in METHODS if any(first.sweeps) else METHODS[:1]:  # nothing to sweep: all methods are one
        value, log_det, _ = solve(exact, x, context, towards=there, method=method)
        again, opposite, _ = solve(exact, value, context, towards=back, method=method)
        for what, error, limit in (
            (f"{there}, then {back}, misses its start", _size(again - x), reach),
            (f"the log-determinants of {there} and {back} are not opposite", (log_det + opposite).abs(), reach_det),
        ):
            if not bool((error <= TIMES * limit).all()):  # NaN fails here too
                row = int((error / limit).nan_to_num(torch.inf).argmax())
                return (
                    f"{what} by method {method!r} in {dtype}: off by {float(error[row]):.2e} in row {row}, "
                    f"where rounding explains {float(limit[row]):.1e}"
                )
    return ""


def _rounded(
    transform: nn.Module, value: Tensor, context: Tensor | None, towards: str, stream: torch.Generator
) -> Solved:
    """How far, at most, each row's result moves when input and parameters are off by a unit in the last place.

    It moves the parameters of ``transform`` and puts them back: give it a copy.
    """
    eps, kept = torch.finfo(value.dtype).eps, [(p, p.clone()) for p in transform.parameters()]
    middle = solve(transform, value, context, towards=towards, method="auto")
    far, far_det = torch.zeros_like(middle.log_det), torch.zeros_like(middle.log_det)

    def signs(like: Tensor) -> Tensor:
        return torch.randint(2, like.shape, generator=stream).to(like) * 2 - 1

    for _ in range(8):
        for p, own in kept:
            p.copy_(own * (1 + eps * signs(p)))
        near = value + eps * signs(value) * (1 + value.abs())
        moved = solve(transform, near, context, towards=towards, method="auto")
        far = torch.maximum(far, _size(moved.value - middle.value))
        far_det = torch.maximum(far_det, (moved.log_det - middle.log_det).abs())
    for p, own in kept:
        p.copy_(own)
    return Solved(far, far_det, ())


def _size(x: Tensor) -> Tensor:
    """The largest entry of each row."""
    return x.flatten(1).abs().amax(1)


@torch.no_grad()
def _check_extremes(
    transform: nn.Module, rows: dict[str, Tensor], context: Tensor | None, stream: torch.Generator
) -> None:
    for part, x in _parts(transform, rows["encode"], context):
        for scale in SCALES:
            extreme, ends = scaled(part, scale), {"encode": x, "decode": part.encode(x, context)[0]}  # type: ignore[operator]
            for dtype in (torch.float32, torch.float64):
                faults = [_round_trip(extreme, ends[way], context, way, dtype, stream) for way in OTHER]
                where = f"{type(part).__name__} with parameters times {scale:g}"
                demand(not all(faults), f"{where}: {faults[1]}")
    for scale in SCALES:
        for towards, start in rows.items():
            extreme, wide = scaled(transform, scale), scaled(transform, scale).double()
            got = solve(extreme, start, context, towards=towards, method="auto")
            far = None if context is None else context.double()
            value = solve(wide, start.double(), far, towards=towards, method="auto").value.flatten(1)
            fits = (value.abs() < torch.finfo(got.value.dtype).max ** 0.8).all(1)  # beyond it overflow is no fault
            bad = fits & (got.value.flatten(1).isnan().any(1) | got.log_det.isnan())
            what = f"{type(transform).__name__}.{towards} with parameters times {scale:g} gives NaN"
            demand(not bool(bad.any()), f"{what} in {int(bad.sum())} of {len(bad)} rows")


def _parts(transform: Any, x: Tensor, context: Tensor | None) -> Iterator[tuple[nn.Module, Tensor]]:
    """The parts of a chain, each with the rows that reach it; anything else is its own part."""
    if not hasattr(transform, "transforms"):
        yield transform, x
        return
    for part in transform.transforms:
        yield from _parts(part, x, context)
        x = part.encode(x, context)[0]


def scaled(module: Module, factor: float) -> Module:
    """A copy with all parameters times ``factor``."""
    other = copy.deepcopy(module)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(factor)
    return other


def _check_gradients(
    transform: nn.Module, x: Tensor, context: Tensor | None, towards: str, stream: torch.Generator
) -> None:
    """Check the gradients of one direction of a float64 ``transform``: value and log-determinant, in all they use."""
    leaves = [t.detach().double().clone().requires_grad_() for t in (x, context) if t is not None]
    mine = leaves[1] if context is not None else None
    pull = torch.randn(x.shape, generator=stream, dtype=torch.float64)

    def f() -> Tensor:
        value, log_det, _ = solve(transform, leaves[0], mine, towards=towards, method="auto")
        return (value * pull).sum() + log_det.sum()

    at = [*leaves, *(p for p in transform.parameters() if p.requires_grad)]
    what = f"{type(transform).__name__}.{towards}"
    check_gradient(f, at, what=what, generator=stream)
    many = -(-MANY // len(x))
    given = None if context is None else context.repeat(many, *[1] * (context.ndim - 1))
    wide_pull = pull.repeat(many, *[1] * (x.ndim - 1))

    def summed(module: Any, rows: Tensor) -> Tensor:
        same = None if given is None else given.to(rows.dtype)
        value, log_det, _ = solve(module, rows, same, towards=towards, method="auto")
        return (value * wide_pull.to(rows)).sum() + log_det.sum()

    def rows() -> Tensor:
        more = x.detach().repeat(many, *[1] * (x.ndim - 1))
        return more * (1 - 0.1 * torch.rand(more.shape, generator=stream).to(more))

    check_narrow_gradient(summed, transform, rows, what=what)
