"""A variational autoencoder as a pair of Pyro programs, so that Pyro's SVI trains the same networks.

    model(x):  z ~ p(z),  x | z ~ p(x | z), observed          guide(x):  z ~ q(z | x)          one plate, "rows"

What SVI descends is minus the bound of all rows of x together, ``-rows * ELBO`` in nats: with ``Trace_ELBO`` that of
`deepgen.objectives.ELBO` with ``closed_form=False`` and the same draws, with ``TraceMeanField_ELBO`` the one that takes
the KL in closed form, with ``RenyiELBO(alpha=0)`` the importance-weighted one. Parameters are the module's own: a step
of SVI changes them in place, and `deepgen.save` and `deepgen.evaluate` go on with them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import pyro
import torch
from pyro.params import param_with_module_name
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.interop.pyro_law import as_pyro
from deepgen.typing import Latent, require


class VAEProgram(NamedTuple):
    """``model(x, context=None)`` and ``guide(x, context=None)``; both return z, ``[rows, latent]``."""

    model: Callable[..., Tensor]
    guide: Callable[..., Tensor]


def vae_program(vae: nn.Module, *, size: int | None = None, name: str = "vae") -> VAEProgram:
    """The model and the guide of a VAE for ``pyro.infer``: sites ``z`` and ``x`` in the plate ``rows``.

    Both are called with rows ``x`` ``[rows, *event]``, and of a `deepgen.implicit.CVAE` with their contexts as well.
    What they compute in is the dtype of the networks. Pyro draws from torch's global stream; `deepgen.random.lend`
    hands it a generator.

    Args:
        vae: a module with `Latent` (any prior, likelihood and posterior), or a CVAE.
        size: number of rows in the data, where ``x`` is a minibatch of them: the loss is then ``size / rows`` times
            that of the minibatch, an estimate of minus the bound of all the data.
        name: under which Pyro's parameter store keeps the parameters, ``name$$$encoder. ...``.

    Raises:
        ArgumentError: ``vae`` is no module; or, when called, the store holds other parameters of that name.
        MissingCapability: no `Latent`, when called: an objective of Pyro needs all three laws.
        ShapeError, SupportError: rows that the likelihood cannot have made (grey values under a Bernoulli), when
            called on a CPU.

    >>> import deepgen as dg, pyro
    >>> vae, x = dg.implicit.mlp_vae(6, [8], latent=2, generator=0), torch.zeros(20, 6)
    >>> model, guide = vae_program(vae)
    >>> svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), pyro.infer.Trace_ELBO())
    >>> with dg.random.lend(dg.random.generator(0)):
    ...     losses = [svi.step(x) for _ in range(50)]
    >>> losses[-1] < losses[0], bool(vae.bound(x, generator=1).mean() > -2)
    (True, True)
    >>> pyro.clear_param_store()
    """
    if not isinstance(vae, nn.Module):
        raise ArgumentError(f"vae must be a torch.nn.Module, got {type(vae).__name__}")
    if size is not None:
        check_count(size=size)

    conditional: Any = getattr(vae, "context", None)

    def laws(x: Tensor, context: Tensor | None) -> tuple[Any, AbstractContextManager[Any]]:
        latent = vae if context is None else vae(context)
        if context is None and conditional:
            raise ArgumentError(f"a {type(vae).__name__} takes rows and their contexts: svi.step(x, context)")
        require(latent, Latent, "be the model and the guide of an SVI")
        check: Any = getattr(latent, "check", None)
        if check is not None and x.device.type == "cpu":
            check(x)
        _register(name, vae)
        if size is None:
            return latent, pyro.plate("rows", len(x))
        return latent, pyro.plate("rows", size, subsample=torch.arange(len(x)))

    def model(x: Tensor, context: Tensor | None = None) -> Tensor:
        latent, rows = laws(x, context)
        with rows:
            z: Tensor = pyro.sample("z", as_pyro(latent.prior()))
            law = latent.likelihood(z)
            x = x.to(z.dtype)
            pyro.sample("x", as_pyro(law), obs=x)
        follow: Any = getattr(latent, "follow", None)
        if follow is not None and vae.training and torch.is_grad_enabled():
            follow(law, x)  # the optimal sigma of a Gaussian; the law above has the one from before
        return z

    def guide(x: Tensor, context: Tensor | None = None) -> Tensor:
        latent, rows = laws(x, context)
        with rows:
            z: Tensor = pyro.sample("z", as_pyro(latent.posterior(x)))
        return z

    return VAEProgram(model, guide)


def _register(name: str, module: nn.Module) -> None:
    """Put the learned parameters into Pyro's store, which hands SVI what it already has under a name."""
    for key, parameter in module.named_parameters():
        if parameter.requires_grad and pyro.param(param_with_module_name(name, key), parameter) is not parameter:
            raise ArgumentError(
                f"Pyro's store already has a parameter {name}.{key} that is not this module's, and would train that "
                "one: call pyro.clear_param_store(), or give this program another name="
            )
