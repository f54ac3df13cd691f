"""Every density class in small instances, by name: one line makes a model part of the contract.

Each entry builds a model from a generator. ``CONTEXT`` is the width of the context rows of those that take one.
"""

import copy

import torch

import deepgen.explicit as e
import deepgen.transforms as t
from deepgen.distributions import NormalMixture, StudentT
from deepgen.explicit import Flow
from deepgen.random import generator
from deepgen.testing.mass import STATES, values_of

CONTEXT = 2
SMALL = {"transforms": 2, "hidden": [16]}

FLOWS = {
    "NICE 2": lambda g: e.NICE(2, **SMALL, generator=g),
    "NICE 3": lambda g: e.NICE(3, 3, [8, 8], generator=g),
    "NICE given": lambda g: e.NICE(3, **SMALL, context=CONTEXT, generator=g),
    "RealNVP 2": lambda g: e.RealNVP(2, 3, [16, 16], generator=g),
    "RealNVP 5, residual": lambda g: e.RealNVP(5, 2, [16, 16], residual=True, generator=g),
    "RealNVP given, t": lambda g: e.RealNVP(2, **SMALL, context=CONTEXT, base=StudentT(2), generator=g),
    "MAF 1": lambda g: e.MAF(1, **SMALL, generator=g),
    "MAF 2": lambda g: e.MAF(2, 3, [16, 16], generator=g),
    "MAF 6, residual": lambda g: e.MAF(6, 2, [16, 16], residual=True, generator=g),
    "MAF 1 given": lambda g: e.MAF(1, **SMALL, context=CONTEXT, generator=g),
    "MAF given, mixture": lambda g: e.MAF(
        2, **SMALL, context=CONTEXT, base=NormalMixture(2, 3, generator=g), generator=g
    ),
    "IAF 2": lambda g: e.IAF(2, **SMALL, generator=g),
    "IAF 4, residual": lambda g: e.IAF(4, 2, [16, 16], residual=True, generator=g),
    "IAF given, t": lambda g: e.IAF(2, **SMALL, context=CONTEXT, base=StudentT(2), generator=g),
    "NSF 2": lambda g: e.NSF(2, **SMALL, bins=4, generator=g),
    "NSF 3, linear": lambda g: e.NSF(3, **SMALL, bins=4, linear=True, generator=g),
    "NSF given, mixture": lambda g: e.NSF(
        2, **SMALL, context=CONTEXT, base=NormalMixture(2, 3, generator=g), generator=g
    ),
    "NSF-AR 1": lambda g: e.NSF(1, **SMALL, bins=4, autoregressive=True, generator=g),
    "NSF-AR 2": lambda g: e.NSF(2, **SMALL, bins=4, autoregressive=True, generator=g),
    "NSF-AR given": lambda g: e.NSF(3, **SMALL, autoregressive=True, context=CONTEXT, generator=g),
    "glow-like": lambda g: Flow(
        t.Chain([t.ActNorm(3), t.Permutation(3, generator=g), t.LULinear(3), t.Coupling(3, hidden=[8], generator=g)]), 3
    ),
    "logit": lambda g: Flow(t.Chain([t.Logit(0.05), t.Affine(2), t.Coupling(2, hidden=[8], generator=g)]), 2),
    "affine given": lambda g: Flow(t.Chain([t.ContextAffine(1), t.Affine(1)]), StudentT(1, 2.0), context=CONTEXT),
    "radial": lambda g: Flow(t.Chain([t.Radial(2, generator=g), t.Radial(2, generator=g)]), 2),
    "affine t": lambda g: Flow(t.Affine(1), StudentT(1, 2.0)),
    "nothing": lambda g: Flow(t.Chain([]), 2),
}
ONE_WAY = {
    "planar 2": lambda g: e.PlanarFlow(2, 3, generator=g),
    "planar given": lambda g: e.PlanarFlow(3, 3, context=CONTEXT, generator=g),
    "planar, sample": lambda g: e.PlanarFlow(2, 3, fast="sample", generator=g),
    "planar, sample given": lambda g: e.PlanarFlow(2, 3, fast="sample", context=CONTEXT, generator=g),
}
DISCRETE = {
    "MADE 10": lambda g: e.MADE(10, [64], generator=g),  # several units a degree: a rectifier may be dead on all rows
    "MADE 6, orders": lambda g: e.MADE(6, [40], orders=3, generator=g),
    "MADE 5, categories": lambda g: e.MADE(5, [16, 16], categories=3, residual=True, generator=g),
    "MADE given": lambda g: e.MADE(6, [40], context=CONTEXT, generator=g),
    "NADE 10": lambda g: e.NADE(10, 8, generator=g),
    "NADE 6, order": lambda g: e.NADE(6, 8, order=[3, 1, 5, 4, 2, 0], generator=g),
    "NADE 40, wide": lambda g: e.NADE(40, 104, generator=g),  # enough for its compiled kernels
    "DeepNADE 10": lambda g: e.DeepNADE(10, [16], generator=g),
    "DeepNADE 6, orders": lambda g: e.DeepNADE(6, [16, 16], orders=2, generator=g),
    "PixelCNN 3x3": lambda g: e.PixelCNN((3, 3), 8, 2, generator=g),
    "PixelCNN given, colours": lambda g: e.PixelCNN((2, 2, 1), 8, 2, categories=3, context=CONTEXT, generator=g),
    "GatedPixelCNN 3x3": lambda g: e.GatedPixelCNN((3, 3), 8, 2, generator=g),
    "GatedPixelCNN given, colours": lambda g: e.GatedPixelCNN(
        (2, 2, 1), 8, 2, categories=3, context=CONTEXT, generator=g
    ),
    "RNN": lambda g: e.CharRNN(3, 8, cell="rnn", embedding=4, length=6, generator=g),
    "LSTM": lambda g: e.CharRNN(2, 8, 2, embedding=4, length=8, generator=g),
    "GRU": lambda g: e.CharRNN(3, 8, cell="gru", embedding=4, length=5, generator=g),
    "mLSTM": lambda g: e.CharRNN(4, 8, cell="mlstm", embedding=4, length=4, generator=g),
    "Transformer": lambda g: e.Transformer(3, width=8, layers=2, heads=2, length=6, generator=g),
}
MIXTURES = {"BernoulliMixture": lambda g: e.BernoulliMixture(6, 3, generator=g)}  # no order, so nothing to complete
DENSITIES = {**FLOWS, **ONE_WAY, **DISCRETE, **MIXTURES}
ALWAYS = {"restored", "float64", "Rebuilt", "gradients"}


def build(name, seed, state="fresh"):
    """The model of a name and its context rows; in the state ``trained`` after steps of training on made-up rows."""
    stream = generator(seed) if isinstance(seed, int) else seed
    model = DENSITIES[name](stream)
    context = torch.randn(5, CONTEXT, generator=stream) if getattr(model, "context", 0) else None
    if state == "trained":
        trained(model, stream)
        if "planar, sample" not in name and name != "nothing":
            fit(model, stream)
    return model, context


def required(model):
    """The checks that check_density must have made for a model to be covered."""
    if (values := values_of(model.support)) is not None:
        small = len(values) ** model.event_shape.numel() <= STATES
        walks = set() if isinstance(model, e.BernoulliMixture) else {"methods", "completion"} if small else {"methods"}
        return ALWAYS | {"LogProb", "Samples", "tilt"} | walks | ({"mass", "cells"} if small else set())
    if isinstance(model, e.PlanarFlow):
        return ALWAYS | {"jacobian", "distribution"}
    needed = ALWAYS | {"LogProb", "Samples", "methods", "distribution", "jacobian", "round trip", "extremes", "code"}
    return needed | ({"mass", "cells"} if model.event_shape.numel() <= 2 else set())


def trained(model, seed, scale=0.5):
    """The model with every parameter moved at random by about its own size, as if training had been there."""
    stream = generator(seed) if isinstance(seed, int) else seed
    with torch.no_grad():
        for p in model.parameters():
            p.add_(scale * p.square().mean().sqrt().clamp_min(0.3) * torch.randn(p.shape, generator=stream))
    return model


def several(model, stream, count=8):
    """Copies moved apart: what one does not see because a rectifier is off, another one does."""
    return [trained(copy.deepcopy(model), stream) for _ in range(count)]


def fit(model, stream, steps=20):
    """Some steps of maximum likelihood on rows with bends and correlations that follow the context."""
    optimizer, values = torch.optim.Adam(model.parameters(), lr=1e-2), values_of(model.support)
    for _ in range(steps):
        context = torch.randn(64, CONTEXT, generator=stream) if getattr(model, "context", 0) else None
        noise = torch.randn(64, 1 + model.event_shape.numel(), generator=stream)
        x = (2 * noise[:, :1]).sin() + 0.3 * noise[:, 1:] + (0 if context is None else context[:, :1])
        if values is not None:
            x = (x + len(values) / 2).floor().clamp(0, len(values) - 1)
        elif model.support.base_constraint is not torch.distributions.constraints.real:
            x = x.sigmoid()
        loss = -model.log_prob(x.reshape(-1, *model.event_shape), *(() if context is None else (context,))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
