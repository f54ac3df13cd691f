"""Semi-supervised VAE: labels of a few rows, and a classifier that learns from all of them (M2 of Kingma et al. 2014).

    p(x, y) = p(y) int p(z) p(x | y, z) dz,        q(y, z | x) = q(y | x) q(z | x, y)

    labelled rows:    log p(x, y) >= L(x, y) + log p(y)
    unlabelled rows:  log p(x)    >= log sum_y exp( L(x, y) + log p(y) )
                                  >= sum_y q(y | x) [ L(x, y) + log p(y) - log q(y | x) ]

L(x, y) is the bound of a `CVAE` given the label. The sum is over all classes, so a row costs as many passes as there
are labels. The last line is what is trained by, as the classifier learns from it; the line before is stated, as it is
nearer, and the same where q(y | x) is the posterior of the labels that the bounds make. Source: Kingma, Rezende,
Mohamed & Welling 2014, equations 6 and 7.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, SupportError, check_count
from deepgen.explicit.units import require_tensor
from deepgen.implicit.cvae import CVAE, GivenContext
from deepgen.implicit.latent import check_observed
from deepgen.implicit.vae import check_module, encoder_input
from deepgen.random import resolve
from deepgen.rest import answered_at_rest


class SemiSupervised(nn.Module):
    """A CVAE over labels with a classifier q(y | x) beside it; has `Bound` and `Samples`. Labels are as frequent as one
    another, p(y) = 1 / classes. Train it by `deepgen.objectives.SemiSupervisedELBO` on pairs (x, y), y = -1 where the
    label is not known.

    Args:
        cvae: with ``classes``.
        classifier: a module ``[rows, *event] -> [rows, classes]``, logits.

    >>> import deepgen as dg
    >>> cvae = dg.implicit.mlp_cvae(6, [8], latent=2, classes=3, generator=0)
    >>> model = SemiSupervised(cvae, dg.implicit.Dense(6, [8], 3, generator=1))
    >>> model.bound(torch.zeros(5, 6), generator=0).shape, model.predict_proba(torch.zeros(5, 6)).shape
    (torch.Size([5]), torch.Size([5, 3]))
    """

    def __init__(self, cvae: CVAE, classifier: nn.Module) -> None:
        super().__init__()
        if not isinstance(cvae, CVAE) or not cvae.classes:
            raise ArgumentError("cvae must be a deepgen.implicit.CVAE with classes= of at least 2")
        check_count(2, classes=cvae.classes)
        check_module("classifier", classifier)
        self.cvae, self.classifier, self.classes = cvae, classifier, cvae.classes

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"cvae": self.cvae, "classifier": self.classifier}

    def forward(self, labels: Tensor | int | None = None) -> GivenContext:
        """The model of x given its labels, log p(x | y), as of the `CVAE`."""
        return self.cvae(labels)

    @property
    def context(self) -> int:
        """That examples come with labels."""
        return self.classes

    def log_labels(self, x: Tensor) -> Tensor:
        """log q(y | x), for rows that have been checked: ``[rows, classes]``."""
        logits = self.classifier(encoder_input(self.cvae, x))
        if logits.shape != (len(x), self.classes):
            raise ShapeError(f"the classifier must put out [{len(x)}, {self.classes}], got {list(logits.shape)}")
        return logits.log_softmax(1)

    @answered_at_rest
    def predict_proba(self, x: Tensor) -> Tensor:
        """q(y | x): ``[rows, classes]``."""
        self.check(x)
        return self.log_labels(x).exp()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The likeliest label by q(y | x): ``[rows]``."""
        return self.predict_proba(x).argmax(1)

    def joint_bounds(self, x: Tensor, *, samples: int = 1, generator: torch.Generator | int | None = None) -> Tensor:
        """Bounds on log p(x, y) for every label: ``[rows, classes]``, nats."""
        rows = x.repeat_interleave(self.classes, 0)
        labels = torch.arange(self.classes, device=x.device).repeat(len(x))
        stream = resolve(generator, x.device)
        each = self.cvae(labels).bound(rows, samples=samples, generator=stream)
        return each.view(len(x), self.classes) - math.log(self.classes)

    def bound(self, x: Tensor, *, samples: int = 1, generator: torch.Generator | int | None = None) -> Tensor:
        """Below log p(x) in expectation, log sum_y exp L(x, y) p(y): ``[rows, *event] -> [rows]``, nats.

        It is log p(x) itself in the limit of many ``samples``, whatever the classifier says.
        """
        self.check(x)
        return self.joint_bounds(x, samples=samples, generator=generator).logsumexp(1)

    @answered_at_rest
    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor:
        """``n`` independent exact draws ``[n, *event]``: of a label, of z, of x."""
        check_count(n=n)
        stream = resolve(generator, next(self.parameters()).device)
        labels = torch.randint(self.classes, (n,), generator=stream, device=stream.device)
        return self.cvae.sample(n, labels, generator=stream)

    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` are rows, or a pair of them and labels from -1 (not known) on."""
        rows, labels = x if isinstance(x, (tuple, list)) and len(x) == 2 else (x, None)
        check_observed(self.cvae.observation, rows)
        if labels is None:
            return
        require_tensor(labels, "labels")
        if labels.shape != (len(rows),) or labels.is_floating_point():
            raise ShapeError(f"labels must be [{len(rows)}] integers, got {labels.dtype} {list(labels.shape)}")
        if not -1 <= int(labels.min()) <= int(labels.max()) < self.classes:
            found = f"{int(labels.min())} to {int(labels.max())}"
            raise SupportError(f"labels must be from 0 to {self.classes - 1}, or -1 where not known, got {found}")
