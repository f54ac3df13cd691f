"""Arguments around implicit models that are none of what they must be are refused where they are given."""

import numpy as np
import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, DeepgenError, ShapeError, SupportError
from deepgen.evaluate.collapse import WatchLatents
from deepgen.implicit.denoising_chain import DenoisingChain
from deepgen.plot.latent import plane_codes

NOTHING = torch.full((1, 1), torch.nan)


def autoencoder():
    return dg.implicit.mlp_autoencoder(6, [8], latent=2, generator=0)


def gan(classes=0):
    networks = dg.implicit.Dense(2, [8], 6, generator=0), dg.implicit.Dense(6, [8], (), generator=1)
    if classes:
        made = dg.implicit.Dense(2, [8], 6, context=classes, generator=0)
        judge = dg.implicit.Dense(6, [8], (), context=classes, generator=1)
        networks = (dg.implicit.Concatenated(net, classes=classes) for net in (made, judge))
    return dg.implicit.GAN(*networks, latent=2, classes=classes)


REFUSED = {
    "no noise in an array": (lambda: dg.implicit.GaussianNoise(np.array([])), ArgumentError, "sigma"),
    "a context of NaN": (lambda: dg.implicit.mlp_cvae(6, [8], latent=2, context=1)(NOTHING), SupportError, "finite"),
    "one unit": (lambda: dg.implicit.traverse(autoencoder(), torch.zeros(2), torch.ones(3), 1), ArgumentError, "units"),
    "a unit of a plane": (lambda: plane_codes(3, torch.zeros(2), 1), ArgumentError, "units"),
    "an array of betas": (
        lambda: dg.evaluate.latent_ais(
            dg.implicit.mlp_vae(6, [8], latent=2), torch.zeros(3, 6), temperatures=np.linspace(0, 1, 5)
        ),
        ArgumentError,
        "temperatures",
    ),
    "no noise": (lambda: dg.implicit.GaussianNoise([]), ArgumentError, "sigma"),
    "no momentum": (lambda: dg.implicit.Gaussian(1.0, "optimal", momentum=0), ArgumentError, "momentum"),
    "no autoencoder": (lambda: DenoisingChain(nn.Identity(), dg.implicit.Masking(0.3)), ArgumentError, "Autoencoder"),
    "a class": (lambda: DenoisingChain(autoencoder(), dg.implicit.Masking), ArgumentError, "corruption must be"),
    "no corruption": (lambda: DenoisingChain(autoencoder(), 0.3), ArgumentError, "corruption must be"),
    "rows of a list": (lambda: WatchLatents([[0.0]]), ShapeError, "x must be a tensor"),
    "a threshold": (lambda: WatchLatents(torch.zeros(9, 6), threshold=float("nan")), ArgumentError, "threshold"),
    "a number": (lambda: dg.implicit.mh_gan(gan(), 3), ArgumentError, "calibration must be of"),
    "a slope": (lambda: dg.implicit.rejection(gan(), 5, (1.0, 0.0)), ArgumentError, "calibration must be of"),
    "a filled-in GAN": (lambda: dg.implicit.Decoder(gan(3)(1), 2, 0.1), ArgumentError, "takes no gan"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_arguments_are_told(name):
    asked, error, said = REFUSED[name]
    with pytest.raises(error, match=said) as caught:
        asked()
    assert isinstance(caught.value, DeepgenError)
