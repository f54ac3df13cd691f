"""Gibbs from conditionals of the reader's own, against laws in closed form."""

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Gamma, Independent, Normal

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
from deepgen.random import Streams
from deepgen.samplers import Block, advance, gibbs
from deepgen.testing import CheckFailed, check_kernel, check_random
from tests.grids import draws_of, fit_of, ising, potts

PRECISION = torch.tensor([[2.0, 0.8, -0.3], [0.8, 1.5, 0.5], [-0.3, 0.5, 1.0]])
MEAN = torch.tensor([1.0, -2.0, 0.5])


def given_rest(i, beta=1.0, wrong=1.0):
    """x_i | the rest of the normal law N(MEAN, (beta PRECISION)^-1)."""

    def conditional(x, beta=beta):
        rest = wrong * ((x - MEAN) @ PRECISION[i] - PRECISION[i, i] * (x[:, i] - MEAN[i]))
        return Normal(MEAN[i] - rest / PRECISION[i, i], (beta * PRECISION[i, i]) ** -0.5)

    return conditional


def normal_draw(beta):
    root = torch.linalg.cholesky(torch.linalg.inv(beta * PRECISION))
    return lambda n, generator: MEAN + torch.randn(n, 3, generator=generator) @ root.T


def log_density(x):
    return -(((x - MEAN) @ PRECISION) * (x - MEAN)).sum(-1) / 2


def normal_kernel(**options):
    return gibbs([(i, given_rest(i)) for i in range(3)], **options)


@pytest.mark.parametrize("scan", ["systematic", "random"])
def test_normals(scan, stream, alpha):
    check_kernel(
        normal_kernel(scan=scan), normal_draw(1.0), steps=20, reversible=scan == "random", alpha=alpha, generator=stream
    )


def test_wrong_conditionals_are_caught(stream):
    kernel = gibbs([(0, given_rest(0)), (1, given_rest(1, wrong=0.5)), (2, given_rest(2))])
    with pytest.raises(CheckFailed):
        check_kernel(kernel, normal_draw(1.0), steps=20, n=16384, generator=stream)


def test_temperatures_reach_conditionals_that_ask(stream, alpha):
    check_kernel(normal_kernel().at(0.4), normal_draw(0.4), steps=20, alpha=alpha, generator=stream)
    kernel = normal_kernel(log_density=log_density)
    state = kernel.init(normal_draw(1.0)(5, stream))
    assert torch.allclose(kernel.log_ratio(state, 0.2, torch.ones(5)), 0.8 * log_density(state.position))
    with pytest.raises(MissingCapability, match="log_density="):
        normal_kernel().log_ratio(state, 0.2, 1.0)
    with pytest.raises(MissingCapability, match="block 1 has one temperature only"):
        gibbs([(0, given_rest(0)), (1, lambda x: Normal(x[:, 0], 1.0))]).at(0.5)


def grid_blocks(model):
    """The colours of a grid as blocks: masks over both axes of the event, by law and by sampler."""

    def by_law(x):
        field = model.local_field(x)[:, model.colours[0]]
        return Independent(Categorical(logits=field), 1) if model.trailing else Bernoulli(logits=field)

    def by_sampler(x, *, generator):
        return model.values_given(model.local_field(x), generator=generator)[:, model.colours[1]]

    return [(model.colours[0], by_law), Block(model.colours[1], by_sampler)]


@pytest.mark.parametrize("scan", ["systematic", "random"])
def test_masks_over_two_axes_laws_and_samplers(scan, stream, alpha):
    model = potts()
    kernel = gibbs(grid_blocks(model), scan=scan)
    check_kernel(
        kernel, draws_of(model), p_values=fit_of(model), reversible=scan == "random", alpha=alpha, generator=stream
    )


@pytest.mark.parametrize(
    ("where", "other"),
    [(slice(0, 2), slice(2, 4)), ([0, 1], [2, 3]), ((slice(0, 2),), torch.tensor([False, False, True, True]))],
)
def test_a_block_is_any_index(where, other, stream):
    kernel = gibbs([(where, lambda x: Normal(5.0 + 0 * x[:, :2], 0.01)), (other, lambda x: Normal(0 * x[:, :2], 0.01))])
    x = kernel.step(kernel.init(torch.zeros(3, 4)), generator=stream)[0].position
    assert torch.allclose(x.round(), torch.tensor([5.0, 5.0, 0.0, 0.0]).expand(3, 4))


def test_one_block_is_taken_at_random(stream):
    kernel = gibbs([(i, lambda x: Normal(x[:, 0] * 0 + 9, 0.01)) for i in range(4)], scan="random")
    counts = torch.zeros(4)
    for _ in range(400):
        moved = kernel.step(kernel.init(torch.zeros(2, 4)), generator=stream)[0].position != 0
        assert moved.sum(1).tolist() == [1, 1]
        counts += moved[0]
    assert dg.testing.chi_square(counts, torch.full((4,), 0.25)) > 1e-6


def test_streams_keep_chains_apart_and_runs_go_on(seed, stream):
    start = draws_of(potts())(6, generator=stream)
    kernel = gibbs(grid_blocks(potts()))
    whole = advance(kernel, kernel.init(start), 5, generator=Streams(seed)).position
    part = advance(kernel, kernel.init(start[4:]), 5, generator=Streams(seed, first=4)).position
    assert torch.equal(whole[4:], part)
    # a law without a sampler of its own here: reproducible, and from the streams' two integers alone
    kernel = gibbs([(0, lambda x: Gamma(2.0 + 0 * x[:, 1], 1.0)), (1, lambda x: Normal(x[:, 0], 1.0))])
    first = Streams(seed)
    middle = advance(kernel, kernel.init(torch.ones(4, 2)), 3, generator=first)
    again = Streams(seed, calls=first.calls)
    assert torch.equal(
        advance(kernel, middle, 3, generator=first).position, advance(kernel, middle, 3, generator=again).position
    )
    check_random(lambda generator: kernel.step(middle, generator=generator), seeds=False)


def test_a_law_drawn_by_torch_is_right(stream, alpha):
    """x1 ~ Gamma(2, rate x2), x2 ~ Gamma(3, rate 1 + x1) is the law x1 x2^2 e^(-x2 (1 + x1)): x2 ~ Exp(1) alone."""
    kernel = gibbs([(0, lambda x: Gamma(2.0, x[:, 1])), (1, lambda x: Gamma(3.0, 1 + x[:, 0]))])

    def draw(n, generator):
        x2 = torch.empty(n).exponential_(generator=generator).clamp_min(1e-6)
        x1 = dg.random.draw(Gamma(2.0, x2), generator=generator)
        return torch.stack([x1, x2], 1)

    check_kernel(kernel, draw, alpha=alpha, generator=stream)


def test_nan_is_counted(stream):
    kernel = gibbs([(0, lambda x, generator: torch.full((len(x),), torch.nan))])
    assert kernel.step(kernel.init(torch.zeros(3, 2)), generator=stream)[1].nan.all()


def test_what_is_refused(stream):
    with pytest.raises(ArgumentError, match="at least one block"):
        gibbs([])
    with pytest.raises(ArgumentError, match="scan must be"):
        gibbs([(0, given_rest(0))], scan="both")
    with pytest.raises(ArgumentError, match=r"block 0 must be a pair \(where, conditional\), got function"):
        gibbs([given_rest(0)])
    with pytest.raises(MissingCapability, match="conditional of block 0 must be a function, got Normal"):
        gibbs([(0, Normal(0.0, 1.0))])
    start = torch.zeros(5, 3)
    with pytest.raises(ShapeError, match=r"block 1 lies outside the event \[3\]"):
        gibbs([(0, given_rest(0)), (3, given_rest(1))]).init(start)
    with pytest.raises(ShapeError, match="position must be"):
        normal_kernel().init(torch.zeros(3))

    def step(conditional):
        kernel = gibbs([(0, conditional)])
        return kernel.step(kernel.init(start), generator=stream)

    with pytest.raises(ShapeError, match=r"block 0 must be over \[5\], got batch \[\] and event \[\]"):
        step(lambda x: Normal(0.0, 1.0))
    with pytest.raises(ShapeError, match=r"block 0 must give values \[5\], got \[5, 3\]"):
        step(lambda x, generator: x)
    with pytest.raises(
        MissingCapability, match="must give a torch Distribution, or take generator= and give values; got Tensor"
    ):
        step(lambda x: x[:, 0])


def test_colours_of_a_grid_agree_with_its_own_kernel(stream, alpha):
    model = ising((2, 3), periodic=False)

    def spins(colour):
        def conditional(x, *, generator):
            return model.values_given(model.local_field(x), generator=generator)[:, colour]

        return conditional

    kernel = gibbs([(colour, spins(colour)) for colour in model.colours])
    check_kernel(kernel, draws_of(model), p_values=fit_of(model), alpha=alpha, generator=stream)


def test_integers_are_not_drawn_from_real_laws(stream):
    def drawn(x, generator):
        return torch.rand(len(x), generator=generator)

    for conditional in (lambda x: Normal(0.5 * x[:, 1], 1.0), drawn):
        kernel = gibbs([(0, conditional)])
        with pytest.raises(SupportError, match=r"chains of torch.int64 would cut off: .*position.float\(\)"):
            kernel.step(kernel.init(torch.zeros(5, 2, dtype=torch.int64)), generator=stream)
    for law in (Bernoulli(torch.full((5,), 0.5)), Categorical(torch.ones(5, 3))):
        kernel = gibbs([(0, lambda x, law=law: law)])
        state, _ = kernel.step(kernel.init(torch.zeros(5, 2, dtype=torch.int64)), generator=stream)
        assert state.position.dtype == torch.int64
