"""Block Gibbs: its transition matrix, clamping, and what it refuses. Stationarity over all layers is in contracts/."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.explicit import Gaussian, Product, Softmax
from deepgen.samplers import BlockGibbs
from deepgen.testing import Exact, check_random, chi_square
from tests.machines import machine


def transition(rbm, beta):
    """T(v -> v') = sum_h p(h | v) p(v' | h) from the joint table: ``[states, states]``."""
    joint = Exact(rbm, beta).joint().probabilities.detach().reshape(rbm.visible.states, -1)
    return joint / joint.sum(1, keepdim=True) @ (joint / joint.sum(0)).T


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 2.0])
def test_one_step_has_the_transition_probabilities_of_the_joint(beta, stream, alpha):
    rbm, n = machine(), 4000
    expected, states = transition(rbm, beta), rbm.visible.enumerate(0, 8).float()
    for row, state in enumerate(states):
        kernel = rbm.gibbs(beta)
        position = kernel.step(kernel.init(state.repeat(n, 1)), generator=stream)[0].position
        counts = torch.bincount((position @ torch.tensor([1.0, 2.0, 4.0])).long(), minlength=8)
        assert chi_square(counts, expected[row]) > alpha


def test_detailed_balance_of_that_matrix():
    rbm = machine()
    flow = Exact(rbm).visible_law().probabilities.unsqueeze(1) * transition(rbm, 1.0)
    assert torch.allclose(flow, flow.T, atol=1e-14)


def test_info_holds_the_hidden_layer_that_was_drawn(stream):
    rbm = machine()
    with torch.no_grad():
        rbm.hidden_bias.copy_(torch.tensor([50.0, -50.0]))
    kernel = rbm.gibbs()
    _, info = kernel.step(kernel.init(torch.ones(6, 3)), generator=stream)
    assert info.hidden.tolist() == [[1.0, 0.0]] * 6
    assert not info.nan.any()


@pytest.mark.parametrize("place", ["weight", "visible_bias", "hidden_bias"])
def test_nan_is_counted_wherever_it_sits(place, stream):
    rbm = machine()
    with torch.no_grad():
        getattr(rbm, place).view(-1)[0] = torch.nan
    kernel = rbm.gibbs()
    assert kernel.step(kernel.init(torch.ones(4, 3)), generator=stream)[1].nan.all()


def test_nan_in_one_chain_is_of_one_chain(stream):
    kernel = machine(Gaussian(3)).gibbs()
    start = torch.zeros(4, 3)
    start[2, 1] = torch.nan
    assert kernel.step(kernel.init(start), generator=stream)[1].nan.tolist() == [False, False, True, False]


def test_infinite_fields_are_no_nan(stream):
    rbm = machine()
    with torch.no_grad():
        rbm.hidden_bias.copy_(torch.tensor([torch.inf, -torch.inf]))
    kernel = rbm.gibbs()
    assert not kernel.step(kernel.init(torch.ones(4, 3)), generator=stream)[1].nan.any()


@pytest.mark.parametrize("shape", ["one mask", "a mask per chain"])
def test_clamped_entries_stay_and_the_rest_follow_their_conditional_law(shape, stream, alpha):
    rbm, n = machine(4, 3), 20_000
    known = torch.tensor([1.0, 0.0, 0.0, 0.0])
    mask = torch.tensor([True, True, False, False])
    law = Exact(rbm).visible_law()
    fits = (law.rows[:, :2] == known[:2]).all(1)
    expected = law.probabilities * fits
    clamp = mask if shape == "one mask" else mask.expand(n, -1)
    kernel = rbm.gibbs(clamp=clamp)
    state = kernel.init(known.repeat(n, 1))
    state = dg.samplers.advance(kernel, state, 60, generator=stream)
    assert torch.equal(state.position[:, :2], known[:2].expand(n, -1))
    index = (state.position @ torch.tensor([1.0, 2.0, 4.0, 8.0])).long()
    assert chi_square(torch.bincount(index, minlength=16), expected) > alpha


def test_a_full_clamp_stands_still_and_an_empty_one_does_nothing(seed):
    rbm, start = machine(), torch.ones(50, 3)
    for mask, expected in ((torch.ones(3, dtype=torch.bool), start), (torch.zeros(3, dtype=torch.bool), None)):
        kernel = rbm.gibbs(clamp=mask)
        moved = kernel.step(kernel.init(start), generator=dg.random.generator(seed))[0].position
        if expected is None:
            expected = rbm.gibbs().step(kernel.init(start), generator=dg.random.generator(seed))[0].position
        assert torch.equal(moved, expected)


def test_steps_keep_the_contract_of_randomness(stream):
    kernel = machine(8, 3).gibbs()
    state = kernel.init(torch.zeros(5, 8))
    check_random(lambda generator: kernel.step(state, generator=generator), seeds=False, generator=stream)


@pytest.mark.parametrize("beta", [-0.1, float("nan"), float("inf")])
def test_odd_temperatures_are_refused(beta):
    with pytest.raises(ArgumentError, match="beta must be"):
        machine().gibbs(beta)


@pytest.mark.parametrize(
    "clamp",
    [torch.ones(3), torch.ones(4, dtype=torch.bool), torch.ones(1, 1, 3, dtype=torch.bool), torch.tensor(True)],
    ids=["not boolean", "wide", "three axes", "no axes"],
)
def test_odd_masks_are_refused(clamp):
    with pytest.raises(ShapeError, match="boolean mask"):
        machine().gibbs(clamp=clamp)


def test_masks_of_another_number_of_chains_are_refused():
    kernel = machine().gibbs(clamp=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match="2 rows"):
        kernel.init(torch.zeros(5, 3))


def test_masks_that_part_a_group_are_refused():
    rbm = machine(Product(1, Softmax(2, 3)), 2)
    whole = torch.tensor([False, True, True, True, False, False, False])
    assert BlockGibbs(rbm, clamp=whole).clamp is whole
    with pytest.raises(ArgumentError, match="masked together"):
        rbm.gibbs(clamp=torch.tensor([False, True, False, True, False, False, False]))


@pytest.mark.parametrize("position", [torch.zeros(3), torch.zeros(5, 4), torch.zeros(2, 5, 3)])
def test_odd_positions_are_refused(position):
    with pytest.raises(ShapeError, match="position must be"):
        machine().gibbs().init(position)


def test_positions_take_the_dtype_of_the_weights():
    assert machine().double().gibbs().init(torch.zeros(2, 3, dtype=torch.uint8)).position.dtype == torch.float64


def test_steps_from_a_tensor_and_starts_from_a_list_are_refused(stream):
    kernel = dg.RBM(4, 3, generator=0).gibbs()
    with pytest.raises(ShapeError, match=r"takes the GibbsState that init .* got Tensor: .*kernel\.init\(position\)"):
        kernel.step(torch.zeros(2, 4), generator=stream)
    with pytest.raises(ShapeError, match=r"position must be a tensor \[chains, 4\] .*, got list"):
        kernel.init([[0.0] * 4])
