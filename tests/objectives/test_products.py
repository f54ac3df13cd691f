"""The two ways of taking a contrastive step's products draw alike from one stream, and centre alike."""

import math

import pytest
import torch

import deepgen as dg
from deepgen.explicit import compiled
from deepgen.objectives.binary_products import BinaryProducts
from deepgen.objectives.products import Offsets, Products, Target


@pytest.fixture
def pair(stream, monkeypatch):
    """Dense products with compiled draws and sums over ones, of one machine, with 6 data rows and 9 chains."""
    monkeypatch.setattr(compiled, "LARGE", 1)
    model = dg.RBM(31, 14, generator=stream)
    with torch.no_grad():
        model.weight.normal_(0.0, 0.5, generator=stream)
        model.visible_bias.normal_(generator=stream)
    made = Products(model, 6, 9), BinaryProducts(model, 6, 9)
    assert made[0].draws is not None
    return made


@torch.no_grad()
def test_draws_and_fields_are_those_of_sums_over_ones(pair, stream, seed):
    hidden = (torch.rand(9, 14, generator=stream) < 0.5).float()
    batch = (torch.rand(6, 31, generator=stream) < 0.3).float()
    drawn = []
    for each in pair:
        own = dg.random.generator(seed)
        each.load(batch)
        each.down(hidden, own)
        each.up(each.both)
        each.respond(each.data)
        drawn.append(each.draw(each.free, own))
    dense, sparse = pair
    visible = dense.free.visible
    assert set(visible.unique().tolist()) == {0.0, 1.0}
    expected = torch.cat((batch, visible)) @ dense.model.weight + dense.model.hidden_bias
    for each in pair:
        torch.testing.assert_close(each.both.hidden, expected.sigmoid(), rtol=1e-5, atol=1e-6)
    assert float((drawn[0] != drawn[1]).float().mean()) < 0.02  # but for fields that round differently
    ones = sparse.rows.singles[6:15].astype(int) + 2 * sparse.rows.pairs[6:15].astype(int)
    assert ones.tolist() == visible.sum(1).int().tolist()


@pytest.mark.parametrize("make", [Products, BinaryProducts])
@torch.no_grad()
def test_centred_gradient_maps_along_with_flipped_data(make, stream):
    """v -> 1 - v maps dW, da, db to -dW, -da, db + sum dW; that of the uncentred gradient does not."""
    rbm = dg.RBM(6, 4, generator=stream)
    rows = (torch.rand(9, 6, generator=stream) < 0.3).float()
    hidden = torch.cat((0.5 + 0.5 * torch.rand(5, 4, generator=stream), 0.5 * torch.rand(4, 4, generator=stream)))
    mu, lambd = torch.rand(6, generator=stream), torch.rand(4, generator=stream)

    def gradient(visible, mu, centred):
        products = make(rbm, 5, 4)
        products.load(visible[:5])
        if make is BinaryProducts:
            products.kernels.list_rows(visible[5:].numpy(), 5, products.rows)
        else:
            products.free.visible.copy_(visible[5:])
        products.both.hidden.copy_(hidden)
        target = Target(torch.full((6, 4), math.nan), [torch.empty(6), torch.empty(4)], alpha=1.0, beta=0.0)
        products.descend(Offsets(mu, lambd, 0.0, centred), target)
        return [target.weight, *target.biases]

    def mismatch(centred):
        weight, a, b = gradient(rows, mu, centred)
        flipped_weight, flipped_a, flipped_b = gradient(1 - rows, 1 - mu, centred)
        pairs = (flipped_weight, -weight), (flipped_a, -a), (flipped_b, b + weight.sum(0))
        return max(float((there - here).abs().max()) for there, here in pairs)

    assert mismatch(centred=True) < 1e-5
    assert mismatch(centred=False) > 1e-2


@torch.no_grad()
def test_small_machines_and_other_layers_draw_without_kernels(monkeypatch):
    assert Products(dg.RBM(31, 14, generator=0), 6, 9).draws is None
    monkeypatch.setattr(compiled, "LARGE", 1)
    assert Products(dg.RBM(dg.explicit.Spin(31), 14, generator=0), 6, 9).draws is None
