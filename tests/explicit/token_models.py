"""Every token model in a small instance, by name."""

import torch

from deepgen.explicit import CharRNN, Transformer

MODELS = {
    "rnn": lambda k, length, g, **more: CharRNN(k, 6, cell="rnn", embedding=4, length=length, generator=g, **more),
    "lstm": lambda k, length, g, **more: CharRNN(k, 6, 2, embedding=4, length=length, generator=g, **more),
    "gru": lambda k, length, g, **more: CharRNN(k, 6, cell="gru", embedding=4, length=length, generator=g, **more),
    "mlstm": lambda k, length, g, **more: CharRNN(k, 6, 2, "mlstm", embedding=4, length=length, generator=g, **more),
    "transformer": lambda k, length, g, **more: Transformer(k, length, 8, 2, 2, generator=g, **more),
    "tied": lambda k, length, g, **more: Transformer(k, length, 8, 4, 1, tied=True, generator=g, **more),
}


def lively(name, stream, vocabulary=3, length=5, **more):
    """The model in float64, moved so far from its start that every token matters."""
    model = MODELS[name](vocabulary, length, stream, **more).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2).add_(0.3 * torch.randn(p.shape, generator=stream, dtype=p.dtype))
    return model


def everything(vocabulary=3, length=5):
    """All sequences there are."""
    return torch.cartesian_prod(*[torch.arange(vocabulary)] * length).reshape(-1, length)
