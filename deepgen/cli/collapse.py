"""Has a model collapsed, so that its draws are of few kinds? In words, from its sample quality and its draws.

    spread = mean over columns of min(1, variance of the draws / variance of the held-out rows)

Three signs: draws are almost all alike (spread), they are in half of the modes or fewer (their KL from the rows' shares
is above log 2 beyond its error), or almost no held-out row is inside their balls (recall). The last two are signs of
collapse only where draws look like rows (precision) or are much alike themselves: noise misses modes too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from deepgen.evaluate.error_bars import plus_minus

if TYPE_CHECKING:
    from deepgen.evaluate import Quality

ALIKE, NARROW = 0.05, 0.5  # spread: of draws that are all alike, and much alike
LOST = 0.1  # recall, as a share of what real rows have among themselves
COVERED = 0.4  # recall, as such a share: above, missing modes are blurred rather than lost
LIKELY = 0.5  # precision, as such a share: below, draws are not like rows at all
ERRORS = 2.0  # standard errors


def spread(real: Tensor, draws: Tensor) -> float:
    """As above, of rows ``[n, features]``; 1 where no column of the real rows varies.

    >>> import torch
    >>> spread(torch.eye(4), torch.ones(3, 4)), spread(torch.eye(4), torch.eye(4))
    (0.0, 1.0)
    """
    wide, narrow = real.double().var(0), draws.double().var(0, correction=int(len(draws) > 1))
    varying = wide > 0
    return float((narrow / wide)[varying].clamp(max=1).mean()) if bool(varying.any()) else 1.0


def collapse(quality: Quality | None, real: Tensor, draws: Tensor) -> str:
    """What to say of a model with these ``draws`` ``[n, features]`` that has collapsed; empty of one that has not."""
    share = spread(real, draws)
    signs = [f"draws have {share:.2g} of the variance of held-out rows"] if share < ALIKE else []
    if quality is not None:
        like = share < NARROW or _share(quality, "precision") > LIKELY
        signs += [words for words in (_modes(quality), _recall(quality)) if words and like]
    return f"collapsed: {', '.join(signs)}" if signs else ""


def _modes(quality: Quality) -> str:
    seen, kl = quality.scores.get("modes"), quality.scores.get("mode_kl")
    few = kl is not None and kl.value - ERRORS * kl.stderr > math.log(2) and not _share(quality, "recall") > COVERED
    if seen is None or kl is None or not few:
        return ""
    reached = f"{seen.value:.0f} {seen.note.replace(' in', ' modes in', 1)}"
    floor = plus_minus(kl.floor, kl.floor_spread)
    return (
        f"draws reach {reached}, and those unevenly (KL {plus_minus(kl.value, kl.stderr)} nats, of exact draws {floor})"
    )


def _recall(quality: Quality) -> str:
    if not _share(quality, "recall") < LOST:
        return ""
    found = quality.scores["recall"]
    return f"recall is {plus_minus(found.value, found.stderr)}, and {found.floor:.2f} of real rows among themselves"


def _share(quality: Quality, key: str) -> float:
    """A figure as a share of its floor; NaN where there is none."""
    score = quality.scores.get(key)
    return math.nan if score is None or not score.floor > 0 else score.value / score.floor
