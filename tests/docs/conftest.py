"""How a page is run: in an empty folder, without network, on one thread, and without touching the global stream."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from tests.docs.pages import ROOT, run


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


@pytest.fixture
def run_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None, one_thread: None
) -> Callable[[Path, int], None]:
    """Run a page in ``tmp_path``; what it prints must be what it says, to so many units of a number's last digit."""
    monkeypatch.chdir(tmp_path)

    def checked(page: Path, units: int) -> None:
        stream = torch.get_rng_state()
        run(page.read_text(), str(page.relative_to(ROOT)), units)
        assert torch.equal(stream, torch.get_rng_state()), "the page's examples moved torch's global random stream"

    return checked
