"""Every Python block of the documentation runs, prints what the page says, and every command on it parses."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT, commands, examples, pages, run

TUTORIAL = ROOT / "docs" / "tutorial"  # runs in test_tutorial.py, which looks at its pictures too
README = ROOT / "README.md"  # runs in test_readme.py, which compares what its scripts print with their comments
WITH_CODE = [p for p in pages() if examples(p.read_text()) and TUTORIAL not in p.parents and p != README]
WITH_COMMANDS = [page for page in pages() if commands(page.read_text())]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_blocks_run_and_print_what_the_page_says(page: Path, run_page: Callable[[Path, int], None]) -> None:
    run_page(page, 0)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_commands_parse(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sub-commands and options a page names exist; nothing is run."""
    import typer

    from deepgen.cli import app

    monkeypatch.chdir(tmp_path)
    root: Any = typer.main.get_command(app)
    for words in commands(page.read_text()):
        if words[:1] in (["--version"], ["--help"], []):
            continue
        command, rest = root, [word for word in words if word != "--debug"]
        while hasattr(command, "commands"):
            known = bool(rest) and rest[0] in command.commands
            assert known, f"deepgen {' '.join(words)}: no such command"
            command, rest = command.commands[rest[0]], rest[1:]
        if "--help" not in rest:
            command.make_context("deepgen", list(rest))


def test_runner_finds_indented_blocks_and_their_output() -> None:
    code, output = (
        "    ```python\n    if True:\n        print(1)\n    ```\n",
        '    ```text title="output"\n    1\n    ```\n',
    )
    text = f"!!! note\n{code}\n{output}"
    (example,) = examples(text)
    assert example.code == "if True:\n    print(1)\n"
    assert example.output == "1\n"
    run(text, "page")


def test_runner_shares_a_namespace_and_refuses_other_output() -> None:
    page = '```python\nx = 2\n```\n\n```python\nprint(x)\n```\n\n```text title="output"\n{}\n```\n'
    run(page.format(2), "page")
    with pytest.raises(AssertionError, match="page:5 says that it prints"):
        run(page.format(3), "page")


def test_runner_reads_commands_with_continuation_lines() -> None:
    text = "```console\n$ deepgen train rbm \\\n    --data digits && deepgen data list  # two\n$ make demo\n```\n"
    assert commands(text) == [["train", "rbm", "--data", "digits"], ["data", "list"]]


def test_every_page_stands_in_the_navigation() -> None:
    """A page that no reader can reach is a page lost."""
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")]
    assert [page for page in missing if page not in navigation] == []


def test_pages_name_no_machine_path() -> None:
    """What is printed must be true on the reader's machine too."""
    here = {ROOT, ROOT.parent, Path.home(), Path(tempfile.gettempdir())}
    suspicious = [f"{place}/" for place in here if len(place.parts) > 1]
    found = [(name_of(p), word) for p in pages() for word in suspicious if word in p.read_text()]
    assert found == []
