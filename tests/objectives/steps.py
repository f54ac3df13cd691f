"""What the tests of contrastive steps share: an optimizer that only shows gradients, and copies of parameters."""

import torch


def still(model):
    """An optimizer that moves nothing and, having momentum, wants the gradients in p.grad."""
    return torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.5)


def named_gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def snapshot(model):
    return [p.detach().clone() for p in model.parameters()]
