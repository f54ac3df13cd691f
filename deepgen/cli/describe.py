"""A trained model in a word or two, as titles and tables name it."""

from __future__ import annotations

from torch import nn

from deepgen.distributions import NormalMixture
from deepgen.explicit import (
    DBM,
    DBN,
    MADE,
    NADE,
    RBM,
    Bernoulli,
    BernoulliMixture,
    CharRNN,
    ClassRBM,
    DeepNADE,
    Dequantised,
    EnergyModel,
    Flow,
    GatedPixelCNN,
    PixelCNN,
    Transformer,
)
from deepgen.implicit import (
    CVAE,
    GAN,
    VAE,
    Autoencoder,
    ConvEncoder,
    Dense,
    FullGaussian,
    ResNetGenerator,
    SemiSupervised,
    TiedDense,
    VampPrior,
)
from deepgen.layers import ScalarMLP
from deepgen.transforms import Autoregressive, Coupling

_FLOWS = {"nice": "NICE", "realnvp": "RealNVP", "maf": "MAF", "nsf": "NSF"}


def describe(model: nn.Module, name: str | None = None) -> str:
    """Such as ``RBM 64-20``; ``name`` is what `deepgen train` called it, which a flow does not know of itself."""
    if isinstance(model, ClassRBM):
        return f"class RBM {_chain(model.features, model.hidden.width)}, {model.classes} labels"
    if isinstance(model, RBM):
        layers = (("visible", model.visible), ("hidden", model.hidden))
        other = [f"{type(units).__name__} {side}" for side, units in layers if not isinstance(units, Bernoulli)]
        return f"RBM {model.visible.width}-{model.hidden.width}" + (f" ({', '.join(other)} units)" if other else "")
    if isinstance(model, (DBM, DBN)):
        levels = [*model.levels[1:]] if isinstance(model, DBM) else [rbm.hidden for rbm in model.rbms]
        return f"{type(model).__name__} {_chain(model.visible.width, *(units.width for units in levels))}"
    if isinstance(model, BernoulliMixture):
        return "independent Bernoulli" if model.components == 1 else f"Bernoulli mixture, {model.components} components"
    if isinstance(model, NADE):
        return f"NADE {model.features}-{model.hidden}"
    if isinstance(model, (MADE, DeepNADE)):
        kind = "MADE" if isinstance(model, MADE) else "deep NADE"
        hidden, orders = model.arguments()["hidden"], len(model.get_buffer("orders"))
        return f"{kind} {_chain(model.features, *hidden)}{_several(orders, 'order')}"
    if isinstance(model, (PixelCNN, GatedPixelCNN)):
        kind = "gated PixelCNN" if isinstance(model, GatedPixelCNN) else "PixelCNN"
        return f"{kind}, {model.arguments()['layers']} layers of {model.arguments()['channels']} channels"
    if isinstance(model, CharRNN):
        cell, hidden = model.arguments()["cell"], model.arguments()["hidden"]
        return f"{cell.upper()} {_chain(model.vocabulary, *[hidden] * len(model.layers))}"
    if isinstance(model, Transformer):
        return f"Transformer, {len(model.blocks)} blocks of width {model.places.shape[1]}"
    if isinstance(model, (Flow, Dequantised)):
        return _flow(model, name)
    if isinstance(model, (VAE, CVAE)):
        kind = f"{'IWAE' if name == 'iwae' else type(model).__name__}, {_count(model.latent, 'latent')}"
        kind += f", {_count(model.classes, 'label')}" if isinstance(model, CVAE) and model.classes else ""
        return f"{_convolved(model)}{kind}{_laws(model)}"
    if isinstance(model, SemiSupervised):
        return (
            f"{_convolved(model)}M2, {_count(model.cvae.latent, 'latent')}, {model.classes} labels{_laws(model.cvae)}"
        )
    if isinstance(model, GAN):
        residual = any(isinstance(part, ResNetGenerator) for part in model.modules())
        kind = f"{'residual ' if residual else ''}{'conditional ' if model.context else ''}GAN"
        kind += f", {_count(model.prior().event_shape.numel(), 'latent')}"
        return kind + (f", {_count(model.classes, 'label')}" if model.classes else "")
    if isinstance(model, Autoencoder):
        if isinstance(model.encoder, TiedDense):
            given = model.encoder.arguments()
            return f"tied autoencoder {_chain(*given['inputs'], *given['hidden'], given['outputs'])}"
        dense = next((part for part in model.encoder.modules() if isinstance(part, Dense)), None)
        told = "" if dense is None else f" {_chain(dense.inputs[0], *dense.arguments()['hidden'], dense.outputs[0])}"
        return f"{_convolved(model)}autoencoder{told}"
    if isinstance(model, EnergyModel):
        hidden = model.net.arguments()["hidden"] if isinstance(model.net, ScalarMLP) else None
        shape = model.event_shape
        return f"energy {_chain(shape.numel(), *hidden)}" if hidden and shape else "energy model"
    return type(model).__name__


def counted(passes: float) -> str:
    """A number of passes in as many digits as it deserves.

    >>> counted(0.0463), counted(108.7), counted(12345.6)
    ('0.046', '109', '12,346')
    """
    return f"{passes:,.0f}" if passes >= 100 else f"{passes:.2g}" if passes < 1 else f"{passes:.3g}"


def _flow(model: Flow | Dequantised, name: str | None) -> str:
    noisy, inner = ("dequantised ", model.flow) if isinstance(model, Dequantised) else ("", model)
    layers = sum(isinstance(part, (Coupling, Autoregressive)) for part in inner.transform.modules())
    known = _FLOWS.get(name or "", type(inner).__name__)
    return f"{noisy}{known}{_several(layers, 'transform')}"


def _convolved(model: nn.Module) -> str:
    return "convolutional " if any(isinstance(part, ConvEncoder) for part in model.modules()) else ""


def _laws(model: VAE | CVAE) -> str:
    """The prior and the posterior where they are not the usual ones."""
    prior, posterior = model.prior_law, model.posterior_law
    known = {NormalMixture: "mixture prior", VampPrior: "VampPrior"}
    first = next((words for kind, words in known.items() if isinstance(prior, kind)), "")
    first = "flow prior" if isinstance(prior, Flow) else first
    second = "full posterior" if isinstance(posterior, FullGaussian) else ""
    second = "flow posterior" if isinstance(posterior, Flow) else second
    return "".join(f", {words}" for words in (first, second) if words)


def _chain(*widths: int) -> str:
    return "-".join(map(str, widths))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _several(number: int, what: str) -> str:
    return f", {_count(number, what)}" if number > 1 else ""
