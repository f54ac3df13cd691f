"""A-NICE-MC's objective: it moves noise to the data, keeps velocities standard, and penalises what it says."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.objectives import AdversarialMixing
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


def fitted(epochs, out=None, generator=None):
    f = dg.samplers.velocity_couplings(2, Shift, hidden=[8], generator=0)
    objective = AdversarialMixing(2, critic=(8,), critic_steps=2, rate=1e-2, generator=generator)
    x = torch.randn(60, 2, generator=dg.random.generator(1))
    dg.fit(f, x, objective, epochs=epochs, batch_size=20, out=out, progress=False)
    return torch.cat([p.detach().flatten() for p in f.parameters()])


@pytest.mark.parametrize("generator", [None, 5])
def test_a_run_taken_up_again_has_its_critic_and_the_seed_fixes_it(tmp_path, generator):
    whole = fitted(4, generator=generator)
    fitted(2, tmp_path, generator)
    assert torch.equal(fitted(4, tmp_path, generator), whole)
    assert torch.equal(fitted(4, generator=generator), whole)


def test_true_pairs_are_of_two_chains(monkeypatch, stream):
    seen, call = [], torch.nn.Sequential.forward

    def forward(self, x):
        seen.append(x)
        return call(self, x)

    f = dg.samplers.velocity_couplings(1, Shift, hidden=[4], generator=0)
    objective = AdversarialMixing(1, critic=(4,), critic_steps=20, generator=0)
    update, x = objective.update(f, objective.optimizer(f)), torch.arange(3.0).unsqueeze(1)
    state = objective.start(f, x, generator=stream)
    monkeypatch.setattr(torch.nn.Sequential, "forward", forward)
    update(state, x, generator=stream)
    true = [pairs for pairs in seen if pairs.shape == (3, 2)]
    assert len(true) >= 20
    assert all(bool((pairs[:, 0] != pairs[:, 1]).all()) for pairs in true)


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


@pytest.mark.parametrize(
    "options",
    [{"features": 0}, {"velocity": -1}, {"eta": float("nan")}, {"rate": -1.0}, {"noise": float("inf")},
     {"critic": (0,)}],
)  # fmt: skip
def test_odd_arguments_are_refused(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        AdversarialMixing(**{"features": 2, **options})


@pytest.mark.parametrize("shape", [(1, 2), (0, 2), (4, 3), (4,)])
def test_batches_without_a_pair_or_of_another_width_are_refused(shape):
    f = dg.samplers.velocity_couplings(2, Shift, hidden=[4], generator=0)
    objective = AdversarialMixing(2, critic=(4,), generator=0)
    update = objective.update(f, objective.optimizer(f))
    with pytest.raises(ShapeError, match="two rows or more"):
        update(objective.start(f, torch.zeros(shape), generator=None), torch.zeros(shape), generator=None)
