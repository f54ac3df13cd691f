"""What does an adversarial update cost, beside the products it cannot avoid?
`python benchmarks/gan_step.py [--width 32] [--batch 64] [--rounds 5] [--threads 1]`.

The floor is made of F(G) and F(D), the times of one pass of all linear layers and convolutions of a network alone, on
inputs of their sizes and without anything between them, and of f(G) and f(D), those of their first layers. A
backpropagation costs one F for the gradient in the inputs and one for that in the weights, less the first layer's part
where nobody asks for the gradient in the rows themselves. So an update of both networks needs

    generator         2 passes and 1 backpropagation                                       4 F(G) - f(G)
    its step          D on draws, and on real rows where losses are of pairs; to inputs    2 or 3 F(D)
    discriminator     2 passes, 2 backpropagations                                         6 F(D) - 2 f(D)
    R1, R2            each: to inputs, whose gradient in weights and factors is 2 more     3 F(D)
    gradient penalty  the same, and a pass of its own with its backpropagation             6 F(D)

Networks are DCGANs of MNIST's shape and colours, and the dense ones of `quality.py adversarial`. Sides alternate in one
run; CPU time: medians of the rounds, and of the rounds' ratios.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import floor
import torch
from torch import Tensor, nn

import deepgen as dg
from deepgen.implicit import GAN, DCGANDiscriminator, DCGANGenerator, Dense
from deepgen.objectives import R1, R2, Adversarial, GradientPenalty, NonSaturating, Wasserstein

WAYS = {
    "R1 and R2": (Adversarial(penalty=(R1(), R2())), 3 + 6 + 6),
    "gradient penalty": (Adversarial(Wasserstein(), GradientPenalty()), 2 + 6 + 6),
    "no penalty": (Adversarial(NonSaturating(), ()), 2 + 6),
}


def products(net: nn.Module, x: Tensor, most: int | None = None) -> Callable[[], None]:
    """All linear layers and convolutions of ``net``, or the first ``most``, each on an input of its size."""
    found: list[tuple[nn.Module, Tensor]] = []
    layers = [part for part in net.modules() if isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [part.register_forward_hook(lambda part, given, _: found.append((part, given[0]))) for part in layers]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()

    @torch.no_grad()
    def run() -> None:
        for part, given in found[:most]:
            part(given)

    return run


def update(gan: GAN, x: Tensor, objective: Adversarial) -> Callable[[], None]:
    stream = dg.random.generator(0)
    step, state = objective.update(gan, objective.optimizer(gan)), objective.start(gan, x, generator=stream)

    def run() -> None:
        nonlocal state
        state, _ = step(state, x, generator=stream)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32, help="of the DCGANs")
    parser.add_argument("--batch", type=int, default=64, help="of images; of planar rows 256")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    stream = dg.random.generator(0)
    networks: dict[str, tuple[nn.Module, nn.Module, Tensor, int]] = {}
    for name, shape in (("DCGAN, 1 x 28 x 28", (1, 28, 28)), ("DCGAN, 3 x 28 x 28", (3, 28, 28))):
        G = DCGANGenerator(64, shape, arguments.width, norm=False, generator=stream)
        D = DCGANDiscriminator(shape, arguments.width, generator=stream)
        networks[name] = G, D, dg.random.uniform((arguments.batch, *shape), generator=stream), 64
    for hidden in ([128] * 2, [128] * 3):
        G = Dense(2, hidden, 2, activation="leaky_relu", generator=stream)
        D = Dense(2, hidden, (), activation="leaky_relu", generator=stream)
        networks[f"dense, {len(hidden)} x 128"] = G, D, dg.random.normal((256, 2), generator=stream), 2
    for name, (G, D, x, latent) in networks.items():
        z = dg.random.normal((len(x), latent), generator=stream)
        calls = {"F(G)": products(G, z), "F(D)": products(D, x), "f(G)": products(G, z, 1), "f(D)": products(D, x, 1)}
        calls |= {way: update(GAN(G, D, latent=latent), x, objective) for way, (objective, _) in WAYS.items()}
        times = floor.alternate(calls, arguments.rounds, inner=5, warmup=5)
        took = {key: floor.median(times, key) / 1e3 for key in calls}
        print(f"{name}, {len(x)} rows: " + ", ".join(f"{key} {took[key]:.2f} ms" for key in calls if "(" in key))
        for way, (_, passes) in WAYS.items():
            parts = {"F(G)": 4, "f(G)": -1, "F(D)": passes, "f(D)": -2}
            times["floor"] = [
                sum(count * part for count, part in zip(parts.values(), one, strict=True))
                for one in zip(*(times[key] for key in parts), strict=True)
            ]
            print(
                f"    {way:18} {took[way]:7.1f} ms an update, {floor.ratio(times, way, 'floor'):.2f} of the floor "
                f"{floor.median(times, 'floor') / 1e3:.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
