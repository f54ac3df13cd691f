"""What surrounds the commands: help, versions, tracebacks, warnings, pipes, and faults of our own."""

import subprocess
import sys
import warnings

import pytest
import typer

import deepgen as dg
import deepgen.cli
from deepgen.cli import frame, main
from deepgen.cli.commands import app

COMMANDS = ("demo", "train", "sample", "evaluate", "report", "compare", "embed", "data")


def shell(line):
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)


def test_help_names_every_command_and_every_command_has_help(deepgen):
    top = deepgen("--help")
    assert top.status == 0
    assert all(name in top.out for name in COMMANDS)
    for name in COMMANDS:
        one = deepgen(name, "-h")
        assert one.status == 0
        assert "Usage: deepgen" in one.out


def test_main_exits_with_the_status_and_says_the_version(capsys):
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"deepgen {dg.__version__}\n"
    with pytest.raises(SystemExit) as refused:
        main(["sample", "nowhere"])
    assert refused.value.code == 2


def test_traceback_only_when_asked_for(deepgen):
    assert "Traceback" not in deepgen("sample", "nowhere").err
    for words in (("--debug", "sample", "nowhere"), ("sample", "nowhere", "--debug")):
        shown = deepgen(*words)
        assert shown.status == 2
        assert "Traceback (most recent call last)" in shown.err
        assert "CheckpointError" in shown.err


@pytest.fixture
def broken(capsys):
    """The frame around a command that raises what it is given."""

    def run(error):
        trial = typer.Typer()

        @trial.command()
        def command():
            if isinstance(error, Warning):
                warnings.warn(error, stacklevel=1)
            else:
                raise error

        status = frame.run(trial, [])
        return status, capsys.readouterr()

    return run


def test_our_own_faults_are_named_as_such_with_status_1(broken):
    status, shown = broken(KeyError("weight"))
    assert status == 1
    assert "fault in deepgen: KeyError" in shown.err
    assert shown.err.count("\n") == 1


def test_the_system_s_errors_carry_the_file(broken):
    status, shown = broken(PermissionError(13, "Permission denied", "/root/x"))
    assert status == 2
    assert shown.err == "deepgen: /root/x: Permission denied\n"


def test_ctrl_c_anywhere_is_one_line_with_status_130(broken):
    status, shown = broken(KeyboardInterrupt())
    assert status == 130
    assert shown.err == "deepgen: interrupted\n"


def test_ctrl_c_while_the_library_is_loaded_is_one_line_too(monkeypatch, capsys):
    class Pressed:
        def find_spec(self, name, *_):
            if name == "deepgen.cli.commands":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "deepgen.cli.commands")
    monkeypatch.delattr(deepgen.cli, "commands")
    monkeypatch.setattr(sys, "meta_path", [Pressed(), *sys.meta_path])
    with pytest.raises(SystemExit) as stopped:
        main(["data", "list"])
    assert stopped.value.code == 130
    told = "deepgen: interrupted before it began: nothing was done, so start again\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("words", "got"),
    [
        ("train rbm --data digits --out a --hidden -3", "'-3'"),
        ("train rbm --data digits --out a --hidden=-3", "'-3'"),
        ("train rbm --data digits --out a --k two", "'two'"),
        ("sample a -n0", "'0'"),
        ("sample a -n x", "'x'"),
        ("evaluate a --split tets", "'tets'"),
    ],
)
def test_an_option_out_of_range_says_what_it_got(deepgen, words, got):
    refused = deepgen(*words.split())
    assert refused.status == 2
    assert refused.err.count(got) == 1
    assert refused.err.count("\n") == 1


def test_messages_of_many_lines_become_one(broken):
    _, shown = broken(dg.errors.ArgumentError("expected this,\n   got that"))
    assert shown.err == "deepgen: expected this, got that\n"


@pytest.mark.filterwarnings("default::deepgen.errors.DegenerateWeights")
def test_warnings_are_one_line_without_source(broken):
    status, shown = broken(dg.errors.DegenerateWeights("2 of 100 weights\ncarry it all"))
    assert status == 0
    assert shown.err == "deepgen: warning: 2 of 100 weights carry it all\n"


def test_a_closed_pipe_is_quiet():
    done = shell(f"set -o pipefail; {sys.executable} -m deepgen data list | true")
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_module_and_the_console_script_are_one_program():
    assert app.info.name == "deepgen"
    done = shell(f"{sys.executable} -m deepgen --version")
    assert (done.returncode, done.stdout) == (0, f"deepgen {dg.__version__}\n")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate 8.00 EiB for an array"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
        RuntimeError("std::bad_alloc"),
        ImportError("_ufuncs.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
        SystemError("error return without exception set"),
    ],
)
def test_no_memory_is_no_fault_of_deepgen(broken, error):
    status, shown = broken(error)
    assert status == 2
    assert shown.err.startswith("deepgen: out of memory (")
    assert shown.err.count("\n") == 1
