"""The mutation score of check_kernel: 33 of 38 planted defects are caught at its defaults, 5 with four times as many
chains. A defect is missed where a first p-value is above 0.15: less than once in a million checks each."""

from functools import partial

import pytest

from deepgen.samplers import Hamiltonian, Langevin, Metropolis, RandomWalk, Target
from deepgen.testing import CheckFailed, check_kernel
from tests.testing import mutants as m
from tests.testing import mutants_discrete as d

BANANA, GAMMA, GRID, TORUS = Target(m.banana), Target(m.gamma2), d.Grid(), d.Grid(coupling=0.4, torus=True)
WARM = 0.5  # an inverse temperature

banana = {"draw": m.draw_banana, "p_values": m.banana_law}
warm = {
    "draw": partial(m.draw_banana, width=WARM**-0.5),
    "p_values": partial(m.banana_law, width=WARM**-0.5),
}
normal10 = {"draw": m.draw_normal10, "p_values": m.normal10_law}
gamma = {"draw": m.draw_gamma2, "p_values": m.gamma2_law}
grid = {"draw": GRID.draw, "p_values": GRID.law}
torus = {"draw": TORUS.draw, "p_values": TORUS.law}
replicas = {"draw": d.draw_replicas, "p_values": d.replicas_law}
noisy = {"draw": m.Stochastic().draw}
MORE = {"n": 16384}  # at 4096 these are missed once in 100 to 100,000 checks


def drift(defect, step=0.9, scale=None):
    return Metropolis(BANANA, m.Drift(step, scale, defect=defect))


def wide(defect):
    return Metropolis(Target(m.normal10), m.Drift(1.3, defect=defect))


def leaping(defect, step=0.8, jitter=0.0):
    return Metropolis(BANANA, m.Leaping(step, leaps=4, jitter=jitter, defect=defect))


def careless(defect, proposal=None, beta=1.0, target=BANANA):
    return m.Careless(target, proposal or Langevin(0.9), beta, defect=defect)


def restless(defect, proposal=None):
    return m.Restless(Metropolis(BANANA, proposal or Langevin(0.9)), defect)


MUTANTS = [
    # the twelve of the survey
    (drift, "no reverse density", banana),
    (wide, "noise times 1.1", normal10 | MORE),
    (leaping, "full last kick", banana),
    (leaping, "no kinetic energy", banana),
    (lambda defect: Metropolis(BANANA, m.Independent(defect)), "no ratio of proposals", banana),
    (lambda defect: Metropolis(BANANA, m.Stretch(defect)), "no log-determinant", banana),
    (d.Exchange, "sign of the exchange", replicas),
    (m.Stochastic, "noise of deviation h", noisy),
    (partial(d.Informed, GRID, False), "no reverse probability", grid),
    (partial(d.Informed, GRID, True), "no reverse probability", grid),
    (partial(d.Checkerboard, GRID), "all spins at once", grid),
    (careless, "stale gradient after a rejection", banana | MORE),
    # and of our own finding
    (partial(careless, proposal=RandomWalk(2.0), target=GAMMA), "NaN is accepted", gamma),
    (careless, "stale log density after a rejection", banana),
    (partial(careless, beta=WARM, proposal=Langevin(1.6)), "current state not tempered", warm),
    (careless, "one uniform for all chains", banana),
    (careless, "uniform not in logarithms", banana),
    (careless, "Barker's rule above, Metropolis' below", banana),
    (lambda defect: Metropolis(BANANA, m.Drift(1.6, defect=defect), WARM), "way back not tempered", warm),
    (drift, "whole gradient in the drift, half in the ratio", banana),
    (partial(drift, scale=m.LOWER), "L for L' on the way back", banana),
    (partial(leaping, jitter=0.4), "jitter in half of the leaps", banana | MORE),
    (leaping, "step size depends on the position", banana),
    (partial(restless, proposal=Hamiltonian(0.95, 4)), "momentum not refreshed", banana),
    (restless, "every chain adapts its step for ever", banana | MORE),
    (restless, "all chains adapt one step for ever", banana),
    (lambda defect: m.Restless(Metropolis(GAMMA, Langevin(1.5)), defect), "a rejection returns to the start", gamma),
    (lambda defect: m.Hidden(drift("")), "a kernel that changes itself", banana),
    (lambda defect: m.Drawing(drift("")), "Box and Muller without the factor 2", banana),
    (lambda defect: Metropolis(GAMMA, m.Multiply(1.5, defect=defect)), "no Jacobian of the logarithm", gamma),
    (lambda defect: Metropolis(BANANA, m.Independent(defect)), "ratio of proposals upside down", banana),
    (m.Stochastic, "noise of variance 2 h", noisy),
    (partial(d.Checkerboard, GRID), "stripes for a checkerboard", grid),
    (lambda defect: d.Checkerboard(TORUS), "a checkerboard on a torus of odd width", torus),
    (partial(d.Informed, GRID, False), "the best flip", grid),
    (partial(d.Informed, GRID, True), "never rejects", grid),
    (d.Exchange, "exchange always taken", replicas),
    (d.Exchange, "exchange by the cold replica alone", replicas | MORE),
]
SOUND = [
    (drift, banana),
    (wide, normal10),
    (partial(drift, scale=m.LOWER), banana),
    (leaping, banana),
    (partial(leaping, jitter=0.4), banana),
    (lambda defect: Metropolis(BANANA, m.Independent(defect)), banana),
    (lambda defect: Metropolis(BANANA, m.Stretch(defect)), banana),
    (lambda defect: Metropolis(GAMMA, m.Multiply(1.5)), gamma),
    (careless, banana),
    (partial(careless, beta=WARM, proposal=Langevin(1.6)), warm),
    (partial(careless, proposal=RandomWalk(2.0), target=GAMMA), gamma),
    (d.Exchange, replicas),
    (m.Stochastic, noisy),
    (partial(d.Informed, GRID, False), grid),
    (partial(d.Informed, GRID, True), grid),
    (partial(d.Checkerboard, GRID), grid),
]
names = [f"{i}-{defect.replace(' ', '-')}" for i, (_, defect, _) in enumerate(MUTANTS)]


def caught(make, defect, law, seed):
    with pytest.raises(CheckFailed):
        check_kernel(make(defect), **law, generator=seed)


@pytest.mark.parametrize(("make", "defect", "law"), MUTANTS, ids=names)
def test_every_defect_is_caught(make, defect, law, stream):
    caught(make, defect, law, stream)


@pytest.mark.statistical
@pytest.mark.parametrize(("make", "defect", "law"), MUTANTS, ids=names)
def test_every_defect_is_caught_five_times_in_five(make, defect, law):
    for _ in range(5):
        caught(make, defect, law, None)


@pytest.mark.parametrize(("make", "law"), SOUND)
def test_without_a_defect_the_same_kernels_pass(make, law, stream, alpha):
    """At an acceptance of 0.4 to 0.7, or check_kernel would warn, and a warning is an error here."""
    check_kernel(make(""), **law, alpha=alpha, generator=stream)
