"""Deep autoencoders from a stack of Boltzmann machines: trained one by one, then unrolled and trained together.

    there:  h_1 = E[h | v = x],  h_2 = E[h | v = h_1],  ...      back:  the same weights transposed, the visible biases

Each machine learns the hidden units of the one below. Unrolled, their weights W_i start an encoder and a decoder, whose
copies then part in training. It starts where random weights would long be flat: Hinton & Salakhutdinov 2006, "Reducing
the dimensionality of data with neural networks". With real-valued units at the top the code is linear, as there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.explicit.gaussian import Gaussian as GaussianUnits
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import Bernoulli as BernoulliUnits
from deepgen.explicit.units import Spin, Units, as_units
from deepgen.implicit.autoencoder import Autoencoder
from deepgen.implicit.dense import Dense
from deepgen.implicit.likelihoods import Bernoulli, Gaussian
from deepgen.random import draw, spawn
from deepgen.random import generator as new_generator

_MEANS = {BernoulliUnits: "sigmoid", Spin: "tanh", GaussianUnits: None}  # E[h | f] as an activation


def rbm_stack(
    x: Tensor,
    hidden: Sequence[int | Units],
    *,
    visible: Units | None = None,
    objective: Any = None,
    epochs: int = 10,
    batch_size: int = 100,
    seed: int = 0,
    progress: bool = False,
) -> list[RBM]:
    """Train one `RBM` on the rows, the next on hidden units drawn from the first, and so on.

    Args:
        x: rows ``[rows, visible]`` that the lowest visible layer can take.
        hidden: the hidden layer of each machine, lowest first: a number of Bernoulli units, or a layer, such as
            ``deepgen.explicit.Gaussian(30)`` for a linear code at the top.
        visible: the lowest layer; Bernoulli units of the width of ``x`` by default.
        objective: of each; ``ContrastiveDivergence()`` by default, with its own optimizer.
        epochs, batch_size, seed, progress: as for `deepgen.fit`, of each machine.

    Returns:
        The machines, lowest first: see `unrolled`.

    >>> import deepgen as dg
    >>> rbms = rbm_stack(torch.eye(6), [4, dg.explicit.Gaussian(2)], epochs=1)
    >>> [rbm.weight.shape for rbm in rbms]
    [torch.Size([6, 4]), torch.Size([4, 2])]
    """
    from deepgen.objectives import ContrastiveDivergence
    from deepgen.train import fit

    if isinstance(hidden, int) or len(hidden) == 0:
        raise ArgumentError(f"hidden must be a list of layers, lowest first, such as [200, 50], got {hidden!r}")
    check_count(epochs=epochs)
    layer = as_units(x.shape[1], "visible") if visible is None else visible
    stack: list[RBM] = []
    for number, units in enumerate(hidden):
        start, drawing = spawn(new_generator(seed + number), 2)
        rbm = RBM(layer, units, generator=start).initialise(x)
        fit(rbm, x, ContrastiveDivergence() if objective is None else objective, epochs=epochs, batch_size=batch_size,
            seed=seed + number, progress=progress)  # fmt: skip
        x, layer = draw(rbm.hidden_given(x), generator=drawing).detach(), rbm.hidden
        stack.append(rbm)
    return stack


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
    rbms = list(rbms)
    if not rbms or not all(isinstance(rbm, RBM) for rbm in rbms):
        raise ArgumentError(f"unrolled takes a list of RBMs, lowest first, got {[type(rbm).__name__ for rbm in rbms]}")
    for below, above in itertools.pairwise(rbms):
        if type(below.hidden) is not type(above.visible) or below.hidden.width != above.visible.width:
            raise ArgumentError(f"hidden layer {below.hidden} and the visible layer {above.visible} above do not meet")
    inner: set[Any] = {type(rbm.hidden) for rbm in rbms[:-1]}
    top: Any = type(rbms[-1].hidden)
    if len(inner) > 1 or not inner <= {BernoulliUnits, Spin} or top not in _MEANS:
        raise ArgumentError(
            "hidden layers must be Bernoulli (or Spin) all through, the top one may be Gaussian; got "
            f"{[type(rbm.hidden).__name__ for rbm in rbms]}"
        )
    activation: Any = _MEANS[inner.pop()] if inner else "sigmoid"
    data, widths = rbms[0].visible, [rbm.hidden.width for rbm in rbms]
    encoder = Dense(data.width, widths[:-1], widths[-1], activation=activation, last=_MEANS[top])
    decoder = Dense(widths[-1], widths[-2::-1], data.width, activation=activation)
    for rbm, there, back in zip(rbms, encoder.layers, reversed(decoder.layers), strict=True):
        _fill(there, rbm.weight.t(), rbm.hidden_bias, rbm.hidden)
        _fill(back, rbm.weight, rbm.visible_bias, rbm.visible)
    model = Autoencoder(encoder, decoder, likelihood=_likelihood(data))
    return model.to(rbms[0].weight)


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
