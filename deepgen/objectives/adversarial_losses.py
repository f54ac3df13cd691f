"""What generator and discriminator play for: two losses a row, of logits on real rows and on draws.

    s = softplus, r = D(real), f = D(draw)       discriminator minimises          generator minimises

    Minimax            Goodfellow et al. 2014    s(-r) + s(f)                     -s(f)
    NonSaturating      ibid.                     s(-r) + s(f)                     s(-f)
    LeastSquares       Mao et al. 2017           (r - 1)^2 / 2 + f^2 / 2          (f - 1)^2 / 2
    Hinge              Lim & Ye 2017             max(0, 1 - r) + max(0, 1 + f)    -f
    Wasserstein        Arjovsky et al. 2017      f - r                            -f
    Relativistic       Jolicoeur-Martineau 2018  s(f - r)                         s(r - f)

For the first two the best discriminator is D(x) = log p_data(x) - log p_G(x), and there the mean of the
discriminator's loss is 2 log 2 - 2 JSD(p_data, p_G). `Relativistic`, which has the same best one up to a constant,
pairs row i of the batch with draw i: it asks which of the two is the real one, so that no constant added to D matters
and no draw is judged alone. It has no bad local minima from dropped modes, where the others have (Sun, Fang & Schwing
2020), and its plain form needs penalties to converge (Huang et al. 2024, "The GAN is dead; long live the GAN!").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch.nn.functional as F
from torch import Tensor


class Loss(Protocol):
    """Two functions of logits ``[rows]`` to losses ``[rows]``, and whether the generator's needs the real logits.

    >>> mine: Loss = Hinge()
    >>> mine.paired
    False
    """

    @property
    def paired(self) -> bool: ...

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises."""

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        """What the generator minimises; ``real`` is None unless ``paired``."""


@dataclass(frozen=True)
class Minimax:
    """The game as it is analysed. The generator's gradient vanishes where the discriminator is sure.

    >>> import torch
    >>> round(float(Minimax().discriminator(torch.zeros(()), torch.zeros(()))), 4)  # 2 log 2
    1.3863
    """

    paired: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real) + F.softplus(fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -F.softplus(fake)


@dataclass(frozen=True)
class NonSaturating(Minimax):
    """The same discriminator, and a generator whose gradient grows where the discriminator is sure.

    >>> import torch
    >>> NonSaturating().generator(None, torch.tensor(-10.0))
    tensor(10.0000)
    """

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return F.softplus(-fake)


@dataclass(frozen=True)
class LeastSquares:
    """Targets 1 for real rows and 0 for draws; the generator wants 1.

    >>> import torch
    >>> LeastSquares().discriminator(torch.tensor(0.5), torch.tensor(0.5))
    tensor(0.2500)
    """

    paired: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return (real - 1).square() / 2 + fake.square() / 2

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return (fake - 1).square() / 2


@dataclass(frozen=True)
class Hinge:
    """No gradient from rows beyond the margin: the usual companion of spectral norm.

    >>> import torch
    >>> Hinge().discriminator(torch.tensor(2.0), torch.tensor(-2.0))
    tensor(0.)
    """

    paired: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real) + F.relu(1 + fake)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -fake


@dataclass(frozen=True)
class Wasserstein:
    """The difference of means. It says a distance only if the discriminator is 1-Lipschitz: give a penalty.

    >>> import torch
    >>> Wasserstein().discriminator(torch.tensor(2.0), torch.tensor(-2.0))
    tensor(-4.)
    """

    paired: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        return -fake


@dataclass(frozen=True)
class Relativistic:
    """Which of a pair is real? The default, with `R1` and `R2`.

    >>> import torch
    >>> real, fake = torch.tensor([3.0]), torch.tensor([1.0])
    >>> Relativistic().discriminator(real, fake), Relativistic().generator(real, fake)  # a constant changes neither
    (tensor([0.1269]), tensor([2.1269]))
    """

    paired: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real)

    def generator(self, real: Tensor | None, fake: Tensor) -> Tensor:
        assert real is not None
        return F.softplus(real - fake)
