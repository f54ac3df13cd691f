"""A model gives the same answers however it is copied, stored, batched, and whichever way it draws."""

from __future__ import annotations

import copy
import inspect
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.testing.checkpoints import check_checkpoint
from deepgen.testing.failure import demand
from deepgen.testing.mass import values_of
from deepgen.testing.transforms import SCALES, scaled
from deepgen.testing.view import View, wide
from deepgen.train import rebuild
from deepgen.transforms.base import METHODS
from deepgen.typing import Rebuilt


def check_answers(view: View, x: Tensor, new: nn.Module) -> list[str]:
    """The part of `check_density` about sameness: of ``log_prob`` at rows ``x`` and of draws from one seed.

    ``new`` is a copy of the model that was asked nothing yet, so that it has kept nothing.
    """
    check_restored(view, x, new)
    _check_precision(view, x)
    done = ["restored", "float64"]
    if view.context is not None:
        check_context(view, x)
        done.append("context")
    if view.can_draw and "method" in inspect.signature(view.model.sample).parameters:
        _check_methods(view, x)
        done.append("methods")
    if isinstance(view.model, Rebuilt):
        done.append(check_loaded(view, x))
    return done


def demand_same(got: list[Tensor], expected: list[Tensor], message: str) -> None:
    """Raise `CheckFailed` unless the tensors agree to four digits, NaN with NaN."""
    for a, b in zip(got, expected, strict=True):
        demand(a.shape == b.shape and torch.allclose(a, b, 1e-4, 1e-4, equal_nan=True), message)


def check_restored(view: View, x: Tensor, new: nn.Module) -> None:
    """Answers follow the state: of a copy, of a changed one, of ``new`` with that state, of the old one put back."""
    expected, other = view.answers(x), copy.deepcopy(view)
    demand_same(other.answers(x), expected, f"a deep copy of {view.name} answers differently")
    moving = [value for value in other.model.state_dict().values() if value.is_floating_point()]
    with torch.no_grad():
        for value in moving:
            value.mul_(0.7).add_(0.1)
    moved, new = other.answers(x), copy.deepcopy(new)
    changed = any(not torch.equal(a, b) for a, b in zip(moved, expected, strict=True))
    demand(changed or not moving, f"{view.name} answers as before after all its parameters changed")
    new.load_state_dict(other.model.state_dict())
    stale = f"{view.name} keeps something from before its parameters changed: it answers differently from a new copy"
    demand_same(moved, type(view)(new, view.context).answers(x), stale)
    other.model.load_state_dict(view.model.state_dict())
    demand_same(
        other.answers(x), expected, f"{view.name} answers differently after its weights were loaded over others"
    )


def check_loaded(view: View, x: Tensor) -> str:
    """What is saved and loaded answers alike; says ``no save`` of a model with parts that deepgen does not export."""
    from deepgen import load, save

    try:
        rebuild.encode(view.model)
    except MissingCapability:  # a part that deepgen does not export
        return "no save"
    check_checkpoint(view.model)
    with tempfile.TemporaryDirectory() as folder:
        save(view.model, Path(folder) / "model")
        again = type(view)(load(Path(folder) / "model").eval(), view.context)
        demand_same(again.answers(x), view.answers(x), f"{view.name} answers differently when saved and loaded")
    return "Rebuilt"


def _check_precision(view: View, x: Tensor) -> None:
    exact = copy.deepcopy(view).double()
    real = values_of(view.model.support) is None
    for got in exact.answers(wide(x)):
        demand(
            got.dtype == torch.float64 or (got.ndim > 1 and not real), f"{view.name}.double() answers in {got.dtype}"
        )
    if view.can_score:
        near = torch.allclose(view.answers(x)[0].double(), exact.answers(wide(x))[0], 1e-3, 1e-3)
        demand(near, f"{view.name}.log_prob differs in float64")
    for scale in SCALES:
        for got, far in zip(scaled(view, scale).answers(x), scaled(exact, scale).answers(wide(x)), strict=True):
            fits = bool((far.abs() < torch.finfo(torch.float32).max ** 0.8).all())  # beyond it overflow is no fault
            what = f"{view.name} with parameters times {scale:g} gives NaN"
            demand(not fits or not bool(got.isnan().any()), what)


def check_context(view: View, x: Tensor) -> None:
    """A row of the context decides about its own row, and about no other."""
    assert view.context is not None  # for mypy; the caller has looked
    demand(view.rows > 1 and not torch.equal(*view.context[:2]), "context needs two different rows at least")
    changed = view.context.clone()
    changed[0] = view.context[1]
    before, after = view.answers(x), type(view)(view.model, changed).answers(x)
    demand_same([a[1:] for a in after], [b[1:] for b in before], f"the context of one row moves others of {view.name}")
    one, other = (copy.deepcopy(each).double().answers(wide(x)) for each in (view, type(view)(view.model, changed)))
    moved = any(not torch.equal(a[0], b[0]) for a, b in zip(one, other, strict=True))  # float32 may round it away
    demand(moved, f"{view.name} does not depend on its context")


@torch.no_grad()
def _check_methods(view: View, x: Tensor) -> None:
    exact, expected = copy.deepcopy(view).double(), None
    for method in METHODS:
        try:
            drawn = exact.sample(len(x), method=method, generator=0)
        except MissingCapability:
            continue
        expected = drawn if expected is None else expected
        same = torch.allclose(drawn.double(), expected.double(), 1e-6, 1e-6)  # exactly, where the values are discrete
        demand(same, f"{view.name}.sample by {method!r} gives other draws than by 'auto' from the same noise")
