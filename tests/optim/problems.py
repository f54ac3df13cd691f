"""Two functions of two numbers for all optimizers, the lectures' formulas in plain numpy, and a check of closures."""

import numpy as np
import torch
from torch import nn

H = np.array([[50.0, 20.0], [20.0, 10.0]])  # eigenvalues 58.3 and 1.7
START = np.array([-1.2, 1.0])


class Quadratic:
    """theta' H theta / 2 = |r|^2 / 2 with r = L' theta."""

    root = np.linalg.cholesky(H)

    def residuals(self, theta):  # torch, [rows, 2] -> [rows, 2]
        return theta @ torch.tensor(self.root)

    def gradient(self, theta):
        return H @ theta

    def fisher(self, theta):
        return H


class Rosenbrock:
    """(1 - x)^2 + 100 (y - x^2)^2 = |r|^2 / 2."""

    def residuals(self, theta):
        x, y = theta.unbind(-1)
        return torch.stack([2**0.5 * (1 - x), 200**0.5 * (y - x**2)], -1)

    def gradient(self, theta):
        x, y = theta
        return np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])

    def fisher(self, theta):
        jacobian = np.array([[-(2**0.5), 0.0], [-2 * 200**0.5 * theta[0], 200**0.5]])
        return jacobian.T @ jacobian


def descend(gradient, steps, *, lr):
    theta = START
    for _ in range(steps):
        theta = theta - lr * gradient(theta)
        yield theta


def momentum(gradient, steps, *, lr, a):
    theta, v = START, np.zeros(2)
    for _ in range(steps):
        v = a * v - lr * gradient(theta)
        theta = theta + v
        yield theta


def nesterov(gradient, steps, *, lr, a):
    """Yields where the next gradient is taken."""
    theta, v = START, np.zeros(2)
    for _ in range(steps):
        v = a * v - lr * gradient(theta + a * v)
        theta = theta + v
        yield theta + a * v


def adagrad(gradient, steps, *, lr, delta):
    theta, r = START, np.zeros(2)
    for _ in range(steps):
        g = gradient(theta)
        r = r + g**2
        theta = theta - lr / (delta + np.sqrt(r)) * g
        yield theta


def rmsprop(gradient, steps, *, lr, rho, delta):
    theta, r = START, np.zeros(2)
    for _ in range(steps):
        g = gradient(theta)
        r = rho * r + (1 - rho) * g**2
        theta = theta - lr / np.sqrt(delta + r) * g
        yield theta


def rmsprop_nesterov(gradient, steps, *, lr, rho, delta, a):
    """Yields theta and v."""
    theta, v, r = START, np.zeros(2), np.zeros(2)
    for _ in range(steps):
        g = gradient(theta + a * v)
        r = rho * r + (1 - rho) * g**2
        v = a * v - lr / np.sqrt(delta + r) * g
        theta = theta + v
        yield theta, v


def adam(gradient, steps, *, lr, b1=0.9, b2=0.999, delta=1e-8):
    theta, m, r = START, np.zeros(2), np.zeros(2)
    for t in range(1, steps + 1):
        g = gradient(theta)
        m, r = b1 * m + (1 - b1) * g, b2 * r + (1 - b2) * g**2
        theta = theta - lr * (m / (1 - b1**t)) / (np.sqrt(r / (1 - b2**t)) + delta)
        yield theta


def kfac(problem, steps, *, lr, a, damping, decay, every, max_kl):
    """One layer of two outputs and a constant input of 1: A = 1, G = J'J, averaged along the path."""
    theta, v, G = START, np.zeros(2), np.zeros((2, 2))
    for k in range(1, steps + 1):
        e = min(1 - 1 / k, decay)
        G = e * G + (1 - e) * problem.fisher(theta)
        if (k - 1) % every == 0:
            pi = np.sqrt(1 / (np.trace(G) / 2))
            inverse = np.linalg.inv(G + np.sqrt(damping) / pi * np.eye(2)) / (1 + pi * np.sqrt(damping))
        g = problem.gradient(theta)
        d = inverse @ g
        s = 1.0 if max_kl is None else min(1.0, np.sqrt(2 * max_kl / (lr**2 * d @ g)))
        v = a * v - lr * s * d
        theta = theta + v
        yield theta


def run(problem, make, steps):
    """The path of a torch optimizer over ``problem``, ``[steps, 2]``; ``make`` takes a network of one linear layer."""
    net = nn.Linear(1, 2, bias=False).double()
    net.weight.data[:, 0] = torch.tensor(START)
    optimizer, one = make(net), torch.ones(1, 1, dtype=torch.float64)
    for _ in range(steps):
        if isinstance(optimizer, torch.optim.Optimizer) and optimizer.defaults.get("fisher") == "sampled":
            with optimizer.sampling():
                exact_outcomes(lambda x: problem.residuals(net(x)), one).backward()
        optimizer.zero_grad()
        (problem.residuals(net(one)).square().sum() / 2).backward()
        optimizer.step()
        yield net.weight.detach().numpy()[:, 0].copy(), optimizer


def exact_outcomes(means, x):
    """A loss whose gradients have the moments of those at outcomes N(means(x), 1), without any chance: [] .

    Each row stands as often as it has outputs, each time with one of them off by the root of how many they are.
    """
    count = means(x[:1]).numel()
    mean = means(x.repeat_interleave(count, 0)).flatten(1)
    off = count**0.5 * torch.eye(count, dtype=mean.dtype).repeat(len(x), 1)
    return ((mean - mean.detach() - off) ** 2).sum(1).mean() / 2


def check_closure(make):
    """``make([w, still])`` gives the loss of a closure; a parameter without a gradient stays, and another moves."""
    w, still = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = make([w, still])

    def closure():
        optimizer.zero_grad()
        loss = w.square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 3
    assert torch.equal(still, torch.ones(2))
    assert not torch.equal(w, torch.ones(3))
