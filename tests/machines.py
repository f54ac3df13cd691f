"""A machine for tests that hold for fixed parameters."""

import torch

from deepgen.explicit import RBM


def machine(visible=3, hidden=2, scale=1.0):
    """A fixed target, skewed (symmetry hides sign errors) and with no unit near certainty."""
    rbm = RBM(visible, hidden, generator=0)
    with torch.no_grad():
        for shift, p in enumerate((rbm.weight, rbm.visible_bias, rbm.hidden_bias)):
            p.copy_(scale * torch.sin(torch.arange(p.numel()) * 2.4 + 1 + shift).reshape(p.shape))
    return rbm
