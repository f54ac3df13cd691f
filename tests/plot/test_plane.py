import pytest
import torch

from deepgen.data import gaussian_ring, moons
from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.plot import planes


def test_a_density_is_drawn_where_it_is_and_on_the_scale_of_its_column():
    law = gaussian_ring(1, radius=2.0, std=0.3)  # at (2, 0)
    far = gaussian_ring(1, radius=2.0, std=0.6)
    figure = planes([[law.log_prob, law.log_prob], [far.log_prob, law.log_prob]], box=((-4, 4), (-4, 4)), resolution=80)
    image = torch.as_tensor(figure.axes[0].images[0].get_array())
    row, column = divmod(int(image.argmax()), 80)
    assert (row, column) in {(r, c) for r in (39, 40) for c in (59, 60)}  # rows are y, from below
    assert float(image.sum()) * 0.1**2 == pytest.approx(1, abs=1e-3)
    scales = [ax.images[0].get_clim() for ax in figure.axes]
    assert scales[0] == scales[2] == scales[1]
    assert scales[0][1] == pytest.approx(float(image.max()))


def test_points_headings_and_captions_stand_where_they_belong(tmp_path):
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    captions = [["a", "b"], ["c", "d"]]
    path = tmp_path / "planes.png"
    figure = planes([[x, x], [x, moons().log_prob]], rows=["r", "s"], columns=["p", "q"], captions=captions,
                    title="t", resolution=10, path=path)  # fmt: skip
    assert figure.axes[0].collections[0].get_offsets().tolist() == x.tolist()
    assert [ax.get_xlabel() for ax in figure.axes] == ["a", "b", "c", "d"]
    assert [ax.get_title() for ax in figure.axes] == ["p", "q", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == ["r", "", "s", ""]
    assert path.stat().st_size > 0


def test_tables_that_do_not_fit_are_told():
    x = torch.zeros(3, 2)
    for wrong in ({"columns": ["a"]}, {"rows": ["a", "b"]}, {"captions": [["a"]]}):
        with pytest.raises(ArgumentError, match="panels must be rows"):
            planes([[x, x]], **wrong)
    with pytest.raises(ArgumentError, match="panels must be rows"):
        planes([[x], [x]], captions=[["a"]])
    for panels in ([], [[]], [[x], [x, x]]):
        with pytest.raises(ArgumentError, match="panels must be rows"):
            planes(panels)
    with pytest.raises(ShapeError, match=r"\[n, 2\]"):
        planes([[torch.zeros(3, 3)]])


def test_the_box_may_be_wide_and_densities_without_numbers_are_told():
    figure = planes([[lambda x: -x.square().sum(1)]], box=((-1, 3), (0, 2)), resolution=10)
    assert figure.axes[0].get_xlim() == (-1, 3)
    assert figure.axes[0].get_ylim() == (0, 2)
    image = torch.as_tensor(figure.axes[0].images[0].get_array())
    assert divmod(int(image.argmax()), 10) == (0, 2)  # (0, 0) is below the third cell
    with pytest.raises(SupportError, match="NaN or infinite"):
        planes([[lambda x: x[:, 0].sqrt()]])
    with pytest.raises(ArgumentError, match="resolution must be"):
        planes([[lambda x: x[:, 0]]], resolution=0)
