"""Small autoregressive models of discrete variables for tests: float64, all weights large enough to matter."""

import torch

from deepgen.explicit import MADE, NADE, DeepNADE

BUILDERS = {
    "made": lambda g: MADE(5, [44, 40], generator=g),
    "made, one variable": lambda g: MADE(1, [3], generator=g),
    "made, orders": lambda g: MADE(5, [44], orders=3, generator=g),
    "made, its own order": lambda g: MADE(5, [44, 44], orders=[[3, 0, 4, 1, 2]], residual=True, generator=g),
    "made, categories": lambda g: MADE(3, [16, 16], categories=4, orders=2, residual=True, generator=g),
    "made, context": lambda g: MADE(4, [40], categories=3, context=2, generator=g),
    "nade": lambda g: NADE(5, 7, generator=g),
    "nade, order": lambda g: NADE(5, 7, order=[3, 0, 4, 1, 2], generator=g),
    "nade, one variable": lambda g: NADE(1, 2, generator=g),
    "deep nade": lambda g: DeepNADE(5, [24, 20], generator=g),
    "deep nade, orders": lambda g: DeepNADE(5, [24], orders=3, generator=g),
}


def lively(model, stream, scale=1.0):
    """The model in float64, every parameter moved at random by about its own size or 0.5."""
    model = model.double()
    with torch.no_grad():
        for p in model.parameters():
            size = scale * p.square().mean().sqrt().clamp_min(0.5)
            p.add_(size * torch.randn(p.shape, generator=stream, dtype=p.dtype))
    return model


def build(name, stream):
    return lively(BUILDERS[name](stream), stream)


def everything(model):
    """All states there are: ``[categories ** features, features]``."""
    values = torch.arange(model.categories, dtype=torch.float64)
    return torch.cartesian_prod(*[values] * model.features).reshape(-1, model.features)


def number(model, x):
    """The places of rows ``x`` in `everything`."""
    powers = model.categories ** torch.arange(model.features - 1, -1, -1)
    return (x.long() * powers).sum(1)


def row_of_context(model, stream):
    """A context row for all states, or nothing."""
    if not model.context:
        return ()
    return (torch.randn(1, model.context, generator=stream, dtype=torch.float64),)


def given(context, n):
    """The row of context, if there is one, ``n`` times."""
    return tuple(c.expand(n, -1) for c in context)
