"""Random search: settings in their ranges, narrower by the round, the same when it was cut off; ensembles."""

import itertools
import json
import math

import pytest
import torch

import deepgen as dg
from deepgen.errors import ArgumentError, CheckpointError, MissingCapability
from deepgen.train import Ensemble, search
from deepgen.train.lock import held

SPACE = {"rate": (1e-4, 1.0, "log"), "width": (8, 64), "decay": (0.0, 1.0), "kind": ["a", "b"]}


def score(rate, width, decay, kind):
    return -abs(math.log(rate / 0.01)) - abs(width - 20) / 20 - decay - (kind == "b")


def test_settings_lie_in_their_ranges_and_close_in_on_the_best(seed):
    found = search(score, SPACE, trials=80, rounds=4, seed=seed)
    for trial in found.trials:
        s = trial["settings"]
        assert 1e-4 <= s["rate"] <= 1
        assert isinstance(s["width"], int)
        assert 8 <= s["width"] <= 64
        assert s["kind"] in "ab"
    assert [trial["round"] for trial in found.trials] == [k for k in range(4) for _ in range(20)]
    best = [max(t["score"] for t in found.trials if t["round"] == r) for r in range(4)]
    means = [sum(t["score"] for t in found.trials if t["round"] == r) / 20 for r in range(4)]
    assert means[-1] > means[0] + 0.5  # over seeds the gain is 2.6 with a deviation of 0.4
    assert found.best["score"] == max(best)
    assert "kind a" in str(found)


def test_a_search_that_was_cut_off_goes_on(tmp_path):
    whole, calls = search(score, SPACE, trials=12), itertools.count()

    class Power(Exception):
        pass

    def cut(**settings):
        if next(calls) == 8:
            raise Power
        return score(**settings)

    with pytest.raises(Power):
        search(cut, SPACE, trials=12, out=tmp_path)
    with (tmp_path / "trials.jsonl").open("a") as file:
        file.write('{"settings": {"ra')  # the crash came while a line was written
    asked = []
    again = search(lambda **s: asked.append(s) or score(**s), SPACE, trials=12, out=tmp_path)
    assert again.trials == whole.trials
    assert len(asked) == 4
    assert search(cut, SPACE, trials=12, out=tmp_path).trials == whole.trials  # complete: nothing is called
    with pytest.raises(CheckpointError, match="another search"):
        search(score, SPACE, trials=12, out=tmp_path, seed=1)
    for damaged in (b"{no json\n", b"\xff\xfe\n"):
        (tmp_path / "trials.jsonl").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged"):
            search(score, SPACE, trials=12, out=tmp_path)


def test_one_round_can_be_made_longer(tmp_path):
    short = search(score, SPACE, trials=5, rounds=1, out=tmp_path)
    assert search(score, SPACE, trials=8, rounds=1, out=tmp_path).trials[:5] == short.trials
    assert len([json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]) == 9


def test_one_process_a_search(tmp_path):
    with held(tmp_path), pytest.raises(CheckpointError, match="in use by"):
        search(lambda rate: rate, {"rate": (0.0, 1.0)}, trials=1, out=tmp_path)
    assert len(search(lambda rate: rate, {"rate": (0.0, 1.0)}, trials=1, out=tmp_path).trials) == 1


def test_no_finite_score_has_no_best():
    found = search(lambda rate: math.nan, {"rate": (0.0, 1.0)}, trials=3)
    with pytest.raises(ArgumentError, match="none of 3 trials has a finite score"):
        _ = found.best
    with pytest.raises(ArgumentError, match="must return a score"):
        search(lambda rate: None, {"rate": (0.0, 1.0)}, trials=1)


def test_choices_that_cannot_be_kept_leave_no_file(tmp_path):
    for choices in ([torch.relu, torch.tanh], [torch.ones(2)], [(8, 8), (16,)]):
        with pytest.raises(ArgumentError, match="as JSON"):
            search(lambda a: 1.0, {"a": choices}, trials=2, rounds=1, out=tmp_path)
        assert not (tmp_path / "trials.jsonl").exists()
    assert len(search(lambda a: 1.0, {"a": ["relu", "tanh"]}, trials=2, rounds=1, out=tmp_path).trials) == 2
    assert len(search(lambda a: 1.0, {"a": [torch.relu]}, trials=2, rounds=1).trials) == 2


@pytest.mark.parametrize("score", [torch.zeros(2), [1.0], None, "good", 1j, torch.tensor(1j)])
def test_a_score_that_is_no_number_is_refused_and_leaves_the_trials_before(tmp_path, score):
    answers = iter([1.0, score])
    with pytest.raises(ArgumentError, match="must return a score"):
        search(lambda a: next(answers), {"a": (0.0, 1.0)}, trials=3, rounds=1, out=tmp_path)
    assert len(search(lambda a: 2.0, {"a": (0.0, 1.0)}, trials=3, rounds=1, out=tmp_path).trials) == 3


def test_what_is_not_finite_is_never_the_best():
    found = search(lambda rate: math.nan if rate > 0.5 else rate, {"rate": (0.0, 1.0)}, trials=20)
    assert found.best["score"] <= 0.5


@pytest.mark.parametrize(
    "space", [{}, {"a": ()}, {"a": []}, {"a": (1, 0)}, {"a": (0, 1, "log")}, {"a": (0, 1, "lin")}, {"a": 3}]
)
def test_spaces_that_are_none(space):
    with pytest.raises(ArgumentError):
        search(score, space)


def models():
    return [dg.explicit.MADE(4, hidden=[8], generator=seed) for seed in range(3)]


def test_an_ensemble_is_the_mean_of_probabilities():
    each = models()
    for i, model in enumerate(each):
        with torch.no_grad():
            next(p for n, p in model.named_parameters() if n.endswith("last.bias")).add_(2.0 * (i - 1))
    x = ((torch.arange(16).unsqueeze(1) >> torch.arange(4)) & 1).float()
    law = Ensemble(each)
    p = law.log_prob(x).exp().detach()
    assert torch.allclose(p, sum(m.log_prob(x).exp() for m in each) / 3, atol=1e-6)
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    draws = law.sample(4000, generator=0)
    counts = (draws @ (2.0 ** torch.arange(4))).long().bincount(minlength=16)
    error = (p * (1 - p) / 4000).sqrt()
    assert bool(((counts / 4000 - p).abs() < 5 * error + 1e-3).all())
    # rows are independent: those of one model do not stand together
    first, second = draws[:2000].mean(0), draws[2000:].mean(0)
    assert bool(((first - second).abs() < 5 * (0.25 / 1000) ** 0.5).all())
    assert torch.equal(draws, law.sample(4000, generator=0))
    assert dg.evaluate.log_likelihood(law, x).side == "exact"


def test_an_ensemble_comes_back_from_disk(tmp_path):
    law, x = Ensemble(models()), torch.eye(4)
    dg.save(law, tmp_path)
    assert torch.equal(dg.load(tmp_path).log_prob(x), law.log_prob(x))


def test_ensembles_that_are_none():
    with pytest.raises(ArgumentError):
        Ensemble([])
    with pytest.raises(MissingCapability):
        Ensemble([dg.RBM(4, 2)])
