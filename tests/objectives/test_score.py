"""Denoising score matching against score matching of the smoothed density, by quadrature."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.explicit import EnergyModel
from deepgen.layers import ScalarMLP
from deepgen.objectives import DenoisingScoreMatching
from deepgen.testing import check_random
from tests.energies import Quadratic, binary
from tests.train.runs import equal
from tests.train.test_resume import Power, cut

SIGMA = 0.4


def explicit_gradients(model, points):
    """Gradients of sigma^2 / 2 integral q (d log p - d log q)^2, q the points' density with noise, in one dimension."""
    y = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    law = torch.distributions.Normal(points.double(), SIGMA)
    log_each = law.log_prob(y.unsqueeze(1))
    q = log_each.exp().mean(1)
    slope_q = (log_each.softmax(1) * (points.double() - y.unsqueeze(1)) / SIGMA**2).sum(1)
    x = y.float().unsqueeze(1).requires_grad_()
    (slope_p,) = torch.autograd.grad(model.log_density(x).sum(), x, create_graph=True)
    loss = SIGMA**2 / 2 * (q.float() * (slope_p.squeeze(1) - slope_q.float()).square()).sum() * float(y[1] - y[0])
    found = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, model.parameters(), strict=True)]


@pytest.mark.parametrize("net", [lambda: Quadratic(1, 0.6, 0.3), lambda: ScalarMLP(1, [4], generator=2)])
def test_the_gradient_is_that_of_score_matching_to_the_smoothed_density(net, stream):
    model, points = EnergyModel(net(), 1), torch.tensor([-1.5, 0.0, 0.4, 2.0])
    if isinstance(model.net, ScalarMLP):
        with torch.no_grad():
            model.net.last.weight.mul_(100.0)
    objective, repeats = DenoisingScoreMatching(SIGMA), 60
    update = objective.update(model, torch.optim.SGD(model.parameters(), lr=0.0))
    batch, found = points.repeat(2000).unsqueeze(1), []
    used = [i for i, g in enumerate(explicit_gradients(model, points)) if g.abs().sum() > 1e-9]
    for _ in range(repeats):
        update(objective.start(model, batch, generator=stream), batch, generator=stream)
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
        found.append(torch.cat([grads[i].flatten() for i in used]))
    means = torch.stack(found).double()
    expected = torch.cat([explicit_gradients(model, points)[i].flatten() for i in used]).double()
    error = means.std(0) / math.sqrt(repeats)
    assert ((means.mean(0) - expected).abs() < 6 * error + 1e-5).all()
    assert (expected.abs() > 20 * error).any()  # so that a factor of two would be seen


def test_a_gaussian_is_learned_with_the_noise_in_it(stream):
    """The optimum is the smoothed law: variance s^2 + sigma^2, and not s^2."""
    x = 0.7 * torch.randn(4000, 1, generator=stream) + 0.5
    model = EnergyModel(Quadratic(1, 0.2), 1)
    dg.fit(
        model, x, DenoisingScoreMatching(0.6), epochs=80, batch_size=500, progress=False,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.03), schedule=lambda t: 1 - t,
    )  # fmt: skip
    variance = 1 / (2 * model.net.weight.item())
    assert variance == pytest.approx(float(x.var()) + 0.36, rel=0.08)
    assert model.net.centre.item() == pytest.approx(float(x.mean()), abs=0.08)


def test_it_trains_any_density_over_reals(stream):
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    x = 0.3 * torch.randn(200, 2, generator=stream) + 2
    history = dg.fit(flow, x, DenoisingScoreMatching(0.5), epochs=20, batch_size=20, progress=False)
    assert history[-1].metrics["score_error"] < history[0].metrics["score_error"]


def test_runs_resume_bit_for_bit(tmp_path, stream):
    x = torch.randn(60, 2, generator=stream)

    def run(objective, out):
        model = EnergyModel(ScalarMLP(2, [8], generator=0), 2)
        keeper = dg.train.Checkpoint(steps=2)
        dg.fit(model, x, objective, epochs=3, batch_size=20, callbacks=[keeper], out=out, progress=False)
        return model

    whole = run(DenoisingScoreMatching(0.3), tmp_path / "whole")
    with pytest.raises(Power):
        run(cut(DenoisingScoreMatching(0.3), 5), tmp_path / "cut")
    assert equal(run(DenoisingScoreMatching(0.3), tmp_path / "cut"), whole)


def test_randomness(stream):
    x = torch.randn(30, 2, generator=stream)

    def update(generator):
        model = EnergyModel(ScalarMLP(2, [8], generator=0), 2)
        objective = DenoisingScoreMatching(0.3)
        step, g = objective.update(model, objective.optimizer(model)), dg.random.resolve(generator)
        return model, step(objective.start(model, x, generator=g), x, generator=g)[1]

    check_random(update, generator=stream)


def test_what_is_refused():
    with pytest.raises(ArgumentError, match="sigma"):
        DenoisingScoreMatching(0.0)
    with pytest.raises(MissingCapability, match="discrete"):
        DenoisingScoreMatching(0.1).start(binary(3)[0], torch.zeros(2, 3), generator=dg.random.generator(0))
