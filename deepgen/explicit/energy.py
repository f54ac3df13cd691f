"""Energy model: any network's exponential, as a density that is known up to its constant.

    p(x) = exp(f(x)) r(x) / Z,      log p(x) = f(x) + log r(x) - log Z,      E(x) = -f(x) - log r(x)

f: ``net``, from rows to one number a row; r: ``base``, a normalised law, or 1 without one. With a base Z is E_r[exp f]:
finite whenever f grows more slowly than -log r (a network of Lipschitz layers over a Gaussian base), and where annealed
importance sampling starts. Without one, nothing makes Z finite but the network itself, and no check can.

Draws come from Markov chains. What is exact and what is biased: an exact kernel (`mala`, `hmc`, `dmala`) has p as its
law in the limit of many steps, whatever ``proposal`` does, since its candidates are accepted or rejected; `ula`'s limit
is another law. Sources: LeCun et al. 2006, "A tutorial on energy-based learning"; Song & Kingma 2021, "How to train
your energy-based models". The network must treat rows apart: no batch normalisation, no dropout.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, TransformedDistribution, constraints
from torch.distributions.transforms import ReshapeTransform

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, check_count
from deepgen.explicit.energy_kernels import far, made, scaled
from deepgen.explicit.units import check_support, require_tensor
from deepgen.random import draw, normal, resolve, streams, uniform
from deepgen.rest import answered_at_rest
from deepgen.samplers.adaptation import LEAST
from deepgen.samplers.chain import Tunable
from deepgen.samplers.compose import cycle
from deepgen.samplers.kernel import advance
from deepgen.samplers.laws import density_of
from deepgen.samplers.metropolis import Metropolis
from deepgen.samplers.target import Target
from deepgen.typing import Samples

SUPPORTS = {"real": constraints.real, "binary": constraints.boolean}


class EnergyModel(nn.Module):
    """p(x) proportional to exp f(x) r(x); `LogDensity`, and samples from chains.

    Args:
        net: f, ``[batch, *event] -> [batch]`` or ``[batch, 1]``.
        event_shape: of one row; that of the base, or of the first rows seen, if None.
        support: ``"real"`` or ``"binary"`` (zeros and ones).
        base: r, a module whose ``forward()`` is a torch Distribution over the row or its flat form, such as
            `deepgen.distributions.MultivariateNormal`, `IndependentBernoulli` or a flow. None for r = 1.
        proposal: a generator whose candidates the kernel takes or refuses, by turns with local moves; p stays the same.
            Either a model with `LogProb` and `Samples`, such as a flow over the rows (independence proposals), or an
            invertible map of rows beside a velocity, with ``encode`` and ``decode`` (reversible proposals).

    >>> from deepgen.layers import ScalarMLP
    >>> from deepgen.distributions import MultivariateNormal
    >>> model = EnergyModel(ScalarMLP(2, generator=0), base=MultivariateNormal(2))
    >>> model.log_density(torch.zeros(3, 2)).shape, model.sample(5, steps=50, generator=0).shape
    (torch.Size([3]), torch.Size([5, 2]))
    """

    event_shape: torch.Size | None

    def __init__(
        self,
        net: nn.Module,
        event_shape: Sequence[int] | int | None = None,
        *,
        support: Any = "real",
        base: nn.Module | None = None,
        proposal: nn.Module | None = None,
    ) -> None:
        super().__init__()
        for name, part in (("net", net), ("base", base), ("proposal", proposal)):
            given: Any = part
            if not isinstance(given, nn.Module) and not (given is None and name != "net"):
                raise ArgumentError(f"{name} must be a torch.nn.Module, got {type(given).__name__}")
        named = [name for name, kind in SUPPORTS.items() if support == name or support is kind]
        if not named:
            raise ArgumentError(f"support must be 'real' or 'binary', got {support!r}")
        self.net, self.base, self.proposal, self._support = net, base, proposal, named[0]
        if proposal is not None:
            far(proposal)
        known = [getattr(base() if base is not None else proposal, "event_shape", None)]
        shape = known[0] if event_shape is None else event_shape
        sides = [] if shape is None else list(shape) if isinstance(shape, Sequence) else [shape]
        for side in sides:
            check_count(event_shape=side)
        self.event_shape = None if shape is None else torch.Size(map(int, sides))
        if base is not None and base().event_shape.numel() != self._shape().numel():
            raise ShapeError(f"the base is over {list(base().event_shape)}, the rows are {list(self._shape())}")

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        shape = None if self.event_shape is None else list(self.event_shape)
        return {"net": self.net, "event_shape": shape, "support": self._support, "base": self.base,
                "proposal": self.proposal}  # fmt: skip

    def initialise(self, x: Tensor) -> EnergyModel:
        """Let base and network take their moments from rows ``x`` of data, if they do that, and return self."""
        self.check(x)
        parts: list[Any] = [part for part in (self.base, self.net) if hasattr(part, "initialise")]
        if not parts:
            raise MissingCapability("neither base nor net has initialise(x), as MultivariateNormal and ScalarMLP have")
        for part in parts:
            part.initialise(x)
        return self

    @property
    def support(self) -> Any:
        """Where the rows live: a torch constraint."""
        return constraints.independent(SUPPORTS[self._support], len(self.event_shape or (1,)))

    @property
    def discrete(self) -> bool:
        return self._support == "binary"

    @property
    def scaled(self) -> bool:
        """Whether local moves are in the scale of a Gaussian base, so that step sizes are relative to it."""
        return isinstance(getattr(self.base, "factor", None), Tensor)

    @property
    def usual_kernel(self) -> str:
        """``mala``; for binary rows ``dmala``."""
        return "dmala" if self.discrete else "mala"

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` are rows ``[n, *event]`` of finite values (or 0 and 1)."""
        require_tensor(x, "x")
        shape = x.shape[1:] if self.event_shape is None else self.event_shape
        if x.ndim < 2 or len(x) == 0 or x.shape[1:] != shape:
            wanted = "*event" if self.event_shape is None else ", ".join(map(str, shape))
            raise ShapeError(f"x must be [rows, {wanted}] with at least one row, got {list(x.shape)}")
        good, wanted = ((x == 0) | (x == 1), "0 or 1") if self.discrete else (x.isfinite(), "finite")
        check_support(x, good, wanted)
        self.event_shape = shape  # of the first rows that pass

    def rows(self, x: Tensor) -> Tensor:
        """``x`` in the model's dtype and on its device."""
        every = itertools.chain(self.parameters(), self.buffers())
        return x.to(next((tensor for tensor in every if tensor.is_floating_point()), torch.empty(0)))

    def tilt(self, x: Tensor) -> Tensor:
        """f(x), what the network adds to the base: ``[batch, *event] -> [batch]``."""
        if self.event_shape is None or x.shape[1:] != self.event_shape:
            self.check(x)
        value = self.net(self.rows(x))
        if isinstance(value, Tensor) and value.shape == (len(x), 1):
            value = value.squeeze(1)
        if not isinstance(value, Tensor) or value.shape != (len(x),):
            got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(f"net must give one number a row, [{len(x)}] or [{len(x)}, 1], got {got}")
        return value

    def log_density(self, x: Tensor) -> Tensor:
        """f(x) + log r(x), log p up to log Z, in nats: ``[batch, *event] -> [batch]``."""
        value, reference = self.tilt(x), self.reference()
        return value if reference is None else value + reference.log_prob(self.rows(x))

    def energy(self, x: Tensor) -> Tensor:
        """E(x) = -f(x) - log r(x), in nats: ``[batch, *event] -> [batch]``."""
        return -self.log_density(x)

    def reference(self) -> Distribution | None:
        """r as a torch Distribution over one row, or None."""
        if self.base is None:
            return None
        law = self.base()
        if law.event_shape == self.event_shape:
            return law
        return TransformedDistribution(law, [ReshapeTransform(law.event_shape, self._shape())], validate_args=False)

    def target(self) -> Target:
        """What samplers see; its reference is r. It follows the parameters."""
        reference = self.reference()  # once, as a base may prepare itself
        log_base = None if reference is None else density_of(reference)
        value = self.log_density if log_base is None else lambda x: self.tilt(x) + log_base(self.rows(x))
        return Target(value, support=SUPPORTS[self._support], reference=reference)

    def kernel(self, method: str | Callable[..., Any] = "auto", **options: Any) -> Any:
        """`local_kernel`, by turns with the ``proposal`` where the model has one: a `cycle` of ``local`` and ``far``.

        A network that misses part of p leaves the chain to the local kernel there, and the law stays right.
        """
        local = self.local_kernel(method, **options)
        if self.proposal is None:
            return local
        return cycle(local=local, far=Metropolis(self.target(), far(self.proposal)))

    def local_kernel(self, method: str | Callable[..., Any] = "auto", **options: Any) -> Any:
        """The kernel of that name over p, without the ``proposal``.

        Args:
            method: a constructor of `deepgen.samplers` or its name. ``auto`` is `usual_kernel`.
            options: the constructor's, such as ``step_size``; without one `mala`, `hmc` and `dmala` are tuned in a
                warm-up. Over a Gaussian base moves are in its scale, unless ``covariance`` is given.

        Raises:
            ArgumentError: no such constructor, or one for rows of another kind.
        """
        if method == "auto":
            method = self.usual_kernel
        kernel = made(method, self.target(), **options)
        if "covariance" not in options and self.scaled:
            base: Any = self.base
            kernel = scaled(kernel, base.factor)
        return kernel

    @torch.no_grad()
    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Where chains begin without a better place: draws of the base, of the proposal, or normal numbers or coins.

        A reversible proposal, which only moves what is there, has no draws.
        """
        reference = self.reference()
        if reference is not None:
            return draw(reference, (n,), generator=generator)
        proposal: Any = self.proposal
        if isinstance(proposal, Samples):
            return proposal.sample(n, generator=generator)
        like = self.rows(torch.empty(0))
        kind, shape = (uniform if self.discrete else normal), (n, *self._shape())
        x = kind(shape, generator=generator, dtype=like.dtype)
        return x.round() if self.discrete else x

    @answered_at_rest
    def sample(
        self,
        n: int,
        *,
        steps: int = 1000,
        start: Tensor | None = None,
        method: str | Callable[..., Any] = "auto",
        generator: torch.Generator | int | None = None,
        **options: Any,
    ) -> Tensor:
        """Return ``n`` chains after ``steps`` steps of ``kernel(method, **options)``: ``[n, *event]``.

        A kernel without a step size is tuned in the first half of the steps. Whether ``steps`` forget the start is a
        property of the model (see R-hat in `deepgen.samplers.sample_chain`); the network is in eval mode meanwhile.

        Raises:
            ArgumentError: ``n`` below 1, ``steps`` below 0, or below 40 where a step size is to be found.
            ShapeError, SupportError: ``start`` is not ``[n, *event]`` of possible values, or no shape is known.
        """
        check_count(n=n)
        check_count(0, steps=steps)
        source = resolve(generator, self.rows(torch.empty(0)).device)
        if start is None:
            start = self.start(n, generator=source)
        self.check(start)
        if len(start) != n:
            raise ShapeError(f"start must have n={n} rows, got {len(start)}")
        kernel, stream = self.kernel(method, **options), streams(source, source.device)
        state = self.rows(start)
        if isinstance(kernel, Tunable):
            if steps < 2 * LEAST:
                raise ArgumentError(f"finding a step size takes {2 * LEAST} steps, got {steps}; or give step_size")
            kernel, state = kernel.tune(state, steps // 2, generator=stream)
            steps -= steps // 2
        else:
            state = kernel.init(state)
        return advance(kernel, state, steps, generator=stream).position

    def _shape(self) -> torch.Size:
        if self.event_shape is None:
            raise ShapeError("the shape of a row is not known: give event_shape=, or score some rows first")
        return self.event_shape

    def extra_repr(self) -> str:
        shape = None if self.event_shape is None else list(self.event_shape)
        return f"event_shape={shape}, support={self._support!r}"
