"""Trainers of Boltzmann machines and their deep relatives on an accelerator: states, gradients, chains and likelihoods.

Every test runs on the CPU too, as those of `tests.contracts.test_gpu`.
"""

import math

import pytest
import torch

import deepgen as dg
from deepgen.explicit import DBM, DBN, RBM, ClassRBM, Gaussian, MeanFieldNetwork, Softmax
from deepgen.objectives import (
    FastPersistentCD,
    Hybrid,
    Incomplete,
    LayerWise,
    ParallelTempering,
    PersistentCD,
    TrajectoryTempering,
    UpDown,
)
from tests.contracts.test_gpu import DEVICES

CASES = {
    "fast weights": (lambda: RBM(6, 4, generator=0), lambda x: FastPersistentCD(chains=10)),
    "parallel tempering": (lambda: RBM(6, 4, generator=0), lambda x: ParallelTempering(chains=10, betas=3)),
    "trajectory": (lambda: RBM(6, 4, generator=0), lambda x: TrajectoryTempering(chains=20, every=2, pace=2)),
    "incomplete": (lambda: RBM(6, 4, generator=0), lambda x: Incomplete(PersistentCD(chains=10), steps=2)),
    "hybrid": (lambda: ClassRBM(3, 3, 4, generator=0), lambda x: Hybrid(unlabelled=0.1, more=x[:, :3], chains=10)),
    "mean field": (lambda: DBM([3, Softmax(1, 3)], [[2, 2], 3], generator=0), lambda x: PersistentCD(chains=10)),
    "draws": (
        lambda: DBM(6, [4, Gaussian(2, learned=True), 2], generator=0),
        lambda x: PersistentCD(chains=10, posterior_steps=2),
    ),
    "layers": (lambda: DBN(6, [4, 3], generator=0), lambda x: LayerWise(PersistentCD(chains=10))),
    "up and down": (lambda: DBN(6, [4, 3], generator=0, untied=True), lambda x: UpDown(chains=10)),
}


def rows(device):
    """Three bits, then one of three."""
    bits = torch.tensor([[0.0, 1, 1], [1, 0, 0], [1, 1, 0]])
    return torch.cat([bits, torch.eye(3)], 1).repeat(10, 1).to(device)


@pytest.mark.filterwarnings("ignore:epoch")  # of a ladder made in haste
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("device", DEVICES)
def test_it_trains_draws_and_is_judged_there(case, device, seed, tmp_path):
    make, objective = CASES[case]
    x, before, model = rows(device), make(), make().to(device)
    history = dg.fit(model, x, objective(x), epochs=4, batch_size=10, seed=seed, out=tmp_path, progress=False)
    assert all(math.isfinite(value) for value in history[-1].metrics.values())
    for p in model.parameters():
        assert p.device.type == device
        assert bool(p.isfinite().all())
    assert any(not torch.equal(p.cpu(), q) for p, q in zip(model.parameters(), before.parameters(), strict=True))
    g = dg.random.generator(seed, device)
    assert model.sample(3, steps=2, generator=g).device.type == device
    there = dg.evaluate.log_likelihood(model, x, "exact")
    here = dg.evaluate.log_likelihood(model.cpu(), x.cpu(), "exact")
    assert there.side == here.side
    assert there.value == pytest.approx(here.value, abs=1e-4 + 8 * math.hypot(there.stderr, here.stderr))


@pytest.mark.parametrize("device", DEVICES)
def test_labels_are_told_there(device, seed):
    x = rows(device)
    network = MeanFieldNetwork(DBM(6, [4, 3], generator=0), outputs=3, generator=0).to(device)
    assert network(x).device.type == device
    torch.testing.assert_close(network(x).cpu(), network.cpu()(x.cpu()), rtol=1e-4, atol=1e-5)
    rbm = ClassRBM(3, 3, 4, generator=seed).to(device)
    assert torch.equal(rbm.join(x[:, :3], x[:, 3:].argmax(1)), x)
    assert rbm.predict_proba(x[:, :3]).device.type == device
    assert rbm.predict_proba(x[:, :3].cpu().numpy()).shape == (30, 3)
