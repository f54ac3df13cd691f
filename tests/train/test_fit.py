"""fit is the loop and nothing else; a run taken up again is the run that was never left."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import deepgen as dg
from deepgen.data.batches import batches
from deepgen.errors import ArgumentError, CheckpointError, DivergenceError, MissingCapability, ShapeError, SupportError
from deepgen.objectives.contrastive import PersistentCD
from deepgen.train import Checkpoint, EarlyStopping, train

MLE = dg.objectives.MaximumLikelihood


def rows(n=70, features=6):
    return (torch.rand(n, features, generator=dg.random.generator(5)) < 0.3).float()


def mixture():
    return dg.explicit.BernoulliMixture(6, components=2).initialise(rows(), generator=1)


def equal(a, b):
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def fitted(model=None, objective=None, *, epochs=4, data=None, **options):
    model = mixture() if model is None else model
    options = {"progress": False, "batch_size": 16, **options}
    data = rows() if data is None else data
    history = dg.fit(model, data, objective or MLE(), epochs=epochs, **options)
    return model, history


def machine():
    return dg.explicit.RBM(visible=6, hidden=4, generator=3)


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


# Resume ---------------------------------------------------------------------------------------------------------------


class Power(Exception):
    pass


def cut(objective, steps):
    """``objective`` in a world where the power fails after ``steps`` updates."""

    class Cut(type(objective)):
        def update(self, model, optimizer):
            inner, left = super().update(model, optimizer), iter(range(steps))

            def step(state, batch, *, generator):
                if next(left, None) is None:
                    raise Power
                return inner(state, batch, generator=generator)

            return step

    Cut.__name__ = type(objective).__name__
    return Cut(**{k: v for k, v in vars(objective).items() if not k.startswith("_")})


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.02, amsgrad=True)


def adamw(model):
    return torch.optim.AdamW([{"params": [p], "lr": 0.01 * (i + 1)} for i, p in enumerate(model.parameters())])


SCHEDULES = {
    "none": lambda optimizer: None,
    "function": lambda optimizer: lambda t: (1 - t) ** 2 + 0.1,
    "steps": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.3),
    "plateau": lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", patience=0),
    "chain": lambda optimizer: torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=2),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4),
        ],
        milestones=[2],
    ),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [sgd, adam, adamw])
def test_a_run_cut_anywhere_and_resumed_is_the_uninterrupted_run(tmp_path, make, schedule):
    def run(objective, out):
        model = machine()
        optimizer = make(model)
        return fitted(
            model,
            objective,
            epochs=6,
            optimizer=optimizer,
            schedule=SCHEDULES[schedule](optimizer),
            valid=rows(20),
            monitor=lambda m, x: -float(m.free_energy(x).mean()),
            callbacks=[EarlyStopping(patience=4), Checkpoint(steps=3)],
            out=out,
        )

    objective = PersistentCD(chains=5)
    whole, history = run(objective, tmp_path / "whole")
    for steps in (1, 4, 9, 11, 2):  # cut, resumed, cut again: checkpoints lie within and between epochs
        with pytest.raises(Power):
            run(cut(objective, steps), tmp_path / "cut")
    again, resumed = run(objective, tmp_path / "cut")
    assert equal(whole, again)
    assert [record.metrics for record in resumed] == [record.metrics for record in history]
    assert resumed["monitor"] == history["monitor"]
    assert resumed.stopped == history.stopped
    assert equal(dg.load(tmp_path / "cut"), whole)


def test_two_epochs_and_two_more_are_four(tmp_path):
    whole, _ = fitted(machine(), PersistentCD(), epochs=4, out=tmp_path / "a")
    fitted(machine(), PersistentCD(), epochs=2, out=tmp_path / "b")
    parts, history = fitted(machine(), PersistentCD(), epochs=4, out=tmp_path / "b")
    assert equal(whole, parts)
    assert history["epoch"] == [1, 2, 3, 4]
    assert history["seconds"] == sorted(history["seconds"])
    assert history["cpu_seconds"] == sorted(history["cpu_seconds"])


def test_a_finished_run_is_only_read(tmp_path):
    whole, history = fitted(out=tmp_path)
    again, same = fitted(cutmodel := mixture(), cut(MLE(), 0), out=tmp_path)
    assert again is cutmodel
    assert equal(whole, again)
    assert same.to_dict()["records"] == history.to_dict()["records"]


def test_resume_false_starts_anew(tmp_path):
    fitted(out=tmp_path, seed=1)
    fresh, history = fitted(out=tmp_path, seed=2, resume=False)
    assert len(history) == 4
    assert equal(fresh, fitted(seed=2)[0])


def quadratic(t):
    return 1 - t**2


def linear(t):
    return 1 - t


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"batch_size": 17}, "batch_size: 16 there, 17 here"),
        ({"objective": PersistentCD(k=3)}, "objective: .*'k': 1.*'k': 3"),
        ({"objective": dg.objectives.MaximumLikelihood()}, "objective|has no LogProb"),
        ({"lr": 0.3}, "optimizer: .*'lr': 0.1.*'lr': 0.3"),
        ({"schedule": quadratic}, "schedule: "),
        ({"schedule": None}, "schedule: "),
        ({"data": 1 - rows()}, "data: .*crc32"),
        ({"data": rows(71)}, "data: .*70.*71"),
        ({"hidden": 5}, "model: "),
        ({"callbacks": [EarlyStopping()]}, "callbacks: "),
        ({"epochs": 6}, "epochs: 4 there, 6 here, and the schedule"),
        ({"epochs": 3}, "epochs: 4 there, 3 here"),
    ],
)
def test_another_run_in_the_same_place_is_refused_and_what_differs_named(tmp_path, change, named):
    def run(hidden=4, lr=0.1, objective=None, **options):
        model = dg.explicit.RBM(visible=6, hidden=hidden)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        options = {"out": tmp_path, "schedule": linear, **options}
        return fitted(model, objective or PersistentCD(), optimizer=optimizer, **options)

    run()
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises((CheckpointError, MissingCapability), match=named):
        run(**change)
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_fewer_epochs_than_done_are_refused(tmp_path):
    fitted(out=tmp_path)
    with pytest.raises(CheckpointError, match="4 epochs done, and 2 were asked for"):
        fitted(out=tmp_path, epochs=2)


def test_a_saved_model_is_no_run_and_is_not_overwritten(tmp_path):
    dg.save(machine(), tmp_path)
    with pytest.raises(CheckpointError, match="not a run to resume"):
        fitted(out=tmp_path)
    assert isinstance(dg.load(tmp_path), dg.explicit.RBM)


def test_a_damaged_checkpoint_is_not_silently_started_over(tmp_path):
    fitted(out=tmp_path)
    path = next(tmp_path.glob("tensors-*"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=path.name):
        fitted(out=tmp_path)


def test_the_directory_has_model_history_settings_and_extras(tmp_path):
    data = rows()
    data.provenance = {"name": "made up", "split": "train"}
    extras = {"command": ["train", "mixture"], "rate": 0.5, "nested": {"a": [1, None]}}
    model, history = fitted(data=data, out=tmp_path, extras=extras)
    run = dg.train.load_run(tmp_path)
    assert equal(run.model, model)
    assert equal(dg.load(tmp_path), model)
    assert run.history.to_dict() == history.to_dict()
    assert run.settings["extras"] == extras
    assert run.settings["data"]["provenance"]["name"] == "made up"
    assert (run.settings["seed"], run.settings["batch_size"], run.settings["epochs"]) == (0, 16, 4)
    assert run.settings["objective"] == {"class": "MaximumLikelihood"}


def test_a_network_of_the_users_own_resumes_too(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 6)
            nn.init.zeros_(self.inner.weight)
            nn.init.zeros_(self.inner.bias)

        def log_prob(self, x):
            field = self.inner(torch.zeros_like(x))
            return (x * field - nn.functional.softplus(field)).sum(-1)

    whole, _ = fitted(Net())
    fitted(Net(), epochs=2, out=tmp_path)
    parts, _ = fitted(Net(), epochs=4, out=tmp_path)
    assert equal(whole, parts)
    assert dg.train.load_run(tmp_path).model is None


# Ends -----------------------------------------------------------------------------------------------------------------


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


# Data -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.numpy(),
        lambda x: x.double().numpy(),
        lambda x: x.bool(),
        lambda x: x.to(torch.uint8),
        lambda x: x.numpy().astype(np.int64),
        lambda x: x.tolist(),
        lambda x: TensorDataset(x),
        lambda x: x.double(),
    ],
)
def test_all_forms_of_the_same_data_give_the_same_model(convert):
    expected, _ = fitted(machine(), PersistentCD(centred=False))
    model, _ = fitted(machine(), PersistentCD(centred=False), data=convert(rows()))
    if isinstance(convert(rows()), TensorDataset):  # chains start from its first batch, not from all rows
        assert all(p.isfinite().all() for p in model.parameters())
    else:
        assert equal(model, expected)


def test_datasets_and_loaders_of_tuples(tmp_path):
    for data in (TensorDataset(rows()), DataLoader(TensorDataset(rows()), batch_size=16, shuffle=True)):
        whole, history = fitted(data=data)
        assert history["step"] == [5, 10, 15, 20]
        folder = tmp_path / type(data).__name__
        fitted(data=data, epochs=2, out=folder)
        assert equal(fitted(data=data, out=folder)[0], whole)


def test_read_only_arrays_and_one_row_and_batch_above_rows():
    array = rows().numpy()
    array.flags.writeable = False
    assert len(fitted(data=array)[1]) == 4
    _, history = fitted(data=rows(1), batch_size=100)
    assert history["step"] == [1, 2, 3, 4]
    assert all(p.isfinite().all() for p in fitted(machine(), PersistentCD(), data=torch.ones(9, 6))[0].parameters())


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (torch.zeros(0, 6), ShapeError),
        (torch.zeros(5, 7), ShapeError),
        (torch.zeros(6), ShapeError),
        (torch.full((5, 6), 0.3), SupportError),
        (torch.full((5, 6), math.nan), SupportError),
        (torch.full((5, 6), math.inf), SupportError),
        (TensorDataset(torch.full((5, 6), 2.0)), SupportError),
        (TensorDataset(torch.zeros(5, 6), torch.zeros(5)), ArgumentError),
        (np.array([["a"] * 6]), ArgumentError),
        ("digits", ArgumentError),
        (7, ArgumentError),
    ],
)
def test_bad_data_are_typed_errors_before_anything_is_trained(data, error, tmp_path):
    model = mixture()
    with pytest.raises(error):
        fitted(model, data=data, out=tmp_path / "out")
    assert equal(model, mixture())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"epochs": 0}, ArgumentError),
        ({"batch_size": 0}, ArgumentError),
        ({"monitor": lambda m, x: 0.0}, ArgumentError),
        ({"callbacks": [EarlyStopping()]}, ArgumentError),
        ({"valid": torch.full((5, 6), 0.5)}, SupportError),
        ({"seed": -1}, ArgumentError),
    ],
)
def test_arguments_that_contradict_are_typed_errors(options, error):
    with pytest.raises(error):
        fitted(**options)


def test_a_schedule_of_another_optimizer_is_refused():
    model = mixture()
    one, other = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    with pytest.raises(ArgumentError, match="another optimizer"):
        fitted(model, optimizer=one, schedule=torch.optim.lr_scheduler.StepLR(other, 1))


def test_no_default_monitor_for_an_unnormalised_model():
    with pytest.raises(MissingCapability, match="pass monitor="):
        fitted(machine(), PersistentCD(), valid=rows())


# Schedules and monitors -----------------------------------------------------------------------------------------------


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


def test_monitor_is_the_log_likelihood_by_default_and_estimates_are_kept_whole():
    model, history = fitted(valid=rows(30))
    assert history[-1].monitor == pytest.approx(model.log_prob(rows(30)).detach().double().mean().item(), rel=1e-6)
    low = dg.evaluate.Estimate(-3.0, 0.5, "below", "low", n=9)
    high = dg.evaluate.Estimate(-2.0, 0.5, "above", "high", n=9)
    _, history = fitted(valid=rows(30), monitor=lambda m, x: dg.evaluate.Bracket(low, high))
    assert history["monitor"] == [-3.0] * 4
    assert history[0].estimate["above"]["value"] == -2.0
    _, history = fitted(valid=rows(30), monitor=lambda m, x: high)
    assert history[0].monitor == -2.0
    assert history[0].estimate["method"] == "high"


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
