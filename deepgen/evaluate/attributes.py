"""Attribute arithmetic in a latent space, and whether it does what it says: a classifier is asked.

    class vectors       v_c = < z | class c > - mean over classes of < z | class >      z + v_b - v_a: from a towards b
    attribute vectors   v_a = < z | with a > - < z | without a >                        z + v_a: with a

A classifier that has not seen the model looks at what stands at z + s v for strengths s. Its rate is of what it takes
for the attribute: one that errs on real rows errs here. Sources: Larsen, Sonderby, Larochelle & Winther 2016,
"Autoencoding beyond pixels"; White 2016, "Sampling generative networks", section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_real
from deepgen.evaluate.error_bars import error_of_share, plus_minus
from deepgen.explicit.units import require_tensor


def class_vectors(codes: Tensor, labels: Tensor) -> Tensor:
    """Where each class lies: its mean code less the mean over classes, ``[classes, latent]``.

    Args:
        codes: ``[rows, latent]``, such as ``model.encode(x)`` of training rows.
        labels: integers ``[rows]`` from 0 on, at least two classes, each of which some row has.

    Raises:
        ShapeError, ArgumentError, SupportError: no finite codes, or no such labels.

    >>> class_vectors(torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([0, 0, 1]))
    tensor([[-1.5000],
            [ 1.5000]])
    """
    _check(codes, labels, 1)
    if labels.is_floating_point() or labels.dtype == torch.bool or bool((labels < 0).any()):
        raise ArgumentError(f"labels must be integers from 0 on, got {labels.dtype} from {labels.min().item()}")
    if int(labels.max()) >= len(labels):
        raise ArgumentError(f"{len(labels)} rows with a label of {int(labels.max())}: number the classes without a gap")
    count = torch.bincount(labels)
    if bool((count == 0).any()):
        raise ArgumentError(f"no row has label {int((count == 0).nonzero()[0])}: number the classes without a gap")
    if len(count) < 2:
        raise ArgumentError("all rows have label 0: where a class lies is told against others, at least one")
    sums = codes.new_zeros(len(count), codes.shape[1]).index_add_(0, labels.long(), codes)
    means = sums / count.unsqueeze(1)
    return means - means.mean(0)


def attribute_vectors(codes: Tensor, attributes: Tensor) -> Tensor:
    """Mean code with an attribute less that without it, for each: ``[attributes, latent]``.

    Attributes that go together share their vectors: of one that always comes with another it cannot be told apart.

    Args:
        codes: ``[rows, latent]``.
        attributes: ``[rows, attributes]`` of 0 and 1, each with rows of both.

    Raises:
        ShapeError, ArgumentError, SupportError: no finite codes, or no such attributes.

    >>> attribute_vectors(torch.tensor([[0.0], [2.0], [4.0]]), torch.tensor([[0], [0], [1]]))
    tensor([[3.]])
    """
    _check(codes, attributes, 2)
    with_it = attributes.to(codes)
    if not bool(((with_it == 0) | (with_it == 1)).all()):
        raise ArgumentError("attributes must be 0 or 1")
    count = with_it.sum(0)
    if bool(((count == 0) | (count == len(codes))).any()):
        raise ArgumentError("each attribute needs rows that have it and rows that have not")
    yes = with_it.t() @ codes / count.unsqueeze(1)
    no = (1 - with_it).t() @ codes / (len(codes) - count).unsqueeze(1)
    return yes - no


def _check(codes: Tensor, labels: Tensor, axes: int) -> None:
    from deepgen.implicit.latent import check_codes

    check_codes(codes, "codes")
    require_tensor(labels, "labels" if axes == 1 else "attributes")
    if codes.ndim != 2 or labels.ndim != axes or len(labels) != len(codes) or len(codes) == 0:
        wanted = "labels [rows]" if axes == 1 else "attributes [rows, attributes]"
        raise ShapeError(f"give codes [rows, latent] and {wanted}, got {list(codes.shape)} and {list(labels.shape)}")


@dataclass(frozen=True)
class AttributeEffect:
    """What `attribute_effect` found.

    Attributes:
        strengths: s, ``[steps]``.
        rates: share of rows in which the classifier sees the attribute ``[steps]``.
        stderr: of each rate ``[steps]``, rows taken as independent; where all n rows agree 1 / (n + 1), as if one more
            did not.
        gain: the last rate less that at the first strength, of the same rows.
        gain_stderr: of it, in the same way.
        x: what was looked at ``[steps, rows, *event]``.

    >>> found = AttributeEffect(torch.tensor([0.0, 1.0]), torch.tensor([0.1, 0.8]), torch.zeros(2), 0.7, 0.05, None)
    >>> print(found)
    seen in 10% at strength 0, 80% at 1: gain 0.700 ± 0.050
    """

    strengths: Tensor
    rates: Tensor
    stderr: Tensor
    gain: float
    gain_stderr: float
    x: Any

    def __str__(self) -> str:
        each = (f"{float(r):.0%} at {float(s):g}" for s, r in zip(self.strengths[1:], self.rates[1:], strict=True))
        start = f"seen in {float(self.rates[0]):.0%} at strength {float(self.strengths[0]):g}"
        return f"{', '.join([start, *each])}: gain {plus_minus(self.gain, self.gain_stderr)}"


def attribute_effect(
    model: Any,
    codes: Tensor,
    vector: Tensor,
    seen: Callable[[Tensor], Tensor],
    strengths: Sequence[float] = (0.0, 0.5, 1.0, 1.5),
) -> AttributeEffect:
    """How often a classifier sees the attribute in what ``model`` puts at ``codes + s vector``.

    Args:
        model: see `deepgen.implicit.paths.at_places`.
        codes: at least two, ``[rows, latent]``, of rows that the vector was not made of.
        vector: ``[latent]``, or one for each code ``[rows, latent]``, as class ``b`` less the row's own class.
        seen: rows ``[n, *event]`` to booleans ``[n]``, such as ``lambda x: digit_features(8).classes(x) == 3``.
        strengths: s, the first the one to compare with.

    Raises:
        ShapeError, ArgumentError, SupportError: codes or a vector that are not finite or not of one width, fewer than
            two finite strengths, or a ``seen`` that gives no booleans.

    >>> import deepgen as dg
    >>> model = dg.implicit.Autoencoder(torch.nn.Identity(), torch.nn.Identity(), likelihood=dg.implicit.Gaussian())
    >>> codes = torch.tensor([[-0.8], [-0.2]])
    >>> print(attribute_effect(model, codes, torch.tensor([1.0]), lambda x: x[:, 0] > 0, (0, 0.5, 1)))
    seen in 0% at strength 0, 50% at 0.5, 100% at 1: gain 1.00 ± 0.33
    """
    from deepgen.implicit.latent import check_codes
    from deepgen.implicit.paths import at_places

    check_codes(codes, "codes")
    check_codes(vector, "vector")
    if codes.ndim != 2 or len(codes) < 2 or vector.shape not in (codes.shape, codes.shape[1:]):
        raise ShapeError(
            f"give codes [rows, latent] and a vector of that width, got {list(codes.shape)}, {list(vector.shape)}"
        )
    many = _plain(strengths)
    if len(many) < 2:
        raise ArgumentError(f"give at least two strengths, got {strengths!r}")
    for strength in many:
        check_real("each of strengths", strength)
    if not callable(seen):
        raise ArgumentError(f"seen must be a function from rows to booleans, got {type(seen).__name__}")
    s = torch.tensor([float(one) for one in many], dtype=codes.dtype, device=codes.device)
    x = at_places(model, codes + s.view(-1, 1, 1) * vector)
    told = [seen(rows) for rows in x]
    for one in told:
        require_tensor(one, "what seen gives")
    found = torch.stack(told)
    if found.shape != x.shape[:2]:
        raise ShapeError(f"seen must give one boolean a row, [{len(codes)}], got {list(found.shape[1:])}")
    if not bool(((found == 0) | (found == 1)).all()):
        raise ArgumentError(f"seen must give booleans, or 0 and 1, got values from {found.min()} to {found.max()}")
    found = found.double().cpu()
    rates, difference = found.mean(1), found[-1] - found[0]
    errors = torch.tensor([error_of_share(one) for one in found], dtype=torch.float64)
    return AttributeEffect(s.cpu(), rates, errors, float(difference.mean()), error_of_share(difference), x)


def _plain(strengths: Any) -> list[Any]:
    """Numbers out of tensors; nothing of what is no sequence."""
    if isinstance(strengths, str) or not isinstance(strengths, Iterable):
        return []
    return [one.item() if isinstance(one, Tensor) and one.numel() == 1 else one for one in strengths]
