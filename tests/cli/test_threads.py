"""How many threads a command uses: one for all but large models, unless the user says otherwise."""

import pytest
import torch

from deepgen.cli.threads import CHOSEN, LARGE, fitting_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("weights", "chosen", "used"), [(LARGE - 1, None, 1), (LARGE, None, 2), (10, "2", 2), (LARGE, "2", 2)]
)
def test_small_models_use_one_thread_and_the_user_s_number_stands(two_threads, monkeypatch, weights, chosen, used):
    monkeypatch.delenv(CHOSEN, raising=False)
    if chosen is not None:
        monkeypatch.setenv(CHOSEN, chosen)
    with fitting_threads(weights):
        assert torch.get_num_threads() == used
    assert torch.get_num_threads() == 2
