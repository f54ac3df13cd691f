"""A-NICE-MC's objective: it moves noise to the data, keeps velocities standard, and penalises what it says."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.objectives import AdversarialMixing
from deepgen.objectives.mixing import _slope
from deepgen.transforms import Shift


def walked(f, steps, stream):
    """Where noise is after ``steps`` of f forwards, and the velocities there."""
    x, v = torch.randn(2000, 1, generator=stream), None
    for _ in range(steps):
        x, v = f.encode(torch.cat([x, torch.randn(2000, 1, generator=stream)], 1))[0].chunk(2, 1)
    return x, v


def test_noise_goes_to_the_data(stream, seed):
    f = dg.samplers.velocity_couplings(1, Shift, hidden=[32], generator=seed)
    objective = AdversarialMixing(1, from_noise=4, critic=(32, 32), critic_steps=2, rate=2e-3, generator=seed)
    update = objective.update(f, objective.optimizer(f))
    with torch.no_grad():
        before = walked(f, 4, stream)[0].mean()
    state = objective.start(f, torch.zeros(1, 1), generator=stream)
    for _ in range(150):
        state, metrics = update(state, 3 + torch.randn(64, 1, generator=stream), generator=stream)
    with torch.no_grad():
        after, velocity = walked(f, 4, stream)
    assert abs(float(after.mean()) - 3) < abs(float(before) - 3) / 2
    assert 0.3 < float(velocity.square().mean()) < 3
    assert bool(metrics["critic"].isfinite())


def test_the_slope_penalty_of_a_plane(stream):
    def plane(x):
        return x @ torch.tensor([[3.0], [4.0]])  # its gradient has length 5 everywhere

    true, made = torch.randn(2, 10, 2, generator=stream)
    assert float(_slope(plane, true, made, stream)) == pytest.approx(16.0, rel=1e-5)


def test_same_seed_same_map_and_the_global_stream_rests():
    ends, before = [], torch.get_rng_state()
    for _ in range(2):
        f = dg.samplers.velocity_couplings(2, Shift, velocity=3, hidden=[8], generator=0)
        objective = AdversarialMixing(2, velocity=3, critic=(8,), generator=1)
        update, stream = objective.update(f, objective.optimizer(f)), dg.random.generator(2)
        state = objective.start(f, torch.zeros(1, 2), generator=stream)
        for _ in range(2):
            state, _metrics = update(state, torch.ones(9, 2), generator=stream)  # an odd number of rows
        ends.append(torch.cat([p.flatten() for p in f.parameters()]))
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_odd_arguments_are_refused():
    with pytest.raises(ArgumentError, match="features"):
        AdversarialMixing(0)


@pytest.mark.parametrize("shape", [(1, 2), (0, 2), (4, 3), (4,)])
def test_batches_without_a_pair_or_of_another_width_are_refused(shape):
    f = dg.samplers.velocity_couplings(2, Shift, hidden=[4], generator=0)
    objective = AdversarialMixing(2, critic=(4,), generator=0)
    update = objective.update(f, objective.optimizer(f))
    with pytest.raises(ShapeError, match="two rows or more"):
        update(objective.start(f, torch.zeros(shape), generator=None), torch.zeros(shape), generator=None)
