"""check_density passes correct models of every kind and catches every defect planted in one: its mutation score."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import constraints

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.explicit import Flow, RealNVP
from deepgen.testing import CheckFailed, check_density
from deepgen.transforms import Affine, Autoregressive, Chain, Coupling, Inverse, Logit
from tests.contracts.densities import trained


class Planted(nn.Module):
    """An affine coupling of two variables and a scale of each, with one line wrong."""

    def __init__(self, defect=""):
        super().__init__()
        self.defect = defect
        self.coupling = trained(Coupling(2, hidden=[8], generator=0), 0)
        self.affine = Affine(2, shift=0.5, log_scale=-0.4)
        self.kept = []

    def _scales(self, like):
        if self.defect != "stale weights":
            return self.affine
        if not self.kept:
            self.kept.append(copy.deepcopy(self.affine).requires_grad_(False))  # as if parameters never changed
        return copy.deepcopy(self.kept[0]).to(like)

    def encode(self, x, context=None):
        d = self.defect
        y, first = self.coupling.encode(x)
        if d == "rows mixed":
            y = y - 0.1 * y.mean(0)
        z, second = self._scales(x).encode(y)
        if d == "one layer's log-determinant missing":
            second = 0 * second
        if d == "log-determinant with the wrong sign":
            first, second = -first, -second
        if d == "log-determinant doubled":
            first, second = 2 * first, 2 * second
        if d == "log-determinant detached":
            first, second = first.detach(), second.detach()
        if d == "log-determinant of the mean row":
            first = first.mean().expand(len(x))
        return z, first + second

    def decode(self, z, context=None):
        d = self.defect
        if d == "another inverse":
            z = z * 1.001
        if d == "decode without gradient":
            z = z.detach()
        if d == "inverse without a bound" and self.coupling.net.last.weight.abs().max() > 4:
            z = z * torch.nan
        y, second = self._scales(z).decode(z)
        x, first = self.coupling.decode(y)
        return x, first + second + (0.1 if d == "decode's log-determinant off" else 0)


class PlantedFlow(Flow):
    """A flow that says its own ``event_shape``, and draws with one line wrong."""

    def __init__(self, defect=""):
        super().__init__(Planted(defect), 2)
        self.defect = defect

    def log_prob(self, x, context=None):
        value = super().log_prob(x)
        return value + 0.01 if self.defect == "not normalised" else value

    def draw(self, n, context=None, *, method="auto", generator=None):
        drawn, d = super().draw(n, context, method=method, generator=generator), self.defect
        if d == "draws 10 % too wide":
            centre = self.transform.decode(torch.zeros(1, 2).to(drawn.x))[0]
            return drawn._replace(x=centre + 1.1 * (drawn.x - centre))
        if d == "draws shifted":
            return drawn._replace(x=drawn.x + 0.1)
        if d == "a method of its own" and method == "jacobi":
            return drawn._replace(x=drawn.x + 1e-3)
        if d == "its own density of draws wrong":
            return drawn._replace(log_prob=drawn.log_prob + 0.1)
        if d == "draws in float32":
            return drawn._replace(x=drawn.x.float())
        if d == "global stream":
            return drawn._replace(x=drawn.x + 0.1 * torch.randn(n, 2))
        return drawn


DEFECTS = [
    "rows mixed",
    "one layer's log-determinant missing",
    "log-determinant with the wrong sign",
    "log-determinant doubled",
    "log-determinant detached",
    "log-determinant of the mean row",
    "stale weights",
    "another inverse",
    "decode without gradient",
    "inverse without a bound",
    "decode's log-determinant off",
    "not normalised",
    "draws 10 % too wide",
    "draws shifted",
    "a method of its own",
    "its own density of draws wrong",
    "draws in float32",
    "global stream",
]


def test_a_correct_flow_passes(stream, alpha):
    done = check_density(PlantedFlow(), alpha=alpha, generator=stream)
    assert {"jacobian", "round trip", "extremes", "gradients", "mass", "cells", "code", "tilt", "no save"} <= set(done)


@pytest.mark.parametrize("defect", DEFECTS)
def test_broken_flows_are_caught(defect, stream):
    state = torch.get_rng_state()
    with pytest.raises(CheckFailed) as failure:
        check_density(PlantedFlow(defect), generator=stream)
    assert len(str(failure.value)) > 20
    torch.set_rng_state(state)


def test_stale_weights_are_named(stream):
    with pytest.raises(CheckFailed, match="before its parameters changed"):
        check_density(PlantedFlow("stale weights"), generator=stream)


def test_what_cannot_be_pickled_is_said(stream):
    flow = RealNVP(2, transforms=2, hidden=[8], generator=0)
    flow.note = lambda x: x
    with pytest.raises(CheckFailed, match="cannot be pickled"):
        check_density(flow, generator=stream)


class SaysOnly(nn.Module):
    """The bare protocol, no transform and no encode: log_prob and sample of another model."""

    event_shape = torch.Size([3])
    support = constraints.independent(constraints.real, 1)

    def __init__(self, wide=1.0):
        super().__init__()
        self.inner, self.wide = trained(RealNVP(3, transforms=2, hidden=[8], generator=0), 0), wide

    def log_prob(self, x):
        return self.inner.log_prob(x)

    def sample(self, n, *, generator=None):
        return self.wide * self.inner.sample(n, generator=generator)


def test_a_black_box_in_three_dimensions(stream, alpha):
    done = check_density(SaysOnly(), alpha=alpha, generator=stream)
    assert "tilt" in done
    assert not {"mass", "cells", "code", "jacobian"} & set(done)


def test_a_black_box_that_draws_too_wide_is_caught_by_its_neighbours(stream):
    with pytest.raises(CheckFailed, match="neighbours"):
        check_density(SaysOnly(1.1), n=2**15, generator=stream)


class Conditional(Flow):
    """A flow that uses its context wrongly."""

    def __init__(self, defect=""):
        super().__init__(trained(Coupling(2, hidden=[8], context=1, generator=0), 0), 2, context=1)
        self.defect = defect

    def encode(self, x, context=None):
        return super().encode(x, self._wrong(context))

    def solve(self, z, context=None, *, method="auto"):
        return super().solve(z, self._wrong(context), method=method)

    def _wrong(self, context):
        return {"ignored": 0 * context, "that of the neighbour": context.roll(1, 0)}.get(self.defect, context)


def test_a_conditional_flow(stream, alpha):
    context = torch.linspace(-1, 1, 4).unsqueeze(1)
    assert "context" in check_density(Conditional(), context=context, alpha=alpha, generator=stream)
    for defect in ("ignored", "that of the neighbour"):
        with pytest.raises(CheckFailed, match="context"):
            check_density(Conditional(defect), context=context, generator=stream)
    with pytest.raises(CheckFailed, match="two different rows"):
        check_density(Conditional(), context=context[:1], generator=stream)


def test_a_density_on_an_interval(stream, alpha):
    flow = Flow(Chain([Logit(alpha=0.0), trained(Coupling(2, hidden=[8], generator=0), 0, scale=0.3)]), 2)
    assert {"mass", "cells", "code", "Rebuilt"} <= set(check_density(flow, alpha=alpha, generator=stream))


class OneWay(Affine):
    def decode(self, z, context=None):
        raise MissingCapability("this map goes one way")


def test_directions_that_are_refused_are_named(stream, alpha):
    done = check_density(Flow(OneWay(2), 2), alpha=alpha, generator=stream)
    assert {"no sample", "no decode", "jacobian", "mass"} <= set(done)
    assert not {"cells", "code", "tilt", "Samples"} & set(done)
    done = check_density(Flow(Inverse(OneWay(2)), 2), alpha=alpha, generator=stream)
    assert {"no log_prob", "no encode", "jacobian"} <= set(done)
    assert not {"mass", "LogProb"} & set(done)


class Started(Affine):
    """Starts from its first data and remembers that outside of its state: loaded, it starts again."""

    def __init__(self, features):
        super().__init__(features)
        self.started = False

    def encode(self, x, context=None):
        if not self.started:
            with torch.no_grad():
                self.shift.copy_(x.mean(0))
            self.started = True
        return super().encode(x)


def test_a_start_from_data_that_is_repeated_after_loading_is_caught(stream, monkeypatch):
    monkeypatch.setattr(dg.transforms, "Started", Started, raising=False)
    monkeypatch.setattr(dg.transforms, "__all__", [*dg.transforms.__all__, "Started"])
    layer = Started(2)
    layer.encode(torch.randn(100, 2, generator=stream))
    with pytest.raises(CheckFailed, match="saved and loaded"):
        check_density(Flow(layer, 2), generator=stream)


def test_support_is_asked_for():
    class Unsaid(nn.Module):
        def log_prob(self, x):
            return x.sum(1)

    with pytest.raises(CheckFailed, match="support"):
        check_density(Unsaid())
    with pytest.raises(MissingCapability, match="LogProb"):
        check_density(nn.Linear(2, 2))


def test_the_model_and_the_global_stream_are_left_alone(stream):
    model = trained(RealNVP(2, transforms=2, hidden=[8], generator=0), 0)
    before, state = copy.deepcopy(model), torch.get_rng_state()
    check_density(model, generator=stream)
    dg.testing.demand_same_state(before, model, "checked")
    assert model.training
    assert torch.equal(state, torch.get_rng_state())


def test_one_variable_by_quadrature(stream, alpha):
    flow = trained(Flow(Autoregressive(1, hidden=[4], context=1, generator=0), 1, context=1), 0)
    context = torch.tensor([[0.0], [1.0]])
    assert {"mass", "cells"} <= set(check_density(flow, context=context, alpha=alpha, generator=stream))
