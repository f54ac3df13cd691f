"""Models with a context agree in how it is given, and in what they say where it is missing or wrong."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.implicit import GAN, Concatenated, ConvDecoder, Dense, Projected, SpectralNorm, mlp_cvae


def gan(**kind):
    width = kind.get("classes") or kind.get("context")
    G = Concatenated(Dense(2, [8], 4, context=width, generator=0), **kind)
    return GAN(G, Projected(Dense(4, [8], 8, generator=1), 8, **kind, generator=2), latent=2, **kind)


LABELLED = {"gan": gan(classes=3), "cvae": mlp_cvae(4, [8], latent=2, classes=3, generator=0)}
BY_VECTORS = {
    "gan": gan(context=3),
    "cvae": mlp_cvae(4, [8], latent=2, context=3, generator=0),
    "flow": dg.explicit.NSF(4, transforms=1, hidden=[8], context=3, generator=0),
    "made": dg.explicit.MADE(4, [8], context=3, generator=0),
    "made of orders": dg.explicit.MADE(4, [8], context=3, orders=2, generator=0),
}
ALL = [*LABELLED.values(), *BY_VECTORS.values()]
IDS = [*(f"{name}, labels" for name in LABELLED), *(f"{name}, vectors" for name in BY_VECTORS)]


@pytest.mark.parametrize("model", LABELLED.values(), ids=LABELLED)
def test_one_label_serves_all_draws_however_it_is_written(model):
    expected = model.sample(5, torch.full((5,), 2), generator=0)
    for one in (2, torch.tensor(2), torch.tensor([2]), torch.tensor(2, dtype=torch.uint8)):
        assert torch.equal(model.sample(5, one, generator=0), expected)
    assert not torch.equal(model.sample(64, 0, generator=0), model.sample(64, 2, generator=0))
    assert torch.equal(model(2).sample(5, generator=0), expected)


@pytest.mark.parametrize("model", BY_VECTORS.values(), ids=BY_VECTORS)
def test_one_vector_serves_all_draws(model):
    c = torch.tensor([0.0, 3.0, -1.0])
    expected = model.sample(5, c.expand(5, 3), generator=0)
    for one in (c, c.view(1, 3)):
        assert torch.equal(model.sample(5, one, generator=0), expected)
    if hasattr(model, "draw"):  # with its density
        assert torch.equal(model.draw(5, c, generator=0).log_prob, model.draw(5, c.expand(5, 3), generator=0).log_prob)


@pytest.mark.parametrize("model", ALL, ids=IDS)
def test_a_missing_context_is_said_in_words(model):
    asked = [lambda: model.sample(4)]
    asked += [model] if not isinstance(model, dg.explicit.MADE) else []  # which has no model(context)
    for ask in asked:
        with pytest.raises(ArgumentError, match=r"takes .*context.*\[batch.*got none: sample\(n, context\).*model\("):
            ask()


@pytest.mark.parametrize("model", ALL, ids=IDS)
def test_a_wrong_context_is_refused_by_an_error_of_the_library(model):
    labelled = model in LABELLED.values()
    for wrong in ([0, 1, 2, 0], "two", None, torch.zeros(4, 5), torch.zeros(2, 3), torch.full((4,), 0.5), 2.0, True):
        with pytest.raises((ShapeError, ArgumentError)):
            model.sample(4, wrong)
    with pytest.raises(SupportError if labelled else ShapeError):
        model.sample(4, 3)
    if labelled:
        with pytest.raises(ArgumentError, match=r"integers from 0 to 2, got torch.float32: .* labels.long\(\)"):
            model.sample(4, torch.full((4,), 0.5))


@pytest.mark.parametrize("model", BY_VECTORS.values(), ids=BY_VECTORS)
def test_a_context_that_is_not_finite_is_found_by_check(model):
    x, context = torch.zeros(5, 4), torch.zeros(5, 3)
    model.check((x, context))
    context[2, 1] = torch.nan
    with pytest.raises(SupportError, match="finite in a context"):
        model.check((x, context))


@pytest.mark.parametrize("orders", [1, 2])
def test_a_context_of_another_dtype_serves_models_of_discrete_variables(orders):
    model, c = dg.explicit.MADE(4, [8], context=3, orders=orders, generator=0), torch.ones(2, 3)
    x, mask = torch.zeros(2, 4), torch.arange(4) < (2 if orders == 1 else 0)
    for ask in (
        lambda c: model.log_prob(x, c),
        lambda c: model.sample(2, c, generator=1),
        lambda c: model.draw(2, c, generator=1).log_prob,
        lambda c: model.conditional_sample(x, mask, c, generator=1),
        lambda c: model.conditional_log_prob(x, mask, c),
    ):
        assert torch.equal(ask(c.double()), ask(c))
        assert torch.equal(ask(c.long()), ask(c))


def test_a_model_without_a_context_says_so():
    plain = GAN(Dense(2, [8], 4, generator=0), Dense(4, [8], (), generator=1), latent=2)
    for call in (lambda: plain.sample(4, 1), lambda: plain(1), plain):
        with pytest.raises(ArgumentError, match="no context"):
            call()


def test_networks_that_take_another_context_than_the_gan_hands_them_are_refused_when_it_is_made():
    plain, labelled = Dense(4, [8], (), generator=1), gan(classes=3)
    with pytest.raises(ArgumentError, match=r"generator takes labels of 3 classes.*give the GAN classes=3"):
        GAN(labelled.generator, labelled.discriminator, latent=2)
    with pytest.raises(ArgumentError, match=r"discriminator takes no context.*labels of 3 classes"):
        GAN(labelled.generator, plain, latent=2, classes=3)
    with pytest.raises(ArgumentError, match=r"generator takes vectors of width 3.*no context.*context=3"):
        GAN(Dense(2, [8], 4, context=3, generator=0), plain, latent=2)
    with pytest.raises(ArgumentError, match=r"generator takes vectors of width 3.*labels"):
        GAN(ConvDecoder(2, (1, 8, 8), features=[4], hidden=8, context=3), labelled.discriminator, latent=2, classes=3)
    mine = torch.nn.Linear(2, 4)
    mine.context = 7  # of a network of another's hand nothing is known
    GAN(mine, SpectralNorm(Dense(4, [8], (), generator=1), generator=0), latent=2)


@pytest.mark.parametrize("net", [gan(classes=3).generator, gan(classes=3).discriminator])
def test_half_a_label_is_none_for_a_network_either(net):
    x = torch.zeros(4, 2 if isinstance(net, Concatenated) else 4)
    with pytest.raises(ArgumentError, match="integers"):
        net(x, torch.full((4,), 0.5))


def test_an_evaluation_takes_one_label_for_all_rows():
    model, x = LABELLED["cvae"], torch.ones(6, 4)
    each = dg.evaluate.log_likelihood(model, (x, torch.full((6,), 2)), generator=0).value
    assert dg.evaluate.log_likelihood(model(2), x, generator=0).value == each
    bounds = [
        dg.evaluate.latent_bound(model, x, context=c, generator=0) for c in (2, torch.tensor(2), torch.tensor([2]))
    ]
    assert torch.equal(bounds[0].values, bounds[2].values)
    assert torch.equal(bounds[1].values, bounds[2].values)
