"""Pyro programs whose posteriors are known, in one place for targets and for Pyro's own runner."""

import pyro
import pyro.distributions as law
import torch

HEADS, TOSSES = torch.tensor(7.0), 10
Y = torch.tensor([1.3, -0.4, 2.2, 0.9])
COUNTS = torch.tensor([0, 2, 2, 1, 2, 0, 2])


def coin(heads=HEADS):
    """p ~ Beta(2, 3), 7 heads of 10: Beta(9, 6), and p(y) of a beta-binomial."""
    p = pyro.sample("p", law.Beta(2.0, 3.0))
    pyro.sample("heads", law.Binomial(TOSSES, p), obs=heads)


def normals(y=Y):
    """m ~ N(1, 2^2), four rows N(m, 0.5^2): see `normal_posterior`."""
    m = pyro.sample("m", law.Normal(1.0, 2.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", law.Normal(m, 0.5), obs=y)


def normal_posterior():
    precision = 1 / 2.0**2 + len(Y) / 0.5**2
    return law.Normal((1.0 / 2.0**2 + Y.sum() / 0.5**2) / precision, precision**-0.5)


def simplex():
    """w ~ Dirichlet(1, 2, 3), seven draws of three kinds: Dirichlet(3, 3, 7)."""
    w = pyro.sample("w", law.Dirichlet(torch.tensor([1.0, 2.0, 3.0])))
    with pyro.plate("draws", len(COUNTS)):
        pyro.sample("kind", law.Categorical(w), obs=COUNTS)


def scales(y=Y):
    """Rows N(0, s^2) with s^-2 ~ Gamma(3, 2), written with s: s^-2 | y ~ Gamma(3 + n/2, 2 + sum y^2 / 2)."""
    precision = law.Gamma(3.0, 2.0)
    s = pyro.sample("s", law.TransformedDistribution(precision, [law.transforms.PowerTransform(torch.tensor(-0.5))]))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", law.Normal(0.0, s), obs=y)


def hierarchy(y=Y):
    """A group's mean and scale, and effects of the rows around it, in two plates: no closed form."""
    mean = pyro.sample("mean", law.Normal(0.0, 1.0))
    scale = pyro.sample("scale", law.HalfNormal(1.0))
    with pyro.plate("rows", len(y)):
        effect = pyro.sample("effect", law.Normal(mean, scale))
        pyro.sample("y", law.Normal(effect, torch.tensor(0.5)), obs=y)
    pyro.deterministic("spread", effect.max() - effect.min())


def logged():
    """LogNormal and Uniform(0, s): the support of one site is the value of another."""
    s = pyro.sample("s", law.LogNormal(0.5, 0.7))
    pyro.sample("u", law.Uniform(0.0, s))
