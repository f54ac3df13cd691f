"""One stream a chain: Random123's test vectors, kernels against tensors, the laws, and where a number comes from."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import deepgen as dg
from deepgen import stream_kernels, streams
from deepgen.errors import ArgumentError
from deepgen.philox import MASK, philox, unit, words
from deepgen.random import key, normal, uniform
from deepgen.streams import Streams
from deepgen.testing import ks, sequential
from deepgen.testing.waiting import MetaStreams

VECTORS = {  # kat_vectors of Random123, philox 4x32 10: counter, key, words
    "zeros": ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    "ones": ([MASK] * 4, [MASK] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    "pi": (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
}
DTYPES = [torch.float32, torch.float64]
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 31, 64]


class Count(TorchDispatchMode):
    """How many operations torch dispatches."""

    operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def tensors_only(monkeypatch):
    """A function that runs another without the compiled kernels."""

    def plain(function):
        with monkeypatch.context() as patch:
            patch.setattr(streams, "kernels", lambda name: None)
            return function()

    return plain


@pytest.mark.parametrize("name", VECTORS)
def test_philox_has_the_words_of_random123(name):
    counter, secret, known = VECTORS[name]
    assert list(philox(tuple(counter), tuple(secret))) == known
    assert [int(word) for word in philox(tuple(torch.tensor(c) for c in counter), tuple(secret))] == known
    compiled = stream_kernels._philox(*(np.uint32(c) for c in (*counter, *secret)))
    assert [int(word) for word in compiled] == known


def test_the_counter_is_block_chain_and_call():
    """The words of one chain, call and block are Philox of just these."""
    seed, call = 0x299F31D0A4093822, 0x0370734413198A2E
    made = words(seed, 0x85A308D3, 2, 3, call, 5, torch.device("cpu")).long() & MASK
    assert made.shape == (5, 2, 12)
    for later in range(5):
        for chain in range(2):
            for block in range(3):
                counter = (block, 0x85A308D3 + chain, 0x13198A2E + later, 0x03707344)
                found = made[later, chain, 4 * block : 4 * block + 4].tolist()
                assert found == list(philox(counter, (0xA4093822, 0x299F31D0)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_compiled_uniforms_are_those_of_tensors_to_the_last_bit(dtype, width, seed, tensors_only):
    options = {"first": 5, "calls": 2**33 + 7}
    made = Streams(2**63 + seed, **options).uniform((9, width), dtype)
    assert made.dtype == dtype
    assert torch.equal(made, tensors_only(lambda: Streams(2**63 + seed, **options).uniform((9, width), dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_compiled_normals_are_those_of_tensors_to_rounding(dtype, width, seed, tensors_only):
    made, plain = (
        Streams(seed).normal((400, width), dtype),
        tensors_only(lambda: Streams(seed).normal((400, width), dtype)),
    )
    assert made.shape == plain.shape == (400, width)
    assert torch.allclose(made, plain, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("width", [20, 200])
def test_compiled_normals_are_box_and_muller_in_double(width, seed):
    """Within 2e-6 of what exact functions make of the same uniforms, radius 5.9 included."""
    u = Streams(seed).uniform((2000, width)).double()
    radius, angle = (-2 * u[:, : width // 2].log()).sqrt(), 2 * math.pi * u[:, width // 2 :]
    exact = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)
    assert float((Streams(seed).normal((2000, width)).double() - exact).abs().max()) < 3e-6


@pytest.mark.parametrize("chains", [1, 64, 65, 200])
@pytest.mark.parametrize("width", [1, 2, 5, 7, 8, 25, 63])
def test_few_normals_a_chain_are_those_of_the_long_way_to_the_last_bit(width, chains, seed):
    kernels = pytest.importorskip("deepgen.stream_kernels")
    place = (2**32 - 250, 3, 1, seed, 9)  # of the first chain, the call and the key
    unit = torch.empty(chains, width + width % 2)
    kernels.fill_float(unit.numpy(), *place)
    long, short = torch.empty(chains, width), torch.empty(chains, width)
    kernels.to_normal(unit.numpy(), unit.view(torch.int32).numpy(), long.numpy())
    kernels.normal_narrow(short.numpy(), *place)
    assert torch.equal(long, short)


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniforms_are_the_middles_of_equal_intervals(dtype, seed):
    bits = 24 if dtype == torch.float32 else 53
    u = Streams(seed).uniform((100, 1000), dtype)
    assert float(u.min()) > 0
    assert float(u.max()) < 1
    scaled = u.double() * 2.0**bits
    if bits == 24:
        near = scaled - 0.5
        assert float((near - near.round()).abs().max()) <= 0.5  # float32 rounds the middles above one half
    made = words(seed, 0, 100, 250 if bits == 24 else 500, 0, 1, torch.device("cpu"))[0].long() & MASK
    whole = made >> 8 if bits == 24 else made[:, 0::2] >> 5 << 26 | made[:, 1::2] >> 6
    assert float((u.double() - (whole.double() + 0.5) * 2.0**-bits).abs().max()) <= 2.0 ** -(bits + 1)


def test_no_uniform_is_0_or_1():
    """Not even of the first and the last word, whose middles float32 and float64 round."""
    ends = torch.tensor([[0, 0, -1, -1]], dtype=torch.int32)
    single, double = unit(ends, False), unit(ends, True)
    assert single.tolist() == [[2.0**-25, 2.0**-25, 1 - 2.0**-24, 1 - 2.0**-24]]
    assert double.tolist() == [[2.0**-54, 1 - 2.0**-53]]
    assert stream_kernels._single.py_func(np.uint32(MASK)) == np.float32(1 - 2.0**-24)
    assert stream_kernels._double.py_func(np.uint32(MASK), np.uint32(MASK)) == 1 - 2.0**-53


@pytest.mark.parametrize("ahead", [0, 200, 2000])
def test_numbers_made_ahead_are_those_of_their_call(ahead, seed, tensors_only):
    """As on an accelerator, which makes those of later calls with the first, whatever is asked for."""

    def draws(source, rows):
        found = []
        for width in (3, 1, 10, 1, 3, 0, 7):
            found += [source.uniform((4, width)), source.normal((4, width)), source.uniform((4, width), torch.float64)]
            found.append(source.shared(2))
            with rows(source):
                found.append(source.uniform((12, width)))
            found[-1].zero_()  # what was drawn is the reader's own
            found[-1] = source.uniform((4, 2))
        return [*found, *(source.part(2).uniform((2, 5)), source.copy().uniform((4, 5)))]

    calls = 2**32 - 9  # the upper half of the counter changes on the way
    here = draws(Streams(seed, first=3, calls=calls), lambda s: s.rows(3))
    source = Streams(seed, first=3, calls=calls)
    source._ahead = ahead
    there = tensors_only(lambda: draws(source, lambda s: s.rows(3)))
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=3e-6)
    assert (len(source._waiting) > 0) == (ahead > 0)


def test_few_operations_make_many_draws_on_an_accelerator(seed):
    """The first of 37 makes the words of all for 1000 chains, and the others cut theirs out."""
    source, counts = MetaStreams(seed), []
    for _ in range(37):
        with Count() as count:
            source.uniform((1000, 25))
        counts.append(count.operations)
    assert counts[0] < 300  # two in three are views
    assert max(counts[1:]) <= 6


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_laws_are_uniform_and_normal(dtype, stream, alpha):
    law = torch.distributions.Normal(0.0, 1.0)

    def p_values(n, g):
        source = Streams(key(g))
        u, z = source.uniform((n // 4, 4), dtype).double(), source.normal((n // 5, 5), dtype).double()
        return [
            ks(u.flatten(), lambda x: x),
            ks((u[:, 0] + u[:, 1]) % 1, lambda x: x),  # neighbours in a chain
            ks((u[1:, 0] - u[:-1, 0]) % 1, lambda x: x),  # and between chains
            ks(z.flatten(), law.cdf),
            ks((z[:, 0] + z[:, 1]) / 2**0.5, law.cdf),
            ks((z[:, 0] - z[:, 3]) / 2**0.5, law.cdf),  # a cosine and a sine of other angles
            ks((z[:, 0].square() + z[:, 3].square()) / 2, lambda x: 1 - (-x).exp()),  # of one angle: its radius
        ]

    sequential(p_values, what=f"streams in {dtype}", n=20_000, alpha=alpha, generator=stream)


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_of_normals_up_to_the_fourth(dtype, seed):
    """Of a million: errors 1/sqrt n, sqrt(2/n), sqrt(15/n), sqrt(96/n); six of them are once in 5e8."""
    z = Streams(seed).normal((1000, 1000), dtype).double().flatten()
    for power, (mean, variance) in enumerate(((0, 1), (1, 2), (0, 15), (3, 96)), 1):
        assert abs(float((z**power).mean()) - mean) < 6 * math.sqrt(variance / len(z))


def test_chains_calls_and_seeds_are_uncorrelated(seed):
    """Correlations over 100,000 numbers, each of error 0.0032."""
    one, two = Streams(seed), Streams(seed, first=1)
    a, b = one.normal((1, 100_000)), one.normal((1, 100_000))
    c, d = two.normal((1, 100_000)), Streams(seed ^ 1).normal((1, 100_000))
    for other in (b, c, d):
        assert abs(float((a * other).mean())) < 6 / math.sqrt(100_000)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_a_chain_does_not_depend_on_those_beside(draw, dtype, seed):
    def numbers(source, chains):
        return torch.cat([getattr(source, draw)((chains, width), dtype) for width in (3, 1, 10)], 1)

    whole = numbers(Streams(seed), 12)
    assert torch.equal(whole[:5], numbers(Streams(seed), 5))
    assert torch.equal(whole[5:], numbers(Streams(seed, first=5), 7))
    assert torch.equal(whole[5:], numbers(Streams(seed).part(5), 7))
    assert torch.equal(whole[7:9], numbers(Streams(seed).part(5).part(2), 2))


@pytest.mark.parametrize("shape", [(4,), (4, 2, 3), (4, 0), (0, 3), (4, 1, 1)])
@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_shapes_are_kept_and_each_call_counts(draw, shape, seed, tensors_only):
    source = Streams(seed)
    assert getattr(source, draw)(shape).shape == shape
    assert source.calls == 1
    assert tensors_only(lambda: getattr(source, draw)(shape)).shape == shape
    assert source.calls == 2


def test_events_are_filled_row_by_row(seed):
    assert torch.equal(Streams(seed).uniform((3, 2, 5)), Streams(seed).uniform((3, 10)).view(3, 2, 5))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_drawn(dtype, seed):
    made = Streams(seed).normal((5, 6), dtype)
    assert made.dtype == dtype
    assert bool(made.isfinite().all())


def test_a_copy_goes_on_by_itself(seed):
    source = Streams(seed, first=3)
    source.uniform((2, 2))
    twin = source.copy()
    assert (twin.seed_key, twin.first, twin.calls) == (seed, 3, 1)
    ahead = twin.uniform((2, 2))
    assert (source.calls, twin.calls) == (1, 2)
    assert torch.equal(source.uniform((2, 2)), ahead)


@pytest.mark.parametrize("copied", [Streams.copy, copy.deepcopy])
def test_a_copy_has_the_common_stream_too(copied, seed):
    source = Streams(seed, first=3)
    torch.rand(5, generator=source)
    source.uniform((2, 2))
    twin = copied(source)
    assert type(twin) is Streams
    assert torch.equal(torch.rand(5, generator=twin), torch.rand(5, generator=source))
    assert torch.equal(twin.normal((2, 2)), source.normal((2, 2)))


def test_the_calls_are_where_a_stream_stands(seed):
    source = Streams(seed)
    for _ in range(3):
        source.normal((2, 5))
    assert torch.equal(source.uniform((2, 2)), Streams(seed, calls=3).uniform((2, 2)))


def test_the_common_number_is_shared_and_counts(seed):
    one, part = Streams(seed), Streams(seed).part(7)
    assert one.common() == part.common() == dg.random.common(Streams(seed))
    assert one.calls == part.calls == 1
    assert one.common() != part.uniform((1,)).item()
    numbers = torch.tensor([one.common() for _ in range(20_000)], dtype=torch.float64)
    assert abs(float(numbers.mean()) - 0.5) < 6 / math.sqrt(12 * 20_000)


def test_functions_that_draw_ask_the_streams(seed):
    assert torch.equal(uniform((3, 2), generator=Streams(seed)), Streams(seed).uniform((3, 2)))
    assert torch.equal(normal((3, 2), generator=Streams(seed)), Streams(seed).normal((3, 2)))
    source = Streams(seed)
    assert dg.random.streams(source) is source
    assert torch.equal(dg.random.streams(seed).uniform((2, 2)), dg.random.streams(seed).uniform((2, 2)))
    accepted = [
        dg.samplers.accept(torch.zeros(n) - 0.7, torch.ones(n), torch.zeros(n), generator=Streams(seed)) for n in (9, 4)
    ]
    assert torch.equal(accepted[0].value[:4], accepted[1].value)  # a Metropolis step asks each chain's own stream


def test_other_seeds_give_other_numbers(seed):
    everyone = [Streams(s).uniform((1, 4)) for s in (seed, seed + 1, seed + 2**32, seed + 2**63)]
    assert len({tuple(x.flatten().tolist()) for x in everyone}) == 4
    assert not torch.equal(torch.rand(4, generator=Streams(seed)), torch.rand(4, generator=Streams(seed + 1)))


def test_the_global_stream_is_left_alone(seed):
    before = torch.get_rng_state()
    Streams(seed).normal((4, 4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        *(({"seed": wrong}, "seed") for wrong in (-1, 2**64, 1.0, True)),
        *(({"first": wrong}, "first") for wrong in (-1, 2**32)),
        *(({"calls": wrong}, "calls") for wrong in (2**64, "0")),
    ],
)
def test_what_is_out_of_range_is_refused(wrong, name):
    with pytest.raises(ArgumentError, match=rf"{name} must be an integer in \[0, 2\*\*"):
        Streams(**{"seed": 0, **wrong})


def test_chains_beyond_the_last_stream_are_refused():
    last = Streams(0, first=MASK - 2)
    assert last.uniform((2, 1)).shape == (2, 1)
    with pytest.raises(ArgumentError, match="there are 2\\*\\*32 - 1 streams"):
        last.uniform((4, 1))
