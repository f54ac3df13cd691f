"""Small models, data and fits that the tests of training share."""

import torch

import deepgen as dg

MLE = dg.objectives.MaximumLikelihood


def rows(n=70, features=6):
    return (torch.rand(n, features, generator=dg.random.generator(5)) < 0.3).float()


def mixture():
    return dg.explicit.BernoulliMixture(6, components=2).initialise(rows(), generator=1)


def equal(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def fitted(model=None, objective=None, *, epochs=4, data=None, **options):
    model = mixture() if model is None else model
    options = {"progress": False, "batch_size": 16, **options}
    data = rows() if data is None else data
    history = dg.fit(model, data, objective or MLE(), epochs=epochs, **options)
    return model, history


def machine():
    return dg.explicit.RBM(visible=6, hidden=4, generator=3)
