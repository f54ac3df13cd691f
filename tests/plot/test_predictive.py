import pytest
import torch

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import calibration, fan

X = torch.linspace(0, 1, 11)


def test_bands_lie_between_their_quantiles(tmp_path):
    quantiles = torch.stack([-2 * X, -X, 0 * X, X, 3 * X])
    points = torch.tensor([[0.5, 0.1]])
    figure = fan(X, quantiles, [0.9, 0.5], truth=quantiles + 1, points=points, path=tmp_path / "fan.png", title="t")
    (ax,) = figure.axes
    dots, wide, narrow = ax.collections
    assert dots.get_offsets().tolist() == pytest.approx(points.numpy())
    ends = [
        (band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()) for band in (wide, narrow)
    ]
    assert ends == [(-2.0, 3.0), (-1.0, 1.0)]
    assert len(ax.get_lines()) == 1 + 5  # the median, and the truth
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["90 %", "50 %", "median", "true quantiles"]
    assert (tmp_path / "fan.png").stat().st_size > 0


def test_quantiles_that_do_not_fit_are_told():
    with pytest.raises(ShapeError, match="need"):
        fan(X, torch.zeros(4, 11), [0.9])
    with pytest.raises(ShapeError, match="need"):
        fan(X, torch.zeros(2, 10), [0.9])
    with pytest.raises(ShapeError, match="need"):
        fan(X, torch.zeros(3, 11), [0.9], truth=torch.zeros(2, 11))


def test_a_level_between_whole_percents_is_named_as_it_is():
    figure = fan(X, torch.zeros(2, len(X)), [0.995])
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["99.5 %"]


def test_calibration_tells_too_wide_from_too_narrow():
    """Where ranks crowd the middle, as if their law were twice as wide, the central half holds all."""
    middle = 0.25 + (torch.arange(1000) + 0.5) / 2000
    edge = torch.cat([middle / 2 - 0.125, 1 - (middle / 2 - 0.125)])  # none in the central half
    figure = calibration({"wide": middle, "narrow": edge})
    wide, narrow = (torch.as_tensor(line.get_ydata()) for line in figure.axes[0].get_lines()[1:])
    assert float(wide[100]) == pytest.approx(0.5, abs=2e-3)
    assert float(narrow[100]) == pytest.approx(-0.5, abs=2e-3)
    assert float(wide[-1]) == float(narrow[-1]) == 0
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1].max()
    assert band == pytest.approx(2 * 0.5 / 1000**0.5, rel=1e-6)


def test_ranks_that_are_none_are_told():
    with pytest.raises(SupportError, match="in \\[0, 1\\]"):
        calibration(torch.tensor([0.5, 1.5]))
    with pytest.raises(ArgumentError, match="none"):
        calibration({})
    with pytest.raises(ArgumentError, match="none"):
        calibration(torch.zeros(0))
