"""The worst rows are the worst, by likelihood or by label."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import MissingCapability, ShapeError
from deepgen.plot import mistakes, worst


def test_rows_that_were_planted_are_found():
    x = torch.zeros(2500, 9)
    x[[7, 1300, 2499]] = 1.0
    law = dg.explicit.BernoulliMixture(9)
    with torch.no_grad():
        law.logits.fill_(-3.0)
    rows, figures = worst(law, x, 4)
    assert set(rows[:3].tolist()) == {7, 1300, 2499}
    assert figures.tolist() == pytest.approx(sorted(law.log_prob(x).tolist())[:4])
    figure = mistakes(law, x, 4, title="digits")
    assert figure.axes[0].get_title().startswith("digits\nworst first: log p(x) from ")


def test_labels_that_are_wrong_are_found():
    net = torch.nn.Linear(3, 3, bias=False)
    with torch.no_grad():
        net.weight.copy_(5 * torch.eye(3))
    x, labels = torch.eye(3).repeat(4, 1), torch.arange(3).repeat(4)
    labels[5] = 0
    rows, figures = worst(net, x, 2, labels=labels)
    assert rows[0] == 5
    assert float(figures[0]) == pytest.approx(-5.0134, abs=1e-3)  # 0 - log(e^5 + 2)


def test_what_cannot_be_judged():
    with pytest.raises(MissingCapability):
        worst(dg.RBM(4, 2), torch.eye(4))
    with pytest.raises(ShapeError):
        worst(torch.nn.Linear(4, 2), torch.eye(4), labels=torch.zeros(3))
