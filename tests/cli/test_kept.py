"""What a comparison keeps in its folder: damage is told with what to do, and only the same rows are paired."""

import json

import numpy as np
import pytest
import torch

from deepgen.cli.compare import asked, comparison
from deepgen.cli.compare.judged import Judged
from deepgen.cli.compare.paired import EACH, paired
from deepgen.errors import ArgumentError, CheckpointError
from deepgen.evaluate import Estimate

DAMAGED = [b'{"models"', b"[]", b"7", b"null", b"\xff", b"[" * 10**5]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_records_are_named_with_the_way_out(tmp_path, content):
    wanted = {"data": "digits", "models": ["rbm"], "budget": 9.0, "seed": 1}
    asked.settled(tmp_path, wanted, resume=True)
    asked.settled(tmp_path, wanted, resume=True)  # which is no other comparison
    for path in (tmp_path / asked.ASKED, tmp_path / comparison.FOUND):
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{asked.ASKED} is damaged .*: give another --out, or --fresh"):
        asked.settled(tmp_path, wanted, resume=True)
    with pytest.raises(CheckpointError, match=f"{comparison.FOUND} is damaged .*: remove it, and"):
        comparison.kept(tmp_path)
    asked.settled(tmp_path, wanted, resume=False)  # --fresh
    assert json.loads((tmp_path / asked.ASKED).read_text()) == wanted


def test_what_was_judged_is_found_again_with_its_draws(tmp_path):
    assert comparison.kept(tmp_path / "rbm") is None
    one, draws = (
        Judged("rbm", "RBM 9", [Estimate(-1.0, 0.1, "below", "m", 5, 4.0, stderr_data=0.2)], notes=["odd"]),
        torch.eye(3),
    )
    comparison.keep(tmp_path / "rbm", one, draws)
    assert comparison.kept(tmp_path / "rbm") == one
    whole = comparison.Comparison([one], "digits", 9.0, 9.0, 3, tmp_path, 1, "")
    assert torch.equal(whole.draws("rbm"), draws)
    with pytest.raises(ArgumentError, match="no 'vae' among rbm"):
        whole["vae"]


@pytest.mark.parametrize("other", [np.zeros(3), np.zeros((4, 1)), np.zeros(1)])
def test_rows_that_are_not_the_same_are_not_paired(tmp_path, other):
    models = [Judged(name, name, [Estimate(value, 0.0, "exact", "m")]) for name, value in (("a", -1.0), ("b", -2.0))]
    for name in "ab":
        (tmp_path / name).mkdir()
    np.save(tmp_path / "a" / EACH, np.array([-1.0, 0.0, -2.0, -1.0]))
    np.save(tmp_path / "b" / EACH, np.array([-2.0, -1.0, -4.0, -1.0]))
    found = paired(tmp_path, models)[1].difference
    assert (found.to, found.value) == ("a", -1.0)
    assert found.stderr == pytest.approx(np.std([1, 1, 2, 0], ddof=1) / 2)
    np.save(tmp_path / "b" / EACH, other)
    assert paired(tmp_path, models)[1].difference is None


def test_no_model_at_all_is_refused():
    with pytest.raises(ArgumentError, match="at least one model"):
        asked.chosen(" , ", None)
