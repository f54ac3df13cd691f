"""Whitening: rows turned and scaled so that their covariance is the identity, and back.

    C = mean (x - m)(x - m)' = U diag(s^2) U'           m the mean, U' U = I, s the deviations along the columns of U

    PCA:   z = diag(1 / r) U' (x - m)                   x = m + U diag(r) z
    ZCA:   z = U diag(1 / r) U' (x - m)                 x = m + U diag(r) U' z          r = sqrt(s^2 + eps)

With eps = 0 the covariance of z (with 1 / n, as of C) is I; otherwise diag(s^2 / (s^2 + eps)) in the axes of U, so
that directions with s^2 far below eps are not blown up. The inverse is exact for any eps. PCA puts the widest direction
first and may keep the first few alone; what then comes back are the nearest points of their span. Of all ways to
whiten, ZCA moves the rows least (mean |z - (x - m)|^2), so whitened images still look like images.

s comes from a singular value decomposition of the rows (by way of QR, in float64), not from C, whose rounding would
hide any direction narrower than 1e-8 of the widest.

Sources: Bell & Sejnowski 1997, "The 'independent components' of natural scenes are edge filters" (ZCA); Krizhevsky
2009, "Learning multiple layers of features from tiny images", appendix A; Kessy, Lewin & Strimmer 2018, "Optimal
whitening and decorrelation" (ZCA is nearest).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count, check_real, unknown_name
from deepgen.layers.standardised import moments

METHODS = ("pca", "zca")


class Whitening(nn.Module):
    """``[..., features] -> [..., features]`` (or ``components``); the identity until `initialise` has seen rows.

    Mean and matrices are buffers: they are saved, and no optimizer moves them. With all directions kept it is a
    `deepgen.transforms.Transform` too, so that a flow or its base may stand behind it.

    Args:
        features: width of a row; images are flattened first.
        method: ``zca`` or ``pca``.
        eps: added to the variances, in the units of x^2.
        components: of PCA, how many directions to keep; None for all.

    Raises:
        ArgumentError, UnknownName: a setting outside its range; rows of another dtype; in ``encode``, directions that
            were left out.
        ShapeError: rows of another width.

    >>> x = torch.tensor([[0.0, 0.0], [2.0, 2.0], [0.0, 2.0], [4.0, 2.0]])
    >>> white = Whitening(2).initialise(x)
    >>> torch.allclose(white(x).T @ white(x) / 4, torch.eye(2), atol=1e-6)
    True
    >>> torch.allclose(white.inverse(white(x)), x, atol=1e-5)
    True
    """

    mean: Tensor
    matrix: Tensor
    back: Tensor
    log_scale: Tensor

    def __init__(self, features: int, method: str = "zca", *, eps: float = 0.0, components: int | None = None) -> None:
        super().__init__()
        check_count(features=features)
        if method not in METHODS:
            raise unknown_name("method", method, METHODS)
        check_real("eps", eps, 0)
        if components is not None:
            check_count(1, features, components=components)
            if method == "zca" and components < features:
                raise ArgumentError("ZCA keeps all directions, as it turns rows back: take method='pca'")
        self.features, self.method, self.eps = int(features), method, float(eps)
        self.components = int(components or features)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("matrix", torch.eye(self.components, features))
        self.register_buffer("back", torch.eye(features, self.components))
        self.register_buffer("log_scale", torch.zeros(()))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "method": self.method, "eps": self.eps, "components": self.components}

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Whitening:
        """Take mean and matrices from rows ``[rows, features]``; return self.

        Raises:
            ShapeError: no tensor, or rows of another width.
            SupportError: NaN or infinite values; or, with eps = 0, fewer directions with a spread than are kept (a
                constant column, one that is a sum of others, fewer rows than columns): there 1 / s has no value. A
                spread within rounding of the rows' own dtype counts as none.
        """
        mean, rows = moments(x, self.features)[0], x.double()
        r = torch.linalg.qr(rows - mean, mode="r")[1]
        s, axes = torch.linalg.svd(r)[1:]  # columns of U are rows of axes
        s = torch.cat([s, s.new_zeros(self.features - len(s))]) / len(rows) ** 0.5
        kept = self.components
        if self.eps == 0 and (found := int((s > _rounding(x, rows, s)).sum())) < kept:
            raise SupportError(
                f"the rows have a spread in {found} of {self.features} directions, and {kept} are to be whitened: give "
                f"eps > 0, or keep fewer (method='pca', components={max(found, 1)})"
            )
        scale, axes = (s[:kept] ** 2 + self.eps).sqrt(), axes[:kept]
        turn = axes.t() if self.method == "zca" else torch.eye(kept, dtype=s.dtype, device=s.device)
        self.mean.copy_(mean)
        self.matrix.copy_(turn @ (axes / scale[:, None]))
        self.back.copy_((turn @ (axes * scale[:, None])).t())
        self.log_scale.copy_(scale.log().sum())
        return self

    def forward(self, x: Tensor) -> Tensor:
        return (self._checked("x", x, self.features) - self.mean) @ self.matrix.t()

    def inverse(self, z: Tensor) -> Tensor:
        """``[..., features] -> [..., features]``, back to the units of x."""
        return self._checked("z", z, self.components) @ self.back.t() + self.mean

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z of rows ``[batch, features]`` and log |det dz/dx| = - sum log r ``[batch]``, in nats."""
        z = self(x)
        return z, -self._log_scale().expand(len(x))

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x of ``[batch, features]`` and log |det dx/dz| ``[batch]``."""
        x = self.inverse(z)
        return x, self._log_scale().expand(len(z))

    def extra_repr(self) -> str:
        kept = f", {self.components} components" if self.components < self.features else ""
        return f"{self.features}, {self.method}{kept}, eps {self.eps:g}"

    def _log_scale(self) -> Tensor:
        if self.components < self.features:
            raise ArgumentError(
                f"{self.components} of {self.features} directions were kept, which has no determinant: keep all"
            )
        return self.log_scale

    def _checked(self, name: str, x: Tensor, width: int) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != width:
            raise ShapeError(f"{name} must be [..., {width}], got {list(x.shape)}")
        if x.dtype != self.mean.dtype:
            raise ArgumentError(
                f"{name} must have the dtype {self.mean.dtype} of the matrices, got {x.dtype}: convert one"
            )
        return x


def _rounding(x: Tensor, rows: Tensor, s: Tensor) -> float:
    """The greatest deviation that rounding alone may leave: of the rows as they came, and of the arithmetic here."""
    own = torch.finfo(x.dtype).eps if x.is_floating_point() else 0.0
    return max(10 * own * float(rows.square().mean(0).max().sqrt()), len(s) * 2.3e-16 * float(s[0]))
