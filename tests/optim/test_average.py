"""Averages of weights: their closed forms, their part of a fit and of its checkpoint, averages of what was saved."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError, UnknownName
from deepgen.optim import WeightAverage, average_checkpoints
from deepgen.optim.blend import blend, share
from deepgen.train.history import Record


def walk(net, stream):
    with torch.no_grad():
        net.weight.normal_(generator=stream)
    return net.weight.detach().clone()


@pytest.mark.parametrize("decay", [0.0, 0.7, None])
def test_after_every_step_it_is_the_closed_form(decay, stream):
    net = nn.Linear(3, 2).double()
    average, seen = WeightAverage(net, decay, first=3), []
    for t in range(1, 9):
        latest = walk(net, stream)
        average.advance()
        if t < 3:
            continue
        seen.append(latest)
        n = len(seen)
        if decay is None:
            expected = torch.stack(seen).mean(0)
        else:
            expected = sum((1 - decay) * decay ** (n - i) * w for i, w in enumerate(seen, 1)) / (1 - decay**n)
        assert torch.allclose(average.module.weight, expected, atol=1e-12)
    assert average.updates == 6
    average.finish(net)
    assert torch.equal(net.weight, average.module.weight)
    assert net.weight.requires_grad


def test_every_epoch_counts_epochs(stream):
    net = nn.Linear(3, 2).double()
    average, ends = WeightAverage(net, None, every="epoch", first=2), []
    for epoch in range(1, 5):
        for _ in range(3):
            latest = walk(net, stream)
            average.advance()
        average(Record(epoch, 3 * epoch, 0.0, 0.0, {}), net)
        ends.append(latest)
    assert torch.allclose(average.module.weight, torch.stack(ends[1:]).mean(0), atol=1e-12)


def test_nothing_is_put_back_where_nothing_counted():
    net = nn.Linear(3, 2)
    average, before = WeightAverage(net, first=10), net.weight.detach().clone()
    with torch.no_grad():
        net.weight.add_(1)
    average.advance()
    average.finish(net)
    assert torch.equal(net.weight, before + 1)


def test_tied_weights_move_once_and_counters_are_copied(stream):
    def tied():
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
        net[2].weight = net[0].weight
        return net

    one, other = tied(), tied()
    before = one[0].weight.detach().clone()
    other(torch.randn(5, 2, generator=stream))  # moves its running statistics
    middle = (one[1].running_mean + other[1].running_mean) / 2
    blend(one, other, share(None, 2.0))
    assert torch.allclose(one[0].weight, (before + other[0].weight) / 2)
    assert torch.allclose(one[1].running_mean, middle)
    assert one[1].num_batches_tracked == 1


def fitted(out, epochs, decay, every):
    made = dg.explicit.MADE(8, hidden=[16], generator=0)
    x = (torch.rand(60, 8, generator=dg.random.generator(1)) < 0.3).float()
    average = WeightAverage(made, decay, every=every)
    callbacks = [average, dg.train.Checkpoint(steps=1)]
    dg.fit(made, x, dg.objectives.MaximumLikelihood(), epochs=epochs, batch_size=20, seed=0, out=out,
           callbacks=callbacks, progress=False)  # fmt: skip
    return made, average


@pytest.mark.parametrize(("decay", "every"), [(0.9, "step"), (None, "epoch")])
def test_a_fit_goes_on_with_it_bit_for_bit(decay, every, tmp_path):
    whole, average = fitted(tmp_path / "whole", 6, decay, every)
    fitted(tmp_path / "half", 3, decay, every)
    again, resumed = fitted(tmp_path / "half", 6, decay, every)
    assert average.updates == resumed.updates == (18 if every == "step" else 6)
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    saved = dg.load(tmp_path / "whole")  # the averaged weights
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), average.module.parameters(), strict=True))


def test_the_average_of_a_noisy_run_is_nearer_to_the_optimum(stream):
    """Polyak & Juditsky: SGD scatters with variance lr / (2 - lr), the mean of n steps with 1 / n."""
    net = nn.Linear(1, 400, bias=False).double()  # as many runs
    with torch.no_grad():
        net.weight.zero_()
    optimizer, average = torch.optim.SGD(net.parameters(), lr=0.1), WeightAverage(net, None, first=101)
    for _ in range(1100):
        net.weight.grad = net.weight.detach() + torch.randn(400, 1, generator=stream, dtype=torch.float64)
        optimizer.step()
        average.advance()
    error = 5.5 * (2 / 400) ** 0.5
    assert float(net.weight.detach().square().mean()) / (0.1 / 1.9) == pytest.approx(1, abs=error)
    assert float(average.module.weight.square().mean()) * 1000 == pytest.approx(1, abs=error)  # less 1 % for its ends


def test_the_mean_of_checkpoints(tmp_path, stream):
    mixture, seen = dg.explicit.BernoulliMixture(3, components=2), []
    for number in range(3):
        with torch.no_grad():
            mixture.logits.normal_(generator=stream)
        seen.append(mixture.logits.detach().clone())
        dg.save(mixture, tmp_path / str(number))
    folders = [tmp_path / str(number) for number in range(3)]
    assert torch.allclose(average_checkpoints(folders).logits, torch.stack(seen).mean(0), atol=1e-6)
    own = dg.explicit.BernoulliMixture(3, components=2)
    assert average_checkpoints(folders, own) is own
    assert torch.allclose(own.logits, torch.stack(seen).mean(0), atol=1e-6)
    for wrong in ([], str(folders[0])):
        with pytest.raises(ArgumentError, match="directories"):
            average_checkpoints(wrong)
    with pytest.raises(CheckpointError):
        average_checkpoints([*folders, tmp_path / "none"])
    dg.save(dg.explicit.BernoulliMixture(4, components=2), tmp_path / "other")
    with pytest.raises(CheckpointError, match="another model"):
        average_checkpoints([*folders, tmp_path / "other"])


def test_the_model_that_is_trained_is_the_one_that_is_followed(tmp_path):
    made, other = (dg.explicit.MADE(8, hidden=[16], generator=seed) for seed in (0, 1))
    x, objective = torch.eye(8), dg.objectives.MaximumLikelihood()
    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    with pytest.raises(ArgumentError, match="follows another MADE"):
        dg.fit(made, x, objective, epochs=1, callbacks=[WeightAverage(other)], out=tmp_path / "run", progress=False)
    assert all(torch.equal(p, before[name]) for name, p in made.named_parameters())
    assert not (tmp_path / "run" / "manifest.json").exists()  # found before anything was written


@pytest.mark.parametrize("other", [{"decay": 0.5}, {"decay": None}, {"every": "epoch"}, {"first": 2}])
def test_a_run_goes_on_with_the_same_average_only(other, tmp_path):
    made, settings = dg.explicit.MADE(8, hidden=[16], generator=0), {"decay": 0.9, "every": "step", "first": 1}

    def run(epochs, **changed):
        average = WeightAverage(made, **{**settings, **changed})
        dg.fit(made, torch.eye(8), dg.objectives.MaximumLikelihood(), epochs=epochs, callbacks=[average],
               out=tmp_path, progress=False)  # fmt: skip

    run(2)
    with pytest.raises(CheckpointError, match=f"{next(iter(other))}="):
        run(3, **other)
    run(3)


def test_what_is_refused():
    net = nn.Linear(2, 1)
    for decay in (1.0, -0.1, float("nan")):
        with pytest.raises(ArgumentError, match="decay"):
            WeightAverage(net, decay)
    with pytest.raises(ArgumentError, match="first"):
        WeightAverage(net, first=0)
    with pytest.raises(UnknownName, match="'step'"):
        WeightAverage(net, every="steps")
    with pytest.raises(ArgumentError, match="Module"):
        WeightAverage(net.parameters())
