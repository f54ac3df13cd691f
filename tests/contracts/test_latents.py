"""One contract for every model with latent variables, and one for everything that draws."""

import inspect
import math

import pytest
import torch

import deepgen as dg
from deepgen.testing import check_latent, check_samples
from tests.contracts.latents import LATENTS, SAMPLERS, build, parts_of, required


@pytest.mark.parametrize("name", LATENTS)
def test_latent(name, stream, alpha):
    state = "moved" if torch.rand((), generator=stream) < 0.5 else "fresh"  # one of the two in each run
    model, x, context = build(name, stream, state)
    done = check_latent(model, x, context=context, alpha=alpha, generator=stream)
    laws = model if context is None else model(context)
    assert required(model, laws) <= set(done)
    assert ("context" in done) == (context is not None)
    assert ("no gradients" in done) == (name == "VAE, posterior without rsample")


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples(name, stream):
    model, context = SAMPLERS[name](stream)
    done = check_samples(model, context=context, generator=stream)
    assert {"shapes", "detached", "random", "untouched", "float64"} <= set(done)
    assert ("context" in done) == (context is not None)
    x = model.sample(5, *([] if context is None else [context]), generator=stream)
    assert bool(model.logit(x, context).isfinite().all())
    pairs = x if context is None else torch.utils.data.TensorDataset(x, context)
    history = dg.fit(model, pairs, dg.objectives.Adversarial(penalty=()), epochs=1, seed=0, progress=False)
    assert all(math.isfinite(value) for value in history[-1].metrics.values())


def test_no_model_is_forgotten():
    known = set()
    for name in LATENTS:
        known |= parts_of(build(name, 0)[0])
    for make in SAMPLERS.values():
        known |= parts_of(make(dg.random.generator(0))[0])
    public = [getattr(dg.implicit, name) for name in dg.implicit.__all__]
    modules = {cls for cls in public if inspect.isclass(cls) and issubclass(cls, torch.nn.Module)}
    drawing = {cls for cls in modules if hasattr(cls, "sample")}
    assert drawing <= known
    laws = {dg.implicit.Bernoulli, dg.implicit.Gaussian, dg.implicit.Categorical, dg.implicit.LogisticMixture}
    assert laws | {dg.implicit.DiagonalGaussian, dg.implicit.FullGaussian, dg.implicit.VampPrior} <= known
