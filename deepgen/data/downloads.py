"""Published files from the network, each checked against its SHA-256 before it takes its name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deepgen.data.files import ENVIRONMENT, PathLike
from deepgen.errors import DataError, unknown_name
from deepgen.progress import bar


class Remote(NamedTuple):
    """The files of a set: addresses of folders that serve them all, and the SHA-256 of each file."""

    mirrors: tuple[str, ...]
    files: dict[str, str]


REMOTES: dict[str, Remote] = {
    "mnist": Remote(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion_mnist": Remote(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
    "binarized_mnist": Remote(
        ("https://raw.githubusercontent.com/riannevdberg/sylvester-flows/master/data/MNIST_static/",),
        {
            "binarized_mnist_train.amat": "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            "binarized_mnist_valid.amat": "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            "binarized_mnist_test.amat": "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
        },
    ),
}


def fetch(
    name: str, root: PathLike | None = None, *, mirror: str | None = None, progress: bool = True, timeout: float = 30.0
) -> list[Path]:
    """Download the files of a named set into the folder ``root/name``, where `deepgen.data.load` finds them.

    Files that are already there with the right checksum are left alone.

    Args:
        name: mnist, fashion_mnist or binarized_mnist.
        root: folder; the environment variable DEEPGEN_DATA by default.
        mirror: address of a folder that serves the same files, tried instead of the public ones.
        progress: show a bar.
        timeout: seconds without an answer after which an address is given up.

    Raises:
        UnknownName: nothing is known of ``name``, or it has no public address that can be checked.
        DataError: no network, no such file there, a wrong checksum, or a folder that cannot be written.

    >>> fetch("mnits", "data")
    Traceback (most recent call last):
    deepgen.errors.UnknownName: unknown data set with files to fetch 'mnits': did you mean 'mnist'? Known: ...
    """
    key = name.lower().replace("-", "_")
    if key not in REMOTES:
        raise unknown_name("data set with files to fetch", name, REMOTES)
    place = root or os.environ.get(ENVIRONMENT)
    if not place:
        raise DataError(f"where to put {name!r}? Pass root= (--root) or set the environment variable {ENVIRONMENT}")
    folder = Path(place).expanduser() / key
    remote = REMOTES[key]
    mirrors = [address.rstrip("/") for address in ((mirror,) if mirror else remote.mirrors)]
    return [
        download([f"{m}/{file}" for m in mirrors], folder / file, sha256, progress=progress, timeout=timeout)
        for file, sha256 in remote.files.items()
    ]


def download(urls: Sequence[str], path: PathLike, sha256: str, *, progress: bool = True, timeout: float = 30.0) -> Path:
    """Download the first of ``urls`` that answers with the content of that SHA-256 to ``path``.

    The file is written beside its place and renamed into it once checked, so a crash leaves no half file.

    Raises:
        DataError: none of the addresses gave it; the message says why for each.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "hello.txt"
    >>> _ = path.write_text("hello")
    >>> download(["https://example.org/hello.txt"], path, checksum(path)) == path  # there already: nothing is asked
    True
    """
    target = Path(path)
    if target.is_file() and checksum(target) == sha256:
        return target
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    reasons = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for url in urls:
            reason = _try(url, part, sha256, progress, timeout)
            if reason is None:
                os.replace(part, target)
                return target
            reasons.append(f"{url}: {reason}")
    except OSError as error:
        raise DataError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            part.unlink()
    raise DataError(f"could not fetch {target.name}: {'; '.join(reasons)}. Download it by hand to {target.parent}")


def checksum(path: PathLike) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _try(url: str, part: Path, sha256: str, progress: bool, timeout: float) -> str | None:
    """Download ``url`` to ``part``; return what went wrong, None if nothing."""
    import http.client
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        return "not an http address"
    digest = hashlib.sha256()
    with open(part, "wb") as stream:
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                size = int(answer.headers.get("Content-Length") or 0) or None
                with bar(what=part.name.split(".")[0], unit="B", unit_scale=True, total=size, show=progress) as moved:
                    while chunk := answer.read(1 << 16):
                        stream.write(chunk)
                        digest.update(chunk)
                        moved.update(len(chunk))
        except (OSError, http.client.HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return " ".join(str(error).split()) or type(error).__name__
    if digest.hexdigest() != sha256:
        return f"wrong content: SHA-256 is {digest.hexdigest()[:16]}..., expected {sha256[:16]}..."
    return None
