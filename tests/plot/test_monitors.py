"""Figures of monitors and of rates: they show the numbers, and the page has them."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError
from deepgen.plot import Entry, activations, gradient_flow, rates, report, update_ratios
from deepgen.train import Monitors
from tests.train.runs import fitted, machine, rows


@pytest.fixture(scope="module")
def history():
    vae = dg.implicit.mlp_vae(6, [8, 8], latent=2, generator=0)
    return fitted(vae, dg.objectives.ELBO(), epochs=4, callbacks=[Monitors(every=2)])[1]


def test_lines_are_the_numbers(history):
    seen = [record.measured["monitors"] for record in history]
    ratio = update_ratios(history).axes[0]
    line = next(line for line in ratio.get_lines() if line.get_label() == "encoder.layers.0.weight")
    assert line.get_ydata().tolist() == [found["ratio"]["encoder.layers.0.weight"] for found in seen]
    assert ratio.get_yscale() == "log"
    flow = gradient_flow(history).axes[0].get_lines()
    assert [line.get_label() for line in flow] == ["epoch 1", "epoch 3", "epoch 4"]
    assert flow[-1].get_ydata().tolist() == [*seen[-1]["gradient"].values()]
    bars = activations(history).axes[0].patches
    counts = next(iter(seen[-1]["activation"].values()))["counts"]
    assert [bar.get_height() for bar in bars] == pytest.approx([count / sum(counts) for count in counts])


def test_several_histories_are_drawn_at_their_first_look(history):
    other = dg.implicit.mlp_vae(6, [8, 8], latent=2, activation="sigmoid", generator=0)
    _, second = fitted(other, dg.objectives.ELBO(), epochs=1, callbacks=[Monitors(every=2)])
    lines = gradient_flow(history, second, labels=["tanh", "sigmoid"]).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["tanh", "sigmoid"]
    for line, found in zip(lines, (history, second), strict=True):
        assert line.get_ydata().tolist() == [*found[0].measured["monitors"]["gradient"].values()]
    with pytest.raises(ArgumentError, match="1 labels"):
        gradient_flow(history, second, labels=["tanh"])
    with pytest.raises(ArgumentError, match="one history or more"):
        gradient_flow()
    deeper = dg.implicit.mlp_vae(6, [8, 8, 8], latent=2, generator=0)
    _, third = fitted(deeper, dg.objectives.ELBO(), epochs=1, callbacks=[Monitors(every=2)])
    for pair in ((history, third), (third, history)):
        with pytest.raises(ArgumentError, match="same layers"):
            gradient_flow(*pair)


def test_the_axis_names_both_where_one_history_has_steps_and_another_gradients():
    drawn = []
    for kind in (torch.optim.Adam, torch.optim.SGD):
        rbm, look = machine(), Monitors(band=(0, 1e3))
        options = {"optimizer": kind(rbm.parameters(), lr=0.01), "callbacks": [look]}
        drawn.append(fitted(rbm, dg.objectives.PersistentCD(chains=5), epochs=1, **options)[1])
    assert gradient_flow(*drawn).axes[0].get_ylabel() == "norm of the gradient or step of a layer"


def test_a_history_without_monitors():
    _, plain = fitted(epochs=1)
    for draw in (update_ratios, gradient_flow, activations):
        with pytest.raises(ArgumentError, match="Monitors"):
            draw(plain)
    _, of_machine = fitted(
        machine(), dg.objectives.PersistentCD(chains=5), epochs=1, callbacks=[Monitors(band=(0, 1e3))]
    )
    assert "step" in gradient_flow(of_machine).axes[0].get_ylabel()
    with pytest.raises(ArgumentError, match="no activations"):
        activations(of_machine)


def test_the_report_has_a_section_for_them(history, tmp_path):
    _, plain = fitted(epochs=1)
    text = report(tmp_path / "a.html", [Entry("VAE", history=history), Entry("other", history=plain)]).read_text()
    assert 'id="monitors"' in text
    assert text.count("share of it.") == 2  # the label and the caption of one model
    assert 'id="monitors"' not in report(tmp_path / "b.html", [Entry("other", history=plain)]).read_text()


def test_rates_are_drawn(tmp_path):
    found = dg.train.find_rate(
        dg.explicit.MADE(6, hidden=[8], generator=0), rows(), dg.objectives.MaximumLikelihood(), steps=60
    )
    figure = rates(found, path=tmp_path / "rates.png")
    assert figure.axes[0].get_lines()[0].get_xdata().tolist() == found.rates
    assert (tmp_path / "rates.png").stat().st_size > 1000
    assert torch.isfinite(torch.tensor(found.smoothed)).all()
