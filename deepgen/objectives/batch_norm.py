"""Why no penalty on the gradient of a row goes with a batch norm, said once."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from deepgen.errors import ArgumentError


def refuse_batch_norm(network: nn.Module, name: str, each: str, penalty: str, remedy: str) -> None:
    """Raise `ArgumentError` if ``network`` has a batch norm: in training d output_i / d row_j is not 0 for j != i.

    Args:
        network: what a penalty takes gradients through.
        name, each, penalty: words for the network, for one of its outputs and for the penalty.
        remedy: what to do besides taking other norms.

    >>> refuse_batch_norm(nn.Sequential(nn.BatchNorm1d(2)), "encoder", "code", "Contraction", "penalty=()")
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: the encoder has a batch norm (0), through which each code depends on ...
    """
    norms = [part for part, module in network.named_modules() if isinstance(module, _BatchNorm)]
    if norms:
        raise ArgumentError(
            f"the {name} has a batch norm ({norms[0] or 'itself'}), through which each {each} depends on the other "
            f"rows, so that {penalty} is not that of a row: use layer, group or instance norm, {remedy}"
        )
