"""What test_ranks.py trains on one, two and three ranks: all in float64, batches of 10 of 47 rows, 13 chains."""

import torch

import deepgen as dg
from deepgen import objectives as to

BITS = (torch.rand(47, 6, generator=dg.random.generator(1)) < 0.4).double()
REALS = torch.randn(47, 2, generator=dg.random.generator(2)).double()
GAPS = BITS.clone()
GAPS[::3, 2] = torch.nan
EPOCHS = 4


def machine():
    return dg.RBM(6, 5, generator=0).double()


def large():
    """Large enough for kernels that are compiled, in float32."""
    return dg.RBM(256, 200, generator=0)


LARGE = (torch.rand(23, 256, generator=dg.random.generator(6)) < 0.4).float()


def deep():
    return dg.explicit.DBM(6, [5, 4], generator=0).double()


@torch.no_grad()
def strong():
    """Levels that take several turns to settle, some rows more than others."""
    model = deep()
    for p in model.parameters():
        p.mul_(100 if p.ndim == 2 else 1)
    return model


def stack():
    return dg.explicit.DBN(6, [5, 4], generator=0).double()


def vae(**options):
    return dg.implicit.mlp_vae(6, [8], latent=2, generator=0, **options).double()


def gan():
    dense = dg.implicit.Dense
    maker = torch.nn.Sequential(dense(2, [], 8, generator=0), torch.nn.BatchNorm1d(8), dense(8, [], 2, generator=1))
    return dg.implicit.GAN(maker, dense(2, [8], (), generator=2), latent=2).double()


def energy():
    flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    net, base = dg.layers.ScalarMLP(2, generator=0), dg.distributions.MultivariateNormal(2)
    return dg.explicit.EnergyModel(net, base=base, proposal=flow).double()


def mixture():
    return dg.explicit.BernoulliMixture(6, components=3).double().initialise(BITS, generator=0)


def iaf():
    return dg.explicit.IAF(2, transforms=1, hidden=[8], context=8, generator=0)


CASES = {
    "pcd": lambda: (machine(), BITS, to.PersistentCD(chains=13)),
    "pcd, penalties, one chain": lambda: (
        machine(),
        BITS,
        to.PersistentCD(chains=1, weight_decay=0.001, sparsity=(0.1, 0.1)),
    ),
    "cd": lambda: (machine(), BITS, to.ContrastiveDivergence(k=2)),
    "fast": lambda: (machine(), BITS, to.FastPersistentCD(chains=13)),
    "tempered": lambda: (machine(), BITS, to.ParallelTempering(chains=13, betas=3)),
    "dbm": lambda: (deep(), BITS, to.PersistentCD(chains=13, posterior_steps=2)),
    "dbm, mean field": lambda: (strong(), BITS, to.PersistentCD(chains=13, tolerance=1e-4)),
    "dbn": lambda: (stack(), BITS, to.LayerWise(to.PersistentCD(chains=13))),
    "up-down": lambda: (stack().untie(), BITS, to.UpDown(chains=13)),
    "gaps": lambda: (machine(), GAPS, to.Incomplete(to.PersistentCD(chains=13))),
    "em": lambda: (mixture(), BITS, to.ExpectationMaximisation()),
    "made": lambda: (dg.explicit.MADE(6, hidden=[8], orders=3, generator=0).double(), BITS, to.MaximumLikelihood()),
    "deep nade": lambda: (dg.explicit.DeepNADE(6, [8], generator=0).double(), BITS, to.OrderAgnostic()),
    "flow": lambda: (dg.explicit.MAF(2, transforms=2, hidden=[8], generator=0).double(), REALS, to.MaximumLikelihood()),
    "vae": lambda: (vae(), BITS, to.ELBO(free_bits=0.1, samples=5)),  # as many draws as a rank has rows
    "flow posterior": lambda: (vae(posterior=iaf()), BITS, to.IWAE(k=3)),
    "gan, batch norm": lambda: (gan(), REALS, to.Adversarial(to.Wasserstein(), to.GradientPenalty(1.0))),
    "energy": lambda: (energy(), REALS, to.AdversarialChains(k=3, chains=13, restart=0.1)),
}
OTHERS = {
    "compiled": lambda: (large(), LARGE, to.PersistentCD(chains=13)),
    "sparse": lambda: (large(), LARGE * LARGE.roll(1), to.PersistentCD(chains=10)),
    "unsplit": lambda: (machine(), BITS, to.TrajectoryTempering(chains=20)),
}
COMPILED = ("compiled", "sparse")


def train(name, out, *, epochs=EPOCHS, ranks=None, callbacks=()):
    """The history of a case by one process, or by ``ranks``."""
    model, data, objective = (CASES | OTHERS)[name]()
    size = 47 if name == "em" else 10  # the last batch has 7 rows
    return dg.fit(
        model,
        data,
        objective,
        epochs=epochs,
        batch_size=size,
        seed=3,
        callbacks=callbacks,
        out=out,
        ranks=ranks,
        progress=False,
    )
