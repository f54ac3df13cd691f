"""The worst rows are the worst, by likelihood or by label."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, ShapeError, SupportError
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


def test_rows_that_are_broken_come_first():
    law = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4), 1.0, validate_args=False), 1)
    x = torch.arange(20.0).reshape(5, 4) / 10
    x[2, 1], x[0, 3] = torch.nan, torch.inf
    rows, figures = worst(law, x, 3)
    assert rows.tolist() == [0, 2, 4]
    assert figures.isnan().tolist() == [True, True, False]
    bits = torch.eye(4)
    bits[3, 0] = torch.nan
    rows, figures = worst(dg.explicit.BernoulliMixture(4), bits, 2)
    assert rows[0] == 3
    assert figures.isnan().tolist() == [True, False]
    assert " from nan to " in mistakes(dg.explicit.BernoulliMixture(4), bits, 2).axes[0].get_title()
    rows, figures = worst(torch.nn.Linear(4, 2), bits, 1, labels=torch.zeros(4, dtype=torch.int64))
    assert rows.tolist() == [3]
    assert worst(law, torch.full((2, 4), torch.nan))[0].tolist() == [0, 1]


def test_a_model_that_makes_nan_of_a_row_is_seen():
    class Faulty:
        def log_prob(self, x):
            return torch.where(x[:, 0] == 1, torch.nan, x[:, 1])

    rows = worst(Faulty(), torch.tensor([[0.0, -1.0], [0.0, -torch.inf], [1.0, 0.0], [0.0, 2.0]]), 4)[0]
    assert rows.tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("x", "labels", "error"),
    [
        (torch.eye(4) / 2, None, SupportError),  # no bits
        (torch.eye(3), None, ShapeError),
        ([[0.0, 1.0, 0.0, 1.0]], None, ShapeError),
        (torch.zeros(0, 4), None, ShapeError),
        (torch.eye(4), [0, 1, 0, 1], ShapeError),
        (torch.eye(4), torch.tensor([0, 1, 2, 4]), SupportError),
        (torch.eye(4), torch.tensor([0, 1, 2, -1]), SupportError),
        (torch.eye(4), torch.zeros(4), ArgumentError),
    ],
)
def test_rows_and_labels_that_are_none_are_refused(x, labels, error):
    model = dg.explicit.BernoulliMixture(4) if labels is None else torch.nn.Linear(4, 4)
    with pytest.raises(error):
        worst(model, x, labels=labels)
    with pytest.raises(error):
        mistakes(model, x, labels=labels)


def test_what_cannot_be_judged():
    with pytest.raises(MissingCapability):
        worst(dg.RBM(4, 2), torch.eye(4))
    with pytest.raises(ShapeError):
        worst(torch.nn.Linear(4, 2), torch.eye(4), labels=torch.zeros(3))


def test_images_of_mistakes_are_laid_out_as_in_a_grid():
    bits = torch.eye(4)
    figure = mistakes(dg.explicit.BernoulliMixture(4), bits, 4, image_shape=(1, 4), columns=1, limits=(0, 2), ink=False)
    assert figure.axes[0].images[0].get_size() == (7, 4)


def test_a_law_of_single_numbers_is_told():
    with pytest.raises(ShapeError, match=r"one log p a row, \[3\], got \[3, 2\]"):
        worst(torch.distributions.Normal(torch.zeros(2), 1.0), torch.zeros(3, 2))
