"""Normalised models on an accelerator: the numbers of float64 on the CPU, and draws from a generator of the device.

Every test runs on the CPU too, unmarked, so that its body is known to be right where there is no accelerator.
"""

import copy
import math

import pytest
import torch

import deepgen as dg
from deepgen.testing import check_checkpoint
from deepgen.testing.mass import values_of
from tests.contracts.densities import DENSITIES, DISCRETE, FLOWS, build

pytestmark = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])


@pytest.fixture
def ieee():
    """No TF32, torch's default for convolutions and recurrent layers on newer GPUs, which rounds to 10 bits."""
    parts = torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    before = [part.fp32_precision for part in parts]
    for part in parts:
        part.fp32_precision = "ieee"
    yield
    for part, value in zip(parts, before, strict=True):
        part.fp32_precision = value


def density(name, seed, device):
    """A trained model in float64 on the CPU, the same in float32 on the device, and contexts there."""
    exact, context = build(name, seed, "trained")
    return exact.double(), copy.deepcopy(exact).float().to(device), None if context is None else context.to(device)


def given(context, rows, like):
    return () if context is None else (context[torch.arange(rows) % len(context)].to(like),)


def rows_of(model, n, stream):
    """Rows of the support, in float64 on the CPU."""
    values = values_of(model.support)
    if values is not None:
        return torch.randint(len(values), (n, *model.event_shape), generator=stream).double()
    x = torch.randn(n, *model.event_shape, generator=stream, dtype=torch.float64)
    return x if model.support.base_constraint is torch.distributions.constraints.real else x.sigmoid()


@pytest.mark.parametrize("name", [name for name in DENSITIES if "planar, sample" not in name])
def test_log_prob_and_gradients_on_the_device(name, device, seed, ieee):
    """Those of float64 on the CPU."""
    exact, there, context = density(name, seed, device)
    x = rows_of(exact, 30, dg.random.generator(seed))
    found = []
    for model, rows in ((there, x.float().to(device)), (exact, x)):
        log_p = model.log_prob(rows, *given(context, 30, rows))
        parameters = [p for p in model.parameters() if p.requires_grad]
        slopes = torch.autograd.grad(log_p.mean(), parameters, allow_unused=True) if parameters else ()
        assert log_p.device.type == rows.device.type
        found.append([log_p.detach(), *(s for s in slopes if s is not None)])
    assert len(found[0]) == len(found[1])
    for got, right in zip(*found, strict=True):
        got = got.cpu().double()
        assert float((got - right).abs().max()) < 1e-3 * (1 + float(right.abs().max()))


@pytest.mark.parametrize("name", [*FLOWS, *DISCRETE])
def test_draws_on_the_device(name, device, seed, ieee):
    """The same by every method, from a generator of the device; in the mean as probable as those of the CPU."""
    exact, there, context = density(name, seed, device)
    pair = given(context, 400, next(iter(there.parameters()), torch.zeros((), device=device)))
    methods = ("auto", "incremental", "jacobi", "sequential")
    draws = [there.sample(400, *pair, method=m, generator=dg.random.generator(seed, device)) for m in methods]
    for x in draws:
        assert x.device.type == device
        apart = ((x - draws[0]).abs() > 1e-2 * (1 + draws[0].abs())).flatten(1).any(1)
        assert int(apart.sum()) <= 4  # a uniform within rounding of a threshold; a steep bin of a spline
    if name in FLOWS:
        return
    x = exact.sample(400, *given(context, 400, torch.zeros((), dtype=torch.float64)), generator=seed + 1)
    with torch.no_grad():
        wide = [rows.double().cpu() for rows in (draws[0], x)]
        log_p = [exact.log_prob(rows, *given(context, 400, rows)) for rows in wide]
    spread = math.sqrt(float(log_p[0].var() + log_p[1].var()) / 400) + 1e-9
    assert abs(float(log_p[0].mean() - log_p[1].mean())) < 6 * spread


@pytest.mark.parametrize("name", FLOWS)
def test_codes_on_the_device_decode_as_on_the_cpu(name, device, seed):
    exact, there, context = density(name, seed, device)
    z = torch.randn(50, *exact.event_shape, generator=dg.random.generator(seed), dtype=torch.float64)
    right = exact.solve(z, *given(context, 50, z)).value.detach()
    for method in ("incremental", "jacobi", "sequential"):
        got = there.solve(z.float().to(device), *given(context, 50, z.float().to(device)), method=method).value.detach()
        assert float(((got.cpu() - right).abs() / (1 + right.abs())).median()) < 1e-4


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
@pytest.mark.parametrize("name", [name for name in DISCRETE if "given" not in name])
def test_completion_on_the_device(name, device, seed):
    _, there, _ = density(name, seed, device)
    stream = dg.random.generator(seed, device)
    known = there.sample(20, generator=stream)
    mask = torch.rand(known.shape, generator=dg.random.generator(seed)) < 0.5
    out = there.conditional_sample(known, mask.to(device), particles=64, generator=stream)
    assert out.device.type == device
    assert torch.equal(out[mask.to(device)], known[mask.to(device)].to(out))


@pytest.mark.parametrize("name", ["MAF 2", "NSF-AR given", "GatedPixelCNN 3x3", "Transformer"])
def test_densities_are_saved_from_the_device(name, device, seed):
    check_checkpoint(density(name, seed, device)[1])


@pytest.mark.parametrize("kind", ["orders", "dropout"])
def test_objectives_that_draw_do_so_on_the_device(kind, device, seed):
    if kind == "orders":
        model, objective = dg.explicit.MADE(9, [16], orders=2, generator=seed), dg.objectives.OrderAgnostic()
        x = torch.tensor([[0.0], [1.0]], device=device).expand(2, 9).repeat(10, 1)
    else:
        model = dg.explicit.Transformer(3, 5, 16, 2, 1, dropout=0.1, generator=seed)
        objective, x = dg.objectives.MaximumLikelihood(), torch.ones(40, 5, dtype=torch.int64, device=device)
    model.to(device)
    before = model.log_prob(x).mean()
    dg.fit(model, x, objective, epochs=20, batch_size=10, seed=seed, progress=False)
    assert model.log_prob(x).mean() > before


def test_dropout_inside_networks_goes_by_the_seed_and_moves_no_stream(device, seed):
    found = []
    for there in (1, 2):
        torch.manual_seed(there)  # of all devices
        net = torch.nn.Sequential(torch.nn.Dropout(0.5), dg.layers.Dense(6, [8], 4, dropout=0.5, generator=0))
        vae = dg.implicit.VAE(net, dg.layers.Dense(2, [8], 6, generator=1), latent=2).to(device)
        dg.fit(vae, torch.eye(6, device=device), dg.objectives.ELBO(), epochs=3, batch_size=3, progress=False)
        after = torch.rand(3, device=device)
        torch.manual_seed(there)
        assert torch.equal(after, torch.rand(3, device=device))
        found.append(net[1].layers[0].weight.detach())
    assert torch.equal(*found)
