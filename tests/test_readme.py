"""The first page a user sees: short, true, and with its picture. Its commands are tried in tests/docs."""

import re
import struct
from pathlib import Path

import pytest
import torch

from tests.docs.conftest import offline, one_thread  # noqa: F401  (fixtures)
from tests.docs.pages import examples

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()

FIGURE = re.compile(r"(-?[\d.]+)(?: ± ([\d.]+))?")
FAR = {"RBM": 0.3, "vae": 0.3, "GAN": 1.5}  # four deviations over seeds of the fit, where training is chaotic
SCRIPTS = re.findall(r"```python\n(.*?)```", README, re.S)
NAMES = ["rbm", "flow", "vae", "gan", "node2vec", "sampler"]


@pytest.mark.parametrize("code", SCRIPTS, ids=NAMES)
def test_a_script_is_at_most_ten_lines(code):
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_its_code_is_its_scripts():
    assert [(example.code, example.output) for example in examples(README)] == [(code, None) for code in SCRIPTS]


@pytest.mark.usefixtures("offline", "one_thread")
@pytest.mark.parametrize("code", SCRIPTS, ids=NAMES)
def test_a_script_prints_what_the_comment_beside_it_says(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stream = torch.get_rng_state()
    exec(compile(code, "README.md", "exec"), {"__name__": "__page__"})
    assert torch.equal(stream, torch.get_rng_state())  # nor does any script move torch's global stream
    printed, promised = capsys.readouterr().out.splitlines(), re.findall(r"^print\(.*\)  # (.*)$", code, re.M)
    assert promised
    for got, said in zip(printed, promised, strict=True):
        # other machines round differently, and chains part: what depends on that is "about", the rest to the digit
        loose = next((far for kind, far in FAR.items() if kind in code), 0.05)
        within, said = loose if said.startswith("about ") else 0.005, said.removeprefix("about ")
        (value, error), (promise, give) = (FIGURE.match(text).groups() for text in (got, said))
        assert FIGURE.sub("", got, count=1) == FIGURE.sub("", said, count=1)
        assert abs(float(value) - float(promise)) < within
        assert (error is None) == (give is None)
        assert error is None or 0.5 < float(error) / float(give) < 2
    if "samples.png" in code:
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
