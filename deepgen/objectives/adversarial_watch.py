"""What goes wrong between two networks, noticed in the metrics of an epoch and said in words."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from deepgen.train.history import Record

EARLIEST = 1000  # steps before anything is said: an untrained generator draws rows that are all alike
ALIKE, CERTAIN, FAR = 0.1, 0.99, 100.0


class AdversarialWarning(RuntimeWarning):
    """The game between generator and discriminator is lost by one of them.

    >>> issubclass(AdversarialWarning, Warning)
    True
    """


_SHAPES = ("Squeeze", "View", "Reshape", "Unsqueeze", "Select", "Slice", "Clone", "Alias", "Expand", "T", "ToCopy")


def ends_in_sigmoid(logits: Tensor) -> bool:
    """Whether the last thing done to ``logits``, but for their shape, was a sigmoid; read off the graph that made them.

    >>> import torch
    >>> x = torch.ones(3, 1, requires_grad=True)
    >>> ends_in_sigmoid(torch.sigmoid(x).squeeze(1)), ends_in_sigmoid(2 * torch.sigmoid(x))
    (True, False)
    """
    node = logits.grad_fn
    while node is not None:
        name = node.name().removeprefix("torch::autograd::").split("Backward")[0].lstrip("_").replace("Unsafe", "")
        if name not in _SHAPES:
            return name in ("Sigmoid", "LogSigmoid")
        node = node.next_functions[0][0]
    return False


class Watch:
    """Called by `deepgen.fit` with every epoch's record: warns, of each kind once, but of those ``expected``.

    A critic under Wasserstein's loss is meant to tell all rows apart, and its slope still says where the data are.

    >>> from deepgen.train import Record
    >>> metrics = {"diversity": 0.01, "told_apart": 0.7, "real_logit": 1.0, "fake_logit": 0.0}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     Watch()(Record(9, 2000, 0.0, 0.0, metrics), nn.Linear(1, 1))
    >>> str(caught[0].message)[:63]
    'epoch 9: the generator has collapsed: its draws lie 1 % as wide'
    """

    def __init__(self, expected: Iterable[str] = ()) -> None:
        self.said = set(expected)

    def __call__(self, record: Record, model: nn.Module) -> None:
        if record.step < EARLIEST:
            return
        for kind, words in remarks(record.metrics):
            if kind not in self.said:
                self.said.add(kind)
                warnings.warn(f"epoch {record.epoch}: {words}", AdversarialWarning, stacklevel=2)


def remarks(metrics: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """The kind of each fault in an epoch's metrics, and what to say of it.

    >>> good = {"diversity": 0.9, "told_apart": 0.6, "real_logit": 0.2, "fake_logit": -0.2}
    >>> list(remarks(good)), [kind for kind, _ in remarks({**good, "told_apart": 0.999, "real_logit": 500.0})]
    ([], ['won', 'unbounded'])
    """
    if metrics["diversity"] < ALIKE:
        yield (
            "collapsed",
            f"the generator has collapsed: its draws lie {100 * metrics['diversity']:.2g} % as wide apart as rows of "
            "the data (root mean square distance). Take Relativistic with R1 and R2, or lower the generator's rate",
        )
    if metrics["told_apart"] > CERTAIN:
        yield (
            "won",
            f"the discriminator has won: in {100 * metrics['told_apart']:.2f} % of pairs the real row scores higher, "
            "and what the generator learns from it has little to do with the data. Raise the penalty, lower the "
            "discriminator's rate, or give the generator a larger network",
        )
    if abs(metrics["real_logit"] - metrics["fake_logit"]) > FAR:
        yield (
            "unbounded",
            f"the logits of real rows and of draws are {abs(metrics['real_logit'] - metrics['fake_logit']):.3g} apart: "
            "nothing holds the discriminator. Give a penalty, or SpectralNorm around its network",
        )
