"""Couplings: what is kept, what is moved, and on what the moving depends."""

import pytest
import torch

from deepgen.errors import ArgumentError
from deepgen.testing import check_transform
from deepgen.transforms import Coupling, Scale, Shift
from tests.contracts.densities import trained

MASKS = {2: None, 3: None, 5: [True, True, False, False, True]}


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("univariate", [Shift, Scale])
@pytest.mark.parametrize("features", MASKS)
def test_contract(features, univariate, context, stream):
    coupling = Coupling(
        features, mask=MASKS[features], univariate=univariate(), hidden=[8, 8], context=context, generator=stream
    )
    x = torch.randn(8, features, generator=stream)
    given = torch.randn(8, context, generator=stream) if context else None
    for state in (coupling, trained(coupling, stream)):
        done = check_transform(state, x, given, generator=stream)
        assert done == ["jacobian", "round trip", "extremes", "gradients"]


def test_dependence_follows_the_mask(stream):
    mask = torch.tensor([False, True, True, False])
    coupling = trained(Coupling(4, mask=mask, hidden=[16, 16], residual=True, generator=stream), stream).double()
    x = torch.randn(1, 4, generator=stream, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: coupling.encode(x)[0], x)[0, :, 0]
    assert torch.equal(jacobian[~mask], torch.eye(4, dtype=torch.float64)[~mask])  # passed on as they are
    inner = jacobian[mask][:, mask]
    assert torch.equal(inner != 0, torch.eye(2).bool())  # each moved variable by a map of its own
    assert bool((jacobian[mask][:, ~mask] != 0).all())


def test_kept_variables_stay_bit_for_bit(stream):
    coupling = trained(Coupling(5, mask=MASKS[5], hidden=[8], generator=stream), stream)
    x = torch.randn(4, 5, generator=stream)
    for y in (coupling.encode(x)[0], coupling.decode(x)[0]):
        assert torch.equal(y[:, 2:4], x[:, 2:4])
        assert not torch.equal(y[:, :2], x[:, :2])


def test_a_new_coupling_is_close_to_the_identity(stream):
    x = torch.randn(200, 6, generator=stream)
    z, log_det = Coupling(6, generator=stream).encode(x)
    assert float((z - x).detach().abs().max()) < 0.2
    assert float(log_det.detach().abs().max()) < 0.2


@pytest.mark.parametrize("mask", [[True] * 3, [False] * 3, [True, False], [[True, False, True]]])
def test_masks_are_checked(mask):
    with pytest.raises(ArgumentError, match="some but not all"):
        Coupling(3, mask=mask)


def test_sizes_are_checked():
    with pytest.raises(ArgumentError, match="features"):
        Coupling(1)
    with pytest.raises(ArgumentError, match="hidden"):
        Coupling(2, hidden=[])
    with pytest.raises(ArgumentError, match="context"):
        Coupling(2, context=-1)


def test_arguments_rebuild(stream):
    coupling = Coupling(5, mask=MASKS[5], univariate=Shift(), hidden=[8, 8], residual=True, context=2, generator=stream)
    again = Coupling(**coupling.arguments())
    again.load_state_dict(coupling.state_dict())
    x, given = torch.randn(3, 5, generator=stream), torch.randn(3, 2, generator=stream)
    assert torch.equal(again.encode(x, given)[0], coupling.encode(x, given)[0])
