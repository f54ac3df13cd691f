"""The masked network: causal by gradient with nothing unseen, and a walk that equals the whole pass."""

import pytest
import torch
import torch.nn.functional as F

from deepgen.errors import ArgumentError
from deepgen.layers import MaskedNet
from deepgen.layers.masked import Steps
from deepgen.testing import check_causal, check_random
from tests.contracts.densities import several, trained

NETS = {
    "plain": {"order": range(5), "hidden": [16, 24]},
    "one layer": {"order": range(5), "hidden": [16]},
    "order": {"order": [2, 4, 0, 3, 1], "hidden": [16, 16]},
    "residual": {"order": [2, 4, 0, 3, 1], "hidden": [16, 16, 16], "residual": True},
    "context": {"order": range(5), "hidden": [16, 20], "context": 3},
    "residual context": {"order": range(5), "hidden": [16, 16], "context": 3, "residual": True},
    "tanh": {"order": range(5), "hidden": [16, 16], "activation": torch.tanh},
    "elu, residual": {"order": range(5), "hidden": [16, 16], "activation": F.elu, "residual": True},
    "narrow": {"order": range(9), "hidden": [3, 2]},
    "narrowing": {"order": range(6), "hidden": [20, 4, 20]},
    "one variable": {"order": [0], "hidden": [4]},
    "one variable given": {"order": [0], "hidden": [4, 4], "context": 2},
    "wide": {"order": range(2), "hidden": [31, 17]},
}


def make(name, stream, parameters=3):
    options = {**NETS[name]}
    net = MaskedNet(options.pop("order"), parameters, **options, generator=stream)
    return trained(net, stream).double()


def inputs(net, batch, stream):
    x = torch.randn(net.features, batch, generator=stream, dtype=torch.float64)
    width = 0 if net.context is None else net.context.in_features
    return x, torch.randn(batch, width, generator=stream, dtype=torch.float64) if width else None


@pytest.mark.parametrize("name", NETS)
def test_causal_and_without_blind_spots(name, stream):
    net = make(name, stream)
    x, context = inputs(net, 16, stream)
    many, enough = several(net, stream), "narrow" not in name  # too few units to carry all degrees

    def says(rows):
        return torch.cat([one(rows.t(), context) for one in many]).permute(2, 1, 0)

    check_causal(says, x.t(), net.order, what=name, all_seen=enough)


@pytest.mark.parametrize("name", [name for name in NETS if "context" in name or "given" in name])
def test_the_context_is_seen_by_all(name, stream):
    net = make(name, stream)
    x, context = inputs(net, 16, stream)
    context.requires_grad_()
    out = torch.cat([one(x, context) for one in several(net, stream)])
    for variable in range(net.features):
        (slope,) = torch.autograd.grad(out[:, variable].square().sum(), context, retain_graph=True)
        assert bool((slope != 0).any(0).all())


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("name", NETS)
def test_the_walk_equals_the_whole_pass(name, batch, stream):
    net = make(name, stream)
    x, context = inputs(net, batch, stream)
    whole, steps = net(x, context), Steps(net, batch, context)
    for place, variable in enumerate(net.order):
        torch.testing.assert_close(steps.parameters(place), whole[:, variable], rtol=1e-10, atol=1e-10)
        steps.put(place, x[variable])


def test_the_walk_knows_nothing_of_what_was_not_put(stream):
    net = make("order", stream)
    x, _ = inputs(net, 4, stream)
    steps = Steps(net, 4)
    steps.x.fill_(torch.nan)
    for hidden in steps.hidden:
        hidden[torch.arange(len(hidden)) >= steps.ends[0][0]] = torch.nan
    steps._finish(0, 0)
    for place, variable in enumerate(net.order):
        assert bool(steps.parameters(place).isfinite().all())
        steps.put(place, x[variable])


def test_the_walk_tracks_no_gradient(stream):
    net = make("context", stream)
    x, context = inputs(net, 4, stream)
    steps = Steps(net, 4, context.requires_grad_())
    steps.put(0, x[0])
    assert not steps.parameters(1).requires_grad


def test_every_weight_under_the_mask_counts(stream):
    """Degrees spread evenly: no weight that the mask lets through is without influence on all outputs."""
    net = MaskedNet(range(4), 2, hidden=[12, 12], activation=torch.tanh, generator=stream).double()
    trained(net, stream)
    x, _ = inputs(net, 64, stream)
    net(x).square().sum().backward()
    for number, layer in enumerate([net.first, *net.inner, net.last]):
        mask = net.get_buffer(f"mask{number}").bool()
        assert bool((layer.weight.grad[~mask] == 0).all())
        assert bool((layer.weight.grad[mask] != 0).all())


def test_masks_are_rebuilt_and_not_saved(stream):
    net = make("order", stream)
    assert not [name for name in net.state_dict() if "mask" in name]
    assert net.float().get_buffer("mask0").dtype == torch.float32


def test_randomness(stream):
    check_random(
        lambda generator: MaskedNet(range(3), 2, hidden=[8], generator=generator), seeds=False, generator=stream
    )


def test_what_is_refused(stream):
    with pytest.raises(ArgumentError, match="permutation"):
        MaskedNet([0, 2], 1, hidden=[4], generator=stream)
    with pytest.raises(ArgumentError, match="hidden"):
        MaskedNet(range(3), 1, hidden=[], generator=stream)
    with pytest.raises(ArgumentError, match="context"):
        MaskedNet(range(3), 1, hidden=[4], context=-1, generator=stream)


@pytest.mark.parametrize("context", [0, 2])
def test_a_context_is_there_where_it_is_taken(context, stream):
    net = MaskedNet(range(3), 1, hidden=[4], context=context, generator=stream)
    wrong = None if context else torch.zeros(5, 2)
    for call in (net, net.plain):
        with pytest.raises(ArgumentError, match="a context of width 2" if context else "no context"):
            call(torch.zeros(3, 5), wrong)
