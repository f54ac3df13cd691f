"""Answers of a model at rest: without gradients, dropout, or rows that depend on others by batch normalisation.

A module is in training mode from its making on, and after `deepgen.fit` again. What trains it (`bound`, `log_prob`,
`posterior`, `likelihood`, `code`) answers in the mode that it is in and lets gradients flow. What is asked of a trained
model (`sample`, `encode`, `decode`, `reconstruct`, `predict`, the figures of `deepgen.evaluate`) is about the network
whose draws and probabilities are reported, whatever mode it is in, and leaves no trace in its modes and buffers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import nn

Call = TypeVar("Call", bound=Callable[..., Any])


@contextmanager
def at_rest(model: Any) -> Iterator[Any]:
    """The model in evaluation mode for a ``with`` block: no dropout, and no row that depends on others by batch norm.

    Of a bound method, such as ``net.embed``, the module that it belongs to. What is given back is what to ask: the
    model, or where a context was filled in (``cvae(context)``) the same filled in anew, its code that of the model at
    rest. Parts that rest by the caller's own choice stay so afterwards.

    >>> net = nn.Sequential(nn.Dropout())
    >>> with at_rest(net):
    ...     net[0].training
    False
    >>> net[0].training
    True
    """
    owner = getattr(model, "__self__", model)
    unfilled: Any = getattr(owner, "unfilled", None)
    whole, context = (owner, None) if unfilled is None else unfilled()
    learning = [part for part in whole.modules() if part.training] if isinstance(whole, nn.Module) else []
    try:
        for part in learning:
            part.training = False
        yield model if unfilled is None else whole(context)
    finally:
        for part in learning:
            part.training = True


def answered_at_rest(call: Call) -> Call:
    """Decorator of a method, or of a function whose first argument is a ``model``: no gradients, `at_rest` meanwhile.

    >>> @answered_at_rest
    ... def mode(model):
    ...     return model.training, torch.is_grad_enabled()
    >>> mode(nn.Linear(2, 1))
    (False, False)
    """

    @functools.wraps(call)
    def asked(*given: Any, **named: Any) -> Any:
        first = given[0] if given else named.get("model")
        with torch.no_grad(), at_rest(first) as resting:
            if given:
                given = (resting, *given[1:])
            elif "model" in named:
                named["model"] = resting
            return call(*given, **named)

    return cast("Call", asked)
