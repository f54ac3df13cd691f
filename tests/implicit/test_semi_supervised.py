"""The semi-supervised VAE: what summing labels out costs, and labels that spread to rows without them."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.implicit import Dense, SemiSupervised, mlp_cvae
from deepgen.objectives import SemiSupervisedELBO
from deepgen.testing.checkpoints import check_checkpoint
from deepgen.testing.randomness import check_random


def small(stream, width=6, latent=2):
    cvae = mlp_cvae(width, [8], latent=latent, classes=3, generator=stream)
    return SemiSupervised(cvae, Dense(width, [8], 3, generator=stream))


def test_summing_labels_out_costs_the_divergence_of_the_classifier(stream):
    """sum_y q (J - log q) = logsumexp J - KL(q || softmax J), to rounding, for the same draws."""
    model, x = small(stream).double(), torch.randint(2, (5, 6), generator=stream).double()
    joint, log_q = model.joint_bounds(x, samples=4, generator=7), model.log_labels(x)
    gap = (log_q.exp() * (log_q - joint.log_softmax(1))).sum(1)
    objective, unknown = SemiSupervisedELBO(samples=4), torch.full((5,), -1)
    trained = -objective.loss(model, (x, unknown), generator=dg.random.generator(7)).value
    assert torch.isclose(trained, (model.bound(x, samples=4, generator=7) - gap).mean())
    pairs = [(i, y) for i in range(5) for y in range(3)]
    labels = torch.tensor([y for _, y in pairs])
    each = model.cvae.bound(torch.stack([x[i] for i, _ in pairs]), labels, samples=4, generator=7)
    assert torch.allclose(joint, each.view(5, 3) - math.log(3))  # rows and labels stand where they should


def test_many_draws_come_to_log_p_whatever_the_classifier_says(stream):
    """Labels summed and the one latent integrated on a grid."""
    model, x = small(stream, latent=1).double(), torch.randint(2, (40, 6), generator=stream).double()
    grid = torch.linspace(-9, 9, 2001, dtype=torch.float64).unsqueeze(1)
    log_prior = -grid.squeeze(1).square() / 2 - math.log(2 * math.pi) / 2 + math.log(18 / 2000) - math.log(3)
    with torch.no_grad():
        laws = [model.cvae(torch.tensor([y])).likelihood(grid.unsqueeze(1)) for y in range(3)]
        terms = torch.stack([law.log_prob(x).view(2001, 40) + log_prior.unsqueeze(1) for law in laws])
    exact = float(terms.flatten(0, 1).logsumexp(0).mean())
    found = dg.evaluate.log_likelihood(model, x, samples=400, generator=stream)
    assert found.stderr < 0.02
    assert abs(found.value - exact) < 4 * found.stderr + 1e-3


def test_gradients_are_those_of_the_formula_row_by_row(stream):
    model, x = small(stream).double(), torch.randint(2, (4, 6), generator=stream).double()
    y = torch.tensor([2, -1, 0, -1])
    value, metrics = SemiSupervisedELBO(alpha=3.0).loss(model, (x, y), generator=dg.random.generator(5))
    joint, log_q = model.joint_bounds(x, generator=5), model.log_labels(x)
    rows = [joint[0, 2] + 3 * log_q[0, 2], None, joint[2, 0] + 3 * log_q[2, 0], None]
    for i in (1, 3):
        rows[i] = sum(log_q[i, c].exp() * (joint[i, c] - log_q[i, c]) for c in range(3))
    assert torch.isclose(value, -sum(rows) / 4)
    assert torch.isclose(metrics["log_label"], (log_q[0, 2] + log_q[2, 0]) / 2)
    assert torch.isclose(metrics["bound"], (log_q.exp() * (joint - log_q)).sum(1).mean())


def test_three_labels_are_enough_for_three_patterns(stream):
    truth = torch.arange(300) % 3
    x = nn.functional.one_hot(truth, 3).repeat_interleave(4, 1).float()
    x = (x + (torch.rand(x.shape, generator=stream) < 0.05).float()) % 2  # one pixel in twenty is flipped
    y = torch.where(torch.arange(300) < 3, truth, -1)
    model = small(stream, 12, 1)
    adam = torch.optim.Adam(model.parameters(), lr=0.02)
    objective = SemiSupervisedELBO(alpha=100.0)
    dg.fit(model, TensorDataset(x, y), objective, epochs=30, batch_size=100, optimizer=adam, progress=False)
    assert (model.predict(x) == truth).double().mean() > 0.9


@pytest.mark.filterwarnings("ignore::deepgen.errors.DegenerateWeights")
def test_it_draws_evaluates_and_comes_back_from_a_file(stream):
    model = small(stream)
    check_checkpoint(model)
    check_random(lambda generator: model.sample(40, generator=generator), generator=stream)
    assert isinstance(model, dg.typing.Bound)
    assert isinstance(model, dg.typing.Samples)
    x, y = torch.zeros(4, 6), torch.tensor([0, 1, 2, 0])
    assert dg.evaluate.log_likelihood(model, x, generator=stream).side == "below"  # labels summed out
    given, cvae = (dg.evaluate.log_likelihood(m, (x, y), "elbo", generator=3) for m in (model, model.cvae))
    assert given.value == cvae.value  # and given


def test_what_is_refused(stream):
    model, x = small(stream), torch.zeros(4, 6)
    with pytest.raises(SupportError, match="-1 where not known"):
        model.check((x, torch.tensor([0, 1, 2, 3])))
    with pytest.raises(ShapeError, match="integers"):
        model.check((x, torch.zeros(4)))
    with pytest.raises(SupportError, match="0 or 1"):
        model.check((x + 0.5, torch.zeros(4, dtype=torch.long)))
    grey, step = x + 0.5, SemiSupervisedELBO()
    for call in (lambda: model.predict_proba(grey), lambda: model.bound(grey)):
        with pytest.raises(SupportError, match="0 or 1"):
            call()
    with pytest.raises(ArgumentError, match="pairs of rows and labels"):
        dg.fit(model, x, step, epochs=1, progress=False)
    with pytest.raises(SupportError, match="-1 where not known"):
        step.loss(model, (x, torch.tensor([0, 1, 2, 3])), generator=stream)
    follows = mlp_cvae(6, [8], latent=2, classes=3, likelihood=dg.implicit.Gaussian(1.0, "optimal"), generator=stream)
    with pytest.raises(ArgumentError, match="wrong ones too"):
        step.start(SemiSupervised(follows, nn.Linear(6, 3)), (x, torch.zeros(4).long()), generator=stream)
    with pytest.raises(ArgumentError, match="classes"):
        SemiSupervised(mlp_cvae(6, [8], latent=2, context=3), nn.Linear(6, 3))
