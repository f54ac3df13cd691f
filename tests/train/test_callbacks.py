"""Progress, early stopping, TensorBoard, and how often checkpoints are due."""

import builtins
import sys

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability
from deepgen.train import Checkpoint, EarlyStopping, Record, TensorBoard

X = (torch.rand(40, 5, generator=dg.random.generator(2)) < 0.4).float()


def run(values, *callbacks, epochs=None, **options):
    """A fit whose monitor gives ``values`` in turn, and whose weights are those of the epoch: logits = its number."""
    model = dg.explicit.BernoulliMixture(5)
    left = iter(values)

    def monitor(model, x):
        with torch.no_grad():
            model.logits.fill_(monitor.epoch)
        monitor.epoch += 1
        return next(left)

    monitor.epoch = options.pop("first", 1)
    options = {"progress": False, **options}
    history = dg.fit(
        model,
        X,
        dg.objectives.MaximumLikelihood(),
        epochs=epochs or len(values),
        valid=X,
        monitor=monitor,
        callbacks=callbacks,
        **options,
    )
    return model, history


def test_early_stopping_ends_the_run_and_restores_the_best_weights():
    model, history = run([1.0, 3.0, 2.0, 2.5, 9.0], EarlyStopping(patience=2))
    assert history["epoch"] == [1, 2, 3, 4]
    assert history.stopped == "early stopping"
    assert model.logits.unique().tolist() == [2.0]


def test_early_stopping_restores_the_best_weights_at_the_last_epoch_too():
    model, history = run([1.0, 3.0, 2.0], EarlyStopping(patience=9))
    assert history.stopped is None
    assert model.logits.unique().tolist() == [2.0]


def test_a_margin_makes_small_gains_none():
    _, history = run([1.0, 1.05, 1.08, 1.2], EarlyStopping(patience=2, margin=0.1))
    assert len(history) == 3


def test_of_epochs_within_the_errors_of_the_best_the_last_is_kept(tmp_path):
    def epoch(number, value, error):
        found = dg.evaluate.Estimate(value, error, "above", "AIS", 100).to_dict()
        return Record(number, 10 * number, 0.0, 0.0, {}, monitor=value, estimate=found)

    looks = [epoch(1, -3.0, 0.5), epoch(2, -2.0, 0.1), epoch(3, -2.15, 9.0), epoch(4, -2.19, 0.1), epoch(5, -2.21, 9.0)]
    for within, kept in ((0.0, 2), (1.0, 2), (2.0, 4)):
        stopping, model = EarlyStopping(within=within), torch.nn.Linear(1, 1)
        for look in looks:
            with torch.no_grad():
                model.weight.fill_(look.epoch)
            again = EarlyStopping(within=within)
            again.load_state_dict(stopping.state_dict())
            (stopping := again)(look, model)
        stopping.finish(model)
        assert (stopping.best, stopping.best_epoch, stopping.waited) == (-2.0, kept, 3)
        assert float(model.weight.detach()) == kept


def test_nan_is_never_the_best():
    model, history = run([1.0, float("nan"), float("nan"), 5.0], EarlyStopping(patience=2))
    assert len(history) == 3
    assert model.logits.unique().tolist() == [1.0]


def test_more_patience_goes_on_from_the_live_weights_not_the_best(tmp_path):
    run([3.0, 2.0, 1.0], EarlyStopping(patience=2), epochs=5, out=tmp_path)
    assert dg.load(tmp_path).logits.unique().tolist() == [1.0]
    seen = []
    model, history = run(
        [2.5, 4.0],
        EarlyStopping(patience=4),
        lambda record, model: seen.append(record.epoch),
        epochs=5,
        out=tmp_path,
        first=4,
    )
    assert seen == [4, 5]
    assert history["monitor"] == [3.0, 2.0, 1.0, 2.5, 4.0]
    assert model.logits.unique().tolist() == [5.0]


def test_weights_after_the_end_do_not_touch_the_kept_ones():
    stopping = EarlyStopping(patience=1)
    model, _ = run([1.0, 0.0], stopping)
    with torch.no_grad():
        model.logits.zero_()
    stopping.finish(model)
    assert model.logits.unique().tolist() == [1.0]


def test_early_stopping_of_another_run_is_refused(tmp_path):
    ended, begun = EarlyStopping(patience=1), EarlyStopping(patience=9)
    run([1.0, 0.0], ended)
    for stopping, message in ((ended, "has ended another run"), (begun, "has followed another model")):
        if stopping is begun:
            run([1.0, 0.0], begun)
        with pytest.raises(ArgumentError, match=message):
            run([1.0, 2.0], stopping)
    run([1.0, 2.0], EarlyStopping(patience=9), out=tmp_path)
    ended.patience = 9
    _, history = run([3.0], ended, epochs=3, out=tmp_path)  # whose state is the run's from here on
    assert len(history) == 3
    assert ended.best == 3.0


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 0},
        {"patience": 2.5},
        {"patience": "3"},
        {"margin": -1.0},
        {"within": -1.0},
        {"margin": float("nan")},
        {"within": "1"},
    ],
)
def test_early_stopping_arguments(options):
    with pytest.raises(ArgumentError):
        EarlyStopping(**options)


def test_plain_functions_are_callbacks():
    seen = []
    run([1.0, 2.0], lambda record, model: seen.append((record.epoch, record.monitor, type(model).__name__)))
    assert seen == [(1, 1.0, "BernoulliMixture"), (2, 2.0, "BernoulliMixture")]


def test_progress_shows_steps_left_and_the_last_figures(capfd):
    run([1.0, 2.0], progress=True, batch_size=10)
    error = capfd.readouterr().err
    assert "8/8" in error
    assert "monitor=2" in error
    assert "log_likelihood=-" in error
    run([1.0, 2.0], progress=False)
    assert capfd.readouterr().err == ""


def test_tensorboard_has_every_figure(tmp_path):
    run([1.0, 2.0], TensorBoard(tmp_path / "logs"), batch_size=10)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"log_likelihood", "monitor"}
    assert [(e.step, e.value) for e in events.Scalars("monitor")] == [(4, 1.0), (8, 2.0)]


def test_tensorboard_purges_what_a_lost_part_of_the_run_wrote(tmp_path):
    run([1.0, 2.0, 3.0], TensorBoard(tmp_path), batch_size=10)
    board = TensorBoard(tmp_path)
    board(Record(2, 8, 0.0, 0.0, {}, monitor=7.0), nn.Linear(1, 1))  # taken up again after epoch 1
    board.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("monitor")] == [(4, 1.0), (8, 7.0)]


def test_without_tensorboard_the_error_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingCapability, match=r"pip install 'deepgen\[tensorboard\]'"):
        TensorBoard(tmp_path)(Record(1, 1, 0.0, 0.0, {}), nn.Linear(1, 1))


def test_checkpoints_are_due_by_steps_or_by_seconds(monkeypatch):
    now = 100.0
    monkeypatch.setattr("deepgen.train.callbacks.time.monotonic", lambda: now)
    assert [step for step in range(1, 10) if Checkpoint(steps=3).due(step)] == [3, 6, 9]
    keeper = Checkpoint(seconds=10.0)
    due = []
    for step in range(1, 30):
        now += 1.0
        if keeper.due(step):
            due.append(step)
    assert due == [10, 20]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"steps": 0},
        {"steps": 2.5},
        {"seconds": -1.0},
        {"seconds": float("nan")},
        {"seconds": "9"},
        {"steps": 3, "seconds": 1.0},
    ],
)
def test_checkpoint_arguments(options):
    with pytest.raises(ArgumentError):
        Checkpoint(**options)
