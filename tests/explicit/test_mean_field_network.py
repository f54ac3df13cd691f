"""The network that starts as a deep machine: its first pass is mean field, and it learns labels."""

import pytest
import torch
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import DBM, MeanFieldNetwork
from deepgen.random import lend
from deepgen.testing import check_checkpoint
from tests.explicit.test_dbm import MACHINES, machine, rows


@pytest.mark.parametrize("name", MACHINES)
def test_the_first_pass_is_a_turn_of_mean_field(name, stream):
    dbm = machine(name)
    x, network = rows(dbm, stream), MeanFieldNetwork(dbm, outputs=2, generator=0)
    start = [torch.rand(len(x), units.width, generator=stream).double() for units in dbm.levels[1:]]
    found = network.hidden(torch.cat([x, *start[1:]], 1))
    states = [x, *start]
    for level in range(1, len(dbm.levels)):  # level by level from below
        states[level] = dbm.levels[level].mean(dbm.field(level, states))
        torch.testing.assert_close(found[level - 1], states[level], rtol=0, atol=1e-12)
    if len(dbm.levels) < 4:  # where that is the order of even and odd levels too
        turn = dbm.mean_field(x, turns=1, start=start).means
        torch.testing.assert_close(found, turn, rtol=0, atol=1e-12)
    settled = dbm.mean_field(x, turns=5000, tolerance=1e-13).means
    torch.testing.assert_close(network.hidden(torch.cat([x, *settled[1:]], 1)), settled, rtol=0, atol=1e-9)


def test_inputs_spare_the_mean_field(stream):
    dbm = machine("three")
    x, network = rows(dbm, stream), MeanFieldNetwork(dbm, outputs=3, generator=0)
    inputs = network.inputs(x)
    assert inputs.shape == (6, 3 + 3 + 2)
    torch.testing.assert_close(inputs[:, 3:], torch.cat(dbm.mean_field(x).means[1:], 1))
    assert torch.equal(network(x), network(inputs))
    logits = network(inputs)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    torch.testing.assert_close(-network.log_prob(labels, x).mean(), torch.nn.functional.cross_entropy(logits, labels))


@pytest.mark.parametrize("hidden", [[3], [3, 2]])
def test_rows_of_any_dtype_are_taken_and_those_that_cannot_be_are_refused(hidden):
    network, x = MeanFieldNetwork(DBM(4, hidden, generator=0), outputs=2, generator=0), torch.eye(4)
    assert torch.equal(network(x.double()), network(x))
    assert torch.equal(network(network.inputs(x).double()), network(x))
    with pytest.raises(SupportError):
        network(x * torch.nan)


def test_units_are_left_out_in_training_alone(stream):
    """At weights of zero but for the head, hidden means are 1/2: those kept are 1, and the logits count them."""
    dbm = DBM(4, [1000], generator=0)
    with torch.no_grad():
        dbm.couplings[0].blocks[0].zero_()
    network = MeanFieldNetwork(dbm, outputs=1, dropout=(0.0, 0.5), generator=0)
    with torch.no_grad():
        network.head.weight.fill_(1.0)
    x = torch.ones(50, 4)
    assert network.train(False)(x).unique().tolist() == [500.0]
    with lend(stream), torch.no_grad():
        kept = network.train()(x)
    assert torch.equal(kept, kept.round())
    assert abs(float(kept.mean()) - 500) < 5 * (1000 * 0.25 / 50) ** 0.5
    assert kept.unique().numel() > 10  # sixteen units is one deviation, a row has masks of its own
    with pytest.raises(ArgumentError, match="drops units"):
        network(x)
    for wrong in ((0.0, 1.0), (0.5,), 0.5):
        with pytest.raises(ArgumentError, match="dropout"):
            MeanFieldNetwork(dbm, outputs=1, dropout=wrong)
    blind = MeanFieldNetwork(dbm, outputs=1, dropout=(0.5, 0.0), generator=0)
    with torch.no_grad():
        blind.up[0].weight[:, 0] = 1.0
    with lend(stream), torch.no_grad():
        seen = blind.train().hidden(x)[0].unique()  # the first visible unit is left out, or 2
    torch.testing.assert_close(seen, torch.tensor([0.0, 2.0]).sigmoid())
    network.train()
    pairs = TensorDataset(torch.zeros(50), network.inputs(x))
    dg.fit(network, pairs, dg.objectives.MaximumLikelihood(), epochs=1, progress=False)  # lends the masks their source


def test_it_learns_labels_and_leaves_the_machine(seed):
    stream = dg.random.generator(seed)
    x = (torch.rand(200, 6, generator=stream) < 0.5).float()
    labels = (x[:, 0] != x[:, 1]).long()  # no linear function of x tells them
    dbm = DBM(6, [60, 10], generator=stream)  # of 12 and 4 units one in 70 keeps to what a line tells
    with torch.no_grad():
        for coupling in dbm.couplings:
            coupling.blocks[0].normal_(0.0, 1.0, generator=stream)
    network = MeanFieldNetwork(dbm, outputs=2, generator=stream)
    pairs = TensorDataset(labels, network.inputs(x))
    adam = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=0.02)
    dg.fit(network, pairs, dg.objectives.MaximumLikelihood(), epochs=60, batch_size=50, optimizer=adam, progress=False)
    assert float((network(x).argmax(1) == labels).float().mean()) > 0.9
    for name, value in network.dbm.state_dict().items():
        assert torch.equal(value, dbm.state_dict()[name])
    assert not torch.equal(network.up[0].weight, dbm.couplings[0].blocks[0].t())


@pytest.mark.parametrize("name", ["one", "joined", "real"])
def test_it_comes_back_from_a_file(name):
    check_checkpoint(MeanFieldNetwork(machine(name, torch.float32), outputs=2, generator=0))


def test_what_is_refused():
    network = MeanFieldNetwork(DBM(4, [3, 2]), outputs=2)
    with pytest.raises(ShapeError, match=r"x must be \[rows, 4\], or \[rows, 6\] with the means, got \[2, 5\]"):
        network(torch.zeros(2, 5))
    with pytest.raises(SupportError, match="0 or 1"):
        network.inputs(torch.full((1, 4), 0.5))
    x = torch.zeros(3, 4)
    for labels, says in (
        (torch.tensor([0]), r"labels must be \[3\], got \[1\]"),
        ([0, 1, 1], "labels must be a tensor"),
        (torch.tensor([0, 1, 2]), "whole numbers from 0 to 1; got 2"),
        (torch.tensor([0, 1, 0.5]), "whole numbers from 0 to 1; got 0.5"),
    ):
        with pytest.raises((ShapeError, SupportError), match=says):
            network.log_prob(labels, x)
    with pytest.raises(ArgumentError, match="outputs must be an integer"):
        MeanFieldNetwork(DBM(4, [3]), outputs=0)
