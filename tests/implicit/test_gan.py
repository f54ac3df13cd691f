"""The model: contracts, averages, conditions, networks."""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Uniform

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.implicit import (
    GAN,
    Concatenated,
    ConvDecoder,
    DCGANDiscriminator,
    DCGANGenerator,
    Dense,
    Projected,
    ResNetDiscriminator,
    ResNetGenerator,
    SpectralNorm,
)
from deepgen.layers.convolution import HE, conv
from deepgen.testing import check_checkpoint, check_model, check_random


def small(**options):
    return GAN(Dense(3, [8], 2, generator=0), Dense(2, [8], (), generator=1), **{"latent": 3, **options})


@pytest.mark.parametrize("kind", [Concatenated, Projected])
def test_conditional_networks_work_under_vmap_and_in_one_graph(kind, one_graph, stream):
    inner = Dense(3, [8], 8, context=4 if kind is Concatenated else 0, generator=stream)
    net = kind(inner, *([8] if kind is Projected else []), classes=4)
    x, labels = torch.randn(5, 3, generator=stream), torch.arange(5) % 4
    expected = net(x, labels)
    mapped = torch.func.vmap(lambda row, label: net(row[None], label[None])[0])(x, labels)
    assert torch.allclose(mapped, expected, atol=1e-6)
    whole = one_graph(net)
    assert torch.allclose(whole(x, labels), expected, atol=1e-6)
    with pytest.raises(SupportError, match="labels must be from 0 to 3"):
        net(x, labels - 1)


def conditional(classes=3):
    G = Concatenated(Dense(2, [8], 2, context=classes, generator=0), classes=classes)
    D = Projected(Dense(2, [8], 8, generator=1), 8, classes=classes, generator=2)
    return GAN(G, D, latent=2, classes=classes)


IMAGES = {
    "dcgan 28": lambda: GAN(
        DCGANGenerator(4, (28, 28), 4, generator=0), DCGANDiscriminator((28, 28), 4, generator=1), latent=4
    ),
    "dcgan 32": lambda: GAN(
        DCGANGenerator(4, (3, 32, 32), 4, norm=False, limits=(-1, 1), generator=0),
        SpectralNorm(DCGANDiscriminator((3, 32, 32), 4, generator=1), generator=2),
        latent=4,
    ),
    "resnet": lambda: GAN(
        ResNetGenerator(4, (28, 28), 4, generator=0), ResNetDiscriminator((28, 28), 4, generator=1), latent=4
    ),
}


def test_contracts(stream):
    assert check_model(small(), torch.randn(5, 2, generator=stream), generator=stream)[-2:] == ["Samples", "Rebuilt"]
    check_checkpoint(conditional())


@pytest.mark.parametrize("name", IMAGES)
def test_image_networks(name, stream):
    gan = IMAGES[name]()
    low, high = gan.generator.limits
    x = gan.sample(3, generator=stream)
    assert x.shape == (3, *gan.generator.shape)
    assert low <= float(x.min()) < float(x.max()) <= high
    assert gan.logit(x).shape == (3,)
    check_checkpoint(gan)
    check_random(lambda generator: gan.sample(2, generator=generator), generator=stream)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    again = IMAGES[name]()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(gan.parameters(), again.parameters(), strict=True))


def test_conditions_reach_images(stream):
    net = Concatenated(DCGANDiscriminator((1 + 3, 28, 28), 4, generator=0), classes=3)
    x = torch.rand(4, 28, 28, generator=stream)
    one, two = (net(x, torch.full((4,), c)) for c in (0, 1))
    assert one.shape == (4,)
    assert not torch.equal(one, two)


def test_the_projection_by_hand(stream):
    D = Projected(nn.Identity(), 4, classes=3, generator=stream)
    x, y = torch.randn(5, 4, generator=stream), torch.tensor([0, 1, 2, 2, 0])
    h = torch.where(x > 0, x, 0.2 * x)
    v = D.v.weight.t()[y]
    assert torch.allclose(D(x, y), h @ D.psi.weight[0] + D.psi.bias + (h * v).sum(1), atol=1e-6)


def test_the_average_is_the_closed_form(stream):
    beta, gan, seen = 0.7, small(average=0.7), []
    for _ in range(6):
        with torch.no_grad():
            gan.generator.layers[-1].weight.normal_(generator=stream)
        seen.append(gan.generator.layers[-1].weight.detach().clone())
        gan.follow()
        t = len(seen)
        expected = sum((1 - beta) * beta ** (t - i) * w for i, w in enumerate(seen, 1)) / (1 - beta**t)
        assert torch.allclose(gan.averaged.layers[-1].weight, expected, atol=1e-6)
    assert not torch.equal(gan.generate(torch.ones(1, 3)), gan.generator(torch.ones(1, 3)))
    plain = small(average=None)
    plain.follow()
    assert torch.equal(plain.generate(torch.ones(1, 3)), plain.generator(torch.ones(1, 3)))


def test_the_average_of_a_normalised_generator_is_normalised(stream):
    """Averages of the vectors u and v are no unit vectors: by them the average's singular values came out as 20."""
    gan = GAN(
        SpectralNorm(Dense(3, [8], 2, activation="leaky_relu", generator=0), generator=1),
        Dense(2, [128, 128], (), activation="leaky_relu", generator=2),
        latent=3,
    )
    for _ in range(300):
        with torch.no_grad():
            for p in gan.generator.parameters():
                p += 0.1 * torch.randn(p.shape, generator=stream)
        gan.generator(torch.zeros(1, 3))  # in training mode: its u and v move
        gan.follow()
    for part in gan.averaged.eval().modules():
        if isinstance(part, nn.Linear):
            assert float(torch.linalg.matrix_norm(part.weight.detach(), 2)) == pytest.approx(1, abs=0.2)


def test_a_weight_of_zeros_is_drawn_anew_before_it_is_normalised(stream):
    """He's law in its place, from the generator; weights that are something stay as they are."""
    plain = ResNetDiscriminator((8, 8), 8, generator=0)
    kept = {name: p.clone() for name, p in plain.named_parameters()}
    net = SpectralNorm(ResNetDiscriminator((8, 8), 8, generator=0), generator=1)
    for name, part in net.net.named_modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            weight, was = part.parametrizations.weight.original, kept[f"{name}.weight"]
            zero = not bool(was.any())
            assert zero == name.endswith(".b")
            assert zero or torch.equal(weight, was)
            bound = HE / was[0].numel() ** 0.5
            assert not zero or 0.95 * bound < weight.abs().max() <= bound
            norm = torch.linalg.matrix_norm(part.weight.detach().flatten(1).double(), 2)
            assert float(norm) == pytest.approx(1, abs=0.05)  # 15 power iterations
    again = SpectralNorm(ResNetDiscriminator((8, 8), 8, generator=0), generator=1)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    check_checkpoint(net)


def test_draws_do_not_depend_on_one_another_through_batch_norm(stream):
    gan = GAN(DCGANGenerator(4, (8, 8), 4, generator=0), DCGANDiscriminator((8, 8), 4, generator=1), latent=4).train()
    many = gan.sample(6, generator=3)
    assert gan.training
    z = gan.draw_latents(6, generator=dg.random.generator(3))
    assert torch.allclose(gan.eval().generate(z[:1]), many[:1], atol=1e-6)


@pytest.mark.parametrize(
    "latent", [3, dg.distributions.NormalMixture(3, 2, generator=0), Independent(Uniform(-torch.ones(3), 1.0), 1)]
)
def test_any_law_of_latents(latent, stream):
    gan = small(latent=latent)
    assert gan.prior().event_shape == (3,)
    assert gan.sample(4, generator=stream).shape == (4, 2)


def test_draws_given_labels_and_vectors(stream):
    gan = conditional()
    labels = torch.tensor([0, 2, 1, 1])
    check_random(lambda generator: gan.sample(4, labels, generator=generator), generator=stream)
    assert gan(torch.tensor([[0, 1], [2, 0]])).sample(3, generator=stream).shape == (3, 2, 2, 2)
    z = torch.randn(5, 2, generator=stream)
    assert torch.equal(gan(torch.tensor(1)).generate(z), gan.generate(z, torch.ones(5, dtype=torch.int64)))
    by_vectors = GAN(
        Dense(2, [8], 2, context=4, generator=0),
        Projected(Dense(2, [8], 8, generator=1), 8, context=4, generator=2),
        latent=2, context=4,
    )  # fmt: skip
    assert by_vectors(torch.ones(4)).sample(3, generator=stream).shape == (3, 2)
    check_checkpoint(by_vectors)


def test_what_is_refused(stream):
    gan = conditional()
    with pytest.raises(ArgumentError, match="context"):
        gan.sample(3)
    with pytest.raises(SupportError, match="0 to 2"):
        gan.sample(2, torch.tensor([0, 3]))
    with pytest.raises(ShapeError, match="labels"):
        gan.sample(3, torch.tensor([0, 1]))
    with pytest.raises(ArgumentError, match="integers"):
        gan(torch.tensor(0.5))
    with pytest.raises(ArgumentError, match="no context"):
        small().sample(3, torch.zeros(3, 1))
    with pytest.raises(ArgumentError, match="both"):
        small(classes=2, context=2)
    for average in (1.0, -0.1):
        with pytest.raises(ArgumentError, match="average"):
            small(average=average)
    with pytest.raises(SupportError, match="NaN"):
        small().check(torch.tensor([[0.0, torch.nan]]))
    with pytest.raises(ShapeError, match="one logit a row"):
        GAN(Dense(3, [4], 2), Dense(2, [4], 2), latent=3).logit(torch.zeros(5, 2))
    with pytest.raises(ArgumentError, match="multiples of 4"):
        DCGANGenerator(3, (27, 27))
    with pytest.raises(ArgumentError, match="normalise"):
        SpectralNorm(nn.ReLU())


def test_a_code_reaches_a_network_as_its_context_or_with_its_rows(stream):
    y, z = torch.tensor([0, 2, 1]), torch.randn(3, 2, generator=stream)
    apart, together = Dense(2, [8], 2, context=3, generator=0), Dense(5, [8], 2, generator=0)
    one, two = (Concatenated(net, classes=3)(z, y) for net in (apart, together))
    assert torch.equal(one, two)  # the same seed, the same sizes
    assert torch.equal(one, apart(z, torch.eye(3)[y]))
    normalised = Concatenated(SpectralNorm(Dense(2, [8], (), context=3, generator=0), generator=1), classes=3)
    image = Concatenated(ConvDecoder(2, (1, 8, 8), features=[4], hidden=8, context=3, generator=0), classes=3)
    assert (normalised(z, y).shape, image(z, y).shape) == ((3,), (3, 1, 8, 8))
    with pytest.raises(ArgumentError, match="width 3"):
        Concatenated(apart, classes=4)
    with pytest.raises(ShapeError, match=r"\[3, 3\]"):
        apart(z, torch.zeros(3, 2))


@pytest.mark.parametrize("name", ["tanh", "relu", "leaky_relu", "silu", "softplus"])
def test_dense_by_hand(name, stream):
    net, x = Dense((2, 2), [8, 4], (3, 1), activation=name, generator=stream), torch.randn(5, 2, 2, generator=stream)
    r = {"leaky_relu": lambda h: torch.where(h > 0, h, 0.2 * h)}.get(name, getattr(torch.nn.functional, name))
    h, (a, b, c) = x.view(5, 4), net.layers
    expected = r(r(h @ a.weight.t() + a.bias) @ b.weight.t() + b.bias) @ c.weight.t() + c.bias
    assert torch.allclose(net(x), expected.view(5, 3, 1), atol=1e-6)
    assert Dense(4, [], (), activation=name, generator=0)(h).shape == (5,)
    check_checkpoint(net)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_keeps_the_size_of_a_signal_through_rectifiers(transposed, stream):
    """E h_out^2 = gain E h_in^2 in the middle of an image: 1 for HE after a rectifier, 1/3 at scale 1 without one."""
    x = torch.randn(4, 32, 32, 32, generator=stream)
    for scale, rows, gain in ((HE, x.relu(), 2 * 0.5), (1.0, x, 1 / 3)):
        net = conv(32, 256, 4, 2, transposed=transposed, scale=scale, generator=stream)
        with torch.no_grad():
            net.bias.zero_()
            out = net(rows)[..., 2:-2, 2:-2]
        assert out.square().mean() == pytest.approx(gain, rel=0.1)
        bound = scale / (32 * (4 if transposed else 16)) ** 0.5
        assert 0.99 * bound < net.weight.abs().max() <= bound


WRONG = {
    "below 0": (torch.tensor([0, -1, 1]), SupportError),
    "too high": (torch.tensor([0, 3, 1]), SupportError),
    "one for all": (torch.tensor([1]), ShapeError),
    "a number": (torch.tensor(1), ShapeError),
    "a list": ([0, 1, 2], ShapeError),
    "halves": (torch.tensor([0.5, 1.0, 2.0]), ArgumentError),
    "missing": (None, ArgumentError),
}


@pytest.mark.parametrize("name", WRONG)
def test_labels_that_are_none_are_told_by_whatever_is_asked(name):
    context, error = WRONG[name]
    gan = conditional()
    z = torch.zeros(3, 2)
    joined = Concatenated(Dense(5, [8], 2, generator=0), classes=3)
    for asked in (gan.generate, gan.logit, gan.generator, gan.discriminator, joined):
        with pytest.raises(error):
            asked(z, context)


@pytest.mark.parametrize("bad", [torch.zeros(3, 4), torch.zeros(2, 5), torch.zeros(5), [0.0] * 5], ids=str)
def test_vectors_of_another_shape_are_told(bad):
    G = Concatenated(Dense(2, [8], 2, context=5, generator=0), context=5)
    D = Projected(Dense(2, [8], 8, generator=1), 8, context=5, generator=2)
    gan = GAN(G, D, latent=2, context=5)
    for asked in (gan.generate, gan.logit, gan.generator, gan.discriminator):
        with pytest.raises(ShapeError, match=r"context must be"):
            asked(torch.zeros(3, 2), bad)
    wrong = torch.full((5,), torch.nan)
    for asked in (lambda: gan(wrong), lambda: gan.sample(3, wrong)):
        with pytest.raises(SupportError, match="finite in a context"):
            asked()


@pytest.mark.parametrize("bad", [[[0.0, 0.0]], torch.zeros(3, 2, dtype=torch.complex64), torch.tensor(0.0)], ids=str)
def test_rows_and_latents_are_tensors_of_real_numbers(bad):
    for asked in (small().generate, small().logit, conditional().logit):
        with pytest.raises(ShapeError, match=r"must be a tensor|real numbers"):
            asked(bad)
    with pytest.raises(ArgumentError, match="no context, got"):
        small().generate(torch.zeros(3, 3), torch.zeros(3, 2))


@pytest.mark.parametrize("part", [None, torch.tanh, "Dense"])
def test_networks_are_modules(part):
    for made in (
        lambda: Concatenated(part, classes=3),
        lambda: Projected(part, 8, classes=3),
        lambda: SpectralNorm(part),
        lambda: dg.implicit.Rounded(part),
        lambda: GAN(part, nn.Identity(), latent=2),
    ):
        with pytest.raises(ArgumentError, match=r"must be a torch\.nn\.Module"):
            made()
