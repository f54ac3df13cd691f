"""Pre-training: the conditionals its machines are trained with, by brute force, and how they are put together."""

import math
from dataclasses import dataclass, field

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, SupportError
from deepgen.explicit import DBM, RBM, Bernoulli, Gaussian, Softmax, Spin, pretrain
from deepgen.explicit.pretraining import _Doubled
from deepgen.objectives import ContrastiveDivergence
from tests.objectives.steps import named_gradients, still
from tests.objectives.test_contrastive import REPEATS, assert_means, largest, z_scores


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize(("up", "down"), [(2, 1), (2, 2), (1, 2)], ids=["lowest", "inner", "top"])
def test_contrastive_divergence_takes_the_published_conditionals(up, down, k, stream, alpha):
    """Both conditionals as tables of sigmoids written out here, their k-step chain as a power of a matrix."""
    visible, hidden = (_Doubled(Bernoulli(3)) if twice == 2 else Bernoulli(3) for twice in (down, up))
    rbm = RBM(visible, hidden, generator=0)
    with torch.no_grad():
        rbm.weight.copy_(torch.sin(torch.arange(9) * 2.4 + 1).reshape(3, 3) * 0.8 + 0.7)
        rbm.visible_bias.copy_(torch.tensor([-1.0, -1.3, -0.6]))
        rbm.hidden_bias.copy_(torch.tensor([-0.9, -0.5, -1.4]))
    x = torch.tensor([[1.0, 1, 1], [0, 1, 0], [1, 1, 0]]).repeat(500, 1)
    objective = ContrastiveDivergence(k=k, centred=False)
    step, state, draws = objective.update(rbm, still(rbm)), objective.start(rbm, x, generator=stream), []
    for _ in range(REPEATS):
        step(state, x, generator=stream)
        draws.append(named_gradients(rbm))
    weight, a, b = (p.detach().double() for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    states = Bernoulli(3).enumerate(0, 8)

    def table(field):
        on = field.sigmoid().unsqueeze(1)
        return torch.where(states.bool(), on, 1 - on).prod(-1)  # [states of one side, states of the other]

    start = (x.unsqueeze(1) == states).all(-1).double().mean(0)

    def expected(up, down):
        means = (up * (b + states @ weight)).sigmoid()
        chain = table(up * (b + states @ weight)) @ table(down * (a + states @ weight.t()))
        change = start @ torch.linalg.matrix_power(chain, k) - start
        return {
            "weight": states.t() @ (change.unsqueeze(1) * means),
            "visible_bias": change @ states,
            "hidden_bias": change @ means,
        }

    assert_means(draws, expected(up, down), alpha)
    for wrong in {(1, 1), (2, 1), (2, 2), (1, 2)} - {(up, down)}:
        scores = z_scores(draws, expected(*wrong))
        assert scores.abs().max() > 1.5 * largest(scores, alpha)


@dataclass(frozen=True)
class Filled:
    """Trains nothing: fills each machine with numbers, and keeps it."""

    machines: list = field(default_factory=list)

    def start(self, model, x, *, generator):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(generator=generator)
        self.machines.append(model)
        return ContrastiveDivergence().start(model, x, generator=generator)

    def update(self, model, optimizer):
        return lambda state, batch, *, generator: (state, {})

    def optimizer(self, model):
        return still(model)


def test_an_inner_level_hears_the_mean_of_its_machines(stream):
    """So the field of the deep machine is half of what the two said, each of which heard one side twice."""
    dbm = DBM(5, [4, Spin(3), 2], generator=0)
    filled = Filled()
    x = (torch.rand(6, 5, generator=stream) < 0.5).float()
    assert pretrain(dbm, x, objective=filled, epochs=1) is dbm
    low, inner, top = filled.machines
    states = [units.sample(torch.randn(6, units.width, generator=stream), generator=stream) for units in dbm.levels]
    for machine, level in ((low, 1), (inner, 2)):
        above = (low, inner, top)[level]
        heard = [(2 * machine.hidden_field(states[level - 1])), (2 * above.visible_field(states[level + 1]))]
        torch.testing.assert_close(dbm.field(level, states), sum(heard) / 2)
        for one, field_ in zip((machine.hidden, above.visible), heard, strict=True):
            torch.testing.assert_close(one.mean(field_ / 2), dbm.levels[level].mean(field_))
    torch.testing.assert_close(dbm.field(0, states), low.visible_field(states[1]))
    torch.testing.assert_close(dbm.field(3, states), top.hidden_field(states[2]))
    assert low.visible is dbm.levels[0]
    assert top.hidden is dbm.levels[3]


def test_parts_are_trained_each_on_its_own_data(stream):
    dbm = DBM([3, Softmax(1, 3)], [[2, Spin(2)], 2], generator=0)
    filled = Filled()
    x = torch.cat([(torch.rand(9, 3, generator=stream) < 0.5).float(), torch.eye(3).repeat(3, 1)], 1)
    pretrain(dbm, x, objective=filled, epochs=1)
    left, right, top = filled.machines
    assert [(m.visible.width, m.hidden.width) for m in filled.machines] == [(3, 2), (3, 2), (4, 2)]
    assert isinstance(right.visible, Softmax)
    torch.testing.assert_close(dbm.couplings[0].dense(), torch.block_diag(left.weight, right.weight))
    joined = torch.cat([left.hidden_bias, right.hidden_bias]) + top.visible_bias
    torch.testing.assert_close(dbm.biases[1], joined)
    torch.testing.assert_close(dbm.biases[0], torch.cat([left.visible_bias, right.visible_bias]))


def test_one_hidden_level_is_a_machine_trained_as_it_is(seed):
    x = (torch.rand(40, 5, generator=dg.random.generator(seed)) < 0.3).float()
    dbm = DBM(5, [4], generator=seed)
    rbm = RBM(5, 4, generator=seed).initialise(x)
    pretrain(dbm, x, epochs=3, batch_size=10, seed=seed)
    dg.fit(rbm, x, ContrastiveDivergence(), epochs=3, batch_size=10, seed=seed, progress=False)
    assert torch.equal(dbm.couplings[0].blocks[0], rbm.weight)
    assert torch.equal(dbm.biases[1], rbm.hidden_bias)


def test_it_goes_on_from_its_folder_and_is_a_function_of_its_seed(seed, tmp_path):
    x = (torch.rand(40, 5, generator=dg.random.generator(seed)) < 0.3).float()

    def run(seed, out=None):
        dbm = pretrain(
            DBM(5, [4, Gaussian(3, learned=True)], generator=0), x, epochs=2, batch_size=10, seed=seed, out=out
        )
        return [p.detach().clone() for p in dbm.parameters()]

    first = run(1, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["machine-0", "machine-1"]
    for again in (run(1, tmp_path), run(1)):
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], run(2)[0])


def test_rate_and_schedule_are_of_every_machine():
    rates = []

    def optimizer(machine):
        rates.append(torch.optim.SGD(machine.parameters(), lr=0.25))
        return rates[-1]

    pretrain(DBM(4, [3, 2, 2]), torch.eye(4), optimizer=optimizer, schedule=lambda done: 1 - done / 2, epochs=1)
    assert [made.param_groups[0]["lr"] for made in rates] == [0.125] * 3


def test_what_is_refused():
    dbm = DBM(3, [2, 2])
    with pytest.raises(ArgumentError, match="epochs must be an integer of at least 1, got 0"):
        pretrain(dbm, torch.eye(3), epochs=0)
    with pytest.raises(SupportError, match="nan"):
        pretrain(dbm, torch.full((2, 3), math.nan))
