"""Ways between codes, and what models put at them."""

import pytest
import torch
from torch import nn

import deepgen as dg
import deepgen.testing
from deepgen.errors import ArgumentError, DeepgenError, MissingCapability, ShapeError, SupportError
from deepgen.implicit import at_places, interpolate, lerp, slerp, traverse


def test_the_spherical_way_goes_by_equal_angles_and_keeps_the_length(stream, float64):
    a = torch.randn(7, 20, generator=stream)
    b = torch.randn(7, 20, generator=stream)
    b = b / b.norm(dim=1, keepdim=True) * a.norm(dim=1, keepdim=True)
    way = slerp(a, b, 6)
    assert torch.allclose(way[0], a)
    assert torch.allclose(way[-1], b)
    assert torch.allclose(way.norm(dim=-1), a.norm(dim=-1).expand(6, -1))
    unit = way / way.norm(dim=-1, keepdim=True)
    angles = (unit[1:] * unit[:-1]).sum(-1).clamp(-1, 1).arccos()
    whole = (unit[0] * unit[-1]).sum(-1).arccos()
    assert torch.allclose(angles, (whole / 5).expand(5, -1))
    middle = lerp(a, b, 3)[1]
    assert torch.allclose(middle, (a + b) / 2)
    assert (middle.norm(dim=1) < 0.95 * a.norm(dim=1)).all()


def test_ends_that_agree_or_oppose(stream, float64):
    a = torch.randn(3, 5, generator=stream)
    assert torch.allclose(slerp(a, 2 * a, 5), lerp(a, 2 * a, 5))
    near = a + 1e-9
    assert torch.allclose(slerp(a, near, 5), lerp(a, near, 5), atol=1e-12)
    with pytest.raises(ArgumentError, match="opposite"):
        slerp(a, -a)
    with pytest.raises(ArgumentError, match="no direction"):
        slerp(a, torch.zeros(3, 5))
    with pytest.raises(ShapeError, match="both ends"):
        lerp(a, a[0])
    with pytest.raises(ArgumentError, match="steps"):
        lerp(a, a, 1)
    with pytest.raises(ArgumentError, match="floating point"):
        lerp(torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long))


def test_every_model_has_something_at_a_code(stream):
    z = torch.randn(4, 3, 2, generator=stream)
    options = {"latent": 2, "generator": stream}
    vae, autoencoder = dg.implicit.mlp_vae(6, [8], **options), dg.implicit.mlp_autoencoder(6, [8], **options)
    cvae = dg.implicit.mlp_cvae(6, [8], classes=3, **options)
    gan = dg.implicit.GAN(dg.implicit.Dense(2, [8], 6), dg.implicit.Dense(6, [8], ()), latent=2)
    linear = dg.testing.LinearGaussian(6, 2, generator=stream)
    decoder = dg.implicit.Decoder(nn.Linear(2, 6), prior=2, likelihood=0.1)
    for model, expected in (
        (vae, vae.likelihood(z).mean),
        (autoencoder, autoencoder.likelihood(z).mean),
        (cvae(torch.tensor([1])), cvae(torch.tensor([1])).likelihood(z.view(12, 2)).mean.view(4, 3, 6)),
        (gan, gan.averaged(z.view(12, 2)).view(4, 3, 6)),
        (linear, linear.likelihood(z).mean),
        (decoder, decoder.network(z)),
    ):
        assert torch.allclose(at_places(model, z), expected, atol=1e-6)
    for wrong, error in ((cvae, ArgumentError), (nn.Linear(2, 6), MissingCapability)):
        with pytest.raises(error, match="takes a context" if wrong is cvae else "nothing stands"):
            at_places(wrong, z)
    noisy = dg.implicit.Autoencoder(nn.Linear(6, 2), nn.Sequential(nn.Linear(2, 6), nn.Dropout()))
    assert torch.equal(at_places(noisy, z), at_places(noisy, z))  # at rest
    assert noisy.decoder[1].training
    way = interpolate(vae, z[0], z[1], 5)
    assert torch.allclose(way[0], vae.decode(z[0]), atol=1e-6)
    assert way.shape == (5, 3, 6)


def test_a_traversal_moves_one_number_of_a_code(stream):
    model = dg.implicit.Autoencoder(nn.Identity(), nn.Identity(), likelihood=dg.implicit.Gaussian(1.0))
    z, values = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, 0.0])
    assert traverse(model, z, values, units=[2, 0]).tolist() == [
        [[1, 2, -1], [1, 2, 0]],
        [[-1, 2, 3], [0, 2, 3]],
    ]
    assert traverse(model, z, values).shape == (3, 2, 3)
    with pytest.raises(ArgumentError, match="from -3 to 2"):
        traverse(model, z, values, units=[3])
    with pytest.raises(ShapeError, match="one code"):
        traverse(model, z.view(1, 3), values)


NO_CODES = {
    "nan": (torch.tensor([0.0, torch.nan]), SupportError),
    "infinite": (torch.tensor([0.0, torch.inf]), SupportError),
    "whole": (torch.tensor([0, 1]), ArgumentError),
    "complex": (torch.tensor([0j, 1j]), ArgumentError),
    "a list": ([0.0, 1.0], ShapeError),
    "a number": (torch.tensor(1.0), ShapeError),
}


@pytest.mark.parametrize("name", NO_CODES)
def test_what_are_no_codes_is_told(stream, name):
    bad, error = NO_CODES[name]
    vae, good = dg.implicit.mlp_vae(6, [8], latent=2, generator=stream), torch.ones(2)
    autoencoder = dg.implicit.mlp_autoencoder(6, [8], latent=2, generator=stream)
    cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=stream)(torch.tensor([1]))
    for asked in (
        lambda: lerp(good, bad),
        lambda: slerp(bad, good),
        lambda: interpolate(vae, good, bad),
        lambda: traverse(vae, bad, torch.ones(2)),
        *(lambda call=call: call(bad) for call in (vae.decode, autoencoder.decode, cvae.decode)),
        lambda: at_places(vae, bad),
    ):
        with pytest.raises(error) as caught:
            asked()
        assert isinstance(caught.value, DeepgenError)
    if error is SupportError:
        with pytest.raises(error, match="finite in values"):
            traverse(vae, good, bad)
