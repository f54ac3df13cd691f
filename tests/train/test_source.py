"""Whatever holds the data, fit takes it, or says what is wrong before anything is trained."""

import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import deepgen as dg
from deepgen.data.batches import batches
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.objectives import PersistentCD
from deepgen.train import EarlyStopping
from deepgen.train.source import Source, check_rows, fingerprint
from tests.train.runs import equal, fitted, machine, mixture, rows


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


def test_a_float64_model_trains_on_the_numbers_of_a_float64_array():
    x = np.array([[0.1], [1e8 + 0.5], [3.0]])
    double, single = torch.nn.Linear(1, 1).double(), torch.nn.Linear(1, 1)
    assert torch.equal(Source(x, double, None, 0).data, torch.from_numpy(x))
    assert torch.equal(Source(x, single, None, 0).data, torch.from_numpy(x).float())
    assert fingerprint(x) == {**fingerprint(x.astype(np.float32)), "provenance": fingerprint(x)["provenance"]}
    seen = []
    monitored = {"valid": x, "monitor": lambda model, rows: seen.append(rows) or 0.0}
    model = dg.explicit.MAF(1, transforms=1, hidden=[4], generator=0).double()
    fitted(model, data=x, epochs=1, **monitored)
    assert torch.equal(seen[0], torch.from_numpy(x))


def test_datasets_and_loaders_of_tuples(tmp_path):
    for data in (TensorDataset(rows()), DataLoader(TensorDataset(rows()), batch_size=16, shuffle=True)):
        whole, history = fitted(data=data)
        assert history["step"] == [5, 10, 15, 20]
        folder = tmp_path / type(data).__name__
        fitted(data=data, epochs=2, out=folder)
        assert equal(fitted(data=data, out=folder)[0], whole)


def test_pairs_of_examples_and_contexts_train_a_conditional_model(stream):
    context = torch.randn(512, 1, generator=stream)
    x = 3 * context + 0.1 * torch.randn(512, 1, generator=stream)
    flow = dg.explicit.MAF(1, transforms=1, hidden=[16], context=1, generator=0)
    ascent = torch.optim.Adam(flow.parameters(), lr=0.05)
    dg.fit(flow, TensorDataset(x, context), dg.objectives.MaximumLikelihood(), epochs=20, optimizer=ascent, seed=0)
    with torch.no_grad():
        right, wrong = flow.log_prob(x, context).mean(), flow.log_prob(x, context.roll(1, 0)).mean()
    assert right > wrong + 1
    with pytest.raises(ArgumentError, match="takes a context"):
        dg.fit(flow, x, dg.objectives.MaximumLikelihood(), epochs=1)
    pairs = TensorDataset(x, context.expand(-1, 2))
    with pytest.raises(ShapeError, match="context must be"):
        dg.fit(flow, pairs, dg.objectives.MaximumLikelihood(), epochs=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    ("x", "narrow"),
    [
        (rows(), True),
        (torch.arange(256.0).repeat(9).reshape(-1, 6), True),
        (torch.arange(256).repeat(9).reshape(-1, 6).to(torch.uint8), True),
        (rows().bool(), True),
        (rows().double(), True),
        (torch.arange(257.0).repeat(6).reshape(-1, 6), False),
        (rows() - 1, False),
        (rows() / 2, False),
        (rows() * -0.0, False),
        (torch.cat([torch.zeros(5000, 6), torch.full((1, 6), 0.25)]), False),
    ],
)
def test_batches_gathered_as_bytes_are_the_same_to_the_bit(x, narrow, dtype):
    source = Source(x, torch.nn.Linear(6, 1).to(dtype), 16, seed=3)
    assert (source.data.dtype == torch.uint8) == narrow
    made = list(source.batches(2, start=1))
    expected = list(batches(x.to(dtype), 16, seed=3, epoch=2, start=1))
    for one, other in zip(made, expected, strict=True):
        assert one.dtype == dtype
        assert torch.equal(one, other)
        assert torch.equal(one.signbit(), other.signbit())
    assert torch.equal(source.rows(), x.to(dtype))
    if x.dtype == dtype:
        assert source.rows().data_ptr() == x.data_ptr()


def test_a_loader_keeps_its_batch_size_and_the_settings_tell_it():
    x = TensorDataset(rows())
    assert fitted(data=DataLoader(x, batch_size=7), batch_size=None)[1].settings["batch_size"] == 7
    assert fitted(data=DataLoader(x, batch_size=7), batch_size=7)[1].settings["batch_size"] == 7
    by_sampler = DataLoader(x, batch_sampler=[[0, 1], [2, 3, 4]])
    assert fitted(data=by_sampler, batch_size=None)[1].settings["batch_size"] is None
    assert fitted(batch_size=None)[1].settings["batch_size"] == 100
    for loader, told in ((DataLoader(x, batch_size=7), " of 7: leave"), (by_sampler, "own batches: leave")):
        with pytest.raises(ArgumentError, match=told):
            fitted(data=loader, batch_size=8)


@pytest.mark.parametrize("entry", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("model", [mixture, lambda: torch.nn.Linear(6, 1)])
def test_the_place_of_a_value_that_is_no_number_is_told(entry, model):
    x = rows(3000)
    x[2500, 3] = float(entry)
    with pytest.raises(SupportError, match=rf"data\[2500, 3\] is {entry}, one of 1 "):
        check_rows(model(), x)


def test_shapes_are_told_of_all_rows():
    with pytest.raises(ShapeError, match=r"\[3000, 5\]"):
        check_rows(mixture(), rows(3000, features=5))


def test_labels_are_neither_taken_nor_dropped_unasked():
    pairs = TensorDataset(rows(), torch.zeros(70))
    for data in (pairs, DataLoader(pairs, batch_size=16)):
        with pytest.raises(ArgumentError, match=r"takes one tensor: pass deepgen.data.Unlabelled\(dataset\)"):
            fitted(data=data)
    model, _ = fitted(data=dg.data.Unlabelled(pairs))
    assert equal(model, fitted(data=TensorDataset(rows()))[0])


def test_what_is_mistaken_for_rows_objective_or_model_is_named():
    data = dg.data.load("bars_and_stripes", size=2)
    for wrong, message in (
        ({"data": data}, "pass one of its splits, such as data.train"),
        ({"valid": data}, "pass one of its splits"),
        ({"data": "digits"}, r"deepgen.data.load\('digits'\).train"),
        ({"objective": PersistentCD}, r"pass an instance, PersistentCD\(\)"),
        ({"model": dg.RBM}, "got the class RBM itself"),
        ({"model": 3}, "got int"),
    ):
        with pytest.raises(ArgumentError, match=message):
            fitted(**wrong)


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
        (torch.tensor(1.0), ShapeError),
        ((torch.zeros(5, 6), torch.zeros(5)), ArgumentError),
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
        ({"seed": None}, ArgumentError),
        ({"seed": 2**64}, ArgumentError),
        ({"max_seconds": "9"}, ArgumentError),
        ({"max_seconds": math.nan}, ArgumentError),
        ({"valid": TensorDataset(torch.full((5, 6), 0.5))}, SupportError),
        ({"valid": TensorDataset(torch.zeros(5, 6), torch.zeros(5))}, ArgumentError),
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


def test_a_pair_of_tensors_is_told_of_the_tensor_dataset():
    pair = (torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(ArgumentError, match=r"torch\.utils\.data\.TensorDataset\(y, c\)"):
        dg.fit(dg.explicit.MAF(2, context=1, generator=0), pair, dg.objectives.MaximumLikelihood(), epochs=1)
