"""VampPrior: the mixture of the posteriors of K learned inputs, towards which the best prior tends.

    p(z) = 1/K sum_k q(z | u_k)

Averaged over the data, the ELBO's best prior is the mean of all posteriors; pseudo-inputs stand for the rows, and are
learned with everything else. Source: Tomczak & Welling 2018, "VAE with a VampPrior", equation 9. Each density costs a
pass of the encoder over K inputs and K posterior densities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from deepgen.errors import ArgumentError, ShapeError, check_count, is_whole
from deepgen.explicit.units import check_support, require_tensor
from deepgen.random import resolve


class VampPrior(nn.Module):
    """K pseudo-inputs, which a `VAE` turns into its prior with its own encoder.

    Args:
        event_shape: of what the encoder is handed, or its width.
        components: K.
        bounded: whether inputs stay between 0 and 1 (for binary data, where one is a row of probabilities).
        generator: source of the initial inputs, N(0, 1) before they are bounded; `initialise` takes rows of data.

    >>> import deepgen as dg
    >>> vae = dg.implicit.mlp_vae(6, [8], latent=2, prior=VampPrior(6, 4, generator=0), generator=0)
    >>> vae.prior().log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        event_shape: int | Sequence[int],
        components: int = 500,
        *,
        bounded: bool = True,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        shape = (event_shape,) if is_whole(event_shape) else tuple(event_shape)
        check_count(components=components, **{f"event_shape_{i}": n for i, n in enumerate(shape)})
        self.event_shape = tuple(map(int, shape))
        self.components, self.bounded = int(components), bool(bounded)
        start = torch.empty(components, *self.event_shape).normal_(generator=resolve(generator))
        self.raw = nn.Parameter(start)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"event_shape": list(self.event_shape), "components": self.components, "bounded": self.bounded}

    @torch.no_grad()
    def initialise(self, x: Tensor, *, generator: torch.Generator | int | None = None) -> VampPrior:
        """Take K different rows of ``x`` ``[rows, *event]`` as inputs and return self.

        Rows are as the encoder is handed them: levels as ``vae.observation.inputs(x)``, with ``bounded=False``.

        Raises:
            ShapeError, SupportError: fewer rows than K or others; values beyond 0 and 1 if ``bounded``, or not finite.
        """
        require_tensor(x, "x")
        if self.bounded:
            check_support(x, (x >= 0) & (x <= 1), "from 0 to 1 where inputs are bounded (or VampPrior(bounded=False))")
        else:
            check_support(x, x.isfinite(), "finite")
        if x.shape[1:] != self.event_shape or len(x) < self.components:
            raise ShapeError(
                f"x must be at least {self.components} rows [{', '.join(map(str, self.event_shape))}], "
                f"got {list(x.shape)}"
            )
        order = torch.randperm(len(x), generator=resolve(generator, x.device), device=x.device)[: self.components]
        rows = x[order].to(self.raw)
        self.raw.copy_(rows.clamp(0.02, 0.98).logit() if self.bounded else rows)
        return self

    def inputs(self) -> Tensor:
        """u: ``[components, *event]``."""
        return self.raw.sigmoid() if self.bounded else self.raw

    def law(self, posterior: Callable[[Tensor], Distribution]) -> Distribution:
        """The mixture over what ``posterior`` gives for the inputs."""
        parts = posterior(self.inputs())
        if parts.batch_shape != (self.components,):
            raise ArgumentError(f"the posterior must give one law for each input, got batch {list(parts.batch_shape)}")
        weights = self.raw.new_full((self.components,), -math.log(self.components))
        return MixtureSameFamily(Categorical(logits=weights, validate_args=False), parts, validate_args=False)
