"""The law that a stochastic-gradient kernel has itself, where the log density is quadratic.

Near a mode log f(x) = -(x - m)'A(x - m) / 2, and a step with constant gradient noise is linear:

    z' = F z + noise of covariance Q        =>        its stationary covariance C solves  C = F C F' + Q

This is the discrete Lyapunov equation, exact for a Gaussian target at any step size; as the step goes to 0 it becomes
the continuous one, A C + C A = Q / step, that Mandt, Hoffman & Blei 2017 use. The kernels' ``stationary`` methods
give F and Q. All of it is small and happens in float64 on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.samplers.scale import Scale


def stationary_covariance(transition: Tensor, noise: Tensor) -> Tensor:
    """C of z' = F z + N(0, Q): ``[D, D]`` from F and Q ``[D, D]``, in float64.

    Raises:
        ArgumentError: F does not contract (its spectral radius is 1 or more), so there is no stationary law.
        ShapeError: not two matrices of one size.

    >>> stationary_covariance(torch.tensor([[0.5]]), torch.tensor([[3.0]]))  # 3 / (1 - 1/4)
    tensor([[4.]], dtype=torch.float64)
    """
    from scipy.linalg import solve_discrete_lyapunov

    _check_pair(transition, noise)
    radius = float(torch.linalg.eigvals(transition.double()).abs().max())
    if radius >= 1:
        raise ArgumentError(
            f"the step is too long for this curvature: deviations grow by {radius:.4g} a step, so there is no "
            "stationary law; lower step_size"
        )
    solved = solve_discrete_lyapunov(transition.double().cpu().numpy(), noise.double().cpu().numpy())
    return torch.as_tensor(solved)


def lyapunov(curvature: Tensor, noise: Tensor) -> Tensor:
    """C with A C + C A' = Q: ``[D, D]`` from A and Q ``[D, D]``, in float64; the limit of small steps.

    Raises:
        ShapeError: not two matrices of one size.

    >>> lyapunov(torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    tensor([[0.2500]], dtype=torch.float64)
    """
    from scipy.linalg import solve_continuous_lyapunov

    _check_pair(curvature, noise)
    solved = solve_continuous_lyapunov(curvature.double().cpu().numpy(), noise.double().cpu().numpy())
    return torch.as_tensor(solved)


def _check_pair(one: Tensor, other: Tensor) -> None:
    if one.ndim != 2 or one.shape[0] != one.shape[1] or one.shape != other.shape:
        raise ShapeError(f"expected two matrices [D, D] of one size, got {list(one.shape)} and {list(other.shape)}")


def matrix(value: Tensor | float, size: int) -> Tensor:
    """A covariance or curvature in full, ``[D, D]`` in float64, from itself, from its diagonal or from one number.

    >>> matrix(2.0, 2)
    tensor([[2., 0.],
            [0., 2.]], dtype=torch.float64)
    """
    value = torch.as_tensor(value).detach().cpu().double()
    if value.shape not in ((), (size,), (size, size)):
        raise ShapeError(
            f"expected a matrix [{size}, {size}], its diagonal [{size}] or a number, got {list(value.shape)}"
        )
    return value if value.ndim == 2 else value.expand(size).diag()


def square(scale: Scale, size: int) -> Tensor:
    """S = L L' in full, ``[D, D]`` in float64."""
    if scale is None:
        return torch.eye(size, dtype=torch.float64)
    full = matrix(scale, size)
    return full @ full.mT
