"""The deep belief network against sums over all its hidden states, at one to three hidden levels of several kinds."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit import DBN, RBM, Bernoulli, Gaussian, Product, Softmax, Spin, mirrored, rbm_stack
from deepgen.testing import Exact, check_checkpoint, check_random, chi_square
from tests.evaluate.deep import DBNS, deep, rows, shallow, truth


@pytest.mark.parametrize("name", [name for name in DBNS if name != "real data"])
def test_its_law_is_normalised(name, stream):
    dbn = deep(name, stream)
    states = dbn.visible.enumerate(0, dbn.visible.states)
    assert float(truth(dbn, states).logsumexp(0)) == pytest.approx(0.0, abs=1e-10)


def test_a_mirrored_top_changes_nothing(stream):
    """Hinton, Osindero & Teh 2006: with tied weights the deep network is the machine below, whatever the depth."""
    rbm = shallow(stream)
    states = rbm.visible.enumerate(0, 16)
    law, dbn = Exact(rbm).log_likelihood(states).detach(), DBN.from_rbms([rbm])
    for _ in range(3):
        assert torch.allclose(truth(dbn, states), law, atol=1e-12)
        dbn = dbn.deepened()
    # and the way up is the posterior, so that weights of draws do not vary and the bound is tight
    dbn = DBN.from_rbms([rbm]).deepened()
    found = dg.evaluate.log_likelihood(dbn, states, "exact", samples=3, generator=stream)
    assert (found.side, found.stderr) == ("below", pytest.approx(0.0, abs=1e-9))
    assert found.value == pytest.approx(float(law.mean()), abs=1e-9)
    untied = DBN.from_rbms([rbm]).deepened().untie()
    with torch.no_grad():
        untied.up_weights[0].add_(1.0)
    deeper = untied.deepened()
    assert torch.equal(deeper.up_weights[0], untied.up_weights[0])
    assert torch.equal(deeper.up_weights[1], untied.top.weight)


@pytest.mark.parametrize("kind", ["bits", "kinds"])
def test_a_wider_mirror_with_weights_of_zero_changes_nothing(kind, stream):
    """Sums over all states: nothing at scale 0, and of second order in the scale else."""
    rbm = shallow(stream) if kind == "bits" else RBM(Softmax(2, 3), 4, generator=stream)
    with torch.no_grad():
        rbm.weight.mul_(3)
    rbm, seen = rbm.double(), rbm.visible.width
    states = rbm.visible.enumerate(0, rbm.visible.states)
    law = Exact(rbm).log_likelihood(states).detach()
    same = DBN.from_rbms([rbm]).deepened(seen + 3, scale=0)
    assert same.top.hidden.width == seen + 3
    assert torch.allclose(truth(same, states), law, atol=1e-12)

    def gap(scale):
        near = DBN.from_rbms([rbm]).deepened(seen + 3, scale=scale, generator=7)
        return float((truth(near, states) - law).abs().max())

    assert 0 < gap(0.01) < 0.001
    assert gap(0.1) / gap(0.01) == pytest.approx(100, rel=0.1)


def test_more_units_learn_from_small_weights_and_not_from_none(stream):
    """Their exact centred gradient is 0 without weights, and elsewhere goes with them; training does so too."""
    rbm = shallow(stream)
    x = torch.tensor([[0.0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]).double().repeat(10, 1)

    def uphill(scale):
        top = mirrored(rbm, 7, scale=scale, generator=7).double()
        inputs = [top.weight, top.visible_bias, top.hidden_bias]
        log_z = top.log_density(top.visible.enumerate(0, top.visible.states)).logsumexp(0)
        dw, dv, dh = torch.autograd.grad(top.log_density(x).mean() - log_z, inputs)
        offset = (top.hidden_bias + x @ top.weight).sigmoid().mean(0).detach()
        return (dw - torch.outer(x.mean(0), dh) - torch.outer(dv, offset))[:, 4:]

    assert float(uphill(0.0).abs().max()) < 1e-12
    torch.testing.assert_close(uphill(2e-4), 2 * uphill(1e-4), rtol=1e-3, atol=1e-10)
    assert float(uphill(1e-4).norm()) > 1e-8  # where rounding is 1e-16
    moved = []
    for scale in (0.0, 0.01):
        top = mirrored(rbm, 7, scale=scale, generator=stream).double()  # where rounding is too small to grow
        before = top.weight[:, 4:].detach().clone()
        optimizer = torch.optim.SGD(top.parameters(), lr=0.5)
        dg.fit(top, x, dg.objectives.PersistentCD(chains=50), epochs=200, batch_size=40, seed=1, optimizer=optimizer,
               progress=False)  # fmt: skip
        moved.append(float((top.weight[:, 4:].detach() - before).abs().max()))
    assert moved[0] < 1e-8
    assert moved[1] > 1e-4
    assert float(top.weight[:, 4:].detach().std(1).max()) > 1e-4  # each unit has weights of its own


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"width": 3}, "width must be at least 4, the units that the mirror has above, got 3"),
        ({"width": 5, "scale": -1.0}, "scale must be"),
        ({"width": 0}, "width must be"),
    ],
)
def test_mirrors_that_cannot_be_are_refused(options, says, stream):
    with pytest.raises(ArgumentError, match=says):
        DBN.from_rbms([shallow(stream)]).deepened(**options)


@pytest.mark.parametrize("name", ["two levels", "three levels", "kinds of levels"])
def test_draws_follow_its_law(name, stream, alpha):
    dbn = deep(name, stream)
    states = dbn.visible.enumerate(0, dbn.visible.states)
    drawn = dbn.sample(4000, steps=40, generator=stream)
    assert chi_square((drawn.unsqueeze(1) == states).all(-1).sum(0), truth(dbn, states).exp()) > alpha
    begun = dbn.sample(4000, steps=40, start=states[:1].expand(4000, -1), generator=stream)
    assert chi_square((begun.unsqueeze(1) == states).all(-1).sum(0), truth(dbn, states).exp()) > alpha


def test_one_hidden_level_is_the_rbm(stream):
    rbm = shallow(stream)
    dbn, x = DBN.from_rbms([rbm]), rbm.visible.enumerate(0, 16)
    assert torch.allclose(truth(dbn, x), Exact(rbm).log_likelihood(x).detach(), atol=1e-12)
    assert torch.equal(dbn.sample(9, steps=7, generator=1), rbm.sample(9, steps=7, generator=1))
    assert torch.equal(dbn.transform(x), rbm.transform(x))
    assert torch.equal(dbn.reconstruct(x), rbm.reconstruct(x))
    assert not dbn.propose(x, 2, generator=stream).log_weight.any()
    assert torch.equal(mirrored(mirrored(rbm)).weight, rbm.weight)


def test_features_go_up_by_the_weights_of_the_way_up(stream):
    dbn = deep("untied", stream)
    x = rows(dbn, 6, stream)
    first = (x @ dbn.up_weights[0] + dbn.up_biases[0]).sigmoid()
    second = (first @ dbn.up_weights[1] + dbn.up_biases[1]).sigmoid()
    top = (second @ dbn.top.weight + dbn.top.hidden_bias).sigmoid()
    assert torch.allclose(dbn.transform(x), torch.cat([first, second, top], 1))
    assert torch.equal(dbn.transform(x, level=3), dbn.transform(x)[:, -3:])
    back = torch.sigmoid(second @ dbn.rbms[1].weight.t() + dbn.rbms[1].visible_bias)
    assert torch.allclose(dbn.reconstruct(x), (back @ dbn.rbms[0].weight.t() + dbn.rbms[0].visible_bias).sigmoid())
    net = dbn.classifier(5, generator=0)
    hidden = x
    for layer in net.layers[:-1]:
        hidden = layer(hidden).sigmoid()
    assert torch.allclose(hidden, top)
    assert net(x).shape == (6, 5)


def test_a_classifier_that_starts_from_the_stack_learns_labels():
    data = dg.data.load("digits")
    x, y = data.train[:300], torch.as_tensor(data.labels.train)[:300].long()
    dbn = DBN.from_rbms(rbm_stack(x, [48, 32], epochs=10, batch_size=20, seed=1))
    net = dbn.classifier(10, generator=0)
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(150):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        adam.step()
    test = torch.as_tensor(data.labels.test).long()
    assert float((net(data.test).argmax(1) == test).float().mean()) > 0.7  # by chance 0.1


@pytest.mark.parametrize("name", DBNS)
def test_it_comes_back_from_a_file(name, stream):
    dbn = deep(name, stream, dtype=torch.float32)
    check_checkpoint(dbn)
    check_random(lambda generator: dbn.sample(8, steps=2, generator=generator), generator=stream)


def test_base_rates_are_where_it_starts(stream):
    x = (torch.rand(50, 3, generator=stream) < 0.2).float()
    assert torch.allclose(DBN(3, [2, 2]).initialise(x).rbms[0].visible_bias.sigmoid(), (x.sum(0) + 0.5) / 51)


def test_what_is_refused():
    for hidden in (3, []):
        with pytest.raises(ArgumentError, match="hidden must be a list of levels"):
            DBN(4, hidden)
    with pytest.raises(ArgumentError, match="do not meet"):
        DBN.from_rbms([RBM(4, 3), RBM(2, 2)])
    for below, above in (
        (Softmax(2, 3), Softmax(3, 2)),
        (Product(Bernoulli(2), Spin(3)), Product(Spin(3), Bernoulli(2))),
        (Product(Softmax(2, 3), Spin(3)), Product(Softmax(3, 2), Spin(3))),
    ):
        with pytest.raises(ArgumentError, match="do not meet"):
            DBN.from_rbms([RBM(4, below), RBM(above, 2)])
    DBN.from_rbms([RBM(4, Gaussian(3, precision=2.0)), RBM(Gaussian(3), 2)])  # the same values
    with pytest.raises(ArgumentError, match=r"DBN\.from_rbms takes a list of RBMs"):
        DBN.from_rbms([])
    dbn = DBN(4, [3, 2], generator=0)
    with pytest.raises(SupportError, match="0 or 1"):
        dbn.transform(torch.full((1, 4), 0.5))
    with pytest.raises(ArgumentError, match="at most 2"):
        dbn.transform(torch.zeros(1, 4), level=3)
    with pytest.raises(ShapeError, match=r"start must be \[rows, 4\]"):
        dbn.sample(2, start=torch.zeros(2, 3))
    with pytest.raises(ArgumentError, match="must be Bernoulli"):
        DBN(4, [Softmax(1, 3), 2]).classifier(2)
    assert DBN(Gaussian(4), [Spin(3), Spin(2)]).classifier(2, generator=0)(torch.zeros(1, 4)).shape == (1, 2)


WRONG = [
    (lambda dbn: dbn.above(2, torch.zeros(2, 2)), ArgumentError, r"from 0 \(visible\) to 1, the lower of two, got 2"),
    (lambda dbn: dbn.below(-1, torch.zeros(2, 2)), ArgumentError, "got -1"),
    (lambda dbn: dbn.above(0, torch.zeros(2, 5)), ShapeError, r"must be \[\.\.\., 4\], got \[2, 5\]"),
    (lambda dbn: dbn.below(0, torch.zeros(2, 4)), ShapeError, r"must be \[\.\.\., 3\], got \[2, 4\]"),
    (lambda dbn: dbn.means([0, 0, 0, 0]), ShapeError, "v must be a tensor, got list"),
    (lambda dbn: dbn.means(torch.zeros(2, 3)), ShapeError, r"v must be \[\.\.\., 4\]"),
    (lambda dbn: dbn.propose([0, 0, 0, 0]), ShapeError, "v must be a tensor, got list"),
    (lambda dbn: dbn.propose(torch.zeros(4)), ShapeError, r"v must be \[rows, 4\], got \[4\]"),
    (lambda dbn: dbn.propose(torch.zeros(2, 5)), ShapeError, r"v must be \[\.\.\., 4\]"),
    (lambda dbn: dbn.down([0, 0, 0]), ShapeError, "x must be a tensor, got list"),
    (lambda dbn: dbn.down(torch.zeros(2, 4)), ShapeError, r"x must be \[\.\.\., 3\]"),
]


@pytest.mark.parametrize("untied", [False, True])
@pytest.mark.parametrize(("call", "error", "says"), WRONG, ids=range(len(WRONG)))
def test_levels_of_other_shapes_are_told(call, error, says, untied):
    with pytest.raises(error, match=says):
        call(DBN(4, [3, 2], untied=untied, generator=0))
