"""The first page a user sees: short, true, and with its picture. Its code and commands run in tests/docs."""

import re
import struct
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_script_is_at_most_ten_lines():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_the_script_prints_what_the_comment_beside_it_says(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    promised = re.search(r"print\(.*\)  # (.*)", code).group(1)
    value, words = printed.split(" ", 1)
    assert words == promised.split(" ", 1)[1]
    assert abs(float(value) - float(promised.split()[0])) < 0.4  # other machines round differently, and chains part
    assert (tmp_path / "samples.png").stat().st_size > 0


def test_every_link_and_picture_leads_to_a_file():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text()):
            assert target.startswith("https://") or (ROOT / target).exists(), f"{page}: {target}"


def test_the_picture_is_a_small_png():
    raw = (ROOT / "docs/images/demo.png").read_bytes()
    assert raw.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", raw[16:24])
    assert width > height > 100
    assert len(raw) < 200_000


def test_the_make_targets_that_are_documented_exist():
    targets = set(re.findall(r"^([a-z ]+):(?!=)", (ROOT / "Makefile").read_text(), re.M))
    known = {name for line in targets for name in line.split()}
    for page in ("README.md", "CONTRIBUTING.md"):
        for name in re.findall(r"(?:`|\$ )make ([a-z]+)", (ROOT / page).read_text()):
            assert name in known, f"{page}: make {name}"
