"""Random numbers of a step that ranks share: each draws those of all rows and chains, and takes its own.

Generators of the ranks stand at the same place and move alike, so a row and a chain have the numbers that they have in
a step of one process, to the bit, whatever the number of ranks. It costs the drawing of numbers that other ranks take;
`deepgen.streams` and compiled kernels, whose numbers are found by their place, make only their own.

While a `SharedDraws` is open it stands before torch's own drawing functions, with a generator or from the global stream
(which `deepgen.random.lend` has set). Rows or chains are on the first axis, which is as long as this rank has of them
or has some numbers for each, those of one together; or else on the axis that is as long. `deepgen.share.rows_on`,
`some_each` and `tiled` say where it is otherwise. Draws without such an axis belong to all ranks, and are the same
on each. One whose numbers depend on those before it (gamma, Poisson) is refused, and so are layers that drop units in
the middle of their own code (torch's recurrent layers and attention). Statistics of `torch.nn.functional.batch_norm`
are the whole batch's.

A function of torch that is made of others, such as `torch.nn.functional.gumbel_softmax`, is seen here, but what it
calls is not: each that draws has to be in the list below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from deepgen.errors import MissingCapability
from deepgen.share import Group, Part, Share
from deepgen.share_means import over_rows

_Fill = Callable[..., Any]


class SharedDraws(TorchFunctionMode):
    """The block in which ``share`` is the current one and torch's draws are this rank's part of all.

    >>> from deepgen.share import _Alone, part
    >>> whole = torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    >>> with SharedDraws(_Alone(), part(4, 1, 2)):
    ...     own = torch.rand(2, 2, generator=torch.Generator().manual_seed(0))
    >>> torch.equal(own, whole[2:])
    True
    """

    def __init__(self, group: Group, rows: Part, chains: Part | None = None) -> None:
        super().__init__()
        self.share = Share(group, rows, chains)
        self.paused = False  # while an optimizer steps: its noise is for weights

    def __enter__(self) -> SharedDraws:
        super().__enter__()
        self.share.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.share.__exit__(*error)
        super().__exit__(*error)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        meant = _MEANT.get(func)
        if meant is None or self.paused:
            return func(*args, **(kwargs or {}))
        return meant(self.share, func, args, kwargs or {})


class _Place(NamedTuple):
    """Where a draw has rows or chains: on ``axis``, as this rank's ``part``, ``tiles`` times one after the other."""

    axis: int
    part: Part
    tiles: int = 1

    def whole(self, shape: Any) -> list[int]:
        """The shape with those of all ranks."""
        every = self.part.total * self.tiles
        return [every if place == self.axis else size for place, size in enumerate(shape)]

    def own(self, whole: Tensor) -> Tensor:
        """This rank's of all."""
        if self.tiles == 1:
            return whole.narrow(self.axis, self.part.start, self.part.size)
        return self._stretch(whole).flatten(self.axis, self.axis + 1)

    def among(self, own: Tensor, others: float) -> Tensor:
        """This rank's among all, of which the others are one number; gradients go back."""
        whole = own.new_full(self.whole(own.shape), others)
        self._stretch(whole).copy_(own.unflatten(self.axis, (self.tiles, self.part.size)))
        return whole

    def _stretch(self, whole: Tensor) -> Tensor:
        """A view of this rank's of each tile, tiles on an axis of their own."""
        apart = whole.unflatten(self.axis, (self.tiles, self.part.total))
        return apart.narrow(self.axis + 1, self.part.start, self.part.size)


def _place(share: Share, shape: Any) -> _Place | None:
    """None for a draw that is the same on all ranks."""
    if not shape:
        return None
    if share.tiles > 1 and shape[0] % share.tiles == 0 and (part := share.of(shape[0] // share.tiles)) is not None:
        return _Place(0, part, share.tiles) if part.cut else None
    usual = share.axis if share.axis < len(shape) else 0
    part = share.among(shape[usual])
    found = None if part is None else _Place(usual, part)
    if found is None:
        others = (_Place(axis, part) for axis, size in enumerate(shape) if (part := share.of(size)) is not None)
        found = next(others, None)
    return found if found is not None and found.part.cut else None


def _fill(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x.uniform_(...)`` and its like."""
    x, *rest = args
    found = _place(share, x.shape)
    if found is None:
        return func(*args, **kwargs)
    if any(isinstance(one, Tensor) and one.ndim for one in (*rest, *kwargs.values())):
        raise MissingCapability(f"{func.__name__} with parameters of its own for each number cannot be shared by ranks")
    whole = func(x.new_empty(found.whole(x.shape), requires_grad=False), *rest, **kwargs)
    return x.copy_(found.own(whole))


def _make(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.rand(shape, ...)`` and its like, whose last arguments by place are the shape."""
    first = 0
    if func is torch.randint:
        first = 2 if len(args) > 1 and isinstance(args[1], int) else 1
        first = 0 if "size" in kwargs and not args else first
    given = kwargs.get("size", args[first:])
    shape = tuple(given[0]) if len(given) == 1 and not isinstance(given[0], int) else tuple(given)
    found = _place(share, shape)
    if found is None:
        return func(*args, **kwargs)
    others = {name: value for name, value in kwargs.items() if name != "size"}
    before = args if "size" in kwargs else args[:first]
    return found.own(func(*before, tuple(found.whole(shape)), **others)).clone()


def _like(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.rand_like(x)`` and its like, and draws whose first argument has a value for each number or row."""
    (x, *rest), kwargs = _placed(args, kwargs)
    found = _place(share, x.shape)
    if found is None:
        return func(x, *rest, **kwargs)
    return found.own(func(found.among(x, 0.5), *rest, **kwargs)).clone()


@torch.no_grad()
def _normal(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.normal(mean, std)``, which is standard normal numbers times std plus mean; no gradients."""
    given = dict(zip(("mean", "std", "size"), args, strict=False)) | kwargs
    mean, std = given.get("mean", 0.0), given.get("std", 1.0)
    tensors = [one for one in (mean, std) if isinstance(one, Tensor)]
    shape = torch.broadcast_shapes(*(one.shape for one in tensors)) if tensors else tuple(given["size"])
    found = _place(share, shape)
    if found is None:
        return func(*args, **kwargs)
    like = tensors[0] if tensors else torch.empty((), dtype=given.get("dtype"), device=given.get("device"))
    whole = like.new_empty(found.whole(shape), requires_grad=False)
    alone = 1.0 if isinstance(std, Tensor) else std
    own = found.own(whole.normal_(0.0, alone, generator=given.get("generator"))).clone()
    if isinstance(std, Tensor):
        own.mul_(std)
    return own.add_(mean)


def _placed(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments with the first one by place, where it came by name."""
    if args:
        return args, kwargs
    name = next(name for name in ("input", "logits", "count", "n") if name in kwargs)
    return (kwargs[name],), {key: value for key, value in kwargs.items() if key != name}


def _refuse(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    args, kwargs = _placed(args, kwargs)
    shape = args[0].shape if isinstance(args[0], Tensor) else (args[0],)
    alike = all((own := share.of(size)) is None or not own.cut for size in shape)
    if alike or not kwargs.get("training", True):
        return func(*args, **kwargs)
    raise MissingCapability(
        f"{func.__name__} draws each number by those before it, or rows by one another: such draws cannot be shared by "
        "ranks"
    )


def _inside(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Layers that drop units in the middle of their own code."""
    if func is F.multi_head_attention_forward:
        rate = args[10] if kwargs.get("training", True) else 0.0
    elif func is F.scaled_dot_product_attention:
        rate = kwargs.get("dropout_p", args[4] if len(args) > 4 else 0.0)
    else:
        rate = args[-4] if args[-3] else 0.0  # ..., dropout, train, bidirectional, batch_first
    if rate:
        raise MissingCapability(
            f"{func.__name__} drops units where their random numbers cannot be shared by ranks: set its dropout to 0 "
            "and drop between layers instead"
        )
    return func(*args, **kwargs)


def _dropout(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = dict(zip(("input", "p", "training", "inplace"), args, strict=False)) | kwargs
    x, rate = given["input"], given.get("p", 0.5)
    if not given.get("training", True) or rate in (0, 1):
        return func(*args, **kwargs)
    mask = _fill(share, Tensor.bernoulli_, (torch.empty_like(x, requires_grad=False), 1 - rate), {})
    return x * mask.div_(1 - rate)


def _batch_norm(share: Share, func: _Fill, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The mean and the variance of all ranks' rows, with gradients through both."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    given: dict[str, Any] = dict(zip(names, args, strict=False)) | kwargs
    x = given["input"]
    own = share.of(len(x))
    if not given.get("training", False) or own is None or not own.cut:
        return func(*args, **kwargs)
    if own.weight != share.rows.weight:
        raise MissingCapability("batch norm of chains that are cut otherwise than rows cannot be shared by ranks")
    others = [axis for axis in range(x.ndim) if axis != 1]
    each = (1, -1, *(1,) * (x.ndim - 2))
    mean = over_rows(x.mean(others))
    centred = x - mean.view(each)
    variance = over_rows(centred.square().mean(others))
    numbers = own.total * x.numel() / (len(x) * x.shape[1])
    for name, value in (("running_mean", mean), ("running_var", variance * (numbers / (numbers - 1)))):
        if given.get(name) is not None:
            given[name].lerp_(value.detach().to(given[name].dtype), given.get("momentum", 0.1))
    out = centred * (variance + given.get("eps", 1e-5)).rsqrt().view(each)
    if given.get("weight") is not None:
        out = out * given["weight"].view(each)
    return out if given.get("bias") is None else out + given["bias"].view(each)


_MEANT: dict[Any, Callable[[Share, _Fill, tuple[Any, ...], dict[str, Any]], Any]] = {
    **dict.fromkeys(
        (getattr(Tensor, f"{name}_") for name in ("uniform", "normal", "bernoulli", "exponential", "log_normal")), _fill
    ),
    **dict.fromkeys((getattr(Tensor, f"{name}_") for name in ("cauchy", "geometric", "random")), _fill),
    **dict.fromkeys((torch.rand, torch.randn, torch.randint), _make),
    **dict.fromkeys((torch.rand_like, torch.randn_like, torch.randint_like), _like),
    **dict.fromkeys((torch.bernoulli, Tensor.bernoulli, torch.multinomial, Tensor.multinomial), _like),
    torch.normal: _normal,
    **dict.fromkeys((torch.poisson, torch._standard_gamma, torch.binomial, torch._sample_dirichlet), _refuse),
    **dict.fromkeys((torch.randperm, F.rrelu), _refuse),
    **dict.fromkeys((F.dropout1d, F.dropout2d, F.dropout3d, torch.feature_dropout), _like),
    **dict.fromkeys((F.alpha_dropout, torch.alpha_dropout), _like),
    **dict.fromkeys((F.feature_alpha_dropout, torch.feature_alpha_dropout), _like),
    **dict.fromkeys((F.gumbel_softmax, F.fractional_max_pool2d, F.fractional_max_pool3d), _like),
    **dict.fromkeys((torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu), _inside),
    **dict.fromkeys((F.scaled_dot_product_attention, F.multi_head_attention_forward), _inside),
    **dict.fromkeys((F.dropout, torch.dropout), _dropout),
    F.batch_norm: _batch_norm,
}
