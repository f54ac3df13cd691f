"""Every latent-variable and implicit model in small instances, by name: one line makes it part of the contract.

``LATENTS`` have laws or a bound, and rows for them; ``SAMPLERS`` draw and have no more. A context is made of labels or
numbers, one for each row.
"""

import torch
from torch import nn
from torch.nn.functional import one_hot

import deepgen as dg
import deepgen.implicit as i
from deepgen.random import generator
from deepgen.testing import LinearGaussian
from tests.contracts.densities import trained

ROWS, WIDTH, LEVELS = 5, 4, 3


def bits(g):
    return (torch.arange(ROWS * WIDTH).reshape(ROWS, WIDTH) % 3 % 2 + torch.eye(ROWS)[:, :WIDTH] > 0).float()


def reals(g):
    return torch.randn(ROWS, WIDTH, generator=g)


def levels(g):
    return torch.arange(ROWS * WIDTH).reshape(ROWS, WIDTH).float() % LEVELS


def images(g):
    return bits(g).repeat(1, 4).reshape(ROWS, 1, 4, 4)


def level_images(g):
    return levels(g).repeat(1, 4).reshape(ROWS, 1, 4, 4)


def vae(x=bits, **parts):
    """An MLP around the parts that are named, each made from the generator."""

    def build(g):
        made = {name: part(g) for name, part in parts.items()}
        return i.mlp_vae(WIDTH, [6], **{"latent": 2, **made}, generator=g), x(g), None

    return build


def restless(kind):
    """Models of networks that are others in training: dropout and batch norms, in the embedding of a context too."""

    def net(inputs, outputs, g, context=0):
        return i.Dense(inputs, [6], outputs, context=context, norm=True, dropout=(0.2, 0.5), generator=g)

    def build(g):
        x, latent = bits(g), {"latent": 2}
        if kind == "decoder":
            return i.Decoder(net(2, WIDTH, g), 2, i.Bernoulli()), x, None
        if kind == "vae":
            prior = i.VampPrior(WIDTH, 3, generator=g)
            return i.VAE(net(WIDTH, 4, g), net(2, WIDTH, g), prior=prior, **latent), x, None
        given = {"context": 3, "embed": net(3, 3, g)} if kind == "cvae" else {"classes": 3}
        model = i.CVAE(net(WIDTH, 4, g, 3), net(2, WIDTH, g, 3), **given, **latent)
        if kind == "cvae":
            return model, x, torch.randn(ROWS, 3, generator=g)
        return i.SemiSupervised(model, net(WIDTH, 3, g)), x, None

    return build


def conv(x, **parts):
    def build(g):
        made = {name: part(g) for name, part in parts.items()}
        return i.conv_vae((1, 4, 4), [3], latent=2, hidden=6, **made, generator=g), x(g), None

    return build


def turning(g):
    """An encoder to which an image and its turns are the same."""
    encoder = dg.layers.P4Encoder((1, 4, 4), 4, features=[2], hidden=4, generator=g)
    decoder = i.ConvDecoder(2, (1, 4, 4), features=[3], hidden=6, generator=g)
    return i.VAE(encoder, decoder, latent=2), images(g), None


def cvae(kind, x=bits, make=i.mlp_cvae, **parts):
    """An MLP, or ``make=conv_cvae``, given a context of one kind."""

    def build(g):
        labels = torch.arange(ROWS) % 3
        options, context = {
            "labels": ({"classes": 3}, labels),
            "vectors": ({"context": 3}, torch.randn(ROWS, 3, generator=g)),
            "images": (
                {"context": 3, "embed": i.ConvEncoder((1, 4, 4), 3, features=[2], hidden=4, generator=g)},
                torch.rand(ROWS, 1, 4, 4, generator=g),
            ),
        }[kind]
        made = {name: part(g) for name, part in parts.items()}
        shape = ((1, 4, 4), [3]) if make is i.conv_cvae else (WIDTH, [6])
        return make(*shape, **{"latent": 2, **options, **made}, generator=g), x(g), context

    return build


def semi_supervised(g):
    model = i.mlp_cvae(WIDTH, [6], latent=2, classes=3, generator=g)
    return i.SemiSupervised(model, i.Dense(WIDTH, [6], 3, generator=g)), bits(g), None


def decoder(likelihood, x, numbers=1):
    def build(g):
        network = i.Dense(2, [6], numbers * WIDTH, generator=g)
        return i.Decoder(network, 2, likelihood()), x(g), None

    return build


def iaf(g):
    return dg.explicit.IAF(2, 1, [6], context=5, base=i.DiagonalGaussian(2, inputs=5, generator=g), generator=g)


LATENTS = {
    "VAE": vae(),
    "VAE, 1 latent": vae(latent=lambda g: 1),
    "VAE, full posterior": vae(posterior=lambda g: i.FullGaussian(2)),
    "VAE, flow posterior": vae(posterior=iaf),
    "VAE, posterior without rsample": vae(
        posterior=lambda g: dg.explicit.MAF(
            2, 1, [6], context=5, base=dg.distributions.NormalMixture(2, 2, generator=g), generator=g
        )
    ),
    "VAE, mixture prior": vae(prior=lambda g: dg.distributions.NormalMixture(2, 3, generator=g)),
    "VAE, VampPrior": vae(prior=lambda g: i.VampPrior(WIDTH, 3, generator=g)),
    "VAE, flow prior": vae(prior=lambda g: dg.explicit.MAF(2, 1, [6], generator=g)),
    "VAE, Gaussian": vae(reals, likelihood=lambda g: i.Gaussian(0.7)),
    "VAE, shared sigma": vae(reals, likelihood=lambda g: i.Gaussian(1.0, "shared")),
    "VAE, sigma of the decoder": vae(reals, likelihood=lambda g: i.Gaussian(1.0, "decoder")),
    "VAE, optimal sigma": vae(reals, likelihood=lambda g: i.Gaussian(1.0, "optimal")),
    "VAE, categorical": vae(levels, likelihood=lambda g: i.Categorical(LEVELS)),
    "VAE, logistic mixture": vae(levels, likelihood=lambda g: i.LogisticMixture(LEVELS, 2)),
    "VAE of images": conv(images),
    "VAE of images, blocks": conv(images, blocks=lambda g: [dg.layers.Inception(3, 1, (1, 1), (1, 1), 1, generator=g)]),
    "VAE of images, turns": turning,
    "VAE of images, categorical": conv(level_images, likelihood=lambda g: i.Categorical(LEVELS)),
    "VAE of images, full, mixture": conv(
        images,
        posterior=lambda g: i.FullGaussian(2),
        prior=lambda g: dg.distributions.NormalMixture(2, 2, generator=g),
    ),
    "CVAE, labels": cvae("labels"),
    "CVAE, vectors": cvae("vectors"),
    "CVAE, images": cvae("images"),
    "CVAE, levels": cvae("labels", levels, likelihood=lambda g: i.Categorical(LEVELS)),
    "CVAE, sigma of the decoder": cvae("labels", reals, likelihood=lambda g: i.Gaussian(1.0, "decoder")),
    "CVAE, Gaussian prior": cvae("labels", prior=lambda g: i.DiagonalGaussian(2, inputs=3, generator=g)),
    "CVAE, flow prior": cvae("labels", prior=lambda g: dg.explicit.MAF(2, 1, [6], context=3, generator=g)),
    "CVAE, flow posterior": cvae("labels", posterior=iaf),
    "CVAE of images, labels": cvae("labels", images, i.conv_cvae),
    "CVAE of images, vectors": cvae("vectors", images, i.conv_cvae),
    "CVAE of images, images": cvae("images", images, i.conv_cvae),
    "CVAE of images, categorical": cvae(
        "labels", level_images, i.conv_cvae, likelihood=lambda g: i.Categorical(LEVELS)
    ),
    "M2": semi_supervised,
    "VAE, restless": restless("vae"),
    "CVAE, restless": restless("cvae"),
    "M2, restless": restless("m2"),
    "decoder, restless": restless("decoder"),
    "linear": lambda g: (LinearGaussian(WIDTH, 2, sigma=0.8, shift=0.2, scale=1.2, generator=g), reals(g), None),
    "decoder, sigma": decoder(lambda: 0.5, reals),
    "decoder, bits": decoder(i.Bernoulli, bits),
    "decoder, categorical": decoder(lambda: i.Categorical(LEVELS), levels, LEVELS),
}


def gan(g, **options):
    return i.GAN(i.Dense(3, [8], 2, generator=g), i.Dense(2, [8], 1, generator=g), **{"latent": 3, **options})


def conditional(**kind):
    def build(g):
        width = kind.get("classes") or kind["context"]
        G = i.Concatenated(i.Dense(2 + width, [8], 2, generator=g), **kind)
        D = i.Projected(i.Dense(2, [8], 8, generator=g), 8, **kind, generator=g)
        labels = torch.arange(ROWS) % 3
        context = labels if "classes" in kind else one_hot(labels, 3).float()
        return i.GAN(G, D, latent=2, **kind), context

    return build


def dcgan(g):
    return i.GAN(i.DCGANGenerator(3, (8, 8), 3, generator=g), i.DCGANDiscriminator((8, 8), 3, generator=g), latent=3)


def spectral_resnet(g):
    D = i.SpectralNorm(i.ResNetDiscriminator((8, 8), 3, generator=g), generator=g)
    return i.GAN(i.ResNetGenerator(3, (8, 8), 3, generator=g), D, latent=3)


SAMPLERS = {
    "GAN": lambda g: (gan(g), None),
    "GAN, no average": lambda g: (gan(g, average=None), None),
    "GAN, mixture of latents": lambda g: (gan(g, latent=dg.distributions.NormalMixture(3, 2, generator=g)), None),
    "GAN, labels": conditional(classes=3),
    "GAN, vectors": conditional(context=3),
    "DCGAN": lambda g: (dcgan(g), None),
    "ResNet GAN": lambda g: (spectral_resnet(g), None),
}


def build(name, seed, state="fresh"):
    """A model of `LATENTS` with rows and contexts; in the state ``moved`` every parameter is moved at random."""
    stream = generator(seed) if isinstance(seed, int) else seed
    model, x, context = LATENTS[name](stream)
    return trained(model, stream, 0.3) if state == "moved" else model, x, context


def required(model, laws):
    """The checks that check_latent must have made for a model to be covered."""
    needed = {"restored", "float64"} | (set() if isinstance(model, LinearGaussian) else {"Rebuilt"})
    if isinstance(laws, dg.typing.Joint):
        needed |= {"laws", "rows", "mass", "cells", "draws"}
    if isinstance(laws, dg.typing.Latent):
        needed |= {"below"}
    if isinstance(laws, dg.typing.Bound):
        needed |= {"bound"}
    return needed | {"shapes", "detached", "random", "untouched"}


def parts_of(model):
    """The public classes of deepgen.implicit that a model is made of."""
    return {type(part) for part in model.modules()} if isinstance(model, nn.Module) else set()
