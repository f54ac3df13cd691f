"""How long chains remember: against processes and a machine whose autocorrelation is known."""

from statistics import NormalDist

import pytest
import torch

import deepgen as dg
from deepgen.objectives import EquilibriumWarning, PersistentCD
from deepgen.objectives.chain_memory import ChainMemory

REPEATS = 12


def agrees(times, truth, alpha, line):
    """The mean of repeats within its own error of the truth; what lies below the line, 2 rho (T + 1/2), is cut off."""
    times = torch.tensor(times)
    error = NormalDist().inv_cdf(1 - alpha / 2) * float(times.std()) / len(times) ** 0.5
    assert truth * (1 - 1.5 * line) - error < float(times.mean()) < truth * (1 + line) + error


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.97])
def test_the_time_of_an_autoregressive_process(rho, stream, alpha):
    found, n = [], 2000
    for _ in range(REPEATS):
        x = torch.randn(n, 3, generator=stream) * torch.tensor([1.0, 5.0, 0.1]) + 7
        centre = torch.tensor([7.0, 7.0, 7.0])
        memory, scale = ChainMemory(x.clone()), torch.tensor([1.0, 5.0, 0.1])
        for _ in range(130):  # at least one mark that is whole
            x = centre + rho * (x - centre) + (1 - rho**2) ** 0.5 * scale * torch.randn(n, 3, generator=stream)
            memory = memory.after(x)
        found.append(memory.time)
    agrees(found, (1 + rho) / (1 - rho), alpha / 4, 2 / n**0.5)


def test_the_time_of_a_machine_that_stands_still(stream, alpha):
    """tau of hidden layers from the powers of the Gibbs kernel, by enumeration."""
    rbm = dg.RBM(3, 2, generator=stream).double()
    with torch.no_grad():
        rbm.weight.copy_(torch.tensor([[3.0, 2.0], [3.0, 1.0], [2.0, 3.0]]))
        rbm.visible_bias.copy_(torch.tensor([-2.2, -2.0, -2.4]))
        rbm.hidden_bias.copy_(torch.tensor([-3.5, -2.5]))
    v, h = (torch.cartesian_prod(*n * [torch.tensor([0.0, 1.0], dtype=torch.float64)]) for n in (3, 2))
    joint = -torch.stack([rbm.energy(v, row.expand(8, 2)) for row in h])  # [h, v]
    joint = (joint - joint.logsumexp((0, 1))).exp().detach()
    law, kernel = joint.sum(1), (joint / joint.sum(1, keepdim=True)) @ (joint / joint.sum(0)).t()
    centred, total, power = h - law @ h, 0.0, torch.eye(4, dtype=torch.float64)
    for _ in range(2000):
        power = power @ kernel
        total += float(((law[:, None] * centred) * (power @ centred)).sum())
    truth = 1 + 2 * total / float((law[:, None] * centred**2).sum())
    assert truth > 4  # or nothing would be asked
    found, n = [], 2000
    for _ in range(REPEATS):
        objective = PersistentCD(k=1, chains=n)
        step = objective.update(rbm, torch.optim.SGD(rbm.parameters(), lr=0.0))
        start = h[torch.multinomial(law, n, replacement=True, generator=stream)]
        state = objective.start(rbm, v, generator=stream)._replace(chains=start, memory=ChainMemory(start.clone()))
        for _ in range(130):
            state, metrics = step(state, v, generator=stream)
        found.append(float(metrics["autocorrelation"]))
    agrees(found, truth, alpha, 3 / n**0.5)


def test_the_time_is_in_gibbs_steps(stream):
    x = torch.eye(6)
    for k in (1, 4):
        rbm, objective = dg.RBM(6, 4, generator=stream), PersistentCD(k=k, chains=200)
        history = dg.fit(rbm, x, objective, epochs=1, seed=1, progress=False)
        assert k <= history[-1].metrics["autocorrelation"] < 4 * k


def test_chains_that_are_stuck_are_said_to_be(stream):
    """Two modes that Gibbs steps do not join: the sum grows with the run and the run says so."""
    x = torch.cat([torch.zeros(20, 12), torch.ones(20, 12)])
    rbm = dg.RBM(12, 4, generator=stream)
    with torch.no_grad():
        rbm.weight.fill_(8.0)
        rbm.visible_bias.fill_(-16.0)
        rbm.hidden_bias.fill_(-48.0)
    sgd = torch.optim.SGD(rbm.parameters(), lr=0.0)
    with pytest.warns(EquilibriumWarning, match="forget slowly"):
        history = dg.fit(rbm, x, PersistentCD(), epochs=2100, batch_size=40, optimizer=sgd, seed=1, progress=False)
    assert history[-1].metrics["autocorrelation"] > 3500  # 1 + 2 * 2048, less what rho has lost
    assert history[99].metrics["autocorrelation"] < 150


def test_too_few_chains_say_nothing(stream):
    rbm, x = dg.RBM(6, 4, generator=stream), torch.eye(6)
    history = dg.fit(rbm, x, PersistentCD(chains=9), epochs=1, progress=False)
    assert list(history[-1].metrics) == ["moment_gap"]
