"""Dropout inside networks: a function of the fit's seed and the step, resumable, nothing to the user's own stream."""

import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.layers import Dense
from deepgen.random import borrowed, lend, reseeded
from deepgen.train import Checkpoint
from deepgen.train.repeatable import Repeatable, draws
from tests.train.runs import equal, rows
from tests.train.test_resume import Power, cut

CPU = torch.device("cpu")


class Thinned(nn.Module):
    """A user's density that drops inputs of a MADE by torch's function, which no list of modules shows."""

    def __init__(self, rate):
        super().__init__()
        self.made, self.rate = dg.explicit.MADE(6, hidden=[8], generator=1), rate

    def log_prob(self, x):
        return self.made.log_prob(x) if not self.training else self.made.log_prob((F.dropout(x, self.rate) > 0).to(x))


def builders(rate):
    encoder = Dense(6, [8], 4, dropout=(rate / 2, rate), generator=1)
    return dg.implicit.VAE(encoder, Dense(2, [8], 6, dropout=rate, generator=2), latent=2), dg.objectives.ELBO()


def torch_layers(rate):
    first, last = dg.layers.linear(6, 3, generator=dg.random.generator(1)), Dense(3, [], 6, generator=2)
    there = nn.Sequential(first, nn.ReLU(), nn.Dropout(rate))
    return dg.implicit.Autoencoder(there, last), dg.objectives.Reconstruction()


def game(rate):
    maker, judge = (Dense(a, [8], b, dropout=rate, generator=a) for a, b in ((2, 6), (6, ())))
    return dg.implicit.GAN(maker, judge, latent=2), dg.objectives.Adversarial(generator_rate=1e-2)


def function(rate):
    return Thinned(rate), dg.objectives.MaximumLikelihood()


KINDS = pytest.mark.parametrize("make", [builders, torch_layers, game, function])


def trained(made, **options):
    model, objective = made
    options = {"epochs": 3, "batch_size": 16, "seed": 0, "progress": False, **options}
    return model, dg.fit(model, rows(), objective, **options)


@KINDS
def test_the_same_seed_gives_the_same_weights_and_the_global_stream_stays(make):
    runs = []
    for there in (1, 2):  # wherever the user's own stream is
        torch.manual_seed(there)
        model, history = trained(make(0.5))
        after = torch.rand(4)
        torch.manual_seed(there)
        assert torch.equal(after, torch.rand(4))
        runs.append((model, [record.metrics for record in history]))
    assert equal(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert borrowed(CPU) is None


@KINDS
def test_the_masks_are_there_and_go_by_the_seed(make, monkeypatch):
    dropped, _ = trained(make(0.5))
    plain, _ = trained(make(0.0))
    assert not equal(dropped, plain)
    monkeypatch.setattr(Repeatable, "__init__", shifted(Repeatable.__init__))  # all else being as it was
    other, _ = trained(make(0.5))
    assert not equal(dropped, other)
    same, _ = trained(make(0.0))
    assert equal(same, plain)  # what draws nothing from the global stream knows nothing of it


def shifted(begin):
    def init(self, seed, *rest, **options):
        begin(self, seed + 1, *rest, **options)

    return init


@KINDS
@pytest.mark.parametrize("steps", [1, 4, 8])  # of 15: in the first epoch, the last of it, and in the second
def test_a_run_cut_and_resumed_is_the_uninterrupted_run(tmp_path, make, steps):
    def run(out, left=None):
        model, objective = make(0.5)
        torch.manual_seed(steps)
        objective = objective if left is None else cut(objective, left)
        return trained((model, objective), out=out, callbacks=[Checkpoint(steps=1)])

    whole, history = run(tmp_path / "whole")
    with pytest.raises(Power):
        run(tmp_path / "cut", steps)
    assert borrowed(CPU) is None  # put back by an error too
    again, resumed = run(tmp_path / "cut")
    assert equal(whole, again)
    assert [record.metrics for record in resumed] == [record.metrics for record in history]


def test_every_step_has_masks_of_its_own():
    seen = []

    class Seen(nn.Module):
        def forward(self, x):
            seen.append(F.dropout(torch.ones(64), 0.5, self.training))
            return x

    model, objective = torch_layers(0.0)
    model.encoder.append(Seen())
    trained((model, objective), epochs=2)
    steps = [mask for mask in seen if not bool((mask == 1).all())]
    assert len({tuple(mask.tolist()) for mask in steps}) == len(steps) >= 10
    share = torch.stack(steps).eq(0).double().mean()
    assert abs(float(share) - 0.5) < 5 * 0.5 / (64 * len(steps)) ** 0.5


def test_a_fit_within_a_loan_leaves_the_lender_where_it_was(seed):
    def drawn(between):
        with lend(dg.random.generator(seed)):
            first = torch.rand(3)
            between()
            return torch.cat([first, torch.rand(3)])

    assert torch.equal(drawn(lambda: trained(torch_layers(0.5))), drawn(lambda: None))


def test_fits_side_by_side_put_the_stream_back_when_the_last_has_ended(seed):
    torch.manual_seed(seed)
    inside, leave = threading.Event(), threading.Event()

    def other():
        with reseeded(1, [torch.default_generator]):
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(20)
    with reseeded(2, [torch.default_generator]):
        torch.rand(1)
        leave.set()
        thread.join()
        assert borrowed(CPU) is torch.default_generator
    found = torch.rand(3)
    torch.manual_seed(seed)
    assert torch.equal(found, torch.rand(3))


def test_outside_a_step_a_network_still_asks_for_the_source_of_its_masks(stream):
    net = Dense(3, [8], 2, dropout=0.5, generator=0)
    with pytest.raises(ArgumentError, match=r"deepgen.fit lends one in its steps; elsewhere call net\(x, generator="):
        net(torch.zeros(2, 3))
    x = torch.ones(2, 3)
    with lend(dg.random.generator(4)):
        lent = net(x)
    assert torch.equal(lent, net(x, generator=dg.random.generator(4)))


def test_a_rate_is_found_for_a_network_with_dropout_and_repeats(monkeypatch):
    found = []
    for there in (1, 2):
        torch.manual_seed(there)
        model, objective = builders(0.5)
        found.append(dg.train.find_rate(model, rows(), objective, steps=20, batch_size=16).values)
    assert found[0] == found[1]


def test_nothing_is_lent_where_nothing_draws():
    objective = dg.objectives.MaximumLikelihood()
    quiet = [dg.RBM(6, 4), dg.explicit.NSF(4), dg.implicit.mlp_vae(6, [8], latent=2), nn.LSTM(2, 3, 2)]
    drawing = [builders(0.5)[0], game(0.5)[0], nn.LSTM(2, 3, 2, dropout=0.1), nn.MultiheadAttention(4, 2, dropout=0.1),
               dg.layers.DeepRecurrent(3, 4, 2, "gru", dropout=0.5), nn.RReLU(), Thinned(0.0)]  # fmt: skip
    assert [draws(objective, model) for model in quiet] == [False] * len(quiet)
    assert [draws(objective, model) for model in drawing] == [True] * len(drawing)
    assert draws(cut(objective, 1), quiet[0])
