"""How does a GAN learn eight modes? Draws of the generator at six moments of its training, as a strip of frames.

The data are eight Gaussians on a ring. A draw is good within three standard deviations of its nearest mode, and a mode
is found when a good draw belongs to it; of real rows 98.9 % are good and all modes are found. At the end the
discriminator says which draws are too frequent, and Metropolis-Hastings over latents acts on it.

    python examples/gan_frames.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg

STD = 0.15


def main(updates: int = 3000, frames: int = 5, out: Path = Path("runs/examples"), seed: int = 0) -> dict[str, float]:
    law = dg.data.gaussian_ring(8, radius=2.0, std=STD)
    centres = law.component_distribution.mean
    x = dg.random.draw(law, (updates // frames * 100,), generator=dg.random.generator(seed))
    held_out = dg.random.draw(law, (2000,), generator=dg.random.generator(seed + 1))

    gan = dg.implicit.GAN(
        dg.implicit.Dense(2, [64, 64], 2, activation="leaky_relu", generator=seed),
        dg.implicit.Dense(2, [64, 64], (), activation="leaky_relu", generator=seed + 1),
        latent=2,
        average=0.99,
    )
    gamma = 0.1  # narrow modes need a steep discriminator
    objective = dg.objectives.Adversarial(
        penalty=(dg.objectives.R1(gamma), dg.objectives.R2(gamma)), generator_rate=2e-3, discriminator_rate=2e-3
    )

    def good(draws: Tensor) -> tuple[int, float]:
        distance, mode = torch.cdist(draws, centres).min(1)
        near = distance < 3 * STD
        return len(mode[near].unique()), float(near.double().mean())

    strip, captions = {"0 updates": gan.sample(2000, generator=seed)}, ["before training"]

    def keep(record: dg.train.Record, model: torch.nn.Module) -> None:
        draws = gan.sample(2000, generator=seed)
        modes, share = good(draws)
        print(
            f"{record.step:5} updates: {modes} modes, {100 * share:.0f} % good; the discriminator tells "
            f"{100 * record.metrics['told_apart']:.0f} % of pairs apart"
        )
        strip[f"{record.step} updates"] = draws
        captions.append(f"{modes} modes, {100 * share:.0f} % good")

    dg.fit(gan, x, objective, epochs=frames, batch_size=100, seed=seed, callbacks=[keep], progress=False)

    modes, share = good(gan.sample(2000, generator=seed))
    calibration = dg.implicit.calibrate(gan, held_out, generator=seed)
    kernel = dg.implicit.mh_gan(gan, calibration)
    start = gan.draw_latents(2000, generator=dg.random.generator(seed))
    trace = dg.samplers.sample_chain(kernel, start, draws=1, warmup=50, generator=seed)
    with torch.no_grad():
        chain = gan.generate(trace.draws[-1])
    better = good(chain)[1]
    print(f"Metropolis-Hastings over latents: {100 * better:.0f} % good (data {100 * good(held_out)[1]:.0f} %)")

    picture = out / "gan_frames.png"
    panels = [*strip.values(), chain, held_out]
    dg.plot.planes(
        [panels],
        box=((-3.2, 3.2), (-3.2, 3.2)),
        columns=[*strip, "and a chain", "data"],
        captions=[[*captions, f"{100 * better:.0f} % good", f"{100 * good(held_out)[1]:.0f} % good"]],
        path=picture,
    )
    print(f"frames in {picture}")
    return {"modes": modes, "good": share, "chain": better, "real": good(held_out)[1]}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
