"""Monitors: exact figures of updates made by hand, planted faults that are told in words, and healthy nets in peace."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.testing.waiting import never_waits
from deepgen.train import Checkpoint, Monitors, MonitorWarning
from tests.train.runs import fitted, machine, rows


class Regressor(nn.Module):
    """log p(x) of the last column given the others, a unit normal about a network's output: any net can be planted."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def log_prob(self, x):
        return -0.5 * (x[:, -1] - self.net(x[:, :-1]).squeeze(-1)) ** 2


def chain(depth, activation, width=16, inputs=4):
    layers = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else width, width), activation()]
    net = nn.Sequential(*layers, nn.Linear(width, 1))
    stream = dg.random.generator(3)
    with torch.no_grad():
        for p in net.parameters():
            fan = p.shape[1] if p.ndim > 1 else 1
            p.copy_(torch.randn(p.shape, generator=stream) * math.sqrt(1 / fan) if p.ndim > 1 else torch.zeros_like(p))
    return net


def regression(n=400):
    x = torch.randn(n, 4, generator=dg.random.generator(1))
    return torch.cat([x, x[:, :1].sin() + 0.5 * x[:, 1:2]], 1)


def watched(net, *, lr=1e-3, epochs=2, every=1):
    model = Regressor(net)
    monitors = Monitors(every=every)
    options = {"epochs": epochs, "data": regression(), "batch_size": 50, "callbacks": [monitors]}
    options["optimizer"] = torch.optim.Adam(model.parameters(), lr=lr)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MonitorWarning)
        _, history = fitted(model, **options)
    return history, [str(w.message) for w in caught]


class Halving(torch.optim.Optimizer):
    """p becomes (1 - r) p: the ratio of every update is r."""

    def __init__(self, parameters, r):
        super().__init__(parameters, {"r": r})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["r"])


def test_ratios_and_gradients_of_an_update_made_by_hand():
    net = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[3.0, 0.0, 4.0, 0.0]]))
    model, data = Regressor(net), regression(50)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    away = data[:, -1] - data[:, :-1] @ net.weight.detach()[0]
    gradient = -(away[:, None] * data[:, :-1]).mean(0).norm()  # of minus the mean log p
    _, history = fitted(
        model, epochs=1, data=data, batch_size=50, optimizer=optimizer, callbacks=[Monitors(every=1, band=(0, 1e3))]
    )
    found = history[0].measured["monitors"]
    assert found["looks"] == 1
    assert found["gradient"]["net"] == pytest.approx(abs(float(gradient)), rel=1e-5)
    assert found["ratio"]["net.weight"] == pytest.approx(0.25 * abs(float(gradient)) / 5, rel=1e-5)
    assert found["gradient_of"] == "gradient"


def test_a_ratio_that_is_known_at_every_look():
    model = Regressor(chain(1, nn.Tanh))
    _, history = fitted(
        model,
        epochs=1,
        data=regression(),
        batch_size=50,
        optimizer=Halving(model.parameters(), 0.01),
        callbacks=[Monitors(every=3)],
    )
    found = history[0].measured["monitors"]
    assert found["looks"] == 3  # steps 1, 4 and 7 of 8
    assert found["ratio"] == pytest.approx({"net.0.weight": 0.01, "net.2.weight": 0.01}, rel=1e-5)  # biases are 0


def test_activations_are_those_that_layers_read():
    net = chain(2, nn.ReLU)
    model, data = Regressor(net), regression(60)
    with torch.no_grad():
        net[0].bias[:5] = -100.0
        h = net[:2](data[:, :-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    _, history = fitted(model, epochs=1, data=data, batch_size=60, optimizer=optimizer, callbacks=[Monitors()])
    seen = history[0].measured["monitors"]["activation"]
    assert [*seen] == ["net.2", "net.4"]  # what the first layer reads are data
    found = seen["net.2"]
    assert found["mean"] == pytest.approx(float(h.mean()), rel=1e-5)
    assert found["std"] == pytest.approx(float(h.std(unbiased=False)), rel=1e-5)
    assert found["dead"] == pytest.approx(float((h == 0).all(0).float().mean()))
    assert (found["units"], found["rows"], found["saturated"]) == (16, 60, None)
    counts = torch.histc(h.flatten(), 24, *found["ends"])
    assert found["counts"] == [int(n) for n in counts]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh], ids=["relu", "tanh"])
def test_a_healthy_net_is_left_in_peace(activation):
    history, told = watched(chain(3, activation), epochs=3, every=2)
    assert told == []
    assert 1e-4 < history[-1].measured["monitors"]["ratio"]["net.2.weight"] < 1e-2


def test_a_rate_a_thousand_times_too_high_is_told():
    _, told = watched(chain(2, nn.Tanh), lr=1.0, epochs=3)
    assert any("a step changes net.0.weight by" in words and "lower the rate" in words for words in told)
    assert len(told) == len({words.partition("net.")[2][:12] + words[-30:] for words in told})


def test_a_layer_that_starts_near_0_is_left_in_peace():
    made, x = dg.explicit.MADE(4, hidden=[8], generator=0), torch.eye(4)
    _, history = fitted(made, epochs=120, data=x, callbacks=[Monitors(every=1)])  # a warning would raise
    assert history[0].measured["monitors"]["ratio"]["net.last.weight"] > 0.1


def test_a_rate_far_too_low_is_told_and_one_that_falls_is_not():
    _, told = watched(chain(2, nn.Tanh), lr=1e-6)
    (words,) = (words for words in told if "raise the rate" in words)  # once, for all three weights
    assert all(name in words for name in ("net.0.weight", "net.2.weight", "net.4.weight"))
    model = Regressor(chain(2, nn.Tanh))
    options = {"data": regression(), "schedule": lambda t: 10 ** (-8 * t), "callbacks": [Monitors(every=1)]}
    fitted(model, optimizer=torch.optim.Adam(model.parameters(), lr=1e-3), **options)  # a warning would raise


def test_dead_units_are_told():
    class Net(nn.Module):  # the activation a function, as in most networks
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 16), nn.Linear(16, 16), nn.Linear(16, 1)

        def forward(self, x):
            return self.c(torch.tanh(self.b(F.relu(self.a(x)))))

    net = Net()
    nn.init.constant_(net.a.bias, -100.0)
    history, told = watched(net)
    assert any("16 of the 16 units that net.b reads are dead: 0 in all of the 400 rows" in words for words in told)
    assert history[0].measured["monitors"]["activation"]["net.c"]["dead"] == 0


def test_saturated_units_are_told():
    net = chain(2, nn.Sigmoid)
    with torch.no_grad():
        net[2].weight.mul_(200.0)
    history, told = watched(net)
    assert any("of the values that net.4 reads are saturated" in words for words in told)
    seen = history[0].measured["monitors"]["activation"]
    assert seen["net.4"]["saturated"] > 0.8
    assert seen["net.2"]["saturated"] < 0.2
    net = chain(2, nn.Tanh)
    with torch.no_grad():
        net[2].weight.mul_(200.0)
    assert any("net.4 reads are saturated" in words for words in watched(net)[1])


def test_gradients_that_vanish_with_depth_are_told():
    history, told = watched(chain(10, nn.Sigmoid), epochs=14, every=4)
    assert sum("gradients vanish with depth: that of the first layer, net.0," in words for words in told) == 1
    flow = [*history[0].measured["monitors"]["gradient"].values()]
    assert flow[0] < 1e-3 * flow[-1]
    assert not any("vanish" in words for words in watched(chain(10, nn.Tanh), epochs=14, every=4)[1])


def test_depth_is_the_order_of_calls():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(8, 1), nn.Linear(4, 8)

        def forward(self, x):
            return self.last(torch.tanh(self.first(x)))

    history, _ = watched(Backwards(), epochs=1)
    assert [*history[0].measured["monitors"]["gradient"]] == ["net.first", "net.last"]


@pytest.mark.parametrize(("optimizer", "what"), [(torch.optim.SGD, "step"), (torch.optim.Adam, "gradient")])
def test_a_machine_has_figures_of_its_parameters_alone(optimizer, what):
    rbm, monitors = machine(), Monitors(every=2, band=(0, 1e3))
    options = {"optimizer": optimizer(rbm.parameters(), lr=0.01), "callbacks": [monitors]}
    _, history = fitted(rbm, dg.objectives.PersistentCD(chains=10), epochs=2, **options)
    found = history[-1].measured["monitors"]
    assert {"weight"} <= set(found["ratio"])
    assert found["gradient_of"] == what  # plain SGD is one product with the weights
    assert found["activation"] == {}


def test_steps_without_gradients_say_so():
    x = rows()
    mixture = dg.explicit.BernoulliMixture(6, components=2).initialise(x, generator=1)
    em, look = dg.objectives.ExpectationMaximisation(), Monitors(every=1, band=(0, 1e3))
    history = dg.fit(mixture, x, em, epochs=2, batch_size=len(x), callbacks=[look], progress=False)
    found = history[0].measured["monitors"]
    assert found["gradient_of"] == "step"
    assert all(value > 0 for value in found["gradient"].values())


def test_hooks_are_there_at_sampled_steps_only_and_go_with_the_run():
    net, counts = chain(1, nn.Tanh), []
    model = Regressor(net)

    class Counting(Monitors):
        def advance(self):
            counts.append(len(net[0]._forward_pre_hooks))
            super().advance()

    fitted(model, epochs=1, data=regression(), batch_size=50, callbacks=[Counting(every=4)])
    assert counts == [1, 0, 0, 0, 1, 0, 0, 0]
    assert not net[0]._forward_pre_hooks


@pytest.mark.parametrize("written", [True, False], ids=["gradient", "step"])
def test_a_look_does_not_wait_for_the_device(written):
    """On an accelerator, where what no gradient was written for has its figure too."""
    model, monitors = Regressor(chain(2, nn.ReLU)).to("meta"), Monitors(every=1)
    data = torch.empty(8, 5, device="meta")
    with never_waits():
        monitors.begin(model)
        loss = model.log_prob(data).sum()
        if written:
            loss.backward()
        monitors.advance()
    (norms,) = monitors._norms
    assert (norms.device.type, norms.shape) == ("meta", (3, 6))
    assert [*monitors._reader.seen] == ["net.2", "net.4"]


def test_looks_from_disk_stand_beside_those_of_the_device():
    model, first, again = Regressor(chain(2, nn.ReLU)), Monitors(every=1), Monitors(every=1)
    first.begin(model)
    model.log_prob(regression(8)).sum().backward()
    first.advance()
    again.load_state_dict(first.state_dict())
    again.begin(model.to("meta"))
    again.advance()
    assert torch.stack(again._norms).shape == (2, 3, 6)


def test_watching_changes_no_number():
    plain, _ = fitted(Regressor(chain(2, nn.Tanh)), data=regression())
    seen, _ = fitted(Regressor(chain(2, nn.Tanh)), data=regression(), callbacks=[Monitors(every=1)])
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), seen.parameters(), strict=True))


def test_a_resumed_run_has_the_figures_of_one_that_was_not_stopped(tmp_path):
    def run(**options):
        model, monitors = Regressor(chain(2, nn.ReLU)), Monitors(every=3)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return fitted(
            model, data=regression(), optimizer=optimizer, callbacks=[monitors, *options.pop("more", [])], **options
        )[1]

    class Power(Exception):
        pass

    class Cut:
        left = 37  # in the middle of the second epoch

        def advance(self):
            self.left -= 1
            if not self.left:
                raise Power

        def __call__(self, record, model):
            pass

    whole = run(epochs=3)
    with pytest.raises(Power):
        run(epochs=3, out=tmp_path, more=[Checkpoint(steps=5), Cut()])
    again = run(epochs=3, out=tmp_path)
    assert [r.measured for r in again] == [r.measured for r in whole]
    assert again[1].measured["monitors"]["looks"] > 0


def test_tensorboard_shows_them(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = Regressor(chain(2, nn.Tanh))
    fitted(model, epochs=2, data=regression(), callbacks=[Monitors(), dg.train.TensorBoard(tmp_path)])
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert {"ratio/net.0.weight", "gradient/net.0", "activation_saturated/net.2"} <= set(board.Tags()["scalars"])
    histogram = board.Histograms("activation/net.2")[-1].histogram_value
    assert histogram.num == sum(histogram.bucket) > 0


@pytest.mark.parametrize("options", [{"every": 0}, {"band": (1.0, 0.1)}, {"band": (0.1,)}])
def test_arguments_that_are_none(options):
    with pytest.raises(ArgumentError):
        Monitors(**options)
