"""One run of a Pyro program: latent sites set or drawn, all sites scored. See `deepgen.interop.pyro_program`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pyro.distributions import Delta, ImproperUniform, MaskedDistribution
from pyro.distributions.util import scale_and_mask
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor
from torch.distributions import biject_to

from deepgen.errors import MissingCapability


class Pass(Messenger):
    """One run of a program: sites set from unconstrained ``parts``, or from ``values``, or else drawn; all scored."""

    def __init__(self, parts: Mapping[str, Tensor] | None = None, values: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.parts, self.values = dict(parts or {}), dict(values or {})
        self.drawn, self.given = parts is None and values is None, parts is not None
        self.sites: dict[str, Any] = {}  # the laws of the latent ones
        self.derived: dict[str, Tensor] = {}
        self.prior, self.likelihood, self.proper = torch.zeros(()), torch.zeros(()), True

    def _pyro_sample(self, msg: Any) -> None:
        name, law = msg["name"], msg["fn"]
        if msg["is_observed"] or isinstance(law, _Subsample):
            return
        if not self.drawn:
            known = self.parts if self.given else self.values
            if name not in known:
                raise MissingCapability(f"{name} is a latent site in some runs only, and positions need a fixed set")
            msg["value"] = bijection_of(name, law)(known[name]) if self.given else known[name]
        elif isinstance(law, ImproperUniform) and msg["value"] is None:
            bijection = bijection_of(name, law)
            msg["value"] = bijection(4 * torch.rand(bijection.inverse_shape(law.shape())) - 2)

    def _pyro_post_sample(self, msg: Any) -> None:
        name, law, value = msg["name"], msg["fn"], msg["value"]
        if isinstance(law, _Subsample):
            if law.subsample_size is not None and law.subsample_size < law.size and not msg["is_observed"]:
                raise MissingCapability(
                    f"plate {name} takes a fresh subsample in each run, so the density is random: drop subsample_size"
                )
            return
        if msg["is_observed"]:
            if isinstance(law, MaskedDistribution) and isinstance(law.base_dist, Delta):  # pyro.deterministic
                self.derived[name] = value
            else:
                self.likelihood = self.likelihood + _score(msg)
            return
        self.sites[name] = law
        bijection = bijection_of(name, law)
        if not self.given:
            self.parts[name] = bijection.inv(value)
        self.values[name] = value
        self.prior = self.prior + _score(msg) + bijection.log_abs_det_jacobian(self.parts[name], value).sum()
        plain = isinstance(msg["scale"], (int, float)) and msg["scale"] == 1 and msg["mask"] is None
        self.proper = self.proper and plain and not isinstance(law, (ImproperUniform, MaskedDistribution))


def _score(msg: Any) -> Tensor:
    value = msg["fn"].log_prob(msg["value"], *msg["args"], **msg["kwargs"])
    return scale_and_mask(value, msg["scale"], msg["mask"]).sum()


def bijection_of(name: str, law: Any) -> Any:
    """The map from all real numbers onto the support of ``law``."""
    support = law.support
    if type(support).__name__ == "MixtureSameFamilyConstraint":  # it says what its components say
        support = support.base_constraint
    if support.is_discrete:
        raise MissingCapability(
            f"site {name} is latent and discrete ({type(law).__name__}), and positions are real numbers: sum it out in "
            "the program, by law.MixtureSameFamily say, or observe it (discrete kernels take a function of their own)"
        )
    try:
        return biject_to(support)
    except NotImplementedError:
        raise MissingCapability(
            f"site {name} lies on {support}, onto which torch has no bijection from the real numbers: write it as a "
            "function of sites that have one"
        ) from None
