"""The flows of other libraries that `flows.py` times beside ours: one function for each library.

Equal everywhere: number of transforms, widths of each one's network, rectified linear units, splines of 8 bins in a box
of 5 with linear tails; `flows.py` prints the numbers of parameters. Different, because the libraries are:

- zuko's and our networks can take the variables in reverse order; for the others a permutation stands between layers;
- normflows's autoregressive transform, and pyro's, are fast from code to data, so they are used inverted: one network
  pass for a density, as in ours. Pyro's couplings are inverted too, which spares it inverting splines in a density;
- pyro's couplings always keep the first 21 variables (others alternate 21 and 22), so have some more outputs.
"""

from __future__ import annotations

import importlib
import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

BINS, BOX = 8, 5.0


class Side(NamedTuple):
    """One library's flow: ``log_prob(x)``, ``sample(n)``, and the module that holds its parameters."""

    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    module: nn.Module


class Plain(nn.Sequential):
    """A multilayer perceptron that ignores a second argument, for couplings that hand on a context."""

    def __init__(self, inputs: int, hidden: list[int], outputs: int) -> None:
        sizes = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        super().__init__(*layers, nn.Linear(sizes[-1], outputs))
        self.hidden_features = sizes[-1]  # couplings divide what enters a softmax by the root of this

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x)


def zuko(features: int, transforms: int, hidden: list[int]) -> dict[str, Side]:
    library = importlib.import_module("zuko")
    spline = library.flows.spline
    maf = library.flows.MAF(features, transforms=transforms, hidden_features=hidden)
    coupling = library.flows.NICE(
        features,
        transforms=transforms,
        hidden_features=hidden,
        univariate=lambda *p: spline.MonotonicRQSTransform(*p, bound=BOX),
        shapes=[(BINS,), (BINS,), (BINS - 1,)],
    )
    return {
        name: Side(lambda x, f=flow: f().log_prob(x), lambda n, f=flow: f().sample((n,)), flow)
        for name, flow in (("MAF", maf), ("spline coupling", coupling))
    }


def nflows(features: int, transforms: int, hidden: list[int]) -> dict[str, Side]:
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.autoregressive import MaskedAffineAutoregressiveTransform
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import PiecewiseRationalQuadraticCouplingTransform
    from nflows.transforms.permutations import ReversePermutation

    layers: list[nn.Module] = []
    for _ in range(transforms):
        layers += [
            ReversePermutation(features),
            MaskedAffineAutoregressiveTransform(
                features, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False
            ),
        ]
    couplings = [
        PiecewiseRationalQuadraticCouplingTransform(
            (torch.arange(features) + i) % 2,
            lambda inputs, outputs: Plain(inputs, hidden, outputs),
            num_bins=BINS,
            tails="linear",
            tail_bound=BOX,
        )
        for i in range(transforms)
    ]
    maf, coupling = (Flow(CompositeTransform(parts), StandardNormal([features])) for parts in (layers, couplings))
    return {name: Side(f.log_prob, f.sample, f) for name, f in (("MAF", maf), ("spline coupling", coupling))}


def normflows(features: int, transforms: int, hidden: list[int]) -> dict[str, Side]:
    library = importlib.import_module("normflows")
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling

    layers: list[nn.Module] = []
    for _ in range(transforms):
        one = library.flows.MaskedAffineAutoregressive(
            features, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False
        )
        layers += [library.flows.Reverse(one), library.flows.Permute(features, mode="swap")]

    class Row(PiecewiseRationalQuadraticCoupling):  # type: ignore[misc]
        """Its log-determinants summed over the row, as the package's own wrapper does."""

        def forward(self, z: Tensor) -> Any:
            out, log_det = super().inverse(z, None)
            return out, log_det.view(-1)

        def inverse(self, z: Tensor) -> Any:
            out, log_det = super().forward(z, None)
            return out, log_det.view(-1)

    couplings = [
        Row(
            (torch.arange(features) + i) % 2,
            lambda inputs, outputs: Plain(inputs, hidden, outputs),
            num_bins=BINS,
            tails="linear",
            tail_bound=BOX,
        )
        for i in range(transforms)
    ]
    flows = {}
    for name, parts in (("MAF", layers), ("spline coupling", couplings)):
        f = library.NormalizingFlow(library.distributions.DiagGaussian(features, trainable=False), parts)
        flows[name] = Side(f.log_prob, lambda n, f=f: f.sample(n)[0], f)
    return flows


def pyro(features: int, transforms: int, hidden: list[int]) -> dict[str, Side]:
    import pyro.distributions as dist
    import pyro.distributions.transforms as T
    from pyro.nn import AutoRegressiveNN, DenseNN

    half, back = features // 2, torch.arange(features).flip(0)
    moved = features - half
    flows = {}
    for name in ("MAF", "spline coupling"):
        parts, modules = [], nn.ModuleList()
        for _ in range(transforms):
            if name == "MAF":
                one: Any = T.AffineAutoregressive(AutoRegressiveNN(features, hidden))
            else:
                net = DenseNN(half, hidden, [moved * BINS, moved * BINS, moved * (BINS - 1)])
                one = T.SplineCoupling(features, half, net, BINS, BOX, order="quadratic", identity=True)
            modules.append(one)
            parts += [one.inv, T.Permute(back)]
        base = dist.Normal(torch.zeros(features), torch.ones(features)).to_event(1)
        f = dist.TransformedDistribution(base, parts)

        def log_prob(x: Tensor, f: Any = f) -> Tensor:
            f.clear_cache()  # which holds the codes of the last tensor, whatever became of the parameters since
            return f.log_prob(x)

        flows[name] = Side(log_prob, lambda n, f=f: f.sample((n,)), modules)
    return flows


def peers(features: int, transforms: int, hidden: list[int]) -> dict[str, dict[str, Side]]:
    """The flows of every library that is installed; a line says which are not."""
    found = {}
    for build in (zuko, nflows, normflows, pyro):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of their imports
                found[build.__name__] = build(features, transforms, hidden)
        except ImportError as error:
            print(f"{build.__name__} is left out ({error}): pip install 'deepgen[peers]'")
    return found
