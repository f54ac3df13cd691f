"""What all tests share: one thread, one false-alarm rate a decision, fresh and logged seeds.

Statistical tests are meant to pass for any seed. Each run draws a fresh one, prints it in its header and with every
failure, and ``pytest --seed 123`` (or DEEPGEN_TEST_SEED=123) repeats it.
"""

import os
import secrets
import signal
import zlib
from functools import partial

import pytest
import torch

import deepgen as dg

FALSE_ALARM = 2e-6
# The chance that one statistical decision fails for a correct program: some 1,500 tests ask for it, which is 3e-3 a run
# with one decision each; those with several decisions add theirs. Tests that compare with 5 standard errors (6e-7 each)
# and the checks that run at their default of 1e-5, or by tolerances of their own, come on top.


def pytest_addoption(parser):
    fixed = os.environ.get("DEEPGEN_TEST_SEED")
    parser.addoption("--seed", type=int, default=fixed and int(fixed), help="repeat a run with its seed")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts background jobs that way, and every program they start inherits it: Ctrl-C could not be tested.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)  # tests are small; more threads only fight over the cores of a CI machine
    if config.getoption("seed") is None:
        # workers of pytest-xdist must agree with their controller
        shared = getattr(config, "workerinput", {}).get("deepgen_seed")
        config.option.seed = secrets.randbits(31) if shared is None else shared


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["deepgen_seed"] = node.config.option.seed


def pytest_report_header(config):
    return f"seed: {config.getoption('seed')} (repeat with --seed)"


@pytest.fixture
def seed(request):
    """A seed of this run and this test's own; shown by pytest with the captured output when the test fails."""
    own = _own_seed(request)
    print(f"seed {own} of run --seed {request.config.getoption('seed')}")
    return own


@pytest.fixture(autouse=True)
def _torch_stream(request):
    """torch's own stream, which nn.Linear and the like start from, is of this run and test too: --seed repeats it."""
    own = _own_seed(request)
    if torch.accelerator.is_available():
        torch.manual_seed(own)
    else:  # the same stream; the function above would note the stack for each kind of device, which takes milliseconds
        torch.default_generator.manual_seed(own)


def _own_seed(request):
    return zlib.crc32(f"{request.config.getoption('seed')} {request.node.nodeid}".encode())


@pytest.fixture
def stream(seed):
    """A generator of this run and this test's own."""
    return dg.random.generator(seed)


@pytest.fixture
def alpha():
    """The false-alarm rate that one statistical decision may spend."""
    return FALSE_ALARM


@pytest.fixture
def one_graph():
    """`torch.compile` in one graph or with an error; it turns off the checks of Distributions, which come back here."""
    before = torch.distributions.Distribution._validate_args
    yield partial(torch.compile, backend="eager", fullgraph=True)
    torch.distributions.Distribution.set_default_validate_args(before)


@pytest.fixture
def float64():
    """Tensors made without a dtype are float64 for the length of the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
