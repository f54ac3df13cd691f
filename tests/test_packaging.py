"""The package as a user gets it: the wheel, its pins, and what make does with them."""

import re
import subprocess
import sys
import zipfile
from importlib.metadata import entry_points, metadata, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import deepgen as dg

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_typed_package_and_nothing_else(wheel):
    names = wheel.namelist()
    assert "deepgen/py.typed" in names
    ours = {str(p.relative_to(ROOT)) for p in (ROOT / "deepgen").rglob("*.py")}
    assert {n for n in names if n.endswith(".py")} == ours
    assert {n.partition("/")[0] for n in names} == {"deepgen", f"deepgen-{dg.__version__}.dist-info"}
    assert any(n.endswith("licenses/LICENSE") for n in names)
    weights = {str(p.relative_to(ROOT)) for p in (ROOT / "deepgen/evaluate/weights").rglob("*") if p.is_file()}
    assert len(weights) == 4  # a manifest and a file of tensors for each of two networks
    assert weights <= set(names)
    assert sum(wheel.getinfo(name).file_size for name in weights) < 400_000


def test_version_command_and_licence():
    about = metadata("deepgen")
    assert about["Version"] == dg.__version__
    assert about["License-Expression"] == "MIT"
    (script,) = (e for e in entry_points(group="console_scripts") if e.name == "deepgen")
    assert script.value == "deepgen.cli:main"
    assert dg.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_every_requirement_is_pinned_to_a_version_that_fits():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            (version,) = (s.version for s in pin.specifier if s.operator == "==")
            pins.setdefault(canonicalize_name(pin.name), []).append(version)
    for text in requires("deepgen"):
        wanted = Requirement(text)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": e}) for e in ("dev", "docs")):
            versions = pins[canonicalize_name(wanted.name)]
            assert all(wanted.specifier.contains(v) for v in versions), text
    assert pins["torch"] == ["2.13.0"]


def test_no_index_is_prescribed():
    for name in ("constraints.txt", "Makefile", ".ci/run", "pyproject.toml"):
        text = (ROOT / name).read_text()
        assert not re.search(r"index-url|find-links|://", text), name


def test_make_installs_from_the_pins_and_checks_everything(tmp_path):
    done = subprocess.run(
        ["make", "-n", "test", f"VENV={tmp_path}/venv"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for step in ("-m venv", "--constraint constraints.txt", "ruff check", "ruff format --check", "mypy", "pytest"):
        assert step in done.stdout
