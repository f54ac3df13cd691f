"""OrderAgnostic: its gradient is that of what it reports, and what it does not take is refused."""

import pytest
import torch

import deepgen as dg
from deepgen.errors import MissingCapability
from deepgen.explicit import MADE, DeepNADE
from deepgen.objectives import OrderAgnostic

MODELS = {
    "made": lambda g: MADE(5, [8], orders=3, generator=g),
    "made, context": lambda g: MADE(5, [8], orders=2, context=2, generator=g),
    "deep nade": lambda g: DeepNADE(5, [8], generator=g),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_step_ascends_the_estimate_it_reports(name, seed, stream):
    model = MODELS[name](stream)
    x = torch.randint(2, (20, 5), generator=stream).float()
    batch = (x, torch.randn(20, 2, generator=stream)) if "context" in name else x
    rows = batch if isinstance(batch, tuple) else (batch,)
    value = model.order_log_prob(*rows, generator=dg.random.generator(seed)).mean()
    expected = [
        p - 0.1 * -g for p, g in zip(model.parameters(), torch.autograd.grad(value, model.parameters()), strict=True)
    ]
    objective = OrderAgnostic()
    update = objective.update(model, torch.optim.SGD(model.parameters(), lr=0.1))
    state = objective.start(model, x, generator=stream)
    _, metrics = update(state, batch, generator=dg.random.generator(seed))
    assert metrics == {"order_log_likelihood": value.detach()}
    for p, q in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(p.detach(), q.detach())


def test_models_of_one_order_are_refused():
    with pytest.raises(MissingCapability, match="order_log_prob"):
        dg.fit(dg.explicit.NADE(3, 2), torch.zeros(5, 3), OrderAgnostic(), epochs=1, progress=False)
