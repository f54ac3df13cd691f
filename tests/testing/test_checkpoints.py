"""check_checkpoint passes what survives, and catches what does not."""

import copy

import pytest
import torch

import deepgen as dg
from deepgen.testing import CheckFailed, check_checkpoint, demand_same_state


def test_machines_survive(stream):
    check_checkpoint(dg.RBM(5, 3, generator=stream))
    check_checkpoint(dg.RBM(dg.explicit.Gaussian(3, 2.0, learned=True), 3, generator=stream).double())


class Forgetful(dg.RBM):
    """Its deep copies share its weights."""

    def __deepcopy__(self, memo):
        return copy.copy(self)


class Changing(dg.RBM):
    """Its deep copies are a little larger."""

    def __deepcopy__(self, memo):
        other = dg.RBM(self.visible, self.hidden)
        with torch.no_grad():
            other.weight.copy_(self.weight * (1 + 1e-7))
        return other


def save_as_rbm(monkeypatch, change):
    """Let deepgen.load return what ``change`` makes of the model that was saved."""
    monkeypatch.setattr(dg, "save", lambda model, place: setattr(save_as_rbm, "kept", model))
    monkeypatch.setattr(dg, "load", lambda place: change(copy.deepcopy(save_as_rbm.kept)))
    monkeypatch.setattr(dg, "load_weights", lambda model, place: model.load_state_dict(save_as_rbm.kept.state_dict()))


def rounded(model):
    with torch.no_grad():
        model.weight.copy_(model.weight.bfloat16())
    return model


def wider(model):
    return dg.RBM(model.visible.width + 1, model.hidden.width)


@pytest.mark.parametrize(
    "change",
    [
        rounded,
        wider,
        lambda model: model.double(),
        lambda model: model.requires_grad_(False),
        lambda model: torch.nn.Linear(3, 2),
    ],
    ids=["rounded", "wider", "double", "frozen", "another class"],
)
def test_a_broken_round_trip_is_caught(change, monkeypatch, stream):
    model = dg.RBM(5, 3, generator=stream)
    save_as_rbm(monkeypatch, lambda m: m)
    check_checkpoint(model)
    save_as_rbm(monkeypatch, change)
    with pytest.raises(CheckFailed):
        check_checkpoint(model)


@pytest.mark.parametrize("kind", [Forgetful, Changing])
def test_bad_deep_copies_are_caught(kind, monkeypatch, stream):
    monkeypatch.setattr(dg, "save", lambda model, place: None)
    monkeypatch.setattr(dg, "load", lambda place: model)
    monkeypatch.setattr(dg, "load_weights", lambda model, place: None)
    model = kind(5, 3, generator=stream)
    with pytest.raises(CheckFailed):
        check_checkpoint(model)


def test_bits_are_compared_not_values():
    one, two = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    with torch.no_grad():
        for layer, value in ((one, torch.nan), (two, torch.nan)):
            layer.weight.fill_(value)
            layer.bias.zero_()
    demand_same_state(one, two, "NaN")
    with torch.no_grad():
        two.bias.fill_(-0.0)
    with pytest.raises(CheckFailed, match="bias"):
        demand_same_state(one, two, "signed zero")
