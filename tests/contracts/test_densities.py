"""One contract for every normalised model: `check_density` on each class, as built and as trained."""

import pytest
import torch

import deepgen as dg
from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.testing import check_causal, check_density
from tests.contracts.densities import CONTEXT, DENSITIES, DISCRETE, build, required


@pytest.mark.parametrize("state", ["fresh", "trained"])
@pytest.mark.parametrize("name", DENSITIES)
def test_density(name, state, stream, alpha):
    model, context = build(name, stream, state)
    done = check_density(model, context=context, alpha=alpha, generator=stream)
    assert required(model) <= set(done)
    assert "context" in done or not model.context


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


@pytest.mark.parametrize("name", DISCRETE)
def test_causality_by_gradient(name, stream):
    model, _ = build(name, stream, "trained")
    model = model.double()
    if not isinstance(model, DiscreteAutoregressive) or getattr(model, "categories", 2) > 2:
        pytest.skip("values enter as indicators, through which no gradient passes: its mass is checked instead")
    context = torch.randn(4, CONTEXT, generator=stream).double() if model.context else None
    x = torch.randn(4, model.features, generator=stream)
    for order in model.orders.tolist():

        def logits(x, order=order):
            return model.conditionals(x.t(), context, order).permute(2, 1, 0)

        check_causal(logits, x, order, what=name, all_seen=False)
