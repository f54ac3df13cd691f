"""Pictures of latent spaces: what stands where."""

import pytest
import torch
from torch import nn

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import code_map, manifold, traversals
from deepgen.plot.latent import plane_codes


def test_the_plane_holds_equal_mass_at_each_step_and_the_second_latent_points_up():
    codes = plane_codes(4)
    assert codes.shape == (4, 4, 2)
    shares = torch.special.ndtr(codes)
    assert torch.allclose(shares[2, :, 0], torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert torch.allclose(shares[:, 1, 1], torch.tensor([0.875, 0.625, 0.375, 0.125]))
    moved = plane_codes(3, torch.tensor([5.0, 0.0, 0.0]), units=(2, 1))
    assert (moved[..., 0] == 5).all()
    assert moved[0, 2].tolist() == pytest.approx([5.0, 0.9674, 0.9674], abs=1e-4)


def test_codes_of_an_autoencoder_are_laid_out_by_their_own_quantiles(stream):
    codes = torch.randn(4000, 2, generator=stream) * torch.tensor([5.0, 0.1]) + 2.0
    found = plane_codes(4, codes=codes)
    assert ((codes[:, 0] < found[0, 1, 0]).double().mean() - 0.375).abs() < 0.01
    assert ((codes[:, 1] < found[0, 0, 1]).double().mean() - 0.875).abs() < 0.01


def test_pictures_stand_at_their_codes(tmp_path):
    """A decoder that puts z1 into the first pixel and z2 into the second."""
    model = dg.implicit.Autoencoder(nn.Linear(2, 2), nn.Identity(), likelihood=dg.implicit.Gaussian(1.0))
    figure = manifold(model, (1, 2), side=3, limits=(-1.0, 1.0), title="t", path=tmp_path / "plane.png")
    image = torch.as_tensor(figure.axes[0].images[0].get_array()).int()[..., 0]
    assert image.shape == (5, 8)
    first, second = image[::2, ::3], image[::2, 1::3]
    assert (first[:, 0] < first[:, 1]).all()
    assert (first[0] == first[2]).all()
    assert (second[0] > second[1]).all()
    assert (tmp_path / "plane.png").stat().st_size > 0
    figure = traversals(model, torch.zeros(2), (1, 2), steps=3, reach=1.0, limits=(-1.0, 1.0))
    image = torch.as_tensor(figure.axes[0].images[0].get_array()).int()[..., 0]
    assert image.shape == (3, 8)
    assert image[0, [0, 3, 6]].tolist() == [0, 128, 255]
    assert image[2, [0, 3, 6]].tolist() == [128, 128, 128]


def test_a_map_shows_each_label(stream):
    codes = torch.randn(30, 2, generator=stream)
    labels = torch.arange(30) % 3
    figure = code_map(codes, labels, title="t")
    assert [len(part.get_offsets()) for part in figure.axes[0].collections] == [10, 10, 10]
    assert torch.equal(torch.as_tensor(figure.axes[0].collections[1].get_offsets()).float(), codes[1::3])
    assert len(code_map(codes).axes[0].collections) == 1


def test_what_has_no_plane_is_told(stream):
    model = dg.implicit.mlp_vae(16, [8], latent=3, generator=stream)
    with pytest.raises(ShapeError, match="the model has 3: give z="):
        manifold(model)
    with pytest.raises(ArgumentError, match="two numbers"):
        manifold(model, z=torch.zeros(3), units=(1, 1))
    with pytest.raises(ShapeError, match="one code"):
        plane_codes(3, torch.zeros(1, 3))
    with pytest.raises(ShapeError, match="choose two columns"):
        code_map(torch.zeros(3, 3))
    with pytest.raises(SupportError, match="labels must be from 0 to 19, got 0 to 30"):
        code_map(torch.zeros(3, 2), torch.tensor([0, 1, 30]))
    with pytest.raises(ArgumentError, match=r"integers from 0 to 19, got torch\.float32"):
        code_map(torch.zeros(3, 2), torch.tensor([0, 1, 0.5]))
    with pytest.raises(ArgumentError, match="steps"):
        traversals(model, torch.zeros(3), steps=1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_codes_that_are_not_finite_have_no_picture(stream, bad):
    model, z = dg.implicit.mlp_vae(16, [8], latent=2, generator=stream), torch.tensor([0.0, bad])
    for drawn in (
        lambda: manifold(model, side=2, z=z),
        lambda: manifold(model, side=2, codes=z.expand(3, 2)),
        lambda: traversals(model, z),
        lambda: code_map(z.expand(3, 2)),
    ):
        with pytest.raises(SupportError, match="finite"):
            drawn()


@pytest.mark.parametrize("limits", [(1, 0), (0.5, 0.5), (0, float("nan")), (0, 1, 2), 3, ("a", "b")])
def test_limits_are_two_numbers_the_lower_first(stream, limits):
    model = dg.implicit.mlp_vae(16, [8], latent=2, generator=stream)
    with pytest.raises(ArgumentError, match="limits must be"):
        manifold(model, side=2, limits=limits)
