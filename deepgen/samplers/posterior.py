"""The posterior of a network's weights: every chain is a network, and all of them run in one batched call.

    log f(w) = log prior(w) + sum_i log p(y_i | net_w(x_i)),      w: [chains, P], the weights flattened in the order of
                                                                  ``module.named_parameters()``

The networks are evaluated by `torch.func.functional_call` under `torch.func.vmap`, so any module will do whose output
depends on its weights and its input alone: dropout has to be switched off, and batch normalisation be in ``eval()``.
Parameters that do not require a gradient stay as they are. A prior that is a Distribution is the target's reference
too, so that tempering gives the evidence.

Posteriors over weights have many modes that are one function (hidden units can be exchanged, signs flipped), so
diagnose the predictions rather than the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.func import functional_call, vmap
from torch.utils._pytree import tree_map

from deepgen.errors import MissingCapability, ShapeError, check_count
from deepgen.random import resolve
from deepgen.samplers.minibatch import Posterior


class NetworkPosterior(Posterior):
    """A `Posterior` over the weights of ``module``: ``[chains, P]``.

    Args:
        module: any network; its own weights are not touched, nor used but for their shapes.
        log_likelihood: ``(output, y) -> [chains, n]``, one number a row, where ``output`` is what the networks make of
            n rows, ``[chains, n, ...]`` (or the tuple or dict of tensors that the module returns), and y ``[chains, n,
            ...]`` or ``[1, n, ...]``.
        x, y: the data, ``[N, ...]`` both.
        prior: of every weight (a Distribution over one number), of the vector (one over ``[P]``), or a function
            ``[chains, P] -> [chains]``; by default each weight is N(0, 1).

    Raises:
        MissingCapability: the module has no parameters to sample or cannot be batched over weights.
        ShapeError: x and y differ in length, or the log-likelihood is not one number a row.

    >>> import deepgen as dg
    >>> net = nn.Linear(2, 1)
    >>> def log_likelihood(mean, y):
    ...     return -(y - mean.squeeze(-1)).square() / 2
    >>> x = torch.randn(50, 2, generator=dg.random.generator(0))
    >>> posterior = NetworkPosterior(net, log_likelihood, x, x.sum(1))
    >>> posterior.size, posterior.log_density(torch.zeros(7, 3)).shape
    (3, torch.Size([7]))
    >>> kernel = dg.samplers.sgld(posterior.minibatches(10), 1e-3)
    >>> trace = dg.samplers.sample_chain(kernel, posterior.begin(7, generator=0), draws=4, generator=0)
    >>> posterior.predict(trace.draws, torch.zeros(5, 2)).shape
    torch.Size([4, 7, 5, 1])
    """

    def __init__(
        self,
        module: nn.Module,
        log_likelihood: Callable[[Any, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        *,
        prior: Distribution | Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.module = module
        self.shapes = {name: p.shape for name, p in module.named_parameters() if p.requires_grad}
        self.size = sum(math.prod(shape) for shape in self.shapes.values())
        if not self.size:
            raise MissingCapability(f"{type(module).__name__} has no parameters that require a gradient to sample")
        like = next(p for p in module.parameters() if p.requires_grad)
        self.device = like.device
        if prior is None:
            prior = Normal(torch.zeros((), dtype=like.dtype, device=like.device), 1.0, validate_args=False)
        if isinstance(prior, Distribution) and not prior.event_shape:
            prior = Independent(prior.expand(torch.Size([self.size])), 1, validate_args=False)

        def of_rows(weights: Tensor, x: Tensor, y: Tensor) -> Tensor:
            return log_likelihood(self._outputs(weights, x), y)

        super().__init__(prior, of_rows, (x, y))
        try:
            self.on(like.new_zeros(2, self.size), (x[None, :1], y[None, :1]))
        except RuntimeError as error:
            if "vmap" not in str(error):
                raise
            raise MissingCapability(
                f"{type(module).__name__} cannot be run for many weights at once: its output must depend on weights "
                f"and input alone (module.eval() switches dropout and batch statistics off). torch says: {error}"
            ) from error

    def unflatten(self, position: Tensor) -> dict[str, Tensor]:
        """Weights by name: ``[..., P] -> {name: [..., *shape]}``; of one position it is what the module loads.

        >>> net = nn.Linear(2, 1)
        >>> posterior = NetworkPosterior(net, lambda mean, y: -(y - mean[..., 0]) ** 2, torch.ones(9, 2), torch.ones(9))
        >>> _ = net.load_state_dict(posterior.unflatten(torch.ones(3)), strict=False)
        >>> net.weight.data
        tensor([[1., 1.]])
        """
        if position.shape[-1:] != (self.size,):
            raise ShapeError(f"positions of this posterior are [..., {self.size}], got {list(position.shape)}")
        parts = position.split([math.prod(shape) for shape in self.shapes.values()], -1)
        lead = position.shape[:-1]
        return {
            name: part.reshape(lead + shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def flatten(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `unflatten`, ``{name: [..., *shape]} -> [..., P]``; names that are not sampled are ignored.

        Raises:
            ShapeError: a weight is missing or of another shape.
        """
        parts = []
        for name, shape in self.shapes.items():
            part = weights.get(name)
            if part is None or part.shape[part.ndim - len(shape) :] != shape:
                raise ShapeError(f"{name} must be [..., *{list(shape)}], got {None if part is None else [*part.shape]}")
            parts.append(part.detach().reshape(*part.shape[: part.ndim - len(shape)], -1))
        return torch.cat(parts, -1)

    def begin(self, chains: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """Draws from the prior, ``[chains, P]``: starting points that are far apart.

        Args:
            generator: on the device of the module's weights; a seed makes one there.

        Raises:
            ArgumentError: a generator of another device.
            MissingCapability: the prior is a function and cannot be drawn from.
        """
        check_count(chains=chains)
        return self.start(chains, generator=resolve(generator, self.device))

    @torch.no_grad()
    def predict(self, positions: Tensor, x: Tensor, *, chunk: int = 512) -> Any:
        """What the networks at ``positions`` ``[..., P]`` make of ``x`` ``[rows, ...]``: ``[..., rows, ...]``.

        Averages over the leading axes are the posterior predictive's. At most ``chunk`` networks run at once.
        """
        check_count(chunk=chunk)
        lead = positions.shape[:-1]
        parts = [self._outputs(part, x[None]) for part in positions.reshape(-1, positions.shape[-1]).split(chunk)]
        joined = tree_map(lambda *outputs: torch.cat(outputs), *parts)
        return tree_map(lambda output: output.reshape(lead + output.shape[1:]), joined)

    def _outputs(self, weights: Tensor, x: Tensor) -> Any:
        """Outputs ``[chains, n, ...]`` for x ``[chains, n, ...]``, or for ``[1, n, ...]`` that all chains see."""

        def one(named: dict[str, Tensor], x: Tensor) -> Any:
            return functional_call(self.module, named, (x,))

        own = len(x) == len(weights)
        return vmap(one, in_dims=(0, 0 if own else None))(self.unflatten(weights), x if own else x[0])
