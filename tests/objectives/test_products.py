"""The two ways of taking a contrastive step's products draw alike from one stream."""

import pytest
import torch

import deepgen as dg
from deepgen.objectives import products
from deepgen.objectives.products import BinaryProducts, Products


@pytest.fixture
def pair(stream, monkeypatch):
    """Dense products with compiled draws and sums over ones, of one machine, with 6 data rows and 9 chains."""
    monkeypatch.setattr(products, "LARGE", 1)
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


@torch.no_grad()
def test_small_machines_and_other_layers_draw_without_kernels(monkeypatch):
    assert Products(dg.RBM(31, 14, generator=0), 6, 9).draws is None
    monkeypatch.setattr(products, "LARGE", 1)
    assert Products(dg.RBM(dg.explicit.Spin(31), 14, generator=0), 6, 9).draws is None
