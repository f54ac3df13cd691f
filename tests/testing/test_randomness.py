"""check_random catches each way of breaking the contract."""

import random

import numpy as np
import pytest
import torch

from deepgen.random import generator as seeded
from deepgen.random import resolve
from deepgen.testing import CheckFailed, check_random, numbers


def test_honest_draws_pass(stream):
    check_random(lambda generator: torch.rand(4, generator=resolve(generator)), generator=stream)
    check_random(lambda generator: {"a": [torch.rand(4, generator=resolve(generator)).numpy()]}, generator=stream)
    check_random(lambda generator: torch.rand((), generator=generator).item(), seeds=False, generator=stream)


def global_torch(generator):
    return torch.rand(4) + torch.rand(4, generator=resolve(generator))


def global_numpy(generator):
    return np.random.rand(4) + torch.rand(4, generator=resolve(generator)).numpy()  # noqa: NPY002


def global_python(generator):
    return torch.rand(4, generator=resolve(generator)) + random.random()


def reseeds_global(generator):
    torch.manual_seed(0)
    return torch.rand(4, generator=resolve(generator))


def reads_global_and_restores(generator):
    state = torch.get_rng_state()
    value = torch.rand(4) + torch.rand(4, generator=resolve(generator))
    torch.set_rng_state(state)
    return value


def ignores_generator(generator):
    return torch.rand(4, generator=seeded(0))


def does_not_advance(generator):
    generator = resolve(generator)
    return torch.rand(4, generator=generator.clone_state())


def fixed_after_first(generator):
    resolve(generator).manual_seed(3)
    return torch.rand(4, generator=resolve(generator))


def seed_means_something_else(generator):
    return torch.rand(4, generator=seeded(generator + 1) if isinstance(generator, int) else generator)


calls = []


def remembers(generator):
    calls.append(1)
    return torch.rand(4, generator=resolve(generator)) + len(calls)


def nothing(generator):
    torch.rand(1, generator=resolve(generator))
    return "text"


@pytest.mark.parametrize(
    "draw",
    [
        global_torch,
        global_numpy,
        global_python,
        reseeds_global,
        reads_global_and_restores,
        ignores_generator,
        does_not_advance,
        fixed_after_first,
        seed_means_something_else,
        remembers,
        nothing,
    ],
)
def test_each_breach_is_caught(draw, stream):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with pytest.raises(CheckFailed):
        check_random(draw, generator=stream)
    torch.set_rng_state(before[0])


def test_the_check_itself_leaves_global_streams_alone(stream):
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    check_random(lambda generator: torch.rand(4, generator=resolve(generator)), generator=stream)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


def test_numbers_are_found_everywhere():
    found = list(numbers((1, {"a": np.ones(2)}, [torch.zeros(3)], torch.nn.Linear(1, 1), "no", None)))
    assert [x.shape for x in found] == [(), (2,), (3,), (1, 1), (1,)]
