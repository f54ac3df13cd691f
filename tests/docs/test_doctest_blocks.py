"""What the API pages make of a docstring, and that there is one for every public name."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import griffe
import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    spec = importlib.util.spec_from_file_location("doctest_blocks", ROOT / "docs" / "doctest_blocks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_examples_get_a_fence_up_to_the_empty_line(extension: ModuleType) -> None:
    text = "Say one.\n\n>>> print([1, 2])\n[1, 2]\n\nMore."
    assert extension.fenced(text) == "Say one.\n\n```pycon\n>>> print([1, 2])\n[1, 2]\n```\n\nMore."


def test_prose_is_escaped_and_code_is_not(extension: ModuleType) -> None:
    text = "a [b, v][v, h] product, <h>_d, ``[a][b] <x>``\n\n    [a][b] <x>"
    assert extension.escaped(text) == "a [b, v]\\[v, h] product, &lt;h>_d, ``[a][b] <x>``\n\n    [a][b] <x>"


def test_full_names_become_links(extension: ModuleType) -> None:
    assert 'identifier="deepgen.fit"' in extension.escaped("see `deepgen.fit`")
    assert extension.escaped("see `fit`") == "see `fit`"


def test_every_public_name_has_an_entry() -> None:
    """Pages leave out what has no docstring, a constant for one."""
    packages = griffe.load("deepgen", search_paths=[ROOT]).modules.values()
    public = [package[str(name)] for package in packages for name in package.exports or ()]
    assert len(public) > 400
    assert [entry.path for entry in public if not entry.has_docstring] == []
