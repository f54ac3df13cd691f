"""What every page that is run gets: no network, and one thread."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import torch


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no block open a connection."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a documentation example tried to use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small examples are fastest on one thread, above all beside other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
