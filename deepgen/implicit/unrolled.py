"""Deep autoencoders from a stack of Boltzmann machines: trained one by one, then unrolled and trained together.

    there:  h_1 = E[h | v = x],  h_2 = E[h | v = h_1],  ...      back:  the same weights transposed, the visible biases

Each machine learns the hidden units of the one below. Unrolled, their weights W_i start an encoder and a decoder, whose
copies then part in training. It starts where random weights would long be flat: Hinton & Salakhutdinov 2006, "Reducing
the dimensionality of data with neural networks". With real-valued units at the top the code is linear, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError
from deepgen.explicit.gaussian import Gaussian as GaussianUnits
from deepgen.explicit.rbm import RBM
from deepgen.explicit.stack import check_stack
from deepgen.explicit.units import Bernoulli as BernoulliUnits
from deepgen.explicit.units import Spin, Units
from deepgen.implicit.autoencoder import Autoencoder
from deepgen.implicit.likelihoods import Bernoulli, Gaussian
from deepgen.layers.dense import Dense

_MEANS: dict[Any, str | None] = {
    BernoulliUnits: "sigmoid",
    Spin: "tanh",
    GaussianUnits: None,
}  # E[h | f] as an activation


@torch.no_grad()
def unrolled(rbms: Sequence[RBM]) -> Autoencoder:
    """The `Autoencoder` that a stack of machines is, unrolled; its weights are copies.

    The code is E[h | v] of the top machine at the means of those below, and the likelihood that of the lowest visible
    layer: `Bernoulli`, or `Gaussian` with the sigma of its units.

    Args:
        rbms: machines, lowest first, the visible layer of each of the kind and width of the hidden one below: binary
            (or spin) units, and at the two ends real ones if wanted.

    Raises:
        ArgumentError: layers that do not meet, or of kinds whose means are no common activation.

    >>> machine = RBM(visible=6, hidden=3, generator=0)
    >>> x = torch.eye(6)
    >>> bool(torch.allclose(unrolled([machine]).encode(x), machine.transform(x)))
    True
    """
    rbms = check_stack(rbms, "unrolled")
    activation = _activation(rbms, [rbm.hidden for rbm in rbms[:-1]])
    top: Any = type(rbms[-1].hidden)
    if top not in _MEANS:
        raise _kinds(rbms)
    data, widths = rbms[0].visible, [rbm.hidden.width for rbm in rbms]
    encoder = Dense(data.width, widths[:-1], widths[-1], activation=activation, last=_MEANS[top])
    decoder = Dense(widths[-1], widths[-2::-1], data.width, activation=activation)
    for rbm, there, back in zip(rbms, encoder.layers, reversed(decoder.layers), strict=True):
        _fill(there, rbm.weight.t(), rbm.hidden_bias, rbm.hidden)
        _fill(back, rbm.weight, rbm.visible_bias, rbm.visible)
    model = Autoencoder(encoder, decoder, likelihood=_likelihood(data))
    return model.to(rbms[0].weight)


@torch.no_grad()
def classifier(rbms: Sequence[RBM], classes: int, *, generator: torch.Generator | int | None = None) -> Dense:
    """The way up a stack of machines as a network that puts out logits ``[rows, classes]``, to be trained on labels.

    Its hidden layers start at E[h | v] of each machine, as copies; the last layer is new. ``Softmax`` and other layers
    whose means are no common activation are refused.

    Args:
        rbms: machines, lowest first, of Bernoulli (or Spin) hidden units all through.
        classes: numbers that come out.
        generator: source of the weights of the last layer.

    >>> net = classifier([RBM(6, 4, generator=0), RBM(4, 3, generator=1)], 10, generator=0)
    >>> net(torch.zeros(5, 6)).shape
    torch.Size([5, 10])
    """
    rbms = check_stack(rbms, "classifier")
    activation = _activation(rbms, [rbm.hidden for rbm in rbms])
    widths = [rbm.hidden.width for rbm in rbms]
    net = Dense(rbms[0].visible.width, widths, classes, activation=activation, generator=generator).to(rbms[0].weight)
    for rbm, layer in zip(rbms, net.layers, strict=False):
        _fill(layer, rbm.weight.t(), rbm.hidden_bias, rbm.hidden)
    return net


def _activation(rbms: Sequence[RBM], hidden: Sequence[Units]) -> str:
    """The one activation that gives the means of all ``hidden`` layers."""
    kinds: set[Any] = {type(units) for units in hidden}
    if len(kinds) > 1 or not kinds <= {BernoulliUnits, Spin}:
        raise _kinds(rbms)
    return (_MEANS[kinds.pop()] if kinds else None) or "sigmoid"


def _kinds(rbms: Sequence[RBM]) -> ArgumentError:
    return ArgumentError(
        "hidden layers must be Bernoulli (or Spin) all through, the top one of an autoencoder may be Gaussian; got "
        f"{[type(rbm.hidden).__name__ for rbm in rbms]}"
    )


def _fill(layer: Any, weight: Tensor, bias: Tensor, units: Any) -> None:
    """Let ``layer`` put out the mean of ``units`` before its activation: their field, of real ones over lambda."""
    scale = units.precision(bias) if isinstance(units, GaussianUnits) else torch.ones_like(bias)
    layer.to(weight)
    layer.weight.copy_(weight / scale.unsqueeze(1))
    layer.bias.copy_(bias / scale)


def _likelihood(units: Units) -> nn.Module:
    if type(units) is BernoulliUnits:
        return Bernoulli()
    if isinstance(units, GaussianUnits):
        sigma = (-units.log_precision / 2).exp()
        if bool((sigma == sigma[0]).all()):
            return Gaussian(float(sigma[0]))
        raise ArgumentError("the visible units have precisions of their own, and a Gaussian likelihood has one sigma: "
                            "scale the columns to one deviation and leave learned=False")  # fmt: skip
    raise ArgumentError(f"no likelihood is over {type(units).__name__} units: use Bernoulli or Gaussian visible layers")
