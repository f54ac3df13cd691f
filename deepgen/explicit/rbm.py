"""Restricted Boltzmann machine: two layers of units, joined by weights, with no connection inside a layer.

    E(v, h) = u(v) + u(h) - a.v - b.h - v.W.h,        p(v, h) = exp(-E(v, h)) / Z

a: ``visible_bias`` [visible], b: ``hidden_bias`` [hidden], W: ``weight`` [visible, hidden], u: the layers' own energies
(zero for binary units, see `deepgen.explicit.units`). Both conditionals factorise over units; summing out h leaves

    log p(v) = a.v - u(v) + A_h(b + v.W) - log Z = -F(v) - log Z,        F: free energy, in nats,

A_h being the hidden layer's cumulant function. log Z is out of reach beyond about 25 units on the smaller side; see
`deepgen.evaluate.log_partition`. Source: Smolensky 1986; Hinton 2002, "Training products of experts by minimizing
contrastive divergence"; for other units Welling, Rosen-Zvi & Hinton 2004.

Limits: float32 fields are good to about 1e-6 relative, so free energies of 784-500 machines to about 1e-4 nats; call
``rbm.double()`` where that matters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.explicit.conditional import UnitDistribution
from deepgen.explicit.rows import Rows, answered, flat_rows, mask_of
from deepgen.explicit.units import Units, as_units, as_values, base_rates, check_values
from deepgen.layers.entering import Entering
from deepgen.random import resolve, streams
from deepgen.samplers.block_gibbs import BlockGibbs
from deepgen.samplers.kernel import advance


class RBM(nn.Module):
    """Restricted Boltzmann machine over any pair of `deepgen.explicit` unit layers.

    Args:
        visible, hidden: a number of Bernoulli units, or a layer: ``Spin(n)``, ``Softmax(groups, categories)``,
            ``Gaussian(n)``, ``Product(...)``.
        generator: source of the initial weights N(0, 0.01^2) (Hinton 2010, section 8.1); biases start at zero.

    It has `LogDensity` (the visible marginal up to log Z) and `Blocked`; samples come from a chain.

    >>> rbm = RBM(visible=6, hidden=4, generator=0)
    >>> rbm.free_energy(torch.zeros(1, 6)).shape
    torch.Size([1])
    >>> rbm.hidden_given(torch.zeros(1, 6)).mean.shape
    torch.Size([1, 4])
    """

    def __init__(
        self, visible: int | Units, hidden: int | Units, *, generator: torch.Generator | int | None = None
    ) -> None:
        super().__init__()
        self.visible: Units = as_units(visible, "visible")
        self.hidden: Units = as_units(hidden, "hidden")
        shape = (self.visible.width, self.hidden.width)
        self.weight = nn.Parameter(torch.empty(shape).normal_(0.0, 0.01, generator=resolve(generator)))
        self.visible_bias = nn.Parameter(torch.zeros(shape[0]))
        self.hidden_bias = nn.Parameter(torch.zeros(shape[1]))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"visible": self.visible, "hidden": self.hidden}

    def entering(self) -> dict[str, Entering]:
        """Weights ``[visible, hidden]``, each column one hidden unit's; see `deepgen.layers.constrain`."""
        return {"weight": Entering(1)}

    @torch.no_grad()
    def initialise(self, x: Tensor) -> RBM:
        """Set the visible biases to the base rates of data ``[rows, visible]`` and return self.

        The machine then starts as the best model without hidden units (Hinton 2010, section 8.1; the log-odds of a
        binary column are smoothed by half a row of each value, so a constant column stays finite). NaN entries are
        missing values, and left out (`deepgen.objectives.Incomplete`).
        """
        self.visible_bias.copy_(base_rates(self.visible, x, self.weight))
        return self

    def check(self, x: Tensor) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is ``[rows, visible]`` of possible values, NaN-free."""
        check_values(self.visible, x, "data")

    def hidden_field(self, v: Tensor) -> Tensor:
        """b + v.W: ``[..., visible] -> [..., hidden]``."""
        if v.ndim == 2:
            return torch.addmm(self.hidden_bias, v, self.weight)
        return v @ self.weight + self.hidden_bias

    def visible_field(self, h: Tensor) -> Tensor:
        """a + W.h: ``[..., hidden] -> [..., visible]``."""
        if h.ndim == 2:
            return torch.addmm(self.visible_bias, h, self.weight.t())
        return h @ self.weight.t() + self.visible_bias

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h) in nats: ``[..., visible], [..., hidden] -> [...]``."""
        v, h = as_values(self.visible, v, "v", self.weight), as_values(self.hidden, h, "h", self.weight)
        interaction = (self.hidden_field(v) * h).sum(-1) + v @ self.visible_bias
        return self.visible.energy(v) + self.hidden.energy(h) - interaction

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = -log sum_h exp(-E(v, h)) in nats: ``[..., visible] -> [...]``."""
        v = as_values(self.visible, v, "v", self.weight)
        return self.visible.energy(v) - v @ self.visible_bias - self.hidden.cumulant(self.hidden_field(v))

    def log_density(self, x: Tensor) -> Tensor:
        """-F(x), the visible log probability up to log Z, in nats: ``[batch, visible] -> [batch]``."""
        return -self.free_energy(x)

    def hidden_given(self, v: Tensor) -> UnitDistribution:
        """p(h | v) as a torch Distribution over ``[hidden]``."""
        v = as_values(self.visible, v, "v", self.weight)
        return UnitDistribution(self.hidden, self.hidden_field(v))

    def visible_given(self, h: Tensor) -> UnitDistribution:
        """p(v | h) as a torch Distribution over ``[visible]``."""
        h = as_values(self.hidden, h, "h", self.weight)
        return UnitDistribution(self.visible, self.visible_field(h))

    @torch.no_grad()
    def transform(self, x: Rows) -> Rows:
        """Features E[h | x] for another model to use: ``[rows, visible] -> [rows, hidden]``.

        An array gives an array, so that ``FunctionTransformer(rbm.transform)`` is a step of a scikit-learn Pipeline.
        """
        return answered(x, self._features)

    def _features(self, x: Tensor) -> Tensor:
        self.check(x)
        return self.hidden.mean(self.hidden_field(x.to(self.weight)))

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """E[v | h = E[h | x]], the mean-field reconstruction: ``[rows, visible] -> [rows, visible]``."""
        return self.visible.mean(self.visible_field(self._features(x)))

    @property
    def support(self) -> Any:
        """The constraint on the visible values, None where the layer does not say (see ``support`` of the units)."""
        return getattr(self.visible, "support", None)

    def gibbs(self, beta: float | Tensor = 1.0, *, clamp: Tensor | None = None) -> BlockGibbs:
        """The block Gibbs kernel on the visible layer; ``clamp`` is a boolean mask of entries to hold fixed.

        ``beta`` is the inverse temperature, one number or one a chain ``[chains]``.
        """
        return BlockGibbs(self, beta, clamp)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        steps: int = 1000,
        start: Tensor | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Return the visible layers of ``n`` chains after ``steps`` Gibbs steps: ``[n, visible]``.

        The draws are independent of one another; whether ``steps`` is enough to forget the start is a property of the
        model (see `deepgen.samplers.sample_chain` and its R-hat). Without ``start`` chains begin at the units' own
        biases, which is the model with its weights cut.

        Raises:
            ArgumentError: ``n`` below 1 or ``steps`` below 0.
            ShapeError, SupportError: ``start`` is not ``[n, visible]`` of values that the visible units can take.
        """
        check_count(n=n)
        check_count(0, steps=steps)
        stream = resolve(generator, self.weight.device)
        if start is None:
            start = self._unconnected(n, stream)
        else:
            check_values(self.visible, start, "start")
            if len(start) != n:
                raise ShapeError(f"start must have n={n} rows, got {len(start)}")
        kernel = self.gibbs()
        return advance(kernel, kernel.init(start), steps, generator=streams(stream, stream.device)).position

    @torch.no_grad()
    def conditional_sample(
        self, known: Tensor, mask: Tensor, *, steps: int = 1000, generator: torch.Generator | int | None = None
    ) -> Tensor:
        """Complete rows: entries of ``known`` under ``mask`` stay, the others are drawn given them by Gibbs steps.

        Args:
            known: ``[rows, visible]``; entries not under ``mask`` are ignored and may be NaN.
            mask: boolean ``[visible]`` or ``[rows, visible]``, True where the value is known. The entries of one
                Softmax group are known together or not at all.
            steps: Gibbs steps; as many as the conditional law needs to forget the start, which is drawn from the
                biases alone.

        Raises:
            ShapeError, SupportError: ``known`` or ``mask`` has another shape, or a known value is impossible.
            ArgumentError: ``steps`` below 0, or ``mask`` parts a Softmax group.
        """
        known = flat_rows(known, [self.visible.width], "known")
        mask = mask_of(mask, known).to(self.weight.device)
        check_count(0, steps=steps)
        self.visible.check_mask(mask)
        stream = resolve(generator, self.weight.device)
        start = torch.where(mask, known.to(self.weight), self._unconnected(len(known), stream))
        self.check(start)
        kernel = self.gibbs(clamp=mask)
        return advance(kernel, kernel.init(start), steps, generator=streams(stream, stream.device)).position

    def _unconnected(self, n: int, generator: torch.Generator) -> Tensor:
        return self.visible.sample(self.visible_bias.detach().expand(n, -1).contiguous(), generator=generator)

    def extra_repr(self) -> str:
        return f"{self.visible.width} visible, {self.hidden.width} hidden"
