"""Small deep machines of several kinds with random parameters, and the truth about them by brute force."""

import torch

from deepgen.explicit import DBM, DBN, RBM, Gaussian, Product, Softmax, Spin
from deepgen.testing import Exact

DBMS = {
    "two": lambda: DBM(4, [3, 3]),
    "three": lambda: DBM(3, [3, 3, 2]),
    "kinds": lambda: DBM(Softmax(1, 3), [Spin(2), 2, Spin(2)]),
    "real": lambda: DBM(Gaussian(2, precision=2.0, learned=True), [3, Spin(2)]),
    "joined": lambda: DBM([2, Softmax(1, 3)], [[2, Spin(1)], 3]),
}
DBNS = {
    "two levels": lambda: DBN(4, [3, 3]),
    "three levels": lambda: DBN(4, [3, 3, 2]),
    "untied": lambda: DBN(4, [3, 2, 3], untied=True),
    "kinds of levels": lambda: DBN(Softmax(1, 3), [Spin(3), 2, Softmax(1, 3)]),
    "real data": lambda: DBN(Gaussian(2, precision=2.0, learned=True), [3, 2]),
}
MACHINES = {**DBMS, **DBNS}


def deep(name, stream, *, scale=0.8, dtype=torch.float64):
    """One of `MACHINES` with N(0, scale^2) parameters (of precisions N(0, 0.2^2) around theirs)."""
    model = MACHINES[name]().to(dtype)
    with torch.no_grad():
        for path, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=stream, dtype=torch.float64).to(dtype)
            p.copy_(p + 0.2 * noise if "log_precision" in path else scale * noise)
    return model


def whole(dbm):
    """The machine with its hidden levels as one layer, for `Exact`."""
    return Exact(Whole(dbm))


class Whole(torch.nn.Module):
    def __init__(self, dbm):
        super().__init__()
        self.dbm, self.visible = dbm, dbm.visible
        self.hidden = Product(*dbm.levels[1:])

    def energy(self, v, h):
        return self.dbm.energy(v, *h.split([units.width for units in self.dbm.levels[1:]], -1))


@torch.no_grad()
def truth(model, x):
    """log p(v) of rows ``[rows]`` by the plain sum over all hidden states, in float64."""
    if isinstance(model, DBM):
        return whole(model).log_likelihood(x).detach()
    exact = Exact(model.top)
    states = [torch.zeros(1, 0, dtype=torch.float64)]
    levels = [rbm.hidden for rbm in model.rbms[:-1]]
    h = Product(*levels).enumerate(0, Product(*levels).states).to(x.dtype) if levels else states[0]
    parts = h.split([units.width for units in levels], -1)
    total = torch.zeros(len(x), len(h), dtype=torch.float64)
    for level, (rbm, y) in enumerate(zip(model.rbms[:-1], parts, strict=True)):
        below = x.unsqueeze(1) if level == 0 else parts[level - 1].unsqueeze(0)
        field = rbm.visible_bias + y @ rbm.weight.t()
        log_p = (field * below).sum(-1) - rbm.visible.energy(below) - rbm.visible.cumulant(field)
        total = total + log_p.double()
    top = exact.log_likelihood(parts[-1] if levels else x)
    return (total + (top if levels else top.unsqueeze(1))).logsumexp(1)


def rows(model, n, stream):
    """Rows that the visible level can take, at fields of no meaning."""
    field = torch.randn(n, model.visible.width, generator=stream)
    return model.visible.sample(field.to(next(model.parameters())), generator=stream).to(next(model.parameters()))


def shallow(stream):
    """A machine with two layers to put more on top of."""
    rbm = RBM(4, 3).double()
    with torch.no_grad():
        for p in rbm.parameters():
            p.copy_(torch.randn(p.shape, generator=stream, dtype=torch.float64))
    return rbm
