"""What all token models promise: the mass of all sequences, causality, and draws that follow it whichever way."""

import itertools

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, DegenerateWeights, ShapeError, SupportError, UnknownName
from deepgen.explicit.completion import quantile
from deepgen.explicit.token_steps import TokenSteps, pick
from deepgen.testing import check_checkpoint, check_density, check_random, chi_square, sequential
from tests.explicit.token_models import MODELS, everything, lively

models = pytest.mark.parametrize("name", MODELS)


@models
@pytest.mark.parametrize(("vocabulary", "length"), [(3, 5), (2, 8), (5, 1)])
def test_all_sequences_have_mass_one(name, vocabulary, length, stream):
    model = lively(name, stream, vocabulary, length)
    x = everything(vocabulary, length)
    assert model.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-10)
    for shorter in range(1, length):  # and those of every shorter length, which are its margins
        beginnings = everything(vocabulary, shorter)
        log_p = model.log_prob(beginnings).exp()
        assert log_p.sum().item() == pytest.approx(1, abs=1e-10)
        sums = model.log_prob(x).exp().view(len(beginnings), -1).sum(1)
        torch.testing.assert_close(sums, log_p, rtol=1e-9, atol=1e-12)


@models
def test_log_prob_is_the_sum_of_the_conditionals(name, stream):
    model = lively(name, stream)
    x = torch.randint(3, (7, 5), generator=stream)
    each = model.conditionals(x).log_softmax(2).gather(2, x.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(model.token_log_prob(x), each, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.log_prob(x), each.sum(1), rtol=0, atol=1e-12)


@models
def test_the_first_token_has_a_learned_law(name, stream):
    model = lively(name, stream)
    first = model.conditionals(everything())[:, 0].log_softmax(1)
    assert torch.allclose(first, first[0], atol=1e-12)  # whatever comes after
    model.token_log_prob(torch.tensor([[2]])).sum().backward()
    slope = model.embedding.grad
    assert (slope[model.vocabulary] != 0).any()
    if name != "tied":  # where the tokens' own vectors are read out too
        assert (slope[: model.vocabulary] == 0).all()


@models
def test_a_token_depends_on_earlier_ones_alone(name, stream):
    """By gradient, through the vectors that stand for the tokens: place t is told x_t at place t + 1 of the network."""
    model = lively(name, stream, length=6)
    codes = torch.randint(3, (4, 6), generator=stream)
    table, size = model.embedding.detach(), torch.ones(4, 6, 1, dtype=torch.float64, requires_grad=True)

    def embed(codes, weight):
        return table[codes] * size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "embedding", embed)
        logits = model.conditionals(codes)
    for t in range(6):
        (slope,) = torch.autograd.grad(logits[:, t].square().sum(), size, retain_graph=True)
        assert (slope != 0).any(2).any(0).tolist() == [place <= t for place in range(6)]  # place 0 is the start
    later = codes.clone()
    later[:, 3:] = (later[:, 3:] + 1) % 3
    moved = (model.conditionals(later) - model.conditionals(codes)).abs().amax((0, 2))
    assert (moved[:4] < 1e-12).all()
    assert (moved[4:] > 1e-6).all()


@models
@pytest.mark.parametrize("prompt", [None, [2, 0], "rows"])
def test_same_noise_same_sample(name, prompt, seed, stream):
    model = lively(name, stream, length=12)
    prompt = torch.randint(3, (20, 3), generator=stream) if prompt == "rows" else prompt
    draws = [
        model.sample(20, 9, prompt, method=method, generator=seed)
        for method in ("incremental", "sequential", "jacobi", "auto")
    ]
    assert all(torch.equal(draws[0], other) for other in draws[1:])
    known = 0 if prompt is None else torch.as_tensor(prompt).shape[-1]
    assert draws[0].shape == (20, known + 9)
    assert draws[0].dtype == torch.int64
    if prompt is not None:
        assert (draws[0][:, :known] == torch.as_tensor(prompt)).all()


@models
def test_one_token_at_a_time_gives_the_logits_of_the_whole(name, stream):
    model = lively(name, stream, length=12)
    x = torch.randint(3, (4, 12), generator=stream)
    whole, steps = model.conditionals(x), TokenSteps(model, 4, 12)
    places = [0, 1, 2, 6, 7, 11]  # between them several tokens at once
    for t, after in itertools.pairwise([*places, 12]):
        torch.testing.assert_close(steps.logits(), whole[:, t], rtol=0, atol=1e-10)
        torch.testing.assert_close(steps.logits(), whole[:, t], rtol=0, atol=1e-10)  # asking twice changes nothing
        steps.put(t, x[:, t:after])


@models
@pytest.mark.parametrize("prompt", [[], [1], [1, 2]])
def test_draws_follow_the_mass(name, prompt, stream, alpha):
    model = lively(name, stream, length=4)
    x = everything(3, 4)
    matching = (x[:, : len(prompt)] == torch.tensor(prompt, dtype=torch.int64)).all(1)
    law = model.log_prob(x).detach().exp() * matching
    weight = 3 ** torch.arange(3, -1, -1)

    def p_values(n, generator):
        drawn = model.sample(n, prompt=prompt or None, generator=generator)
        return [chi_square(torch.bincount(drawn @ weight, minlength=len(law)), law / law.sum())]

    sequential(p_values, what=f"draws of {name}", alpha=alpha, generator=stream)


def test_a_draw_is_the_inverse_distribution_function(stream):
    logits = 2 * torch.randn(7, generator=stream, dtype=torch.float64)
    uniform = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    share = torch.bincount(pick(logits.expand(100_000, 7), uniform, 1.0, None), minlength=7) / 100_000
    torch.testing.assert_close(share, logits.softmax(0).float(), rtol=0, atol=2e-5)
    for temperature, top_k in [(0.5, None), (2.0, 3), (1.0, 1), (1.0, 100)]:
        kept = logits.where(logits >= logits.sort(descending=True).values[min(top_k or 7, 7) - 1], -torch.inf)
        share = torch.bincount(pick(logits.expand(100_000, 7), uniform, temperature, top_k), minlength=7) / 100_000
        torch.testing.assert_close(share, (kept / temperature).softmax(0).float(), rtol=0, atol=2e-5)


def test_what_is_cut_off_is_never_drawn(stream):
    """Not even by the largest uniform number there is, where a sum of rounded probabilities may stay below it."""
    logits = torch.randn(2000, 50, generator=stream)
    uniform = torch.full((2000,), 1 - 2.0**-24)
    drawn = pick(logits, uniform, 1.0, 3)
    assert (logits.topk(3).indices == drawn.unsqueeze(1)).any(1).all()


@models
def test_temperature_and_top_k_by_every_method(name, seed, stream):
    model = lively(name, stream, length=8)
    draws = [
        model.sample(20, temperature=0.7, top_k=2, method=method, generator=seed) for method in ("auto", "sequential")
    ]
    assert torch.equal(*draws)
    greedy = model.sample(1, top_k=1, generator=seed)
    assert torch.equal(greedy[0], model.conditionals(greedy).argmax(2)[0])


@models
def test_a_stream_is_a_sample(name, seed, stream):
    model = lively(name, stream, length=12)
    assert list(model.stream(generator=seed)) == model.sample(1, generator=seed)[0].tolist()
    for prompt in ([2], [0, 1, 2, 2]):
        expected = model.sample(1, 7, prompt, temperature=0.8, top_k=2, generator=seed)[0, len(prompt) :]
        assert list(model.stream(prompt, 7, temperature=0.8, top_k=2, generator=seed)) == expected.tolist()
    assert torch.is_grad_enabled()
    first = next(iter(model.stream([2], 7, generator=seed)))
    assert torch.is_grad_enabled()  # also while the stream waits
    assert isinstance(first, int)


@models
@pytest.mark.parametrize("late", [False, True])
def test_completion_follows_the_law_given_what_is_known(name, late, stream, alpha):
    model = lively(name, stream, length=4)
    mask = torch.tensor([True, False, False, late])
    x, weight = everything(3, 4), 3 ** torch.arange(3, -1, -1)
    prior = model.log_prob(x).detach().exp()
    # the last token that is likeliest after a 2: of hundreds of particles hardly any would agree with a rare one
    last = torch.bincount(x[:, 3], prior * (x[:, 0] == 2)).argmax()
    known = torch.tensor([[2, 9, -4, last]])
    law = prior * (x[:, mask] == known[:, mask]).all(1)

    def p_values(n, generator):
        particles = 300 if late else None
        drawn = model.conditional_sample(known.expand(n, 4), mask, particles=particles, generator=generator)
        return [chi_square(torch.bincount(drawn @ weight, minlength=len(law)), law / law.sum())]

    if not late:
        sequential(p_values, what=f"{name} completed", alpha=alpha, generator=stream)
        return
    # with particles the law is reached only in the limit: 500 to 2,000 rows cannot see a deviation of the order 1/300
    sequential(p_values, what=f"{name} completed", n=500, stages=2, alpha=alpha, generator=stream)
    with pytest.raises(ArgumentError, match="particles="):
        model.conditional_sample(known, mask)
    with pytest.warns(DegenerateWeights):
        model.conditional_sample(known, mask, particles=1, generator=stream)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_keep_the_tokens_of_a_large_vocabulary(dtype, stream):
    model = dg.explicit.CharRNN(5000, hidden=8, generator=stream).to(dtype)
    known, mask = torch.tensor([[257, 4999, 2049, 0, 0, 0]]), torch.arange(6) < 3
    x = model.conditional_sample(known, mask, generator=stream)
    assert x[0, :3].tolist() == [257, 4999, 2049]
    high = torch.zeros(4999, 40).to(dtype)
    high[4001] = 50.0
    assert quantile(high, torch.rand(40, generator=stream)).unique().tolist() == [4002.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_draw_every_token_of_a_large_vocabulary(dtype, stream):
    places = (torch.arange(1000) + 0.5) / 1000
    assert torch.equal(pick(torch.zeros(1000, 1000, dtype=dtype), places, 1.0, None), torch.arange(1000))
    model = dg.explicit.CharRNN(1000, hidden=2, generator=stream).to(dtype)
    assert len(model.sample(400, length=5, generator=stream).unique()) > 500  # of 2,000 draws of about equal chance


@models
def test_whole_floats_are_tokens_too(name, stream):
    model = lively(name, stream)
    x = torch.randint(3, (6, 5), generator=stream)
    for kind in (torch.float32, torch.float64, torch.uint8, torch.int32):
        assert torch.equal(model.log_prob(x.to(kind)), model.log_prob(x))
        model.check(x.to(kind))


@models
def test_initialise_starts_at_the_rates(name, stream):
    model = MODELS[name](3, 5, stream).double()
    x = torch.randint(3, (40, 5), generator=stream).clamp_max(1)  # 2 never comes
    with torch.no_grad():
        for p in (model.embedding, *(() if model.readout is None else (model.readout.weight,))):
            p.zero_()
    model.initialise(x)
    rates = (torch.bincount(x.flatten(), minlength=3) + 1 / 3) / 201
    torch.testing.assert_close(model.conditionals(x)[0, 0].softmax(0), rates.double(), rtol=1e-6, atol=1e-9)


@models
def test_training_finds_a_law_with_memory(name, seed):
    """Sequences whose second half repeats the first: 4 log 2 nats of 8 log 2. A model without memory stays at those."""
    half = everything(2, 4)
    x = torch.cat([half, half], 1)
    model = MODELS[name](2, 8, seed) if name in ("transformer", "tied") else type(MODELS[name](2, 8, 0))(
        2, 24, cell=name, embedding=8, length=8, generator=seed
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = dg.fit(
        model, x.repeat(8, 1), dg.objectives.MaximumLikelihood(), optimizer=optimizer, epochs=60, batch_size=32,
        schedule=lambda done: 1 - done, seed=seed, progress=False,
    )  # fmt: skip
    reached = model.log_prob(x).mean().item()
    assert reached == pytest.approx(history[-1].metrics["log_likelihood"], abs=0.2)
    assert -4 < reached < -4 * 0.6931


@models
def test_dropout_is_for_training_alone(name, seed, stream):
    model = lively(name, stream, dropout=0.3)
    plain = MODELS[name](3, 5, 0).double()
    plain.load_state_dict(model.state_dict())
    x = torch.randint(3, (50, 5), generator=stream)
    for mode in (model.train(), model.eval()):
        assert torch.equal(mode.log_prob(x), plain.log_prob(x))
    thinned = model.dropout_log_prob(x, generator=seed)
    assert not torch.allclose(thinned, plain.log_prob(x))
    assert torch.equal(thinned, model.dropout_log_prob(x, generator=seed))
    assert torch.equal(plain.dropout_log_prob(x, generator=seed), plain.log_prob(x))
    check_random(lambda generator: model.dropout_log_prob(x, generator=generator), generator=stream)


@models
@pytest.mark.parametrize(("vocabulary", "length"), [(2, 6), (3, 4)])
def test_contracts(name, vocabulary, length, stream, alpha):
    model = MODELS[name](vocabulary, length, stream, dropout=0.1)
    done = check_density(model, alpha=alpha, generator=stream)
    assert {"mass", "cells", "completion", "tilt", "methods", "Rebuilt", "gradients"} <= set(done)
    check_checkpoint(model.double())
    check_random(
        lambda generator: torch.cat([p.flatten() for p in MODELS[name](3, 4, generator).parameters()]), generator=stream
    )
    check_random(lambda generator: list(model.stream([1], 40, generator=generator)), generator=stream)


@models
def test_wrong_arguments(name, stream):
    model = MODELS[name](3, 5, stream)
    with pytest.raises(ArgumentError, match="vocabulary"):
        MODELS[name](1, 5, stream)
    with pytest.raises(ArgumentError, match="dropout"):
        MODELS[name](3, 5, stream, dropout=1.0)
    for bad in (torch.zeros(5), torch.zeros(2, 0), torch.zeros(0, 5), torch.zeros(1, 2, 5)):
        with pytest.raises(ShapeError, match=r"\[rows, T\]"):
            model.log_prob(bad)
    with pytest.raises(ShapeError, match="tensor"):
        model.check([[0, 1]])
    for bad in (3, -1, 0.5, float("nan")):
        with pytest.raises(SupportError, match="whole numbers from 0 to 2"):
            model.log_prob(torch.tensor([[0, bad]]))
    for bad in ([0, 3], [[-1]], [0.5]):
        with pytest.raises(SupportError, match="whole numbers"):
            model.stream(bad, 2)  # at the call, not at the first token
    with pytest.raises(ShapeError, match=r"\[P\] or \[2, P\]"):
        model.sample(2, prompt=torch.zeros(3, 2))
    with pytest.raises(UnknownName, match="'jacobi'"):
        model.sample(2, method="jacoby")
    for temperature in (0, -1.0, float("nan"), float("inf"), None, "warm", True):
        with pytest.raises(ArgumentError, match="temperature"):
            model.sample(1, temperature=temperature)
    with pytest.raises(ArgumentError, match="top_k"):
        model.stream(top_k=0)
    with pytest.raises(ArgumentError, match="length"):
        model.sample(1, prompt=[0] * 5)
    with pytest.raises(ShapeError, match="mask"):
        model.conditional_sample(torch.zeros(2, 4), torch.ones(5, dtype=torch.bool))
