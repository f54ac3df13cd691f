"""Discriminator-driven draws: where D is the exact log ratio of two known laws, they have the law of the data."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

import deepgen as dg
from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, ShapeError, SupportError
from deepgen.implicit import (
    GAN,
    Calibration,
    Concatenated,
    Dense,
    Projected,
    calibrate,
    latent_langevin,
    latent_target,
    mh_gan,
    rejection,
)
from deepgen.implicit.calibration import _reliability
from deepgen.testing import check_kernel, ks

DATA, DRAWN = Normal(0.5, 1.0), Normal(1.0, 2.0)  # x = 2 z + 1
BOUND = math.log(2) + 0.5**2 / 6  # max of the log ratio: at x = 1/3
LAW = Normal(-0.25, 0.5)  # of z where x has the law of the data


class Scale(nn.Module):
    def forward(self, z):
        return 2 * z + 1


class Ratio(nn.Module):
    def __init__(self, slope=1.0, shift=0.0):
        super().__init__()
        self.slope, self.shift = slope, shift

    def forward(self, x):
        return self.slope * (DATA.log_prob(x) - DRAWN.log_prob(x)) + self.shift


def known(slope=1.0, shift=0.0):
    return GAN(Scale(), Ratio(slope, shift), latent=1)


def draw(n, generator):
    return LAW.mean + LAW.stddev * torch.randn(n, 1, generator=generator)


def test_metropolis_hastings_keeps_the_law_of_the_data(alpha, stream):
    check_kernel(mh_gan(known(shift=3.0)), draw, alpha=alpha, generator=stream)  # a constant does not matter


def test_langevin_keeps_the_law_of_the_data(alpha, stream):
    check_kernel(latent_langevin(known(), step_size=0.9), draw, alpha=alpha, generator=stream)


def test_chains_from_the_prior_come_to_the_law_of_the_data(alpha, stream):
    gan = known()
    trace = dg.samplers.sample_chain(mh_gan(gan), torch.zeros(3000, 1), draws=1, warmup=60, generator=stream)
    assert ks(gan.generate(trace.draws[-1]).flatten(), DATA.cdf) > alpha
    assert ks(gan.sample(3000, generator=stream).flatten(), DATA.cdf) < 1e-6  # which the generator has not


def test_rejection_by_the_bound_draws_from_the_law_of_the_data(alpha, stream):
    found = rejection(known(), 4000, bound=BOUND + 1e-5, generator=stream)  # at the very top float32 rounds upwards
    assert found.exceeded == 0
    assert found.acceptance == pytest.approx(math.exp(-BOUND), abs=5 * math.sqrt(0.25 / 4000))  # 1/M of the mean weight
    assert ks(found.x.flatten(), DATA.cdf) > alpha


def test_rejection_says_when_it_gives_up(stream):
    with pytest.raises(DivergenceError, match="mh_gan"):
        rejection(known(), 100, bound=30.0, batch=10, tries=3, generator=stream)


def test_the_target_has_the_prior_as_its_reference(stream):
    target = latent_target(known())
    z = torch.randn(50, 1, generator=stream)
    off = target.log_density(z) - LAW.log_prob(z).squeeze(1)
    assert float(off.std()) < 1e-4
    assert target.start(3, generator=stream).shape == (3, 1)


def test_calibration_finds_the_line(stream):
    """D = 3 log ratio - 2: the line back is (D + 2) / 3, and the raw logits fail the tests that it passes."""
    gan, n = known(3.0, -2.0), 40_000
    x = DATA.mean + DATA.stddev * torch.randn(n, 1, generator=stream)
    found = calibrate(gan, x, generator=stream)
    assert found.slope == pytest.approx(1 / 3, rel=0.1)
    assert found.shift == pytest.approx(2 / 3, abs=0.06)
    assert abs(found.z_raw) > 20 > 6 > abs(found.z)
    assert found.p_bins > 1e-8
    assert "z =" in str(found)
    ratio = found.log_ratio(gan.logit(x))
    assert torch.allclose(ratio, (DATA.log_prob(x) - DRAWN.log_prob(x)).squeeze(1), atol=0.3)


def test_a_discriminator_that_is_no_line_away_is_found_out(stream):
    class Folded(Ratio):
        def forward(self, x):
            return super().forward((x - 1 / 3).abs() ** 3)

    gan = GAN(Scale(), Folded(), latent=1)
    x = DATA.mean + DATA.stddev * torch.randn(40_000, 1, generator=stream)
    assert calibrate(gan, x, generator=stream).p_bins < 1e-6


def test_tests_of_calibrated_logits_have_the_laws_they_say(alpha, stream):
    gan = known()
    z, q = [], []
    for _ in range(200):
        score = [gan.logit(law.mean + law.stddev * torch.randn(400, 1, generator=stream)) for law in (DATA, DRAWN)]
        y = torch.cat([torch.ones(400), torch.zeros(400)]).double()
        _, each, bins, degrees = _reliability(y, torch.cat(score).double(), 5)
        z.append(each)
        q.append(bins)
        assert degrees == 5
    assert ks(torch.tensor(z), Normal(0.0, 1.0).cdf) > alpha / 2
    assert ks(torch.tensor(q), lambda x: torch.special.gammainc(torch.tensor(2.5), x / 2)) > alpha / 2


def test_calibrations_of_a_true_log_ratio_fail_as_often_as_they_say(alpha, stream):
    """The line that was fitted has an error too: without it z had a variance of 1.8, and 13 % failed at 5 %."""
    gan, z, q = known(2.0, 0.5), [], []
    for _ in range(300):
        found = calibrate(
            gan, DATA.mean + DATA.stddev * torch.randn(400, 1, generator=stream), bins=5, generator=stream
        )
        z.append(found.z)
        q.append(found.q)
    assert ks(torch.tensor(z), Normal(0.0, 1.0).cdf) > alpha / 2
    assert ks(torch.tensor(q), lambda x: torch.special.gammainc(torch.tensor(2.5), x / 2)) > alpha / 2
    # the chi-square of 299 degrees of a variance: within 4.8 deviations
    assert float(torch.tensor(z).var()) == pytest.approx(1, abs=4.8 * math.sqrt(2 / 299))


def test_rows_with_one_logit_are_in_one_bin(stream):
    """A discriminator of three values: as real rows came first among ties, bins showed them apart."""

    class Steps(nn.Module):
        def forward(self, x):
            return x.squeeze(1).clamp(-1, 1).round()

    found = calibrate(GAN(Scale(), Steps(), latent=1), 2 * torch.randn(2000, 1, generator=stream) + 1, generator=stream)
    assert 1 < len(found.bins) <= 3
    assert found.p_bins > 1e-6
    assert sum(b.n for b in found.bins) == found.n


def test_what_is_refused(stream):
    with pytest.raises(MissingCapability, match="GAN"):
        calibrate(nn.Linear(1, 1), torch.zeros(200, 1))
    with pytest.raises(MissingCapability, match="GAN"):
        mh_gan(nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match="context"):
        rejection(GAN(Scale(), Ratio(), latent=1, classes=2), 5)
    with pytest.raises(SupportError, match="NaN"):
        calibrate(known(), torch.full((200, 1), torch.nan))
    with pytest.raises(ShapeError, match="100"):
        calibrate(known(), torch.zeros(20, 1))
    assert Calibration().log_ratio(torch.ones(2)).tolist() == [1.0, 1.0]


def dropping(stream):
    net = nn.Sequential(dg.implicit.Dense(2, [8], 4, generator=stream), nn.Dropout(0.5), nn.Linear(4, 1))
    return GAN(dg.implicit.Dense(3, [8], 2, generator=stream), net, latent=3)


def test_what_judges_draws_leaves_the_modes_of_a_gan(stream):
    gan = dropping(stream)
    gan.generator.eval()
    modes = [part.training for part in gan.modules()]
    x = torch.randn(200, 2, generator=stream)
    assert str(calibrate(gan, x, generator=0)) == str(calibrate(gan.eval(), x, generator=0))
    gan.train().generator.eval()
    rejection(gan, 5, pilot=50, generator=0)
    assert modes == [part.training for part in gan.modules()]


def test_rows_of_another_precision_are_judged(stream):
    gan = dropping(stream).eval()
    x = torch.randn(200, 2, generator=stream)
    assert torch.equal(gan.logit(x.double()), gan.logit(x))
    assert torch.equal(gan.generate(torch.ones(3, 3).double()), gan.generate(torch.ones(3, 3)))
    assert calibrate(gan, x.double(), generator=0).n == 200


def test_a_discriminator_that_has_left_the_numbers_is_told():
    with pytest.raises(SupportError, match="discriminator gives NaN"):
        rejection(known(shift=math.nan), 5, generator=0)
    with pytest.raises(ArgumentError, match="bound"):
        rejection(known(), 5, bound=math.nan, generator=0)


@pytest.mark.parametrize("context", [2, torch.tensor(2), torch.tensor([2])])
def test_a_filled_in_label_serves_wherever_a_gan_without_one_does(stream, context):
    G = Concatenated(Dense(3, [8], 2, context=4, generator=stream), classes=4)
    D = Projected(Dense(2, [8], 8, generator=stream), 8, classes=4, generator=stream)
    served_alike(GAN(G, D, latent=3, classes=4), context, torch.full((400,), 2), stream)


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_a_filled_in_vector_serves_wherever_a_gan_without_one_does(stream, shape):
    G = Concatenated(Dense(3, [8], 2, context=4, generator=stream), context=4)
    D = Concatenated(Dense(2, [8], (), context=4, generator=stream), context=4)
    context = torch.arange(4.0).view(shape)
    served_alike(GAN(G, D, latent=3, context=4), context, torch.arange(4.0).expand(400, 4), stream)


def served_alike(gan, context, each, stream):
    z, x, given = torch.randn(400, 3, generator=stream), torch.randn(400, 2, generator=stream), gan(context)
    made = gan.generate(z, each)
    assert torch.equal(dg.implicit.at_places(given, z), made)
    assert torch.equal(*(m.draw_latents(5, generator=dg.random.generator(3)) for m in (given, gan)))
    assert "GAN given a batch" in repr(given)
    for model in (given, gan):
        with pytest.raises(MissingCapability, match="a GAN has no likelihood: judge its draws"):
            dg.evaluate.log_likelihood(model, (x, each) if model is gan else x)
    assert torch.allclose(dg.implicit.interpolate(given, z[0], z[1], 3)[::2], made[:2], atol=1e-6)
    assert torch.allclose(latent_target(given).log_density(z) + z.square().sum(1) / 2 - gan.logit(made, each),
                          torch.full((400,), -1.5 * math.log(2 * math.pi)), atol=1e-5)  # fmt: skip
    found = calibrate(given, x, generator=0)
    fixed = GAN(Filled(gan.averaged, each), Filled(gan.discriminator, each), latent=3)
    assert found == calibrate(fixed, x, generator=0)
    assert torch.equal(*(rejection(model, 6, generator=5).x for model in (given, fixed)))
    one, other = (
        dg.samplers.sample_chain(mh_gan(model, found), z, draws=2, warmup=3, generator=7).draws
        for model in (given, fixed)
    )
    assert torch.equal(one, other)


class Filled(nn.Module):
    """A network with its context beside it, of a GAN that takes none."""

    def __init__(self, network, each):
        super().__init__()
        self.network, self.each = network, each

    def forward(self, x):
        return self.network(x, self.each[:1].repeat(len(x), *(1,) * (self.each.ndim - 1)))
