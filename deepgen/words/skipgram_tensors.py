"""Skip-gram with negative sampling in matrix products, for accelerators; noise tokens are common to a sentence.

For a sentence with inputs X and outputs Y ``[width, d]``, pairs M ``[width, width]`` (neighbour, centre) in reach, and
R noise tokens with outputs N ``[R, d]``, of which each pair has k in expectation:

    loss = - sum_nc M_nc log s(x_n . y_c) - (k / R) sum_nr m_n log s(- x_n . y_r),       m_n = sum_c M_nc

A noise token counts for the centres that it is not. Steps of many sentences are added up before they are taken, and the
sum of steps from one old state diverges where tokens come often in it: an update takes at most ``tokens / 8`` tokens,
one sentence at least. So small graphs and small vocabularies belong on the CPU's kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deepgen.errors import ArgumentError

if TYPE_CHECKING:
    from deepgen.words.learner import Learner

NOISE = 64  # noise tokens of a sentence


class TensorLearner:
    """The same state as a `deepgen.words.learner.Learner`, on a device."""

    def __init__(self, learner: Learner, device: torch.device | str) -> None:
        if learner.cbow or learner.hierarchical:
            raise ArgumentError("on a device there is skip-gram with negative sampling: leave out device= for others")
        self.device, self.settings = torch.device(device), learner
        self.x, self.y = (torch.from_numpy(np.array(each)).to(self.device) for each in learner.tables())
        self.keep = torch.from_numpy(learner.keep).float().to(self.device)
        self.noise = torch.from_numpy(learner.noise.cumsum() / learner.noise.sum()).to(self.device)
        self.most = max(1, len(learner.keep) // 8)
        self.generator = torch.Generator(self.device).manual_seed(int(learner.key) >> 1)

    def learn(self, batch: npt.NDArray[np.int32], first: int, before: int) -> None:
        """Learn from sentences, ``before`` tokens after the beginning."""
        start, last, total = self.settings.schedule
        rows = max(1, self.most // max(1, batch.shape[1]))
        for i in range(0, len(batch), rows):
            piece = torch.from_numpy(batch[i : i + rows]).to(self.device).long()
            rate = start + (last - start) * min(1.0, before / total)
            before += int((batch[i : i + rows] >= 0).sum())
            self.update(*self.drawn(piece), rate)

    def drawn(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, which of them are pairs ``[n, width, width]`` (neighbour, centre), and noise tokens ``[n, R]``."""
        n, width = tokens.shape
        unit = torch.rand(2, n, width, generator=self.generator, device=self.device)
        kept = (tokens >= 0) & (unit[0] < self.keep[tokens.clamp_min(0)])
        place = kept.cumsum(1)  # the distance is that among the tokens that stay
        reach = 1 + (unit[1] * self.settings.window).long().clamp_max(self.settings.window - 1)
        apart = (place.unsqueeze(2) - place.unsqueeze(1)).abs()
        pairs = (apart > 0) & (apart <= reach.unsqueeze(1)) & kept.unsqueeze(1) & kept.unsqueeze(2)
        draws = torch.rand(n, NOISE, generator=self.generator, device=self.device, dtype=torch.float64)
        return tokens.clamp_min(0), pairs, torch.searchsorted(self.noise, draws).clamp_max(len(self.noise) - 1)

    def update(self, tokens: Tensor, pairs: Tensor, noise: Tensor, rate: float) -> None:
        """One step down the loss above, summed over the sentences."""
        x, y, r = self.x[tokens], self.y[tokens], self.y[noise]
        m = pairs.to(x.dtype)
        other = (tokens.unsqueeze(2) != noise.unsqueeze(1)).to(x.dtype)  # centre, noise
        near = (1 - torch.sigmoid(x @ y.mT)) * m
        far = -torch.sigmoid(x @ r.mT) * (m @ other) * (self.settings.negatives / noise.shape[1])
        steps = near @ y + far @ r, near.mT @ x, far.mT @ x
        for table, rows, step in zip((self.x, self.y, self.y), (tokens, tokens, noise), steps, strict=True):
            table.index_add_(0, rows.flatten(), step.flatten(0, 1), alpha=rate)

    def tables(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The vectors of inputs and of outputs ``[tokens, dim]``."""
        return self.x.cpu().numpy(), self.y.cpu().numpy()
