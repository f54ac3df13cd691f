"""What tests of bridges share."""

import pyro
import pytest
import torch


@pytest.fixture(autouse=True)
def clean():
    """Pyro's store of parameters and torch's stream are global: leave both as they were."""
    state = torch.get_rng_state()
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()
    assert torch.equal(torch.get_rng_state(), state)
