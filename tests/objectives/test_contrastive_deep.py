"""Steps of a deep machine against those of an RBM, against sums over all states, and under flipped bits."""

import copy

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, MissingCapability, SupportError
from deepgen.explicit import DBM, RBM, Gaussian, Softmax
from deepgen.objectives import (
    ContrastiveDivergence,
    FastPersistentCD,
    ParallelTempering,
    PersistentCD,
    TrajectoryTempering,
    contrastive_deep,
)
from deepgen.objectives.contrastive_deep import DeepState, DeepStep
from deepgen.testing import Exact
from tests.contracts.layers import machine as pair_of_layers
from tests.explicit.test_dbm import MACHINES, Whole, machine, rows, waved
from tests.objectives.steps import named_gradients, snapshot, still
from tests.objectives.test_contrastive import REPEATS, Mirrored, assert_means

SETTLED = {"turns": 2000, "tolerance": 1e-11}
LEARNED = {  # with parameters of their own in a level above, drawn from its field and not from the odd one's
    name: lambda width=width: DBM(3, [3, Gaussian(2, precision=2.0, learned=True), *width], generator=0)
    for name, width in (("real above", ()), ("real between", (2,)))
}


def made(name):
    return waved(LEARNED[name]()) if name in LEARNED else machine(name)


def by_another_name(rbm):
    """The machine as a DBM with one hidden level."""
    dbm = DBM(copy.deepcopy(rbm.visible), [copy.deepcopy(rbm.hidden)]).to(rbm.weight)
    with torch.no_grad():
        for name, p in dbm.named_parameters():
            p.copy_(rbm.get_parameter(same_name(name)))
    return dbm


def same_name(name):
    """What an RBM calls the parameter ``name`` of that DBM."""
    named = {"couplings.0.blocks.0": "weight", "biases.0": "visible_bias", "biases.1": "hidden_bias"}
    return named.get(name, name.replace("levels.0", "visible").replace("levels.1", "hidden"))


@pytest.mark.parametrize("plain", [True, False], ids=["in the product", "by the optimizer"])
@pytest.mark.parametrize(
    ("pair", "options"),
    [
        ("bernoulli-bernoulli", {"weight_decay": 0.1, "sparsity": (0.2, 0.3)}),
        ("spin-softmax", {"centred": False}),
        ("mixed-mixed", {"weight_decay": 0.1}),
        ("learned-bernoulli", {}),
    ],
)
def test_the_deep_step_of_one_hidden_level_is_that_of_the_rbm(pair, options, plain, seed):
    rbm = pair_of_layers(pair, torch.float64)
    dbm = by_another_name(rbm)
    x = rbm.sample(12, steps=3, generator=seed)
    objective, found = PersistentCD(k=2, chains=9, sliding=0.2, **options), []
    ways = (
        (objective.start, objective.update),
        (
            lambda model, x, generator: contrastive_deep.start(model, x, objective, generator),
            lambda model, optimizer: DeepStep(model, optimizer, objective),
        ),
    )
    for model, (start, update) in zip((rbm, dbm), ways, strict=True):
        stream = dg.random.generator(seed)
        state = start(model, x, generator=stream)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.0 if plain else 0.5)
        step = update(model, optimizer)
        for batch in (x, x[:5]):
            state, metrics = step(state, batch, generator=stream)
        found.append((state, metrics))
    (one, told), (two, told_too) = found
    torch.testing.assert_close(one.chains, two.chains, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.cat((one.visible_mean, one.hidden_mean)), two.means, rtol=0, atol=1e-14)
    torch.testing.assert_close(told["moment_gap"], told_too["moment_gap"])
    for name, p in dbm.named_parameters():
        torch.testing.assert_close(p, rbm.get_parameter(same_name(name)), rtol=0, atol=1e-12)


TRAINERS = {
    "CD": lambda: ContrastiveDivergence(k=2, weight_decay=1e-3),
    "PCD": lambda: PersistentCD(chains=12, sparsity=(0.2, 0.1)),
    "FPCD": lambda: FastPersistentCD(chains=12),
    "PT": lambda: ParallelTempering(chains=12, betas=3),
    "PTT": lambda: TrajectoryTempering(chains=20, every=2, pace=1),
}


@pytest.mark.filterwarnings("ignore::deepgen.objectives.EquilibriumWarning")
@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("pair", ["bernoulli-bernoulli", "learned-softmax"])
def test_one_hidden_level_is_the_rbm_to_every_trainer(pair, trainer, seed, tmp_path):
    """Whole runs, bit for bit, by each trainer's own optimizer; cut and resumed as well."""
    x = pair_of_layers(pair).sample(40, steps=3, generator=seed)

    def run(another_name, *epochs, out=None):
        for until in epochs:
            rbm, objective = pair_of_layers(pair), TRAINERS[trainer]()
            model = by_another_name(rbm) if another_name else rbm
            history = dg.fit(model, x, objective, epochs=until, batch_size=16, seed=seed, out=out, progress=False)
        return model, history[-1].metrics

    (rbm, told), (dbm, told_too) = run(False, 4), run(True, 4)
    again, _ = run(True, 2, 4, out=tmp_path)
    for name, p in dbm.named_parameters():
        assert torch.equal(p, rbm.get_parameter(same_name(name)))
        assert torch.equal(p, again.get_parameter(name))
    assert told == told_too
    assert not torch.equal(rbm.weight, pair_of_layers(pair).weight)


def test_the_machine_by_another_name_shares_its_parameters():
    dbm = DBM([2, Softmax(1, 3)], [4], generator=0)
    assert dbm.is_rbm
    rbm = dbm.as_rbm(share=True)
    assert {id(p) for p in rbm.parameters()} == {id(p) for p in dbm.parameters()}
    states = [torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0]]), torch.ones(1, 4)]
    with torch.no_grad():
        rbm.weight.fill_(0.5)
    assert torch.equal(rbm.energy(*states), dbm.energy(*states))
    assert not DBM([2, 3], [[4, 1]]).is_rbm  # two machines side by side
    for deep in (DBM(3, [2, 2]), DBM([2, 3], [[4, 1]])):
        with pytest.raises(MissingCapability, match=r"one hidden level .* as_rbm\(\) makes a copy of any"):
            deep.as_rbm(share=True)


def centred_names(dbm):
    """(coupling, block name, columns, columns above) of all blocks."""
    return [
        (below, f"couplings.{below}.blocks.{i}", columns, above)
        for below, coupling in enumerate(dbm.couplings)
        for i, (_, columns, above) in enumerate(coupling.joints())
    ]


def centred(gradient, dbm, offsets):
    """The gradient of the machine in W and b_l + W_l mu_(l+1) + W_(l-1)' mu_(l-1) by the chain rule, mapped back."""

    def ordinary(values):
        biases = [values[f"biases.{level}"].clone() for level in range(len(dbm.levels))]
        for below, name, columns, above in centred_names(dbm):
            biases[below][columns] = biases[below][columns] - values[name] @ offsets[below + 1][above]
            biases[below + 1][above] = biases[below + 1][above] - values[name].t() @ offsets[below][columns]
        return values | {f"biases.{level}": bias for level, bias in enumerate(biases)}

    moved = {name: torch.zeros_like(g).requires_grad_() for name, g in gradient.items()}
    names = list(gradient)
    outputs = ordinary(moved)
    inner = torch.autograd.grad([outputs[n] for n in names], [moved[n] for n in names], [gradient[n] for n in names])
    return {name: g.detach() for name, g in ordinary(dict(zip(names, inner, strict=True))).items()}


@pytest.mark.parametrize(
    ("name", "shift"),
    [*((name, True) for name in (*MACHINES, *LEARNED)), ("two", False), ("real", False), ("real above", False)],
)
def test_gradient_is_that_of_the_bound_less_log_z(name, shift, stream, alpha):
    """The bound by autograd through mean field at its fixed point, log Z by a sum, chains that are exact draws."""
    dbm = made(name)
    x, exact, whole = rows(dbm, stream), Exact(dbm.as_rbm()), Exact(Whole(dbm))
    objective = PersistentCD(k=2, chains=400, centred=shift, **SETTLED)
    state = contrastive_deep.start(dbm, x, objective, stream)
    named, start = dict(dbm.named_parameters()), state.means.split([u.width for u in dbm.levels])[1:]
    bound = dbm.mean_field(x, turns=300, tolerance=1e-12, start=start).bound.mean()
    ascent = torch.autograd.grad(bound, list(named.values()))
    inside = dict(whole.model.dbm.named_parameters())
    decline = torch.autograd.grad(whole.log_z, [inside[n] for n in named])
    expected = {n: a.detach() - d for n, a, d in zip(named, ascent, decline, strict=True)}
    if shift:
        expected = centred(expected, dbm, state.means.split([u.width for u in dbm.levels]))
    step, gradients = DeepStep(dbm, still(dbm), objective), []
    for _ in range(REPEATS):
        chains = exact.sample(400, generator=stream)[1]
        step(state._replace(chains=chains), x, generator=stream)
        gradients.append(named_gradients(dbm))
    assert_means(gradients, {n: -g for n, g in expected.items()}, alpha)


@pytest.mark.parametrize("name", [name for name in (*MACHINES, *LEARNED) if name != "one"])
def test_with_draws_of_the_posterior_it_is_that_of_the_likelihood(name, stream, alpha):
    """By a sum over all hidden states, chains that are exact draws, and steps enough to forget mean field."""
    dbm = made(name)
    x, exact, whole = rows(dbm, stream), Exact(dbm.as_rbm()), Exact(Whole(dbm))
    objective = PersistentCD(k=2, chains=400, centred=False, posterior_steps=30)
    state, step, gradients = objective.start(dbm, x, generator=stream), objective.update(dbm, still(dbm)), []
    inside = dict(whole.model.dbm.named_parameters())
    mean = whole.log_density(x).mean() - whole.log_z
    expected = torch.autograd.grad(-mean, [inside[n] for n, _ in dbm.named_parameters()])
    for _ in range(REPEATS):
        chains = exact.sample(400, generator=stream)[1]
        step(state._replace(chains=chains), x.repeat(40, 1), generator=stream)
        gradients.append(named_gradients(dbm))
    assert_means(gradients, {n: g for (n, _), g in zip(dbm.named_parameters(), expected, strict=True)}, alpha)


@pytest.mark.parametrize("scale", [0.01, 0.3])
def test_mean_field_pulls_small_weights_of_a_higher_level_to_zero(scale):
    """At data of the machine's own law, where the gradient of the likelihood is zero."""
    dbm = machine("two")
    with torch.no_grad():
        dbm.couplings[1].blocks[0].mul_(scale)
    whole, every = Exact(Whole(dbm)), dbm.visible.enumerate(0, dbm.visible.states)
    share = (whole.log_density(every) - whole.log_z).exp().detach()
    (inside,), (weight,) = whole.model.dbm.couplings[1].blocks, dbm.couplings[1].blocks
    likelihood = (share * whole.log_density(every)).sum() - whole.log_z
    assert float(torch.autograd.grad(likelihood, inside)[0].abs().max()) < 1e-9
    bound = (share * dbm.mean_field(every, turns=300, tolerance=1e-13).bound).sum()
    (ascent,), (decline,) = torch.autograd.grad(bound, weight), torch.autograd.grad(whole.log_z, inside)
    outward = float(((ascent - decline) * weight).detach().sum())
    assert outward < -1e-3 * float(weight.detach().square().sum())


@pytest.mark.parametrize("posterior_steps", [0, 2])
def test_a_level_that_hears_nothing_adds_no_noise(posterior_steps, seed):
    """Of weights of zero to the top the gradient is zero in a step, not in the mean alone; that of its bias too.

    It is the centred gradient, at an offset that is the level's mean, as ``start`` takes it.
    """
    dbm = DBM(6, [4, 3], generator=seed)
    with torch.no_grad():
        dbm.couplings[0].blocks[0].mul_(100)  # the level below hears enough to learn
        dbm.couplings[1].blocks[0].zero_()
        dbm.biases[2].fill_(0.7)
    g = dg.random.generator(seed)
    x = (torch.rand(30, 6, generator=g) < 0.4).float()
    objective = PersistentCD(chains=20, posterior_steps=posterior_steps)
    step, state = objective.update(dbm, still(dbm)), objective.start(dbm, x, generator=g)
    step(state, x, generator=g)
    gradients = named_gradients(dbm)
    assert float(gradients["couplings.1.blocks.0"].abs().max()) < 1e-6
    assert float(gradients["biases.2"].abs().max()) < 1e-6
    assert float(gradients["couplings.0.blocks.0"].abs().max()) > 1e-4


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("level", [0, 1])
def test_flipped_bits_of_any_level_are_learnt_alike(level, momentum, seed):
    """x -> 1 - x of one level; centred training maps along step by step, uncentred training does not."""
    widths = [7, 4, 3]
    x = (torch.rand(30, widths[0], generator=dg.random.generator(seed)) < 0.2).double()
    x[:, 0] = 1.0  # a mean far from its mirror image

    def flip(dbm):
        for below, coupling in enumerate(dbm.couplings):
            (weight,) = coupling.blocks
            if below == level:
                dbm.biases[below + 1] += weight.sum(0)
            elif below + 1 == level:
                dbm.biases[below] += weight.sum(1)
            if level in (below, below + 1):
                weight.neg_()
        dbm.biases[level].neg_()

    @torch.no_grad()
    def train(flipped, centre):
        stream = dg.random.generator(seed)
        visible, *hidden = (Mirrored(w, flipped and i == level) for i, w in enumerate(widths))
        dbm = DBM(visible, hidden, generator=stream).double()
        for parameter in dbm.parameters():
            parameter.normal_(0.0, 0.5, generator=stream)
        data = 1 - x if flipped and level == 0 else x
        chains = (torch.rand(9, widths[1], generator=stream) < 0.3).double()
        means = [torch.rand(w, generator=stream).double() for w in widths]
        if flipped:
            flip(dbm)
            means[level] = 1 - means[level]
            chains = 1 - chains if level == 1 else chains
        method = PersistentCD(k=2, centred=centre, sliding=0.1, turns=6, tolerance=0.0)
        state = DeepState(chains, torch.cat(means))
        step = method.update(dbm, torch.optim.SGD(dbm.parameters(), lr=0.1, momentum=momentum))
        for batch in data.split(10) * 2:
            state, _ = step(state, batch, generator=stream)
        if flipped:
            flip(dbm)
        return snapshot(dbm)

    for here, there in zip(train(False, True), train(True, True), strict=True):
        torch.testing.assert_close(here, there, rtol=0, atol=1e-12)
    pairs = zip(train(False, False), train(True, False), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) > 1e-3


def log_likelihood(dbm, x):
    """The exact mean log-likelihood of rows under a machine with two hidden levels, the lower one listed."""
    dbm = copy.deepcopy(dbm).double()
    weight, above = (coupling.dense() for coupling in dbm.couplings)
    h = dbm.levels[1].enumerate(0, dbm.levels[1].states)
    own = h @ dbm.biases[1] + dbm.levels[2].cumulant(dbm.biases[2] + h @ above)
    log_z = (own + dbm.levels[0].cumulant(dbm.biases[0] + h @ weight.t())).logsumexp(0)
    return float((((x.double() @ weight) @ h.t() + own).logsumexp(1) + x.double() @ dbm.biases[0] - log_z).mean())


@torch.no_grad()
def bars_and_stripes(size, hidden, steps, rate, chains, stream):
    """How far below the entropy of the patterns a machine ends, its rate falling to zero."""
    x = dg.data.bars_and_stripes(size)
    dbm = DBM(size**2, hidden, generator=stream).initialise(x)
    objective, optimizer = PersistentCD(k=5, chains=chains), torch.optim.SGD(dbm.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 - step / steps) ** 2)
    step, state = objective.update(dbm, optimizer), objective.start(dbm, x, generator=stream)
    for _ in range(steps):
        state, _ = step(state, x, generator=stream)
        schedule.step()
    return dg.data.ceiling(x) - log_likelihood(dbm, x)


def test_bars_and_stripes_are_learnt_to_near_the_ceiling(stream):
    """Without pre-training; the bound is what is ascended, the likelihood what is measured."""
    assert 0 <= bars_and_stripes(3, [12, 6], 2000, 0.4, 500, stream) < 0.8


@pytest.mark.slow
def test_larger_bars_and_stripes_are_learnt_to_near_the_ceiling(stream):
    assert 0 <= bars_and_stripes(4, [16, 8], 12_000, 0.15, 800, stream) < 0.3


def data_for(dbm, seed, n=40):
    return rows(dbm, dg.random.generator(seed), n).float()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", ["three", "joined", "real"])
def test_a_fit_that_was_killed_ends_in_the_same_bits(name, momentum, seed, tmp_path):
    x = data_for(machine(name), seed)
    objective = PersistentCD(k=2, chains=7, weight_decay=1e-3)

    def run(*epochs, out=None):
        dbm = machine(name, torch.float32)
        optimizer = torch.optim.SGD(dbm.parameters(), lr=0.05, momentum=momentum)
        for until in epochs:
            if out is not None and until != epochs[0]:
                dbm = machine(name, torch.float32)
                optimizer = torch.optim.SGD(dbm.parameters(), lr=0.05, momentum=momentum)
            dg.fit(dbm, x, objective, epochs=until, batch_size=16, optimizer=optimizer, seed=seed, out=out,
                   progress=False)  # fmt: skip
        return snapshot(dbm)

    for here, there in zip(run(3), run(1, 3, out=tmp_path), strict=True):
        assert torch.equal(here, there)
    assert not torch.equal(run(3)[0], snapshot(machine(name, torch.float32))[0])


def after_a_step(name, seed, optimizer, **options):
    dbm = machine(name)
    x, stream = rows(dbm, dg.random.generator(seed), 8), dg.random.generator(seed)
    objective = PersistentCD(chains=9, sliding=0.25, **options)
    first = objective.start(dbm, x, generator=stream)
    state, metrics = objective.update(dbm, optimizer(dbm))(first, x[:5], generator=stream)
    return dbm, x, first, state, metrics


@pytest.mark.parametrize("name", ["three", "joined", "real"])
def test_plain_sgd_in_the_products_is_sgd(name, seed):
    options = {"weight_decay": 0.1, "sparsity": (0.1, 0.2)}
    fused = after_a_step(name, seed, lambda dbm: torch.optim.SGD(dbm.parameters(), lr=0.3), **options)[0]
    plain = after_a_step(name, seed, lambda dbm: torch.optim.SGD(dbm.parameters(), lr=0.3, momentum=0.5), **options)[0]
    assert fused.couplings[0].blocks[0].grad is None
    for a, b in zip(snapshot(fused), snapshot(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_weight_decay_and_sparsity_add_their_gradients(seed):
    bare, *_ = after_a_step("three", seed, still)
    decayed, _, first, *_ = after_a_step("three", seed, still, weight_decay=0.3)
    sparse, _, _, state, _ = after_a_step("three", seed, still, sparsity=(0.1, 0.7))
    means = state.means.split([units.width for units in bare.levels])
    offsets = first.means.split([units.width for units in bare.levels])
    follow = [torch.zeros_like(offset) for offset in offsets]  # biases, so that centred ones stay
    for low, coupling in enumerate(bare.couplings):
        for block, columns, above in coupling.joints():
            follow[low][columns] -= block.detach() @ offsets[low + 1][above]
            follow[low + 1][above] -= block.detach().T @ offsets[low][columns]
    for name, gradient in named_gradients(bare).items():
        added = bare.get_parameter(name).detach() if name.startswith("couplings") else 0.0
        if name.startswith("biases"):
            added = follow[int(name.split(".")[1])]
        torch.testing.assert_close(decayed.get_parameter(name).grad, gradient + 0.3 * added)
        level = int(name.split(".")[1]) if name.startswith("biases") else 0
        pull = 0.7 * (means[level] - 0.1) if level else 0.0
        torch.testing.assert_close(sparse.get_parameter(name).grad, gradient + pull)


@pytest.mark.parametrize("posterior_steps", [0, 2])
def test_under_autocast_the_gradient_keeps_its_precision(posterior_steps, seed):
    """Without weights levels send nothing, so that states are the same, and so must be every bit of the gradient."""
    found = []
    for low in (False, True):
        dbm, stream = DBM(12, [7, 5, 3], generator=seed), dg.random.generator(seed)
        x = torch.rand(50, 12, generator=stream).round()
        dbm.initialise(x)
        with torch.no_grad():
            for coupling in dbm.couplings:
                coupling.blocks[0].zero_()
        # an odd number of fair bits is never half on, and a goal far from their means moves all biases
        objective = PersistentCD(chains=5, posterior_steps=posterior_steps, sparsity=(0.9, 1.0))
        with torch.autocast("cpu", torch.bfloat16, enabled=low, cache_enabled=False):
            first = objective.start(dbm, x, generator=stream)
            first = first._replace(means=torch.linspace(0.1, 0.9, 27))
            state, _ = objective.update(dbm, still(dbm))(first, x[:20], generator=stream)
        found.append([state.chains, state.means, *named_gradients(dbm).values()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert all(gradient.abs().max() > 0.01 for gradient in found[0][2:])


@pytest.mark.parametrize("name", ["three", "joined"])
def test_offsets_are_running_means_over_data(name, seed):
    dbm, x, first, state, metrics = after_a_step(name, seed, still, **SETTLED)
    means = torch.cat([x, dbm.transform(x)], 1)
    torch.testing.assert_close(first.means[: dbm.visible.width], x.mean(0))
    found = dbm.mean_field(x[:5], turns=2000, tolerance=1e-12).means
    batch = torch.cat([x[:5], *found], 1).mean(0).detach()
    torch.testing.assert_close(state.means, 0.75 * first.means + 0.25 * batch, rtol=0, atol=1e-6)
    assert first.means.shape == means[0].shape
    assert 1 < float(metrics["turns"]) < 2000


def test_few_turns_are_told(seed):
    *_, metrics = after_a_step("two", seed, still, turns=1)
    assert float(metrics["turns"]) == 1


def test_what_is_refused(stream):
    dbm = DBM(3, [2, 2], generator=0)
    with pytest.raises(ArgumentError, match="binary=True takes the products of an RBM"):
        PersistentCD(binary=True).update(dbm, still(dbm))
    with pytest.raises(
        MissingCapability, match="trains an RBM, got DBM; a DBM of more than one hidden level is trained by"
    ):
        ContrastiveDivergence().start(dbm, torch.zeros(1, 3), generator=stream)
    with pytest.raises(SupportError, match=r"got 0\.3"):
        PersistentCD().start(dbm, torch.tensor([[0.3, 0.0, 1.0]]), generator=stream)
    for options, says in (
        ({"turns": 0}, "turns must be an integer of at least 1, got 0"),
        ({"tolerance": -1}, "tolerance must be a finite number of at least 0, got -1"),
    ):
        with pytest.raises(ArgumentError, match=says):
            PersistentCD(**options)


def test_the_default_rate_is_smaller_for_real_units():
    for layer, rate in ((3, 0.05), (Gaussian(3), 0.005)):
        assert PersistentCD().optimizer(DBM(2, [2, layer])).param_groups[0]["lr"] == rate
    assert PersistentCD().optimizer(RBM(3, 2)).param_groups[0]["lr"] == 0.05


def test_packed_rows_train_like_float_ones(seed):
    x = data_for(DBM(7, [2]), seed)

    def after(data):
        dbm, stream = DBM(7, [4, 3], generator=seed), dg.random.generator(seed)
        objective = PersistentCD(chains=5)
        step = objective.update(dbm, objective.optimizer(dbm))
        step(objective.start(dbm, data, generator=stream), data, generator=stream)
        return snapshot(dbm)

    assert all(torch.equal(a, b) for a, b in zip(after(x), after(x.to(torch.uint8)), strict=True))
