"""One contract for every normalised model: `check_density` on each class, as built and as trained."""

import inspect

import pytest
import torch

import deepgen as dg
from deepgen.testing import check_causal, check_density
from deepgen.testing.mass import values_of
from tests.contracts.densities import CONTEXT, DENSITIES, DISCRETE, build, required, several, trained


@pytest.mark.parametrize("state", ["fresh", "trained"])
@pytest.mark.parametrize("name", DENSITIES)
def test_density(name, state, stream, alpha):
    model, context = build(name, stream, state)
    done = check_density(model, context=context, alpha=alpha, generator=stream)
    assert required(model) <= set(done)
    assert ("context" in done) == (context is not None)
    assert ("methods" in done) == ("method" in inspect.signature(model.sample).parameters and "no sample" not in done)


LARGE = {
    "RealNVP": lambda g: dg.explicit.RealNVP(20, 5, [64, 64], generator=g),
    "MAF": lambda g: dg.explicit.MAF(20, 5, [64, 64], generator=g),
    "IAF": lambda g: dg.explicit.IAF(10, 3, [64, 64], generator=g),
    "NSF": lambda g: dg.explicit.NSF(10, 4, [64, 64], linear=True, generator=g),
    "NSF-AR": lambda g: dg.explicit.NSF(8, 3, [64, 64], autoregressive=True, generator=g),
    "GatedPixelCNN": lambda g: dg.explicit.GatedPixelCNN((9, 9), 16, 4, generator=g),
    "Transformer": lambda g: dg.explicit.Transformer(20, 24, 32, 4, 3, generator=g),
}


@pytest.mark.slow
@pytest.mark.parametrize("state", ["fresh", "moved"])
@pytest.mark.parametrize("name", LARGE)
def test_large_density(name, state, stream, alpha):
    model = LARGE[name](stream)
    model = trained(model, stream, 0.1) if state == "moved" else model
    done = check_density(model, alpha=alpha, generator=stream)
    assert required(model) <= set(done)


def test_no_density_is_forgotten():
    known = {type(build(name, 0)[0]) for name in DENSITIES}
    public = [getattr(dg.explicit, name) for name in dg.explicit.__all__]
    modules = {cls for cls in public if isinstance(cls, type) and issubclass(cls, torch.nn.Module)}
    densities = {cls for cls in modules if hasattr(cls, "log_prob") and hasattr(cls, "support")}
    assert densities <= known


@pytest.mark.parametrize("name", DENSITIES)
def test_construction_draws_from_its_generator_alone(name, seed):
    state = torch.get_rng_state()
    first, second = (build(name, seed)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(state, torch.get_rng_state())
    other = build(name, seed + 1)[0].state_dict()
    drawn = [
        p for key, p in first.items() if p.is_floating_point() and p.numel() > 1 and bool((p != p.flatten()[0]).any())
    ]
    assert not drawn or any(not torch.equal(first[key], other[key]) for key in first)


def conditionals(model, context, order):
    """What a discrete model says of every variable given those before it, as a function of rows: [n, D, numbers]."""
    if hasattr(model, "vocabulary"):
        return model.conditionals
    return lambda x: model.conditionals(x.flatten(1).t().to(model.output_bias), context, order).permute(2, 1, 0)


def orders(model):
    return model.orders.tolist() if hasattr(model, "orders") else [list(range(model.length))]


@pytest.mark.parametrize("name", DISCRETE)
def test_causality_by_values(name, stream):
    """Another value of a variable changes what is said of later ones, and of no others."""
    model, context = build(name, stream, "trained")
    context = None if context is None else context[:1].expand(32, -1)
    x = model.sample(32, *(() if context is None else (context,)), generator=stream).flatten(1)
    values = len(values_of(model.support))
    models = several(model, stream)
    for order in orders(model):
        many = [conditionals(one, context, order) for one in models]

        def says(x, many=many):
            return torch.cat([one(x) for one in many], 2)

        with torch.no_grad():
            before = says(x)
            for place, variable in enumerate(order):
                y = x.clone()
                y[:, variable] = (y[:, variable] + 1) % values
                moved = ((says(y) - before).abs() > 1e-6).flatten(2).any(2).any(0)[order]
                assert not bool(moved[: place + 1].any())
                assert place + 1 == len(order) or bool(moved[place + 1 :].any())


BINARY = [name for name in DISCRETE if name.startswith(("MADE", "NADE", "DeepNADE", "Pixel", "Gated"))]
BINARY = [name for name in BINARY if "categories" not in name and "colours" not in name]


@pytest.mark.parametrize("name", BINARY)
def test_causality_by_gradient(name, stream):
    """Every variable sees all those before it, and no others."""
    model, _ = build(name, stream, "trained")
    model = model.double()
    context = torch.randn(16, CONTEXT, generator=stream).double() if model.context else None
    x = torch.randn(16, model.features, generator=stream)
    for order in model.orders.tolist():
        many = [conditionals(one, context, order) for one in several(model, stream)]
        check_causal(lambda x, many=many: torch.cat([says(x) for says in many], 2), x, order, what=name)
