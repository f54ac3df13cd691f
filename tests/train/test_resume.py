"""A run taken up again is the run that was never left, and no other run is taken for it."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import CheckpointError, MissingCapability
from deepgen.objectives import PersistentCD
from deepgen.train import Checkpoint, EarlyStopping
from tests.train.runs import MLE, equal, fitted, machine, mixture, rows


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
    assert same.to_dict() == history.to_dict()
    assert (history.new_steps, same.new_steps, dg.train.load_run(tmp_path).history.new_steps) == (20, 0, None)
    assert "already complete" in repr(same)
    assert "already complete" not in repr(history)


def test_the_bar_says_that_a_run_was_complete(tmp_path, capsys):
    fitted(out=tmp_path, progress=True)
    assert "already complete" not in capsys.readouterr().err
    _, history = fitted(out=tmp_path, progress=True)
    assert "already complete" in capsys.readouterr().err
    _, history = fitted(out=tmp_path, epochs=5)
    assert history.new_steps == 5


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
        ({"objective": PersistentCD(k=3)}, "objective k: 1 there, 3 here"),
        ({"objective": dg.objectives.MaximumLikelihood()}, "objective|has no LogProb"),
        ({"lr": 0.3}, "optimizer lr: 0.1 there, 0.3 here"),
        ({"schedule": quadratic}, "schedule: "),
        ({"schedule": None}, "schedule: "),
        ({"data": 1 - rows()}, "training rows: other values in 70 of "),
        ({"data": rows(71)}, "training rows: 70 of .* there, 71 of .* here"),
        ({"hidden": 5}, "model hidden width: 4 there, 5 here"),
        ({"callbacks": [EarlyStopping()]}, "callbacks: "),
        ({"epochs": 6}, "epochs: 4 there, 6 here, and the schedule is a function of the fraction of all steps"),
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


def test_a_run_goes_on_under_the_constraint_it_began_with(tmp_path):
    def run(projection, epochs=2, weights=None, **options):
        model = machine()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        if projection is not None:
            dg.layers.constrain(optimizer, model if weights is None else weights(model), projection, **options)
        return fitted(model, PersistentCD(centred=False), epochs=epochs, optimizer=optimizer, out=tmp_path)

    run(dg.layers.MaxNorm(0.5))
    others = [dg.layers.MaxNorm(0.4), dg.layers.NonNegative(), None, lambda weight, axis: weight.clamp_(max=1)]
    for other in others:
        with pytest.raises(CheckpointError, match="after each step"):
            run(other, epochs=3)
    run(dg.layers.MaxNorm(0.5), epochs=3)


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
