"""Chains and inverses: order, log-determinants, methods, costs, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from deepgen.errors import ArgumentError, ShapeError, UnknownName
from deepgen.testing import check_transform
from deepgen.transforms import (
    ActNorm,
    Affine,
    Autoregressive,
    Chain,
    ContextAffine,
    Coupling,
    Inverse,
    LULinear,
    Permutation,
    Planar,
    Radial,
    Transform,
)
from deepgen.transforms.base import METHODS, cost, solve
from tests.contracts.densities import trained


def parts(stream):
    return [
        Affine(3, shift=1.0, log_scale=0.5),
        trained(Coupling(3, hidden=[8], generator=stream), stream),
        trained(Autoregressive(3, hidden=[8], generator=stream), stream),
    ]


def test_a_chain_encodes_in_order_and_decodes_in_reverse(stream):
    x, many = torch.randn(5, 3, generator=stream), parts(stream)
    z, total = x, torch.zeros(5)
    for part in many:
        z, log_det = part.encode(z)
        total = total + log_det
    chain = Chain(many)
    torch.testing.assert_close(chain.encode(x), (z, total))
    back, log_det = chain.decode(z)
    torch.testing.assert_close(back, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(log_det, -total, atol=1e-5, rtol=1e-5)


def test_an_inverse_exchanges_the_directions(stream):
    x, (_, coupling, _) = torch.randn(5, 3, generator=stream), parts(stream)
    torch.testing.assert_close(Inverse(coupling).encode(x), coupling.decode(x))
    torch.testing.assert_close(Inverse(coupling).decode(x), coupling.encode(x))
    torch.testing.assert_close(Inverse(Inverse(coupling)).encode(x), coupling.encode(x))


def test_nested_chains_and_inverses_keep_the_contract(stream):
    many = parts(stream)
    nested = Chain([Inverse(Chain(many[:2])), Chain([]), Inverse(many[2])])
    check_transform(nested, torch.randn(8, 3, generator=stream), generator=stream)


def test_an_empty_chain_is_the_identity():
    x = torch.randn(4, 2, dtype=torch.float64)
    z, log_det = Chain([]).encode(x)
    assert torch.equal(z, x)
    assert torch.equal(log_det, torch.zeros(4, dtype=torch.float64))


def test_sweeps_of_every_part_are_told(stream):
    z = torch.randn(4, 3, generator=stream)
    chain = Chain([*parts(stream), Inverse(parts(stream)[2])])
    for method in METHODS:
        x, log_det, sweeps = chain.solve(z, towards="decode", method=method)
        assert x.shape == (4, 3)
        assert log_det.shape == (4,)
        swept = method in ("auto", "jacobi", "sequential")  # auto: few rows
        assert [s is not None for s in sweeps] == [False, swept, False, False]  # of the last part first
        assert all(s is None or 1 <= s <= 3 for s in sweeps)
    assert chain.solve(z, towards="encode", method="sequential").sweeps == (None, None, None, 3)


def test_unknown_methods_are_refused_everywhere(stream):
    for transform in (Affine(3), Chain(parts(stream)), Inverse(Affine(3))):
        with pytest.raises(UnknownName, match="did you mean 'jacobi'"):
            solve(transform, torch.zeros(2, 3), None, towards="decode", method="jacoby")
    with pytest.raises(UnknownName):
        Chain(parts(stream)).decode(torch.zeros(2, 3), method="fast")


def test_a_chain_takes_transforms_only():
    with pytest.raises(ArgumentError, match="Linear"):
        Chain([nn.Linear(2, 2)])
    assert isinstance(Affine(2), Transform)
    assert isinstance(Chain([]), Transform)
    assert not isinstance(nn.Linear(2, 2), Transform)


def test_costs_are_counted_and_turned_round(stream):
    many = parts(stream)
    assert cost(Affine(3)) == ("closed form", "closed form")
    assert Chain([many[1], many[1]]).cost == ("2 x 1 network pass", "2 x 1 network pass")
    way = Chain(many).cost
    assert way.encode == "closed form + 2 x 1 network pass"
    assert "walk through 3 variables" in way.decode
    assert Inverse(Chain(many)).cost == way[::-1]


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize(
    "transform",
    [
        Permutation([2, 0, 1]),
        Coupling(3, generator=0),
        Affine(3),
        ActNorm(3),
        ContextAffine(3),
        LULinear(3),
        Planar(3, generator=0),
        Radial(3, generator=0),
        Autoregressive(3, generator=0),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_rows_of_another_width_are_refused(transform, width):
    context = torch.zeros(2, 6) if isinstance(transform, ContextAffine) else None
    for towards in ("encode",) if isinstance(transform, Planar) else ("encode", "decode"):
        with pytest.raises(ShapeError):
            getattr(transform, towards)(torch.ones(2, width), context)
    assert not getattr(transform, "initialised", False)


def test_names_are_checked_by_parts_too():
    for part in (Autoregressive(3, generator=0), Inverse(Affine(3)), Chain([])):
        with pytest.raises(UnknownName, match="jacobi"):
            part.decode(torch.zeros(2, 3), method="jacoby")
        with pytest.raises(UnknownName, match="decode"):
            part.solve(torch.zeros(2, 3), towards="decod")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Chain([5]),
        lambda: Inverse(nn.Linear(2, 2)),
        lambda: Permutation(-1),
        lambda: Permutation(2.5),
        lambda: Permutation([1.0, 0.0]),
        lambda: Permutation([True, False]),
        lambda: Affine(2.5),
        lambda: Affine((2, 0)),
    ],
)
def test_what_makes_no_transform_is_refused(make):
    with pytest.raises(ArgumentError):
        make()


def test_numbers_of_numpy_are_taken():
    assert len(Permutation(np.int64(5), generator=0).order) == 5
    assert Permutation(np.array([1, 0])).order.tolist() == [1, 0]
    assert Affine(np.int64(3)).arguments() == {"features": 3}
