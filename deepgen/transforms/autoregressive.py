"""Autoregressive map: variable d is mapped by parameters that depend on the variables before it.

    z_d = f(x_d; p_d(x_<d, context)),        log |det dz/dx| = sum_d log f'(x_d; p_d)

`encode` is one network pass (masked autoregressive flow, Papamakarios et al. 2017; `Inverse` of it is the inverse
autoregressive flow of Kingma et al. 2016, fast in the other direction). `decode` needs x_<d before x_d, by

- ``incremental``: one walk through the variables that uses each weight once: by a compiled kernel for rectified linear
  units and `Scale` or `Spline` on a CPU, else by D short steps (`deepgen.layers.masked.Steps`);
- ``jacobi``: whole passes x <- f^{-1}(z; p(x)) until nothing moves, exact after D of them and often settled sooner;
- ``sequential``: D whole passes, the textbook way, for comparison;
- ``auto``: incremental where the kernel serves; else jacobi for few rows or on an accelerator, where each step costs
  its launch, and incremental for many rows.

CPU milliseconds for one affine layer, one thread, where the sweeps were 10 to 26:

===  =======  ========================  ========================  ========================
D    hidden   kernel: 1, 32, 512 rows   steps: 1, 32, 512 rows    jacobi: 1, 32, 512 rows
===  =======  ========================  ========================  ========================
43   2 x 128  0.10, 0.11, 0.68          2.7, 2.8, 2.9             0.8, 1.5, 7.0
200  2 x 256  0.49, 0.54, 4.1           10, 11, 15                2.4, 6.5, 44
784  2 x 500  3.1, 3.3, 25              42, 42, 81                16, 39, 370
===  =======  ========================  ========================  ========================

All give the same x up to rounding. Gradients of `decode` come from the implicit function theorem: at the solution one
differentiable application of the map, and a backward pass that solves u = v + (dg/dx)' u by the same kind of sweeps.
Second derivatives of `decode` are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count
from deepgen.layers.masked import MaskedNet, Steps
from deepgen.layers.mlp import check_hidden
from deepgen.random import resolve
from deepgen.transforms.affine_pass import affine_pass
from deepgen.transforms.base import Cost, Solved, check_way
from deepgen.transforms.compiled_walk import walk, walks
from deepgen.transforms.fixed_point import fixed_point
from deepgen.transforms.univariate import Scale, Univariate

FEW_ROWS = 32  # below this a walk of D short products costs more than the sweeps


class Autoregressive(nn.Module):
    """Masked autoregressive transform over ``[batch, features]``, with any map of one variable.

    Args:
        features: number of variables D.
        univariate: the map of one variable; `Scale` (affine) if None.
        order: the variables in the order of dependence (a permutation of 0 .. D-1); 0, 1, ... if None.
        hidden, residual: of the network, see `deepgen.layers.MaskedNet`.
        context: width of a context row, 0 for none.
        generator: source of the initial weights; a new transform is close to the identity.

    >>> maf = Autoregressive(5, generator=0)
    >>> z, _ = maf.encode(torch.ones(2, 5))
    >>> x, log_det, sweeps = maf.solve(z, towards="decode", method="jacobi")
    >>> torch.allclose(x, torch.ones(2, 5), atol=1e-5), sweeps[0] <= 5
    (True, True)
    """

    univariate: Univariate

    def __init__(
        self,
        features: int,
        *,
        univariate: Univariate | None = None,
        order: Sequence[int] | None = None,
        hidden: Sequence[int] = (128, 128),
        residual: bool = False,
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(features=features)
        check_count(0, context=context)
        order = list(range(features)) if order is None else [int(i) for i in order]
        if len(order) != features:
            raise ArgumentError(f"order must name each of {features} variables once, got {order}")
        check_hidden(hidden, residual)
        self.features, self.hidden, self.residual, self.context = features, list(hidden), residual, context
        self.univariate = Scale() if univariate is None else univariate
        self.net = MaskedNet(
            order,
            self.univariate.count,
            hidden=hidden,
            context=context,
            residual=residual,
            generator=resolve(generator),
        )

    @property
    def cost(self) -> Cost:
        d = self.features
        return Cost("1 network pass", f"1 walk through {d} variables, or up to {d} network passes")

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "univariate": self.univariate, "order": self.net.order,
                "hidden": self.hidden, "residual": self.residual, "context": self.context}  # fmt: skip

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], [batch])``, in one network pass."""
        quick = affine_pass(self.net, self.univariate, x, context)
        if quick is not None:
            return quick
        rows = x.t().contiguous()
        z, log_slope = self.univariate.encode(rows, self.net(rows, context))
        return z.t(), log_slope.sum(0)

    def decode(self, z: Tensor, context: Tensor | None = None, *, method: str = "auto") -> tuple[Tensor, Tensor]:
        """The inverse of `encode`, by the method named."""
        return self.solve(z, context, towards="decode", method=method)[:2]

    def solve(self, value: Tensor, context: Tensor | None = None, *, towards: str, method: str = "auto") -> Solved:
        """Either direction; decoding by jacobi or sequential also says how many sweeps it took."""
        check_way(towards, method)
        if towards == "encode":
            return Solved(*self.encode(value, context), (None,))
        z = value.t().contiguous()
        quick = method in ("auto", "incremental") and walks(self.net, self.univariate, z, context)
        if method == "auto":
            method = "incremental" if quick or (z.is_cpu and len(value) >= FEW_ROWS) else "jacobi"
        sweeps = None
        with torch.no_grad():
            if quick:
                x, log_slope = walk(self.net, self.univariate, z, context)
            elif method == "incremental":
                x, log_slope = self._walk(z, context)
            else:
                x, log_slope, sweeps = self._sweep(z, context, method)
        log_det = log_slope.sum(0)
        if torch.is_grad_enabled() and any(
            t.requires_grad for t in (value, context, *self.parameters()) if t is not None
        ):
            x = self._attach(x, z, context)
            log_det = -self.encode(x.t(), context)[1]
        return Solved(x.t(), log_det, (sweeps,))

    def _walk(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        steps = Steps(self.net, z.shape[1], context)
        x, log_slope = torch.empty_like(z), torch.empty_like(z)
        for d, variable in enumerate(self.net.order):
            row, log_slope[variable] = self.univariate.decode(z[variable], steps.parameters(d))
            x[variable] = row
            steps.put(d, row)
        return x, log_slope

    def _sweep(self, z: Tensor, context: Tensor | None, method: str) -> tuple[Tensor, Tensor, int]:
        tolerance = None if method == "sequential" else 4 * torch.finfo(z.dtype).eps
        x, sweeps = fixed_point(
            lambda x: self.univariate.decode(z, self.net(x, context))[0], torch.zeros_like(z), self.features, tolerance
        )
        return x, self.univariate.decode(z, self.net(x, context))[1], sweeps

    def _attach(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """The solution ``x`` with its gradients: x = g(x), g(x) = f^{-1}(z; p(x)), dx = (1 - dg/dx)^{-1} dg."""
        with torch.enable_grad():
            inside = x.detach().requires_grad_()
            fixed = None if context is None else context.detach()
            again = self.univariate.decode(z.detach(), self.net.plain(inside, fixed))[
                0
            ]  # no weight's gradient is asked
        attached = self.univariate.decode(z, self.net(x.detach(), context))[0]

        def solved(v: Tensor) -> Tensor:
            if torch.is_grad_enabled():  # create_graph=True, and u below would count as a constant
                raise MissingCapability(
                    "second derivatives through the sequential direction of an autoregressive transform are not "
                    "available: differentiate twice through the other direction, or use couplings"
                )

            def backwards(u: Tensor) -> Tensor:
                return v + torch.autograd.grad(again, inside, u, retain_graph=True)[0]

            return fixed_point(backwards, v, self.features, torch.finfo(v.dtype).eps)[0]

        attached.register_hook(solved)
        return attached
