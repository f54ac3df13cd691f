"""What trains a ClassRBM: gradients against enumeration and finite differences, and digits told apart."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError, MissingCapability, SupportError
from deepgen.explicit import ClassRBM
from deepgen.objectives import Hybrid, PersistentCD
from deepgen.testing import Exact, check_random
from deepgen.train import Checkpoint
from tests.explicit.test_class_rbm import machine, rows
from tests.objectives.steps import named_gradients, still
from tests.train.runs import equal
from tests.train.test_resume import Power, cut

LABELS = torch.tensor([0, 1, 1, 0, 1])


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "mixed"])
def test_the_discriminative_gradient_is_that_of_finite_differences(kind, stream):
    rbm = machine(kind)
    batch = rbm.join(rows(rbm, stream), LABELS)
    objective = Hybrid(generative=0.0)
    step, state = objective.update(rbm, still(rbm)), objective.start(rbm, batch, generator=stream)
    assert len(state.position) == 0
    _, metrics = step(state, batch, generator=stream)
    gradients, small = named_gradients(rbm), 1e-6

    def value():
        """-mean log p(y | x), by enumeration of the joint energies."""
        x, y = rbm.split(batch)
        exact = Exact(rbm)
        every = torch.stack([exact.log_density(rbm.join(x, torch.full_like(y, c))) for c in range(rbm.classes)], 1)
        return -float(every.log_softmax(1).gather(1, y.unsqueeze(1)).mean().detach())

    assert -float(metrics["log_label"]) == pytest.approx(value(), abs=1e-9)
    for name, p in rbm.named_parameters():
        for place in range(0, p.numel(), max(1, p.numel() // 5)):
            with torch.no_grad():
                p.view(-1)[place] += small
                above = value()
                p.view(-1)[place] -= 2 * small
                below = value()
                p.view(-1)[place] += small
            slope = (above - below) / (2 * small)
            assert float(gradients[name].view(-1)[place]) == pytest.approx(slope, abs=1e-7), name


@pytest.mark.parametrize("kind", ["bernoulli", "mixed"])
def test_all_three_terms_against_enumeration(kind, stream):
    """With exact draws of the model as chains, over repeats: log p(y | x), log p(x, y), and log p(x) without labels."""
    rbm = machine(kind)
    batch, more = rbm.join(rows(rbm, stream), LABELS), rows(rbm, stream, 1).repeat(4, 1)
    objective = Hybrid(0.7, 0.4, unlabelled=0.3, more=more)
    exact, n = Exact(rbm), 400_000
    value, _ = objective.loss(rbm, batch, torch.cat(exact.sample(n, generator=stream)[:1]), generator=stream)
    found = torch.autograd.grad(value, list(rbm.parameters()))
    x, y = exact.model.split(batch)

    def labelled(x):
        return torch.stack([exact.log_density(rbm.join(x, torch.full((len(x),), c))) for c in range(rbm.classes)], 1)

    own = labelled(x)
    loss = -0.7 * own.log_softmax(1).gather(1, y.unsqueeze(1)).mean()
    loss = loss - 0.4 * exact.log_likelihood(batch).mean() - 0.3 * (labelled(more).logsumexp(1).mean() - exact.log_z)
    expected = torch.autograd.grad(loss, list(exact.model.parameters()))
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=6 * 3 / math.sqrt(n))  # no statistic has a standard deviation above 3
    assert max(float(b.abs().max()) for b in expected) > 0.1


def test_digits_are_told_apart(seed):
    """Bits of the 8 x 8 scans: above what base rates and ten classes give, by far."""
    digits = dg.data.load("digits")
    rbm = ClassRBM(64, 10, 60, generator=seed)
    rows = rbm.join(digits.train, digits.labels.train)
    dg.fit(rbm, rows, Hybrid(generative=0.005), epochs=20, batch_size=50, seed=seed % 2**31, progress=False,
           optimizer=torch.optim.Adam(rbm.parameters(), lr=0.01))  # fmt: skip
    right = (rbm.predict(digits.test) == digits.labels.test).double().mean()
    assert right > 0.85


def test_rows_without_labels_are_drawn_and_matter(seed):
    x = torch.eye(6)
    rbm = ClassRBM(6, 2, 4, generator=0)
    batch = rbm.join(x[:2], torch.tensor([0, 1]))
    objective = Hybrid(unlabelled=1.0, more=x[2:])
    state = objective.start(rbm, batch, generator=dg.random.generator(seed))
    _, metrics = objective.update(rbm, still(rbm))(state, batch, generator=dg.random.generator(seed))
    assert list(metrics) == ["log_label", "errors", "autocorrelation"]
    assert float(rbm.weight.grad[2:6].abs().max()) > 0
    update = objective.update(rbm, still(rbm))
    check_random(lambda generator: update(state, batch, generator=generator)[0].position, seeds=False)


def test_a_run_cut_anywhere_and_resumed_is_the_uninterrupted_run(seed, tmp_path):
    x = (torch.rand(40, 6, generator=dg.random.generator(seed)) < 0.4).float()

    def run(objective, out):
        rbm = ClassRBM(6, 2, 4, generator=0)
        batch = rbm.join(x[:30], torch.arange(30) % 2)
        dg.fit(rbm, batch, objective, epochs=5, batch_size=12, seed=seed % 2**31, out=out, progress=False,
               callbacks=[Checkpoint(steps=3)])  # fmt: skip
        return rbm

    objective = Hybrid(unlabelled=0.3, more=x[30:], chains=6)
    for steps in (4, 5):
        with pytest.raises(Power):
            run(cut(objective, steps), tmp_path / "cut")
    assert equal(run(objective, tmp_path / "whole"), run(objective, tmp_path / "cut"))


def test_a_run_knows_its_rows_without_labels_again(tmp_path):
    x = torch.eye(6)

    def run(more, epochs):
        rbm = ClassRBM(6, 2, 4, generator=0)
        batch = rbm.join(x, torch.arange(6) % 2)
        dg.fit(rbm, batch, Hybrid(unlabelled=0.3, more=more, chains=6), epochs=epochs, out=tmp_path, progress=False)

    run(x[:3], 1)
    run(x[:3].clone(), 2)
    with pytest.raises(CheckpointError, match="more"):
        run(x[3:], 3)


def test_other_trainers_take_it_for_the_rbm_that_it_is(stream):
    rbm = ClassRBM(6, 2, 4, generator=0)
    batch = rbm.join(torch.eye(6), torch.tensor([0, 1, 0, 1, 0, 1]))
    history = dg.fit(rbm, batch, PersistentCD(), epochs=2, progress=False)
    assert len(history) == 2


def test_what_does_not_fit_is_refused(stream):
    for options, says in (
        ({"discriminative": 0, "generative": 0}, "all three weights are 0"),
        ({"unlabelled": 0.1}, "a weight needs rows"),
        ({"more": torch.zeros(1, 2)}, "need a weight"),
        ({"generative": -1}, "generative must be"),
        ({"chains": 0}, "chains must be"),
    ):
        with pytest.raises(ArgumentError, match=says):
            Hybrid(**options)
    with pytest.raises(MissingCapability, match="trains a ClassRBM, got RBM"):
        Hybrid().start(dg.RBM(3, 2), torch.zeros(1, 3), generator=stream)
    with pytest.raises(SupportError, match="one-hot"):
        Hybrid().start(ClassRBM(1, 2, 2), torch.zeros(1, 3), generator=stream)
