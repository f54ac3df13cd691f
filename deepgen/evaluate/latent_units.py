"""Which latent variables does a model use? Those whose code moves with x.

    A_j = Var_x E[z_j | x],        unit j is active if A_j > 0.01

The variance is over rows, the mean over the posterior; a prior of variance 1 is the scale of the threshold. Where a
posterior states no mean (a flow) it is that of ``draws`` draws, whose noise is estimated and taken off. Of an
autoencoder the code itself is the mean, on a scale of its own: choose a threshold that fits it. Source: Burda, Grosse &
Salakhutdinov 2016, section 5.3.

    Var A_j = (m_4 - A_j^2 (n - 3) / (n - 1)) / n          m_4: fourth central moment over n rows
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability, ShapeError, check_count, check_real
from deepgen.evaluate.arguments import check_rows
from deepgen.evaluate.latent_rows import blocks, drawn, require_one_device, with_contexts
from deepgen.random import resolve

SURE = 2.0  # standard errors beyond which a unit is taken to lie on one side


@dataclass(frozen=True)
class ActiveUnits:
    """What `active_units` found.

    Attributes:
        variances: A_j ``[latent]``, float64; unbiased, so noise can make one negative.
        stderr: of each, over the choice of rows ``[latent]``.
        threshold: above which a unit is active.
        rows: n.

    >>> found = ActiveUnits(torch.tensor([0.8, 0.001]), torch.tensor([0.01, 0.0001]), 0.01, 100)
    >>> print(found)
    1 of 2 units active (Var_x E[z | x] > 0.01 over 100 rows)
    """

    variances: Tensor
    stderr: Tensor
    threshold: float
    rows: int

    @property
    def active(self) -> Tensor:
        """Which are, boolean ``[latent]``."""
        return self.variances > self.threshold

    @property
    def count(self) -> int:
        """How many are."""
        return int(self.active.sum())

    @property
    def unsure(self) -> int:
        """How many lie within two standard errors of the threshold."""
        return int(((self.variances - self.threshold).abs() <= SURE * self.stderr).sum())

    def __str__(self) -> str:
        doubt = f"; {self.unsure} within two standard errors of it" if self.unsure else ""
        return (
            f"{self.count} of {len(self.variances)} units active "
            f"(Var_x E[z | x] > {self.threshold:g} over {self.rows:,} rows{doubt})"
        )


@torch.no_grad()
def active_units(
    model: Any,
    x: Tensor,
    *,
    context: Tensor | None = None,
    threshold: float = 0.01,
    draws: int = 100,
    generator: torch.Generator | int | None = None,
) -> ActiveUnits:
    """The variance over rows of each latent's posterior mean, with its standard error.

    Args:
        model: a `Latent`, or an `Autoencoder`.
        x: at least four rows ``[rows, *event]``.
        context: ``[rows, ...]``, or one for all, of a conditional model, whose posterior is that of
            ``model(context)``, which serves as well.
        threshold: in squared units of z.
        draws: of z for each row, where the posterior states no mean.
        generator: source of those draws.

    Raises:
        MissingCapability: the model has neither ``posterior(x)`` nor ``encode(x)``.
        ShapeError, SupportError: ``x`` is no tensor of at least four rows that the model can take, or there is neither
            one context nor as many as rows.
        ArgumentError: the model, the rows or their contexts lie on different devices.

    >>> import deepgen as dg, deepgen.testing
    >>> model = dg.testing.LinearGaussian(5, 2, generator=0)
    >>> print(active_units(model, model.sample(200, generator=1)))
    2 of 2 units active (Var_x E[z | x] > 0.01 over 200 rows)
    """
    check_count(2, draws=draws)
    check_real("threshold", threshold, 0)
    require_one_device(model, x, context)
    check_rows(model, x, context)
    if len(x) < 4:
        raise ShapeError(f"a variance over rows and its error need at least 4 rows, got {len(x)}")
    model, context = with_contexts(model, len(x), context)
    parts, noises = [], []
    for block in blocks(model, x, context, resolve(generator, x.device)):
        mean, noise = _means(block.view, block.x, draws, block.stream)
        parts.append(mean)
        noises.append(noise)
    means, n = torch.cat(parts), len(x)
    centred = means - means.mean(0)
    total = centred.square().sum(0) / (n - 1)
    fourth = centred.pow(4).mean(0)
    stderr = ((fourth - total.square() * (n - 3) / (n - 1)).clamp_min(0) / n).sqrt()
    return ActiveUnits(total - torch.cat(noises).mean(0), stderr, float(threshold), n)


def _means(view: Any, x: Tensor, draws: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """E[z | x] ``[rows, latent]`` and the variance of its estimate, float64."""
    posterior = getattr(view, "posterior", None)
    if posterior is None:
        if not hasattr(view, "encode"):
            raise MissingCapability(f"{type(view).__name__} has neither posterior(x) nor encode(x), which give codes")
        z = view.encode(x).double().flatten(1)
        return z, torch.zeros_like(z)
    law = posterior(x)
    try:
        mean = law.mean.double().flatten(1)
        return mean, torch.zeros_like(mean)
    except NotImplementedError:
        z = drawn(law, draws, len(x), stream)[0].double().flatten(2)
        return z.mean(0), z.var(0) / draws
