"""One call: the table, the floors, the features, and what is refused."""

import json
import math
from dataclasses import replace
from statistics import NormalDist

import pytest
import torch

import deepgen as dg
from deepgen.cli.quality import training
from deepgen.evaluate import DigitFeatures, digit_features, sample_quality
from deepgen.evaluate.modes import plug_in_kl
from deepgen.evaluate.quality_figures import modes
from deepgen.random import normal


def z(alpha):
    return NormalDist().inv_cdf(1 - alpha / 2)


@pytest.fixture(scope="module")
def digits():
    return dg.data.load("digits", binarise="none")


def test_digits_against_digits_and_noise(digits):
    noise = dg.random.uniform((359, 64), generator=dg.random.generator(0))
    good = sample_quality(real=digits.test, fake=digits.valid, splits=3, permutations=50, generator=0)
    bad = sample_quality(real=digits.test, fake=noise, splits=3, permutations=50, generator=0)
    assert good.features == "digit network 8x8, 32 features"
    assert good.data == "digits"
    for key in ("frechet", "frechet_infinity", "kernel", "mmd", "classifier", "mode_kl"):
        assert good[key].value < bad[key].value, key
    for key in ("precision", "recall", "coverage"):
        assert good[key].value > bad[key].value, key
    assert good["modes"].value == 10
    assert bad["mmd"].p_value == pytest.approx(1 / 51)
    for score in good.scores.values():
        assert (score.n_real, score.n_fake, score.features) == (360, 359, good.features)
    for key in ("frechet", "kernel", "coverage"):  # held-out reals lie at the floor
        assert abs(good[key].value - good[key].floor) < 10 * (good[key].floor_spread + good[key].stderr), key
    text = str(good)
    for part in ("digit network 8x8", "360/359", "precision", "real against real", "divisions"):
        assert part in text
    assert good.to_markdown().count("|---") == 7
    assert json.loads(json.dumps(good.to_dict(), allow_nan=False))["scores"]["frechet"]["n_fake"] == 359


def test_training_rows_are_recognised(digits):
    copied = sample_quality(
        real=digits.test, fake=digits.train[:200], train=digits.train, metrics=[], splits=0, generator=0
    )
    assert copied["memorisation"].value == 1
    assert copied["memorisation"].note == "200 of 200 fakes are training rows"
    assert copied["memorisation"].p_value < 1e-6
    assert "200 of 200 fake rows are exact copies of training rows (of the real rows 0 of 360)" in str(copied)
    rows = digits.test
    for train in (rows, rows.flip(0)):  # no generator could lie nearer to them than the rows themselves
        with pytest.raises(dg.errors.ArgumentError, match="real and train are the same rows: all 360"):
            sample_quality(real=rows, fake=digits.valid, train=train, metrics=[])
    data = dg.data.load("digits")
    assert training(data, data.test) is not None
    both = replace(data, train=torch.cat([data.train, rows]))
    assert training(both, rows) is None  # the command line judges without that test
    with pytest.raises(dg.errors.ArgumentError, match="all 360 rows of real are rows of train"):
        sample_quality(real=rows, fake=digits.valid, train=torch.cat([digits.train, rows]), metrics=[])


def test_exact_copies_of_rows_are_told_whatever_the_features_see(stream):
    x = torch.randn(700, 3, generator=stream)
    real, train = x[:200], x[400:]
    shuffled = real[torch.randperm(200, generator=stream)]
    with pytest.raises(dg.errors.ArgumentError, match=r"all 200 fakes are exact copies of the real rows.*order"):
        sample_quality(real=real, fake=shuffled, metrics="kernel")

    def judge(fake, **options):
        return sample_quality(real=real, fake=fake, features=lambda rows: rows[:, :1], metrics=["kernel"], splits=0,
                              generator=0, **options)  # fmt: skip

    some = judge(torch.cat([shuffled[:120], x[200:300]]), train=train)
    assert some.copies == "120 of 220 fake rows are exact copies of real rows (0 of 200 real rows have a twin)"
    assert some.copies in str(some)
    assert some.to_dict()["copies"] == some.copies
    learnt = judge(train[torch.randperm(300, generator=stream)].double(), train=train)
    assert learnt.copies == "300 of 300 fake rows are exact copies of training rows (of the real rows 0 of 200)"
    assert judge(x[200:400], train=train).copies == ""
    assert judge(real + 1e-6).copies == ""  # near is no copy


def test_bits_that_agree_by_chance_are_no_reason_to_refuse(stream):
    real = torch.randint(2, (400, 2), generator=stream).float()
    fake = real[torch.randperm(400, generator=stream)]
    found = sample_quality(real=real, fake=fake, metrics="kernel", splits=0, generator=0)
    assert found.copies == "400 of 400 fake rows are exact copies of real rows (400 of 400 real rows have a twin)"


def test_features_of_the_callers_own():
    def halves(x):
        return x.flatten(1)[:, :2]

    x = normal((400, 3, 2), generator=dg.random.generator(0))
    quality = sample_quality(real=x[:200], fake=x[200:], features=halves, metrics=["kernel"], splits=2, generator=0)
    assert (quality.features, quality.width) == ("halves", 2)
    raw = sample_quality(real=x[:200], fake=x[200:], metrics=["kernel"], splits=0)
    assert (raw.features, raw.width, list(raw.scores)) == ("raw values", 6, ["kernel"])
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5))
    same = sample_quality(real=x[:200], fake=x[200:], features=network, metrics=["kernel"], splits=0)
    assert same["kernel"].value == raw["kernel"].value
    assert network.training
    same = sample_quality(real=x[:200], fake=x[200:], features=network.forward, metrics=["kernel"], splits=0)
    assert same["kernel"].value == raw["kernel"].value  # a method's module rests, too
    assert network.training


def test_shapes_choose_the_network():
    grey = torch.rand(120, 784, generator=dg.random.generator(0))
    for shape in ((784,), (28, 28), (1, 28, 28)):
        fake = grey.flip(1).view(120, *shape)
        quality = sample_quality(real=grey.view(120, *shape), fake=fake, metrics="kernel", splits=0)
        assert quality.features == "digit network 28x28, 64 features"
    signed = 2 * grey - 1
    found = sample_quality(real=signed, fake=signed.flip(1), metrics=["kernel"], splits=0)
    assert found.features == found["kernel"].features == "raw values, outside [0, 1]"
    assert "features: raw values, outside [0, 1] (784)" in str(found)
    wide = signed[:, :5]
    assert sample_quality(real=wide, fake=wide.flip(1), metrics=["kernel"], splits=0).features == "raw values"


def test_what_is_refused(digits):
    real = digits.test
    with pytest.raises(dg.errors.ArgumentError, match=r"fake needs at least 100 rows, got 40"):
        sample_quality(real=real, fake=real[:40])
    # one number, however few: no figure's own least comes first
    with pytest.raises(dg.errors.ArgumentError, match=r"real needs at least 100 rows, got 1$"):
        sample_quality(real=real[:1], fake=real[1:2], metrics=["kernel", "classifier", "mmd"])
    with pytest.raises(dg.errors.ArgumentError, match=r"real needs at least 200 rows .*, got 150"):
        sample_quality(real=real[:150], fake=real)
    with pytest.raises(dg.errors.ArgumentError, match=r"Fréchet distance in 200 features"):
        sample_quality(real=torch.ones(300, 200), fake=torch.zeros(300, 200))
    with pytest.raises(dg.errors.ArgumentError, match=r"real needs at least 112 rows \(balls to neighbour 10"):
        sample_quality(real=real[:100], fake=real[100:], metrics=["overlap"], k=10)
    with pytest.raises(dg.errors.ArgumentError, match="the same rows"):
        sample_quality(real=real, fake=real.clone())
    with pytest.raises(dg.errors.ArgumentError, match="callable"):
        sample_quality(real=real, fake=real.flip(1), features=3)
    with pytest.raises(dg.errors.SupportError, match="fake holds NaN"):
        sample_quality(real=real, fake=real.where(real < 0.9, torch.nan))
    with pytest.raises(dg.errors.ShapeError, match="fake must have rows as real has"):
        sample_quality(real=real, fake=real[:, :32])
    with pytest.raises(dg.errors.ShapeError, match="got \\[0, 64\\]"):
        sample_quality(real=real, fake=real[:0])
    with pytest.raises(dg.errors.ShapeError, match="must be a tensor"):
        sample_quality(real=real, fake=real.tolist())
    with pytest.raises(dg.errors.UnknownName, match="did you mean 'frechet'"):
        sample_quality(real=real, fake=real, metrics=["frechett"])
    with pytest.raises(dg.errors.UnknownName, match="'recall' is a figure of the metric 'overlap'"):
        sample_quality(real=real, fake=real, metrics="recall")
    with pytest.raises(dg.errors.UnknownName, match="given by train="):
        sample_quality(real=real, fake=real, metrics=["memorisation"])
    with pytest.raises(dg.errors.UnknownName, match="unknown figure"):
        sample_quality(real=real, fake=real.flip(1), metrics=["overlap"], splits=0)["fid"]
    with pytest.raises(dg.errors.ArgumentError, match="splits"):
        sample_quality(real=real, fake=real, splits=1)
    with pytest.raises(dg.errors.ShapeError, match="must return features"):
        sample_quality(real=real, fake=real.flip(1), features=lambda x: x.sum(1))


def test_arrays_are_judged_as_tensors_are(digits):
    given = {"metrics": ["kernel"], "splits": 0, "generator": 0}
    one = sample_quality(real=digits.test, fake=digits.valid, train=digits.train, **given)
    arrays = {"real": digits.test.numpy(), "fake": digits.valid.double().numpy(), "train": digits.train.numpy()}
    two = sample_quality(**arrays, **given)
    assert two.scores == one.scores
    assert two.features == "digit network 8x8, 32 features"


def test_a_name_for_features_is_answered_by_the_one_that_is_built_in(digits):
    with pytest.raises(dg.errors.ArgumentError, match=r"features takes an object.*did you mean .*digit_features\("):
        sample_quality(real=digits.test, fake=digits.valid, features="digits")


def test_figures_that_would_be_missing_in_silence_are_refused(digits):
    given = {"real": 2 * digits.test, "fake": 2 * digits.valid, "splits": 0, "generator": 0}
    with pytest.raises(dg.errors.ArgumentError, match=r"metrics is empty.*Name some of frechet"):
        sample_quality(**given, metrics=[])
    for metrics in ("modes", ["modes"], ["kernel", "modes"]):
        with pytest.raises(dg.errors.ArgumentError, match=r"has no method classes\(x\).*digit_features\(28\)"):
            sample_quality(**given, metrics=metrics)
    assert "modes" not in sample_quality(**given, permutations=1).scores  # all that there are
    inside = {"real": digits.test, "fake": digits.valid, "splits": 0, "generator": 0}
    assert set(sample_quality(**inside, metrics=["modes"]).scores) == {"modes", "mode_kl"}


def test_the_generator_decides_and_the_global_stream_stays(digits):
    before = torch.get_rng_state()
    one, again = (
        sample_quality(
            real=digits.test, fake=digits.valid, metrics=["mmd", "kernel"], splits=2, permutations=9, generator=3
        )
        for _ in range(2)
    )
    assert str(one) == str(again)
    assert torch.equal(before, torch.get_rng_state())


def test_networks_know_digits(digits):
    network = digit_features(8)
    assert float((network.classes(digits.test) == torch.as_tensor(digits.labels.test)).double().mean()) > 0.93
    stacked = torch.zeros(4, 3, 28, 28)
    seen = digit_features(28).classes(stacked)
    blank = int(digit_features(28).classes(stacked[:1, 0])[0])
    assert seen.tolist() == [111 * blank] * 4
    with pytest.raises(dg.errors.ShapeError, match="images must be"):
        network(torch.zeros(2, 65))
    for wrong in (torch.zeros(16, 1, 14, 14), torch.zeros(3, 10), torch.zeros(784)):
        with pytest.raises(dg.errors.ShapeError, match="images must be"):
            digit_features(28).classes(wrong)
    with pytest.raises(dg.errors.ArgumentError, match="8 or 28"):
        DigitFeatures(9)


SCALES = {"x / 255": (0, 255), r"\(x \+ 1\) / 2": (-1, 1), r"x\.clamp\(0, 1\)": (-0.2, 1.1)}


@pytest.mark.parametrize("advice", SCALES)
@pytest.mark.parametrize("side", [8, 28])
def test_digit_features_refuse_other_scales_and_say_what_to_do(side, advice, stream):
    low, high = SCALES[advice]
    x = dg.random.uniform((200, side, side), generator=stream)
    x[0, 0, 0], x[-1, -1, -1] = 0.0, 1.0
    network, off = digit_features(side), low + (high - low) * x
    assert network(x).isfinite().all()
    assert network((x * 255).round().div(255)).isfinite().all()
    assert network((x > 0.5).to(torch.uint8)).isfinite().all()
    for call in (network, network.classes, network.logits):
        with pytest.raises(dg.errors.SupportError, match=advice):
            call(off)
    with pytest.raises(dg.errors.SupportError, match=advice):  # where the rows choose the network, too
        sample_quality(real=x.flip(0), fake=off, metrics="kernel", splits=0)


def test_rows_on_two_devices_are_refused_with_both_names(digits):
    real, away = digits.test, digits.valid.to("meta")
    every = "real is on cpu and {} on meta"
    with pytest.raises(dg.errors.ArgumentError, match=every.format("fake")):
        sample_quality(real=real, fake=away)
    with pytest.raises(dg.errors.ArgumentError, match=every.format("train")):
        sample_quality(real=real, fake=digits.valid, train=away)
    with pytest.raises(dg.errors.ArgumentError, match=every.format("fake")):
        dg.evaluate.frechet_distance(real=real, fake=away)
    network = torch.nn.Linear(64, 3, device="meta")
    for features in (network, network.forward):
        with pytest.raises(dg.errors.ArgumentError, match="on meta and real on cpu"):
            sample_quality(real=real, fake=digits.valid, features=features)

    def broken(x):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        sample_quality(real=real, fake=digits.valid, features=broken)


class Signs(torch.nn.Module):
    """Whose classes are any integers, and only right in eval mode."""

    def forward(self, x):
        return x

    def classes(self, x):
        assert not self.training
        return (x[:, 0] > 0).long() * 10**11 - 1


def test_classes_are_any_integers_and_nothing_else(stream):
    x = normal((400, 2), generator=stream)
    y = normal((300, 2), generator=stream).abs()  # of one class in two
    network = Signs().train()
    found = sample_quality(real=x, fake=y, features=network, metrics=["modes"], splits=0)
    assert network.training
    share = float((x[:, 0] > 0).double().sum() + 0.5) / 401
    assert found["mode_kl"].value == pytest.approx(-math.log(share))
    assert (found["modes"].value, found["modes"].stderr) == (1, 0)
    network.classes = lambda x: x.softmax(1)
    with pytest.raises(dg.errors.ShapeError, match="one integer a row"):
        sample_quality(real=x, fake=y, features=network, metrics=["modes"], splits=0)


def test_the_floor_of_the_mode_kl_is_that_of_exact_draws(stream, alpha):
    """Against draws of the very shares that the KL is from, and not against parts of the real rows."""
    x, y = (normal((n, 2), generator=stream) for n in (600, 150))
    network = Signs()
    network.classes = lambda x: (x[:, 0] > 0).long() + 2 * (x[:, 1] > 1).long()
    for splits in (0, 2):
        score = sample_quality(real=x, fake=y, features=network, metrics=["modes"], splits=splits, generator=stream)[
            "mode_kl"
        ]
        shares = torch.bincount(network.classes(x), minlength=4).double() + 0.5
        shares = shares / shares.sum()
        draws = torch.multinomial(shares, 4000 * 150, replacement=True, generator=stream).view(4000, 150)
        found = plug_in_kl(torch.nn.functional.one_hot(draws).sum(1).double(), shares)
        assert abs(float(found.mean()) - score.floor) < z(alpha) * float(found.std()) / 4000**0.5
        assert score.floor == pytest.approx(3 / 300, rel=0.2)  # parts of the reals would have 3/300 + 3/1200
        assert score.floor_spread == pytest.approx(float(found.std()), rel=0.25)  # of a thousand
        assert "150 exact draws" in score.note
        assert ("real against real" in score.note) == (splits > 0)


def test_errors_of_modes_are_those_of_repetitions(stream, alpha):
    """Eight modes of which one is rare: seen by three samples of 200 in four or so.

    The variance of the number of modes is claimed by plugging shares in, so that its expectation is a sum over
    binomials; its root is 0.79 of the true deviation here.
    """
    p = torch.tensor([0.3, 0.2, 0.15, 0.1, 0.1, 0.1, 0.043, 0.007])
    q = torch.full((8,), 1 / 8)
    found = [
        modes(*(torch.multinomial(law, 200, replacement=True, generator=stream) for law in (q, p))) for _ in range(400)
    ]
    spread = float(torch.tensor([each["mode_kl"].value for each in found]).std())
    claimed = float(torch.tensor([each["mode_kl"].stderr for each in found]).square().mean().sqrt())
    assert 1 / 1.3 < claimed / spread < 1.3

    counts = torch.arange(201.0, dtype=torch.float64)
    missed = (1 - counts / 200) ** 200
    chances = torch.distributions.Binomial(200, p.double().unsqueeze(1)).log_prob(counts).exp()
    expected = float((chances * missed * (1 - missed)).sum())
    variances = torch.tensor([each["modes"].stderr for each in found], dtype=torch.float64).square()
    assert abs(float(variances.mean()) - expected) < z(alpha) * float(variances.std()) / 400**0.5
    absent = (1 - p.double()) ** 200
    assert 1 / 1.35 < (expected / float((absent * (1 - absent)).sum())) ** 0.5 < 1


def test_the_floor_is_that_of_the_rows_at_hand(stream, alpha):
    """The Fréchet distance's expectation for equal Gaussian laws is known: at 400 and 200 rows, not at the parts'."""
    floors = []
    for _ in range(48):
        x = normal((600, 3), generator=stream)
        quality = sample_quality(real=x[:400], fake=x[400:], metrics="frechet", splits=2, generator=stream)
        floors.append(quality["frechet"].floor)
    floors, known = torch.tensor(floors), (3 + (3 + 9) / 4) * (1 / 400 + 1 / 200)
    assert abs(float(floors.mean()) - known) < z(alpha) * 1.5 * float(floors.std()) / 48**0.5 + 0.03 * known
    assert float(floors.std()) / 48**0.5 < 0.15 * known  # so that unscaled floors, 1.5 times as high, would be seen


@pytest.mark.statistical
def test_floors_hold_fresh_real_rows(stream):
    """A perfect generator lies within the floor ± t deviations about as often as it should."""
    inside = {"frechet": 0, "kernel": 0, "coverage": 0}
    for _ in range(100):
        x = normal((600, 4), generator=stream)
        quality = sample_quality(real=x[:400], fake=x[400:], metrics=["frechet", "kernel", "overlap"], generator=stream)
        for key in inside:
            score = quality[key]
            inside[key] += abs(score.value - score.floor) < 2.4 * score.floor_spread  # t of 9 degrees, and the mean's
    print(inside)
    assert min(inside.values()) > 80


def test_the_error_of_a_count_is_printed(digits):
    """Ten draws a kind are seen for certain; of a kind of which there is one, (1 - 1/m)^m of m draws see none."""
    rare = torch.cat([digits.train[:400], digits.valid[:1]])
    kinds = torch.cat([torch.zeros(400), torch.ones(1)]).long()
    found = modes(kinds, kinds)["modes"]
    missed = (1 - 1 / 401) ** 401
    assert found.stderr == pytest.approx(math.sqrt(missed * (1 - missed)), rel=1e-6)
    quality = sample_quality(real=digits.test, fake=rare, metrics=["modes"], splits=0, generator=0)
    for score, printed in (
        (found, "2 ± 0.48 "),
        (replace(found, stderr=1e-9), "2 ± <0.01 "),
        (replace(found, stderr=0.0), "2 ± 0 "),
    ):
        assert printed in str(replace(quality, scores={"modes": score}))
