"""Explicit randomness: seeds, children, and drawing from torch's distributions."""

import ast
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError
from deepgen.random import draw, generator, key, lend, resolve, spawn
from deepgen.streams import Streams
from deepgen.testing import check_random, ks, sequential

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("bits", [0, 31, 32, 33, 48, 63])
def test_every_bit_of_a_seed_counts(bits, seed):
    one, two = (torch.rand(8, generator=generator(s)) for s in (seed, seed ^ (1 << bits)))
    assert not torch.equal(one, two)
    assert torch.equal(one, torch.rand(8, generator=generator(seed)))


def test_short_seeds_are_torch_seeds(seed):
    assert torch.equal(
        torch.rand(8, generator=generator(seed)), torch.rand(8, generator=torch.Generator().manual_seed(seed))
    )


def test_no_seed_is_fresh():
    assert not torch.equal(torch.rand(8, generator=generator()), torch.rand(8, generator=generator()))


@pytest.mark.parametrize("wrong", [-1, 2**64, 1.5, "1", True, np.float64(1)])
def test_wrong_seeds_are_refused(wrong):
    with pytest.raises(ArgumentError, match="seed must be an integer"):
        generator(wrong)


def test_a_seed_may_be_numpys():
    assert torch.equal(torch.rand(3, generator=generator(np.int64(3))), torch.rand(3, generator=generator(3)))
    assert torch.equal(Streams(np.uint8(3)).uniform((2, 2)), Streams(3).uniform((2, 2)))


@pytest.mark.parametrize("wrong", [0, None])
def test_functions_that_draw_take_a_generator_and_no_seed(wrong):
    law, logits = torch.distributions.Normal(0.0, 1.0), torch.zeros(2, 2)
    for call in (
        lambda: draw(law, generator=wrong),
        lambda: dg.random.uniform((2,), generator=wrong),
        lambda: dg.random.normal((2,), generator=wrong),
        lambda: dg.random.categorical(logits, generator=wrong),
        lambda: dg.random.shared(2, generator=wrong),
        lambda: dg.random.sequential(wrong),
    ):
        with pytest.raises(ArgumentError, match=r"deepgen\.random\.generator\(seed\) makes one"):
            call()


def test_resolve_passes_generators_through(stream):
    assert resolve(stream) is stream
    assert torch.equal(torch.rand(3, generator=resolve(5)), torch.rand(3, generator=generator(5)))


def test_resolve_refuses_another_device(stream):
    with pytest.raises(ArgumentError, match="lives on cpu"):
        resolve(stream, "meta")


def test_children_differ_and_repeat(seed):
    parent = generator(seed)
    children = [torch.rand(4, generator=child) for child in spawn(parent, 50)]
    again = [torch.rand(4, generator=child) for child in spawn(generator(seed), 50)]
    later = [torch.rand(4, generator=child) for child in spawn(parent, 50)]
    assert all(torch.equal(a, b) for a, b in zip(children, again, strict=True))
    assert len({tuple(x.tolist()) for x in children + later}) == 100
    assert spawn(parent, 0) == []


def test_siblings_never_share_a_seed(seed):
    """70,000 independent 32-bit seeds would hold a pair with probability 0.43."""
    seeds = [child.initial_seed() for child in spawn(generator(seed), 70_000)]
    assert len(set(seeds)) == 70_000
    assert max(seeds) < 2**32


def test_children_are_independent(stream, alpha):
    def p_values(n, g):
        first = torch.stack([torch.rand(2, generator=child) for child in spawn(g, n)])
        columns = [first[:, 0], (first[:, 0] + first[:, 1]) % 1, (first[1:, 0] - first[:-1, 0]) % 1]
        return [ks(column, lambda x: x) for column in columns]

    sequential(p_values, what="first numbers of siblings", n=1000, alpha=alpha, generator=stream)


DISTRIBUTIONS = [
    torch.distributions.Gamma(torch.tensor([0.5, 2.0]), 1.0),
    torch.distributions.Normal(0.0, torch.ones(3)),
    torch.distributions.Categorical(logits=torch.zeros(50)),
    torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2)),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: type(d).__name__)
def test_draw_keeps_the_contract(distribution, stream):
    check_random(lambda generator: draw(distribution, (20,), generator=generator), seeds=False, generator=stream)


def test_draw_makes_the_numbers_torch_would(seed):
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    expected = torch.distributions.Gamma(2.0, 1.0).sample((7,))
    torch.set_rng_state(state)
    assert torch.equal(draw(torch.distributions.Gamma(2.0, 1.0), (7,), generator=generator(seed)), expected)


@pytest.mark.parametrize("law", [
    lambda d: torch.distributions.Normal(torch.zeros(2, device=d), 1.0, validate_args=False),
    lambda d: torch.distributions.Independent(
        torch.distributions.Gamma(torch.ones(2, device=d), 1.0, validate_args=False), 1, validate_args=False
    ),
    lambda d: torch.distributions.LogNormal(torch.zeros(2, device=d), 1.0, validate_args=False),
])  # fmt: skip
def test_draw_refuses_a_generator_of_another_device(law, seed):
    """The law would draw from its own device's global stream, which no seed reaches."""
    g = generator(seed)
    before = g.get_state()
    with pytest.raises(ArgumentError, match="the generator lives on cpu, the law's parameters on meta"):
        draw(law("meta"), (3,), generator=g)
    assert torch.equal(g.get_state(), before)
    assert draw(law("cpu"), (3,), generator=g).shape == (3, 2)


def test_draw_leaves_no_gradient(stream):
    mean = torch.zeros(2, requires_grad=True)
    assert not draw(torch.distributions.Normal(mean, 1.0), (3,), generator=stream).requires_grad


def test_a_failing_distribution_puts_the_stream_back(stream):
    class Broken(torch.distributions.Normal):
        def sample(self, sample_shape=()):
            super().sample(sample_shape)
            raise RuntimeError("broken")

    before, mine = torch.get_rng_state(), stream.get_state()
    with pytest.raises(RuntimeError, match="broken"):
        draw(Broken(0.0, 1.0), generator=stream)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(stream.get_state(), mine)


def test_lend_keeps_the_contract_and_nests(stream):
    def two(generator):
        with lend(generator):
            first = torch.rand(4)
            inside = draw(torch.distributions.Normal(0.0, 1.0), (4,), generator=dg.random.generator(0))
            return torch.stack([first, torch.rand(4)]), inside

    check_random(lambda generator: two(generator)[0], seeds=False, generator=stream)
    together, inside = two(generator(3))
    assert torch.equal(together, torch.rand(2, 4, generator=generator(3)))  # the draw in between took nothing of it
    assert torch.equal(inside, draw(torch.distributions.Normal(0.0, 1.0), (4,), generator=generator(0)))


def test_the_global_generator_itself_advances():
    state = torch.get_rng_state()
    one, two = (draw(torch.distributions.Normal(0.0, 1.0), (4,), generator=torch.default_generator) for _ in range(2))
    torch.set_rng_state(state)
    assert not torch.equal(one, two)


def test_threads_draw_what_they_would_alone(seed):
    distribution, found = torch.distributions.Gamma(2.0, 1.0), {}

    def work(index):
        g = generator(seed + index)
        found[index] = torch.cat([draw(distribution, (10,), generator=g) for _ in range(50)])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = dict(found)
    for index in range(4):
        work(index)
        assert torch.equal(found[index], together[index])


def test_keys_are_uniform_in_every_bit(seed, alpha):
    source, count = generator(seed), 4000
    drawn = [key(source) for _ in range(count)]
    assert all(0 <= k < 2**63 for k in drawn)
    ones = torch.tensor([sum(k >> bit & 1 for k in drawn) for bit in range(63)], dtype=torch.float64)
    z = (2 * ones - count) / count**0.5
    assert float(z.abs().max()) < torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(1 - alpha / 126).double())


def test_categorical_draws_have_their_probabilities(stream, alpha):
    logits = torch.tensor([[0.0, 1.0, -torch.inf, -2.0], [1e4, 1e4 - 1, -1e4, 1e4 - 40]])
    drawn = dg.random.categorical(logits, generator=stream, draws=50_000)
    for row, numbers in zip(logits, drawn, strict=True):
        counts = torch.bincount(numbers, minlength=4)
        assert dg.testing.chi_square(counts, row.double().softmax(-1)) > alpha
    single = dg.random.categorical(logits[:1].expand(50_000, 4), generator=stream)
    assert dg.testing.chi_square(torch.bincount(single, minlength=4), logits[0].double().softmax(-1)) > alpha


def test_categorical_draws_keep_chains_apart_and_survive_nan(seed):
    logits = torch.sin(torch.arange(90.0)).reshape(6, 5, 3)
    logits[2, 3, 1] = torch.nan
    whole = dg.random.categorical(logits, generator=Streams(seed))
    part = dg.random.categorical(logits[4:], generator=Streams(seed, first=4))
    assert torch.equal(whole[4:], part)
    assert whole.shape == (6, 5)
    assert int(whole.max()) <= 2


_ALLOWED = {"flows.py", "rbm.py", "sampler_peers.py", "samplers.py"}  # they run other packages
_DRAWS = {"manual_seed", "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}


@pytest.mark.parametrize(
    "path",
    [
        p
        for folder in ("benchmarks", "examples")
        for p in sorted((ROOT / folder).glob("*.py"))
        if p.name not in _ALLOWED
    ],
    ids=lambda path: path.name,
)
def test_programs_leave_the_global_stream_alone(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"torch.{name}" for name in _DRAWS}:
            handed = {keyword.arg for keyword in node.keywords}
            assert "generator" in handed, f"line {node.lineno}: {ast.unparse(node)} draws from torch's global stream"


@pytest.mark.parametrize("draw", [dg.random.uniform, dg.random.normal])
def test_one_number_is_drawn_where_there_are_no_axes(draw, seed):
    for dtype in (torch.float32, torch.float64):
        x = draw((), generator=dg.random.generator(seed), dtype=dtype)
        assert x.shape == ()
        assert x.dtype == dtype
        assert torch.equal(x, draw((1,), generator=dg.random.generator(seed), dtype=dtype)[0])
    assert draw(torch.Size([2, 3]), generator=dg.random.generator(seed)).shape == (2, 3)
    with pytest.raises(ShapeError, match=r"one a chain on the first axis, got \[\]"):
        draw((), generator=dg.random.Streams(seed))


def test_a_host_stream_is_the_callers_own():
    stream = dg.random.generator(3)
    assert dg.random.on_host(stream) is stream
    with pytest.raises(ArgumentError):
        dg.random.on_host(-1)


@pytest.mark.gpu
def test_streams_of_another_device_serve_on_the_host(seed):
    x = dg.random.normal((60, 2), generator=dg.random.generator(seed, "cuda"))
    for source in (lambda: seed, lambda: dg.random.generator(seed), lambda: dg.random.generator(seed, "cuda")):
        first, again = (
            dg.evaluate.mmd_test(real=x[:30], fake=x[30:], permutations=50, generator=source()) for _ in range(2)
        )
        assert first.p_value == again.p_value
    before = torch.cuda.get_rng_state()
    with dg.random.lend_everywhere(seed):
        one = torch.rand(3, device="cuda")
    with dg.random.lend_everywhere(seed):
        assert torch.equal(one, torch.rand(3, device="cuda"))
    assert torch.equal(before, torch.cuda.get_rng_state())
