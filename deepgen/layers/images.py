"""What `ConvEncoder` and `ConvDecoder` share: the sizes of maps, norms, and blocks that stand between convolutions.

A block is any module that keeps the size of the maps, ``[rows, channels, height, width]`` to as many places. Where it
has the numbers ``inputs`` and ``outputs``, as blocks of this library have, those are its channels; without them it
reads what is there and puts out as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count

Blocks = Sequence[nn.Module | None]


def image_arguments(image: Any, features: Any, hidden: int, activation: str, context: int) -> dict[str, Any]:
    """The arguments that both have, checked and as `deepgen.save` writes them.

    >>> image_arguments((1, 8, 8), (2, 4), 16, "silu", 0)["features"]
    [2, 4]
    """
    if not all(isinstance(given, (list, tuple)) for given in (image, features)) or len(image) != 3 or not features:
        raise ArgumentError(
            "image must be (channels, height, width) and features at least one number, each a list or a tuple, got "
            f"{image!r} and {features!r}"
        )
    for side in image:
        check_count(image=side)
    for width in features:
        check_count(features=width)
    check_count(hidden=hidden)
    check_count(0, context=context)
    return {"image": list(image), "features": list(features), "hidden": int(hidden), "activation": activation,
            "context": int(context)}  # fmt: skip


def sides(image: Sequence[int], halvings: int) -> tuple[int, int]:
    """Height and width of the maps after so many halvings.

    >>> sides((1, 28, 28), 2)
    (7, 7)
    """
    times = 2**halvings
    if image[1] % times or image[2] % times:
        raise ArgumentError(
            f"{halvings} convolutions of stride 2 need sides divisible by {times}, got {image[1]} x {image[2]}: "
            "pad the images, or give fewer features"
        )
    return image[1] // times, image[2] // times


def placed(blocks: Blocks | None, features: Sequence[int]) -> tuple[nn.ModuleList | None, list[int]]:
    """The blocks as modules, and the channels of the maps after each; ``features`` those before.

    >>> from deepgen.layers import DenseBlock
    >>> placed([DenseBlock(4, 2, 3, generator=0), None], [4, 8])[1], placed(None, [4, 8])
    ([10, 8], (None, [4, 8]))
    """
    if blocks is None:
        return None, list(features)
    given: Any = blocks
    if not isinstance(given, (list, tuple)) or len(given) != len(features):
        got = f"{len(given)} of them" if isinstance(given, (list, tuple)) else f"a {type(given).__name__}"
        raise ArgumentError(
            f"blocks must be a list of {len(features)}, for each of the features a module or None, got {got}"
        )
    widths: list[int] = []
    for i, (block, width) in enumerate(zip(given, features, strict=True)):
        if block is not None and not isinstance(block, nn.Module):
            got = f"the class {block.__name__} itself" if isinstance(block, type) else type(block).__name__
            raise ArgumentError(f"blocks[{i}] must be a torch.nn.Module or None, got {got}")
        if any(block is other for other in given[:i] if other is not None):
            raise ArgumentError(f"blocks[{i}] is one that stands before it too: make one for each place")
        reads, gives = (getattr(block, name, width) for name in ("inputs", "outputs"))
        if reads != width:
            raise ArgumentError(
                f"blocks[{i}], a {type(block).__name__}, reads maps of {reads} channels, and where it stands there are "
                f"{width}: give it {width}, or features[{i}]={reads}"
            )
        check_count(**{f"outputs of blocks[{i}]": gives})
        widths.append(int(gives))
    return nn.ModuleList(nn.Identity() if block is None else block for block in given), widths


def written(blocks: nn.ModuleList | None) -> dict[str, Any]:
    """The argument that `placed` was given, for `deepgen.save`: nothing where there was none, as before there were any.

    >>> written(None), written(placed([None], [4])[0])
    ({}, {'blocks': [None]})
    """
    if blocks is None:
        return {}
    return {"blocks": [None if type(block) is nn.Identity else block for block in blocks]}


def through(blocks: nn.ModuleList | None, widths: Sequence[int], i: int, h: Tensor) -> Tensor:
    """Maps after block ``i``, or a `ShapeError` where it is one that changes their size.

    >>> import torch
    >>> blocks, widths = placed([nn.MaxPool2d(2)], [4])
    >>> through(blocks, widths, 0, torch.zeros(2, 4, 6, 6))
    Traceback (most recent call last):
    deepgen.errors.ShapeError: blocks[0], a MaxPool2d, must put out [2, 4, 6, 6], got [2, 4, 3, 3]
    """
    if blocks is None:
        return h
    out: Tensor = blocks[i](h)
    if out.shape != (len(h), widths[i], *h.shape[2:]):
        wanted = [len(h), widths[i], *h.shape[2:]]
        raise ShapeError(f"blocks[{i}], a {type(blocks[i]).__name__}, must put out {wanted}, got {list(out.shape)}")
    return out


def normed(norms: nn.ModuleList | None, i: int, h: Tensor) -> Tensor:
    """Maps or rows after norm ``i``, where there are norms.

    >>> import torch
    >>> normed(None, 0, torch.ones(1))
    tensor([1.])
    """
    return h if norms is None else norms[i](h)
