"""Whatever holds the data, fit takes it, or says what is wrong before anything is trained."""

import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.objectives import PersistentCD
from deepgen.train import EarlyStopping
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
