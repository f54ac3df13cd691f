"""Is a map its own inverse, and is its log-determinant right? What makes a deterministic proposal reversible.

f(f(z)) = z,      log |det df/dz| (f(z)) = -log |det df/dz| (z)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError
from deepgen.testing.failure import demand

RETURN = 1e-7
LOG_DET = 1e-6


def check_involution(f: Callable[..., Any], z: Tensor | Sequence[Tensor], *, volume_preserving: bool = False) -> None:
    """Check in float64 that ``f`` is its own inverse, row by row, with the log-determinant it reports.

    Deterministic: f(f(z)) = z to 1e-7 of its size; the log-determinant is that of autograd's Jacobian to 1e-6, and
    changes its sign on the way back; the determinant's sign may be either. A row of the result depends on the same row
    of ``z`` alone.

    Args:
        f: ``f(z) -> (z', log_det [n])``, or for several parts ``f(x, v) -> (x', v', log_det)``. An ``nn.Module`` is
            copied and made float64; another function must take float64.
        z: rows ``[n, *event]``, or a tuple of parts ``[n, ...]``: typical ones, 20 or so.
        volume_preserving: ``f`` returns no log-determinant, and it must be 0.

    Raises:
        CheckFailed: with the greatest error.

    >>> x, v = 1 + torch.rand(5, 2), torch.rand(5, 2)
    >>> check_involution(lambda x, v: (v.exp(), x.log(), (v - x.log()).sum(1)), (x, v))
    >>> check_involution(lambda x: 1 - x, torch.rand(5, 2), volume_preserving=True)
    >>> check_involution(lambda x: (1 / x, -x.log().sum(1)), 1 + torch.rand(5, 2))
    Traceback (most recent call last):
    deepgen.testing.failure.CheckFailed: the log-determinant is ..., that of the Jacobian ...
    """
    parts = [p.detach().double() for p in ((z,) if isinstance(z, Tensor) else z)]
    if not parts or any(p.ndim < 2 or len(p) != len(parts[0]) for p in parts):
        raise ShapeError(f"z must be rows [n, *event], or parts with as many rows; got {[[*p.shape] for p in parts]}")
    function = copy.deepcopy(f).double() if isinstance(f, nn.Module) else f
    shapes, widths = [p.shape[1:] for p in parts], [p[0].numel() for p in parts]

    def call(flat: Tensor) -> tuple[Tensor, Tensor]:
        pieces = [p.reshape(-1, *s) for p, s in zip(flat.split(widths, 1), shapes, strict=True)]
        out = function(*pieces)
        out = list(out) if isinstance(out, tuple) else [out]
        log_det = flat.new_zeros(len(flat)) if volume_preserving else out.pop()
        demand(log_det.shape == flat.shape[:1], f"the log-determinant must be [{len(flat)}], got {[*log_det.shape]}")
        got = [p.shape[1:] for p in out]
        demand(got == shapes, f"parts of shape {[[*s] for s in shapes]} became {[[*s] for s in got]}")
        return torch.cat([p.flatten(1) for p in out], 1), log_det

    start = torch.cat([p.flatten(1) for p in parts], 1)
    with torch.no_grad():
        there, log_det = call(start)
        back, log_back = call(there)
        alone = torch.cat([call(row)[0] for row in start.split(1)])
    demand(bool(there.isfinite().all()), "f gives values that are not finite")
    size = start.abs().max().clamp_min(1.0)
    error = (back - start).abs().max()
    demand(error <= RETURN * size, f"f(f(z)) is not z: off by {float(error):.2e}")
    error = (alone - there).abs().max()
    demand(
        error <= RETURN * there.abs().max().clamp_min(1.0), f"a row depends on other rows: off by {float(error):.2e}"
    )
    true = torch.linalg.slogdet(_jacobian(call, start)).logabsdet
    worst = int((log_det - true).abs().argmax())
    demand(
        (log_det - true).abs().max() <= LOG_DET * (1 + true.abs().max()),
        f"the log-determinant is {float(log_det[worst]):.6g}, that of the Jacobian {float(true[worst]):.6g}",
    )
    error = (log_det + log_back).abs().max()
    demand(error <= LOG_DET * (1 + true.abs().max()), f"the log-determinants there and back add to {float(error):.2e}")


def _jacobian(call: Callable[[Tensor], tuple[Tensor, Tensor]], start: Tensor) -> Tensor:
    """``[n, D, D]``, one backward pass for each output, through the sum over the rows."""
    with torch.enable_grad():
        x = start.clone().requires_grad_()
        out, _ = call(x)
        rows = [
            torch.autograd.grad(out[:, i].sum(), x, retain_graph=True, materialize_grads=True)[0]
            for i in range(x.shape[1])
        ]
    return torch.stack(rows, 1)
