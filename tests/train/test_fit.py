"""fit is the loop and nothing else: steps, rates, monitors, and the ways a run can end."""

import math
from typing import NamedTuple

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import deepgen as dg
from deepgen.data.batches import batches
from deepgen.errors import ArgumentError, DivergenceError
from deepgen.objectives import PersistentCD
from deepgen.train import train
from tests.train.runs import MLE, equal, fitted, machine, mixture, rows


def test_fit_is_the_readers_own_loop():
    model = machine()
    objective, optimizer = PersistentCD(chains=7), torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    generator = dg.random.spawn(dg.random.generator(11), 1)[0]
    state, update = objective.start(model, rows(), generator=generator), objective.update(model, optimizer)
    done, means = 0, []
    for epoch in range(3):
        sums = {}
        steps = train(update, state, batches(rows(), 16, seed=11, epoch=epoch), generator=generator, start=done)
        for step in steps:
            for name, value in step.metrics.items():
                sums[name] = sums.get(name, 0.0) + float(value) * step.rows
        state, done = step.state, step.step
        means.append({name: pytest.approx(value / len(rows()), rel=1e-12) for name, value in sums.items()})
    assert done == 15

    twin = machine()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.5)
    _, history = fitted(twin, objective, epochs=3, seed=11, optimizer=optimizer)
    assert equal(model, twin)
    assert history["step"] == [5, 10, 15]
    assert [record.metrics for record in history] == means


def test_metrics_are_means_over_examples_not_batches():
    _, history = fitted(epochs=1, optimizer=None, batch_size=64)  # batches of 64 and 6
    first = mixture()
    parts = list(batches(rows(), 64, seed=0, epoch=0))
    update = MLE().update(first, MLE().optimizer(first))
    expected = sum(float(s.metrics["log_likelihood"].double()) * s.rows for s in train(update, (), parts, generator=0))
    assert history[0].metrics["log_likelihood"] == pytest.approx(expected / 70, rel=1e-12)


def test_same_seed_same_weights_other_seed_other_weights_global_stream_untouched():
    before = torch.get_rng_state()
    a, b, c = (fitted(machine(), PersistentCD(chains=5), seed=s)[0] for s in (4, 4, 5))
    assert equal(a, b)
    assert not equal(a, c)
    assert torch.equal(before, torch.get_rng_state())


def test_max_seconds_ends_early_and_the_run_goes_on_later(tmp_path):
    whole, _ = fitted()
    fitted(out=tmp_path, max_seconds=1e-9)
    part, history = fitted(out=tmp_path, max_seconds=1e-9)
    assert history.stopped == "max_seconds"
    assert len(history) < 4
    assert dg.train.load_run(tmp_path).history.stopped == "max_seconds"
    rest, history = fitted(out=tmp_path, max_seconds=1000)
    assert history.stopped is None
    assert equal(whole, rest)
    assert not equal(whole, part)


def test_max_seconds_ends_a_run_whose_epochs_are_one_step(tmp_path):
    whole, _ = fitted(batch_size=100)
    for done in (1, 2, 3):
        _, history = fitted(batch_size=100, out=tmp_path, max_seconds=1e-9)
        assert (history.stopped, len(history), history.new_steps) == ("max_seconds", done, 1)
    last, history = fitted(batch_size=100, out=tmp_path, max_seconds=1e-9)
    assert (history.stopped, len(history)) == (None, 4)
    assert equal(whole, last)


@pytest.mark.parametrize("where", ["metric", "parameter"])
def test_divergence_names_the_step_and_keeps_the_last_finite_state(tmp_path, where):
    class State(NamedTuple):
        count: torch.Tensor

    class Diverging:
        def start(self, model, x, *, generator):
            return State(torch.tensor(0.0))

        def optimizer(self, model):
            return torch.optim.SGD(model.parameters(), lr=0.1)

        def update(self, model, optimizer):
            def step(state, batch, *, generator):
                count = state.count + 1
                bad = torch.where(count == 8, torch.tensor(math.inf), torch.tensor(1.0))
                with torch.no_grad():
                    model.logits.add_(bad if where == "parameter" else 1.0)
                return State(count), {"fine": count, "value": bad if where == "metric" else count}

            return step

    model = mixture()
    with pytest.raises(DivergenceError, match=f"{where}.* lower the learning rate") as caught:
        fitted(model, Diverging(), out=tmp_path)  # five steps an epoch
    assert caught.value.step == (8 if where == "metric" else 10)
    assert caught.value.state["step"] == 5
    assert caught.value.state["state"].count == 5
    torch.testing.assert_close(caught.value.state["weights"]["logits"], mixture().logits.detach() + 5)
    assert all(p.isfinite().all() for p in dg.load(tmp_path).parameters())


def test_a_function_of_the_fraction_sets_the_rate_of_each_step():
    seen = []

    class Spy(MLE):
        def update(self, model, optimizer):
            def step(state, batch, *, generator):
                seen.append(optimizer.param_groups[0]["lr"])
                return state, {}

            return step

    model = mixture()
    fitted(model, Spy(), epochs=2, optimizer=torch.optim.SGD(model.parameters(), lr=0.5), schedule=lambda t: 1 - t)
    assert seen == pytest.approx([0.5 * (1 - i / 10) for i in range(10)])


def test_a_torch_scheduler_steps_once_an_epoch():
    model = mixture()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    fitted(model, schedule=torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5))  # and brings its optimizer
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5**4)


def plateau(mode, **options):
    model = mixture()
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(torch.optim.SGD(model.parameters(), lr=1.0), mode, **options)
    return model, schedule


@pytest.mark.parametrize(("values", "rate"), [([-3.0, -2.0, -1.0], 1.0), ([-100.0] * 3, 0.25)])
def test_a_plateau_lowers_the_rate_where_the_monitor_stays_and_not_where_it_rises(values, rate):
    model, schedule = plateau("max", patience=0, factor=0.5, threshold_mode="abs")
    told = iter(values)
    fitted(model, schedule=schedule, valid=rows(), monitor=lambda *_: next(told), epochs=3)
    assert schedule.get_last_lr() == [rate]


def test_a_plateau_for_losses_or_without_a_monitor_is_refused():
    model, schedule = plateau("min", patience=1)
    with pytest.raises(ArgumentError, match='mode="max"'):
        fitted(model, schedule=schedule, valid=rows())
    model, schedule = plateau("max", patience=1)
    with pytest.raises(ArgumentError, match="valid="):
        fitted(model, schedule=schedule)


def test_monitor_is_the_log_likelihood_by_default_and_estimates_are_kept_whole():
    model, history = fitted(valid=rows(30))
    assert history[-1].monitor == pytest.approx(model.log_prob(rows(30)).detach().double().mean().item(), rel=1e-6)
    low = dg.evaluate.Estimate(-3.0, 0.5, "below", "low", n=9)
    high = dg.evaluate.Estimate(-2.0, 0.5, "above", "high", n=9)
    _, history = fitted(valid=rows(30), monitor=lambda m, x: dg.evaluate.Bracket(low, high))
    assert history["monitor"] == [-3.0] * 4
    assert history[0].estimate["upper"]["value"] == -2.0
    _, history = fitted(valid=rows(30), monitor=lambda m, x: high)
    assert history[0].monitor == -2.0
    assert history[0].estimate["method"] == "high"


def test_validation_rows_may_come_as_a_dataset_or_a_loader_with_contexts_or_without(stream):
    x, y, c = rows(30), torch.randn(30, 2, generator=stream), torch.randn(30, 1, generator=stream)
    flow = dg.explicit.MAF(2, transforms=1, hidden=[8], context=1, generator=0)
    pairs = TensorDataset(y, c)
    for model, data, valid, truth in (
        (mixture(), x, TensorDataset(x), lambda m: m.log_prob(x)),
        (mixture(), x, DataLoader(TensorDataset(x), batch_size=7), lambda m: m.log_prob(x)),
        (flow, pairs, pairs, lambda m: m.log_prob(y, c)),
        (flow, pairs, DataLoader(pairs, batch_size=7), lambda m: m.log_prob(y, c)),
    ):
        _, history = fitted(model, data=data, valid=valid, epochs=1)
        with torch.no_grad():
            assert history["monitor"] == [pytest.approx(float(truth(model).double().mean()), rel=1e-5)]


def test_training_mode_during_steps_and_evaluation_mode_in_the_monitor():
    modes = []

    class Spy(MLE):
        def update(self, model, optimizer):
            def step(state, batch, *, generator):
                modes.append(model.training)
                return state, {}

            return step

    model = mixture().eval()
    fitted(model, Spy(), epochs=2, valid=rows(), monitor=lambda m, x: modes.append(m.training) or 0.0)
    assert modes == ([True] * 5 + [False]) * 2
    assert not model.training


def test_nan_in_a_buffer_is_divergence_and_infinity_there_is_not(tmp_path):
    """The running averages of a normalised network are no parameters, and NaN in them is NaN in all that it draws."""

    class Planted:
        def __init__(self, model, value):
            self.model, self.value = model, value

        def __call__(self, record, model):
            if record.epoch == 2:
                self.model.kept.fill_(self.value)

    for value in (math.nan, math.inf):
        model = mixture()
        model.register_buffer("kept", torch.zeros(2), persistent=False)
        if math.isnan(value):
            with pytest.raises(DivergenceError, match="the parameter kept is no longer finite"):
                fitted(model, callbacks=[Planted(model, value)])
        else:
            assert len(fitted(model, callbacks=[Planted(model, value)])[1]) == 4
