"""Chains in blocks, over calls and at once, are the same chains."""

import pytest
import torch
from torch.distributions import Gamma, Independent, Laplace

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.random import streams
from deepgen.samplers import sample_chain
from deepgen.streams import Streams

ELEMENTWISE = {
    "random walk": dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, dg.samplers.RandomWalk(step_size=1.0)),
    "mala": dg.samplers.mala(lambda x: -x.square().sum(-1) / 2, 0.8),
    "hmc": dg.samplers.hmc(lambda x: -x.square().sum(-1) / 2, 0.5, leaps=3),
    "ula": dg.samplers.ula(lambda x: -x.square().sum(-1) / 2, 0.3),
}
COVARIANCE = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 4.0]])
START = torch.linspace(-1, 1, 33).reshape(11, 3)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_chains_split_over_two_calls_are_the_whole(name, seed):
    kernel = ELEMENTWISE[name]
    whole = sample_chain(kernel, START, draws=20, warmup=5, generator=Streams(seed))
    parts = [
        sample_chain(kernel, START[rows], draws=20, warmup=5, generator=Streams(seed, first=rows.start))
        for rows in (slice(0, 4), slice(4, 11))
    ]
    assert torch.equal(whole.draws, torch.cat([part.draws for part in parts], 1))
    for field in whole.info:
        assert torch.equal(whole.info[field], torch.cat([part.info[field] for part in parts], 1))


def test_a_target_that_multiplies_matrices_is_the_same_to_rounding(seed):
    law = torch.distributions.MultivariateNormal(torch.zeros(3), COVARIANCE)
    kernel = dg.samplers.mala(law, 0.3, covariance=COVARIANCE)
    whole = sample_chain(kernel, START, draws=30, generator=seed).draws
    blocks = sample_chain(kernel, START, draws=30, generator=seed, at_once=4).draws
    assert torch.allclose(whole, blocks, atol=1e-3)


def test_gibbs_chains_do_not_depend_on_those_beside(seed):
    kernel = dg.RBM(5, 3, generator=0).gibbs()
    whole = sample_chain(kernel, torch.zeros(10, 5), draws=20, generator=seed).draws
    assert torch.equal(whole, sample_chain(kernel, torch.zeros(10, 5), draws=20, generator=seed, at_once=3).draws)


@pytest.mark.parametrize("at_once", [1, 4, 10, 11, 100])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_blocks_at_once_are_the_whole(name, at_once, seed):
    kernel, options = ELEMENTWISE[name], {"draws": 12, "warmup": 3, "thin": 2}
    whole = sample_chain(kernel, START, generator=streams(seed), **options)
    blocks = sample_chain(kernel, START, generator=streams(seed), at_once=at_once, **options)
    assert torch.equal(whole.draws, blocks.draws)
    assert all(torch.equal(whole.info[field], blocks.info[field]) for field in whole.info)
    assert all(torch.equal(a, b) for a, b in zip(whole.state, blocks.state, strict=True))
    assert (whole.generator.calls, whole.generator.first) == (blocks.generator.calls, blocks.generator.first)
    on, other = (sample_chain(kernel, t.state, draws=3, generator=t.generator).draws for t in (whole, blocks))
    assert torch.equal(on, other)


COMMON = {  # laws that no kernel draws from a stream of each chain: one stream for the chains of a block
    "independence": dg.samplers.independence(
        lambda x: -x.square().sum(-1) / 2, Independent(Laplace(torch.zeros(3), torch.ones(3)), 1), ahead=3
    ),
    "gibbs": dg.samplers.gibbs([(slice(None), lambda x: Gamma(torch.full((len(x), 3), 2.0), 1.0))]),
}


@pytest.mark.parametrize("name", COMMON)
def test_blocks_that_draw_from_a_common_stream_have_each_their_own(name, seed):
    start, options = torch.zeros(12, 3), {"draws": 20, "generator": seed}
    draws = sample_chain(COMMON[name], start, at_once=4, **options).draws
    assert torch.equal(draws, sample_chain(COMMON[name], start, at_once=4, **options).draws)
    assert torch.equal(draws[:, :4], sample_chain(COMMON[name], start[:4], **options).draws)
    last = draws[-1, :, 0]
    assert len(last.unique()) == len(last)  # chains that began alike and drew alike would never part


def test_sums_of_blocks_are_those_of_the_whole(seed):
    kernel = ELEMENTWISE["mala"]
    whole, blocks = (
        sample_chain(kernel, START, draws=40, generator=seed, store=False, at_once=at_once) for at_once in (None, 4)
    )
    for name, column in whole.sums.columns().items():
        assert torch.allclose(column, blocks.sums.columns()[name], rtol=1e-9)
    assert all(torch.allclose(whole.sums.info[name], blocks.sums.info[name]) for name in whole.sums.info)


def test_the_first_block_tunes_for_all(seed):
    """Variances 1 and 100: the frozen kernel is the first block's, and all chains are at the target."""
    kernel = dg.samplers.mala(lambda x: -(x / torch.tensor([1.0, 10.0])).square().sum(-1) / 2)
    start, options = torch.zeros(300, 2), {"draws": 100, "warmup": 300}
    trace = sample_chain(kernel, start, generator=Streams(seed), at_once=100, **options)
    first = sample_chain(kernel, start[:100], generator=Streams(seed), **options)
    assert torch.equal(trace.kernel.proposal.scale, first.kernel.proposal.scale)
    assert torch.equal(trace.draws[:, :100], first.draws)
    sd = trace.draws[:, 100:].flatten(0, 1).std(0)
    assert torch.allclose(sd, torch.tensor([1.0, 10.0]), rtol=0.15)
    assert trace.exactness.kind == "exact"
    assert trace.generator.calls >= first.generator.calls


def test_blocks_need_a_row_for_each_chain():
    with pytest.raises(ArgumentError, match="with at_once keep must keep a row for each chain"):
        sample_chain(ELEMENTWISE["mala"], START, draws=3, at_once=4, keep=lambda s: s.position.mean(0))
    with pytest.raises(ArgumentError, match="at_once must be an integer of at least 1"):
        sample_chain(ELEMENTWISE["mala"], START, draws=3, at_once=0)


def test_blocks_after_a_ladder_was_tuned_warm_up_with_what_it_learnt(seed):
    kernel = dg.samplers.tempering(dg.samplers.mala(lambda x: -x.square().sum(-1) / 2), hottest=0.5)
    for start in (START, kernel.init(START)):
        trace = sample_chain(kernel, start, draws=3, warmup=60, generator=seed, at_once=4)
        assert trace.draws.shape == (3, 11, 3)
        assert trace.state.rung.shape == (11, len(trace.kernel.betas))
