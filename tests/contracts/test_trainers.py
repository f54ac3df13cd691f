"""Every trainer over every pair of layers, and at two and three hidden levels: its mean step against brute force.

Chains start at exact draws of what they should keep, and rates are zero, so the mean of the gradients that a step
leaves is known: that of the likelihood (persistent chains of every kind; of fast weights with the chains' part at the
machine they see), that of the change in k Gibbs steps (contrastive divergence), that of mean field's bound or of the
likelihood (deep machines). Offsets are those the trainer starts with.
"""

import math
from typing import NamedTuple

import pytest
import torch
from scipy.stats import t as student

import deepgen as dg
from deepgen.explicit import DBM, DBN
from deepgen.objectives import (
    ContrastiveDivergence,
    FastPersistentCD,
    Incomplete,
    LayerWise,
    ParallelTempering,
    PersistentCD,
    TrajectoryTempering,
    UpDown,
)
from deepgen.testing import Exact
from tests.contracts.layers import LAYERS, PAIRS, machine
from tests.evaluate.deep import Whole
from tests.objectives.steps import named_gradients, snapshot, still
from tests.objectives.test_contrastive import centred
from tests.objectives.test_contrastive_deep import centred as centred_levels
from tests.objectives.test_trajectory import rung_of, weaker
from tests.train.runs import equal

KINDS = [f"{kind}-{other}" for kind, other in zip(LAYERS, [*list(LAYERS)[1:], "bernoulli"], strict=True)]  # each once
CHAINS, REPEATS, BETAS = 400, 25, (0.0, 0.5, 1.0)
MANY = 4 * CHAINS  # of contrastive divergence, whose mean step is small and itself drawn
WHOLE = dict.fromkeys(("weight", "visible_bias", "hidden_bias"))  # what has a fast part, and offsets


class Wanted(NamedTuple):
    """The mean of a step's gradients by name, with the variance of that mean where it is itself drawn."""

    mean: dict
    variance: dict


def assert_mean_step(gradients, wanted, alpha):
    """The mean over repeats is ``wanted``, and would be told from its double."""
    names, count = list(wanted.mean), len(gradients)
    found = [torch.cat([g[n].double().flatten() for n in names]) for g in gradients]
    mean, variance = (torch.cat([part[n].double().flatten() for n in names]) for part in wanted)
    stacked = torch.stack(found)
    error = (stacked.var(0) / count + variance).sqrt() + 1e-9
    line = student.isf(alpha / (2 * len(mean)), count - 1)
    assert float(((stacked.mean(0) - mean) / error).abs().max()) < line
    assert float((mean / error).abs().max()) > 2 * line


def exactly(mean):
    return Wanted(mean, {name: torch.zeros_like(g) for name, g in mean.items()})


def tilted(units, n, stream, like):
    """Rows of data that are not the model's own."""
    return units.sample(torch.full((n, units.width), 2.0).to(like), generator=stream)


def minus(gradient, state):
    """Minus the gradient of the machine that is written around the offsets of ``state``."""
    shifted = centred(gradient, state.visible_mean.double(), state.hidden_mean.double())
    return {name: -g for name, g in shifted.items()}


def persistent(rbm, x, stream):
    objective, exact = PersistentCD(k=2, chains=CHAINS), Exact(rbm)
    state = objective.start(rbm, x, generator=stream)
    chains = exact.sample(CHAINS * REPEATS, generator=stream)[1].split(CHAINS)
    return objective, [state._replace(chains=c) for c in chains], exactly(minus(exact.gradient(x), state))


def fast(rbm, x, stream):
    """Data at the machine, chains at it with the fast part added."""
    objective, seen = FastPersistentCD(k=2, chains=CHAINS), weaker(rbm, 1.0)
    parts = [0.1 * torch.cos(torch.arange(p.numel()).double()).reshape(p.shape) for p in map(rbm.get_parameter, WHOLE)]
    with torch.no_grad():
        for name, part in zip(WHOLE, parts, strict=True):
            seen.get_parameter(name).add_(part)
    own, exact = Exact(rbm), Exact(seen.requires_grad_())
    state = objective.start(rbm, x, generator=stream)
    chains = exact.sample(CHAINS * REPEATS, generator=stream)[1].split(CHAINS)
    data = torch.autograd.grad(own.log_density(x).mean(), list(own.model.parameters()))
    drawn = torch.autograd.grad(exact.log_z, list(exact.model.parameters()))
    ascent = {name: d - c for (name, _), d, c in zip(rbm.named_parameters(), data, drawn, strict=True)}
    return objective, [state._replace(chains=c, fast=tuple(parts)) for c in chains], exactly(minus(ascent, state))


def tempered(rbm, x, stream):
    """Every rung at its own law, and swaps."""
    objective = ParallelTempering(chains=CHAINS, betas=BETAS)
    state, kernel = objective.start(rbm, x, generator=stream), objective.kernel(rbm)
    rungs = [Exact(rbm, beta).sample(CHAINS * REPEATS, generator=stream)[0] for beta in BETAS]
    replicas = [kernel.start(v) for v in torch.stack(rungs, 1).split(CHAINS)]
    return objective, [state._replace(replicas=r) for r in replicas], exactly(minus(Exact(rbm).gradient(x), state))


def trajectory(rbm, x, stream):
    """A meeting with draws of a weaker machine in every step."""
    objective = TrajectoryTempering(k=2, chains=CHAINS, meeting=CHAINS // 4, freeze=0.01, lost=0.0)
    state, exact = objective.start(rbm, x, generator=stream), Exact(rbm)
    chains = exact.sample(CHAINS * REPEATS, generator=stream)[1].split(CHAINS)
    family, frozen = torch.arange(CHAINS), weaker(rbm, 0.5)
    states = [state._replace(chains=c, family=family, rung=rung_of(frozen, CHAINS, stream)) for c in chains]
    return objective, states, exactly(minus(exact.gradient(x), state))


def contrastive(rbm, x, stream):
    """Against the library's own kernel from the same rows, by autograd through the free energy."""
    objective, rows = ContrastiveDivergence(k=2), x.repeat(MANY // len(x), 1)
    state, kernel = objective.start(rbm, x, generator=stream), rbm.gibbs()
    ends = dg.samplers.advance(kernel, kernel.init(rows.repeat(REPEATS, 1)), 2, generator=stream).position
    named, draws = dict(rbm.named_parameters()), []
    for end in ends.split(len(rows)):
        ascent = torch.autograd.grad(rbm.free_energy(end).mean() - rbm.free_energy(x).mean(), list(named.values()))
        draws.append(minus(dict(zip(named, ascent, strict=True)), state))
    stacked = {name: torch.stack([draw[name] for draw in draws]) for name in named}
    wanted = Wanted({n: s.mean(0) for n, s in stacked.items()}, {n: s.var(0) / REPEATS for n, s in stacked.items()})
    return objective, [state] * REPEATS, wanted


TRAINERS = {"CD": contrastive, "PCD": persistent, "FPCD": fast, "PT": tempered, "PTT": trajectory}


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("pair", PAIRS)
def test_the_mean_step_of_a_machine(pair, trainer, stream, alpha):
    rbm = machine(pair, torch.float64)
    x = tilted(rbm.visible, 8, stream, rbm.weight)
    objective, states, wanted = TRAINERS[trainer](rbm, x, stream)
    batch = x.repeat(MANY // len(x), 1) if trainer == "CD" else x
    step, gradients = objective.update(rbm, still(rbm)), []
    for state in states:
        step(state, batch, generator=stream)
        gradients.append(named_gradients(rbm))
    assert_mean_step(gradients, wanted, alpha)


def levels_of(pair, depth):
    """Kinds of units by turns, ``depth`` of them hidden: of "spin-softmax" and 2 spin, softmax, spin."""
    kinds = pair.split("-")
    return [LAYERS[kinds[level % 2]]() for level in range(depth + 1)]


def deep_machine(pair, depth, dtype=torch.float64):
    visible, *hidden = levels_of(pair, depth)
    dbm = DBM(visible, hidden, generator=0).to(dtype)
    with torch.no_grad():
        for shift, (name, p) in enumerate(dbm.named_parameters()):
            wave = torch.sin(torch.arange(p.numel()) * 2.4 + 1 + shift).reshape(p.shape).to(dtype)
            scale = 0.3 if "couplings" in name else 0.6  # of weights, so that real units stay normalisable
            p.copy_(p + 0.2 * wave if "log_precision" in name else scale * wave)
    return dbm


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize(
    ("pair", "posterior_steps"), [*((pair, 0) for pair in PAIRS), *((pair, 20) for pair in KINDS)]
)  # of mean field's bound, and of the likelihood
def test_the_mean_step_of_a_deep_machine(pair, posterior_steps, depth, stream, alpha):
    dbm = deep_machine(pair, depth)
    x, whole = tilted(dbm.visible, 4, stream, dbm.biases[0]), Exact(Whole(dbm))
    objective = PersistentCD(chains=CHAINS, turns=500, tolerance=1e-10, posterior_steps=posterior_steps)
    state = objective.start(dbm, x, generator=stream)
    named, inside = dict(dbm.named_parameters()), dict(whole.model.dbm.named_parameters())
    offsets = state.means.split([units.width for units in dbm.levels])
    decline = torch.autograd.grad(whole.log_z, [inside[n] for n in named])
    if posterior_steps:
        ascent = torch.autograd.grad(whole.log_density(x).mean(), [inside[n] for n in named])
    else:
        bound = dbm.mean_field(x, turns=500, tolerance=1e-10, start=offsets[1:]).bound.mean()
        ascent = torch.autograd.grad(bound, list(named.values()))
    gradient = centred_levels({n: a - d for n, a, d in zip(named, ascent, decline, strict=True)}, dbm, offsets)
    _, h = whole.sample(CHAINS * REPEATS, generator=stream)
    odd = torch.cat(h.split([units.width for units in dbm.levels[1:]], 1)[::2], 1)
    step, gradients = objective.update(dbm, still(dbm)), []
    batch = x.repeat(CHAINS // len(x), 1) if posterior_steps else x
    for chains in odd.split(CHAINS):
        step(state._replace(chains=chains), batch, generator=stream)
        gradients.append(named_gradients(dbm))
    assert_mean_step(gradients, exactly({n: -g for n, g in gradient.items()}), alpha)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("pair", ["bernoulli-spin", "spin-softmax", "softmax-bernoulli"])
def test_the_mean_step_of_a_stack(pair, depth, stream, alpha):
    """Each machine takes that of the likelihood of what the way up draws, whose law is listed.

    Of `UpDown`, at two and three levels, tests/objectives/test_deep_belief.py tells the mean step.
    """
    visible, *hidden = levels_of(pair, depth)
    dbn = DBN(visible, hidden, generator=0).double()
    with torch.no_grad():
        for shift, p in enumerate(dbn.parameters()):
            p.copy_(0.6 * torch.sin(torch.arange(p.numel()) * 2.4 + 1 + shift).reshape(p.shape))
    x, wanted, draws = tilted(dbn.visible, 8, stream, dbn.top.weight), {}, []
    states, share = x, torch.full((len(x),), 1 / len(x)).double()
    for level, rbm in enumerate(dbn.rbms):
        exact = Exact(rbm)
        draws.append(exact.sample(CHAINS * REPEATS, generator=stream)[1].split(CHAINS))
        mean = share @ exact.log_likelihood(states)
        ascent = torch.autograd.grad(mean, list(exact.model.parameters()))
        wanted |= {f"rbms.{level}.{n}": -g for (n, _), g in zip(rbm.named_parameters(), ascent, strict=True)}
        above = rbm.hidden.enumerate(0, rbm.hidden.states)
        with torch.no_grad():
            share = share @ rbm.hidden_given(states.unsqueeze(1)).log_prob(above).exp()
        states = above
    objective = LayerWise(PersistentCD(chains=CHAINS, centred=False))
    state, gradients = objective.start(dbn, x, generator=stream), []
    step = objective.update(dbn, torch.optim.SGD(dbn.parameters(), lr=1.0))
    before, kept = snapshot(dbn), [name for name, _ in dbn.named_parameters()]
    for chains in zip(*draws, strict=True):
        levels = tuple(one._replace(chains=c) for one, c in zip(state.levels, chains, strict=True))
        step(state._replace(levels=levels), x.repeat(CHAINS // len(x), 1), generator=stream)
        gradients.append({n: p - q for n, p, q in zip(kept, before, snapshot(dbn), strict=True)})
        with torch.no_grad():
            for p, old in zip(dbn.parameters(), before, strict=True):
                p.copy_(old)
    assert_mean_step(gradients, exactly(wanted), alpha)


SHALLOW = {
    "CD": lambda: ContrastiveDivergence(k=2),
    "PCD": lambda: PersistentCD(chains=12),
    "FPCD": lambda: FastPersistentCD(chains=12),
    "PT": lambda: ParallelTempering(chains=6, betas=3),
    "PTT": lambda: TrajectoryTempering(chains=20, every=2, pace=1),
    "rows with gaps": lambda: Incomplete(PersistentCD(chains=12), steps=2),
}
DEEP = {
    "DBM, bound": (DBM, lambda: PersistentCD(chains=12)),
    "DBM, likelihood": (DBM, lambda: PersistentCD(chains=12, posterior_steps=2)),
    "DBM, rows with gaps": (DBM, lambda: Incomplete(PersistentCD(chains=12), steps=2)),
    "DBN, layers": (DBN, lambda: LayerWise(PersistentCD(chains=12))),
    "DBN, up and down": (lambda *levels, **other: DBN(*levels, untied=True, **other), lambda: UpDown(chains=6)),
}


def resumed(make, objective, x, seed, out):
    """The model of a run that was stopped halfway and taken up again, and that of one in a piece."""
    found = []
    for epochs, folder in (((4,), None), ((2, 4), out)):
        for until in epochs:
            model = make()
            dg.fit(model, x, objective(), epochs=until, batch_size=9, seed=seed, out=folder, progress=False)
        found.append(model)
    return found


@pytest.mark.filterwarnings("ignore::deepgen.objectives.EquilibriumWarning")
@pytest.mark.parametrize("trainer", SHALLOW)
@pytest.mark.parametrize("pair", KINDS)
def test_a_run_that_was_stopped_ends_in_the_same_bits(pair, trainer, seed, tmp_path):
    x = machine(pair).sample(24, steps=2, generator=seed)
    if trainer == "rows with gaps":
        first = machine(pair).visible
        x[::3, : first.parts[0].width if hasattr(first, "parts") else 1] = math.nan
    whole, parts = resumed(lambda: machine(pair), SHALLOW[trainer], x, seed, tmp_path)
    assert equal(whole, parts)
    assert not torch.equal(whole.weight, machine(pair).weight)


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("trainer", DEEP)
@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "softmax-spin", "learned-mixed"])
def test_a_deep_run_that_was_stopped_ends_in_the_same_bits(pair, trainer, depth, seed, tmp_path):
    make, objective = DEEP[trainer]

    def new():
        visible, *hidden = levels_of(pair, depth)
        return make(visible, hidden, generator=0)

    x = new().sample(24, steps=2, generator=seed)
    whole, parts = resumed(new, objective, x, seed, tmp_path)
    assert equal(whole, parts)
    assert not equal(whole, new())
