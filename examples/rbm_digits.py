"""How good is an RBM of scanned digits, and can its annealed likelihood be believed?

RBM 64-20 is small enough to sum its partition function over all 2^20 hidden states, so the interval that annealing
gives for the log-likelihood of held-out digits can be put beside the exact value.

    python examples/rbm_digits.py
"""

from __future__ import annotations

from pathlib import Path

import torch

import deepgen as dg
from deepgen.plot import image_grid


def main(epochs: int = 200, hidden: int = 20, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    data = dg.data.load("digits")
    rbm = dg.explicit.RBM(visible=64, hidden=hidden, generator=seed).initialise(data.train)
    dg.fit(rbm, data.train, dg.objectives.PersistentCD(k=1, chains=100), epochs=epochs, batch_size=10, seed=seed)

    pixels = dg.explicit.BernoulliMixture(64).initialise(data.train)  # the baseline: pixels are independent
    baseline = dg.evaluate.log_likelihood(pixels, data.test)
    exact = dg.evaluate.log_likelihood(rbm, data.test, method="exact")
    annealed = dg.evaluate.log_likelihood(rbm, data.test, method="bidirectional", base=data.train, generator=seed)
    low, high = annealed.interval()
    print(f"independent pixels  {baseline}")
    print(f"RBM 64-{hidden}, exact    {exact}")
    print(f"RBM 64-{hidden}, annealed {annealed}")
    place = "inside" if low <= exact.value <= high else "outside"  # 1 in 20 of such intervals misses by chance
    print(f"the exact value lies {place} the 95 % interval [{low:.2f}, {high:.2f}]")

    samples = rbm.sample(100, steps=2000, generator=seed)
    image_grid(samples, data.image_shape, title=f"RBM 64-{hidden}: 100 samples", path=out / "rbm_digits.png")
    print(f"samples in {out / 'rbm_digits.png'}")
    return {"baseline": baseline.value, "exact": exact.value, "low": low, "high": high}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
