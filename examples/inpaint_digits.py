"""When the lower half of a digit is hidden, does an RBM draw it from the right distribution?

Clamped Gibbs sampling keeps the known pixels and redraws the others. With 12 hidden units the distribution it should
draw from can be summed: p(h | known) over 2^12 states h, and given h the hidden pixels are independent,

    p(h | v_known)  ~  exp(b.h) prod_known exp(v_i f_i) prod_hidden (1 + exp(f_i)),        f = a + W.h

so the mean of each redrawn pixel is known exactly, and how far the average of n completions may stray from it too:
sqrt(m (1 - m) / n). The mean of the squared deviations in that unit should be 1.

    python examples/inpaint_digits.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg
from deepgen.plot import image_grid


def exact_means(rbm: dg.explicit.RBM, known: Tensor, mask: Tensor) -> Tensor:
    """E[v | v under mask] by summing over all hidden states: ``[rows, visible]``."""
    h = rbm.hidden.enumerate(0, rbm.hidden.states).double()
    weight, bias = rbm.weight.detach().double(), rbm.hidden_bias.detach().double()
    field = rbm.visible_bias.detach().double() + h @ weight.t()
    unseen = torch.nn.functional.softplus(field)[:, ~mask].sum(-1)
    log_weight = h @ bias + unseen + known[:, mask].double() @ field[:, mask].t()
    return log_weight.softmax(-1) @ field.sigmoid()


def main(
    epochs: int = 200, rows: int = 40, copies: int = 400, out: Path = Path("runs/examples"), seed: int = 0
) -> dict[str, float]:
    data = dg.data.load("digits")
    rbm = dg.explicit.RBM(visible=64, hidden=12, generator=seed).initialise(data.train)
    dg.fit(rbm, data.train, dg.objectives.PersistentCD(k=1, chains=100), epochs=epochs, batch_size=10, seed=seed)

    x = data.test[:rows]
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True  # the upper half is known
    mask = mask.flatten()
    drawn = rbm.conditional_sample(x.repeat_interleave(copies, 0), mask, steps=500, generator=seed + 1)
    drawn = drawn.reshape(rows, copies, 64)
    average, exact = drawn.double().mean(1)[:, ~mask], exact_means(rbm, x, mask)[:, ~mask]
    squared = (average - exact).square() * copies / (exact * (1 - exact))
    ratio, error = float(squared.mean()), float(squared.mean(1).std() / rows**0.5)

    truth, rate = x[:, ~mask], data.train.mean(0)[~mask]
    blind = float(((rate > 0.5) == truth.bool()).float().mean())
    seeing = float(((exact > 0.5) == truth.bool()).float().mean())
    deviation = dg.evaluate.plus_minus(ratio, error)
    print(f"squared deviation of drawn from exact means: {deviation}; 1 if the draws are right")
    print(f"hidden pixels guessed right: {seeing:.1%} given the upper half, {blind:.1%} from base rates alone")

    shown = x[:10]
    means = shown.clone()
    means[:, ~mask] = exact[:10].float()
    hidden = shown.masked_fill(~mask, float("nan"))  # NaN pixels are drawn in orange
    picture = out / "inpaint_digits.png"
    strips = torch.cat([shown, hidden, drawn[:10, 0], drawn[:10, 1], means])
    title = "true, what is seen, two completions, exact mean"
    image_grid(strips, data.image_shape, columns=10, ink=True, title=title, path=picture)
    print(f"completions in {picture}")
    return {"ratio": ratio, "error": error, "seeing": seeing, "blind": blind}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
