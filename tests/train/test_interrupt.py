"""Ctrl-C: the step in progress is finished and saved, the run can go on, the handler found is put back."""

import signal
import threading

import pytest
import torch

import deepgen as dg
from deepgen.objectives import PersistentCD
from deepgen.train import Interrupted

X = (torch.rand(50, 5, generator=dg.random.generator(2)) < 0.4).float()


class Pressed(PersistentCD):
    """Presses Ctrl-C within a step."""

    def update(self, model, optimizer):
        inner, calls = super().update(model, optimizer), iter(range(1000))

        def step(state, batch, *, generator):
            if next(calls) == 6:
                for _ in range(Pressed.times):
                    signal.raise_signal(signal.SIGINT)
            return inner(state, batch, generator=generator)

        return step


def fit(objective, **options):
    model = dg.explicit.RBM(visible=5, hidden=3, generator=1)
    options = {"epochs": 3, "batch_size": 10, "progress": False, **options}
    dg.fit(model, X, objective, **options)
    return model


@pytest.fixture(autouse=True)
def _handler_is_put_back():
    Pressed.__name__ = "PersistentCD"
    Pressed.times = 1
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def test_the_step_is_finished_and_saved_and_the_run_goes_on(tmp_path):
    with pytest.raises(Interrupted, match=r"after step 7, with 1 epoch done; saved in .*: repeat the same") as caught:
        fit(Pressed(), out=tmp_path)
    assert "\n" not in str(caught.value)
    whole, rest = fit(PersistentCD()), fit(PersistentCD(), out=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), rest.parameters(), strict=True))


def test_without_a_directory_it_says_that_nothing_was_saved():
    with pytest.raises(KeyboardInterrupt, match="nothing was saved"):
        fit(Pressed())


def test_the_second_one_stops_at_once(tmp_path):
    Pressed.times = 2
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(Pressed(), out=tmp_path)
    assert not isinstance(caught.value, Interrupted)
    assert dg.train.load_run(tmp_path).history["epoch"] == []  # the checkpoint of the start is whole


def test_in_the_last_epochs_callback_it_is_not_swallowed(tmp_path):
    with pytest.raises(Interrupted, match="with 1 epoch done"):
        fit(PersistentCD(), epochs=1, out=tmp_path, callbacks=[lambda r, m: signal.raise_signal(signal.SIGINT)])
    assert len(dg.train.load_run(tmp_path).history) == 1


def test_a_handler_of_the_users_own_is_put_back_and_an_ignored_signal_stays_ignored():
    def own(number, frame):
        raise AssertionError("fit has its own while it runs")

    before = signal.signal(signal.SIGINT, own)
    try:
        with pytest.raises(Interrupted):
            fit(Pressed())
        assert signal.getsignal(signal.SIGINT) is own
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        fit(Pressed())  # as under nohup
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_is_put_back_after_an_error_too():
    def broken(record, model):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(PersistentCD(), callbacks=[broken])  # the fixture looks at the handler


def test_in_another_thread_it_fits_without_a_handler():
    done = []
    worker = threading.Thread(target=lambda: done.append(fit(PersistentCD())))
    worker.start()
    worker.join()
    whole = fit(PersistentCD())
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), done[0].parameters(), strict=True))
