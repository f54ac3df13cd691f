"""What `log_partition`, `log_likelihood` and `pseudo_likelihood` refuse before they start, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from deepgen.errors import (
    ArgumentError,
    DivergenceError,
    MissingCapability,
    ShapeError,
    SupportError,
    check_count,
    is_whole,
    unknown_name,
)
from deepgen.evaluate.exact import normalisable
from deepgen.evaluate.layered import LAYERED, Layered
from deepgen.explicit.dbm import DBM
from deepgen.explicit.dbn import DBN
from deepgen.explicit.energy import EnergyModel
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import require_tensor
from deepgen.samplers.run import Tunable

PARTITION = ("auto", "exact", "ais", "reverse", "bidirectional")
LIKELIHOOD = (*PARTITION, "bound", "raise", "pseudo", "elbo", "iwae", "prior")
# Which methods have a use for an option. "auto" may turn out to be one that has.
_TAKEN_BY = {
    "samples": ("auto", "bidirectional", "reverse", "bound", "elbo", "iwae", "prior"),
    "exact_samples": ("auto", "bidirectional", "reverse"),
    "chains": ("auto", "ais", "bidirectional", "bound", "raise", "reverse"),
    "temperatures": ("auto", "ais", "bidirectional", "raise", "reverse"),
    "tolerance": ("auto", "ais", "bidirectional", "reverse"),
}


def check_method(function: str, method: object, known: tuple[str, ...], options: Mapping[str, object]) -> None:
    """Raise unless ``method`` is ``known`` and has a use for each of ``options`` that is not None.

    >>> check_method("log_partition", "exact", PARTITION, {"chains": 100, "samples": None})
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: method='exact' takes no chains; those that do: ais, bidirectional, reverse
    """
    if not isinstance(method, str):
        raise ArgumentError(
            f"method must be one of {', '.join(known)}, got {type(method).__name__} (rows of data go to base=)"
        )
    if method not in known:
        raise unknown_name(f"method of {function}", method, known)
    for name, value in options.items():
        takers = [taker for taker in _TAKEN_BY[name] if taker in known]
        if value is not None and method not in takers:
            raise ArgumentError(f"method={method!r} takes no {name}; those that do: {', '.join(takers[1:])}")
    samples, chains = options.get("samples"), options.get("chains")
    if options.get("exact_samples") is not None:
        _check_promise(samples, options["exact_samples"])
    if method == "reverse" and isinstance(samples, Tensor):
        if options.get("tolerance") is not None:
            raise ArgumentError("tolerance is of AIS, which method='reverse' with samples does not run")
        if chains is not None and chains != len(samples):
            raise ArgumentError(f"method='reverse' runs one chain per sample: got {len(samples)} samples, {chains=}")


def _check_promise(samples: object, promise: object) -> None:
    """Raise unless ``exact_samples=`` is True, and of rows that may be what it says they are."""
    if promise is not True:
        raise ArgumentError(f"exact_samples must be True or False, got {promise!r} (the draws go to samples=)")
    if not isinstance(samples, Tensor):
        raise ArgumentError("exact_samples=True says what samples= are: hand over the draws, [chains, *event]")
    if is_data(samples):
        raise ArgumentError(
            "exact_samples=True says that samples= are exact draws of the model, but they are rows of data: leave it "
            "out, and the reverse value is called undetermined"
        )


def is_data(x: object) -> bool:
    """Whether a tensor knows that its rows are data, as a whole split of `deepgen.data` does; slices do not know it.

    >>> import deepgen as dg
    >>> x = dg.data.load("bars_and_stripes").train
    >>> is_data(x), is_data(x[:5])
    (True, False)
    """
    return bool(getattr(x, "provenance", None))


def require_machine(model: object) -> Layered | EnergyModel:
    """Return ``model`` if it has layers of units or is an energy model, with finite parameters, or raise."""
    if not isinstance(model, (*LAYERED, EnergyModel)):
        if isinstance(model, Tunable):
            raise MissingCapability(
                f"{type(model).__name__} is a kernel that is yet to be tuned: give it a step_size, or hand over the "
                "kernel of a trace, which is frozen"
            )
        if hasattr(model, "generate") and hasattr(model, "logit"):
            raise MissingCapability(
                "a GAN has no likelihood: judge its draws by sample_quality, or state the noise around them, as "
                "Decoder(gan.averaged, gan.latent, likelihood=0.3), and judge that"
            )
        raise MissingCapability(
            f"{type(model).__name__} has neither a normalised log_prob, nor a bound, nor layers of units (an RBM, DBM "
            "or DBN), nor is it an EnergyModel: there is no estimator of its likelihood here"
        )
    broken = [name for name, p in model.named_parameters() if not bool(p.isfinite().all())]
    if broken:
        raise DivergenceError(f"the model's {broken[0]} holds NaN or infinite values: it has no likelihood")
    return model


def require_layers(model: object) -> RBM:
    """Return ``model`` if it has two layers of units, whose pseudo-likelihood is known, or raise."""
    if not isinstance(model, RBM):
        raise MissingCapability(
            f"the pseudo-likelihood is of an RBM, got {type(model).__name__}: of deeper machines no p(v_i | the rest) "
            "is in closed form; use method='auto'"
        )
    return model


def split_draws(model: object, method: object, samples: Tensor | int | None) -> tuple[Tensor | int | None, int | None]:
    """``samples=`` as draws for reverse AIS, and as the number of draws of hidden levels, k of a `DBM` or `DBN`.

    >>> from deepgen.explicit import DBM
    >>> split_draws(DBM(4, [3, 2]), "ais", 50), split_draws(RBM(4, 3), "ais", 50)
    ((None, 50), (50, None))
    """
    if not isinstance(model, (DBM, DBN)) or not is_whole(samples):
        return samples, None
    if method in ("raise", "pseudo"):
        raise ArgumentError(f"method={method!r} takes no samples; the draws of raise are its chains=, so many a row")
    check_count(samples=samples)
    return None, int(samples)


def as_numbers(model: RBM | EnergyModel, x: Tensor) -> Tensor:
    """Rows in the model's dtype and on its device."""
    return x.to(model.weight) if isinstance(model, RBM) else model.rows(x)


def require_normalisable(model: RBM) -> None:
    """Raise `DivergenceError` where log Z is infinite, so that no annealing can end."""
    if not normalisable(model):
        raise DivergenceError(
            "the machine has no likelihood: its log Z is +inf, as the precision matrix of its Gaussian units is not "
            "positive definite. Use smaller weights between them or larger precisions (a lower learning rate, "
            "weight decay); two layers of which one is discrete are always normalisable",
        )


def from_array(x: Any, *, double: bool = False) -> Any:
    """An array as the tensor that `deepgen.fit` makes of it, with ``double`` for a model of float64; else as it is.

    >>> import numpy as np
    >>> from_array(np.zeros((2, 3))).dtype, from_array([0.0])
    (torch.float32, [0.0])
    """
    from deepgen.data import as_tensor

    is_array = hasattr(x, "__array__") and not isinstance(x, Tensor) and getattr(x, "ndim", 0) > 0
    return as_tensor(x, double=double) if is_array else x


def split_context(model: object, x: Any) -> tuple[Any, Tensor | None]:
    """Rows and their context from a pair, for a model with ``context``; whatever else comes as it is, and None.

    Arrays become tensors, integers among them (labels, say) of int64. A TensorDataset is what its tensors are, so that
    what `deepgen.fit` takes can be evaluated as it is.
    """
    if type(x) is TensorDataset:
        x = x.tensors[0] if len(x.tensors) == 1 else x.tensors
    weights = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    double = weights is not None and weights.dtype == torch.float64
    if not isinstance(x, (tuple, list)) or len(x) != 2 or not getattr(model, "context", 0):
        return from_array(x, double=double), None
    rows, context = from_array(x[0], double=double), x[1]
    if not isinstance(context, Tensor):
        whole = getattr(context, "dtype", None) == "uint8"
        context = torch.as_tensor(context) if whole else from_array(context, double=double)
    for name, part in (("the rows", rows), ("the context", context)):
        require_tensor(part, name)
    return rows, context


def check_rows(model: object, x: Any, context: Tensor | None = None) -> Tensor:
    """Return ``x`` if it is ``[rows, *event]`` of values that the model can take, or raise."""
    if not isinstance(x, Tensor) and hasattr(x, "train") and hasattr(x, "test"):
        raise ShapeError(f"x is a whole {type(x).__name__} object: pass one of its splits, such as data.test")
    if isinstance(x, (tuple, list)) and context is None and getattr(model, "context", None):
        raise ShapeError("x must be rows alone, got several: give their contexts by context=")
    require_tensor(x, "x")
    if x.ndim < 2 or len(x) == 0:
        raise ShapeError(f"x must be [rows, *event] with at least one row, got {list(x.shape)}")
    check = getattr(model, "check", None)
    if check is not None:
        check(x if context is None else (x, context))
    elif not bool(torch.isfinite(x).all()):
        raise SupportError("x holds NaN or infinite values; drop those rows or fill them in first")
    return x
