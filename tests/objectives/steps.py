"""What the tests of contrastive steps share: an optimizer that only shows gradients, and copies of parameters."""

import torch


def still(model):
    """An optimizer that moves nothing and, having momentum, wants the gradients in p.grad."""
    return torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.5)


def named_gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def snapshot(model):
    return [p.detach().clone() for p in model.parameters()]


def leaves(state):
    """The tensors and, as tensors, the numbers of nested states."""
    if isinstance(state, tuple):
        return [leaf for part in state for leaf in leaves(part)]
    return [] if state is None else [torch.as_tensor(state)]
