"""Grey levels for images of which one draw of bits is known, so that bits can be drawn anew while a model trains.

A step of Gibbs sampling, x_i ~ p(x_i | the other pixels), leaves the law of the images as it is, and makes new images
of old ones. Here p is a network that sees three quarters of the pixels and tells the others' chances, learnt from the
same bits: convolutions share what they learn between places, so that it fits rows that it has not seen nearly as well.
A share of all pixels is drawn anew, each on its own, so that it is a step only as far as the network is right and
pixels that are drawn together do not hang together; what that costs grows with the share, and validation rows choose
it. Scales with skips are those of a U-net (Ronneberger et al. 2015), random sets of known pixels those of Uria, Murray
& Larochelle 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from quality_rows import Results, Row, Task, digest, trained
from torch import Tensor, nn

import deepgen as dg

SIDE, PARTS, ROWS = 28, 4, 500
LEVELS = {"epochs": 8, "batch": 128, "rate": 3e-3, "products": "bfloat16"}  # of the network's training
LEAST, MOST = 0.5, 0.95  # share of the pixels that are seen in training; in use it is 3/4


class Neighbours(nn.Module):
    """Logits of every pixel of ``[rows, 784]`` bits given those that a mask of the same shape lets it see.

    Convolutions of 3 x 3 on three scales, each with what the finer one saw beside it, and four learnt maps of places.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(1, 4, SIDE, SIDE))
        self.fine = _two(6, width, width)
        self.middle = _two(width, 2 * width, 2 * width)
        self.coarse = _two(2 * width, 4 * width, 2 * width)
        self.middle_again = _one(4 * width, width)
        self.last = nn.Sequential(_one(2 * width, width), nn.Conv2d(width, 1, 1))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        images = [rows.view(-1, 1, SIDE, SIDE) for rows in ((2 * x - 1) * seen, seen)]
        both = torch.cat([*images, self.places.expand(len(x), -1, -1, -1)], 1)
        fine = self.fine(both.contiguous(memory_format=torch.channels_last))
        middle = self.middle(F.max_pool2d(fine, 2))
        coarse = self.coarse(F.max_pool2d(middle, 2))
        middle = self.middle_again(torch.cat([middle, F.interpolate(coarse, scale_factor=2)], 1))
        logits: Tensor = self.last(torch.cat([fine, F.interpolate(middle, scale_factor=2)], 1))
        return logits.reshape(len(x), -1).float()

    def order_log_prob(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """784 times the mean of log p(x_i | seen) over the pixels of each row that are not seen, a random set."""
        share = LEAST + (MOST - LEAST) * torch.rand(len(x), 1, generator=generator, device=x.device)
        seen = (torch.rand(x.shape, generator=generator, device=x.device) < share).to(x)
        told = -F.binary_cross_entropy_with_logits(self(x, seen), x, reduction="none") * (1 - seen)
        return told.sum(1) * x.shape[1] / (1 - seen).sum(1).clamp_min(1)

    @torch.no_grad()
    def levels(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """The chance of each bit of ``[rows, 784]`` to be 1, given those of the three quarters that it is not in."""
        part = torch.randint(PARTS, x.shape, generator=generator, device=x.device)
        found = torch.zeros_like(x)
        for k in range(PARTS):
            for rows, parts, out in zip(x.split(ROWS), part.split(ROWS), found.split(ROWS), strict=True):
                seen = (parts != k).to(x)
                out += torch.sigmoid(self(rows, seen)) * (1 - seen)
        return found


def guessed(row: Row, task: Task, x: Tensor, words: str) -> tuple[Any, str, Results]:
    """Rows ``x`` of which the row's share of bits is drawn anew at each access, if it has one; words for them, and what
    finding their levels took.

    The network learns from the training rows alone, whichever ``x`` are, so that the validation rows judge it.
    """
    if "share drawn anew" not in row.setting:
        return x, words, {}
    s: Mapping[str, Any] = row.setting["levels"]
    data = dg.data.load(row.setting["data"], root=task.root)
    with dg.random.lend(dg.random.generator(task.seed)):  # torch's own layers start from it
        network = Neighbours()
    network.to(task.device)
    name = f"levels-{data.provenance['name']}_{digest(str(dict(s)))}_seed-{task.seed}"  # one network for all shares
    parts = {"train": data.train.to(task.device), "valid": data.valid[:2000].to(task.device)}
    told = trained(
        network, parts["train"], parts["valid"], dg.objectives.OrderAgnostic(),
        replace(row, setting=s), replace(task, folder=task.folder.with_name(name)), monitor=_mean, decay=1e-4,
    )  # fmt: skip
    levels = network.levels(x.to(task.device), generator=dg.random.generator(task.seed, task.device)).to(x.device)
    for part, rows in parts.items():  # 784 times the mean of a pixel
        told[f"pixels given others, {part}, nats"] = round(_mean(network, rows[:2000]), 2)
    found = dg.data.Redrawn(x.lerp(levels, row.setting["share drawn anew"]), "binary")
    words += f", {row.setting['share drawn anew']} of the bits drawn anew from levels that the bits alone tell"
    return found, words, {f"levels: {key}": value for key, value in told.items()}


def _mean(network: nn.Module, rows: Tensor) -> float:
    assert isinstance(network, Neighbours)
    with torch.no_grad():
        return float(network.order_log_prob(rows, generator=dg.random.generator(0, rows.device)).mean())


def _one(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, out, 3, padding=1), nn.ReLU())


def _two(width: int, between: int, out: int) -> nn.Sequential:
    return nn.Sequential(_one(width, between), _one(between, out))
