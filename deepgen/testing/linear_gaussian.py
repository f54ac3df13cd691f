"""The linear-Gaussian latent-variable model, probabilistic PCA, of which everything is known in closed form.

    z ~ N(0, I_d),    x | z ~ N(W z + b, s^2 I_D),    so   x ~ N(b, W W' + s^2 I)
    z | x ~ N(m(x), C),    C = (I + W'W / s^2)^-1,    m(x) = C W'(x - b) / s^2

It is the oracle of every estimate of a latent-variable model: a bound can be held against log p(x), a posterior
against the true one. ``shift`` and ``scale`` make its own `posterior` wrong by a known amount, q = N(m + shift,
scale^2 C), in which the evidence lower bound is log p(x) less

    KL(q || p) = d/2 (scale^2 - 1 - 2 log scale) + shift^2/2 1'C^-1 1.

Source: Tipping & Bishop 1999, "Probabilistic principal component analysis".
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal

from deepgen.errors import ShapeError, SupportError, check_count, check_real
from deepgen.random import normal, resolve


class LinearGaussian(nn.Module):
    """Probabilistic PCA with `Latent`, `LogProb` and `Samples`; its weights W, b and log s are parameters.

    Args:
        features: D, the width of a row x.
        latent: d, the width of z.
        sigma: s, the standard deviation of the noise, positive.
        shift: added to each coordinate of the mean of `posterior`; 0 is the true one.
        scale: factor on the standard deviations of `posterior`, positive; 1 are the true ones.
        generator: source of W, whose entries are N(0, 1/d), and of b, standard normal.

    Raises:
        ArgumentError: a width below 1, or ``sigma`` or ``scale`` not positive.

    >>> model = LinearGaussian(5, 2, generator=0)
    >>> x = model.sample(3, generator=1)
    >>> z = model.posterior(x).sample((4,))
    >>> weight = model.prior().log_prob(z) + model.likelihood(z).log_prob(x) - model.posterior(x).log_prob(z)
    >>> bool((weight - model.log_prob(x)).abs().max() < 1e-4)  # at the true posterior every weight is p(x)
    True
    """

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        sigma: float = 1.0,
        shift: float = 0.0,
        scale: float = 1.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(features=features, latent=latent)
        check_real("sigma", sigma, 1e-12)
        check_real("scale", scale, 1e-12)
        check_real("shift", shift)
        stream = resolve(generator)
        self.features, self.latent, self.shift, self.scale = features, latent, float(shift), float(scale)
        self.weight = nn.Parameter(normal((features, latent), generator=stream) / math.sqrt(latent))
        self.bias = nn.Parameter(normal((features,), generator=stream))
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma)))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments; a checkpoint is read into such a model by `deepgen.load_weights`."""
        sigma = float(self.log_sigma.detach().exp())
        return {
            "features": self.features, "latent": self.latent, "sigma": sigma, "shift": self.shift, "scale": self.scale
        }  # fmt: skip

    def check(self, x: Tensor) -> None:
        """Raise a typed error unless ``x`` is ``[rows, features]`` of finite numbers."""
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ShapeError(f"x must be [rows, {self.features}], got {list(x.shape)}")
        if not bool(x.isfinite().all()):
            raise SupportError("x holds NaN or infinite values; drop those rows first")

    def prior(self) -> Independent[Normal]:
        """N(0, I): one event ``[latent]``."""
        zero = torch.zeros_like(self.weight[0])
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """N(m(x) + shift, scale^2 C): ``[rows, features]`` to a batch ``[rows]`` of events ``[latent]``."""
        mean, factor = self._posterior(x)
        return MultivariateNormal(mean + self.shift, scale_tril=self.scale * factor)

    def exact_posterior(self, x: Tensor) -> MultivariateNormal:
        """The true posterior N(m(x), C), whatever ``shift`` and ``scale`` are."""
        mean, factor = self._posterior(x)
        return MultivariateNormal(mean, scale_tril=factor)

    def likelihood(self, z: Tensor) -> Independent[Normal]:
        """N(W z + b, s^2 I): ``[*batch, latent]`` to a batch ``[*batch]`` of events ``[features]``."""
        return Independent(Normal(z @ self.weight.mT + self.bias, self.log_sigma.exp()), 1)

    def marginal(self) -> MultivariateNormal:
        """N(b, W W' + s^2 I), the law of x."""
        noise = (2 * self.log_sigma).exp() * torch.eye(
            self.features, dtype=self.weight.dtype, device=self.weight.device
        )
        return MultivariateNormal(self.bias, self.weight @ self.weight.mT + noise)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, exact: ``[rows, features] -> [rows]``."""
        self.check(x)
        return self.marginal().log_prob(x)

    @property
    def gap(self) -> float:
        """KL(posterior || exact posterior) in nats, the same for every x: how far the ELBO lies below log p(x)."""
        precision = self._precision().detach().double()
        spread = self.latent * (self.scale**2 - 1 - 2 * math.log(self.scale))
        return 0.5 * (spread + self.shift**2 * float(precision.sum()))

    def simulate(self, n: int, *, generator: torch.Generator | int | None = None) -> tuple[Tensor, Tensor]:
        """``n`` draws of (z, x): each z is an exact draw of the posterior of its x. ``[n, latent], [n, features]``."""
        check_count(n=n)
        stream = resolve(generator, self.weight.device)
        with torch.no_grad():
            z = normal((n, self.latent), generator=stream, dtype=self.weight.dtype)
            noise = normal((n, self.features), generator=stream, dtype=self.weight.dtype)
            return z, z @ self.weight.mT + self.bias + self.log_sigma.exp() * noise

    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws of x: ``[n, features]``."""
        return self.simulate(n, generator=generator)[1]

    def _precision(self) -> Tensor:
        """C^-1 = I + W'W / s^2: ``[latent, latent]``."""
        one = torch.eye(self.latent, dtype=self.weight.dtype, device=self.weight.device)
        return one + self.weight.mT @ self.weight * (-2 * self.log_sigma).exp()

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        covariance = torch.linalg.inv(self._precision())
        mean = (x.to(self.bias.dtype) - self.bias) @ self.weight @ covariance * (-2 * self.log_sigma).exp()
        return mean, torch.linalg.cholesky(covariance)
