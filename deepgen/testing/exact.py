"""Exact answers about a small two-layer machine, by brute force over its joint energy."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import MissingCapability
from deepgen.explicit.units import Units
from deepgen.testing.law import Law, integrate, layout, pairs


class Exact:
    """log Z, likelihoods, gradients and exact draws of a machine, from ``energy(v, h)`` alone.

    p_beta(v, h) is proportional to exp(-beta E(v, h) - (1 - beta) (u(v) + u(h))), u being the layers' own energies: the
    path on which an inverse temperature multiplies fields (for discrete units u = 0). Conditionals, free energies,
    cumulants and samplers of the model are never called, so they can be compared with this. Cost: all joint states of
    the discrete units, some 2^16 at most.

    Args:
        model: an `RBM`, or any module with ``visible`` and ``hidden`` layers of units and ``energy(v, h)``. It is
            copied, in float64.
        beta: inverse temperature.

    >>> import deepgen as dg
    >>> rbm = dg.RBM(visible=3, hidden=2, generator=0)
    >>> exact = Exact(rbm)
    >>> bool((exact.log_density(torch.ones(1, 3)) + rbm.free_energy(torch.ones(1, 3))).abs() < 1e-5)
    True
    """

    def __init__(self, model: Any, beta: float = 1.0) -> None:
        self.dtype = next(model.parameters()).dtype
        self.model = copy.deepcopy(model).double().cpu()
        self.beta = beta
        self.visible: Units = self.model.visible
        self.hidden: Units = self.model.hidden

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """The energy of p_beta in nats: ``[..., visible], [..., hidden] -> [...]``."""
        joint = self.beta * self.model.energy(v, h)
        return joint + (1 - self.beta) * (self.visible.energy(v) + self.hidden.energy(h))

    def joint(self) -> Law:
        """p_beta(v, h) over ``[visible + hidden]`` columns, differentiable in the parameters of ``self.model``."""
        (v, real_v), (h, real_h) = layout(self.visible), layout(self.hidden)
        width = self.visible.width
        return integrate(
            lambda z: self.energy(z[..., :width], z[..., width:]), pairs(v, h), real_v + [width + i for i in real_h]
        )

    def hidden_given(self, v: Tensor) -> Law:
        """p_beta(h | v) for each row of ``v`` ``[batch, visible]``."""
        v = v.double().cpu()
        rows, real = layout(self.hidden)

        def energy(h: Tensor) -> Tensor:
            extra = (1,) * (h.ndim - 2)
            return self.energy(v.reshape(len(v), *extra, -1).expand(*h.shape[:-1], -1), h)

        return integrate(energy, rows.expand(len(v), -1, -1), real)

    @property
    def log_z(self) -> Tensor:
        """log Z in nats, 0-d; +inf when the machine cannot be normalised."""
        return self.joint().log_z

    def log_density(self, v: Tensor) -> Tensor:
        """log of the sum over h of exp(-E(v, h)), minus the free energy: ``[batch, visible] -> [batch]``."""
        return self.hidden_given(v).log_z

    def log_likelihood(self, v: Tensor) -> Tensor:
        """log p_beta(v) in nats: ``[batch, visible] -> [batch]``."""
        return self.log_density(v) - self.log_z

    def gradient(self, v: Tensor) -> dict[str, Tensor]:
        """d(mean log-likelihood of rows v)/d(parameter) by name, float64."""
        named = dict(self.model.named_parameters())
        grads = torch.autograd.grad(self.log_likelihood(v).mean(), list(named.values()), allow_unused=True)
        return {
            name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), grads, strict=True)
        }

    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> tuple[Tensor, Tensor]:
        """``n`` exact independent draws of (v, h), in the dtype of the model."""
        z = self.joint().sample(n, generator=generator).to(self.dtype)
        return z[:, : self.visible.width], z[:, self.visible.width :]

    @torch.no_grad()
    def visible_law(self) -> Law:
        """p_beta(v) of a discrete visible layer: its states and their log weights."""
        joint, states = self.joint(), self.visible.states
        if states is None:
            raise MissingCapability("the visible layer has real units: its law is not a list of states")
        rows = self.visible.enumerate(0, states)
        weights = joint.log_weight.reshape(states, -1).logsumexp(-1)
        return Law(rows, [], weights, rows[..., :0], rows.new_zeros(len(rows), 0, 0))
