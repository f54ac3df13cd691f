"""Oracles and contract checks: what deepgen tests itself with, for the models, kernels and estimators of others too.

Nothing else in deepgen imports this package, nor does ``import deepgen``: write ``import deepgen.testing``. A check
returns when the promise holds and raises `CheckFailed`, an AssertionError, when it does not. Statistical ones take a
false-alarm rate ``alpha`` and fresh seeds; see `sequential`.

    check_units, check_kernel, check_random, check_estimate, check_checkpoint, check_model,
    check_density, check_latent, check_samples, check_transform, check_gradient, check_objective, check_causal,
    check_target, check_involution, check_never_waits, check_walks
"""

from deepgen.testing.checkpoints import check_checkpoint, demand_same_state
from deepgen.testing.density import check_density
from deepgen.testing.estimates import Coverage, check_estimate
from deepgen.testing.exact import Exact
from deepgen.testing.failure import CheckFailed, demand
from deepgen.testing.goodness import chi_square, ks, ks_same, same_cells, same_law, same_mean, symmetric
from deepgen.testing.gradients import check_causal, check_gradient
from deepgen.testing.involutions import check_involution
from deepgen.testing.kernels import Invariance, WeakEvidence, check_kernel, kernel_test
from deepgen.testing.latent import check_latent
from deepgen.testing.law import Law, integrate, layout
from deepgen.testing.linear_gaussian import LinearGaussian
from deepgen.testing.models import check_model
from deepgen.testing.objective_gradient import check_objective
from deepgen.testing.randomness import check_random, numbers
from deepgen.testing.samples import check_samples
from deepgen.testing.sequential import Evidence, sequential
from deepgen.testing.target import check_target
from deepgen.testing.transforms import check_transform
from deepgen.testing.units import check_units, field_law
from deepgen.testing.waiting import check_never_waits, never_waits
from deepgen.testing.walk_laws import check_walks, walk_row

__all__ = [
    "CheckFailed",
    "Coverage",
    "Evidence",
    "Exact",
    "Invariance",
    "Law",
    "LinearGaussian",
    "WeakEvidence",
    "check_causal",
    "check_checkpoint",
    "check_density",
    "check_estimate",
    "check_gradient",
    "check_involution",
    "check_kernel",
    "check_latent",
    "check_model",
    "check_never_waits",
    "check_objective",
    "check_random",
    "check_samples",
    "check_target",
    "check_transform",
    "check_units",
    "check_walks",
    "chi_square",
    "demand",
    "demand_same_state",
    "field_law",
    "integrate",
    "kernel_test",
    "ks",
    "ks_same",
    "layout",
    "never_waits",
    "numbers",
    "same_cells",
    "same_law",
    "same_mean",
    "sequential",
    "symmetric",
    "walk_row",
]
