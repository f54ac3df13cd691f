"""Monotone rational-quadratic spline (Durkan, Bekasov, Murray & Papamakarios 2019, "Neural spline flows").

The box [-L, L] is cut into K bins. Bin k, from (x_k, y_k) to (x_{k+1}, y_{k+1}), has width w, height h, mean slope
s = h / w and slopes d_0, d_1 at its ends; outside the box the map is the identity. With a = (x - x_k) / w, b = 1 - a,

    z = y_k + h (s a^2 + d_0 a b) / D,    dz/dx = s^2 (d_1 a^2 + 2 s a b + d_0 b^2) / D^2,
    D = s (a^2 + b^2) + (d_0 + d_1) a b,

sums of positive terms only (D is the paper's s + (d_0 + d_1 - 2s) a b). The inverse solves the paper's quadratic. With
g = (z - y_k) / h and u = d_0 (1 - g) - d_1 g its discriminant is u^2 + 4 s^2 g (1 - g), positive as written, and with
m = |u| + the root of that, and n = 2 s g where u >= 0, else n = 2 s (1 - g),

    n / (m + n) = a where u >= 0, else 1 - a,

which lies in [0, 1] as computed and is right to a few roundings of z, with no clamps and no steps of Newton's method.

Parameters of one variable, K widths, K heights and K - 1 inner slopes, are free numbers c. Slopes are
exp(c / (1 + |c| / B)), within a factor e^B of 1. Widths and heights are 2L (r + (1 - K r) softmax(c / (1 + 2|c| / B))),
within a factor e^B of one another and not below 2L r. The outermost slopes are 1, so that the map is smooth at +-L.

Limits: one bin can hold slopes from about e^-3B to 2 e^B. Where the map is steep, neighbouring floating-point numbers x
are as many times further apart in z: f(f^{-1}(z)) - z is that rounding (below 1e-2 in float32), while x is lost where
the map is flat.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.compiled import followed, kernels
from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.transforms.univariate import LIMIT, soft_bound

SMALL = 64  # numbers below which loading compiled kernels does not pay
# With more threads than this, and more numbers, torch's own loops may overtake kernels, which run on one.
THREADS, LARGE = 8, 2**16


class Spline(nn.Module):
    """Rational-quadratic spline as a `Univariate` map: ``3 bins - 1`` parameters, all-zero ones the identity.

    float32 on a CPU is computed by compiled kernels (`spline_kernels`) with analytic gradients; second derivatives,
    forward-mode ones, other types and other devices by tensor operations. The two agree to rounding.

    Args:
        bins: K.
        box: L; beyond it the map is the identity.
        smallest: r, the smallest width and height of a bin as a share of the box.
        limit: B, at most 10.

    Raises:
        ShapeError: by `encode` and `decode`, unless there are ``count`` parameters for each value.

    >>> spline = Spline(bins=4)
    >>> z, log_slope = spline.encode(torch.tensor([-7.0, 0.0, 2.5]), torch.zeros(11, 3))
    >>> z.tolist(), log_slope.abs().max().item() < 1e-6
    ([-7.0, 0.0, 2.5], True)
    """

    def __init__(self, bins: int = 8, box: float = 5.0, *, smallest: float = 1e-3, limit: float = LIMIT) -> None:
        super().__init__()
        check_count(2, bins=bins)
        for name, value, top in (("box", box, 1e6), ("smallest", smallest, 0.5 / bins), ("limit", limit, 10.0)):
            if not 0 < value <= top:
                raise ArgumentError(f"{name} must be above 0 and at most {top:g}, got {value}")
        self.bins, self.box, self.smallest, self.limit = int(bins), float(box), float(smallest), float(limit)
        self.count = 3 * self.bins - 1

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"bins": self.bins, "box": self.box, "smallest": self.smallest, "limit": self.limit}

    def encode(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """z and log dz/dx, in nats: x ``[*shape]``, p ``[3 bins - 1, *shape]``."""
        return self._map(x, p, False)

    def decode(self, z: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """x and log dx/dz, the inverse of `encode`."""
        return self._map(z, p, True)

    def _map(self, value: Tensor, p: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        if p.shape != (self.count, *value.shape):
            raise ShapeError(f"parameters must be {[self.count, *value.shape]}, got {list(p.shape)}")
        dtype = torch.promote_types(value.dtype, p.dtype)  # under autocast a network puts out half precision
        value, p = value.to(dtype), p.to(dtype)
        if _fits(value, p):
            return _Compiled.apply(value, p, self, inverse)
        return self.plain(value, p, inverse)

    def plain(self, value: Tensor, p: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        """Either direction by tensor operations, differentiable any number of times."""
        # The formulas see only values in the box: an infinite gradient there would pass `where` as NaN.
        inside, v = value.abs() <= self.box, value.clamp(-self.box, self.box)
        left, width, bottom, height, d0, d1 = self._bin(v, p, inverse)
        s = height / width
        if not inverse:
            a = (v - left) / width
            b = 1 - a
        else:
            g = (v - bottom) / height
            u = d0 * (1 - g) - d1 * g
            m = u.abs() + torch.sqrt(u * u + 4 * s * s * g * (1 - g))
            up = u >= 0
            n = 2 * s * torch.where(up, g, 1 - g)
            near, far = n / (m + n), m / (m + n)
            a, b = torch.where(up, near, far), torch.where(up, far, near)
        aa, ab, bb = a * a, a * b, b * b
        den = s * (aa + bb) + (d0 + d1) * ab
        log_slope = torch.log(s * s * (d1 * aa + 2 * s * ab + d0 * bb) / (den * den))
        new = left + width * a if inverse else bottom + height * ((s * aa + d0 * ab) / den)
        return torch.where(inside, new, value), torch.where(inside, -log_slope if inverse else log_slope, 0.0)

    def _bin(self, v: Tensor, p: Tensor, inverse: bool) -> tuple[Tensor, ...]:
        """x_k, w, y_k, h, d_0 and d_1 of the bin that each of ``v`` lies in."""
        k, span = self.bins, 2 * self.box
        sizes, slopes = p.split([2 * k, k - 1])
        share = soft_bound(sizes.unflatten(0, (2, k)), self.limit / 2).softmax(1)
        inner = (share[:, :-1] * (span * (1 - k * self.smallest)) + span * self.smallest).cumsum(1) - self.box
        with torch.no_grad():
            low = (v >= inner[int(inverse)]).sum(0)
            ends = torch.stack([low - 1, low])  # among the inner edges; -1 and K - 1 stand for the outermost ones
            at, first, last = ends.clamp(0, k - 2), ends < 0, ends > k - 2
        edges = inner.gather(1, at.expand(2, *at.shape))
        (left, right), (bottom, top) = torch.where(first, -self.box, torch.where(last, self.box, edges))
        d0, d1 = torch.exp(soft_bound(torch.where(first | last, 0.0, slopes.gather(0, at)), self.limit))
        return left, right - left, bottom, top - bottom, d0, d1

    def extra_repr(self) -> str:
        return f"bins={self.bins}, box={self.box:g}"


class _Compiled(torch.autograd.Function):
    """`Spline.plain` by kernels. A backward pass that is to be differentiated itself goes through `plain`."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, p: Tensor, spline: Spline, inverse: bool) -> tuple[Tensor, Tensor]:
        v, out, slope = value.contiguous(), value.new_empty(value.shape), value.new_empty(value.shape)
        compiled = _kernels()
        compiled.evaluate(_flat(v), _rows(p.contiguous()), compiled.form(spline), inverse, _flat(out), _flat(slope))
        ctx.save_for_backward(value, p, out)
        ctx.spline, ctx.inverse = spline, inverse
        return out, slope.log_()

    @staticmethod
    def backward(ctx: Any, to_out: Tensor, to_log: Tensor) -> Any:
        value, p, out = ctx.saved_tensors
        if torch.is_grad_enabled():
            wanted = [t for t, need in zip((value, p), ctx.needs_input_grad, strict=False) if need]
            both = ctx.spline.plain(value, p, ctx.inverse)
            found = iter(torch.autograd.grad(both, wanted, (to_out, to_log), create_graph=True))
            return tuple(next(found) if need else None for need in ctx.needs_input_grad)
        x, to_value, to_p = out if ctx.inverse else value.contiguous(), out.new_empty(out.shape), p.new_empty(p.shape)
        grads = _flat(to_out.contiguous()), _flat(to_log.contiguous()), _flat(to_value), _rows(to_p)
        compiled = _kernels()
        compiled.gradients(_flat(x), _rows(p.contiguous()), compiled.form(ctx.spline), ctx.inverse, *grads)
        return to_value, to_p, None, None


def _flat(t: Tensor) -> Any:
    return t.detach().view(-1).numpy()


def _rows(p: Tensor) -> Any:
    return p.detach().view(len(p), -1).numpy()


def _fits(value: Tensor, p: Tensor) -> bool:
    """Whether kernels can compute this, and pay."""
    if value.dtype != torch.float32 or value.device.type != "cpu" or value.numel() < SMALL:
        return False
    if value.numel() > LARGE and torch.get_num_threads() > THREADS:
        return False
    if followed() or any(type(t) not in (Tensor, nn.Parameter) for t in (value, p)):
        return False
    return _kernels() is not None


def _kernels() -> Any:
    return kernels("deepgen.transforms.spline_kernels")
