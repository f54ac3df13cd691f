"""What keeps an autoencoder's code from copying: penalties on the code z = f(x), in the objective beside the loss.

    L1            < sum_j |z_j| >                                     < > over rows of the batch
    KLSparsity    sum_j KL(Bernoulli(r) || Bernoulli(< z_j >))        z_j in (0, 1): a unit's mean activity near r
    Contraction   < sum_jk (d z_j / d x_k)^2 >                        the squared Frobenius norm of the Jacobian

Each is a function ``(model, inputs, z, *, generator) -> 0-d tensor`` with a ``weight`` and a ``name``; ``inputs`` are
what the encoder was handed. For one sigmoid layer z = sigmoid(W x + b) the norm is known without derivatives,

    sum_j (z_j (1 - z_j))^2 |W_j|^2,

elsewhere it takes one pass backwards for each number of the code, or as many random ones as ``probes``: for normal v
the mean of |v' J|^2 is the norm, so these are unbiased (Hutchinson 1990). Through a batch norm in the encoder dz/dx is
not that of a row alone, and `Reconstruction` refuses the two together. Sources: Ng 2011, "Sparse autoencoder";
Rifai, Vincent, Muller, Glorot & Bengio 2011, "Contractive auto-encoders", equations 5 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, SupportError, check_count, check_real
from deepgen.layers.dense import Dense
from deepgen.random import normal


@dataclass(frozen=True)
class L1:
    """The mean over rows of sum_j |z_j|.

    >>> L1(1.0)(None, None, torch.tensor([[1.0, -2.0], [0.0, 0.0]]))
    tensor(1.5000)
    """

    weight: float
    name: ClassVar[str] = "l1"

    def __post_init__(self) -> None:
        check_real("weight", self.weight, 0)

    def __call__(self, model: Any, inputs: Any, z: Tensor, *, generator: Any = None) -> Tensor:
        return z.abs().sum(1).mean()


@dataclass(frozen=True)
class KLSparsity:
    """sum_j KL(Bernoulli(target) || Bernoulli(m_j)) in nats, m_j the batch's mean of z_j, which must lie in [0, 1].

    Means of a batch are noisy: with rows too few to hold a unit's ``target`` share of activity they pull it too hard.

    >>> KLSparsity(1.0, target=0.5)(None, None, torch.tensor([[0.1], [0.9]]))
    tensor(0.)
    """

    weight: float
    target: float = 0.05
    name: ClassVar[str] = "sparsity"

    def __post_init__(self) -> None:
        check_real("weight", self.weight, 0)
        check_real("target", self.target, 0, 1)
        if self.target in (0, 1):
            raise ArgumentError(f"target must lie between 0 and 1, got {self.target!r}")

    def check(self, z: Tensor) -> None:
        """Raise `SupportError` unless codes are activities from 0 to 1."""
        if bool(((z < 0) | (z > 1)).any()):
            raise SupportError(
                f"KLSparsity takes codes from 0 to 1, got {float(z.min()):g} to {float(z.max()):g}: give the encoder "
                "a sigmoid at its end (last='sigmoid'), or take L1"
            )

    def __call__(self, model: Any, inputs: Any, z: Tensor, *, generator: Any = None) -> Tensor:
        eps = torch.finfo(z.dtype).eps
        mean, r = z.mean(0).clamp(eps, 1 - eps), torch.as_tensor(self.target, dtype=z.dtype, device=z.device)
        return (r * (r / mean).log() + (1 - r) * ((1 - r) / (1 - mean)).log()).sum()


@dataclass(frozen=True)
class Contraction:
    """The mean over rows of the squared Frobenius norm of dz/dx.

    Args:
        weight: of the penalty.
        probes: random directions a row instead of all numbers of the code, where the closed form does not apply.

    >>> net = torch.nn.Linear(3, 2)
    >>> x = torch.zeros(5, 3).requires_grad_()
    >>> model = torch.nn.Module()
    >>> model.encoder = net
    >>> bool(torch.isclose(Contraction(1.0)(model, x, net(x)), net.weight.square().sum()))
    True
    """

    weight: float
    probes: int | None = None
    name: ClassVar[str] = "contraction"

    def __post_init__(self) -> None:
        check_real("weight", self.weight, 0)
        if self.probes is not None:
            check_count(probes=self.probes)

    def needs_gradient(self, model: Any) -> bool:
        """Whether ``inputs`` must be a leaf that derivatives are taken to."""
        return not is_sigmoid_layer(model.encoder)

    def __call__(self, model: Any, inputs: Tensor, z: Tensor, *, generator: Any = None) -> Tensor:
        if is_sigmoid_layer(model.encoder):
            norms = model.encoder.layers[0].weight.square().sum(1)
            return ((z * (1 - z)).square() @ norms).mean()
        if self.probes is None:
            directions = list(torch.eye(z.shape[1], dtype=z.dtype, device=z.device).unsqueeze(1))
            directions = [one.expand_as(z) for one in directions]
        else:
            directions = [normal(z.shape, generator=generator, dtype=z.dtype) for _ in range(self.probes)]
        total = z.new_zeros(())
        for v in directions:
            (slope,) = torch.autograd.grad(z, inputs, v, create_graph=True)
            total = total + slope.square().sum()
        return total / (len(z) * (self.probes or 1))


def is_sigmoid_layer(encoder: nn.Module) -> bool:
    """Whether an encoder is one linear layer with a sigmoid, whose Jacobian is known.

    >>> is_sigmoid_layer(Dense(6, [], 4, last="sigmoid")), is_sigmoid_layer(Dense(6, [5], 4, last="sigmoid"))
    (True, False)
    """
    alone = isinstance(encoder, Dense) and len(encoder.layers) == 1 and not any(encoder.rates)
    return alone and encoder.last is torch.sigmoid
